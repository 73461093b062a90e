//! Which connection a socket belongs to, and which end of it: by its identity, else by its tuple.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::{
    Connection, End, OwnerBy, Place, REORDERED_NS, Told, Tracker, connection::TupleKey, is_nameless, slot,
};
use crate::event::{SocketEvent, What};

impl Tracker {
    /// Where the socket of `event` is tracked. Another socket at the same address has ended unseen.
    pub(super) fn place_of(&mut self, event: &SocketEvent) -> Option<Place> {
        let Some(place) = self.by_socket.get(&event.id.address).copied() else {
            return self.place_by_tuple(event);
        };
        let first_seen_ns = event.id.first_seen_ns;
        if first_seen_ns == 0 && event.at_ns < place.first_seen_ns {
            return None;
        }
        if first_seen_ns == 0 || place.first_seen_ns == 0 || first_seen_ns == place.first_seen_ns {
            return Some(place);
        }
        // Of an older socket, news come late: what is tracked is younger and stays.
        if first_seen_ns > place.first_seen_ns {
            self.end_unseen(event.id.address, event.at_ns);
        }
        None
    }

    /// Where a socket is tracked when one of the two sources of it, the event or the tracked end, could not see the
    /// kernel's address: the same tuple on the same side is the same socket.
    pub(super) fn place_by_tuple(&self, event: &SocketEvent) -> Option<Place> {
        for is_source in [true, false] {
            let (source, destination) = oriented(event, is_source);
            let key = TupleKey::new(event.netns, source, destination);
            let same = |end: &&End| {
                let known = end.netns != 0 && event.netns != 0;
                let here = end.netns == event.netns;
                let on_two_links = end.ifindex != 0 && event.ifindex != 0 && end.ifindex != event.ifindex;
                (here || !known)
                    && !on_two_links
                    && (is_nameless(event.id.address) || is_nameless(end.id.address))
            };
            let end = self
                .by_tuple
                .of(&key)
                .chain(self.unscoped(&key))
                .filter_map(|id| self.connections.get(&id))
                .filter_map(|found| {
                    if is_source {
                        found.source.as_ref()
                    } else {
                        found.destination.as_ref()
                    }
                })
                .find(same);
            if let Some(end) = end {
                return self.by_socket.get(&end.id.address).copied();
            }
        }
        None
    }

    /// The connection of the socket of `event`, and whether it is the source, with that end up to date; made if it is new.
    pub(super) fn join(&mut self, event: &SocketEvent, is_source: bool) -> Option<(u64, bool)> {
        let seen_in = self.snapshot.number();
        if let Some(place) = self.place_of(event) {
            let connection = self.connections.get_mut(&place.connection)?;
            connection.last_ns = connection.last_ns.max(event.at_ns);
            if let Some(end) = slot(connection, place.is_source) {
                update(end, event);
            }
            self.group(place.connection, place.is_source, event.mptcp);
            return Some((place.connection, place.is_source));
        }
        let is_source = is_source && !self.is_crossing(event);
        let (source, destination) = oriented(event, is_source);
        let key = TupleKey::new(event.netns, source, destination);
        self.scope(key, is_source);
        let mut end = End::new(event, seen_in);
        let mut known = self.by_own_tuple(key, event, &end, is_source);
        let translation = known.map_or_else(|| self.translation_of(event, is_source), |_id| None);
        if let Some(facts) = &translation {
            known = self.by_translation(key, facts, &end, is_source);
        }
        let (id, is_new) = match known {
            Some(id) => (id, false),
            None => (self.make(key, event.at_ns)?, true),
        };
        if end.id.address == 0 {
            self.next_nameless += 1;
            end.id.address = self.next_nameless;
        }
        if !is_source && end.owner.is_none() {
            // Who listens takes the connection, until `accept` or a file table says otherwise.
            self.by_listeners(&mut end, event);
        }
        let connection = self.connections.get_mut(&id)?;
        connection.first_ns = connection.first_ns.min(event.at_ns);
        connection.last_ns = connection.last_ns.max(event.at_ns);
        *slot(connection, is_source) = Some(end);
        if is_new && let Some(facts) = &translation {
            self.translate_half(id, facts, is_source);
        }
        let place = Place {
            connection: id,
            is_source,
            first_seen_ns: event.id.first_seen_ns,
        };
        let newest = self
            .by_socket
            .get(&end.id.address)
            .is_none_or(|other| other.first_seen_ns <= place.first_seen_ns);
        if newest {
            self.by_socket.insert(end.id.address, place);
        }
        self.group(id, is_source, event.mptcp);
        Some((id, is_source))
    }

