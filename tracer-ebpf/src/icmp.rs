//! Errors that ICMP brought while the caller of `connect` held the socket: the kernel keeps them apart from the socket's own
//! error (`sk_err_soft`), `getsockopt(SO_ERROR)` takes them away, and nothing is left when the socket closes.
//!
//! Seen where they are made, on this machine, as by a firewall's REJECT: one that comes from another machine finds the
//! socket free, and ends it with its error.

use aya_ebpf::{macros::map, maps::Array};
use tracer_common::maps::ICMP_ERRORS_MAX;

use crate::{
    kernel::{now_ns, probe, setting},
    socket::Socket,
};

/// An error for the SYN with this tuple.
#[derive(Clone, Copy)]
struct IcmpError {
    tuple: u64,
    at_ns: u64,
    /// As wide as the rest, so that nothing lies between.
    errno: u64,
}

#[map]
static ICMP_ERRORS: Array<IcmpError> = Array::with_max_entries(ICMP_ERRORS_MAX, 0);

const IPPROTO_TCP: u8 = 6;
/// SYN and ACK among the flags of a TCP header (RFC 9293, section 3.1).
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// An ICMP error is made for the IPv4 packet `skb`.
#[inline(always)]
pub(crate) fn made(skb: *const u8, kind: i32, code: i32) {
    let Some(errno) = errno(kind, code) else {
        return;
    };
    let head: u64 = probe(skb, setting!(skb_head));
    let network: u16 = probe(skb, setting!(skb_network_header));
    let ip = head.wrapping_add(u64::from(network)) as *const u8;
    let first: u8 = probe(ip, 0);
    let protocol: u8 = probe(ip, 9);
    if first >> 4 != 4 || protocol != IPPROTO_TCP {
        return;
    }
    let tcp = ip.wrapping_add(usize::from(first & 0xf) * 4);
    let flags: u8 = probe(tcp, 13);
    if flags & (SYN | ACK) != SYN {
        return;
    }
    let ports = (u16::from_be(probe(tcp, 0)), u16::from_be(probe(tcp, 2)));
    let tuple = tuple(probe(ip, 12), probe(ip, 16), ports.0, ports.1);
    if let Some(slot) = slot(tuple) {
        *slot = IcmpError {
            tuple,
            at_ns: now_ns(),
            errno: u64::from(errno),
        };
    }
}

/// The error made for the SYN of `sock`, which began to connect at `since_ns`; 0 for none.
#[inline(always)]
pub(crate) fn error_of<S: Socket>(sock: &S, since_ns: u64) -> u32 {
    let (local, remote) = sock.addresses(sock.family());
    let tuple = tuple(
        (local[1] >> 32) as u32,
        (remote[1] >> 32) as u32,
        sock.local_port(),
        sock.remote_port(),
    );
    match slot(tuple) {
        Some(slot) if slot.tuple == tuple && slot.at_ns >= since_ns => slot.errno as u32,
        _ => 0,
    }
}

#[inline(always)]
fn slot(tuple: u64) -> Option<&'static mut IcmpError> {
    let index = (tuple >> 32 ^ tuple) as u32 & (ICMP_ERRORS_MAX - 1);
    // SAFETY: an element of an array is there for ever.
    ICMP_ERRORS.get_ptr_mut(index).map(|slot| unsafe { &mut *slot })
}

/// Addresses as they are in memory, ports in host byte order.
#[inline(always)]
fn tuple(source: u32, destination: u32, source_port: u16, destination_port: u16) -> u64 {
    let addresses = u64::from(source) << 32 | u64::from(destination);
    let ports = u64::from(source_port) << 16 | u64::from(destination_port);
    addresses ^ ports.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What the kernel makes of an ICMP error for a socket that connects:
/// <https://github.com/torvalds/linux/blob/v6.12/net/ipv4/icmp.c#L127>. None for what is no error of a connect.
#[inline(always)]
fn errno(kind: i32, code: i32) -> Option<u32> {
    const DEST_UNREACH: i32 = 3;
    const TIME_EXCEEDED: i32 = 11;
    const PARAMETER_PROBLEM: i32 = 12;
    const ENETUNREACH: u32 = 101;
    const EHOSTUNREACH: u32 = 113;
    Some(match (kind, code) {
        (DEST_UNREACH, 0 | 6 | 9 | 11) => ENETUNREACH,
        (DEST_UNREACH, 2) => 92,
        (DEST_UNREACH, 3) => 111,
        // The path's MTU: no error.
        (DEST_UNREACH, 4) => return None,
        (DEST_UNREACH, 5) => 95,
        (DEST_UNREACH, 7) => 112,
        (DEST_UNREACH, 8) => 64,
        (DEST_UNREACH | TIME_EXCEEDED, _) => EHOSTUNREACH,
        (PARAMETER_PROBLEM, _) => 71,
        _ => return None,
    })
}
