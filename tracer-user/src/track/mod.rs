//! Sockets to connections: joins both ends, keeps what is alive, tells what changed.
//!
//! Pure: time comes with the events. Memory is bounded; what does not fit is counted.
#![forbid(unsafe_code)]

mod connection;
mod crowds;
mod events;
mod fit;
mod join;
mod listeners;
mod mptcp;
mod namespace;
mod nat;
mod settle;
mod snapshot;
#[cfg(test)]
pub(crate) mod tests;
mod tuples;

use std::{collections::VecDeque, net::SocketAddr};

use connection::Told;
pub use connection::{Connection, End, Ended, OwnerBy};
pub use crowds::Member;
pub use listeners::Listener;
use listeners::Listeners;

use crate::{
    event::{SocketEvent, What},
    hash::IdMap,
};

/// How long the second end of a connection may lag behind the first. Both ends of a local connection change within
/// microseconds of each other; their records may be told apart by a scheduling delay.
const JOIN_NS: u64 = 100_000_000;

/// The same where addresses are translated: the other end may be known only by news of the translation, which come from a
/// thread of their own.
const JOIN_TRANSLATED_NS: u64 = 500_000_000;

/// How much earlier one end may be told to have ended than the other to have opened, where both changed at once.
const REORDERED_NS: u64 = 100_000;

/// Changes held back until the first snapshot is over; more are told without.
const HELD_MAX: usize = 1 << 16;

/// Live connections kept whatever is asked for: the largest socket table.
const CONNECTIONS_MOST: usize = 1 << 24;

/// Something changed. Each connection is told of once, with both ends as far as they are known by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Established.
    Opened(Connection),
    /// Taken by `accept`.
    Accepted(Connection),
    /// A connect failed; it has only a source.
    Failed(Connection),
    /// Ended; perhaps one end still lingers.
    Closed(Connection),
    /// Nothing of it is left: add it up.
    Finished(Connection),
    /// A socket began to listen.
    ListenerOpened(Listener),
    /// A socket stopped listening.
    ListenerClosed(Listener),
}

/// Sums the tracker keeps about its own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Complete snapshots merged.
    pub snapshots: u64,
    /// Sockets a snapshot found though their opening had been missed.
    pub missed: u64,
    /// Ends removed because a snapshot showed that their end had been missed.
    pub ghosts: u64,
    /// Sockets that snapshots after the first confirmed.
    pub confirmed: u64,
    /// Sockets not tracked because a limit was reached.
    pub overflow: u64,
    /// Translations forgotten though they were in use, because there were too many.
    pub translations_forgotten: u64,
    /// Ends that were not joined because several in other namespaces could be the other one.
    pub ambiguous: u64,
}

/// Which end of which connection a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    connection: u64,
    is_source: bool,
    first_seen_ns: u64,
}

/// Everything that is alive.
#[derive(Debug)]
pub struct Tracker {
    connections: IdMap<u64, Connection>,
    next_connection: u64,
    /// Last number given to a socket whose kernel address nobody could see.
    next_nameless: u64,
    by_socket: IdMap<u64, Place>,
    by_tuple: tuples::Tuples,
    listeners: Listeners,
    crowds: crowds::Crowds,
    mptcp: mptcp::Groups,
    nat: nat::table::Table,
    /// Connections that wait for their other end, by the time at which they stop waiting.
    waiting: VecDeque<(u64, u64)>,
    changes: Vec<Change>,
    audit: Audit,
    snapshot: snapshot::Progress,
    attached_ns: u64,
    max_connections: usize,
    /// Some event did not tell its namespace, nor could it be found.
    blind: bool,
}

impl Tracker {
    /// A tracker that keeps at most `max_connections` live connections.
    pub fn new(max_connections: usize) -> Self {
        Self {
            connections: IdMap::default(),
            next_connection: 1,
            next_nameless: 0,
            by_socket: IdMap::default(),
            by_tuple: tuples::Tuples::default(),
            listeners: Listeners::default(),
            crowds: crowds::Crowds::default(),
            mptcp: mptcp::Groups::default(),
            nat: nat::table::Table::default(),
            waiting: VecDeque::new(),
            changes: Vec::new(),
            audit: Audit::default(),
            snapshot: snapshot::Progress::default(),
            attached_ns: 0,
            max_connections,
            blind: false,
        }
    }

    /// The programs were attached at `at_ns`: what is older could not be seen to open.
    pub const fn attached(&mut self, at_ns: u64) {
        self.attached_ns = at_ns;
    }

    /// Keeps at least `connections` live connections, as many as there can be sockets.
    pub fn make_room(&mut self, connections: usize) {
        self.max_connections = self.max_connections.max(connections.min(CONNECTIONS_MOST));
    }

    /// Takes what changed since the last call; the buffer given is reused. Nothing until the first snapshot is over:
    /// before, nobody knows who listens, and so who accepts.
    pub fn take_changes(&mut self, into: &mut Vec<Change>) {
        into.clear();
        if self.snapshot.begun() || self.changes.len() >= HELD_MAX {
            std::mem::swap(&mut self.changes, into);
        }
    }

    /// Connections, in the order of their coming to be known, each with all its subflows.
    pub fn connections(&self) -> impl Iterator<Item = Connection> {
        let parts = |id: &u64| self.mptcp.part(*id).is_some();
        let mut all: Vec<_> = self.connections.iter().filter(|(id, _)| !parts(id)).collect();
        all.sort_unstable_by_key(|(id, _)| **id);
        all.into_iter().map(|(id, first)| self.whole(*id, first))
    }

    /// Listening sockets, in no order.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().map(|(_, listener)| listener)
    }

    /// Who takes connections to `address` in `netns`.
    pub fn serving(&self, netns: u32, address: SocketAddr) -> Option<&Listener> {
        self.listeners.serving(netns, address)
    }

    /// Sums about the tracker's own work.
    pub const fn audit(&self) -> Audit {
        self.audit
    }

    /// Something happened to a socket.
    pub fn event(&mut self, event: &SocketEvent) {
        self.tick(event.at_ns);
        let named;
        let event = if event.netns == 0 {
            named = self.with_namespace(event);
            &named
        } else {
            event
        };
        match event.what {
            What::Opened => self.opened(event),
            What::Accepted => self.accepted(event),
            What::Failed => self.failed(event),
            What::Closed => self.closed(event),
            What::Listening => self.listening(event),
            What::Unlistened => self.unlistened(event),
            What::Seen => self.seen(event),
        }
    }

    /// The clock reached `now_ns`: what waited long enough for its other end goes on without.
    pub fn tick(&mut self, now_ns: u64) {
        self.nat.expire(now_ns);
        while let Some((until_ns, id)) = self.waiting.front().copied() {
            if until_ns > now_ns {
                return;
            }
            self.waiting.pop_front();
            // A later change has made it wait anew: that entry is further back.
            if self
                .connections
                .get(&id)
                .is_some_and(|connection| connection.waits_until_ns <= until_ns)
            {
                self.join_elsewhere(id);
                self.settle(id, true);
            }
        }
    }
}

/// Whether a socket's address is a number of the tracker's own, or none: kernel addresses are in the upper half.
const fn is_nameless(address: u64) -> bool {
    address <= u32::MAX as u64
}

const fn slot(connection: &mut Connection, is_source: bool) -> &mut Option<End> {
    if is_source {
        &mut connection.source
    } else {
        &mut connection.destination
    }
}
