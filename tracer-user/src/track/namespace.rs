//! The namespace of events that do not tell theirs: the classic tracepoint has no field for it.
//!
//! Concluded only from what leaves no choice: the socket is tracked, its tuple is tracked in one namespace alone, or in
//! one alone somebody listens there. Otherwise it stays 0, which is no namespace, until a snapshot tells.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::{Tracker, connection::TupleKey, is_nameless, slot};
use crate::event::{Role, SocketEvent};

impl Tracker {
    /// The event with the namespace it happened in, as far as that can be told.
    pub(super) fn with_namespace(&mut self, event: &SocketEvent) -> SocketEvent {
        let netns = self.namespace_of(event).unwrap_or_default();
        self.blind |= netns == 0;
        SocketEvent { netns, ..*event }
    }

    fn namespace_of(&self, event: &SocketEvent) -> Option<u32> {
        self.by_socket_of(event)
            .or_else(|| {
                one(self
                    .candidates(event)
                    .filter(|netns| self.has_tuple(*netns, event)))
            })
            .or_else(|| {
                let served = served(event)?;
                one(self
                    .candidates(event)
                    .filter(|netns| self.listeners.any(*netns, served)))
            })
    }

    /// Where the socket itself is tracked.
    fn by_socket_of(&self, event: &SocketEvent) -> Option<u32> {
        let same = |first_seen_ns: u64| event.id.first_seen_ns == first_seen_ns;
        if let Some(listener) = self.listeners.get(event.id.address) {
            return Some(listener.end.netns).filter(|_| same(listener.end.id.first_seen_ns));
        }
        let place = self.by_socket.get(&event.id.address)?;
        let connection = self.connections.get(&place.connection)?;
        let end = if place.is_source {
            connection.source
        } else {
            connection.destination
        };
        end.map(|end| end.netns)
            .filter(|netns| *netns != 0 && same(place.first_seen_ns))
    }

    /// Namespaces in which anything listens on a port of the event's.
    fn candidates(&self, event: &SocketEvent) -> impl Iterator<Item = u32> {
        let of = |port| self.listeners.namespaces(port).iter().copied();
        of(event.local.port())
            .chain(of(event.remote.port()))
            .filter(|netns| *netns != 0)
    }

    /// Whether a connection with the tuple of the event, by either direction, is tracked in that namespace.
    fn has_tuple(&self, netns: u32, event: &SocketEvent) -> bool {
        [(event.local, event.remote), (event.remote, event.local)]
            .into_iter()
            .map(|(source, destination)| TupleKey::new(netns, source, destination))
            .any(|key| key.is_scoped() && self.by_tuple.contains(&key))
    }

    /// The connection of a tuple whose namespace is not known.
    pub(super) fn unscoped(&self, key: &TupleKey) -> Option<u64> {
        let may_be = self.blind && key.is_scoped();
        may_be.then(|| self.by_tuple.of(&key.unscoped()).next())?
    }

    /// A new end on one side of a tuple tells the namespace of the connection that waits for it without knowing its own.
    pub(super) fn scope(&mut self, key: TupleKey, is_source: bool) {
        let Some(id) = self.unscoped(&key) else {
            return;
        };
        let waits = self
            .connections
            .get_mut(&id)
            .is_some_and(|found| slot(found, is_source).is_none_or(|end| is_nameless(end.id.address)));
        if waits && !self.by_tuple.contains(&key) {
            self.by_tuple.remove(&key.unscoped(), id);
            self.by_tuple.insert(key, id);
        }
    }
}

/// An address on which somebody listens in the event's own namespace.
fn served(event: &SocketEvent) -> Option<SocketAddr> {
    match event.role {
        Role::Passive => Some(event.local),
        Role::Active => TupleKey::stays(event.local, event.remote).then_some(event.remote),
        Role::Listener | Role::Unknown => None,
    }
}

