//! Joins the ends of translated connections: each calls its connection by other addresses.
//!
//! A translated connection is found by the addresses of either end. News of translations and of sockets come in any order; a
//! translation is applied only to sockets whose lives fit its time.
#![forbid(unsafe_code)]

pub(super) mod table;
mod views;

use std::net::SocketAddr;

use super::{End, Tracker, connection::TupleKey};
use crate::{event::SocketEvent, signal::nat::NatFacts};
use views::{born_ns, meet, scope, view};

/// How late a translation may be learnt after the connection was opened, where an older one is known.
const LATE_NS: u64 = 2_000_000_000;

impl Tracker {
    /// A translation came or went.
    pub fn nat(&mut self, facts: &NatFacts) {
        if facts.gone {
            self.nat.gone(facts);
            return;
        }
        if !self.nat.learn(facts) {
            return;
        }
        self.audit.translations_forgotten = self.nat.forgotten();
        let client = self.waiting_for(facts, true);
        let server = self.waiting_for(facts, false);
        match (client, server) {
            (Some(client), Some(server)) if client == server => {}
            (Some(client), Some(server)) => {
                let ends = (self.end_of(client, true), self.end_of(server, false));
                if let (Some(near), Some(far)) = ends
                    && meet(&near, &far)
                {
                    self.merge(client, server, facts);
                }
            }
            (Some(id), None) => self.translate_half(id, facts, true),
            (None, Some(id)) => self.translate_half(id, facts, false),
            (None, None) => {}
        }
    }

    fn end_of(&self, id: u64, is_source: bool) -> Option<End> {
        self.connections
            .get(&id)
            .and_then(|one| if is_source { one.source } else { one.destination })
    }

    /// The connection that has only this end of a translation's, if their times fit.
    fn waiting_for(&self, facts: &NatFacts, is_source: bool) -> Option<u64> {
        let (source, destination) = view(facts, is_source);
        let scopes = [facts.netns, 0];
        let mut keys = scopes
            .map(|netns| TupleKey::new(netns, source, destination))
            .into_iter();
        let mut found = keys.find_map(|key| self.by_tuple.get(&key).copied());
        if found.is_none() && TupleKey::stays(source, destination) {
            // A pod that reaches itself by a service: the host translates, the tuple stays in the pod.
            let other = view(facts, !is_source);
            found = self.half_elsewhere(other, !is_source, (source, destination));
        }
        let id = found?;
        let one = self.connections.get(&id)?;
        if one.is_joined() || one.view(is_source) != (source, destination) {
            return None;
        }
        let end = self.end_of(id, is_source)?;
        let born_ns = end.born_ns();
        let young = match (is_source, one.translated) {
            // A translation comes into being by the first packet.
            (true, _) => born_ns <= facts.at_ns,
            (false, None) => true,
            (false, Some(_older)) => facts.at_ns <= born_ns.saturating_add(LATE_NS),
        };
        let ended = end
            .ended
            .is_some_and(|ended| facts.at_ns > ended.at_ns.saturating_add(LATE_NS));
        (young && !ended).then_some(id)
    }

    /// The connection of a tuple that stays in the namespace of the socket which has the other view of it.
    fn half_elsewhere(
        &self,
        other: (SocketAddr, SocketAddr),
        other_is_source: bool,
        tuple: (SocketAddr, SocketAddr),
    ) -> Option<u64> {
        let other = self.by_tuple.get(&TupleKey::new(0, other.0, other.1)).copied()?;
        let netns = self.end_of(other, other_is_source)?.netns;
        self.by_tuple
            .get(&TupleKey::new(netns, tuple.0, tuple.1))
            .copied()
    }

    /// The connection that has the tuple of a new end, unless it has it only by a translation that is not this end's.
    pub(super) fn by_own_tuple(
        &mut self,
        key: TupleKey,
        event: &SocketEvent,
        end: &End,
        is_source: bool,
    ) -> Option<u64> {
        let id = self.by_tuple.get(&key).copied()?;
        let one = self.connections.get(&id)?;
        let Some(translated) = one.translated else {
            return Some(id);
        };
        let (this, other) = if is_source {
            (one.source, one.destination)
        } else {
            (one.destination, one.source)
        };
        if one.view(is_source) == (key.source, key.destination) {
            let Some(other) = other.filter(|_| this.is_none()) else {
                return Some(id);
            };
            let (client, server) = if is_source { (end, &other) } else { (&other, end) };
            let fits = client.born_ns() <= translated.at_ns && meet(client, server);
            return fits.then_some(id);
        }
        // Not the addresses this end should have: either there is no translation, or another connection's.
        if this.is_none() && self.translation_of(event, is_source).is_none() {
            self.untranslate(id);
            return Some(id);
        }
        None
    }

