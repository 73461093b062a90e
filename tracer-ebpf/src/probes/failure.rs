//! Connects that fail before a SYN is sent, and errors that the caller reads before its socket closes.
//!
//! The state program sees none of it: no route means no change of state, and `getsockopt(SO_ERROR)` takes the error away.
//! fexit and kretprobe have the errno that `connect` returns. Without them, programs of the root cgroup see the connect
//! begin and the socket go, but no errno; and the error of a REJECT is taken where its ICMP message is made.

use aya_ebpf::{
    bindings::bpf_sock_addr,
    macros::{btf_tracepoint, cgroup_sock_addr, fentry, fexit, kprobe, kretprobe},
    programs::{
        BtfTracePointContext, FEntryContext, FExitContext, ProbeContext, RetProbeContext, SockAddrContext,
    },
};

use crate::{
    attempts::{self, AF_INET, Destination},
    icmp,
    kernel::{Memory, Probed, TcpSock, Typed, current_owner, mapped, number, pointer, probe, setting},
    socket::Socket,
    sockets::lookup,
};

/// `tcp_v4_connect(sk, uaddr, addr_len)`; the returned value is argument 3.
#[fexit(function = "tcp_v4_connect")]
fn connect_v4_fexit(ctx: FExitContext) -> i32 {
    returned::<Typed>(ctx.arg(0), &Destination::of(ctx.arg(1)), ctx.arg(3));
    0
}

#[fexit(function = "tcp_v6_connect")]
fn connect_v6_fexit(ctx: FExitContext) -> i32 {
    returned::<Typed>(ctx.arg(0), &Destination::of(ctx.arg(1)), ctx.arg(3));
    0
}

#[kprobe(function = "tcp_v4_connect")]
fn connect_v4_kprobe(ctx: ProbeContext) -> u32 {
    called(ctx.arg(0), ctx.arg(1));
    0
}

#[kprobe(function = "tcp_v6_connect")]
fn connect_v6_kprobe(ctx: ProbeContext) -> u32 {
    called(ctx.arg(0), ctx.arg(1));
    0
}

#[kretprobe(function = "tcp_v4_connect")]
fn connect_v4_kretprobe(ctx: RetProbeContext) -> u32 {
    if let Some((socket, to)) = attempts::returned() {
        returned::<Probed>(socket as *const u8, &to, ctx.ret());
    }
    0
}

#[kretprobe(function = "tcp_v6_connect")]
fn connect_v6_kretprobe(ctx: RetProbeContext) -> u32 {
    if let Some((socket, to)) = attempts::returned() {
        returned::<Probed>(socket as *const u8, &to, ctx.ret());
    }
    0
}

#[inline(always)]
fn called(sk: Option<*const u8>, sockaddr: Option<*const u8>) {
    if let (Some(sk), Some(sockaddr)) = (sk, sockaddr) {
        let to = Destination::of(sockaddr);
        // The function for IPv4, which it calls, uses the same thread's place.
        if !to.is_mapped_in_v6() {
            attempts::called(sk as u64, to);
        }
    }
}

/// In the context of the caller of `connect`.
#[inline(always)]
fn returned<M: Memory>(sk: *const u8, to: &Destination, result: i32) {
    if result >= 0 || to.is_mapped_in_v6() {
        return;
    }
    if let Some(sock) = TcpSock::<M>::new(sk) {
        let owner = current_owner(sock.netns());
        attempts::failed(&sock, owner, to, result.unsigned_abs());
    }
}

/// Since 6.1, `sk_getsockopt(sk, level, optname, ...)`.
#[fentry(function = "sk_getsockopt")]
fn error_read_fentry(ctx: FEntryContext) -> i32 {
    error_read(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

/// Before, `sock_getsockopt(socket, level, optname, ...)`.
#[fentry(function = "sock_getsockopt")]
fn error_read_socket_fentry(ctx: FEntryContext) -> i32 {
    error_read(pointer(ctx.arg(0), setting!(socket_sk)), ctx.arg(1), ctx.arg(2));
    0
}

#[kprobe(function = "sk_getsockopt")]
fn error_read_kprobe(ctx: ProbeContext) -> u32 {
    if let (Some(sk), Some(level), Some(name)) = (ctx.arg(0), ctx.arg(1), ctx.arg(2)) {
        error_read(sk, level, name);
    }
    0
}

#[kprobe(function = "sock_getsockopt")]
fn error_read_socket_kprobe(ctx: ProbeContext) -> u32 {
    if let (Some(socket), Some(level), Some(name)) = (ctx.arg(0), ctx.arg(1), ctx.arg(2)) {
        error_read(pointer(socket, setting!(socket_sk)), level, name);
    }
    0
}

const SOL_SOCKET: i32 = 1;
const SO_ERROR: i32 = 4;

/// The caller is about to read, and so to clear, the error of its socket.
#[inline(always)]
fn error_read(sk: *const u8, level: i32, name: i32) {
    if level != SOL_SOCKET || name != SO_ERROR {
        return;
    }
    if let Some(known) = lookup(sk as u64) {
        let hard: u32 = probe(sk, setting!(sk_err));
        let error = if hard == 0 {
            probe(sk, setting!(sk_err_soft))
        } else {
            hard
        };
        if error != 0 {
            known.error = error;
        }
    }
}

#[btf_tracepoint(function = "icmp_send")]
fn icmp_tp_btf(ctx: BtfTracePointContext) -> i32 {
    icmp::made(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[cgroup_sock_addr(connect4)]
fn connect4_cgroup(ctx: SockAddrContext) -> i32 {
    let addr = ctx.sock_addr;
    // SAFETY: the verifier turns each load of a member into the one of the kernel's struct.
    let (address, port) = unsafe { ((*addr).user_ip4, (*addr).user_port) };
    begins(addr, mapped(address), port, AF_INET);
    ALLOW
}

#[cgroup_sock_addr(connect6)]
fn connect6_cgroup(ctx: SockAddrContext) -> i32 {
    let addr = ctx.sock_addr;
    // SAFETY: as above; the words are loaded one by one, as the verifier wants it.
    let (words, port) = unsafe {
        let base = (&raw const (*addr).user_ip6).cast::<u32>();
        let word = |nth: usize| u64::from(base.add(nth).read_volatile());
        ([word(0), word(1), word(2), word(3)], (*addr).user_port)
    };
    let [a, b, c, d] = words;
    let address = if cfg!(target_endian = "little") {
        [b << 32 | a, d << 32 | c]
    } else {
        [a << 32 | b, c << 32 | d]
    };
    begins(addr, address, port, AF_INET6);
    ALLOW
}

const AF_INET6: u16 = 10;
const IPPROTO_TCP: u32 = 6;
const IPPROTO_MPTCP: u32 = 262;
/// A program of a cgroup decides; these only look.
const ALLOW: i32 = 1;

#[inline(always)]
fn begins(addr: *mut bpf_sock_addr, address: [u64; 2], port: u32, family: u16) {
    // SAFETY: as above.
    let (protocol, sk) = unsafe { ((*addr).protocol, (*addr).__bindgen_anon_1.sk) };
    if sk.is_null() || (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP) {
        return;
    }
    let socket = number(sk.cast_const().cast());
    let sk = socket as *const u8;
    let net = pointer(sk, setting!(sk_net));
    let to = Destination {
        address,
        port: u16::from_be(port as u16),
        family,
    };
    attempts::begin(socket, current_owner(probe(net, setting!(net_inum))), to);
}
