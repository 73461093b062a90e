//! Network namespaces, and the one the thread is in.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Whether the kernel tracks connections at all. The file is there once `nf_conntrack` is loaded.
const MAX: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// 0 when the kernel tells no news; absent when it was built without. It speaks of the reader's own namespace.
const EVENTS: &str = "/proc/sys/net/netfilter/nf_conntrack_events";
const OWN: &str = "/proc/thread-self/ns/net";
const HOST: &str = "/proc/1/ns/net";

/// Namespaces looked at in one scan of /proc: each is a link to remember, about 100 bytes.
const SPACES_MAX: usize = 1 << 14;

/// A network namespace, kept alive by this.
#[derive(Debug)]
pub(in crate::resolve) struct Space {
    pub(super) inode: u32,
    file: File,
}

impl Space {
    /// The namespace that the link `path` leads to.
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let inode = u32::try_from(file.metadata()?.ino()).map_err(io::Error::other)?;
        Ok(Self { inode, file })
    }

    /// The namespace `inode` if the link still leads there: a process may have ended, its number been given to another.
    pub(super) fn known(path: &Path, inode: u32) -> io::Result<Self> {
        let space = Self::open(path)?;
        if space.inode == inode {
            Ok(space)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// Where the calling thread is. A thread's namespace is its own: the rest of the program never leaves the one it
/// started in.
#[derive(Debug)]
pub(in crate::resolve) struct Here(u32);

impl Here {
    /// Where the thread is now, and the host's namespace: that of pid 1 where it may be seen, else the thread's own.
    pub(in crate::resolve) fn find() -> io::Result<(Self, Space)> {
        let own = Space::open(Path::new(OWN))?;
        let here = Self(own.inode);
        let host = Space::open(Path::new(HOST)).unwrap_or(own);
        Ok((here, host))
    }

    /// Moves the thread into `space`; sockets opened then stay there.
    pub(in crate::resolve) fn enter(&mut self, space: &Space) -> io::Result<()> {
        if self.0 != space.inode {
            move_into_link_name_space(space.file.as_fd(), Some(LinkNameSpaceType::Network))?;
            self.0 = space.inode;
        }
        Ok(())
    }
}

/// Whether connections are tracked by this kernel.
pub(super) fn tracks() -> bool {
    fs::exists(MAX).unwrap_or(false)
}

/// Whether news are told in the namespace the thread is in.
pub(super) fn tells_news() -> bool {
    fs::read_to_string(EVENTS).is_ok_and(|value| value.trim() != "0")
}

/// Every namespace in which a process lives, with a way into it. Processes that may not be looked at, or that ended
/// meanwhile, show none.
pub(super) fn all() -> io::Result<BTreeMap<u32, PathBuf>> {
    let mut spaces = BTreeMap::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let name = process.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let path = process.path().join("ns/net");
        let target = fs::read_link(&path).ok();
        if let Some(inode) = target.as_deref().and_then(Path::to_str).and_then(inode) {
            spaces.entry(inode).or_insert(path);
        }
        if spaces.len() >= SPACES_MAX {
            break;
        }
    }
    Ok(spaces)
}

/// `net:[4026531840]`.
fn inode(target: &str) -> Option<u32> {
    target.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}
