//! Sockets that exist and that no file table holds: in a message that nobody reads.

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};

/// A pair of sockets with the message between them.
pub(crate) struct Stowed {
    _pair: (OwnedFd, OwnedFd),
}

impl Stowed {
    /// Sends each and closes it here.
    pub(crate) fn new(streams: impl IntoIterator<Item = TcpStream>) -> io::Result<Self> {
        let pair = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        for stream in streams {
            let held = [stream.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            if !rights.push(SendAncillaryMessage::ScmRights(&held)) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            sendmsg(&pair.0, &[IoSlice::new(b"x")], &mut rights, SendFlags::empty())?;
        }
        Ok(Self { _pair: pair })
    }
}
