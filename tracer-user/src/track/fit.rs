//! Which connection of its tuple a new end belongs to: one in its own namespace before one in another, and none of several.
//!
//! The same addresses and ports may be in use in several namespaces at once, and link-local ones on several links.
#![forbid(unsafe_code)]

use super::{
    Connection, End, Told, Tracker,
    connection::TupleKey,
    join::{is_after, oriented},
    nat::views::{meet, overlap},
    slot,
};
use crate::event::{SocketEvent, What};

/// What a connection with the tuple of a new end is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// An older socket of the same place has the tuple, or the other end was gone before: it is over.
    Over,
    /// Its other end is in the same place, and waits.
    Here,
    /// Its other end is in the same place, and was joined with one that is elsewhere.
    Taken,
    /// Its other end is in another namespace, or nobody knows where, and waits.
    Elsewhere,
    /// As `Elsewhere`, but an end in the source's own namespace may still come.
    Perhaps,
    /// It has nothing to do with it.
    None,
}

/// The connections with the tuple of a new end, by their standing.
#[derive(Debug, Default)]
struct Found {
    over: Option<u64>,
    here: Option<u64>,
    taken: Option<u64>,
    elsewhere: Option<u64>,
    /// How many are elsewhere.
    count: u32,
    /// One of those elsewhere was left alone before, since it was not the only one.
    ambiguous: bool,
    perhaps: bool,
    translated: bool,
}

impl Tracker {
    /// The connection that a new end belongs to by its own tuple. One that had the tuple before is over.
    pub(super) fn by_own_tuple(
        &mut self,
        key: TupleKey,
        event: &SocketEvent,
        end: &End,
        is_source: bool,
    ) -> Option<u64> {
        let mut found = Found::default();
        for id in self.by_tuple.of(&key) {
            let Some(one) = self.connections.get(&id) else {
                continue;
            };
            match self.standing(one, key, event, end, is_source) {
                Standing::Over => found.over = Some(id),
                Standing::Here => found.here = Some(id),
                Standing::Taken => found.taken = Some(id),
                standing @ (Standing::Elsewhere | Standing::Perhaps) => {
                    found.elsewhere = Some(id);
                    found.count += 1;
                    found.ambiguous |= one.ambiguous;
                    found.perhaps |= standing == Standing::Perhaps;
                    found.translated |= one.translated.is_some();
                }
                Standing::None => {}
            }
        }
        if let Some(id) = found.over {
            self.supersede(id, event.at_ns);
        }
        if let Some(id) = found.here {
            if let Some(one) = self.connections.get_mut(&id) {
                one.ambiguous = false;
            }
            return Some(self.with_own_addresses(id, key, is_source));
        }
        if let Some(id) = found.taken {
            self.part(id, is_source, event.at_ns);
            return Some(id);
        }
        // A snapshot's rows come in no order: who is elsewhere is joined when all are known.
        let at_once = found.translated || event.what != What::Seen;
        let alone = found.count == 1 && !found.ambiguous && !found.perhaps && at_once;
        let id = found.elsewhere.filter(|_| alone)?;
        Some(self.with_own_addresses(id, key, is_source))
    }

    fn standing(
        &self,
        one: &Connection,
        key: TupleKey,
        event: &SocketEvent,
        end: &End,
        is_source: bool,
    ) -> Standing {
        let (this, other) = sides(one, is_source);
        if let Some(translated) = one.translated {
            if one.view(is_source) != (key.source, key.destination) {
                // Not the addresses this end should have: either there is no translation, or another connection's.
                if this.is_some() || self.translation_of(event, is_source).is_some() {
                    return Standing::None;
                }
            } else if let (None, Some(other)) = (this, other) {
                let (client, server) = if is_source { (end, other) } else { (other, end) };
                if client.born_ns() > translated.at_ns || !meet(client, server) {
                    return Standing::None;
                }
            }
        }
        let nowhere = |other: &End| other.netns == 0 || end.netns == 0;
        match (this, other) {
            (Some(old), _) if old.shares_place(end) || nowhere(old) => Standing::Over,
            (Some(_), Some(other)) if other.shares_place(end) && one.translated.is_none() => Standing::Taken,
            (Some(_), _) => Standing::None,
            (None, Some(other)) if is_after(event, Some(other)) => {
                if other.shares_place(end) || nowhere(other) {
                    Standing::Over
                } else {
                    Standing::None
                }
            }
            (None, Some(other)) if other.shares_place(end) => Standing::Here,
            // Two links of one namespace.
            (None, Some(other)) if other.netns == end.netns && other.netns != 0 => Standing::None,
            (None, Some(other)) if one.translated.is_some() || nowhere(other) => Standing::Elsewhere,
            (None, Some(other)) => self.reach(if is_source { end } else { other }, key),
            (None, None) => Standing::Elsewhere,
        }
    }

    /// Whether an end in another namespace may be the one that `source` has connected to.
    fn reach(&self, source: &End, key: TupleKey) -> Standing {
        if self.listeners.exact(source.netns, key.destination) {
            return Standing::None;
        }
        if self.listeners.any(source.netns, key.destination) {
            Standing::Perhaps
        } else {
            Standing::Elsewhere
        }
    }

