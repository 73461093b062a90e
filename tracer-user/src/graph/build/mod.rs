//! Adds connections up into edges between subjects, and makes a graph of them when their names are asked for.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use super::{Edge, EdgeStats, Graph, Health, Node, NodeKind};
use crate::{
    attribute::{Claim, node_ids, place::Via},
    event::{Counters, Failure},
    report::ClosedBy,
};

/// Pids shown of one node.
const PIDS_SHOWN: usize = 16;
/// Pids remembered of one subject, to count its processes.
const PIDS_MAX: usize = 65_536;
/// Edges kept of what is over, and as many more for what is alive; the rest is counted.
const EDGES_MAX: usize = 65_536;

/// What one connection adds to its edge.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
pub(crate) struct Contribution {
    /// It is alive.
    pub(crate) active: bool,
    /// Both ends are here.
    pub(crate) joined: bool,
    /// It is older than the tracer.
    pub(crate) found: bool,
    /// Which end connected was concluded from ports alone.
    pub(crate) direction_guessed: bool,
    /// Between IPv4 addresses, or IPv6 addresses, whatever its sockets are.
    pub(crate) families: (bool, bool),
    /// It never was established.
    pub(crate) failed: Option<Failure>,
    /// As the source sees them.
    pub(crate) counters: Option<Counters>,
    /// First and last sign of life, Unix nanoseconds.
    pub(crate) seen_unix_ns: (i64, i64),
    /// Who ended it.
    pub(crate) closed_by: Option<ClosedBy>,
}

/// Edges by the numbers of their subjects, destination port, and the service address that was dialled.
pub(crate) type Key = (u32, u32, u16, Option<SocketAddr>);

/// The name of a subject.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    /// Who, with evidence and place.
    pub(crate) claim: Arc<Claim>,
    /// The box it is drawn in.
    pub(crate) group: Arc<str>,
    /// Network namespace inode; 0 when unknown.
    pub(crate) netns: u32,
}

impl Name {
    /// Its socket is on this machine, in a namespace that is known.
    pub(super) fn is_here(&self) -> bool {
        let kind = NodeKind::of(&self.claim.who);
        self.netns != 0 && matches!(kind, NodeKind::Component | NodeKind::Process | NodeKind::Unknown)
    }
}

/// Edges that grow, and what is known of their subjects besides their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    edges: HashMap<Key, EdgeStats>,
    pids: HashMap<u32, BTreeSet<u32>>,
    listening: HashMap<u32, BTreeSet<SocketAddr>>,
    overflow: u64,
    /// Edges that may be added besides [`EDGES_MAX`].
    more: usize,
    /// Edges that were left when subjects were put together last.
    thinned: usize,
}

impl Builder {
    /// A process of a subject.
    pub(crate) fn process(&mut self, subject: u32, tgid: u32) {
        let pids = self.pids.entry(subject).or_default();
        if pids.len() < PIDS_MAX {
            pids.insert(tgid);
        }
    }

    /// A subject listens on `address`.
    pub(crate) fn listens(&mut self, subject: u32, address: SocketAddr) {
        self.listening.entry(subject).or_default().insert(address);
    }

    /// A copy with room for what is alive: what is over must not crowd it out.
    pub(crate) fn with_room(&self) -> Self {
        Self {
            more: EDGES_MAX,
            ..self.clone()
        }
    }

    /// Adds a connection to its edge.
    pub(crate) fn add(&mut self, key: Key, what: &Contribution) {
        if self.edges.len() >= EDGES_MAX + self.more && !self.edges.contains_key(&key) {
            self.overflow += 1;
            return;
        }
        let stats = self.edges.entry(key).or_insert_with(|| EdgeStats {
            seen_unix_ns: what.seen_unix_ns,
            ..EdgeStats::default()
        });
        stats.add(what);
    }

    /// Forgets edges that have no live connection and whose last sign of life was before that. `same` tells which
    /// subjects are one node where edges are shown: what is one edge there goes as one.
    pub(crate) fn forget_before(&mut self, unix_ns: i64, mut same: impl FnMut(u32) -> String) {
        let is_kept = |stats: &EdgeStats| stats.active > 0 || stats.seen_unix_ns.1 >= unix_ns;
        if self.edges.values().all(is_kept) {
            return;
        }
        let subjects = self.subjects().into_iter();
        let nodes: HashMap<u32, String> = subjects.map(|subject| (subject, same(subject))).collect();
        let shown =
            |(source, destination, port, via): &Key| (nodes.get(source), nodes.get(destination), *port, *via);
        let kept: HashSet<_> = self
            .edges
            .iter()
            .filter(|(_, stats)| is_kept(stats))
            .map(|(key, _)| shown(key))
            .collect();
        self.edges.retain(|key, _| kept.contains(&shown(key)));
    }

