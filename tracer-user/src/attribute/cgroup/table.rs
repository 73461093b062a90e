//! Which cgroup an id was at a time: fed by a walk of the tree and by records of directories that come and go.
//!
//! The kernel uses inodes again, so an id alone is no name.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{CgroupPlace, Root, parse, parse_below};
use crate::{event::CgroupEvent, hash::IdMap};

/// Directories taken to exist, unless told otherwise: about 300 bytes each with their paths.
const LIVING_MAX: usize = 65_536;
/// Directories kept after their end.
const GONE_MAX: usize = 16_384;
/// Directories of one id that are told apart.
const LIVES_MAX: usize = 4;
/// Places remembered before all are forgotten and parsed again. Holders keep theirs.
const PLACES_MAX: usize = 16_384;
/// Bytes of a path that are kept: `PATH_MAX`.
const PATH_BYTES: usize = 4096;

/// All cgroups known.
#[derive(Debug)]
pub struct CgroupTable {
    /// Oldest first, never empty.
    by_id: IdMap<u64, Vec<Directory>>,
    /// Id and serial in order of appearance; holds some that are gone since.
    appeared: VecDeque<(u64, u64)>,
    /// Id and serial in order of their end.
    gone: VecDeque<(u64, u64)>,
    living: usize,
    limits: (usize, usize),
    serial: u64,
    evicted: u64,
    places: HashMap<Arc<str>, Arc<CgroupPlace>>,
    /// Absent where only a part of the hierarchy can be seen.
    root: Option<Root>,
}

/// A directory from mkdir to rmdir.
#[derive(Debug)]
struct Directory {
    serial: u64,
    path: Arc<str>,
    /// 0: older than the tracer.
    from_ns: u64,
    until_ns: Option<u64>,
}

impl Default for CgroupTable {
    fn default() -> Self {
        Self::with_limits(LIVING_MAX, GONE_MAX)
    }
}

impl CgroupTable {
    /// A table that keeps at most so many directories that exist, and so many that do no more.
    pub fn with_limits(living: usize, gone: usize) -> Self {
        Self {
            by_id: HashMap::default(),
            appeared: VecDeque::new(),
            gone: VecDeque::new(),
            living: 0,
            limits: (living.max(1), gone.max(1)),
            serial: 0,
            evicted: 0,
            places: HashMap::new(),
            root: None,
        }
    }

    /// The path of pid 1 below the root of the whole hierarchy, where that can be seen: it tells where this node begins.
    pub fn first_process(&mut self, path: &str) {
        self.root = Some(Root::of_first_process(path));
        self.places.clear();
    }

    /// A walk of the tree found a directory.
    pub fn found(&mut self, id: u64, path: &str) {
        let known = self.latest(id).is_some_and(|known| known.path.as_ref() == path);
        if !known {
            self.begin(id, path, 0);
        }
    }

    /// A directory came or went. Only those of the v2 hierarchy count: ids of others are of other trees.
    pub fn event(&mut self, event: &CgroupEvent) {
        if event.hierarchy != 0 {
            return;
        }
        if event.removed {
            let path = event.path.as_str();
            let same = self.latest(event.id).filter(|known| known.path.as_ref() == path);
            if let Some(serial) = same.map(|known| known.serial) {
                self.end(event.id, serial, event.at_ns);
            }
            return;
        }
        match self.latest(event.id) {
            // The walk was faster than its record.
            Some(known) if known.path.as_ref() == event.path => known.from_ns = event.at_ns,
            Some(_) | None => self.begin(event.id, &event.path, event.at_ns),
        }
    }

    /// The path of a cgroup id at a time. Time 0: the latest.
    pub fn path(&self, id: u64, at_ns: u64) -> Option<Arc<str>> {
        let lives = self.by_id.get(&id)?;
        let directory = if at_ns == 0 {
            lives.last()?
        } else {
            let begun = lives.iter().rev().find(|life| life.from_ns <= at_ns)?;
            Some(begun).filter(|life| life.until_ns.is_none_or(|until| at_ns <= until))?
        };
        Some(Arc::clone(&directory.path))
    }

    /// What a path tells, parsed once.
    pub fn place(&mut self, path: &str) -> Arc<CgroupPlace> {
        if let Some(known) = self.places.get(path) {
            return Arc::clone(known);
        }
        if self.places.len() >= PLACES_MAX {
            self.places.clear();
        }
        let place = Arc::new(parse_below(self.root.as_ref(), path));
        self.places.insert(path.into(), Arc::clone(&place));
        place
    }

