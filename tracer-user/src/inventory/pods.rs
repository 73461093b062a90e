//! Pods by id, merged from all that told of them, and kept a while after they are gone.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{
    GONE_MAX, KEPT_MAX,
    addresses::Addresses,
    entry::{PodEntry, Rank, named},
    pool::Pool,
};
use crate::signal::inventory::{EndpointsFacts, Origin, PodFacts};

/// All pods.
#[derive(Debug, Default)]
pub(super) struct Pods {
    /// By the uid that cgroups use.
    by_uid: HashMap<Arc<str>, PodEntry>,
    /// From the API server's uids of mirror pods to those that cgroups use.
    mirrors: HashMap<Box<str>, Arc<str>>,
    by_sandbox: HashMap<Box<str>, Arc<str>>,
    /// Uids of pods in the host's network, by node.
    on_host: HashMap<Arc<str>, HashSet<Arc<str>>>,
    /// Uids that endpoint slices name, by slice.
    slices: HashMap<(String, String), Vec<Box<str>>>,
    /// How many times slices name a uid.
    in_slices: HashMap<Box<str>, u32>,
    /// Gone and kept, oldest first.
    gone: VecDeque<Arc<str>>,
}

impl Pods {
    pub(super) fn len(&self) -> usize {
        self.by_uid.values().filter(|entry| entry.told != 0).count()
    }

    fn canonical<'a>(&'a self, uid: &'a str) -> &'a str {
        self.mirrors.get(uid).map_or(uid, |canonical| canonical)
    }

    pub(super) fn by_uid(&self, uid: &str) -> Option<&PodEntry> {
        self.by_uid.get(self.canonical(uid))
    }

    pub(super) fn by_sandbox(&self, id: &str) -> Option<&PodEntry> {
        self.by_uid.get(self.by_sandbox.get(id)?)
    }

    /// Pods in a node's host network that have a port of this number.
    pub(super) fn on_host(&self, node: &str, port: u16) -> Vec<&PodEntry> {
        let on_it = |entry: &&PodEntry| entry.told != 0 && !entry.ended && entry.ports.contains(&port);
        let uids = self.on_host.get(node).into_iter().flatten();
        let mut found: Vec<&PodEntry> = uids
            .filter_map(|uid| self.by_uid.get(uid))
            .filter(on_it)
            .collect();
        found.sort_by(|a, b| a.pod.cmp(&b.pod));
        found
    }

    /// Takes a pod; false when there is no room. `now`: when it was told, and since when it has its addresses.
    pub(super) fn pod(
        &mut self,
        origin: Origin,
        facts: &PodFacts,
        now: (u64, u64),
        pool: &mut Pool,
        addresses: &mut Addresses,
    ) -> bool {
        let uid: &str = facts.config_hash.as_deref().unwrap_or(&facts.uid);
        if uid.is_empty() {
            return false;
        }
        if uid != facts.uid && !self.mirrors.contains_key(facts.uid.as_str()) && self.mirrors.len() < KEPT_MAX
        {
            self.mirrors.insert(facts.uid.as_str().into(), uid.into());
        }
        let rank = Rank::of(origin);
        self.merge(rank, uid, facts, now, pool, addresses)
    }

    fn merge(
        &mut self,
        rank: Rank,
        uid: &str,
        facts: &PodFacts,
        (at_ns, since_ns): (u64, u64),
        pool: &mut Pool,
        addresses: &mut Addresses,
    ) -> bool {
        let known = self.by_uid.get(uid);
        if known.is_none() && self.by_uid.len() >= KEPT_MAX {
            return false;
        }
        // An earlier sandbox of the same pod says nothing about the one that runs.
        let old_sandbox = facts.ended
            && known.is_some_and(|known| {
                !known.ended
                    && known.sandbox.is_some()
                    && known.sandbox.as_deref() != facts.sandbox_id.as_deref()
            });
        if old_sandbox {
            return true;
        }
        let better = known.is_none_or(|known| rank as u32 <= known.best());
        let old = known.map(|known| Arc::clone(&known.pod));
        let key: Arc<str> = old
            .as_ref()
            .map_or_else(|| uid.into(), |pod| Arc::clone(&pod.uid));
        let pod = named(&key, facts, old.as_deref(), better, pool);
        let pod = match old {
            Some(old) if *old == pod => old,
            Some(_) | None => Arc::new(pod),
        };
        let entry = self.by_uid.entry(Arc::clone(&key)).or_insert_with(|| PodEntry {
            pod: Arc::clone(&pod),
            addresses: Box::default(),
            ports: Box::default(),
            sandbox: None,
            mirror: None,
            told: 0,
            ever: 0,
            ended: false,
        });
        entry.told |= rank.bit();
        entry.ever |= rank.bit();
        if facts.uid != uid {
            entry.mirror = Some(facts.uid.as_str().into());
        }
        if pod.host_network
            && let Some(node) = &pod.node
        {
            self.on_host
                .entry(Arc::clone(node))
                .or_default()
                .insert(Arc::clone(&key));
        }
        if better || !facts.ended {
            entry.ended = facts.ended;
        }
        if !Arc::ptr_eq(&entry.pod, &pod) {
            entry.pod = Arc::clone(&pod);
            for address in &entry.addresses {
                addresses.renew(*address, &pod);
            }
        }
        if !facts.ports.is_empty() && (better || entry.ports.is_empty()) {
            entry.ports = facts.ports.as_slice().into();
        }
        if let Some(sandbox) = &facts.sandbox_id {
            entry.sandbox = Some(sandbox.as_str().into());
            if self.by_sandbox.len() < KEPT_MAX {
                self.by_sandbox.insert(sandbox.as_str().into(), Arc::clone(&key));
            }
        }
        entry.house(facts, (at_ns, since_ns), addresses);
        true
    }

