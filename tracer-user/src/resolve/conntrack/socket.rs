//! Netlink sockets of the network namespace the calling thread is in: one that hears news, and ones that ask.
#![forbid(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::{NETFILTER, SocketAddrNetlink},
        recv, send, socket_with,
        sockopt::{
            Timeout, set_socket_recv_buffer_size, set_socket_recv_buffer_size_force, set_socket_timeout,
        },
    },
};

use super::{
    codec::{self, Answer, AnswerError, Entry, Item},
    filter,
};

/// The kernel makes dumps of at most 32 KiB at a time.
const BUFFER: usize = 64 << 10;

/// A dump is made while it is read, so an answer that takes this long will not come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bits of `NFNLGRP_CONNTRACK_NEW` (1) and `NFNLGRP_CONNTRACK_DESTROY` (3). Changes of state are no news here.
const GROUPS: u32 = 0b101;

/// What may wait to be read: about 10,000 entries, used only while there are so many.
const WAITING_BYTES: usize = 8 << 20;

/// Why conntrack does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConntrackError {
    /// No socket.
    #[error("netlink socket: {0}")]
    Socket(io::Error),
    /// No answer.
    #[error("{0}")]
    Answer(#[from] AnswerError),
    /// News were lost: only a dump tells what is in the table now.
    #[error("more news than could be read")]
    Overrun,
}

impl ConntrackError {
    /// The errno, where there is one.
    pub(super) fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket(error) => error.raw_os_error(),
            Self::Answer(AnswerError::Refused(errno)) => Some(*errno),
            Self::Answer(AnswerError::Malformed { .. }) | Self::Overrun => None,
        }
    }
}

fn failed(errno: Errno) -> ConntrackError {
    ConntrackError::Socket(errno.into())
}

fn netlink(flags: SocketFlags) -> Result<OwnedFd, ConntrackError> {
    let flags = flags | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER)).map_err(failed)
}

/// Hears of entries that come and go. It stays in its namespace, wherever the thread goes.
#[derive(Debug)]
pub(super) struct News(OwnedFd);

impl News {
    /// Begins to listen.
    pub(super) fn open() -> Result<Self, ConntrackError> {
        let socket = netlink(SocketFlags::NONBLOCK)?;
        // Without them there is more to read, and more that is lost and read again from a dump.
        let _smaller = set_socket_recv_buffer_size_force(&socket, WAITING_BYTES)
            .or_else(|_no_right| set_socket_recv_buffer_size(&socket, WAITING_BYTES));
        let _unfiltered = filter::attach(&socket);
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).map_err(failed)?;
        Ok(Self(socket))
    }

    /// Passes on what has come, at most `max` messages.
    pub(super) fn read(
        &self,
        buffer: &mut Buffer,
        max: usize,
        mut each: impl FnMut(Item),
    ) -> Result<(), ConntrackError> {
        for _ in 0..max {
            let datagram = match buffer.receive(&self.0) {
                Ok(datagram) => datagram?,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(Errno::NOBUFS) => return Err(ConntrackError::Overrun),
                Err(errno) => return Err(failed(errno)),
            };
            let _always_more = codec::parse(datagram, None, &mut each)?;
        }
        Ok(())
    }
}

impl AsFd for News {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Room for one datagram, used again and again.
#[derive(Debug)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    pub(super) fn new() -> Self {
        Self(vec![0; BUFFER])
    }

    fn receive(&mut self, socket: &OwnedFd) -> Result<Result<&[u8], AnswerError>, Errno> {
        // TRUNC: the real length, should a datagram be longer than any kernel makes them.
        let (_filled, length) = recv(socket, &mut self.0, RecvFlags::TRUNC)?;
        Ok(self.0.get(..length).ok_or(AnswerError::Malformed {
            at: length,
            what: "longer than the buffer",
        }))
    }
}

/// Asks about the table of the namespace it was made in, wherever the thread goes.
#[derive(Debug)]
pub(super) struct Asker {
    socket: OwnedFd,
    /// Of the last request: what is left of an answer that broke off is not taken for the next.
    sequence: u32,
}

impl Asker {
    /// A socket in the namespace the thread is in.
    pub(super) fn open() -> Result<Self, ConntrackError> {
        let socket = netlink(SocketFlags::empty())?;
        set_socket_timeout(&socket, Timeout::Recv, Some(TIMEOUT)).map_err(failed)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Passes every translated TCP connection of the table to `each`.
    pub(super) fn dump(
        &mut self,
        buffer: &mut Buffer,
        mut each: impl FnMut(Entry),
    ) -> Result<(), ConntrackError> {
        self.ask(codec::dump, buffer, |item| match item {
            Item::Here(entry) => each(entry),
            Item::Gone(_) | Item::Entries(_) => {}
        })
    }

    /// How many entries of any kind the table holds.
    pub(super) fn count(&mut self, buffer: &mut Buffer) -> Result<u32, ConntrackError> {
        let mut entries = 0;
        self.ask(codec::count, buffer, |item| match item {
            Item::Entries(number) => entries = number,
            Item::Here(_) | Item::Gone(_) => {}
        })?;
        Ok(entries)
    }

    fn ask(
        &mut self,
        request: impl FnOnce(u32) -> codec::Request,
        buffer: &mut Buffer,
        mut each: impl FnMut(Item),
    ) -> Result<(), ConntrackError> {
        // 0 is the number of news.
        self.sequence = self.sequence.wrapping_add(1).max(1);
        send(&self.socket, &request(self.sequence), SendFlags::empty()).map_err(failed)?;
        loop {
            let datagram = match buffer.receive(&self.socket) {
                Ok(datagram) => datagram?,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(failed(errno)),
            };
            if codec::parse(datagram, Some(self.sequence), &mut each)? == Answer::Done {
                return Ok(());
            }
        }
    }
}
