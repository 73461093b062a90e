//! What each end of a translated connection calls it, and when two ends can be of one.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use crate::{
    event::SocketEvent,
    signal::nat::NatFacts,
    track::{
        Connection, End, REORDERED_NS,
        connection::{Translated, TupleKey},
    },
};

impl Connection {
    /// What that end calls the connection: its source and destination.
    pub(in crate::track) fn view(&self, is_source: bool) -> (SocketAddr, SocketAddr) {
        match self.translated {
            Some(_) if is_source => (self.source_addr, self.via.unwrap_or(self.destination_addr)),
            Some(translated) => (translated.client, self.destination_addr),
            None => (self.source_addr, self.destination_addr),
        }
    }

    /// Namespaces by which its tuples may be known.
    pub(super) fn scopes(&self) -> [u32; 4] {
        let of = |end: &Option<End>| end.map(|end| end.netns).unwrap_or_default();
        let table = self.translated.map(|translated| translated.netns);
        [
            of(&self.source),
            of(&self.destination),
            table.unwrap_or_default(),
            0,
        ]
    }

    /// All keys by which it may be known.
    pub(in crate::track) fn keys(&self) -> impl Iterator<Item = TupleKey> + use<> {
        let (scopes, views) = (self.scopes(), [self.view(true), self.view(false)]);
        let views = views
            .into_iter()
            .take(if self.translated.is_some() { 2 } else { 1 });
        views.flat_map(move |(source, destination)| {
            scopes.map(|netns| TupleKey::new(netns, source, destination))
        })
    }

    /// Takes a translation's addresses: the source as the client has it, the destination as the server has it.
    pub(in crate::track) fn translate(&mut self, facts: &NatFacts) {
        self.source_addr = facts.original_source;
        self.destination_addr = facts.reply_source;
        self.via = (facts.original_destination != facts.reply_source).then_some(facts.original_destination);
        self.translated = Some(Translated {
            at_ns: facts.at_ns,
            netns: facts.netns,
            client: facts.reply_destination,
        });
        self.direction_guessed = false;
    }

    /// Takes what is known of its other half.
    pub(in crate::track) fn absorb(&mut self, other: &Self) {
        self.source = self.source.or(other.source);
        self.destination = self.destination.or(other.destination);
        self.first_ns = self.first_ns.min(other.first_ns);
        self.last_ns = self.last_ns.max(other.last_ns);
        self.opened_ns = match (self.opened_ns, other.opened_ns) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.accepted_ns = self.accepted_ns.or(other.accepted_ns);
        self.told.opened |= other.told.opened;
        self.told.accepted |= other.told.accepted;
        self.told.closed |= other.told.closed;
    }
}

/// What that end of a translated connection calls it: its source and destination.
pub(super) const fn view(facts: &NatFacts, is_source: bool) -> (SocketAddr, SocketAddr) {
    if is_source {
        (facts.original_source, facts.original_destination)
    } else {
        (facts.reply_destination, facts.reply_source)
    }
}

/// The namespace in which the other end of a translation is looked for, whose first end is in `netns`, if it matters: that
/// of the table for loopback addresses; that of the first end where a socket reaches its own address.
pub(super) fn scope(facts: &NatFacts, netns: u32, other: (SocketAddr, SocketAddr)) -> u32 {
    let local = other.0.ip().is_loopback() || other.1.ip().is_loopback();
    if !local && facts.original_source.ip() == facts.reply_source.ip() {
        netns
    } else {
        facts.netns
    }
}

/// When the socket of an event came into being; 0 when that was before anybody saw.
pub(super) const fn born_ns(event: &SocketEvent) -> u64 {
    if event.found { 0 } else { event.id.first_seen_ns }
}

/// Whether two ends can be those of one connection, by their lives: who connects is there before who accepts, and
/// neither came after the other had ended.
pub(in crate::track) fn meet(client: &End, server: &End) -> bool {
    let (from, to) = (client.born_ns(), server.born_ns());
    let in_order = from == 0 || to == 0 || from <= to.saturating_add(REORDERED_NS);
    in_order && overlap(client, server)
}

/// Whether neither of two ends came after the other had ended.
pub(in crate::track) fn overlap(one: &End, two: &End) -> bool {
    let after = |born_ns: u64, other: &End| {
        let ended = other
            .ended
            .is_some_and(|ended| born_ns > ended.at_ns.saturating_add(REORDERED_NS));
        born_ns != 0 && ended
    };
    !after(one.born_ns(), two) && !after(two.born_ns(), one)
}
