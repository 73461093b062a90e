//! Owners of sockets that are older than the tracer and close before the first snapshot has come to them.
//!
//! Attached only until that snapshot is over: it costs a look-up for every FIN sent, which later would be for nothing.
//! The changes to FIN-WAIT-1 and LAST-ACK are made by the caller of `close` or `shutdown`, in its own context.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use tracer_common::wire::{flag, role};

use crate::{
    kernel::{Memory, Probed, TcpSock, Typed, current_owner, now_ns},
    socket::Socket,
    sockets::{entry, remember_new},
};

const TCP_FIN_WAIT1: i32 = 4;
const TCP_LAST_ACK: i32 = 9;

#[btf_tracepoint(function = "inet_sock_set_state")]
fn closing_tp_btf(ctx: BtfTracePointContext) -> i32 {
    closing::<Typed>(ctx.arg(0), ctx.arg(2));
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
fn closing_raw(ctx: RawTracePointContext) -> i32 {
    closing::<Probed>(ctx.arg(0), ctx.arg(2));
    0
}

#[inline(always)]
fn closing<M: Memory>(sk: *const u8, new: i32) {
    if new != TCP_FIN_WAIT1 && new != TCP_LAST_ACK {
        return;
    }
    let Some(sock) = TcpSock::<M>::new(sk) else {
        return;
    };
    let owner = current_owner(sock.netns());
    let found = entry(
        now_ns(),
        owner,
        sock.local_port(),
        role::UNKNOWN,
        flag::OWNER | flag::FOUND,
    );
    remember_new(sock.address(), &found);
}
