//! Which connections the kernel translates, from its connection tracking: a service's address to a backend's, a pod's to
//! its node's.
//!
//! The host's table by news from the kernel, and the tables of other namespaces (sidecars redirect inside their pod), also
//! while they hold nothing: the first connection is joined, too. Nothing is loaded into a kernel that does not track connections: then nothing is translated.

mod codec;
mod fault;
mod filter;
mod known;
mod socket;
pub(super) mod spaces;
mod table;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Resource, getrlimit},
};

use self::{
    fault::{Fault, Health},
    socket::{Asker, Buffer},
    spaces::{Here, Space},
    table::Table,
};
use super::{Over, Resolver, Teller};
use crate::clock;

/// How often namespaces are looked for.
const SCAN_NS: u64 = 10_000_000_000;
/// Namespaces besides the host's whose tables are watched: each costs two sockets.
const WATCHED_MAX: usize = 256;
/// Tables that hold nothing are watched as far as they take no more than one in so many of the files that may be open.
const FILES_SHARE: u64 = 4;
/// Namespaces entered in one scan to see whether their tables hold anything; the others have their turn in the next.
const ENTERED_MAX: usize = 256;
/// How long the thread sleeps at most: it notices then that the run is over.
const SLEEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// News are read together that come so close to each other. It costs the first nothing: it is told at once.
const TOGETHER: Duration = Duration::from_millis(2);

/// The source of translations of this machine; there is always one, and it says what it is worth.
pub fn discover() -> Option<Box<dyn Resolver>> {
    Some(Box::new(Conntrack))
}

/// The kernel's connection tracking.
#[derive(Clone, Copy, Debug)]
struct Conntrack;

impl Resolver for Conntrack {
    fn name(&self) -> String {
        "conntrack".to_owned()
    }

    fn run(self: Box<Self>, teller: &Teller) {
        let mut health = Health::default();
        while !teller.is_over() {
            let watched = Here::find()
                .map_err(|error| Fault::no_proc(&error))
                .map(|(here, host)| Watch {
                    here,
                    host,
                    tables: BTreeMap::new(),
                    entered: 0,
                    buffer: Buffer::new(),
                    pods: Health::default(),
                });
            let ended = match watched {
                Ok(mut watch) => watch.run(teller, &mut health),
                Err(fault) => health.tell(teller, Some(&fault)),
            };
            if ended.is_err() || !teller.pause(Duration::from_nanos(SCAN_NS)) {
                return;
            }
        }
    }
}

/// How many tables may be watched before one that holds nothing is not.
fn idle_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / FILES_SHARE / 2).map_or(WATCHED_MAX, |max| max.min(WATCHED_MAX))
}

/// All tables that are watched.
struct Watch {
    here: Here,
    host: Space,
    tables: BTreeMap<u32, Table>,
    /// The last namespace entered by a scan.
    entered: u32,
    buffer: Buffer,
    /// Whether namespaces besides the host's can be entered.
    pods: Health,
}

impl Watch {
    fn run(&mut self, teller: &Teller, health: &mut Health) -> Result<(), Over> {
        let pods = teller.part("pods");
        let mut scan_ns = 0;
        loop {
            let now_ns = clock::boot_ns();
            if now_ns >= scan_ns {
                scan_ns = now_ns.saturating_add(SCAN_NS);
                let fault = self.scan_host(teller)?;
                let pods_fault = if self.tables.is_empty() {
                    None
                } else {
                    self.scan_others(teller)?
                };
                health.tell(teller, fault.as_ref())?;
                self.pods.tell_fault(&pods, pods_fault.as_ref())?;
            }
            self.dumps(teller)?;
            if self.sleep() {
                self.news(teller)?;
                if !teller.pause(TOGETHER) {
                    return Err(Over);
                }
            }
            if teller.is_over() {
                return Err(Over);
            }
        }
    }

    /// Watches the host's table, as far as that goes.
    fn scan_host(&mut self, teller: &Teller) -> Result<Option<Fault>, Over> {
        if !spaces::tracks() {
            return self.close_all(teller).map(|()| None);
        }
        if let Err(error) = self.here.enter(&self.host) {
            return Ok(Some(Fault::no_way_home(&error)));
        }
        let tells = spaces::tells_news();
        if let Some(table) = self.tables.get(&self.host.inode)
            && table.hears() == tells
        {
            return Ok((!tells).then(Fault::no_news));
        }
        self.close(self.host.inode, teller)?;
        let mut table = match Table::open(self.host.inode, tells) {
            Ok(table) => table,
            Err(error) => return Ok(Some(Fault::refused(&error))),
        };
        if let Err(error) = table.dump(&mut self.buffer, teller)? {
            return Ok(Some(Fault::refused(&error)));
        }
        self.tables.insert(self.host.inode, table);
        Ok((!tells).then(Fault::no_news))
    }

