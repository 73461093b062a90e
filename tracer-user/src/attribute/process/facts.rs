//! What the table learns from /proc, which tells of now: of a program from the reading back to its last exec.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{
    Process, ProcessTable,
    learn::known,
    life::{Began, Life, Told},
};
use crate::{
    attribute::{
        ProcessRef,
        rules::{Evidence, text::is_file},
    },
    signal::ProcessFacts,
};

impl ProcessTable {
    /// What /proc told. It tells of the program the process was when it was read, back to its last exec and no further;
    /// facts about a process that has taken over the id since change nothing about the one before it.
    pub fn facts(&mut self, facts: &ProcessFacts) {
        let start_ns = known(facts.start_ns);
        let lives = self
            .by_tgid
            .get(&facts.tgid)
            .map_or(&[] as &[Life], Vec::as_slice);
        let life = lives.iter().rfind(|life| match start_ns {
            Some(start) => life.is_of(start),
            None => life.exit_ns.is_none_or(|exit| facts.read_ns <= exit),
        });
        let Some(life) = life else {
            let outdated = start_ns.is_some_and(|start| lives.iter().any(|life| life.is_younger_than(start)));
            if !outdated {
                let process = self.by_facts(facts, &Told::default());
                self.begin(facts.tgid, start_ns, start_ns.unwrap_or(facts.read_ns), process);
            }
            return;
        };
        let serial = life.serial;
        let before = life.at(facts.read_ns).cloned();
        let next = life.after(facts.read_ns).cloned();
        let names = |process: &Process| {
            let (file, exe) = (process.told.file.as_deref(), facts.exe.as_deref());
            file.zip(exe)
                .map(|(file, exe)| is_file(exe, file) || process.told.is_mounted_as(exe))
        };
        // What it is next was beginning already: the executable is that one's as soon as it begins, its record comes later.
        let is_nexts = next.as_ref().is_some_and(|next| names(next) != Some(false));
        match (before, &next) {
            (Some(before), _) if names(&before) == Some(false) => {
                // Its exec may be on its way to us, or its file has another name by now. Only where records were lost
                // must it be another program.
                if next.is_none() && self.has_gap(before.since_ns.max(before.read_ns), facts.read_ns) {
                    let mut process = self.by_facts(facts, &Told::default());
                    process.since_ns = facts.read_ns;
                    process.began = Began::Unseen;
                    process.reference.instance = serial;
                    process.reference.cgroup_id = before.reference.cgroup_id;
                    self.with_life(facts.tgid, serial, |life| life.exec(process));
                } else {
                    self.improve(before, facts, serial, false);
                }
            }
            (Some(before), _) => {
                let same = before.began == Began::Exec || !is_nexts;
                self.improve(before, facts, serial, same);
            }
            (None, Some(_)) if !is_nexts => {
                let process = self.by_facts(facts, &Told::default());
                self.with_life(facts.tgid, serial, |life| {
                    if life.has_room_before() {
                        let mut process = process;
                        process.reference.instance = serial;
                        life.was_before(process);
                    }
                });
            }
            (None, _) => {}
        }
        self.with_life(facts.tgid, serial, |life| life.started(start_ns));
    }

    /// What is known of a program, with what /proc told of it. Worse knowledge replaces nothing.
    fn improve(&mut self, before: Process, facts: &ProcessFacts, serial: u64, same: bool) {
        let told = self.by_facts(facts, &before.told);
        let mounted = facts
            .exe
            .as_deref()
            .is_some_and(|exe| before.told.is_mounted_as(exe));
        let better = same && (mounted || told.claim.quality <= before.claim.quality);
        let mut process = Process {
            parent_tgid: told.parent_tgid,
            netns: told.netns.or(before.netns),
            cgroup: told.cgroup.or_else(|| before.cgroup.clone()),
            login: if better {
                told.login
            } else {
                told.login.or_else(|| before.login.clone())
            },
            terminal: told.terminal || before.terminal,
            asked: true,
            ..before
        };
        if better {
            process.read_ns = facts.read_ns;
            process.claim = told.claim;
            process.has_roles = told.has_roles;
            process.reference.comm = told.reference.comm;
            if told.reference.exe.is_some() {
                process.reference.exe = told.reference.exe;
                process.reference.exe_known = told.reference.exe_known;
            }
            process.reference.uid = told.reference.uid;
            if !told.args.is_empty() {
                process.args = told.args;
            }
        }
        self.with_life(facts.tgid, serial, |life| {
            if let Some(known) = life.at_mut(facts.read_ns) {
                *known = process;
            }
        });
    }

    /// A program as /proc tells of it, and records told before.
    fn by_facts(&mut self, facts: &ProcessFacts, told: &Told) -> Process {
        let mut evidence = Evidence {
            file: told.file.as_deref(),
            exec: told.exec.as_deref(),
            ..Evidence::of(facts)
        };
        evidence.arg0 = evidence.arg0.or(told.arg0.as_deref());
        if facts.args.is_empty() && evidence.file.is_none() {
            // A program that has no arguments yet has just begun, and its record may be on its way: the executable is not
            // that of the program before it.
            evidence.exec = evidence.exec.or(evidence.exe.take());
        }
        let mut process = self.make(facts.tgid, facts.uid, 0, &evidence);
        process.parent_tgid = facts.parent_tgid;
        process.netns = facts.netns;
        process.login = facts.login.clone().map(Arc::new);
        process.terminal = facts.terminal;
        process.cgroup = facts.cgroup.as_deref().map(|path| self.cache.text(path));
        if !facts.args.is_empty() {
            process.args = facts.args.clone().into();
        }
        process.read_ns = facts.read_ns;
        process.asked = true;
        self.inherit(&mut process, facts.read_ns);
        process
    }

    /// A program as records alone tell of it.
    pub(super) fn without_facts(&mut self, process: &Process, at_ns: u64) -> Process {
        let Told {
            file,
            exec,
            arg0,
            comm,
        } = &process.told;
        let evidence = Evidence {
            file: file.as_deref(),
            exec: exec.as_deref(),
            arg0: arg0.as_deref(),
            comm: comm.as_deref().unwrap_or_default(),
            ..Evidence::default()
        };
        let ProcessRef {
            tgid,
            uid,
            cgroup_id,
            instance,
            program,
            ..
        } = process.reference;
        let mut plain = self.make(tgid, uid, cgroup_id, &evidence);
        plain.reference.instance = instance;
        plain.reference.program = program;
        let mut plain = Process {
            claim: plain.claim,
            reference: plain.reference,
            has_roles: plain.has_roles,
            args: Arc::clone(&self.no_args),
            read_ns: 0,
            ..process.clone()
        };
        self.inherit(&mut plain, at_ns);
        plain
    }
}