/// What all of them are, if there is any.
fn one(mut all: impl Iterator<Item = u32>) -> Option<u32> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Comm, Owner, SocketId, TcpState, What},
        track::{Change, Connection},
    };

    /// Of source and destination, where the end is here.
    type Namespaces = (Option<u32>, Option<u32>);

    const A: u32 = 4_026_531_001;
    const B: u32 = 4_026_531_002;
    const KERNEL: u64 = 0xffff_8880_0000_0000;

    fn event(what: What, role: Role, socket: u64, netns: u32, local: &str, remote: &str) -> SocketEvent {
        SocketEvent {
            what,
            at_ns: 10,
            id: SocketId {
                address: if socket == 0 { 0 } else { KERNEL + socket },
                first_seen_ns: socket,
            },
            owner: (netns != 0).then(|| Owner {
                tgid: netns - A + 1,
                tid: netns - A + 1,
                uid: 0,
                cgroup_id: 0,
                comm: Comm([0; 16]),
            }),
            netns,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            role,
            found: false,
            state: TcpState::Established,
            family_v6: false,
            errno: None,
            counters: None,
            fd: 0,
            ifindex: 0,
            mptcp: 0,
            owner_closed_it: false,
        }
    }

    fn listening(socket: u64, netns: u32, local: &str) -> SocketEvent {
        event(What::Listening, Role::Listener, socket, netns, local, "0.0.0.0:0")
    }

    /// What is left of `events`, after a first snapshot of nothing.
    fn tracked(events: &[SocketEvent]) -> Tracker {
        let mut tracker = Tracker::new(100);
        tracker.snapshot_begin(1);
        tracker.snapshot_end(2, true);
        for event in events {
            tracker.event(event);
        }
        tracker
    }

    fn namespaces(connection: &Connection) -> Namespaces {
        (
            connection.source.map(|end| end.netns),
            connection.destination.map(|end| end.netns),
        )
    }

    #[test]
    fn a_passive_end_is_where_only_it_can_be() {
        let (client, server) = ("127.0.0.1:4000", "127.0.0.1:80");
        let active = |socket, netns| event(What::Opened, Role::Active, socket, netns, client, server);
        let passive = event(What::Opened, Role::Passive, 8, 0, server, client);
        let both = [listening(1, A, "0.0.0.0:80"), listening(2, B, "127.0.0.1:80")];
        let cases: &[(&str, Vec<SocketEvent>, &[Namespaces])] = &[
            ("one listener", vec![both[0], passive], &[(None, Some(A))]),
            (
                "two listeners",
                vec![both[0], both[1], passive],
                &[(None, Some(0))],
            ),
            (
                "two listeners, and the other end",
                vec![both[0], both[1], active(7, B), passive],
                &[(Some(B), Some(B))],
            ),
            (
                "two listeners, and the other end later",
                vec![both[0], both[1], passive, active(7, B)],
                &[(Some(B), Some(0))],
            ),
            (
                "the same tuple in two namespaces",
                vec![both[0], both[1], active(6, A), active(7, B), passive],
                &[(Some(A), None), (Some(B), None), (None, Some(0))],
            ),
            ("nobody listens", vec![passive], &[(None, Some(0))]),
        ];
        for (case, events, wanted) in cases {
            let tracker = tracked(events);
            let found: Vec<_> = tracker.connections().map(|one| namespaces(&one)).collect();
            assert_eq!(found, *wanted, "{case}");
        }
    }

    #[test]
    fn a_process_that_is_gone_dialled_in_the_namespace_of_who_listens() {
        let listener = listening(1, A, "127.0.0.1:80");
        let active = event(What::Opened, Role::Active, 7, 0, "127.0.0.1:4000", "127.0.0.1:80");
        let tracker = tracked(&[listener, active]);
        assert_eq!(
            tracker.connections().map(|one| namespaces(&one)).next(),
            Some((Some(A), None))
        );
        let elsewhere = event(What::Opened, Role::Active, 7, 0, "10.0.0.1:4000", "10.0.0.2:80");
        let tracker = tracked(&[listening(1, A, "0.0.0.0:80"), elsewhere]);
        assert_eq!(
            tracker.connections().map(|one| namespaces(&one)).next(),
            Some((Some(0), None)),
            "an address of another namespace may be meant"
        );
    }

    #[test]
    fn a_snapshot_tells_the_namespace_of_an_end_and_its_closing_leaves_nothing() {
        let passive = event(
            What::Opened,
            Role::Passive,
            8,
            0,
            "127.0.0.1:80",
            "127.0.0.1:4000",
        );
        let mut tracker = tracked(&[passive]);
        tracker.snapshot_begin(20);
        let row = SocketEvent {
            found: true,
            ..event(What::Seen, Role::Unknown, 0, A, "127.0.0.1:80", "127.0.0.1:4000")
        };
        tracker.event(&row);
        tracker.snapshot_end(21, true);
        let found: Vec<_> = tracker.connections().map(|one| namespaces(&one)).collect();
        assert_eq!(found, [(None, Some(A))], "the row is of the same socket");
        tracker.event(&SocketEvent {
            what: What::Closed,
            ..passive
        });
        tracker.tick(u64::MAX);
        assert_eq!(tracker.connections().count(), 0);
        assert!(tracker.by_tuple.is_empty());
    }

    #[test]
    fn an_old_connection_that_ends_is_found_by_its_tuple() {
        let mut tracker = Tracker::new(100);
        tracker.snapshot_begin(1);
        for row in [
            SocketEvent {
                state: TcpState::Listen,
                found: true,
                ..event(What::Seen, Role::Listener, 0, A, "127.0.0.1:80", "0.0.0.0:0")
            },
            SocketEvent {
                found: true,
                ..event(What::Seen, Role::Unknown, 0, A, "127.0.0.1:4000", "127.0.0.1:80")
            },
        ] {
            tracker.event(&row);
        }
        tracker.snapshot_end(2, true);
        let mut closed = event(
            What::Closed,
            Role::Unknown,
            7,
            0,
            "127.0.0.1:4000",
            "127.0.0.1:80",
        );
        closed.id.first_seen_ns = 0;
        tracker.event(&closed);
        tracker.tick(u64::MAX);
        let mut changes = Vec::new();
        tracker.take_changes(&mut changes);
        let owned = |change: &Change| matches!(change, Change::Closed(connection) if connection.source.is_some_and(|end| end.owner.is_some()));
        assert_eq!(
            changes.iter().filter(|change| owned(change)).count(),
            1,
            "{changes:?}"
        );
        assert_eq!(tracker.connections().count(), 0);
    }
}
