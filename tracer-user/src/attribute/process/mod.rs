//! Which process a thread group id was at a time: fed by exec, exit, hooks and /proc; kept after exit, within limits.
//!
//! A thread group id is reused, a process becomes another program, and news comes late: every answer is for a time.
#![forbid(unsafe_code)]

mod cache;
mod facts;
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

/// Times of loss told apart; the oldest become one.
const GAPS_MAX: usize = 64;

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
    /// Programs numbered so far.
    programs: u64,
    /// When records were lost: from and to, oldest first.
    gaps: Vec<(u64, u64)>,
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
            programs: 0,
            gaps: Vec::new(),
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

    /// A program by its number, as it is known now.
    pub fn program(&self, tgid: u32, number: u64) -> Option<&Process> {
        let lives = self.by_tgid.get(&tgid)?;
        lives.iter().rev().find_map(|life| life.program(number))
    }

    /// Records were lost between two times: whoever was not asked about since may have become another program.
    pub fn lost(&mut self, from_ns: u64, to_ns: u64) {
        if let Some(last) = self.gaps.last_mut().filter(|last| from_ns <= last.1) {
            last.1 = last.1.max(to_ns);
            return;
        }
        if self.gaps.len() >= GAPS_MAX
            && let [first, second, ..] = self.gaps.as_mut_slice()
        {
            second.0 = first.0;
            self.gaps.remove(0);
        }
        self.gaps.push((from_ns, to_ns));
    }

    /// Whether records were lost between two times.
    fn has_gap(&self, from_ns: u64, to_ns: u64) -> bool {
        let mut gaps = self.gaps.iter().rev();
        gaps.any(|gap| from_ns < gap.1 && gap.0 < to_ns)
    }

    /// Whether what a thread group id was at a time rests on records of which some were lost.
    fn is_unsure(&self, tgid: u32, at_ns: u64) -> bool {
        let lives = self.by_tgid.get(&tgid).into_iter().flatten();
        let mut lives = lives.rev();
        lives
            .find(|life| life.had_begun(at_ns))
            .is_some_and(|life| life.is_unsure(at_ns, |from, to| self.has_gap(from, to)))
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
        let number = process.reference.program;
        let mut claim = self.claim_of(tgid, number, used)?;
        if at_ns != 0 && self.is_unsure(tgid, at_ns) {
            claim = self.cache.outdated(&claim);
        }
        Some(claim)
    }

    /// Who a program is, by its number, as it is known now. Absent when it has been forgotten.
    pub fn claim_of(&mut self, tgid: u32, number: u64, used: PortUse) -> Option<Arc<Claim>> {
        let process = self.program(tgid, number)?;
        let (claim, has_roles) = (Arc::clone(&process.claim), process.has_roles);
        Some(if has_roles {
            self.cache.with_role(&claim, used)
        } else {
            claim
        })
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
