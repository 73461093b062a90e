//! The owner of the passive end, in the context of the caller of `accept`.
//!
//! Where no backend attaches, user space names the passive end by the owner of the listening socket.

use aya_ebpf::{
    macros::{fexit, kretprobe},
    programs::{FExitContext, RetProbeContext},
};
use tracer_common::wire::{flag, kind, role};

use crate::{
    emit::count,
    kernel::{Memory, Probed, TcpSock, Typed, current_owner, current_task, now_ns},
    once::{First, event, first, ran},
    socket::Socket,
    sockets::{adopt, entry, lookup, remember_new, report},
};

/// SYN-RECEIVED as `skc_state` holds it.
const TCP_SYN_RECV: u8 = 3;

/// Kernels up to 6.9: `inet_csk_accept(sk, flags, err, kern)`, so the return value is argument 4.
#[fexit(function = "inet_csk_accept")]
fn accept_fexit_4(ctx: FExitContext) -> i32 {
    accepted_first(ctx.arg(4));
    0
}

/// Kernels since 6.10: `inet_csk_accept(sk, arg)`, so the return value is argument 2.
#[fexit(function = "inet_csk_accept")]
fn accept_fexit_2(ctx: FExitContext) -> i32 {
    accepted_first(ctx.arg(2));
    0
}

#[kretprobe(function = "inet_csk_accept")]
fn accept_kretprobe(ctx: RetProbeContext) -> u32 {
    accepted::<Probed>(ctx.ret());
    0
}

/// The twins, by the same hook: a kretprobe has none, because all kprobes share one guard.
#[fexit(function = "inet_csk_accept")]
fn accept_twin_fexit_4(ctx: FExitContext) -> i32 {
    accepted_twin(ctx.arg(4));
    0
}

#[fexit(function = "inet_csk_accept")]
fn accept_twin_fexit_2(ctx: FExitContext) -> i32 {
    accepted_twin(ctx.arg(2));
    0
}

/// A call of `accept` is known by its task: one that fails gives no socket.
#[inline(always)]
fn accepted_first(sk: *const u8) {
    ran(current_task(), event::ACCEPT);
    accepted::<Typed>(sk);
}

#[inline(always)]
fn accepted_twin(sk: *const u8) {
    let first = first(current_task(), event::ACCEPT);
    if first == First::Ran {
        return;
    }
    if first == First::Skipped {
        count!(healed_accept);
    }
    accepted::<Typed>(sk);
}

/// `sk` is null when `accept` failed.
#[inline(always)]
fn accepted<M: Memory>(sk: *const u8) {
    if sk.is_null() {
        return;
    }
    let Some(sock) = TcpSock::<M>::new(sk) else {
        return;
    };
    count!(accepted);
    let owner = current_owner(sock.netns());
    let at_ns = now_ns();
    let state = sock.state();
    if let Some(known) = lookup(sock.address()) {
        adopt(known, owner);
        return report(&sock, kind::ACCEPTED, at_ns, known, state);
    }
    // A child is queued before it is established: the state program comes later. An established one is older than the
    // tracer, or came while the table was full.
    let age = if state == TCP_SYN_RECV { 0 } else { flag::FOUND };
    let unseen = entry(at_ns, owner, sock.local_port(), role::PASSIVE, flag::OWNER | age);
    if !remember_new(sock.address(), &unseen)
        && let Some(known) = lookup(sock.address())
    {
        // The state program came in between.
        adopt(known, owner);
        return report(&sock, kind::ACCEPTED, at_ns, known, state);
    }
    report(&sock, kind::ACCEPTED, at_ns, &unseen, state);
}
