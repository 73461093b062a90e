//! One pod: what is known of it, by whom, and how news of one source meet those of another.
#![forbid(unsafe_code)]

use std::{net::IpAddr, sync::Arc};

use super::{
    addresses::Addresses,
    few::Few,
    pool::{Pool, same_labels},
};
use crate::{
    attribute::place::Pod,
    signal::inventory::{Origin, PodFacts},
};

/// Who told, best first: a name of a better source replaces that of a worse one, never the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Kube,
    Cri,
    Files,
    /// An endpoint slice names it.
    Slice,
}

impl Rank {
    pub(super) const fn of(origin: Origin) -> Self {
        match origin {
            Origin::Kube => Self::Kube,
            Origin::Cri => Self::Cri,
            Origin::Files => Self::Files,
        }
    }

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Sources by their bits.
pub(super) const fn sources(bits: u8) -> &'static [&'static str] {
    const API: &str = "API server";
    match (bits & 0b1001 != 0, bits & 0b10 != 0, bits & 0b100 != 0) {
        (true, true, true) => &[API, "CRI", "node files"],
        (true, true, false) => &[API, "CRI"],
        (true, false, true) => &[API, "node files"],
        (true, false, false) => &[API],
        (false, true, true) => &["CRI", "node files"],
        (false, true, false) => &["CRI"],
        (false, false, true) => &["node files"],
        (false, false, false) => &[],
    }
}

/// A pod and what is known around it.
#[derive(Clone, Debug)]
pub struct PodEntry {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Own addresses.
    pub addresses: Few<IpAddr>,
    /// TCP ports of its containers.
    pub ports: Arc<[u16]>,
    /// What few pods have.
    pub(super) rare: Option<Box<Rare>>,
    /// How many times endpoint slices name it.
    pub(super) in_slices: u32,
    /// By origin: the list it was told in last.
    pub(super) lists: [u16; 3],
    /// Told and not gone, as bits of ranks.
    pub(super) told: u8,
    /// Ever told, as bits of ranks.
    pub(super) ever: u8,
    pub(super) ended: bool,
}

/// What only pods of this node, and static pods, have.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    pub(super) sandbox: Option<Box<str>>,
    /// The API server's uid, where it has another one.
    pub(super) mirror: Option<Box<str>>,
}

impl PodEntry {
    pub(super) fn new(pod: Pod) -> Self {
        Self {
            pod: Arc::new(pod),
            addresses: Few::default(),
            ports: Arc::default(),
            rare: None,
            in_slices: 0,
            lists: [0; 3],
            told: 0,
            ever: 0,
            ended: false,
        }
    }

    pub(super) fn sandbox(&self) -> Option<&str> {
        self.rare.as_ref()?.sandbox.as_deref()
    }

    pub(super) fn mirror(&self) -> Option<&str> {
        self.rare.as_ref()?.mirror.as_deref()
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Names of the sources that have told of it.
    pub const fn sources(&self) -> &'static [&'static str] {
        sources(self.ever)
    }

    pub(super) const fn best(&self) -> u32 {
        self.ever.trailing_zeros()
    }

    /// Its addresses are those of `facts` now.
    pub(super) fn house(
        &mut self,
        facts: &PodFacts,
        (at_ns, since_ns): (u64, u64),
        addresses: &mut Addresses,
    ) {
        let kept: &[IpAddr] = if facts.ended { &[] } else { &facts.addresses };
        if self.pod.host_network || (kept.is_empty() && !facts.ended) {
            return;
        }
        for address in self.addresses.iter().filter(|old| !kept.contains(old)) {
            addresses.end(*address, &self.pod.uid, at_ns);
        }
        for address in kept {
            addresses.begin(*address, &self.pod, since_ns);
        }
        if *self.addresses != *kept {
            self.addresses = kept.iter().copied().collect();
        }
    }
}

/// The pod as its first source tells of it.
pub(super) fn named(uid: &str, facts: &PodFacts, pool: &mut Pool) -> Pod {
    Pod {
        namespace: pool.text(&facts.namespace),
        name: facts.name.as_str().into(),
        uid: uid.into(),
        workload: facts.workload.as_ref().map(|workload| pool.workload(workload)),
        labels: pool.labels(&facts.labels),
        node: facts.node.as_deref().map(|node| pool.text(node)),
        host_network: facts.host_network.unwrap_or_default(),
    }
}

/// The pod as it is known with `facts` too, if they tell anything new. A worse source only fills what is empty.
pub(super) fn renamed(old: &Pod, facts: &PodFacts, better: bool, pool: &mut Pool) -> Option<Pod> {
    let takes = |told: bool, known: bool| told && (better || !known);
    let name = takes(!facts.name.is_empty(), old.is_named())
        && (*old.name != *facts.name || *old.namespace != *facts.namespace);
    let workload = facts
        .workload
        .as_ref()
        .filter(|workload| takes(true, old.workload.is_some()) && old.workload.as_deref() != Some(*workload));
    let labels =
        takes(!facts.labels.is_empty(), !old.labels.is_empty()) && !same_labels(&old.labels, &facts.labels);
    let node = facts
        .node
        .as_deref()
        .filter(|node| takes(true, old.node.is_some()) && old.node.as_deref() != Some(*node));
    let host_network = facts.host_network.unwrap_or_default() && !old.host_network;
    if !name && workload.is_none() && !labels && node.is_none() && !host_network {
        return None;
    }
    let mut pod = old.clone();
    if name {
        pod.namespace = pool.text(&facts.namespace);
        pod.name = facts.name.as_str().into();
    }
    if let Some(workload) = workload {
        pod.workload = Some(pool.workload(workload));
    }
    if labels {
        pod.labels = pool.labels(&facts.labels);
    }
    if let Some(node) = node {
        pod.node = Some(pool.text(node));
    }
    pod.host_network |= host_network;
    (pod != *old).then_some(pod)
}
