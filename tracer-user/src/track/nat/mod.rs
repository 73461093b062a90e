//! Joins the ends of translated connections: each calls its connection by other addresses.
//!
//! A translated connection is found by the addresses of either end. News of translations and of sockets come in any order; a
//! translation is applied only to sockets whose lives fit its time.
#![forbid(unsafe_code)]

pub(super) mod table;
pub(super) mod views;

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
        let fits = |id: &u64| self.may_be_of(*id, facts, is_source);
        for netns in [facts.netns, 0] {
            let key = TupleKey::new(netns, source, destination);
            if let Some(id) = self.only(key, facts.netns, is_source, fits) {
                return Some(id);
            }
        }
        if !TupleKey::stays(source, destination) {
            return None;
        }
        // A pod that reaches itself by a service: the host translates, the tuple stays in the pod.
        let (other_source, other_destination) = view(facts, !is_source);
        let mut others = self
            .by_tuple
            .of(&TupleKey::new(0, other_source, other_destination));
        others.find_map(|other| {
            let netns = self.end_of(other, !is_source)?.netns;
            let key = TupleKey::new(netns, source, destination);
            self.by_tuple.of(&key).find(fits)
        })
    }

    /// The only connection with that tuple that fits; of several the only one with its end in `netns`.
    fn only(&self, key: TupleKey, netns: u32, is_source: bool, fits: impl Fn(&u64) -> bool) -> Option<u64> {
        let mut all = self.by_tuple.of(&key).filter(&fits);
        let first = all.next()?;
        if all.next().is_none() {
            return Some(first);
        }
        let here = |id: &u64| self.end_of(*id, is_source).is_some_and(|end| end.netns == netns);
        let mut here = self.by_tuple.of(&key).filter(fits).filter(here);
        here.next().filter(|_| here.next().is_none())
    }

    /// Whether that connection has only this end of a translation's, and their times fit.
    fn may_be_of(&self, id: u64, facts: &NatFacts, is_source: bool) -> bool {
        let view = view(facts, is_source);
        let Some(one) = self.connections.get(&id) else {
            return false;
        };
        let Some(end) = self.end_of(id, is_source) else {
            return false;
        };
        if one.is_joined() || one.view(is_source) != view {
            return false;
        }
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
        young && !ended
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
        let fits = |id: &u64| {
            let Some(one) = self.connections.get(id) else {
                return false;
            };
            let Some(other) = self.end_of(*id, !is_source) else {
                return false;
            };
            let (client, server) = if is_source { (end, &other) } else { (&other, end) };
            !one.is_joined()
                && one.view(!is_source) == (source, destination)
                && client.born_ns() <= facts.at_ns
                && meet(client, server)
        };
        let other = TupleKey::new(netns, source, destination);
        let id = self.only(other, facts.netns, !is_source, fits)?;
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
        let mut others = self.by_tuple.of(&key).filter(|other| *other != id);
        others.any(|other| {
            let translated = self.connections.get(&other).and_then(|one| one.translated);
            self.end_of(other, is_source).is_some()
                || translated.is_none_or(|translated| translated.at_ns > facts.at_ns)
        })
    }

    /// Takes a translation back: the connection is what its only end says.
    pub(super) fn untranslate(&mut self, id: u64) {
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
            if own != other {
                self.by_tuple.remove(&key, id);
            }
        }
    }

    /// Two that were told apart are one, by a translation.
    fn merge(&mut self, client: u64, server: u64, facts: &NatFacts) {
        for id in [client, server] {
            self.untranslate(id);
        }
        let kept = self.unite(client, server);
        if let Some(one) = self.connections.get_mut(&kept) {
            one.translate(facts);
        }
        self.settle(kept, false);
    }
}