    /// What an end is called by a translation that is not its own is taken back.
    fn with_own_addresses(&mut self, id: u64, key: TupleKey, is_source: bool) -> u64 {
        let own = |one: &Connection| one.view(is_source) == (key.source, key.destination);
        if !self.connections.get(&id).is_some_and(own) {
            self.untranslate(id);
        }
        id
    }

    /// Joins an end that waits with the only one elsewhere that can be the other; of several it is left alone, and marked.
    pub(super) fn join_elsewhere(&mut self, id: u64) {
        let Some(one) = self.connections.get(&id).copied() else {
            return;
        };
        if one.is_joined() || one.translated.is_some() || one.ambiguous {
            return;
        }
        let is_source = one.source.is_some();
        let (Some(own), _) = sides(&one, is_source) else {
            return;
        };
        let key = TupleKey::new(own.netns, one.source_addr, one.destination_addr);
        let (mut others, mut rivals) = ((0_u32, None), 0_u32);
        for other_id in self.by_tuple.of(&key).filter(|other| *other != id) {
            let Some(other) = self.connections.get(&other_id) else {
                continue;
            };
            if other.is_joined() || other.translated.is_some() {
                continue;
            }
            match (other.source.as_ref(), other.destination.as_ref()) {
                (Some(_), None) if is_source => rivals += 1,
                (None, Some(_)) if !is_source => rivals += 1,
                (Some(end), None) | (None, Some(end)) => {
                    let client = if is_source { own } else { end };
                    let here = own.netns != 0 && own.netns == end.netns;
                    if !here && overlap(own, end) && self.reach(client, key) != Standing::None {
                        others = (others.0 + 1, Some(other_id));
                    }
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        match others {
            (0, _) | (_, None) => {}
            (1, Some(other)) if rivals == 0 => {
                let kept = self.unite(id, other);
                self.settle(kept, false);
            }
            _ => {
                self.audit.ambiguous += 1;
                if let Some(one) = self.connections.get_mut(&id) {
                    one.ambiguous = true;
                }
            }
        }
    }

    /// Two that were told apart are one. The one known first stays.
    pub(super) fn unite(&mut self, one: u64, two: u64) -> u64 {
        let stands_for = |main: u64, id: u64| self.mptcp.part(id).is_some_and(|(other, _)| other == main);
        let turn = stands_for(one.max(two), one.min(two));
        let (kept, dropped) = if (one < two) == turn {
            (two, one)
        } else {
            (one, two)
        };
        let Some(other) = self.connections.remove(&dropped) else {
            return kept;
        };
        for key in other.keys() {
            if self.by_tuple.remove(&key, dropped) {
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
        self.mptcp.unite(kept, dropped);
        if let Some(one) = self.connections.get_mut(&kept) {
            one.absorb(&other);
        }
        kept
    }

    /// An end was joined with another namespace's, but the one it belongs to has come: it is a connection of its own.
    fn part(&mut self, id: u64, is_source: bool, at_ns: u64) {
        let Some(was) = self.connections.get(&id).copied() else {
            return;
        };
        let Some(end) = self
            .connections
            .get_mut(&id)
            .and_then(|one| slot(one, is_source).take())
        else {
            return;
        };
        self.mptcp.forget_side(id, is_source);
        let key = TupleKey::new(end.netns, was.source_addr, was.destination_addr);
        let Some(new) = self.make(key, at_ns) else {
            self.forget_place(end.id.address, id);
            return;
        };
        if let Some(one) = self.connections.get_mut(&new) {
            let older = was.opened_ns.is_none();
            one.first_ns = was.first_ns;
            one.opened_ns = was.opened_ns.filter(|_| !end.found);
            one.told = Told {
                opened: older && was.told.opened,
                ..Told::default()
            };
            *slot(one, is_source) = Some(end);
        }
        if let Some(place) = self.by_socket.get_mut(&end.id.address)
            && place.connection == id
        {
            place.connection = new;
        }
        self.settle(new, false);
    }
}

/// The end on that side, and the other one.
const fn sides(one: &Connection, is_source: bool) -> (Option<&End>, Option<&End>) {
    if is_source {
        (one.source.as_ref(), one.destination.as_ref())
    } else {
        (one.destination.as_ref(), one.source.as_ref())
    }
}

impl Tracker {
    /// The tracked connection that has the tuple of an event whose other end waits, if there is one, and which end of it
    /// the event's socket is; that of its own namespace before others.
    pub(super) fn tracked_side(&self, event: &SocketEvent) -> Option<bool> {
        let has = |is_source| {
            let (source, destination) = oriented(event, is_source);
            let key = TupleKey::new(event.netns, source, destination);
            self.by_tuple
                .of(&key)
                .filter_map(|id| self.connections.get(&id))
                .map(|one| {
                    let (this, other) = sides(one, is_source);
                    let here = other.is_some_and(|end| end.netns == event.netns);
                    (this.is_none(), here)
                })
                .max()
        };
        match (has(true), has(false)) {
            (None, None) => None,
            (one, two) => Some(one >= two),
        }
    }
}
