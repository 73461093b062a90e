//! Connections as the stand-in needs them: by TCP, as Go dials, with a chosen source address and patience.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{bind, connect, sockopt};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tests::listener::{Transport, open};

/// A connection to `address`, from `source` where given. The port of a source may be in `TIME_WAIT`.
pub(crate) fn dial(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    dial_by(Transport::Tcp, address, source)
}

/// The same by another transport.
pub(crate) fn dial_by(
    transport: Transport,
    address: SocketAddr,
    source: Option<SocketAddr>,
) -> io::Result<TcpStream> {
    let socket = open(address, transport)?;
    if let Some(source) = source {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &source)?;
    }
    connect(&socket, &address)?;
    Ok(TcpStream::from(socket))
}

/// Tries for at most `patience` and returns the errno that ended the attempt: 0 where it succeeded,
/// `EINPROGRESS` where it was given up.
pub(crate) fn attempt(address: SocketAddr, patience: Duration) -> io::Result<i32> {
    let socket = open(address, Transport::Tcp)?;
    // Without patience the kernel's own answer is waited for.
    ioctl_fionbio(&socket, !patience.is_zero())?;
    match connect(&socket, &address) {
        Ok(()) => return Ok(0),
        Err(Errno::INPROGRESS) => {}
        Err(errno) => return Ok(errno.raw_os_error()),
    }
    let mut pending = [PollFd::new(&socket, PollFlags::OUT)];
    let patience = Timespec {
        tv_sec: patience.as_secs().cast_signed(),
        tv_nsec: patience.subsec_nanos().into(),
    };
    if poll(&mut pending, Some(&patience))? == 0 {
        return Ok(Errno::INPROGRESS.raw_os_error());
    }
    Ok(sockopt::socket_error(&socket)?
        .err()
        .map_or(0, Errno::raw_os_error))
}
