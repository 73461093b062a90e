//! Sockets that no file table holds, which a walk over file tables cannot see: in `io_uring`'s table of fixed files, of the
//! kernel itself, waiting to be accepted, left behind by their process.
//!
//! What opens while the tracer runs is seen by its programs. What is older is found here: the sockets of every namespace by
//! `sock_diag`, less those that the walk has shown. They have no owner.
#![forbid(unsafe_code)]

use std::{collections::HashSet, io, path::Path};

use tracer_common::wire::SocketRecord;
use zerocopy::FromBytes;

use super::{LISTEN, PROBLEMS_MAX, SockDiagError, dump, netlink::Socket, proc::Proc, put};

/// Namespace, both addresses and ports: what names a socket here and in a walk.
type Tuple = (u32, [u8; 16], u16, [u8; 16], u16);

/// The sockets that walks over file tables do not show.
#[derive(Debug, Default)]
pub struct Unheld {
    /// What this walk has shown.
    shown: HashSet<Tuple>,
    /// What no walk has shown so far; absent before the first. Only these are looked for again: what opens later has
    /// records, and one that opens between the walk and the look is in the next walk.
    kept: Option<HashSet<Tuple>>,
}

impl Unheld {
    /// A walk begins.
    pub fn begin(&mut self) {
        self.shown = HashSet::new();
    }

    /// Whether this walk must be looked behind.
    pub fn is_wanted(&self) -> bool {
        self.kept.as_ref().is_none_or(|kept| !kept.is_empty())
    }

    /// Notes a row of the walk.
    pub fn note(&mut self, row: &[u8]) {
        if let Ok((row, _rest)) = SocketRecord::read_from_prefix(row) {
            let remote = if row.state == LISTEN {
                ([0; 16], 0)
            } else {
                (row.remote_addr, row.remote_port)
            };
            let netns = row.owner.netns;
            self.shown
                .insert((netns, row.local_addr, row.local_port, remote.0, remote.1));
        }
    }

    /// Appends a row, without owner, for every socket that was not shown. Gives what could not be looked at.
    ///
    /// # Errors
    /// When /proc cannot be read, or no thread can be made.
    pub fn list(
        &mut self,
        proc: &Path,
        at_ns: u64,
        rows: &mut Vec<u8>,
    ) -> Result<Vec<String>, SockDiagError> {
        let proc = Proc {
            root: proc,
            cgroup2: None,
        };
        let unreadable = |source: io::Error| SockDiagError::Proc {
            path: proc.root.to_owned(),
            source,
        };
        let (spaces, _strangers) = proc.namespaces().map_err(unreadable)?;
        let mut dumped = dump::all(proc, &spaces).map_err(|source| SockDiagError::Thread { source })?;
        let mut found = HashSet::new();
        for (netns, socket) in &dumped.sockets {
            let tuple = tuple(*netns, socket);
            let is_new = self.kept.as_ref().is_some_and(|kept| !kept.contains(&tuple));
            if !is_new && !self.shown.contains(&tuple) {
                put(socket, None, *netns, at_ns, rows);
                found.insert(tuple);
            }
        }
        tracing::debug!(unheld = found.len(), "sockets that no file table holds");
        self.kept = Some(found);
        self.shown = HashSet::new();
        dumped.problems.truncate(PROBLEMS_MAX);
        Ok(dumped.problems)
    }
}

const fn tuple(netns: u32, socket: &Socket) -> Tuple {
    let (remote_addr, remote_port) = if socket.state == LISTEN {
        ([0; 16], 0)
    } else {
        (socket.remote_addr, socket.remote_port)
    };
    (
        netns,
        socket.local_addr,
        socket.local_port,
        remote_addr,
        remote_port,
    )
}
