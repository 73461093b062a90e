//! Addresses off the wire: 16 bytes in network byte order, IPv4 in its mapped form.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// `AF_INET6`.
pub(super) const AF_INET6: u8 = 10;

/// `::ffff:a.b.c.d` is `a.b.c.d`, whichever family the socket has: else the two ends of a connection to a listener on
/// `[::]` would never meet.
pub(super) const fn address(bytes: [u8; 16], port: u16) -> SocketAddr {
    let ip = Ipv6Addr::from_octets(bytes);
    match ip.to_ipv4_mapped() {
        Some(v4) => SocketAddr::new(IpAddr::V4(v4), port),
        None => SocketAddr::new(IpAddr::V6(ip), port),
    }
}
