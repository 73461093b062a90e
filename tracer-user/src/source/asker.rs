//! Asks /proc about every process that owns a socket, and about its ancestors, once each.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{
    live::Sink,
    peek::{About, about},
};
use crate::{
    attribute::{process::ANCESTORS_MAX, procfs::Procfs, rules::Rules},
    clock,
    hash::IdSet,
    signal::{ProcessFacts, Signal},
};

/// Processes remembered as asked about, before all are forgotten and asked again.
const ASKED_MAX: usize = 1 << 16;

/// /proc, and whom it was asked about.
pub(super) struct Asker {
    procfs: Procfs,
    rules: Arc<Rules>,
    asked: IdSet<u32>,
    /// Answers that wait until their ancestors' are told.
    waiting: Vec<ProcessFacts>,
}

impl Asker {
    pub(super) fn new(procfs: Procfs, rules: Arc<Rules>) -> Self {
        Self {
            procfs,
            rules,
            asked: IdSet::default(),
            waiting: Vec::new(),
        }
    }

    /// Tells what /proc says about the process of a record and its ancestors, before the record itself. Costs nothing
    /// but a look-up for a process that was asked about before.
    pub(super) fn ask(&mut self, raw: &[u8], sink: &mut Sink<'_>) {
        match about(raw) {
            About::Owner(tgid) => self.tell(tgid, sink),
            About::Changed(tgid) => {
                self.asked.remove(&tgid);
            }
            About::Nobody => {}
        }
    }

    /// Records were lost: anybody may have become another program, and is asked about again.
    pub(super) fn forget(&mut self) {
        self.asked.clear();
    }

    /// Oldest first: a child that did no exec is known by its parent.
    fn tell(&mut self, tgid: u32, sink: &mut Sink<'_>) {
        if self.asked.len() >= ASKED_MAX {
            self.asked.clear();
        }
        let mut next = tgid;
        while next != 0 && self.waiting.len() <= ANCESTORS_MAX && self.asked.insert(next) {
            let Some(facts) = self.procfs.read(next, clock::boot_ns(), &self.rules) else {
                break;
            };
            next = facts.parent_tgid;
            self.waiting.push(facts);
        }
        for facts in self.waiting.drain(..).rev() {
            sink(&Signal::Process(&facts));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use tracer_common::wire::{Owner, ProcessRecord, SocketRecord, flag, kind};
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    /// A /proc tree in a directory of its own, removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, parents: impl IntoIterator<Item = (u32, u32)>) -> Self {
            let root = std::env::temp_dir().join(format!("kcn-trace-asker-{}-{name}", std::process::id()));
            for (tgid, parent) in parents {
                let dir = root.join(tgid.to_string());
                fs::create_dir_all(&dir).unwrap();
                let zeros = "0 ".repeat(17);
                fs::write(dir.join("stat"), format!("{tgid} (x) S {parent} {zeros}42\n")).unwrap();
            }
            Self(root)
        }

        fn asker(&self) -> Asker {
            Asker::new(Procfs::new(self.0.clone()), Arc::new(Rules::load(None).unwrap()))
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn opened(tgid: u32) -> SocketRecord {
        let mut record = SocketRecord {
            owner: Owner {
                tgid,
                ..Owner::default()
            },
            flags: flag::OWNER,
            ..SocketRecord::default()
        };
        record.header.kind = kind::OPENED;
        record
    }

    fn told(asker: &mut Asker, raw: &[u8]) -> Vec<u32> {
        let mut told = Vec::new();
        asker.ask(raw, &mut |signal| {
            if let Signal::Process(facts) = signal {
                told.push(facts.tgid);
            }
        });
        told
    }

    #[test]
    fn ancestors_are_told_before_their_children_and_each_once() {
        let tree = Tree::new("line", [(1, 0), (10, 1), (20, 10), (30, 20), (40, 20)]);
        let mut asker = tree.asker();
        assert_eq!(told(&mut asker, opened(30).as_bytes()), [1, 10, 20, 30]);
        assert_eq!(told(&mut asker, opened(30).as_bytes()), [0_u32; 0]);
        assert_eq!(told(&mut asker, opened(40).as_bytes()), [40]);
        assert_eq!(told(&mut asker, opened(99).as_bytes()), [0_u32; 0], "it is gone");
    }

    #[test]
    fn a_process_that_became_another_program_is_asked_again_without_its_ancestors() {
        let tree = Tree::new("exec", [(10, 1), (20, 10)]);
        let mut asker = tree.asker();
        assert_eq!(
            told(&mut asker, opened(20).as_bytes()),
            [10, 20],
            "pid 1 is hidden"
        );
        let mut record = ProcessRecord::new_zeroed();
        record.tgid = 20;
        record.header.kind = kind::EXEC;
        assert_eq!(told(&mut asker, record.as_bytes()), [0_u32; 0]);
        assert_eq!(told(&mut asker, opened(20).as_bytes()), [20]);
    }

    #[test]
    fn after_a_loss_all_are_asked_about_again() {
        let tree = Tree::new("loss", [(10, 1)]);
        let mut asker = tree.asker();
        assert_eq!(told(&mut asker, opened(10).as_bytes()), [10]);
        asker.forget();
        assert_eq!(told(&mut asker, opened(10).as_bytes()), [10]);
    }

    #[test]
    fn a_long_line_and_a_circle_end() {
        let line = (100..200).map(|tgid| (tgid, tgid - 1));
        let tree = Tree::new("long", line.chain([(10, 20), (20, 10)]));
        let mut asker = tree.asker();
        assert_eq!(told(&mut asker, opened(199).as_bytes()).len(), ANCESTORS_MAX + 1);
        assert_eq!(told(&mut asker, opened(10).as_bytes()), [20, 10]);
    }
}
