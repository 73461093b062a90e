//! One pod: what is known of it, by whom, and how news of one source meet those of another.
#![forbid(unsafe_code)]

use std::{net::IpAddr, sync::Arc};

use super::{addresses::Addresses, pool::Pool};
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
    pub addresses: Box<[IpAddr]>,
    /// TCP ports of its containers.
    pub ports: Box<[u16]>,
    pub(super) sandbox: Option<Box<str>>,
    /// The API server's uid, where it has another one.
    pub(super) mirror: Option<Box<str>>,
    /// Told and not gone, as bits of ranks.
    pub(super) told: u8,
    /// Ever told, as bits of ranks.
    pub(super) ever: u8,
    pub(super) ended: bool,
}

impl PodEntry {
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
        self.addresses = kept.into();
    }
}

/// The pod as it is known with `facts`. A worse source only fills what is empty.
pub(super) fn named(
    uid: &Arc<str>,
    facts: &PodFacts,
    old: Option<&Pod>,
    better: bool,
    pool: &mut Pool,
) -> Pod {
    let Some(old) = old else {
        return Pod {
            namespace: pool.text(&facts.namespace),
            name: facts.name.as_str().into(),
            uid: Arc::clone(uid),
            workload: facts.workload.as_ref().map(|workload| pool.workload(workload)),
            labels: pool.labels(&facts.labels),
            node: facts.node.as_deref().map(|node| pool.text(node)),
            host_network: facts.host_network.unwrap_or_default(),
        };
    };
    let takes = |told: bool, known: bool| told && (better || !known);
    let mut pod = old.clone();
    if takes(!facts.name.is_empty(), old.is_named()) {
        pod.namespace = pool.text(&facts.namespace);
        pod.name = facts.name.as_str().into();
    }
    if let Some(workload) = &facts.workload
        && takes(true, old.workload.is_some())
    {
        pod.workload = Some(pool.workload(workload));
    }
    if takes(!facts.labels.is_empty(), !old.labels.is_empty()) {
        pod.labels = pool.labels(&facts.labels);
    }
    if let Some(node) = &facts.node
        && takes(true, old.node.is_some())
    {
        pod.node = Some(pool.text(node));
    }
    pod.host_network |= facts.host_network.unwrap_or_default();
    pod
}
