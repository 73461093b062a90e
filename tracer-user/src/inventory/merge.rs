//! News of a pod: merged into what is known of it.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{
    KEPT_MAX,
    addresses::Addresses,
    entry::{PodEntry, Rank, named, renamed},
    pods::{ByUid, Pods},
    pool::Pool,
};
use crate::signal::inventory::{EndpointsFacts, Origin, PodFacts};

/// What a source's facts are taken with.
pub(super) struct Hands<'a> {
    /// When it was told, and since when it has its addresses.
    pub(super) now: (u64, u64),
    pub(super) pool: &'a mut Pool,
    pub(super) addresses: &'a mut Addresses,
}

impl Pods {
    /// Takes a pod; false when there is no room.
    pub(super) fn pod(&mut self, origin: Origin, facts: &PodFacts, hands: &mut Hands<'_>) -> bool {
        let uid: &str = facts.config_hash.as_deref().unwrap_or(&facts.uid);
        if uid.is_empty() {
            return false;
        }
        if uid != facts.uid && !self.mirrors.contains_key(facts.uid.as_str()) && self.mirrors.len() < KEPT_MAX
        {
            self.mirrors.insert(facts.uid.as_str().into(), uid.into());
        }
        let list = self.lists.get(origin as usize).map_or(0, |(list, _)| *list);
        let merged = self.merge(Rank::of(origin), uid, facts, hands, |entry| {
            if let Some(last) = entry.lists.get_mut(origin as usize) {
                *last = list;
            }
        });
        merged.is_some()
    }

    /// Takes what a source tells of a pod, whose uid it returns; nothing when there is no room.
    fn merge(
        &mut self,
        rank: Rank,
        uid: &str,
        facts: &PodFacts,
        hands: &mut Hands<'_>,
        mark: impl FnOnce(&mut PodEntry),
    ) -> Option<Arc<str>> {
        let mut entry = match self.by_uid.take(uid) {
            Some(ByUid(entry)) => entry,
            None if self.by_uid.len() >= KEPT_MAX => return None,
            None => Box::new(PodEntry::new(named(uid, facts, hands.pool))),
        };
        mark(&mut entry);
        // An earlier sandbox of the same pod says nothing about the one that runs.
        let old_sandbox = facts.ended
            && !entry.ended
            && entry.sandbox().is_some()
            && entry.sandbox() != facts.sandbox_id.as_deref();
        if !old_sandbox {
            self.learn(&mut entry, rank, facts, hands);
        }
        let key = Arc::clone(&entry.pod.uid);
        self.by_uid.insert(ByUid(entry));
        Some(key)
    }

    fn learn(&mut self, entry: &mut PodEntry, rank: Rank, facts: &PodFacts, hands: &mut Hands<'_>) {
        let better = rank as u32 <= entry.best();
        entry.told |= rank.bit();
        entry.ever |= rank.bit();
        if better || !facts.ended {
            entry.ended = facts.ended;
        }
        if let Some(pod) = renamed(&entry.pod, facts, better, hands.pool) {
            entry.pod = Arc::new(pod);
            for address in entry.addresses.iter() {
                hands.addresses.renew(*address, &entry.pod);
            }
        }
        if !facts.ports.is_empty() && (better || entry.ports.is_empty()) && *entry.ports != *facts.ports {
            entry.ports = hands.pool.ports(&facts.ports);
        }
        let uid = Arc::clone(&entry.pod.uid);
        if *facts.uid != *uid && entry.mirror() != Some(&facts.uid) {
            // Made anew by the same manifest: news of the older mirror are no news of this pod.
            let older = entry.rare().mirror.replace(facts.uid.as_str().into());
            older.map(|older| self.mirrors.remove(&older));
        }
        if entry.pod.host_network
            && let Some(node) = &entry.pod.node
            && !self.on_host.get(node).is_some_and(|uids| uids.contains(&uid))
        {
            let uids = self.on_host.entry(Arc::clone(node)).or_default();
            uids.insert(Arc::clone(&uid));
        }
        if let Some(sandbox) = facts.sandbox_id.as_deref()
            && entry.sandbox() != Some(sandbox)
        {
            let older = entry.rare().sandbox.replace(sandbox.into());
            older.map(|older| self.by_sandbox.remove(&older));
            if self.by_sandbox.len() < KEPT_MAX {
                self.by_sandbox.insert(sandbox.into(), uid);
            }
        }
        entry.house(facts, hands.now, hands.addresses);
    }

    /// Takes the pods that an endpoint slice names: all that is known of most pods of other nodes. Returns the uid of
    /// each endpoint's pod.
    pub(super) fn slice(&mut self, slice: &EndpointsFacts, hands: &mut Hands<'_>) -> Vec<Option<Arc<str>>> {
        let mut facts = PodFacts::default();
        let mut uids = Vec::with_capacity(slice.endpoints.len());
        for endpoint in &slice.endpoints {
            let pod = endpoint.pod.as_ref().and_then(|(namespace, name, uid)| {
                facts.namespace.clone_from(namespace);
                facts.name.clone_from(name);
                facts.node.clone_from(&endpoint.node);
                facts.addresses.clone_from(&endpoint.addresses);
                facts.uid.clone_from(uid);
                let uid = self.canonical(uid).to_owned();
                self.merge(Rank::Slice, &uid, &facts, hands, |entry| entry.in_slices += 1)
            });
            uids.push(pod);
        }
        uids
    }

    /// A slice names a pod no more: it is gone when no slice does.
    pub(super) fn unnamed(&mut self, uid: &str, at_ns: u64, addresses: &mut Addresses) {
        let Some(ByUid(mut entry)) = self.by_uid.take(uid) else {
            return;
        };
        entry.in_slices = entry.in_slices.saturating_sub(1);
        let is_last = entry.in_slices == 0;
        self.by_uid.insert(ByUid(entry));
        if is_last {
            self.gone_by(Rank::Slice, uid, at_ns, addresses);
        }
    }
}
