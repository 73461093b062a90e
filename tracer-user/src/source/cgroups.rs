//! The cgroup v2 tree as it is when the tracer starts: every directory with its id, which is its inode.
#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    fs,
    io::Read,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::signal::Degraded;

/// Directories told: a node has a few hundred, `DefaultTasksMax` far fewer than this.
const DIRECTORIES_MAX: usize = 65_536;
/// Levels below the root: nested clusters have about twenty.
const DEPTH_MAX: usize = 64;
/// Bytes read of a mount table.
const MOUNTS_BYTES: u64 = 4 * 1024 * 1024;
/// `CGROUP2_SUPER_MAGIC` (linux/magic.h).
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// A mounted cgroup v2 tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// Where it can be read.
    mount: PathBuf,
    /// What of the hierarchy is mounted there: `/`, or a part.
    root: String,
}

/// What a walk found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walked {
    /// Directories told.
    pub(super) told: usize,
    /// Directories that could not be listed, though they are still there.
    unreadable: usize,
    /// A limit was reached.
    cut: bool,
}

/// The v2 tree of the machine, or the largest part of it that can be seen from here; absent where none is mounted.
///
/// Pid 1 comes first: a container's own view may end at its own cgroup, and `ip netns exec` hides the tree.
pub(super) fn find(proc: &Path) -> Option<Tree> {
    ["1", "self"].into_iter().find_map(|pid| {
        let base = proc.join(pid);
        let table = mount_table(&base.join("mountinfo"))?;
        let mut trees: Vec<Tree> = mounts(&table)
            .map(|(root, mount)| Tree {
                mount: base.join("root").join(mount.trim_start_matches('/')),
                root,
            })
            .collect();
        trees.sort_by_key(|tree| tree.root.len());
        trees.into_iter().find(|tree| is_cgroup2(&tree.mount))
    })
}

impl Tree {
    /// Tells id and path of every directory, parents first.
    pub(super) fn walk(&self, each: impl FnMut(u64, &str)) -> Walked {
        walk(&self.mount, &self.root, DIRECTORIES_MAX, each)
    }
}

impl Walked {
    /// What the user should know of a walk that did not see everything.
    pub(super) fn degraded(self) -> Option<Degraded> {
        let (why, remedy) = match (self.unreadable, self.cut) {
            (0, false) => return None,
            (0, true) => (
                format!("the cgroup tree has more than {} directories", self.told),
                "remove cgroups nobody uses; containers that start from now on are known",
            ),
            (unreadable, _) => (
                format!("{unreadable} directories of the cgroup tree could not be read"),
                "run as root, with the host's cgroup tree readable",
            ),
        };
        Some(Degraded {
            what: "some containers that are older than the tracer have no name by cgroup".to_owned(),
            why,
            remedy: remedy.to_owned(),
        })
    }
}

fn mount_table(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(MOUNTS_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Root and mount point of the cgroup2 mounts in a mountinfo file: proc_pid_mountinfo(5).
fn mounts(table: &str) -> impl Iterator<Item = (String, String)> {
    table.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let (root, point) = (fields.nth(3)?, fields.next()?);
        (kind.split(' ').next() == Some("cgroup2")).then(|| (unescape(root), unescape(point)))
    })
}

/// `\040` is a space: the kernel writes blanks and backslashes so.
fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|code| u8::from_str_radix(code, 8).ok());
        match (code.filter(u8::is_ascii), part.get(3..)) {
            (Some(code), Some(rest)) => {
                text.push(char::from(code));
                text.push_str(rest);
            }
            (Some(_) | None, _) => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

/// What is mounted there now: another file system may lie on top of it.
fn is_cgroup2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(CGROUP2_MAGIC))
}

