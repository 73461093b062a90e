//! Whole lists: what an origin told before and does not tell again in a new list is gone.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use crate::signal::inventory::{Kind, Origin};

/// What names a thing of any kind: an id, or namespace and name.
pub(super) type Key<'a> = (&'a str, &'a str);

/// Where every origin's lists stand.
#[derive(Debug, Default)]
pub(super) struct Listings(HashMap<(Origin, Kind), State>);

#[derive(Debug, Default)]
struct State {
    /// Told and not gone, as one string each.
    known: HashSet<Box<str>>,
    /// Not told again since the list began.
    unconfirmed: Option<HashSet<Box<str>>>,
    /// Lists that are complete.
    complete: u64,
}

impl Listings {
    pub(super) fn begin(&mut self, origin: Origin, kind: Kind) {
        let state = self.0.entry((origin, kind)).or_default();
        state.unconfirmed = Some(state.known.clone());
    }

    /// The list is complete: what is gone by it, in stable order.
    pub(super) fn end(&mut self, origin: Origin, kind: Kind) -> Vec<(String, String)> {
        let state = self.0.entry((origin, kind)).or_default();
        state.complete += 1;
        let mut gone: Vec<(String, String)> = state
            .unconfirmed
            .take()
            .into_iter()
            .flatten()
            .filter_map(|key| {
                let (first, second) = key.split_once('\0')?;
                Some((first.to_owned(), second.to_owned()))
            })
            .collect();
        gone.sort_unstable();
        gone
    }

    /// A thing was told.
    pub(super) fn told(&mut self, origin: Origin, kind: Kind, key: Key<'_>) {
        let state = self.0.entry((origin, kind)).or_default();
        let key = joined(key);
        if let Some(unconfirmed) = &mut state.unconfirmed {
            unconfirmed.remove(&key);
        }
        if state.known.len() < super::KEPT_MAX {
            state.known.insert(key);
        }
    }

    /// A thing is gone.
    pub(super) fn gone(&mut self, origin: Origin, kind: Kind, key: Key<'_>) {
        if let Some(state) = self.0.get_mut(&(origin, kind)) {
            let key = joined(key);
            state.known.remove(&key);
            if let Some(unconfirmed) = &mut state.unconfirmed {
                unconfirmed.remove(&key);
            }
        }
    }

    /// Whether no list of this kind has been complete yet.
    pub(super) fn is_first(&self, origin: Origin, kind: Kind) -> bool {
        self.0
            .get(&(origin, kind))
            .is_none_or(|state| state.complete == 0)
    }
}

/// No name holds a NUL; a hostile one that does only mixes up its own entry.
fn joined((first, second): Key<'_>) -> Box<str> {
    let mut key = String::with_capacity(first.len() + second.len() + 1);
    key.push_str(first);
    key.push('\0');
    key.push_str(second);
    key.into()
}
