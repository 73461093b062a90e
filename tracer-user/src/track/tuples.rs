//! Connections by their tuples: several may have one, in different namespaces or on different links.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::connection::TupleKey;

/// Numbers of connections by tuple.
#[derive(Debug, Default)]
pub(super) struct Tuples {
    first: HashMap<TupleKey, u64>,
    /// Further ones with the same tuple, in the order of their coming. Most machines have none.
    further: HashMap<TupleKey, Vec<u64>>,
}

impl Tuples {
    /// All connections with that tuple, the one known first coming first.
    pub(super) fn of(&self, key: &TupleKey) -> impl Iterator<Item = u64> + '_ {
        let first = self.first.get(key).copied();
        let further = first.and_then(|_| self.further.get(key));
        first.into_iter().chain(further.into_iter().flatten().copied())
    }

    pub(super) fn contains(&self, key: &TupleKey) -> bool {
        self.first.contains_key(key)
    }

    /// Lets a connection be found by `key`.
    pub(super) fn insert(&mut self, key: TupleKey, id: u64) {
        let first = *self.first.entry(key).or_insert(id);
        if first != id {
            let further = self.further.entry(key).or_default();
            if !further.contains(&id) {
                further.push(id);
            }
        }
    }

    /// A connection is not found by `key` any more; false when it never was.
    pub(super) fn remove(&mut self, key: &TupleKey, id: u64) -> bool {
        let is_first = self.first.get(key) == Some(&id);
        let Some(further) = self.further.get_mut(key) else {
            if is_first {
                self.first.remove(key);
            }
            return is_first;
        };
        let removed = if is_first {
            self.first.insert(*key, further.remove(0));
            true
        } else {
            let at = further.iter().position(|other| *other == id);
            at.map(|at| further.remove(at)).is_some()
        };
        if further.is_empty() {
            self.further.remove(key);
        }
        removed
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.further.is_empty()
    }
}
