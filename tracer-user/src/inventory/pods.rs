//! Pods by id, merged from all that told of them, and kept a while after they are gone.
#![forbid(unsafe_code)]

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::{
    GONE_MAX,
    addresses::Addresses,
    entry::{PodEntry, Rank},
};
use crate::signal::inventory::Origin;

/// All pods.
#[derive(Debug, Default)]
pub(super) struct Pods {
    /// By the uid that cgroups use.
    pub(super) by_uid: HashSet<ByUid>,
    /// From the API server's uids of mirror pods to those that cgroups use.
    pub(super) mirrors: HashMap<Box<str>, Arc<str>>,
    pub(super) by_sandbox: HashMap<Box<str>, Arc<str>>,
    /// Uids of pods in the host's network, by node.
    pub(super) on_host: HashMap<Arc<str>, HashSet<Arc<str>>>,
    /// By origin: the list that is, or was, told, and whether it is not complete yet.
    pub(super) lists: [(u16, bool); 3],
    /// Gone and kept, oldest first.
    gone: VecDeque<Arc<str>>,
}

/// A pod that is found by its uid, which is kept in the pod only.
#[derive(Debug)]
pub(super) struct ByUid(pub(super) Box<PodEntry>);

impl Borrow<str> for ByUid {
    fn borrow(&self) -> &str {
        &self.0.pod.uid
    }
}

impl Hash for ByUid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.pod.uid.hash(state);
    }
}

impl PartialEq for ByUid {
    fn eq(&self, other: &Self) -> bool {
        self.0.pod.uid == other.0.pod.uid
    }
}

impl Eq for ByUid {}

impl Pods {
    pub(super) fn len(&self) -> usize {
        self.by_uid.iter().filter(|entry| entry.0.told != 0).count()
    }

    pub(super) fn canonical<'a>(&'a self, uid: &'a str) -> &'a str {
        self.mirrors.get(uid).map_or(uid, |canonical| canonical)
    }

    fn entry(&self, uid: &str) -> Option<&PodEntry> {
        self.by_uid.get(uid).map(|entry| &*entry.0)
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<&PodEntry> {
        self.entry(self.canonical(uid))
    }

    pub(super) fn by_sandbox(&self, id: &str) -> Option<&PodEntry> {
        self.entry(self.by_sandbox.get(id)?)
    }

    /// Pods in a node's host network that have a port of this number.
    pub(super) fn on_host(&self, node: &str, port: u16) -> Vec<&PodEntry> {
        let on_it = |entry: &&PodEntry| entry.told != 0 && !entry.ended && entry.ports.contains(&port);
        let uids = self.on_host.get(node).into_iter().flatten();
        let mut found: Vec<&PodEntry> = uids.filter_map(|uid| self.entry(uid)).filter(on_it).collect();
        found.sort_by(|a, b| a.pod.cmp(&b.pod));
        found
    }

    /// A whole list begins.
    pub(super) fn begin(&mut self, origin: Origin) {
        if let Some((list, is_open)) = self.lists.get_mut(origin as usize) {
            *list = list.wrapping_add(1);
            *is_open = true;
        }
    }

    /// The list is complete: uids, as the origin has them, that were told before and not in it; in stable order.
    pub(super) fn end(&mut self, origin: Origin) -> Vec<String> {
        let index = origin as usize;
        let Some((list, true)) = self
            .lists
            .get_mut(index)
            .map(|(list, open)| (*list, std::mem::take(open)))
        else {
            return Vec::new();
        };
        let bit = Rank::of(origin).bit();
        let told = self.by_uid.iter().map(|entry| &*entry.0);
        let mut gone: Vec<String> = told
            .filter(|entry| entry.told & bit != 0 && entry.lists.get(index) != Some(&list))
            .map(|entry| match entry.mirror().filter(|_| origin == Origin::Kube) {
                Some(mirror) => mirror.to_owned(),
                None => entry.pod.uid.to_string(),
            })
            .collect();
        gone.sort_unstable();
        gone
    }

    pub(super) fn gone(&mut self, origin: Origin, uid: &str, at_ns: u64, addresses: &mut Addresses) {
        let key = self.canonical(uid).to_owned();
        self.gone_by(Rank::of(origin), &key, at_ns, addresses);
    }

    pub(super) fn gone_by(&mut self, rank: Rank, uid: &str, at_ns: u64, addresses: &mut Addresses) {
        let Some(ByUid(mut entry)) = self.by_uid.take(uid) else {
            return;
        };
        if entry.told & rank.bit() != 0 {
            entry.told &= !rank.bit();
            // The runtime knows best when a sandbox, and with it the address, is gone.
            if entry.told == 0 || rank == Rank::Cri {
                for address in std::mem::take(&mut entry.addresses).iter() {
                    addresses.end(*address, uid, at_ns);
                }
            }
            if entry.told == 0 {
                self.gone.push_back(Arc::clone(&entry.pod.uid));
            }
        }
        self.by_uid.insert(ByUid(entry));
        while self.gone.len() > GONE_MAX
            && let Some(oldest) = self.gone.pop_front()
        {
            // It may have come back.
            if self.entry(&oldest).is_some_and(|entry| entry.told == 0) {
                self.forget(&oldest);
            }
        }
    }

    fn forget(&mut self, uid: &str) {
        let Some(ByUid(entry)) = self.by_uid.take(uid) else {
            return;
        };
        if let Some(sandbox) = entry.sandbox() {
            self.by_sandbox.remove(sandbox);
        }
        if let Some(mirror) = entry.mirror() {
            self.mirrors.remove(mirror);
        }
        if let Some(node) = &entry.pod.node
            && let Some(uids) = self.on_host.get_mut(node)
        {
            uids.remove(uid);
            if uids.is_empty() {
                self.on_host.remove(node);
            }
        }
    }
}