    /// Whether both ends connected to each other at once (RFC 9293, figure 7), and the other one is known already: then
    /// that one is the source, and `event` tells of the destination.
    pub(super) fn is_crossing(&self, event: &SocketEvent) -> bool {
        let key = TupleKey::new(event.netns, event.remote, event.local);
        let mut others = self.by_tuple.of(&key).filter_map(|id| self.connections.get(&id));
        others.any(|other| {
            // Through a translation nobody connects to whom he is connected by.
            other.destination.is_none()
                && other.translated.is_none()
                && other.source.as_ref().is_some_and(End::is_alive)
        })
    }

    /// A new connection, which waits for its other end.
    pub(super) fn make(&mut self, key: TupleKey, at_ns: u64) -> Option<u64> {
        if self.connections.len() >= self.max_connections {
            self.audit.overflow += 1;
            return None;
        }
        let id = self.next_connection;
        self.next_connection += 1;
        let waits_until_ns = at_ns.saturating_add(self.join_ns());
        self.connections.insert(
            id,
            Connection {
                source_addr: key.source,
                destination_addr: key.destination,
                via: None,
                source: None,
                destination: None,
                first_ns: at_ns,
                last_ns: at_ns,
                opened_ns: None,
                accepted_ns: None,
                direction_guessed: false,
                ambiguous: false,
                subflows: 0,
                translated: None,
                told: Told::default(),
                waits_until_ns,
            },
        );
        self.by_tuple.insert(key, id);
        self.waiting.push_back((waits_until_ns, id));
        Some(id)
    }

    /// Which end a socket is whose role nobody saw: what listens accepts, and a tracked other end or a translation tells;
    /// else the end with the port from the ephemeral range connected.
    pub(super) fn guess_is_source(&self, event: &SocketEvent) -> bool {
        if self.listeners.any(event.netns, event.local) {
            return false;
        }
        if let Some(is_source) = self.tracked_side(event) {
            return is_source;
        }
        if self.translation_of(event, true).is_some() {
            return true;
        }
        if self.translation_of(event, false).is_some() {
            return false;
        }
        self.listeners.any(event.netns, event.remote) || event.local.port() >= event.remote.port()
    }
}

/// Source and destination of an event.
pub(super) const fn oriented(event: &SocketEvent, is_source: bool) -> (SocketAddr, SocketAddr) {
    if is_source {
        (event.local, event.remote)
    } else {
        (event.remote, event.local)
    }
}

/// Whether the socket of `event` came into being after `other` had ended.
pub(super) fn is_after(event: &SocketEvent, other: Option<&End>) -> bool {
    let ended = other.and_then(|end| end.ended).filter(|_| !event.found);
    ended.is_some_and(|ended| event.id.first_seen_ns > ended.at_ns.saturating_add(REORDERED_NS))
}

/// What a later event of the same socket adds.
pub(super) fn update(end: &mut End, event: &SocketEvent) {
    if event.counters.is_some() && !matches!(event.what, What::Opened) {
        end.counters = event.counters;
    }
    // The end of a socket tells again who had it first; who was seen to hold it since knows better.
    let known = end.owner.is_some_and(|(_, by)| by != OwnerBy::Listener);
    let repeats = matches!(event.what, What::Closed) && known;
    if let Some(owner) = event.owner
        && !repeats
        && !matches!(event.what, What::Seen)
    {
        if end.owner.is_none_or(|(known, _)| known.tgid != owner.tgid) {
            end.owner_ns = event.owner_ns();
        }
        end.owner = Some((owner, OwnerBy::of(event)));
    }
    if matches!(event.what, What::Seen | What::Accepted) {
        end.state = event.state;
    }
    if end.netns == 0 {
        end.netns = event.netns;
    }
}
