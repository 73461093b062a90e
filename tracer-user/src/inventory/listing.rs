//! Whole lists: what an origin told before and does not tell again in a new list is gone. Pods know for themselves which
//! list they were in last: there are too many of them to keep their ids twice.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::signal::inventory::{Kind, Origin};

/// What names a thing of any kind: an id, or namespace and name.
pub(super) type Key<'a> = (&'a str, &'a str);

/// Where every origin's lists stand.
#[derive(Debug, Default)]
pub(super) struct Listings(HashMap<(Origin, Kind), State>);

#[derive(Debug, Default)]
struct State {
    /// Told and not gone, as one string each, with the list it was told in last.
    known: HashMap<Box<str>, u32>,
    /// The list that is, or was, told.
    list: u32,
    is_open: bool,
    /// Lists that are complete.
    complete: u64,
}

impl Listings {
    pub(super) fn begin(&mut self, origin: Origin, kind: Kind) {
        let state = self.0.entry((origin, kind)).or_default();
        state.list = state.list.wrapping_add(1);
        state.is_open = true;
    }

    /// The list is complete: what is gone by it, in stable order.
    pub(super) fn end(&mut self, origin: Origin, kind: Kind) -> Vec<(String, String)> {
        let state = self.0.entry((origin, kind)).or_default();
        state.complete += 1;
        if !std::mem::take(&mut state.is_open) {
            return Vec::new();
        }
        let mut gone: Vec<(String, String)> = state
            .known
            .iter()
            .filter(|(_, list)| **list != state.list)
            .filter_map(|(key, _)| {
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
        if let Some(list) = state.known.get_mut(&key) {
            *list = state.list;
        } else if state.known.len() < super::KEPT_MAX {
            state.known.insert(key, state.list);
        }
    }

    /// A thing is gone.
    pub(super) fn gone(&mut self, origin: Origin, kind: Kind, key: Key<'_>) {
        if let Some(state) = self.0.get_mut(&(origin, kind)) {
            state.known.remove(&joined(key));
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
