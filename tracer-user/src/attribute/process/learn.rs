//! What the table learns, from whom, in whatever order it comes.
#![forbid(unsafe_code)]

use std::{mem, sync::Arc};

use super::{Process, ProcessTable, life::Life};
use crate::{
    attribute::ProcessRef,
    attribute::{Claim, Quality, rules::Evidence},
    event::{Owner, ProcessEvent},
    signal::{Login, ProcessFacts},
};

/// What is known already of the process that facts are about.
struct About {
    serial: Option<u64>,
    exec: Option<Arc<str>>,
    arg0: Option<Arc<str>>,
    cgroup_id: u64,
    /// Another process has the id since: too late to matter.
    outdated: bool,
}

impl ProcessTable {
    /// A process began a program, or ended.
    pub fn event(&mut self, event: &ProcessEvent) {
        if event.exit {
            self.exit(event);
        } else {
            self.exec(event);
        }
    }

    /// An owner was taken at a hook. Call it with the time of the hook (a socket's first-seen time, or the time of a
    /// snapshot), not with that of a later event of the socket.
    ///
    /// True when /proc should now be asked about it: once for each program.
    pub fn seen(&mut self, owner: &Owner, at_ns: u64) -> bool {
        let lives = self.by_tgid.get_mut(&owner.tgid);
        let latest = lives.and_then(|lives| lives.last_mut());
        // A task that acts after its exit is another task.
        if let Some(life) = latest.filter(|life| life.exit_ns.is_none_or(|exit| at_ns <= exit)) {
            let alive = life.exit_ns.is_none();
            return alive
                && life.latest_mut().is_some_and(|process| {
                    // /proc tells the path of a cgroup, not its id.
                    if process.reference.cgroup_id == 0 {
                        process.reference.cgroup_id = owner.cgroup_id;
                    }
                    !mem::replace(&mut process.asked, true)
                });
        }
        let comm = owner.comm.to_text();
        let evidence = Evidence {
            comm: &comm,
            ..Evidence::default()
        };
        let mut process = self.make(owner.tgid, owner.uid, owner.cgroup_id, &evidence);
        process.asked = true;
        self.begin(owner.tgid, None, at_ns, process);
        true
    }

    /// What /proc told. Applied to the program the process was when it was read; facts about a process that has
    /// taken over the id since change nothing about the one before it.
    pub fn facts(&mut self, facts: &ProcessFacts) {
        let start_ns = known(facts.start_ns);
        let about = self.about(facts, start_ns);
        let mut evidence = Evidence::of(facts, about.exec.as_deref());
        evidence.arg0 = evidence.arg0.or(about.arg0.as_deref());
        let mut process = self.make(facts.tgid, facts.uid, about.cgroup_id, &evidence);
        process.parent_tgid = facts.parent_tgid;
        process.netns = facts.netns;
        process.login = facts.login.clone().map(Arc::new);
        process.cgroup = facts.cgroup.as_deref().map(|path| self.cache.text(path));
        if !facts.args.is_empty() {
            process.args = facts.args.clone().into();
        }
        process.asked = true;
        self.inherit(&mut process, facts.read_ns);
        if let Some(life) = about.serial.and_then(|serial| self.life(facts.tgid, serial)) {
            life.started(start_ns);
            life.replace_at(facts.read_ns, process);
        } else if !about.outdated {
            self.begin(facts.tgid, start_ns, start_ns.unwrap_or(facts.read_ns), process);
        }
    }

    /// What is known already of the process that facts are about.
    fn about(&self, facts: &ProcessFacts, start_ns: Option<u64>) -> About {
        let lives = self
            .by_tgid
            .get(&facts.tgid)
            .map_or(&[] as &[Life], Vec::as_slice);
        let life = lives.iter().rfind(|life| match start_ns {
            Some(start) => life.is_of(start),
            None => life.exit_ns.is_none_or(|exit| facts.read_ns <= exit),
        });
        let program = life.and_then(|life| life.at(facts.read_ns));
        let same = program.filter(|program| program.since_ns <= facts.read_ns);
        About {
            serial: life.map(|life| life.serial),
            exec: same.and_then(|program| program.exec.clone()),
            arg0: same.and_then(|program| program.arg0.clone()),
            cgroup_id: program.map_or(0, |program| program.reference.cgroup_id),
            outdated: start_ns.is_some_and(|start| lives.iter().any(|life| life.is_younger_than(start))),
        }
    }

