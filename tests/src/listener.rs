//! Listening sockets as today's components open them: by MPTCP where the kernel has it, as Go does since 1.24.
//!
//! A client that speaks plain TCP gets plain TCP; only what listens is another kind of socket. To have plain TCP in a
//! whole namespace, whoever listens there, set its `net.mptcp.enabled` to 0.

use rustix::net::{
    AddressFamily, Protocol, SocketFlags, SocketType, bind, ipproto, listen as start, socket_with, sockopt,
};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::str::FromStr;

/// How a program listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// By MPTCP; by TCP where the kernel or the namespace has none.
    #[default]
    Mptcp,
    /// By TCP.
    Tcp,
}

impl FromStr for Transport {
    type Err = io::Error;

    fn from_str(word: &str) -> io::Result<Self> {
        match word {
            "mptcp" => Ok(Self::Mptcp),
            "tcp" => Ok(Self::Tcp),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Whether the kernel has MPTCP; a namespace may still do without.
pub fn has_mptcp() -> bool {
    Path::new("/proc/sys/net/mptcp/enabled").exists()
}

/// Listens on `address`; on `[::]` for IPv4 clients too, as Go does.
pub fn listen(address: SocketAddr, backlog: i32, transport: Transport) -> io::Result<TcpListener> {
    let socket = open(address, transport)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    start(&socket, backlog)?;
    Ok(TcpListener::from(socket))
}

/// A socket for `address`.
pub fn open(address: SocketAddr, transport: Transport) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let of =
        |protocol: Option<Protocol>| socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, protocol);
    let socket = match transport {
        // Whatever the reason why there is none: as Go, TCP then.
        Transport::Mptcp => of(Some(ipproto::MPTCP)).or_else(|_without| of(None)),
        Transport::Tcp => of(None),
    };
    Ok(socket?)
}
