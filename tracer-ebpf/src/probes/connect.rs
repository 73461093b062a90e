//! The owner of the active end, in the context of the caller of `connect`.
//!
//! `tcp_connect` serves IPv4 and IPv6 and runs once the route and the local port are chosen. The state program takes the
//! owner at CLOSE -> `SYN_SENT`, a little earlier in the same context; this hook does it where that one was skipped.

use aya_ebpf::{
    macros::{fentry, kprobe},
    programs::{FEntryContext, ProbeContext},
};

use super::state::connecting_twin;
use crate::kernel::{Probed, TcpSock, Typed};

#[fentry(function = "tcp_connect")]
fn connect_fentry(ctx: FEntryContext) -> i32 {
    if let Some(sock) = TcpSock::<Typed>::new(ctx.arg(0)) {
        connecting_twin(&sock);
    }
    0
}

#[kprobe(function = "tcp_connect")]
fn connect_kprobe(ctx: ProbeContext) -> u32 {
    if let Some(sock) = ctx.arg(0).and_then(TcpSock::<Probed>::new) {
        connecting_twin(&sock);
    }
    0
}