    fn exec(&mut self, event: &ProcessEvent) {
        let comm = event.comm.to_text();
        let exec = Some(event.filename.as_str()).filter(|path| !path.is_empty());
        let arg0 = Some(event.arg0.as_str()).filter(|arg0| !arg0.is_empty());
        let evidence = Evidence {
            exe: None,
            exec,
            arg0,
            word: None,
            comm: &comm,
        };
        let mut process = self.make(event.tgid, event.uid, event.cgroup_id, &evidence);
        process.parent_tgid = event.parent_tgid;
        process.since_ns = event.at_ns;
        process.exec = exec.map(|path| self.cache.text(path));
        process.arg0 = arg0.map(|arg0| self.cache.text(arg0));
        process.login = self.login_of(event.parent_tgid, event.at_ns);
        let start_ns = known(event.start_ns);
        if let Some(life) = self.latest_of(event.tgid, start_ns) {
            life.started(start_ns);
            // A login outlives exec.
            if let Some(login) = life.latest().and_then(|before| before.login.clone()) {
                process.login = Some(login);
            }
            life.exec(process);
        } else {
            self.begin(event.tgid, start_ns, event.at_ns, process);
        }
    }

    fn exit(&mut self, event: &ProcessEvent) {
        let start_ns = known(event.start_ns);
        // A process nobody had to do with so far will not be asked about either.
        let Some(life) = self.latest_of(event.tgid, start_ns) else {
            return;
        };
        life.started(start_ns);
        let serial = life.serial;
        let mut last = life.latest().cloned();
        // Known by a thread's name only, and /proc cannot be asked any more.
        if let Some(process) = last.as_mut().filter(|process| process.parent_tgid == 0) {
            process.parent_tgid = event.parent_tgid;
            process.login = self.login_of(event.parent_tgid, event.at_ns);
            self.inherit(process, event.at_ns);
        }
        if let (Some(last), Some(life)) = (last, self.life(event.tgid, serial)) {
            life.latest_mut()
                .into_iter()
                .for_each(|process| *process = last.clone());
        }
        self.end(event.tgid, serial, event.at_ns);
    }

    /// The living process of an id, if its start does not contradict.
    fn latest_of(&mut self, tgid: u32, start_ns: Option<u64>) -> Option<&mut Life> {
        let life = self.by_tgid.get_mut(&tgid)?.last_mut()?;
        let same = life.exit_ns.is_none() && start_ns.is_none_or(|start| life.is_of(start));
        same.then_some(life)
    }

    fn life(&mut self, tgid: u32, serial: u64) -> Option<&mut Life> {
        self.by_tgid
            .get_mut(&tgid)?
            .iter_mut()
            .find(|life| life.serial == serial)
    }

    fn make(&mut self, tgid: u32, uid: u32, cgroup_id: u64, evidence: &Evidence<'_>) -> Process {
        let claim = self.cache.claim(evidence);
        let comm = self.cache.text(evidence.comm);
        let exe = evidence.exe.or(evidence.exec).map(|path| self.cache.text(path));
        Process {
            reference: ProcessRef {
                tgid,
                uid,
                cgroup_id,
                comm,
                exe,
            },
            has_roles: self.cache.has_roles(&claim),
            claim,
            since_ns: 0,
            parent_tgid: 0,
            netns: None,
            cgroup: None,
            args: Arc::clone(&self.no_args),
            login: None,
            exec: None,
            arg0: None,
            asked: false,
        }
    }

    /// The login a child has from its parent, as long as /proc has not told of the child.
    fn login_of(&self, parent_tgid: u32, at_ns: u64) -> Option<Arc<Login>> {
        self.who(parent_tgid, at_ns)?.login.clone()
    }

    /// A child that was forked and began no program of its own is its parent's program: if it still has its
    /// parent's name, and nothing better is known.
    fn inherit(&mut self, child: &mut Process, at_ns: u64) {
        if child.claim.quality != Quality::Comm || child.parent_tgid == child.reference.tgid {
            return;
        }
        let Some(parent) = self.who(child.parent_tgid, at_ns) else {
            return;
        };
        let better = parent.claim.quality < Quality::Comm && parent.reference.comm == child.reference.comm;
        if !better {
            return;
        }
        let by = format!(
            "forked by {} without exec: {}",
            child.parent_tgid, parent.claim.by
        );
        let claim = Claim {
            who: parent.claim.who.clone(),
            quality: parent.claim.quality,
            by,
            place: parent.claim.place.clone(),
        };
        child.reference.exe.clone_from(&parent.reference.exe);
        child.has_roles = parent.has_roles;
        child.claim = Arc::new(claim);
    }
}

/// 0 is how records and facts say that a time is not known.
fn known(time_ns: u64) -> Option<u64> {
    Some(time_ns).filter(|time| *time > 0)
}
