//! Translations by what each end calls its connection, and by time: ports are used again, records and news come late.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use crate::signal::nat::NatFacts;

/// Translations kept: about 400 bytes each. Of more, the one learnt first is forgotten: it has been applied long ago.
const MAX: usize = 1 << 16;

/// How long one is kept that is gone: records of the connection's sockets may be on their way.
const KEPT_NS: u64 = 5_000_000_000;

/// Source and destination as one end has them, when it was learnt, whose table it is in.
type Key = (SocketAddr, SocketAddr, u64, u32);

/// All translations.
#[derive(Debug, Default)]
pub(crate) struct Table {
    by_client: BTreeMap<Key, Entry>,
    /// Keys of `by_client`.
    by_server: BTreeMap<Key, Key>,
    /// Keys of `by_client`, in the order of their coming.
    by_age: VecDeque<Key>,
    /// Keys of `by_client` that are gone, by the time at which they are forgotten.
    expiring: VecDeque<(u64, Key)>,
    forgotten: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    facts: NatFacts,
    gone_ns: Option<u64>,
}

impl Entry {
    /// Whether it was gone before `at_ns`.
    fn is_gone_by(&self, at_ns: u64) -> bool {
        self.gone_ns.is_some_and(|gone_ns| gone_ns < at_ns)
    }
}

/// Everything learnt about one pair of addresses.
fn all<V>(
    map: &BTreeMap<Key, V>,
    source: SocketAddr,
    destination: SocketAddr,
) -> impl DoubleEndedIterator<Item = (&Key, &V)> {
    map.range((source, destination, 0, 0)..=(source, destination, u64::MAX, u32::MAX))
}

impl Table {
    /// Translations forgotten though they were in use, because there were too many.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Whether no connection is translated.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// Learns of a translation; false when it was known already.
    pub(crate) fn learn(&mut self, facts: &NatFacts) -> bool {
        if let Some(known) = self.current(facts) {
            if known.facts
                == (NatFacts {
                    at_ns: known.facts.at_ns,
                    ..*facts
                })
            {
                return false;
            }
            // The end of that one has not been told.
            let known = known.facts;
            self.gone(&NatFacts {
                at_ns: facts.at_ns,
                ..known
            });
        }
        if self.by_client.len() >= MAX {
            self.forget_oldest();
        }
        let key = client_key(facts);
        let entry = Entry {
            facts: *facts,
            gone_ns: None,
        };
        if self.by_client.insert(key, entry).is_none() {
            self.by_age.push_back(key);
        }
        self.by_server.insert(server_key(facts), key);
        true
    }

    /// A translation is gone; of one that is not known that says nothing.
    pub(crate) fn gone(&mut self, facts: &NatFacts) {
        let Some(entry) = self.current(facts) else {
            return;
        };
        let same = NatFacts {
            at_ns: facts.at_ns,
            gone: facts.gone,
            ..entry.facts
        };
        if same == *facts {
            entry.gone_ns = Some(facts.at_ns);
            let key = client_key(&entry.facts);
            self.expiring
                .push_back((facts.at_ns.saturating_add(KEPT_NS), key));
        }
    }

    /// The latest with these addresses of the client in that table, unless it is gone.
    fn current(&mut self, facts: &NatFacts) -> Option<&mut Entry> {
        let (source, destination) = (facts.original_source, facts.original_destination);
        self.by_client
            .range_mut((source, destination, 0, 0)..=(source, destination, u64::MAX, u32::MAX))
            .rev()
            .map(|(_key, entry)| entry)
            .find(|entry| entry.facts.netns == facts.netns)
            .filter(|entry| entry.gone_ns.is_none())
    }

    /// The clock reached `now_ns`: forgets what has been gone long enough.
    pub(crate) fn expire(&mut self, now_ns: u64) {
        while let Some((until_ns, key)) = self.expiring.front().copied() {
            if until_ns > now_ns {
                break;
            }
            self.expiring.pop_front();
            self.remove(key);
        }
        // What was forgotten elsewhere is still in line here.
        if self.by_age.len() > 2 * self.by_client.len() + 64 {
            let by_client = &self.by_client;
            self.by_age.retain(|key| by_client.contains_key(key));
        }
    }

    fn remove(&mut self, key: Key) -> bool {
        let Some(entry) = self.by_client.remove(&key) else {
            return false;
        };
        let server = server_key(&entry.facts);
        if self.by_server.get(&server) == Some(&key) {
            self.by_server.remove(&server);
        }
        true
    }

    fn forget_oldest(&mut self) {
        while let Some(key) = self.by_age.pop_front() {
            if self.remove(key) {
                self.forgotten += 1;
                return;
            }
        }
    }

    /// The translation of a socket that connected from `local` to `remote`, born at `born_ns` (0: before anybody saw).
    /// A translation comes into being by the connection's first packet, so it is the first learnt after the birth.
    pub(crate) fn of_client(&self, local: SocketAddr, remote: SocketAddr, born_ns: u64) -> Option<NatFacts> {
        let mut found = all(&self.by_client, local, remote).map(|(_key, entry)| entry);
        let entry = if born_ns == 0 {
            found.next_back()
        } else {
            found.find(|entry| entry.facts.at_ns >= born_ns)
        };
        entry.map(|entry| entry.facts)
    }

    /// The translation of a socket at `local` that accepted `remote`, born at `born_ns` (0: before anybody saw). The
    /// translation is older than the socket, but may be learnt a little later.
    pub(crate) fn of_server(&self, local: SocketAddr, remote: SocketAddr, born_ns: u64) -> Option<NatFacts> {
        let entries =
            || all(&self.by_server, remote, local).filter_map(|(_key, client)| self.by_client.get(client));
        let entry = if born_ns == 0 {
            entries().next_back()
        } else {
            entries()
                .rev()
                .find(|entry| entry.facts.at_ns <= born_ns && !entry.is_gone_by(born_ns))
                .or_else(|| entries().find(|entry| entry.facts.at_ns > born_ns))
        };
        entry.map(|entry| entry.facts)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> (usize, usize, usize, usize) {
        (
            self.by_client.len(),
            self.by_server.len(),
            self.by_age.len(),
            self.expiring.len(),
        )
    }
}

const fn client_key(facts: &NatFacts) -> Key {
    (
        facts.original_source,
        facts.original_destination,
        facts.at_ns,
        facts.netns,
    )
}

const fn server_key(facts: &NatFacts) -> Key {
    (
        facts.reply_destination,
        facts.reply_source,
        facts.at_ns,
        facts.netns,
    )
}