    /// Watches the tables of other namespaces, those that hold anything first where there are too many, and no longer those
    /// whose processes are gone.
    fn scan_others(&mut self, teller: &Teller) -> Result<Option<Fault>, Over> {
        let mut spaces = match spaces::all() {
            Ok(spaces) => spaces,
            Err(error) => return Ok(Some(Fault::no_proc(&error))),
        };
        spaces.remove(&self.host.inode);
        let over: Vec<u32> = self
            .tables
            .keys()
            .filter(|inode| **inode != self.host.inode && !spaces.contains_key(inode))
            .copied()
            .collect();
        for inode in over {
            self.close(inode, teller)?;
        }
        let idle_max = idle_max();
        let after = spaces.range(self.entered.saturating_add(1)..);
        let turn: Vec<(u32, &std::path::PathBuf)> = after
            .chain(spaces.range(..=self.entered))
            .map(|(inode, path)| (*inode, path))
            .filter(|(inode, _)| !self.tables.contains_key(inode))
            .collect();
        let mut unwatched = turn.len() > ENTERED_MAX;
        for (inode, path) in turn.into_iter().take(ENTERED_MAX) {
            self.entered = inode;
            // The last process in it has just ended.
            let Ok(space) = Space::known(path, inode) else {
                continue;
            };
            if let Err(error) = self.here.enter(&space) {
                return Ok(Some(Fault::no_entry(&error)));
            }
            let tells = spaces::tells_news();
            let holds = Asker::open()
                .and_then(|mut asker| asker.count(&mut self.buffer))
                .is_ok_and(|entries| entries > 0);
            if !holds && (!tells || self.others() >= idle_max) {
                unwatched |= tells;
                continue;
            }
            if self.others() >= WATCHED_MAX && !self.make_room(teller)? {
                return Ok(Some(Fault::too_many(WATCHED_MAX)));
            }
            let Ok(mut table) = Table::open(inode, tells) else {
                unwatched = true;
                continue;
            };
            // Heard first and counted then. All tables are one in the kernel: a dump of an empty one takes milliseconds, too.
            let read = if table.is_empty(&mut self.buffer) {
                Ok(())
            } else {
                table.dump(&mut self.buffer, teller)?
            };
            if read.is_ok() {
                self.tables.insert(inode, table);
            }
        }
        Ok(unwatched.then(Fault::late))
    }

    /// Tables that are watched besides the host's.
    fn others(&self) -> usize {
        let host = usize::from(self.tables.contains_key(&self.host.inode));
        self.tables.len().saturating_sub(host)
    }

    /// Gives up a table that holds nothing, for one that does; false where there is none.
    fn make_room(&mut self, teller: &Teller) -> Result<bool, Over> {
        let idle = self
            .tables
            .iter()
            .find(|(inode, table)| **inode != self.host.inode && table.is_idle());
        let Some(inode) = idle.map(|(inode, _)| *inode) else {
            return Ok(false);
        };
        self.close(inode, teller).map(|()| true)
    }

    fn close(&mut self, inode: u32, teller: &Teller) -> Result<(), Over> {
        self.tables
            .remove(&inode)
            .map_or(Ok(()), |table| table.close(teller))
    }

    fn close_all(&mut self, teller: &Teller) -> Result<(), Over> {
        std::mem::take(&mut self.tables)
            .into_values()
            .try_for_each(|table| table.close(teller))
    }

    /// Dumps what is due; a table that can no longer be read is closed, and opened again by a later scan.
    fn dumps(&mut self, teller: &Teller) -> Result<(), Over> {
        let now_ns = clock::boot_ns();
        let mut broken = Vec::new();
        for (inode, table) in &mut self.tables {
            if table.is_due(now_ns) && table.dump(&mut self.buffer, teller)?.is_err() {
                broken.push(*inode);
            }
        }
        broken.into_iter().try_for_each(|inode| self.close(inode, teller))
    }

    /// Waits for news; true when there are any.
    fn sleep(&self) -> bool {
        let mut waits: Vec<PollFd<'_>> = self
            .tables
            .values()
            .filter_map(Table::news)
            .map(|news| PollFd::new(news, PollFlags::IN))
            .collect();
        poll(&mut waits, Some(&SLEEP)).is_ok_and(|ready| ready > 0)
    }

    fn news(&mut self, teller: &Teller) -> Result<(), Over> {
        let mut broken = Vec::new();
        for (inode, table) in &mut self.tables {
            if table.read(&mut self.buffer, teller)?.is_err() {
                broken.push(*inode);
            }
        }
        broken.into_iter().try_for_each(|inode| self.close(inode, teller))
    }
}
