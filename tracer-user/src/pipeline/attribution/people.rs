//! The person behind a process, and whether it calls itself what it is not: asked once for each program it was.
#![forbid(unsafe_code)]

use std::{collections::HashMap, sync::Arc};

use crate::attribute::{
    cgroup::CgroupPlace,
    human::human,
    place::Human,
    process::{Process, ProcessTable},
    rules::Rules,
    spoof::spoofed,
};

/// Answers remembered before all are forgotten and found again: about 100 bytes each.
const REMEMBERED_MAX: usize = 65_536;

/// What is found out about a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    pub(super) human: Option<Arc<Human>>,
    pub(super) spoofed: Option<Arc<str>>,
}

/// What an answer rests on: the program, when /proc told of it and whether it told its cgroup, and who was first in its container.
type Key = (u64, u64, bool, Option<u32>);

/// Answers so far.
#[derive(Debug, Default)]
pub(super) struct People(HashMap<Key, Person>);

impl People {
    /// Who is behind a process.
    pub(super) fn find(
        &mut self,
        process: &Process,
        at_ns: u64,
        place: Option<&CgroupPlace>,
        container_first_pid: Option<u32>,
        processes: &ProcessTable,
        rules: &Rules,
    ) -> Person {
        let tgid = process.reference.tgid;
        let key = (
            process.reference.program,
            process.read_ns(),
            process.cgroup.is_some(),
            container_first_pid,
        );
        if let Some(known) = self.0.get(&key) {
            return known.clone();
        }
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        let ancestors = processes.ancestors(tgid, at_ns);
        let person = Person {
            human: human(process, &ancestors, place, container_first_pid).map(Arc::new),
            spoofed: spoofed(process, place, rules).map(Arc::from),
        };
        self.0.insert(key, person.clone());
        person
    }
}