    /// The translation of the connection of a new end.
    pub(super) fn translation_of(&self, event: &SocketEvent, is_source: bool) -> Option<NatFacts> {
        let (local, remote, born_ns) = (event.local, event.remote, born_ns(event));
        let found = if is_source {
            self.nat.of_client(local, remote, born_ns)
        } else {
            self.nat.of_server(local, remote, born_ns)
        };
        // A loopback address never leaves its namespace.
        let elsewhere = |facts: &NatFacts| {
            let local_only = local.ip().is_loopback() || remote.ip().is_loopback();
            local_only && facts.netns != event.netns && facts.netns != 0 && event.netns != 0
        };
        // What was learnt long after is of a later connection, by the same port.
        let later = |facts: &NatFacts| !event.found && facts.at_ns > event.at_ns.saturating_add(LATE_NS);
        found.filter(|facts| !elsewhere(facts) && !later(facts))
    }

    /// The connection of whose other end a translation tells that it is this new end's, now with this end's tuple.
    pub(super) fn by_translation(
        &mut self,
        key: TupleKey,
        facts: &NatFacts,
        end: &End,
        is_source: bool,
    ) -> Option<u64> {
        let (source, destination) = view(facts, !is_source);
        let netns = scope(facts, end.netns, (source, destination));
        let id = self
            .by_tuple
            .get(&TupleKey::new(netns, source, destination))
            .copied()?;
        let one = self.connections.get(&id)?;
        if one.is_joined() || one.view(!is_source) != (source, destination) {
            return None;
        }
        let other = self.end_of(id, !is_source)?;
        let (client, server) = if is_source { (end, &other) } else { (&other, end) };
        let fits = client.born_ns() <= facts.at_ns && meet(client, server);
        if !fits {
            return None;
        }
        self.translate(id, facts, key);
        Some(id)
    }

    /// Applies a translation to a connection of which one end is known.
    pub(super) fn translate_half(&mut self, id: u64, facts: &NatFacts, is_source: bool) {
        let Some(end) = self.end_of(id, is_source) else {
            return;
        };
        let other = view(facts, !is_source);
        let netns = scope(facts, end.netns, other);
        let key = TupleKey::new(netns, other.0, other.1);
        if !self.is_taken(key, id, facts, !is_source) {
            self.translate(id, facts, key);
        }
    }

    /// Applies a translation, and lets the connection be found by `key` too.
    fn translate(&mut self, id: u64, facts: &NatFacts, key: TupleKey) {
        self.untranslate(id);
        if let Some(one) = self.connections.get_mut(&id) {
            one.translate(facts);
            self.by_tuple.insert(key, id);
        }
    }

    /// Whether the key of an end that has not been seen belongs to another connection: one that has this end, or of
    /// which a younger translation says so.
    fn is_taken(&self, key: TupleKey, id: u64, facts: &NatFacts, is_source: bool) -> bool {
        let Some(other) = self.by_tuple.get(&key).filter(|other| **other != id) else {
            return false;
        };
        let translated = self.connections.get(other).and_then(|one| one.translated);
        self.end_of(*other, is_source).is_some()
            || translated.is_none_or(|translated| translated.at_ns > facts.at_ns)
    }

    /// Takes a translation back: the connection is what its only end says.
    fn untranslate(&mut self, id: u64) {
        let Some(one) = self.connections.get_mut(&id) else {
            return;
        };
        if one.translated.is_none() {
            return;
        }
        let is_source = one.source.is_some();
        let (own, other) = (one.view(is_source), one.view(!is_source));
        let names = one.scopes();
        (one.source_addr, one.destination_addr) = own;
        (one.translated, one.via) = (None, None);
        for netns in names {
            let key = TupleKey::new(netns, other.0, other.1);
            if own != other && self.by_tuple.get(&key) == Some(&id) {
                self.by_tuple.remove(&key);
            }
        }
    }

    /// Two that were told apart are one. The one known first stays.
    fn merge(&mut self, client: u64, server: u64, facts: &NatFacts) {
        let (kept, dropped) = (client.min(server), client.max(server));
        for id in [kept, dropped] {
            self.untranslate(id);
        }
        let Some(other) = self.connections.remove(&dropped) else {
            return;
        };
        for key in other.keys() {
            if self.by_tuple.get(&key) == Some(&dropped) {
                self.by_tuple.insert(key, kept);
            }
        }
        for end in other.ends() {
            if let Some(place) = self.by_socket.get_mut(&end.id.address)
                && place.connection == dropped
            {
                place.connection = kept;
            }
        }
        if let Some(one) = self.connections.get_mut(&kept) {
            one.absorb(&other);
            one.translate(facts);
        }
        self.settle(kept, false);
    }
}
