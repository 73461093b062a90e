//! What /proc tells about processes: their network namespaces, the sockets they hold, who they are.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use tracer_common::wire::{COMM_LEN, Owner};

/// A file of /proc that is longer than this is not what it should be; the longest is a status of about 1.5 kB.
const FILE_MAX: u64 = 64 << 10;

/// Processes remembered per namespace: the way into it must not be lost with the first one that ends.
pub(super) const RESIDENTS_MAX: usize = 8;

/// The /proc to read, and where the cgroup v2 hierarchy is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proc<'a> {
    pub(super) root: &'a Path,
    pub(super) cgroup2: Option<&'a Path>,
}

/// A descriptor of a process that refers to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) tgid: u32,
    pub(super) fd: u32,
}

impl Proc<'_> {
    /// All processes now.
    fn processes(&self) -> io::Result<impl Iterator<Item = u32>> {
        Ok(numbers(fs::read_dir(self.root)?))
    }

    pub(super) fn path(&self, tgid: u32, rest: &str) -> PathBuf {
        self.root.join(tgid.to_string()).join(rest)
    }

    /// Every network namespace with the first [`RESIDENTS_MAX`] processes that live in it, and how many processes live
    /// in one that cannot be named.
    pub(super) fn namespaces(&self) -> io::Result<(BTreeMap<u32, Vec<u32>>, usize)> {
        let mut spaces: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut unreadable = Vec::new();
        for tgid in self.processes()? {
            match fs::read_link(self.path(tgid, "ns/net")) {
                Ok(target) => {
                    if let Some(inode) = inode_in(&target, "net:[") {
                        let residents = spaces.entry(inode).or_default();
                        if residents.len() < RESIDENTS_MAX {
                            residents.push(tgid);
                        }
                    }
                }
                // It has ended meanwhile, or it is a zombie, which has neither namespaces nor files.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_denied) => unreadable.push(tgid),
            }
        }
        // Everybody may look at /proc/PID/net, whose files have inodes of their own in every namespace.
        let mark = |tgid: u32| fs::metadata(self.path(tgid, "net/tcp")).map(|file| file.ino());
        let marks: HashSet<u64> = spaces
            .values()
            .filter_map(|residents| residents.iter().find_map(|tgid| mark(*tgid).ok()))
            .collect();
        unreadable.retain(|tgid| match mark(*tgid) {
            Ok(inode) => !marks.contains(&inode),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        });
        Ok((spaces, unreadable.len()))
    }

    /// Who holds the sockets with the inodes `wanted`. Processes whose files may not be read hold nothing.
    pub(super) fn holders(&self, wanted: &HashSet<u32>) -> io::Result<HashMap<u32, Vec<Holder>>> {
        let mut holders: HashMap<u32, Vec<Holder>> = HashMap::new();
        if wanted.is_empty() {
            return Ok(holders);
        }
        for tgid in self.processes()? {
            let dir = self.path(tgid, "fd");
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for fd in numbers(entries) {
                let Ok(target) = fs::read_link(dir.join(fd.to_string())) else {
                    continue;
                };
                if let Some(inode) = inode_in(&target, "socket:[").filter(|inode| wanted.contains(inode)) {
                    holders.entry(inode).or_default().push(Holder { tgid, fd });
                }
            }
        }
        Ok(holders)
    }

    /// Who `tgid` is; what cannot be read stays zero. The namespace is the socket's and is left to the caller.
    pub(super) fn owner(&self, tgid: u32) -> Owner {
        let bytes = |file| read(&self.path(tgid, file)).unwrap_or_default();
        let text = |file| String::from_utf8_lossy(&bytes(file)).into_owned();
        let mut comm = [0; COMM_LEN];
        let name = bytes("comm");
        for (room, byte) in comm.iter_mut().zip(
            name.strip_suffix(b"\n")
                .unwrap_or(&name)
                .iter()
                .take(COMM_LEN - 1),
        ) {
            *room = *byte;
        }
        let status = text("status");
        let uid = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok());
        Owner {
            cgroup_id: self.cgroup_id(&text("cgroup")).unwrap_or_default(),
            tgid,
            tid: tgid,
            uid: uid.unwrap_or_default(),
            netns: 0,
            comm,
        }
    }

    /// The inode of the directory in the v2 hierarchy, which is the cgroup id that the programs report.
    fn cgroup_id(&self, cgroups: &str) -> Option<u64> {
        let path = cgroups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        // Outside this process's cgroup namespace: the path does not lead there.
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        Some(fs::metadata(self.cgroup2?.join(path)).ok()?.ino())
    }
}

/// The first [`FILE_MAX`] bytes of a file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `4026531833` of `net:[4026531833]`.
pub(super) fn inode_in(target: &Path, prefix: &str) -> Option<u32> {
    target
        .to_str()?
        .strip_prefix(prefix)?
        .strip_suffix(']')?
        .parse()
        .ok()
}

fn numbers(entries: fs::ReadDir) -> impl Iterator<Item = u32> {
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