fn walk(mount: &Path, root: &str, most: usize, mut each: impl FnMut(u64, &str)) -> Walked {
    let mut walked = Walked::default();
    let root = root.trim_end_matches('/');
    let Ok(metadata) = fs::metadata(mount) else {
        walked.unreadable = 1;
        return walked;
    };
    each(metadata.ino(), if root.is_empty() { "/" } else { root });
    walked.told = 1;
    let mut waiting = VecDeque::from([(String::new(), 0)]);
    while let Some((below, depth)) = waiting.pop_front() {
        let directory = mount.join(below.trim_start_matches('/'));
        let Ok(entries) = fs::read_dir(&directory) else {
            // One that was removed in the meantime is no loss.
            walked.unreadable += usize::from(directory.exists());
            continue;
        };
        for entry in entries.flatten() {
            // Links would lead out of the tree; the cgroup file system has none.
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if walked.told >= most || depth >= DEPTH_MAX {
                walked.cut = true;
                break;
            }
            let path = format!("{below}/{}", entry.file_name().to_string_lossy());
            each(entry.ino(), &format!("{root}{path}"));
            walked.told += 1;
            waiting.push_back((path, depth + 1));
        }
    }
    walked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_found_wherever_it_is_mounted() {
        let cases: &[(&str, &str, &[(&str, &str)])] = &[
            (
                "unified",
                "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
                &[("/", "/sys/fs/cgroup")],
            ),
            (
                "hybrid",
                "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                 41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
                &[("/", "/sys/fs/cgroup/unified")],
            ),
            (
                "a part, in a container",
                "41 31 0:38 /kubepods/a /sys/fs/cgroup ro master:4 - cgroup2 cgroup rw\n",
                &[("/kubepods/a", "/sys/fs/cgroup")],
            ),
            (
                "a path with a space",
                "41 31 0:38 / /my\\040cgroups rw - cgroup2 none rw\n",
                &[("/", "/my cgroups")],
            ),
            (
                "v1 only",
                "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
                &[],
            ),
            ("nonsense", "x\n\n - cgroup2\n1 2 3 - cgroup2 a b\n", &[]),
        ];
        for (name, table, want) in cases {
            let found: Vec<_> = mounts(table).collect();
            let found: Vec<_> = found
                .iter()
                .map(|(root, point)| (root.as_str(), point.as_str()))
                .collect();
            assert_eq!(found, *want, "case: {name}");
        }
    }

    #[test]
    fn escapes_of_the_mount_table_are_undone_and_others_kept() {
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
        assert_eq!(unescape("/a\\xyz\\0"), "/a\\xyz\\0");
        assert_eq!(unescape("\\377é\\"), "\\377é\\");
    }

    /// A directory of its own, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kcn-trace-cgroups-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn told(mount: &Path, root: &str, most: usize) -> (Vec<(u64, String)>, Walked) {
        let mut told = Vec::new();
        let walked = walk(mount, root, most, |id, path| told.push((id, path.to_owned())));
        (told, walked)
    }

    #[test]
    fn every_directory_is_told_with_its_inode_parents_first() {
        let scratch = Scratch::new("walk");
        fs::create_dir_all(scratch.0.join("kubepods/burstable/pod1")).unwrap();
        fs::create_dir_all(scratch.0.join("init.scope")).unwrap();
        fs::write(scratch.0.join("cgroup.procs"), "1\n").unwrap();
        std::os::unix::fs::symlink("/", scratch.0.join("out")).unwrap();
        let (found, walked) = told(&scratch.0, "/", 100);
        let mut paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths.first(), Some(&"/"));
        paths.sort_unstable();
        assert_eq!(
            paths,
            [
                "/",
                "/init.scope",
                "/kubepods",
                "/kubepods/burstable",
                "/kubepods/burstable/pod1"
            ]
        );
        for (id, path) in &found {
            let metadata = fs::metadata(scratch.0.join(path.trim_start_matches('/'))).unwrap();
            assert_eq!(*id, metadata.ino(), "{path}");
        }
        assert_eq!((walked.told, walked.degraded()), (5, None));
        let (found, _) = told(&scratch.0, "/part", 100);
        assert!(
            found.iter().all(|(_, path)| path.starts_with("/part")),
            "{found:?}"
        );
    }

    #[test]
    fn a_tree_without_end_is_cut_and_said_so() {
        let scratch = Scratch::new("cut");
        for number in 0..20 {
            fs::create_dir(scratch.0.join(number.to_string())).unwrap();
        }
        let (found, walked) = told(&scratch.0, "/", 10);
        assert_eq!(found.len(), 10);
        assert!(walked.degraded().unwrap().why.contains("more than 10"));
        let missing = told(&scratch.0.join("missing"), "/", 10).1;
        assert!(missing.degraded().unwrap().why.contains("could not be read"));
    }

    #[test]
    fn what_lies_on_another_file_system_is_no_tree() {
        assert!(!is_cgroup2(Path::new("/proc")));
        assert_eq!(find(Path::new("/nonexistent")), None);
    }
}
