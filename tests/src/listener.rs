//! Listening sockets as today's components open them: by MPTCP where the kernel has it, as Go does since 1.24.
//!
//! A client that speaks plain TCP gets plain TCP; only what listens is another kind of socket. To have plain TCP in a
//! whole namespace, whoever listens there, set its `net.mptcp.enabled` to 0.

use rustix::net::{
    AddressFamily, Protocol, SocketFlags, SocketType, bind, ipproto, listen as start, socket_with, sockopt,
};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
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

/// What a listening socket is besides: words joined by commas, `reuseport`, `transparent`, `device=NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// Shares its address with others that say so.
    pub reuseport: bool,
    /// Takes what is diverted to it, whatever its address.
    pub transparent: bool,
    /// Takes only what comes by this device.
    pub device: Option<String>,
}

impl FromStr for Special {
    type Err = io::Error;

    fn from_str(words: &str) -> io::Result<Self> {
        let mut special = Self::default();
        for word in words.split(',') {
            match word.split_once('=') {
                Some(("device", name)) => special.device = Some(name.to_owned()),
                None if word == "reuseport" => special.reuseport = true,
                None if word == "transparent" => special.transparent = true,
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Ok(special)
    }
}

impl Special {
    fn set(&self, socket: &OwnedFd) -> io::Result<()> {
        if self.reuseport {
            sockopt::set_socket_reuseport(socket, true)?;
        }
        if self.transparent {
            set(socket, libc::SOL_IP, libc::IP_TRANSPARENT, &1_i32.to_ne_bytes())?;
        }
        if let Some(device) = &self.device {
            set(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes())?;
        }
        Ok(())
    }
}

/// An option that rustix does not know.
fn set(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the pointer and the length are those of one slice, which lives until the call is over.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    if set == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Whether the kernel has MPTCP; a namespace may still do without.
pub fn has_mptcp() -> bool {
    Path::new("/proc/sys/net/mptcp/enabled").exists()
}

/// Listens on `address`; on `[::]` for IPv4 clients too, as Go does.
pub fn listen(address: SocketAddr, backlog: i32, transport: Transport) -> io::Result<TcpListener> {
    listen_specially(address, backlog, transport, &Special::default())
}

/// The same, with options.
pub fn listen_specially(
    address: SocketAddr,
    backlog: i32,
    transport: Transport,
    special: &Special,
) -> io::Result<TcpListener> {
    let socket = open(address, transport)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    special.set(&socket)?;
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
