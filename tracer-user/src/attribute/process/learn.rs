//! What the table learns from records, in whatever order they come.
#![forbid(unsafe_code)]

use std::{mem, sync::Arc};

use super::{
    Process, ProcessTable,
    life::{Began, Life, Told},
};
use crate::{
    attribute::{
        Claim, ProcessRef, Quality,
        rules::{Evidence, text::is_file},
    },
    event::{Owner, ProcessEvent},
    signal::Login,
};

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
        let lives = self
            .by_tgid
            .get_mut(&owner.tgid)
            .map(Vec::as_mut_slice)
            .unwrap_or_default();
        let count = lives.len();
        let found = lives.iter().rposition(|life| life.had_begun(at_ns));
        let Some((index, life)) = found.and_then(|index| Some((index, lives.get_mut(index)?))) else {
            // Older than the processes known of this id, it is none of them.
            if count == 0 {
                self.first_seen(owner, at_ns);
            }
            return count == 0;
        };
        let is_last = index + 1 == count;
        if life.exit_ns.is_some_and(|exit| at_ns > exit) {
            // A task that acts after its exit is another task.
            if is_last {
                self.first_seen(owner, at_ns);
            }
            return is_last;
        }
        let alive = is_last && life.exit_ns.is_none();
        let latest = life.latest().map(|process| process.reference.program);
        let serial = life.serial;
        let Some(process) = life.at_mut(at_ns) else {
            self.seen_before_exec(owner, at_ns, serial);
            return false;
        };
        // /proc tells the path of a cgroup, not its id.
        if process.reference.cgroup_id == 0 {
            process.reference.cgroup_id = owner.cgroup_id;
        }
        if process.told.comm.is_none() {
            process.told.comm = Some(self.cache.text(&owner.comm.to_text()));
        }
        alive && latest == Some(process.reference.program) && !mem::replace(&mut process.asked, true)
    }

    /// A process of which nothing is known but its thread's name.
    fn first_seen(&mut self, owner: &Owner, at_ns: u64) {
        let process = self.by_thread(owner);
        self.begin(owner.tgid, None, at_ns, process);
    }

    fn by_thread(&mut self, owner: &Owner) -> Process {
        let comm = owner.comm.to_text();
        let evidence = Evidence {
            comm: &comm,
            ..Evidence::default()
        };
        let mut process = self.make(owner.tgid, owner.uid, owner.cgroup_id, &evidence);
        process.told.comm = Some(Arc::clone(&process.reference.comm));
        process.asked = true;
        process
    }

    /// An owner at a time before the first exec that is known of it: what it was then, /proc cannot tell any more.
    fn seen_before_exec(&mut self, owner: &Owner, at_ns: u64, serial: u64) {
        let mut process = self.by_thread(owner);
        let life = self.life(owner.tgid, serial);
        let Some(next) = life
            .filter(|life| life.has_room_before())
            .and_then(|life| life.first().cloned())
        else {
            return;
        };
        process.parent_tgid = next.parent_tgid;
        process.login = next.login;
        process.reference.instance = serial;
        self.inherit(&mut process, at_ns);
        if let Some(life) = self.life(owner.tgid, serial) {
            life.was_before(process);
        }
    }

    fn exec(&mut self, event: &ProcessEvent) {
        let comm = event.comm.to_text();
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (file, exec, arg0) = (some(&event.file_name), some(&event.filename), some(&event.arg0));
        let evidence = Evidence {
            file: file.as_deref(),
            exec: exec.as_deref(),
            arg0: arg0.as_deref(),
            comm: &comm,
            ..Evidence::default()
        };
        let mut process = self.make(event.tgid, event.uid, event.cgroup_id, &evidence);
        process.parent_tgid = event.parent_tgid;
        process.since_ns = event.at_ns;
        process.began = Began::Exec;
        process.told = Told {
            file: evidence.file.map(|name| self.cache.text(name)),
            exec: evidence.exec.map(|path| self.cache.text(path)),
            arg0: evidence.arg0.map(|arg0| self.cache.text(arg0)),
            comm: Some(Arc::clone(&process.reference.comm)),
        };
        process.login = self.login_of(event.parent_tgid, event.at_ns);
        let start_ns = known(event.start_ns);
        let Some(life) = self.latest_of(event.tgid, start_ns) else {
            self.begin(event.tgid, start_ns, event.at_ns, process);
            return;
        };
        life.started(start_ns);
        let serial = life.serial;
        let named = |exe: &str| event.file_name.is_empty() || is_file(exe, &event.file_name);
        // What /proc told of as another program is this one.
        if life.latest().is_some_and(|last| {
            last.began == Began::Unseen
                && (event.at_ns <= last.since_ns || last.reference.exe.as_deref().is_some_and(named))
        }) {
            life.take_back();
        }
        let Some(last) = life.latest().cloned() else {
            return;
        };
        // What /proc said after the exec, or while it went on, was said of the new program.
        let said_of_this = last.read_ns >= event.at_ns
            || (last.began != Began::Exec && last.reference.exe.as_deref().is_some_and(named));
        let before = (last.read_ns > 0 && said_of_this).then(|| self.without_facts(&last, event.at_ns));
        // A login outlives exec.
        if let Some(login) = last.login {
            process.login = Some(login);
        }
        process.reference.instance = serial;
        self.with_life(event.tgid, serial, |life| {
            if let (Some(before), Some(last)) = (before, life.latest_mut()) {
                *last = before;
            }
            life.exec(process);
        });
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

    pub(super) fn with_life(&mut self, tgid: u32, serial: u64, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.life(tgid, serial) {
            change(life);
        }
    }

    pub(super) fn life(&mut self, tgid: u32, serial: u64) -> Option<&mut Life> {
        self.by_tgid
            .get_mut(&tgid)?
            .iter_mut()
            .find(|life| life.serial == serial)
    }

    pub(super) fn make(&mut self, tgid: u32, uid: u32, cgroup_id: u64, evidence: &Evidence<'_>) -> Process {
        let claim = self.cache.claim(evidence);
        let comm = self.cache.text(evidence.comm);
        let exe = evidence.path().map(|path| self.cache.text(path));
        self.programs += 1;
        Process {
            reference: ProcessRef {
                tgid,
                instance: 0,
                program: self.programs,
                uid,
                cgroup_id,
                comm,
                exe,
                exe_known: evidence.file.or(evidence.exe).is_some(),
            },
            has_roles: self.cache.has_roles(&claim),
            claim,
            since_ns: 0,
            parent_tgid: 0,
            netns: None,
            cgroup: None,
            args: Arc::clone(&self.no_args),
            login: None,
            terminal: false,
            told: Told::default(),
            read_ns: 0,
            began: Began::Before,
            asked: false,
        }
    }

    /// The login a child has from its parent, as long as /proc has not told of the child.
    fn login_of(&self, parent_tgid: u32, at_ns: u64) -> Option<Arc<Login>> {
        self.who(parent_tgid, at_ns)?.login.clone()
    }

    /// A child that was forked and began no program of its own is its parent's program: if it still has its
    /// parent's name, and nothing better is known.
    pub(super) fn inherit(&mut self, child: &mut Process, at_ns: u64) {
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
            // Whoever forked it may have ended, and its children have another parent since.
            quality: parent.claim.quality.max(Quality::Exec),
            by,
            place: parent.claim.place.clone(),
        };
        child.reference.exe.clone_from(&parent.reference.exe);
        child.has_roles = parent.has_roles;
        child.claim = Arc::new(claim);
    }
}

/// 0 is how records and facts say that a time is not known.
pub(super) fn known(time_ns: u64) -> Option<u64> {
    Some(time_ns).filter(|time| *time > 0)
}
