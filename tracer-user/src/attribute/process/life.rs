//! One process from fork to exit, and the programs it was in between.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::{
    attribute::{
        Claim, ProcessRef,
        rules::text::{base_name, is_file, name_of, without_deleted},
    },
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
    /// It has a controlling terminal, /proc told.
    pub terminal: bool,
    /// What records told of it, whatever /proc says.
    pub(super) told: Told,
    /// When /proc last told of it; 0 when never.
    pub(super) read_ns: u64,
    /// How its beginning is known.
    pub(super) began: Began,
    /// The claim's component plays parts by port.
    pub(super) has_roles: bool,
    /// /proc was asked, or told.
    pub(super) asked: bool,
}

impl Process {
    /// When /proc last told of it; 0 when never.
    pub const fn read_ns(&self) -> u64 {
        self.read_ns
    }
}

/// What records told of a program: all there is when /proc turns out to have told of another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Name of the file that runs.
    pub(super) file: Option<Arc<str>>,
    /// Path given to `execve`.
    pub(super) exec: Option<Arc<str>>,
    /// `argv[0]` at `execve`.
    pub(super) arg0: Option<Arc<str>>,
    /// Name of the thread that called, or that had to do with a socket first.
    pub(super) comm: Option<Arc<str>>,
}

impl Told {
    /// Whether /proc's path of the executable is the one given to `execve` and not the name of the file: a file that is
    /// mounted over that path, as container runtimes do.
    pub(super) fn is_mounted_as(&self, exe: &str) -> bool {
        let (Some(file), Some(exec)) = (self.file.as_deref(), self.exec.as_deref()) else {
            return false;
        };
        !is_file(exe, file) && name_of(without_deleted(exe)) == base_name(exec)
    }
}

/// How it is known when a program began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Began {
    /// It was there when the process was first seen.
    Before,
    /// An exec record told.
    Exec,
    /// No record: /proc told of another program than the one before.
    Unseen,
}

/// One process from fork to exit.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) serial: u64,
    /// When it was forked; absent when unknown.
    start_ns: Option<u64>,
    /// Earliest sign of life.
    first_ns: u64,
    /// When the process had ended that had the id before; 0 when there was none.
    after_ns: u64,
    /// Questions about this time and later are about this process, unless a later one had begun.
    begun_ns: u64,
    pub(super) exit_ns: Option<u64>,
    /// Oldest first, never empty.
    programs: Vec<Process>,
    /// The oldest were forgotten.
    cut: bool,
}

impl Life {
    /// `before_ns`: when the process ended that had the id before.
    pub(super) fn new(
        serial: u64,
        start_ns: Option<u64>,
        first_ns: u64,
        before_ns: Option<u64>,
        program: Process,
    ) -> Self {
        let after_ns = before_ns.map_or(0, |before| before.saturating_add(1).min(first_ns));
        let begun_ns = match start_ns {
            Some(start) => start.saturating_sub(START_SLACK_NS).max(after_ns),
            None if before_ns.is_some() => first_ns,
            None => 0,
        };
        Self {
            serial,
            start_ns,
            first_ns,
            after_ns,
            begun_ns,
            exit_ns: None,
            programs: vec![program],
            cut: false,
        }
    }

    /// The program it was at a time: of a time before the first one known nothing is known.
    pub(super) fn at(&self, at_ns: u64) -> Option<&Process> {
        self.programs
            .iter()
            .rev()
            .find(|program| program.since_ns <= at_ns)
    }

    /// The program that followed the one it was at a time.
    pub(super) fn after(&self, at_ns: u64) -> Option<&Process> {
        self.programs.iter().find(|program| program.since_ns > at_ns)
    }

    pub(super) fn at_mut(&mut self, at_ns: u64) -> Option<&mut Process> {
        let mut programs = self.programs.iter_mut().rev();
        programs.find(|program| program.since_ns <= at_ns)
    }

    /// The program of this number.
    pub(super) fn program(&self, number: u64) -> Option<&Process> {
        let mut programs = self.programs.iter();
        programs.find(|program| program.reference.program == number)
    }

    /// Whether a program of a time before the first one known can be added.
    pub(super) const fn has_room_before(&self) -> bool {
        !self.cut && self.programs.len() < PROGRAMS_MAX
    }

    /// Adds the program it was before the first one known.
    pub(super) fn was_before(&mut self, program: Process) {
        self.programs.insert(0, program);
    }

    pub(super) fn first(&self) -> Option<&Process> {
        self.programs.first()
    }

    /// Whether it may have become another program, unseen, between the last that is known of the one it was and a time.
    pub(super) fn is_unsure(&self, at_ns: u64, lost: impl Fn(u64, u64) -> bool) -> bool {
        let Some(index) = self
            .programs
            .iter()
            .rposition(|program| program.since_ns <= at_ns)
        else {
            return false;
        };
        let Some(known_ns) = self
            .programs
            .get(index)
            .map(|program| program.since_ns.max(program.read_ns))
        else {
            return false;
        };
        let followed_unseen = || {
            let next = self.programs.get(index + 1);
            next.is_some_and(|next| next.began == Began::Unseen)
        };
        at_ns > known_ns && (followed_unseen() || lost(known_ns, at_ns))
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
            self.cut = true;
        }
        self.programs.reserve_exact(1);
        self.programs.push(program);
    }

    /// Takes back the latest program, which turned out to be the one that a record tells of; never the only one.
    pub(super) fn take_back(&mut self) {
        if self.programs.len() > 1 {
            self.programs.pop();
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
            self.begun_ns = start.saturating_sub(START_SLACK_NS).max(self.after_ns);
        }
    }
}