    /// Where a process is: by the cgroup id it was seen with, unless what /proc says of it tells more. On a machine
    /// without v2 tree the id says nothing, on a hybrid one the v2 path may be the root, and a record's path may be cut.
    pub fn place_of(&mut self, id: u64, at_ns: u64, from_proc: Option<&str>) -> Option<Arc<CgroupPlace>> {
        let by_id = self.path(id, at_ns).map(|path| self.place(&path));
        let by_proc = from_proc.map(|path| self.place(path));
        match (by_id, by_proc) {
            // A path without its head may begin anywhere in a container.
            (Some(by_id), Some(by_proc)) if by_proc.relative && by_id.pod().is_some() => Some(by_id),
            (Some(by_id), Some(by_proc)) if by_proc.detail() > by_id.detail() => Some(by_proc),
            (by_id, by_proc) => by_id.or(by_proc),
        }
    }

    /// Directories forgotten because a limit was reached while they existed.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The directory of an id, if it still exists.
    fn latest(&mut self, id: u64) -> Option<&mut Directory> {
        let latest = self.by_id.get_mut(&id)?.last_mut()?;
        latest.until_ns.is_none().then_some(latest)
    }

    fn begin(&mut self, id: u64, path: &str, from_ns: u64) {
        // Its end was missed: ids are free again only then.
        if let Some(serial) = self.latest(id).map(|before| before.serial) {
            self.end(id, serial, from_ns);
        }
        self.serial += 1;
        let path = crate::attribute::rules::text::cut(path, PATH_BYTES);
        self.look_for_own_pods(path);
        let directory = Directory {
            serial: self.serial,
            path: path.into(),
            from_ns,
            until_ns: None,
        };
        let lives = self.by_id.entry(id).or_default();
        if lives.len() >= LIVES_MAX {
            lives.remove(0);
        }
        lives.reserve_exact(1);
        lives.push(directory);
        self.living += 1;
        self.appeared.push_back((id, self.serial));
        self.limit_living();
    }

    /// Once the kubelet of this node has pods of its own, those in delegated cgroups are not this node's.
    fn look_for_own_pods(&mut self, path: &str) {
        let Some(root) = self.root.as_mut().filter(|root| !root.has_own_pods) else {
            return;
        };
        let place = parse(root.below(path));
        if place.pod().is_some() && !place.delegated && !place.relative {
            root.has_own_pods = true;
            self.places.clear();
        }
    }

    fn end(&mut self, id: u64, serial: u64, at_ns: u64) {
        let lives = self.by_id.get_mut(&id);
        let Some(life) = lives.and_then(|lives| lives.iter_mut().find(|life| life.serial == serial)) else {
            return;
        };
        if life.until_ns.replace(at_ns).is_none() {
            self.living = self.living.saturating_sub(1);
            self.gone.push_back((id, serial));
        }
        while self.gone.len() > self.limits.1 {
            if let Some((id, serial)) = self.gone.pop_front() {
                self.forget(id, serial);
            }
        }
    }

    fn limit_living(&mut self) {
        while self.living > self.limits.0 {
            let Some((id, serial)) = self.appeared.pop_front() else {
                break;
            };
            if self.exists(id, serial) {
                self.living -= 1;
                self.evicted += 1;
                self.forget(id, serial);
            }
        }
        // Without this, those that are gone would stay in line for ever. Half of them at least leave it here.
        if self.appeared.len() > 2 * self.living + 1024 {
            let mut appeared = std::mem::take(&mut self.appeared);
            appeared.retain(|(id, serial)| self.exists(*id, *serial));
            self.appeared = appeared;
        }
    }

    fn exists(&self, id: u64, serial: u64) -> bool {
        let mut lives = self.by_id.get(&id).into_iter().flatten();
        lives.any(|life| life.serial == serial && life.until_ns.is_none())
    }

    fn forget(&mut self, id: u64, serial: u64) {
        if let Some(lives) = self.by_id.get_mut(&id) {
            lives.retain(|life| life.serial != serial);
            if lives.is_empty() {
                self.by_id.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u64, at_ns: u64, removed: bool) -> CgroupEvent {
        CgroupEvent {
            removed,
            at_ns,
            id,
            hierarchy: 0,
            path: format!("/x/{id}"),
        }
    }

    #[test]
    fn memory_for_cgroups_is_bounded() {
        let mut table = CgroupTable::with_limits(100, 50);
        for id in 0..20_000 {
            table.event(&event(id, id, false));
            table.place(&format!("/x/{id}"));
        }
        assert_eq!((table.by_id.len(), table.evicted()), (100, 19_900));
        for id in 19_900..20_000 {
            table.event(&event(id, 30_000, true));
        }
        assert_eq!((table.by_id.len(), table.living), (50, 0));
        for turn in 0..10_000 {
            table.event(&event(5, 2 * turn, false));
            table.event(&event(5, 2 * turn + 1, true));
        }
        assert_eq!(table.by_id.get(&5).map(Vec::len), Some(LIVES_MAX));
        assert!(table.appeared.len() < 2000 && table.gone.len() <= 50);
        assert!(table.places.len() <= PLACES_MAX);
    }
}
