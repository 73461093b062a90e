//! Which process a thread group id was at a time: fed by exec, exit, hooks and /proc; kept after exit, within limits.
//!
//! A thread group id is reused, a process becomes another program, and news comes late: every answer is for a time.
#![forbid(unsafe_code)]

mod cache;
mod learn;
mod life;
mod limit;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

pub use life::Process;

use super::{
    Claim,
    rules::{PortUse, Rules},
};
use crate::hash::IdMap;
use cache::Cache;
use life::Life;

/// Processes kept after their exit, and processes taken to be alive, unless told otherwise: about 350 bytes each.
pub const KEPT_MAX: usize = 65_536;

/// Ancestors told of a process. A shell under `sudo` under ssh has seven.
pub const ANCESTORS_MAX: usize = 16;

/// All processes known.
#[derive(Debug)]
pub struct ProcessTable {
    cache: Cache,
    /// Oldest first, never empty.
    by_tgid: IdMap<u32, Vec<Life>>,
    /// Thread group id and serial, in order of exit.
    exited: VecDeque<(u32, u64)>,
    /// The same in order of appearance; holds some that have exited since.
    appeared: VecDeque<(u32, u64)>,
    alive: usize,
    kept_max: usize,
    serial: u64,
    evicted: u64,
    no_args: Arc<[String]>,
}

impl ProcessTable {
    /// A table with the usual limits.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self::with_limit(rules, KEPT_MAX)
    }

    /// A table that keeps at most this many exited processes, and as many living ones.
    pub fn with_limit(rules: Arc<Rules>, kept_max: usize) -> Self {
        Self {
            cache: Cache::new(rules),
            by_tgid: HashMap::default(),
            exited: VecDeque::new(),
            appeared: VecDeque::new(),
            alive: 0,
            kept_max: kept_max.max(1),
            serial: 0,
            evicted: 0,
            no_args: Arc::from([]),
        }
    }

    /// The process a thread group id was at a time, as the program it was then. Time 0: the latest.
    ///
    /// For a connection, ask with the time its owner was taken, which is its socket's first-seen time: the owner may
    /// have exited, and its id been reused, long before the last event of the connection.
    pub fn who(&self, tgid: u32, at_ns: u64) -> Option<&Process> {
        let lives = self.by_tgid.get(&tgid)?;
        if at_ns == 0 {
            return lives.last()?.latest();
        }
        lives.iter().rev().find(|life| life.had_begun(at_ns))?.at(at_ns)
    }

    /// Parent, grandparent and so on, as they were at a time, as far as known: at most [`ANCESTORS_MAX`].
    pub fn ancestors(&self, tgid: u32, at_ns: u64) -> Vec<&Process> {
        let mut ancestors: Vec<&Process> = Vec::new();
        let mut next = self.who(tgid, at_ns).map(|process| process.parent_tgid);
        while let Some(parent) = next.filter(|parent| *parent != 0 && *parent != tgid) {
            // An id that was used again may close a circle.
            let seen = ancestors.iter().any(|known| known.reference.tgid == parent);
            let Some(process) = self.who(parent, at_ns).filter(|_| !seen) else {
                break;
            };
            ancestors.push(process);
            next = (ancestors.len() < ANCESTORS_MAX).then_some(process.parent_tgid);
        }
        ancestors
    }

    /// Who that process is, with the part it plays on a port where its component plays several.
    pub fn claim(&mut self, tgid: u32, at_ns: u64, used: PortUse) -> Option<Arc<Claim>> {
        let process = self.who(tgid, at_ns)?;
        let claim = Arc::clone(&process.claim);
        if process.has_roles {
            Some(self.cache.with_role(&claim, used))
        } else {
            Some(claim)
        }
    }

    /// All processes that are taken to be alive, in order of their ids.
    pub fn living(&self) -> Vec<&Process> {
        let latest = self.by_tgid.values().filter_map(|lives| lives.last());
        let mut living: Vec<_> = latest
            .filter(|life| life.exit_ns.is_none())
            .filter_map(Life::latest)
            .collect();
        living.sort_unstable_by_key(|process| process.reference.tgid);
        living
    }

    /// Processes forgotten because a limit was reached.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }
}
