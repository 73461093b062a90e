//! The list of all TCP sockets without an iterator: `sock_diag` in every network namespace, joined with /proc.
//!
//! Slower than the iterator and not one moment: sockets are listed first and their holders looked up afterwards.
//! A namespace that cannot be entered, or a kernel without `tcp_diag`, is read from `/proc/PID/net/tcp`, which has
//! no counters. A namespace in which no process runs is not seen.
#![forbid(unsafe_code)]

mod dump;
mod netlink;
mod proc;
mod procnet;
#[cfg(test)]
mod tests;
mod unheld;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use tracer_common::wire::{Owner, RecordHeader, SocketRecord, WIRE_VERSION, flag, kind, role};
use zerocopy::IntoBytes;

pub use unheld::Unheld;

use netlink::Socket;
use proc::Proc;

/// Sockets of one snapshot: four times the default room of the socket table, about 50 MB.
const SOCKETS_MAX: usize = 1 << 19;

/// `TCP_SYN_SENT` and `TCP_LISTEN` of `include/net/tcp_states.h`.
const SYN_SENT: u8 = 2;
const LISTEN: u8 = 10;

/// Why there is no list at all.
#[derive(Debug, thiserror::Error)]
pub enum SockDiagError {
    /// Without /proc there are neither namespaces nor holders.
    #[error("cannot list the processes in {path}: {source}; is /proc mounted?")]
    Proc {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The thread that enters the namespaces could not be made, or ended early.
    #[error("cannot list sockets: {source}")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
}

/// What a snapshot saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Every socket of every namespace that a process lives in was seen.
    pub complete: bool,
    /// Network namespaces listed.
    pub namespaces: usize,
    /// Sockets, each counted once.
    pub sockets: usize,
    /// Namespaces whose sockets have no counters.
    pub without_counters: usize,
    /// What could not be seen and why, at most [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
}

/// A machine where nothing works must not fill the screen.
pub const PROBLEMS_MAX: usize = 8;

/// Lists all sockets. One [`SocketRecord`] of kind SEEN per socket and holder is appended to `rows`, with `socket` and
/// `first_seen_ns` 0, since neither can be known from outside; a socket that nobody holds has no owner.
///
/// `cgroup2` is where the v2 hierarchy is mounted; without it cgroup ids are 0. `at_ns` is `CLOCK_BOOTTIME` now.
pub fn list(
    proc: &Path,
    cgroup2: Option<&Path>,
    at_ns: u64,
    rows: &mut Vec<u8>,
) -> Result<Listed, SockDiagError> {
    let proc = Proc { root: proc, cgroup2 };
    let unreadable = |source| SockDiagError::Proc {
        path: proc.root.to_owned(),
        source,
    };
    let (spaces, strangers) = proc.namespaces().map_err(unreadable)?;
    let mut dumped = dump::all(proc, &spaces).map_err(|source| SockDiagError::Thread { source })?;
    if strangers > 0 {
        dumped.problems.push(format!(
            "{strangers} processes live in network namespaces that cannot be entered (CAP_SYS_PTRACE is needed)"
        ));
    }
    let wanted = dumped
        .sockets
        .iter()
        .map(|(_netns, socket)| socket.inode)
        .filter(|inode| *inode != 0)
        .collect();
    let holders = proc.holders(&wanted).map_err(unreadable)?;
    let mut owners = HashMap::new();
    for (netns, socket) in &dumped.sockets {
        match holders.get(&socket.inode) {
            None => put(socket, None, *netns, at_ns, rows),
            Some(holders) => {
                for holder in holders {
                    let owner = *owners
                        .entry(holder.tgid)
                        .or_insert_with(|| proc.owner(holder.tgid));
                    put(socket, Some((owner, holder.fd)), *netns, at_ns, rows);
                }
            }
        }
    }
    let complete = dumped.problems.is_empty();
    dumped.problems.truncate(PROBLEMS_MAX);
    Ok(Listed {
        complete,
        namespaces: dumped.namespaces,
        sockets: dumped.sockets.len(),
        without_counters: dumped.without_counters,
        problems: dumped.problems,
    })
}

fn put(socket: &Socket, owner: Option<(Owner, u32)>, netns: u32, at_ns: u64, rows: &mut Vec<u8>) {
    let mut flags = flag::FOUND;
    if owner.is_some() {
        flags |= flag::OWNER;
    }
    if socket.counters.is_some() {
        flags |= flag::COUNTERS;
    }
    let (owner, fd) = owner.unwrap_or_default();
    let counters = socket.counters.unwrap_or_default();
    let record = SocketRecord {
        header: RecordHeader {
            kind: kind::SEEN,
            version: WIRE_VERSION,
            len: LEN,
            pad: 0,
            at_ns,
        },
        socket: 0,
        first_seen_ns: 0,
        owner: Owner { netns, ..owner },
        local_addr: socket.local_addr,
        remote_addr: if socket.state == LISTEN {
            [0; 16]
        } else {
            socket.remote_addr
        },
        local_port: socket.local_port,
        remote_port: socket.remote_port,
        role: match socket.state {
            LISTEN => role::LISTENER,
            SYN_SENT => role::ACTIVE,
            _ => counters.role,
        },
        flags,
        state: socket.state,
        family: socket.family,
        error: 0,
        rtt_us: counters.rtt_us,
        sent_bytes: counters.sent_bytes,
        received_bytes: counters.received_bytes,
        retransmits: counters.retransmits,
        fd,
        ifindex: socket.ifindex,
        pad: 0,
        mptcp: 0,
    };
    rows.extend_from_slice(record.as_bytes());
}

#[expect(clippy::cast_possible_truncation, reason = "160")]
const LEN: u16 = size_of::<SocketRecord>() as u16;
