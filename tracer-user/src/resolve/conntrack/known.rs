//! What has been told of one table: so that a dump tells only what is new, and what is gone.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use super::codec::{Entry, Item};
use crate::signal::nat::NatFacts;

/// Entries remembered of one table, about 150 bytes each. Those beyond are told, and told as gone only by the kernel.
const ENTRIES_MAX: usize = 1 << 17;

/// Entries of one namespace's table.
#[derive(Debug)]
pub(super) struct Known {
    netns: u32,
    entries: HashMap<Entry, Told>,
    /// Number of the last dump.
    dumps: u32,
}

/// How an entry came to be known.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The dump that had it last, or that was the last when the kernel told of it.
    dump: u32,
    /// The kernel told that it came, and so will tell when it goes.
    heard: bool,
}

impl Known {
    pub(super) fn new(netns: u32) -> Self {
        Self {
            netns,
            entries: HashMap::new(),
            dumps: 0,
        }
    }

    /// No entry is there.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Some entry is there of whose end the kernel will not tell: it is older than whoever listens
    /// (`net.netfilter.nf_conntrack_events = 2`).
    pub(super) fn has_unheard(&self) -> bool {
        self.entries.values().any(|told| !told.heard)
    }

    /// What the pipeline is to be told of a piece of news, if anything.
    pub(super) fn news(&mut self, item: Item, at_ns: u64) -> Option<NatFacts> {
        match item {
            Item::Here(entry) => self.here(entry, true).then(|| self.facts(&entry, at_ns, false)),
            Item::Gone(entry) => {
                self.entries.remove(&entry);
                Some(self.facts(&entry, at_ns, true))
            }
            Item::Entries(_) => None,
        }
    }

    /// A dump begins.
    pub(super) const fn dump_begins(&mut self) {
        self.dumps = self.dumps.wrapping_add(1);
    }

    /// What the pipeline is to be told of a row of the dump, if anything.
    pub(super) fn row(&mut self, entry: Entry, at_ns: u64) -> Option<NatFacts> {
        self.here(entry, false).then(|| self.facts(&entry, at_ns, false))
    }

    /// The dump is over: what is known and was not in it is gone.
    pub(super) fn dump_ended(&mut self, at_ns: u64) -> Vec<NatFacts> {
        let dumps = self.dumps;
        let gone: Vec<Entry> = self
            .entries
            .extract_if(|_entry, told| told.dump != dumps)
            .map(|(entry, _told)| entry)
            .collect();
        gone.iter().map(|entry| self.facts(entry, at_ns, true)).collect()
    }

    /// Everything that is known is gone: so is the table.
    pub(super) fn all_gone(mut self, at_ns: u64) -> Vec<NatFacts> {
        self.dump_begins();
        self.dump_ended(at_ns)
    }

    /// Whether that is new.
    fn here(&mut self, entry: Entry, heard: bool) -> bool {
        let dump = self.dumps;
        if let Some(told) = self.entries.get_mut(&entry) {
            told.dump = dump;
            told.heard |= heard;
            return false;
        }
        if self.entries.len() < ENTRIES_MAX {
            self.entries.insert(entry, Told { dump, heard });
        }
        true
    }

    const fn facts(&self, entry: &Entry, at_ns: u64, gone: bool) -> NatFacts {
        NatFacts {
            at_ns,
            netns: self.netns,
            gone,
            original_source: entry.original.0,
            original_destination: entry.original.1,
            reply_source: entry.reply.0,
            reply_destination: entry.reply.1,
        }
    }
}
