//! The listeners of a stand-in and what they have accepted.

use crate::control::invalid;
use rustix::event::epoll;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use tests::listener::{Special, Transport, listen, listen_specially};

/// As Go listens: the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Descriptors of another process that are looked at.
const FDS_TRIED: RawFd = 64;

/// How a listener treats its clients.
pub(crate) enum Manner {
    /// Holds until the client closes.
    Patient,
    /// Closes after the first bytes.
    Brief,
    /// Threads blocked in accept, which never read.
    Blocking { threads: usize },
    /// Never accepts.
    Deaf { backlog: i32 },
}

/// All listeners, by address.
#[derive(Default)]
pub(crate) struct Listening(BTreeMap<SocketAddr, Arc<Server>>);

struct Server {
    listener: Mutex<Option<TcpListener>>,
    held: Mutex<BTreeMap<RawFd, TcpStream>>,
    accepted: AtomicUsize,
    received: AtomicU64,
    brief: bool,
}

impl Listening {
    pub(crate) fn listen(
        &mut self,
        address: SocketAddr,
        manner: &Manner,
        transport: Transport,
    ) -> io::Result<String> {
        let backlog = if let Manner::Deaf { backlog } = manner {
            *backlog
        } else {
            BACKLOG
        };
        let listener = listen(address, backlog, transport)?;
        self.serve(listener, manner)
    }

    /// Accepts, holds and reads by TCP on a socket with options.
    pub(crate) fn listen_specially(&mut self, address: SocketAddr, special: &Special) -> io::Result<String> {
        let listener = listen_specially(address, BACKLOG, Transport::Tcp, special)?;
        self.serve(listener, &Manner::Patient)
    }

    /// Accepts, holds and reads on the listening socket that another process has at `address`, as the workers of a server
    /// that shares one do.
    pub(crate) fn listen_with(&mut self, other: Pid, address: SocketAddr) -> io::Result<String> {
        let process = pidfd_open(other, PidfdFlags::empty())?;
        let listener = (0..FDS_TRIED)
            .filter_map(|fd| pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok())
            .map(TcpListener::from)
            .find(|listener| listener.local_addr().is_ok_and(|found| found == address))
            .ok_or_else(|| invalid("that process does not listen there"))?;
        self.serve(listener, &Manner::Patient)
    }

    fn serve(&mut self, listener: TcpListener, manner: &Manner) -> io::Result<String> {
        let address = listener.local_addr()?;
        let blocking = if let Manner::Blocking { threads } = manner {
            *threads
        } else {
            0
        };
        let shared = if blocking > 0 {
            Some(Arc::new(listener.try_clone()?))
        } else {
            None
        };
        let server = Arc::new(Server {
            listener: Mutex::new(Some(listener)),
            held: Mutex::default(),
            accepted: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            brief: matches!(manner, Manner::Brief),
        });
        for shared in shared
            .iter()
            .flat_map(|shared| std::iter::repeat_n(shared, blocking))
        {
            let (server, shared) = (Arc::clone(&server), Arc::clone(shared));
            thread::spawn(move || server.accept_blocking(&shared));
        }
        if matches!(manner, Manner::Patient | Manner::Brief) {
            let events = server.watch_listener()?;
            let server = Arc::clone(&server);
            thread::spawn(move || server.serve(&events));
        }
        self.0.insert(address, server);
        Ok(address.port().to_string())
    }

    pub(crate) fn unlisten(&self, address: SocketAddr) -> io::Result<String> {
        let listener = lock(&self.server(address)?.listener).take();
        listener
            .map(|_closed| String::new())
            .ok_or_else(|| invalid("no longer listening there"))
    }

    /// What was accepted there, held here no more.
    pub(crate) fn take(&self, address: SocketAddr) -> io::Result<Vec<TcpStream>> {
        let held = std::mem::take(&mut *lock(&self.server(address)?.held));
        Ok(held.into_values().collect())
    }

    pub(crate) fn hang_up(&self, address: SocketAddr) -> io::Result<String> {
        let held = std::mem::take(&mut *lock(&self.server(address)?.held));
        Ok(held.len().to_string())
    }

    /// Connections accepted so far, those of them still held, and bytes received.
    pub(crate) fn counts(&self) -> (usize, usize, u64) {
        self.0
            .values()
            .fold((0, 0, 0), |(accepted, held, received), server| {
                (
                    accepted + server.accepted.load(Ordering::Relaxed),
                    held + lock(&server.held).len(),
                    received + server.received.load(Ordering::Relaxed),
                )
            })
    }

    fn server(&self, address: SocketAddr) -> io::Result<&Server> {
        self.0
            .get(&address)
            .map(AsRef::as_ref)
            .ok_or_else(|| invalid("not listening there"))
    }
}

impl Server {
    fn accept_blocking(&self, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            self.hold(stream);
        }
    }

    fn hold(&self, stream: TcpStream) {
        lock(&self.held).insert(stream.as_raw_fd(), stream);
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// An epoll instance that tells of clients; the listener is known in it as 0, which is no connection's number.
    fn watch_listener(&self) -> io::Result<OwnedFd> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        if let Some(listener) = lock(&self.listener).as_ref() {
            listener.set_nonblocking(true)?;
            epoll::add(
                &events,
                listener,
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN,
            )?;
        }
        Ok(events)
    }

    fn serve(&self, events: &OwnedFd) {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); 64];
        loop {
            let Ok((ready, _)) = epoll::wait(events, &mut space, None) else {
                return;
            };
            for event in ready {
                match RawFd::try_from(event.data.u64()) {
                    Ok(0) => self.accept_all(events),
                    Ok(number) => self.read(number),
                    Err(_) => {}
                }
            }
        }
    }

    fn accept_all(&self, events: &OwnedFd) {
        let listener = lock(&self.listener);
        while let Some(Ok((stream, _))) = listener.as_ref().map(TcpListener::accept) {
            let number = epoll::EventData::new_u64(stream.as_raw_fd().unsigned_abs().into());
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let watched = epoll::add(events, &stream, number, epoll::EventFlags::IN);
            if watched.is_ok() {
                self.hold(stream);
            }
        }
    }

    /// Reads what has come; drops the connection at its end, or at once when brief.
    fn read(&self, number: RawFd) {
        let mut held = lock(&self.held);
        let Some(stream) = held.get_mut(&number) else {
            return;
        };
        let mut space = [0_u8; 1 << 14];
        let ended = loop {
            match stream.read(&mut space) {
                Ok(0) => break true,
                Ok(length) => {
                    self.received.fetch_add(length as u64, Ordering::Relaxed);
                    if self.brief {
                        break true;
                    }
                }
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        if ended {
            held.remove(&number);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
