//! State changes of TCP sockets: opened, failed, closed, listening.
//!
//! <https://github.com/torvalds/linux/blob/v6.12/net/ipv4/af_inet.c#L1356>: the tracepoint fires before the new state
//! is stored, in whatever context the change happens: the current task means something only at CLOSE -> `SYN_SENT`
//! and CLOSE -> LISTEN, which are made by the caller of `connect` and `listen`.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use tracer_common::{
    maps::SocketEntry,
    wire::{flag, kind, role},
};

use crate::{
    attempts::{self, AF_INET},
    emit::count,
    icmp,
    kernel::{Memory, Probed, TcpSock, Typed, current_owner, now_ns, setting},
    once::{First, event, first, ran},
    socket::Socket,
    sockets::{TOLD, entry, forget, lookup, remember, remember_new, report, unknown},
};

/// Kernel numbers: <https://github.com/torvalds/linux/blob/v6.12/include/net/tcp_states.h>.
const TCP_ESTABLISHED: i32 = 1;
const TCP_SYN_SENT: i32 = 2;
const TCP_SYN_RECV: i32 = 3;
const TCP_CLOSE: i32 = 7;
const TCP_LISTEN: i32 = 10;

#[btf_tracepoint(function = "inet_sock_set_state")]
fn state_tp_btf(ctx: BtfTracePointContext) -> i32 {
    changed::<Typed>(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
fn state_raw(ctx: RawTracePointContext) -> i32 {
    changed::<Probed>(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[btf_tracepoint(function = "inet_sock_set_state")]
fn state_twin_tp_btf(ctx: BtfTracePointContext) -> i32 {
    changed_twin::<Typed>(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
fn state_twin_raw(ctx: RawTracePointContext) -> i32 {
    changed_twin::<Probed>(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[inline(always)]
fn changed<M: Memory>(sk: *const u8, old: i32, new: i32) {
    // Of every change: a skip is counted whatever it is of.
    ran(sk, event::change(old, new));
    if matters(old, new)
        && let Some(sock) = TcpSock::<M>::new(sk)
    {
        handle(&sock, old, new);
    }
}

#[inline(always)]
fn changed_twin<M: Memory>(sk: *const u8, old: i32, new: i32) {
    let first = first(sk, event::change(old, new));
    if first == First::Ran {
        return;
    }
    if first == First::Skipped {
        count!(healed_state);
    }
    if matters(old, new)
        && let Some(sock) = TcpSock::<M>::new(sk)
        && !is_done(&sock, new, first)
    {
        handle(&sock, old, new);
    }
}

/// Whether the table shows that a change has been handled, whatever the marks say.
#[inline(always)]
fn is_done<S: Socket>(sock: &S, new: i32, first: First) -> bool {
    let known = lookup(sock.address());
    match new {
        TCP_SYN_SENT => known.is_some_and(|known| is_connecting(known)),
        TCP_ESTABLISHED => known.is_some_and(|known| known.flags & TOLD != 0),
        TCP_LISTEN => known.is_some_and(|known| known.role == role::LISTENER),
        // One that nobody knew has an end too.
        _ => known.is_none() && first == First::Unsure,
    }
}

/// Whether the start of a connect is remembered, and no more.
#[inline(always)]
fn is_connecting(known: &SocketEntry) -> bool {
    known.role == role::ACTIVE && known.local_port == 0
}

/// Whether a change is worth a look at its socket: four of the ten of a connection are.
#[inline(always)]
pub(super) fn matters(old: i32, new: i32) -> bool {
    match new {
        TCP_CLOSE => old != TCP_CLOSE,
        TCP_SYN_SENT | TCP_ESTABLISHED | TCP_LISTEN => true,
        _ => false,
    }
}

/// A change that matters.
#[inline(always)]
pub(super) fn handle<S: Socket>(sock: &S, old: i32, new: i32) {
    match new {
        TCP_SYN_SENT => connecting(sock),
        TCP_ESTABLISHED => established(sock, old),
        TCP_LISTEN => listening(sock, old),
        _ => closed(sock, old),
    }
}

/// In the context of the caller of `connect`, before the local port is chosen.
#[inline(always)]
pub(super) fn connecting<S: Socket>(sock: &S) {
    if setting!(attempts) != 0 {
        match sock.mptcp() {
            0 => attempts::reached(sock.address()),
            mptcp => attempts::reached(mptcp),
        }
    }
    let active = match sock.first_subflow() {
        0 => entry(
            now_ns(),
            current_owner(sock.netns()),
            0,
            role::ACTIVE,
            flag::OWNER,
        ),
        // A kernel thread connects it for the owner of the connection.
        first => joining(sock, first, role::ACTIVE),
    };
    remember(sock.address(), &active);
}

/// The entry of a subflow that joins an MPTCP connection: whose its first subflow is.
#[inline(always)]
fn joining<S: Socket>(sock: &S, first: u64, role: u8) -> SocketEntry {
    let (owner, flags) = match lookup(first) {
        Some(known) => (known.owner, known.flags & flag::OWNER),
        None => (unknown(sock.netns()).owner, 0),
    };
    entry(now_ns(), owner, 0, role, flags)
}

/// A little later in the same context, from a hook of its own: what the state program was not let do.
#[inline(always)]
pub(super) fn connecting_twin<S: Socket>(sock: &S) {
    if !lookup(sock.address()).is_some_and(|known| is_connecting(known)) {
        connecting(sock);
    }
}

#[inline(always)]
fn established<S: Socket>(sock: &S, old: i32) {
    count!(opened);
    // Once for all: reading the clock is among the dearest steps.
    let at_ns = now_ns();
    let port = sock.local_port();
    if old == TCP_SYN_RECV {
        let mut passive = match sock.first_subflow() {
            0 => entry(at_ns, unknown(sock.netns()).owner, port, role::PASSIVE, 0),
            // Nobody accepts it.
            first => SocketEntry {
                local_port: port,
                ..joining(sock, first, role::PASSIVE)
            },
        };
        passive.flags |= TOLD;
        if remember_new(sock.address(), &passive) {
            return report(sock, kind::OPENED, at_ns, &passive, old as u8);
        }
        // Known already: `accept` on another CPU took it from the queue, where it stands before it is established; or
        // both ends connected at once (RFC 9293, figure 7), when it has no port yet. Else the entry is a left-over of
        // another socket at this address.
        let same = lookup(sock.address()).is_some_and(|known| {
            (known.role == role::PASSIVE && known.flags & TOLD == 0) || is_connecting(known)
        });
        if !same {
            remember(sock.address(), &passive);
            return report(sock, kind::OPENED, at_ns, &passive, old as u8);
        }
    }
    if let Some(known) = lookup(sock.address()) {
        known.local_port = port;
        known.flags |= TOLD;
        return report(sock, kind::OPENED, at_ns, known, old as u8);
    }
    // Its SYN was older than the tracer, or the table was full.
    count!(no_owner);
    let found = entry(
        at_ns,
        unknown(sock.netns()).owner,
        port,
        role::ACTIVE,
        flag::FOUND | TOLD,
    );
    remember(sock.address(), &found);
    report(sock, kind::OPENED, at_ns, &found, old as u8);
}

/// In the context of the caller of `listen`.
#[inline(always)]
fn listening<S: Socket>(sock: &S, old: i32) {
    count!(listening);
    let owner = current_owner(sock.netns());
    let at_ns = now_ns();
    let listener = entry(at_ns, owner, sock.local_port(), role::LISTENER, flag::OWNER);
    remember(sock.address(), &listener);
    report(sock, kind::LISTENING, at_ns, &listener, old as u8);
}

#[inline(always)]
fn closed<S: Socket>(sock: &S, old: i32) {
    let kind = match old {
        TCP_SYN_SENT => return failed(sock),
        TCP_LISTEN => {
            count!(unlistened);
            kind::UNLISTENED
        }
        // The handshake of a child that nobody was told about.
        TCP_SYN_RECV => return forget(sock.address()),
        _ => {
            count!(closed);
            kind::CLOSED
        }
    };
    let at_ns = now_ns();
    match lookup(sock.address()) {
        Some(known) => report(sock, kind, at_ns, known, old as u8),
        None => report(sock, kind, at_ns, &unknown(sock.netns()), old as u8),
    }
    forget(sock.address());
}

/// `EADDRNOTAVAIL`.
const ADDRESS_NOT_AVAILABLE: u32 = 99;

/// A connect has ended without an answer that pleased.
#[inline(always)]
fn failed<S: Socket>(sock: &S) {
    let unseen = unknown(sock.netns());
    let known = lookup(sock.address());
    let mut entry = known.map_or(unseen, |known| *known);
    if sock.error(true) == 0 && entry.error == 0 {
        if sock.sent_nothing() {
            // `connect` itself failed; what it returns is told where that is seen.
            if setting!(connect_result) != 0 {
                return forget(sock.address());
            }
            // No port was free, or the tuple was taken: nothing else fails between the two changes of state but for
            // want of memory.
            entry.error = ADDRESS_NOT_AVAILABLE;
        } else if setting!(icmp_errors) != 0 && sock.family() == AF_INET {
            entry.error = icmp::error_of(sock, entry.first_seen_ns);
        }
    }
    count!(failed);
    report(sock, kind::FAILED, now_ns(), &entry, TCP_SYN_SENT as u8);
    forget(sock.address());
}
