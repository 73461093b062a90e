//! Lists the sockets of every namespace, in a thread of its own that goes from namespace to namespace.
//!
//! A thread's namespace is its own: the rest of the program never leaves the one it started in.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
    thread,
    time::Duration,
};

use rustix::{
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::SOCK_DIAG,
        recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    SOCKETS_MAX,
    netlink::{self, AF_INET, AF_INET6, Answer, AnswerError, Socket},
    proc::{Proc, RESIDENTS_MAX, inode_in},
    procnet,
};

/// The kernel makes dumps of at most 32 KiB at a time.
const BUFFER: usize = 64 << 10;

/// A dump is made while it is read, so an answer that takes this long will not come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Everything listed.
#[derive(Debug, Default)]
pub(super) struct Dumped {
    /// With the inode of the network namespace.
    pub(super) sockets: Vec<(u32, Socket)>,
    pub(super) namespaces: usize,
    pub(super) without_counters: usize,
    /// One for everything that was not seen.
    pub(super) problems: Vec<String>,
}

/// Why a namespace could not be listed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DumpError {
    #[error("it cannot be entered: {0}")]
    Enter(io::Error),
    #[error("sock_diag cannot be used: {0}")]
    Socket(io::Error),
    #[error("sock_diag: {0}")]
    Answer(#[from] AnswerError),
    #[error("more than {SOCKETS_MAX} sockets")]
    TooMany,
}

/// Lists the sockets of `spaces`: inodes of namespaces, each with processes that live in it.
pub(super) fn all(proc: Proc<'_>, spaces: &BTreeMap<u32, Vec<u32>>) -> io::Result<Dumped> {
    thread::scope(|scope| {
        let lister = thread::Builder::new().name("kcn-netns".into());
        let lister = lister.spawn_scoped(scope, || {
            let mut dumped = Dumped::default();
            let own = fs::read_link(proc.root.join("thread-self/ns/net")).ok();
            let own = own.and_then(|target| inode_in(&target, "net:["));
            // The one this thread is born in needs no entering: it comes first, while the thread is still there.
            if let Some((netns, residents)) = own.and_then(|own| spaces.get_key_value(&own)) {
                let outcome = list_here(proc, *netns, &mut dumped.sockets);
                dumped.add(proc, *netns, residents, outcome);
            }
            for (netns, residents) in spaces.iter().filter(|(netns, _residents)| Some(**netns) != own) {
                let outcome = enter(proc, *netns, residents)
                    .and_then(|()| list_here(proc, *netns, &mut dumped.sockets));
                dumped.add(proc, *netns, residents, outcome);
            }
            dumped
        })?;
        lister
            .join()
            .map_err(|_panic| io::Error::other("the thread that lists sockets ended early"))
    })
}

impl Dumped {
    /// Counts a namespace whose sockets were `listed`, or reads them from /proc.
    pub(super) fn add(
        &mut self,
        proc: Proc<'_>,
        netns: u32,
        residents: &[u32],
        listed: Result<(), DumpError>,
    ) {
        let Err(error) = listed else {
            self.namespaces = self.namespaces.saturating_add(1);
            return;
        };
        if matches!(error, DumpError::TooMany) {
            self.problems.push(format!("network namespace {netns}: {error}"));
            return;
        }
        // What an answer that broke off has left.
        self.sockets.retain(|(found, _socket)| *found != netns);
        for tgid in residents {
            match from_proc(proc, netns, *tgid, &mut self.sockets) {
                Ok(()) => {
                    self.namespaces = self.namespaces.saturating_add(1);
                    self.without_counters = self.without_counters.saturating_add(1);
                    return;
                }
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
                Err(other) => {
                    let problem =
                        format!("network namespace {netns}: {error}; /proc/{tgid}/net/tcp: {other}");
                    return self.problems.push(problem);
                }
            }
        }
        // Fewer than could be remembered, and all have ended: so has the namespace, and its sockets are closed.
        if residents.len() >= RESIDENTS_MAX {
            self.problems.push(format!("network namespace {netns}: {error}"));
        }
    }
}

/// Moves this thread into the namespace `netns`, through the first of `residents` that still lives there.
fn enter(proc: Proc<'_>, netns: u32, residents: &[u32]) -> Result<(), DumpError> {
    let mut last = io::ErrorKind::NotFound.into();
    for tgid in residents {
        match enter_by(&proc.path(*tgid, "ns/net"), netns) {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(DumpError::Enter(last))
}

fn enter_by(path: &Path, netns: u32) -> io::Result<()> {
    let file = File::open(path)?;
    // The process may have ended and its number been given to another since: ask the file, not the path.
    if u32::try_from(file.metadata()?.ino()) != Ok(netns) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(move_into_link_name_space(
        file.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

/// Appends the TCP sockets of the namespace this thread is in.
fn list_here(proc: Proc<'_>, netns: u32, sockets: &mut Vec<(u32, Socket)>) -> Result<(), DumpError> {
    let failed = |errno: rustix::io::Errno| DumpError::Socket(errno.into());
    let diag = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )
    .map_err(failed)?;
    set_socket_timeout(&diag, Timeout::Recv, Some(TIMEOUT)).map_err(failed)?;
    let ipv6 = fs::exists(proc.root.join("thread-self/net/tcp6")).unwrap_or(true);
    let mut buffer = vec![0; BUFFER];
    for (sequence, family) in [(1, AF_INET), (2, AF_INET6)] {
        send(&diag, &netlink::request(family, sequence), SendFlags::empty()).map_err(failed)?;
        loop {
            // TRUNC: the real length, should a datagram be longer than any kernel makes them.
            let (_filled, length) = recv(&diag, &mut buffer, RecvFlags::TRUNC).map_err(failed)?;
            let cut = AnswerError::Malformed {
                at: length,
                what: "longer than the buffer",
            };
            let datagram = buffer.get(..length).ok_or(cut)?;
            let answer = netlink::parse(datagram, sequence, |socket| sockets.push((netns, socket)));
            match answer {
                Ok(Answer::More) if sockets.len() > SOCKETS_MAX => return Err(DumpError::TooMany),
                Ok(Answer::More) => {}
                Ok(Answer::Done) => break,
                // No IPv6 in this kernel.
                Err(AnswerError::Refused(_errno)) if family == AF_INET6 && !ipv6 => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Appends the sockets of `/proc/TGID/net/tcp` and `tcp6`.
fn from_proc(proc: Proc<'_>, netns: u32, tgid: u32, sockets: &mut Vec<(u32, Socket)>) -> io::Result<()> {
    let before = sockets.len();
    for (name, needed) in [("net/tcp", true), ("net/tcp6", false)] {
        let file = match File::open(proc.path(tgid, name)) {
            Ok(file) => file,
            // No IPv6 in this kernel.
            Err(error) if !needed && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        while sockets.len() < SOCKETS_MAX {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                break;
            }
            sockets.extend(procnet::parse(&line).map(|socket| (netns, socket)));
        }
    }
    // Without sock_diag the namespace is whatever the process lives in now.
    let now = fs::read_link(proc.path(tgid, "ns/net"))?;
    if inode_in(&now, "net:[") != Some(netns) {
        sockets.truncate(before);
        return Err(io::ErrorKind::NotFound.into());
    }
    if sockets.len() >= SOCKETS_MAX {
        return Err(io::Error::other(DumpError::TooMany));
    }
    Ok(())
}