    /// Forgets the edges that `other` has not, and what only they needed.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.edges.retain(|key, _| other.edges.contains_key(key));
        let used = other.subjects();
        self.pids.retain(|subject, _| used.contains(subject));
        self.thinned = self.thinned.min(self.edges.len());
    }

    /// Edges there are.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.edges.keys()
    }

    /// Every subject that has an edge or listens.
    pub(crate) fn subjects(&self) -> BTreeSet<u32> {
        self.edges
            .keys()
            .flat_map(|(source, destination, ..)| [*source, *destination])
            .chain(self.listening.keys().copied())
            .collect()
    }

    /// Processes of a subject, in order.
    pub(crate) fn pids(&self, subject: u32) -> impl Iterator<Item = u32> {
        self.pids.get(&subject).into_iter().flatten().copied()
    }

    /// What a subject listens on, in order.
    pub(crate) fn listening(&self, subject: u32) -> impl Iterator<Item = SocketAddr> {
        self.listening.get(&subject).into_iter().flatten().copied()
    }

    /// Service addresses that were dialled.
    pub(crate) fn vias(&self) -> impl Iterator<Item = SocketAddr> {
        let vias: BTreeSet<SocketAddr> = self.edges.keys().filter_map(|(.., via)| *via).collect();
        vias.into_iter()
    }

    /// Connections whose edge did not fit.
    pub(crate) const fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Whether it is time to put edges together, for want of room.
    pub(crate) fn is_crowded(&self) -> bool {
        self.edges.len() >= (EDGES_MAX / 2).max(self.thinned + EDGES_MAX / 8)
    }

    /// Puts subjects together: `merge` gives each its new number.
    pub(crate) fn renumber(&mut self, mut merge: impl FnMut(u32) -> u32) {
        let old = std::mem::take(self);
        self.overflow = old.overflow;
        for ((source, destination, port, via), stats) in old.edges {
            let key = (merge(source), merge(destination), port, via);
            match self.edges.get_mut(&key) {
                Some(known) => known.merge(&stats),
                None => {
                    self.edges.insert(key, stats);
                }
            }
        }
        for (subject, pids) in old.pids {
            self.pids.entry(merge(subject)).or_default().extend(pids);
        }
        for (subject, addresses) in old.listening {
            self.listening
                .entry(merge(subject))
                .or_default()
                .extend(addresses);
        }
        self.thinned = self.edges.len();
    }

    /// The graph so far at the finest grain, in stable order; subjects that only listen are left out.
    pub(crate) fn finish(
        &self,
        hostname: String,
        window_unix_ns: (i64, i64),
        health: Health,
        mut name: impl FnMut(u32) -> Name,
        mut via: impl FnMut(SocketAddr) -> Via,
    ) -> Graph {
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        let mut ids: HashMap<u32, String> = HashMap::new();
        let used: BTreeSet<u32> = self
            .edges
            .keys()
            .flat_map(|(source, destination, ..)| [*source, *destination])
            .collect();
        for subject in used {
            let node = self.node(subject, &name(subject));
            ids.insert(subject, node.id.clone());
            match nodes.get_mut(&node.id) {
                Some(known) => known.merge(node),
                None => {
                    nodes.insert(node.id.clone(), node);
                }
            }
        }
        let id = |subject: &u32| ids.get(subject).cloned().unwrap_or_default();
        let mut edges: BTreeMap<(String, String, u16, Option<SocketAddr>), EdgeStats> = BTreeMap::new();
        for ((source, destination, port, via), stats) in &self.edges {
            edges
                .entry((id(source), id(destination), *port, *via))
                .and_modify(|known| known.merge(stats))
                .or_insert_with(|| stats.clone());
        }
        Graph {
            hostname,
            window_unix_ns,
            health,
            nodes: nodes.into_values().collect(),
            edges: edges
                .into_iter()
                .map(|((source, destination, port, address), stats)| Edge {
                    source,
                    destination,
                    port,
                    via: address.map(&mut via),
                    stats,
                })
                .collect(),
        }
    }

    fn node(&self, subject: u32, name: &Name) -> Node {
        let claim = &name.claim;
        let kind = NodeKind::of(&claim.who);
        let pids = self.pids.get(&subject);
        Node {
            id: node_ids::fine_id(&name.group, claim),
            label: claim.who.label().into_owned(),
            kind,
            group: name.group.to_string(),
            component: claim.who.component().map(str::to_owned),
            netns: name.is_here().then_some(name.netns),
            pids: pids.into_iter().flatten().copied().take(PIDS_SHOWN).collect(),
            process_count: pids.map_or(0, |pids| pids.len() as u64),
            listening: self
                .listening
                .get(&subject)
                .into_iter()
                .flatten()
                .copied()
                .collect(),
            claim: Claim::clone(claim),
        }
    }
}

impl Node {
    /// Another node that is the same at a coarser grain.
    pub(super) fn merge(&mut self, other: Self) {
        let shared = other.pids.iter().filter(|pid| self.pids.contains(pid)).count() as u64;
        self.process_count += other.process_count.saturating_sub(shared);
        self.pids.extend(other.pids);
        self.pids.sort_unstable();
        self.pids.dedup();
        self.pids.truncate(PIDS_SHOWN);
        self.listening.extend(other.listening);
        self.listening.sort_unstable();
        self.listening.dedup();
        if other.claim.quality < self.claim.quality {
            self.claim = other.claim;
            self.netns = other.netns;
        }
    }
}

#[cfg(test)]
mod tests;