    pub(super) fn gone(&mut self, origin: Origin, uid: &str, at_ns: u64, addresses: &mut Addresses) {
        let key = self.canonical(uid).to_owned();
        self.gone_by(Rank::of(origin), &key, at_ns, addresses);
    }

    fn gone_by(&mut self, rank: Rank, uid: &str, at_ns: u64, addresses: &mut Addresses) {
        let Some(entry) = self.by_uid.get_mut(uid) else {
            return;
        };
        if entry.told & rank.bit() == 0 {
            return;
        }
        entry.told &= !rank.bit();
        // The runtime knows best when a sandbox, and with it the address, is gone.
        if entry.told == 0 || rank == Rank::Cri {
            for address in std::mem::take(&mut entry.addresses) {
                addresses.end(address, uid, at_ns);
            }
        }
        if entry.told == 0 {
            self.gone.push_back(Arc::clone(&entry.pod.uid));
        }
        while self.gone.len() > GONE_MAX
            && let Some(oldest) = self.gone.pop_front()
        {
            // It may have come back.
            if self.by_uid.get(&oldest).is_some_and(|entry| entry.told == 0)
                && let Some(entry) = self.by_uid.remove(&oldest)
            {
                if let Some(sandbox) = &entry.sandbox {
                    self.by_sandbox.remove(sandbox);
                }
                if let Some(mirror) = &entry.mirror {
                    self.mirrors.remove(mirror);
                }
                let uids = entry
                    .pod
                    .node
                    .as_ref()
                    .and_then(|node| self.on_host.get_mut(node));
                if let Some(uids) = uids {
                    uids.remove(&oldest);
                }
            }
        }
    }

    /// Takes the pods that an endpoint slice names: all that is known of most pods of other nodes.
    pub(super) fn slice(
        &mut self,
        slice: &EndpointsFacts,
        now: (u64, u64),
        pool: &mut Pool,
        addresses: &mut Addresses,
    ) {
        let mut named = Vec::new();
        for endpoint in &slice.endpoints {
            let Some((namespace, name, uid)) = &endpoint.pod else {
                continue;
            };
            let facts = PodFacts {
                uid: uid.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
                node: endpoint.node.clone(),
                addresses: endpoint.addresses.clone(),
                ..PodFacts::default()
            };
            let uid = self.canonical(uid).to_owned();
            self.merge(Rank::Slice, &uid, &facts, now, pool, addresses);
            let uid: Box<str> = uid.into();
            *self.in_slices.entry(uid.clone()).or_default() += 1;
            named.push(uid);
        }
        let key = (slice.namespace.clone(), slice.name.clone());
        let before = self.slices.insert(key, named).unwrap_or_default();
        self.unnamed(before, now.0, addresses);
    }

    pub(super) fn slice_gone(&mut self, namespace: &str, name: &str, at_ns: u64, addresses: &mut Addresses) {
        let before = self.slices.remove(&(namespace.to_owned(), name.to_owned()));
        self.unnamed(before.unwrap_or_default(), at_ns, addresses);
    }

    /// Pods that a slice named; gone when no slice names them any more.
    fn unnamed(&mut self, before: Vec<Box<str>>, at_ns: u64, addresses: &mut Addresses) {
        for uid in before {
            let times = self.in_slices.entry(uid.clone()).or_default();
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.in_slices.remove(&uid);
                self.gone_by(Rank::Slice, &uid, at_ns, addresses);
            }
        }
    }
}
