//! Reads facts about processes from a /proc tree, which is given: the machine's, a host's inside a container, a test's.
//!
//! Never fails as a whole: what cannot be read is absent. Keeps nothing of a command line that is not harmless.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;
mod text;
mod users;

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use users::Users;

use super::rules::{Rules, text::without_deleted};
use crate::signal::{Login, ProcessFacts};

/// Bytes read of one file: the whitelisted flags of every component known are in the first few KiB.
const FILE_BYTES: u64 = 64 * 1024;

/// `USER_HZ` on every architecture eBPF runs on, for when auxv cannot be read.
const USUAL_TICKS_PER_SECOND: u64 = 100;

/// `(uid_t)-1`, which no user has: for when the user id cannot be read. 0 would make it root's.
const NO_UID: u32 = u32::MAX;

/// The cgroup namespace of a machine that has started: `PROC_CGROUP_INIT_INO` (`linux/proc_ns.h`).
const INITIAL_CGROUP_NAMESPACE: &str = "cgroup:[4026531835]";

/// A /proc tree.
#[derive(Clone, Debug)]
pub struct Procfs {
    root: PathBuf,
    tick_ns: u64,
    users: Arc<Users>,
}

impl Procfs {
    /// The tree at `root`, usually `/proc`.
    pub fn new(root: PathBuf) -> Self {
        let auxv = read(&root.join("self/auxv"));
        let ticks = auxv
            .and_then(|bytes| text::clock_ticks(&bytes))
            .unwrap_or(USUAL_TICKS_PER_SECOND);
        Self {
            root,
            tick_ns: 1_000_000_000 / ticks,
            users: Arc::default(),
        }
    }

    /// The same tree, with names for those who logged in.
    #[must_use]
    pub fn with_users(self, users: Users) -> Self {
        Self {
            users: Arc::new(users),
            ..self
        }
    }

    /// Facts about one process. `now_ns` is `CLOCK_BOOTTIME` before the call. `None` if it does not exist, or was
    /// replaced by another while it was read.
    pub fn read(&self, tgid: u32, now_ns: u64, rules: &Rules) -> Option<ProcessFacts> {
        let dir = self.root.join(tgid.to_string());
        // An exec in between changes everything at once: then the second attempt sees the new program.
        self.read_once(&dir, tgid, now_ns, rules)
            .or_else(|| self.read_once(&dir, tgid, now_ns, rules))
    }

    fn read_once(&self, dir: &Path, tgid: u32, now_ns: u64, rules: &Rules) -> Option<ProcessFacts> {
        let before = text::stat(&read(&dir.join("stat"))?)?;
        let exe = link(&dir.join("exe"));
        let status = read(&dir.join("status"))
            .map(|bytes| text::status(&bytes))
            .unwrap_or_default();
        let cmdline = read(&dir.join("cmdline"))
            .map(whole_arguments)
            .unwrap_or_default();
        let exe_path = exe.as_deref().map(without_deleted);
        let facts = ProcessFacts {
            tgid,
            parent_tgid: before.parent,
            uid: status.uid.unwrap_or(NO_UID),
            start_ns: before.start_ticks.saturating_mul(self.tick_ns),
            read_ns: now_ns,
            comm: before.comm.clone(),
            exe: exe_path.map(String::from),
            args: rules.harmless_args(exe_path, &cmdline),
            cgroup: read(&dir.join("cgroup")).and_then(|bytes| text::cgroup(&bytes)),
            login: self.login(dir),
            terminal: before.terminal,
            netns: self.netns(tgid),
        };
        let after = text::stat(&read(&dir.join("stat"))?)?;
        // The name of one program with the executable of the next would look like a lie of the process.
        let same = before.start_ticks == after.start_ticks
            && before.comm == after.comm
            && exe == link(&dir.join("exe"));
        // A thread has a directory as well, which is not listed.
        (same && status.tgid.is_none_or(|id| id == tgid)).then_some(facts)
    }

    /// Who logged in, by the kernel's audit fields; absent for daemons, and where the kernel has none.
    fn login(&self, dir: &Path) -> Option<Login> {
        let uid = text::audit_id(&read(&dir.join("loginuid"))?)?;
        Some(Login {
            uid,
            name: self.users.name(uid).map(String::from),
            session: read(&dir.join("sessionid")).and_then(|bytes| text::audit_id(&bytes)),
        })
    }

    /// Cgroup of pid 1, if its path is seen from the root of the whole hierarchy: by us, or at least by pid 1 itself.
    pub fn first_process_cgroup(&self) -> Option<String> {
        let sees_all = |pid: &str| {
            let link = link(&self.root.join(pid).join("ns/cgroup"));
            link.is_some_and(|link| link == INITIAL_CGROUP_NAMESPACE)
        };
        let path = text::cgroup(&read(&self.root.join("1/cgroup"))?)?;
        if sees_all("self") {
            return Some(path);
        }
        // From a namespace of our own, its path begins with the way up.
        let below = path.trim_start_matches("/..");
        sees_all("1").then(|| below.to_owned())
    }

    /// Network namespace inode of a process.
    pub fn netns(&self, tgid: u32) -> Option<u32> {
        text::namespace_inode(&link(&self.root.join(tgid.to_string()).join("ns/net"))?)
    }

    /// All processes, in order.
    pub fn tgids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut tgids: Vec<u32> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        tgids.sort_unstable();
        tgids
    }

    /// Named network namespaces, by inode, from a directory such as /run/netns. In order of names.
    pub fn named_netns(&self, dir: &Path) -> Vec<(u32, String)> {
        // A name left behind without its mount is an ordinary file of another file system.
        let device = fs::metadata(self.root.join("self/ns/net"))
            .map(|meta| meta.dev())
            .ok();
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names: Vec<(u32, String)> = entries
            .filter_map(|entry| {
                let meta = fs::metadata(entry.path()).ok()?;
                let mounted = device.is_none_or(|device| device == meta.dev());
                let inode = u32::try_from(meta.ino()).ok().filter(|_| mounted)?;
                Some((inode, entry.file_name().to_string_lossy().into_owned()))
            })
            .collect();
        names.sort_by(|a, b| a.1.cmp(&b.1));
        names
    }
}

/// The beginning of a file; absent if it cannot be read.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(FILE_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// Drops an argument that was cut off: half a value may have lost the mark that shows it to be a secret.
fn whole_arguments(mut cmdline: Vec<u8>) -> Vec<u8> {
    if u64::try_from(cmdline.len()).is_ok_and(|length| length >= FILE_BYTES) {
        let end = cmdline.iter().rposition(|byte| *byte == 0).unwrap_or_default();
        cmdline.truncate(end);
    }
    cmdline
}

fn link(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.to_string_lossy().into_owned())
}
