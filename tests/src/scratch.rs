//! Directories that go away with their test, and that the next run removes when a test was killed.
//!
//! Temporary directories and cgroups are named `kcn-<pid>-<n>`; what runs in such a cgroup belongs to it. Network namespaces need no such care: see netns.rs.

use crate::wait::{patience, until_true};
use anyhow::{Context, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

/// A temporary directory, removed on drop.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes an empty directory of a name nobody else has.
    pub fn new() -> Result<Self> {
        SWEPT.call_once(sweep);
        let path = std::env::temp_dir().join(fresh_name());
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its name, which nothing else of these tests has.
    pub fn name(&self) -> Result<&str> {
        let name = self.0.file_name().and_then(|name| name.to_str());
        name.context("a temporary directory has no name")
    }

    /// The path of an entry of it, which need not exist.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next run's sweep.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A cgroup of the unified hierarchy, removed on drop together with the cgroups below it.
#[derive(Debug)]
pub struct Cgroup {
    top: PathBuf,
    leaf: PathBuf,
}

impl Cgroup {
    /// Makes `below` (such as `kubepods/burstable/pod1234/abcd`) under a directory of a name nobody else has.
    pub fn new(below: &str) -> Result<Self> {
        SWEPT.call_once(sweep);
        Self::within(&fresh_name(), below)
    }

    /// Makes `below` under the directory `name`, which others may be under too.
    pub fn within(name: &str, below: &str) -> Result<Self> {
        let root = cgroup_root().context("this machine has no unified cgroup hierarchy mounted")?;
        let top = root.join(name);
        let leaf = top.join(below);
        fs::create_dir_all(&leaf).with_context(|| format!("cannot create cgroup {}", leaf.display()))?;
        Ok(Self { top, leaf })
    }

    /// The directory of the innermost cgroup.
    pub fn path(&self) -> &Path {
        &self.leaf
    }

    /// Its path as `/proc/PID/cgroup` shows it.
    pub fn name(&self) -> String {
        let root = cgroup_root().unwrap_or_default();
        format!(
            "/{}",
            self.leaf.strip_prefix(root).unwrap_or(&self.leaf).display()
        )
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(remove_cgroups(&self.top));
    }
}

/// The root of the unified hierarchy: alone on /sys/fs/cgroup, or beside the old ones on a hybrid machine.
pub fn cgroup_root() -> Option<PathBuf> {
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .map(PathBuf::from)
        .find(|root| root.join("cgroup.controllers").exists())
}

fn fresh_name() -> String {
    format!(
        "kcn-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Every cgroup hierarchy of the machine: the unified one, and on a hybrid machine the old ones beside it.
fn hierarchies() -> Vec<PathBuf> {
    let mount = PathBuf::from("/sys/fs/cgroup");
    let beside = fs::read_dir(&mount)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let beside: Vec<_> = beside.filter(|path| path.join("cgroup.procs").exists()).collect();
    if cgroup_root().as_ref() == Some(&mount) {
        vec![mount]
    } else {
        beside
    }
}

/// Ends all that runs in the cgroup `name`, however deep, and removes it from every hierarchy.
pub fn end_cgroups(name: &str) -> Result<()> {
    let Some(top) = cgroup_root().map(|root| root.join(name)) else {
        return Ok(());
    };
    // The kernel kills all of them at once, so none can start another; since Linux 5.14.
    if top.join("cgroup.kill").exists() {
        fs::write(top.join("cgroup.kill"), "1").context("cannot kill a cgroup")?;
    }
    until_true("cgroups can be removed", patience(), || {
        let all = hierarchies().into_iter().map(|root| root.join(name));
        Ok(all.filter(|top| top.exists()).fold(true, |removed, top| {
            let gone = remove_cgroups(&top);
            removed && gone.is_ok()
        }))
    })
}

/// Ends and removes what tests that were killed have left.
pub fn sweep() {
    for path in hierarchies().iter().flat_map(|root| left_over(root)) {
        // What still cannot be removed is tried again by the next run.
        drop(path.file_name().and_then(|name| name.to_str()).map(end_cgroups));
    }
    for path in left_over(&std::env::temp_dir()) {
        drop(fs::remove_dir_all(path));
    }
}

fn left_over(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| owner_is_gone(path))
        .collect()
}

fn owner_is_gone(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let pid = name
        .strip_prefix("kcn-")
        .and_then(|rest| rest.split_once('-'))
        .map(|(pid, _)| pid);
    pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
}

/// Cgroup directories hold only kernel files: they are removed from the inside out, each with one rmdir.
fn remove_cgroups(top: &Path) -> io::Result<()> {
    for entry in fs::read_dir(top)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroups(&entry.path())?;
        }
    }
    fs::remove_dir(top)
}
