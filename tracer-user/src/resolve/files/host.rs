//! A node's file system below a given root: bounded reads that follow no link out of it and hang on nothing.
#![forbid(unsafe_code)]

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata},
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            fs::MetadataExt as _,
        },
    },
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use rustix::{
    fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat},
    io::Errno,
};

/// Entries looked at in one directory; what comes after them is not even counted.
const SEEN_MAX: u64 = 1_000_000;

/// Attempts of an open that raced with a rename.
const ATTEMPTS: usize = 4;

/// A node's file system.
#[derive(Debug)]
pub(super) struct Host {
    root: OwnedFd,
}

/// Entries of a directory, in the file system's own order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) names: Vec<OsString>,
    /// Entries beyond the bound.
    pub(super) left_out: u64,
}

/// Differs whenever a file or the list of a directory was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Unix seconds and nanoseconds.
    modified: (i64, i64),
    inode: u64,
    bytes: u64,
}

impl Host {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: openat(CWD, root, flags, Mode::empty())?,
        })
    }

    /// Whether something is there; what cannot be looked at counts as there.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.at(path, OFlags::PATH)
            .map_or_else(|error| !is_absent(&error), |_there| true)
    }

    pub(super) fn stamp(&self, path: &Path) -> Option<Stamp> {
        let meta = self.metadata(path).ok()?;
        Some(Stamp {
            modified: (meta.mtime(), meta.mtime_nsec()),
            inode: meta.ino(),
            bytes: meta.size(),
        })
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.metadata(path).is_ok_and(|meta| meta.is_file())
    }

    /// When it was created, Unix nanoseconds, where the file system keeps that.
    pub(super) fn born_unix_ns(&self, path: &Path) -> Option<i64> {
        let born = self.metadata(path).ok()?.created().ok()?;
        i64::try_from(born.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
    }

    /// A directory's entries that may be what `wanted` says: at most `max`. A directory that is not there is empty.
    pub(super) fn list(
        &self,
        path: &Path,
        max: usize,
        wanted: impl Fn(FileType) -> bool,
    ) -> io::Result<Listing> {
        let directory = match self.at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(error) if is_absent(&error) => return Ok(Listing::default()),
            directory => directory?,
        };
        let mut listing = Listing::default();
        let mut seen = 0;
        for entry in Dir::new(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let kind = entry.file_type();
            // Some file systems do not tell the kind here.
            if matches!(name, b"." | b"..") || !(kind == FileType::Unknown || wanted(kind)) {
                continue;
            }
            seen += 1;
            if listing.names.len() < max {
                listing.names.push(OsString::from_vec(name.to_vec()));
            } else if seen < SEEN_MAX {
                listing.left_out += 1;
            } else {
                break;
            }
        }
        Ok(listing)
    }

    /// A regular file's bytes; absent where there is none. Larger ones are refused.
    pub(super) fn read(&self, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
        // Looks before it opens: merely opening a device may set it to work.
        let opened = self.metadata(path).and_then(|meta| {
            is_regular(&meta)?;
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
            let file = File::from(self.at(path, flags)?);
            is_regular(&file.metadata()?)?;
            Ok(file)
        });
        let file = match opened {
            Err(error) if is_absent(&error) => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
            return Err(io::Error::other(format!("it is larger than {max} bytes")));
        }
        Ok(Some(bytes))
    }

    /// A directory, to read links in.
    pub(super) fn directory(&self, path: &Path) -> Option<OwnedFd> {
        self.at(path, OFlags::PATH | OFlags::DIRECTORY).ok()
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        File::from(self.at(path, OFlags::PATH)?).metadata()
    }

    fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_os_str().as_bytes().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = flags | OFlags::CLOEXEC;
        let root = self.root.as_fd();
        let mut opened = Err(Errno::AGAIN);
        for _attempt in 0..ATTEMPTS {
            opened = openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
            if !matches!(opened, Err(Errno::AGAIN)) {
                break;
            }
        }
        // A container's seccomp filter may refuse the newer call.
        if matches!(opened, Err(Errno::NOSYS | Errno::PERM)) {
            opened = openat(root, path, flags, Mode::empty());
        }
        Ok(opened?)
    }
}

/// Where a symbolic link of a directory leads.
pub(super) fn link(directory: &OwnedFd, name: &OsStr) -> Option<PathBuf> {
    let target = readlinkat(directory, name, Vec::new()).ok()?;
    Some(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

fn is_regular(meta: &Metadata) -> io::Result<()> {
    if meta.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// Nothing is there: also where a directory of the path is a file, or the name is longer than any.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG)
    )
}
