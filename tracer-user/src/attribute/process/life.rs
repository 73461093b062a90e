//! One process from fork to exit, and the programs it was in between.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::{
    attribute::{Claim, ProcessRef},
    signal::Login,
};

/// Programs remembered of one process. A chain of wrappers has two or three.
const PROGRAMS_MAX: usize = 4;

/// How far /proc's start time (whole ticks, rounded down) may be from the kernel's: two ticks of 10 ms.
pub(super) const START_SLACK_NS: u64 = 20_000_000;

/// A process while it ran one program.
#[derive(Clone, Debug)]
pub struct Process {
    /// What outputs need.
    pub reference: ProcessRef,
    /// Who it is, without a role by port.
    pub claim: Arc<Claim>,
    /// Since when it was this program, `CLOCK_BOOTTIME` nanoseconds; 0 when it always was, as far as known.
    pub since_ns: u64,
    /// Thread group id of the parent; 0 when unknown.
    pub parent_tgid: u32,
    /// Network namespace inode; absent until /proc told. For a socket, the socket's own counts.
    pub netns: Option<u32>,
    /// Most telling cgroup path; absent until /proc told.
    pub cgroup: Option<Arc<str>>,
    /// Harmless arguments: `argv[0]`, perhaps a word, flags as `--key=value`. Empty until /proc told. Hostile.
    pub args: Arc<[String]>,
    /// Who logged in; absent for daemons, and until /proc told of it or of the parent it was forked by.
    pub login: Option<Arc<Login>>,
    /// Path given to `execve`.
    pub(super) exec: Option<Arc<str>>,
    /// `argv[0]` at `execve`.
    pub(super) arg0: Option<Arc<str>>,
    /// The claim's component plays parts by port.
    pub(super) has_roles: bool,
    /// /proc was asked, or told.
    pub(super) asked: bool,
}

/// One process from fork to exit.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) serial: u64,
    /// When it was forked; absent when unknown.
    start_ns: Option<u64>,
    /// Earliest sign of life.
    first_ns: u64,
    /// Questions about this time and later are about this process, unless a later one had begun.
    begun_ns: u64,
    pub(super) exit_ns: Option<u64>,
    /// Oldest first, never empty.
    programs: Vec<Process>,
}

impl Life {
    /// `reused`: the thread group id belonged to another process before.
    pub(super) fn new(
        serial: u64,
        start_ns: Option<u64>,
        first_ns: u64,
        reused: bool,
        program: Process,
    ) -> Self {
        let begun_ns = match start_ns {
            Some(start) => start.saturating_sub(START_SLACK_NS),
            None if reused => first_ns,
            None => 0,
        };
        Self {
            serial,
            start_ns,
            first_ns,
            begun_ns,
            exit_ns: None,
            programs: vec![program],
        }
    }

    /// The program it was at a time: the first one known for times before it.
    pub(super) fn at(&self, at_ns: u64) -> Option<&Process> {
        self.programs
            .iter()
            .rev()
            .find(|program| program.since_ns <= at_ns)
            .or_else(|| self.programs.first())
    }

    pub(super) fn latest(&self) -> Option<&Process> {
        self.programs.last()
    }

    pub(super) fn latest_mut(&mut self) -> Option<&mut Process> {
        self.programs.last_mut()
    }

    /// Begins another program. Forgets the oldest beyond the limit.
    pub(super) fn exec(&mut self, program: Process) {
        if self.programs.len() >= PROGRAMS_MAX {
            self.programs.remove(0);
        }
        self.programs.reserve_exact(1);
        self.programs.push(program);
    }

    /// Replaces what is known of the program it was at a time; before the first program known, adds an earlier one.
    pub(super) fn replace_at(&mut self, at_ns: u64, mut program: Process) {
        let known = self
            .programs
            .iter_mut()
            .rev()
            .find(|known| known.since_ns <= at_ns);
        if let Some(known) = known {
            program.since_ns = known.since_ns;
            program.exec = known.exec.take();
            program.arg0 = known.arg0.take();
            *known = program;
        } else if self.programs.len() < PROGRAMS_MAX {
            self.programs.insert(0, program);
        }
    }

    pub(super) const fn had_begun(&self, at_ns: u64) -> bool {
        self.begun_ns <= at_ns
    }

    /// Whether a process that was forked at `start_ns` is this one. While its own start is not known, anything is
    /// that began before it was first seen.
    pub(super) fn is_of(&self, start_ns: u64) -> bool {
        let known = self
            .start_ns
            .map(|known| known.abs_diff(start_ns) <= START_SLACK_NS);
        known.unwrap_or(start_ns <= self.first_ns.saturating_add(START_SLACK_NS))
    }

    /// Whether it began later than that, for certain.
    pub(super) fn is_younger_than(&self, start_ns: u64) -> bool {
        self.start_ns
            .is_some_and(|known| known > start_ns.saturating_add(START_SLACK_NS))
    }

    /// Notes when it was forked, if that was not known.
    pub(super) fn started(&mut self, start_ns: Option<u64>) {
        if let (None, Some(start)) = (self.start_ns, start_ns) {
            self.start_ns = Some(start);
            self.begun_ns = start.saturating_sub(START_SLACK_NS);
        }
    }
}
