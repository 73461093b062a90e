//! Names of network namespaces as they come and go: entries of /run/netns, where `ip netns` and CNI runtimes mount them.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    io::Errno,
};

use super::tell;
use crate::{
    attribute::procfs::Procfs,
    clock,
    resolve::{Over, Resolver, Teller},
    signal::{Degraded, host::HostFact},
};

/// Everything is read again this often, whatever the news say: a directory that did not exist at first is found then.
const ALL_NS: u64 = 2_000_000_000;
/// How long the thread sleeps at most: it notices then that the run is over.
const SLEEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// A name is made as a file, and a moment later the namespace is mounted on it, which is no news of the directory.
const MOUNTING: Duration = Duration::from_millis(1);
/// Between two looks whether the run is over, where the kernel watches nothing for us.
const UNWATCHED: Duration = Duration::from_millis(200);
/// Looks for that mount after a name was made.
const MOUNT_LOOKS: u32 = 50;
/// Names kept; a node has one for each pod.
pub(super) const NAMES_MAX: usize = 16_384;

/// Directories of names.
#[derive(Debug)]
pub(super) struct Names {
    procfs: Procfs,
    directories: Vec<PathBuf>,
    /// Names as they were told.
    pub(super) known: BTreeSet<(u32, String)>,
}

impl Names {
    /// Those of the host and, where it is another, of the tracer's own file system.
    pub(super) fn of_host() -> Self {
        let directories = ["/proc/1/root/run/netns", "/run/netns"];
        Self::new(directories.map(PathBuf::from).into())
    }

    pub(super) fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            procfs: Procfs::new("/proc".into()),
            directories,
            known: BTreeSet::new(),
        }
    }

    /// Reads the directories and tells what is different. True when it was.
    pub(super) fn look(&mut self, mut each: impl FnMut(HostFact) -> Result<(), Over>) -> Result<bool, Over> {
        let directories = self.directories.iter();
        let now: BTreeSet<(u32, String)> = directories
            .flat_map(|directory| self.procfs.named_netns(directory))
            .take(NAMES_MAX)
            .collect();
        // First what is gone: its inode may be the new one's.
        for (inode, name) in self.known.difference(&now) {
            each(HostFact::NamespaceGone(*inode, name.clone()))?;
        }
        for (inode, name) in now.difference(&self.known) {
            each(HostFact::Namespace(*inode, name.clone()))?;
        }
        let changed = now != self.known;
        self.known = now;
        Ok(changed)
    }

    fn watch(&mut self, teller: &Teller) -> Result<(), Over> {
        let mut news = News::open();
        let mut fault = None;
        let mut first = true;
        loop {
            let all_ns = clock::boot_ns().saturating_add(ALL_NS);
            if let Ok(news) = &news {
                news.watch(&self.directories);
            }
            self.look(|fact| tell(teller, fact))?;
            let refused = news.as_ref().err().copied();
            if first || refused != fault {
                match refused {
                    None => teller.works()?,
                    Some(errno) => teller.fails(no_news(errno))?,
                }
            }
            (fault, first) = (refused, false);
            while clock::boot_ns() < all_ns {
                let come = match &news {
                    Ok(news) => news.wait(),
                    Err(_no_news) => {
                        let _is_over = teller.pause(UNWATCHED);
                        false
                    }
                };
                if teller.is_over() {
                    return Err(Over);
                }
                if come {
                    self.settle(teller)?;
                }
            }
            if news.is_err() {
                news = News::open();
            }
        }
    }

    /// Looks until what was made is mounted: at once, and then a few times.
    fn settle(&mut self, teller: &Teller) -> Result<(), Over> {
        for _look in 0..MOUNT_LOOKS {
            if self.look(|fact| tell(teller, fact))? || !teller.pause(MOUNTING) {
                break;
            }
        }
        Ok(())
    }
}

impl Resolver for Names {
    fn name(&self) -> String {
        "network namespaces".to_owned()
    }

    fn run(mut self: Box<Self>, teller: &Teller) {
        // Nobody listens any more: the only way out.
        let Err(Over) = self.watch(teller) else { return };
    }
}

fn no_news(errno: Errno) -> Degraded {
    Degraded {
        what: "names of network namespaces are read every 2 s only".to_owned(),
        why: format!("the kernel watches no directory for us: {errno}"),
        remedy: "raise fs.inotify.max_user_instances and fs.inotify.max_user_watches".to_owned(),
    }
}

/// Tells that an entry came or went.
struct News(OwnedFd);

impl News {
    fn open() -> Result<Self, Errno> {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        inotify::init(flags).map(Self)
    }

    /// Begins to watch, or goes on; a directory that is not there is none.
    fn watch(&self, directories: &[PathBuf]) {
        let events = inotify::WatchFlags::CREATE
            | inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVE
            | inotify::WatchFlags::ONLYDIR;
        for directory in directories {
            let directory: &Path = directory;
            let _not_there = inotify::add_watch(&self.0, directory, events);
        }
    }

    /// Waits; true when something came or went. Which it was, the directory tells.
    fn wait(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        if !poll(&mut fds, Some(&SLEEP)).is_ok_and(|ready| ready > 0) {
            return false;
        }
        let mut buffer = [0; 4096];
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|length| length > 0) {}
        true
    }
}
