//! Who closes an accepted socket, in the closer's context: who accepted it, on kernels with neither fentry nor kprobes, unless
//! it was passed on. Also the end of connects that failed at once.
//!
//! `cgroup/sock_release`, attached to the root of cgroup v2, runs before the changes of state that closing makes, and its
//! context is the address of the socket that these pass:
//! <https://github.com/torvalds/linux/blob/v6.12/net/ipv4/af_inet.c#L425>.

use aya_ebpf::{EbpfContext, macros::cgroup_sock, programs::SockContext};
use tracer_common::{
    maps::SocketEntry,
    settings::ABSENT,
    wire::{flag, role},
};

use crate::{
    attempts,
    kernel::{current_owner, is_mptcp, number, pointer, setting},
    sockets::{adopt, lookup},
};

/// A program of a cgroup decides; this one only looks.
const ALLOW: i32 = 1;

#[cgroup_sock(sock_release)]
fn release_cgroup(ctx: SockContext) -> i32 {
    let socket = number(ctx.as_ptr().cast_const().cast());
    let sk = socket as *const u8;
    if setting!(attempts) != 0 {
        attempts::released(socket);
    }
    if let Some(known) = lookup(socket) {
        closed(known);
    } else if setting!(tcp_is_mptcp) != ABSENT
        && is_mptcp(sk)
        && let Some(known) = lookup(pointer(sk, setting!(mptcp_first)) as u64)
    {
        closed(known);
    }
    ALLOW
}

#[inline(always)]
fn closed(known: &mut SocketEntry) {
    if known.role == role::PASSIVE && known.flags & flag::OWNER == 0 {
        let owner = current_owner(known.owner.netns);
        adopt(known, owner);
        known.flags |= flag::CLOSER;
    }
}
