//! Adds connections up into edges between nodes.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use super::{Edge, EdgeStats, Graph, Health, Node, NodeKind};
use crate::{
    attribute::{Claim, Who, names, place::Via},
    event::{Counters, Failure},
    report::{ClosedBy, Party},
};

/// Pids shown of one node.
const PIDS_SHOWN: usize = 16;
/// Pids remembered of one node, to count its processes.
const PIDS_MAX: usize = 65_536;
/// Edges kept; the rest is counted.
const EDGES_MAX: usize = 65_536;

/// What one connection adds to its edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contribution {
    /// It is alive.
    pub(crate) active: bool,
    /// Both ends are here.
    pub(crate) joined: bool,
    /// It is older than the tracer.
    pub(crate) found: bool,
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

/// Source and destination, the destination's port, and the service address that was dialled, if any.
type EdgeKey = (usize, usize, u16, Option<SocketAddr>);

/// Nodes and edges that grow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    nodes: Vec<Growing>,
    /// Claims are shared and few; the address of one names it while it is held here.
    by_claim: HashMap<(usize, usize), usize>,
    by_id: HashMap<String, usize>,
    edges: HashMap<EdgeKey, EdgeStats>,
    overflow: u64,
}

#[derive(Clone, Debug)]
struct Growing {
    id: String,
    group: Arc<str>,
    claim: Arc<Claim>,
    netns: u32,
    pids: BTreeSet<u32>,
    listening: BTreeSet<SocketAddr>,
    /// Every claim that led here with its group, so that no other one can take its address.
    held: Vec<(Arc<Claim>, Arc<str>)>,
}

impl Builder {
    /// The node of an end. `group` as [`names::Groups`] gives it.
    pub(crate) fn node(&mut self, party: &Party, group: &Arc<str>) -> usize {
        let key = (
            Arc::as_ptr(&party.claim) as usize,
            Arc::as_ptr(group).cast::<u8>() as usize,
        );
        let index = match self.by_claim.get(&key) {
            Some(index) => *index,
            None => self.node_by_id(key, party, group),
        };
        if let (Some(node), Some(process)) = (self.nodes.get_mut(index), &party.process)
            && node.pids.len() < PIDS_MAX
        {
            node.pids.insert(process.tgid);
        }
        index
    }

    fn node_by_id(&mut self, key: (usize, usize), party: &Party, group: &Arc<str>) -> usize {
        let id = names::node_id(group, &party.claim.who);
        let index = *self.by_id.entry(id).or_insert_with_key(|id| {
            self.nodes.push(Growing {
                id: id.clone(),
                group: Arc::clone(group),
                claim: Arc::clone(&party.claim),
                netns: party.netns,
                pids: BTreeSet::new(),
                listening: BTreeSet::new(),
                held: Vec::new(),
            });
            self.nodes.len() - 1
        });
        if let Some(node) = self.nodes.get_mut(index) {
            if party.claim.quality < node.claim.quality {
                node.claim = Arc::clone(&party.claim);
            }
            node.held.push((Arc::clone(&party.claim), Arc::clone(group)));
            self.by_claim.insert(key, index);
        }
        index
    }

    /// A node listens on `address`.
    pub(crate) fn listens(&mut self, node: usize, address: SocketAddr) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.listening.insert(address);
        }
    }

    /// Adds a connection to its edge.
    pub(crate) fn add(
        &mut self,
        source: usize,
        destination: usize,
        port: u16,
        via: Option<SocketAddr>,
        what: &Contribution,
    ) {
        let key = (source, destination, port, via);
        if self.edges.len() >= EDGES_MAX && !self.edges.contains_key(&key) {
            self.overflow += 1;
            return;
        }
        let stats = self.edges.entry(key).or_insert_with(|| EdgeStats {
            seen_unix_ns: what.seen_unix_ns,
            ..EdgeStats::default()
        });
        stats.seen_unix_ns.0 = stats.seen_unix_ns.0.min(what.seen_unix_ns.0);
        stats.seen_unix_ns.1 = stats.seen_unix_ns.1.max(what.seen_unix_ns.1);
        stats.families.0 |= what.families.0;
        stats.families.1 |= what.families.1;
        if let Some(failure) = what.failed {
            *stats.failed.entry(failure).or_default() += 1;
            return;
        }
        stats.opened += 1;
        stats.active += u64::from(what.active);
        stats.joined += u64::from(what.joined);
        stats.found += u64::from(what.found);
        if let Some(counters) = what.counters {
            stats.sent_bytes = stats.sent_bytes.saturating_add(counters.sent_bytes);
            stats.received_bytes = stats.received_bytes.saturating_add(counters.received_bytes);
            stats.retransmits = stats.retransmits.saturating_add(u64::from(counters.retransmits));
            if counters.rtt_us != 0 {
                stats.rtt_us = Some(counters.rtt_us);
            }
        }
        match what.closed_by {
            Some(ClosedBy::Source) => stats.closed_by_source += 1,
            Some(ClosedBy::Destination) => stats.closed_by_destination += 1,
            Some(ClosedBy::Reset) => stats.closed_by_reset += 1,
            Some(ClosedBy::Unseen) | None => {}
        }
    }

    /// Connections whose edge did not fit.
    pub(crate) const fn overflow(&self) -> u64 {
        self.overflow
    }

    /// The graph so far, in stable order; nodes that only listen are left out.
    pub(crate) fn finish(&self, hostname: String, window_unix_ns: (i64, i64), health: Health) -> Graph {
        let id = |index: usize| {
            self.nodes
                .get(index)
                .map(|node| node.id.clone())
                .unwrap_or_default()
        };
        let sorted: BTreeMap<_, _> = self
            .edges
            .iter()
            .map(|((source, destination, port, via), stats)| {
                ((id(*source), id(*destination), *port, *via), stats)
            })
            .collect();
        let edges: Vec<Edge> = sorted
            .into_iter()
            .map(|((source, destination, port, via), stats)| Edge {
                source,
                destination,
                port,
                via: via.map(Via::of),
                stats: stats.clone(),
            })
            .collect();
        let used: BTreeSet<usize> = self
            .edges
            .keys()
            .flat_map(|(source, destination, _, _)| [*source, *destination])
            .collect();
        let mut nodes: Vec<Node> = used
            .iter()
            .filter_map(|index| self.nodes.get(*index))
            .map(Growing::finish)
            .collect();
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        Graph {
            hostname,
            window_unix_ns,
            health,
            nodes,
            edges,
        }
    }
}

impl Growing {
    fn finish(&self) -> Node {
        let kind = match self.claim.who {
            Who::Component { .. } => NodeKind::Component,
            Who::Process { .. } => NodeKind::Process,
            Who::Pod(_) => NodeKind::Workload,
            Who::Service { .. } => NodeKind::Service,
            Who::Node { .. } => NodeKind::Node,
            Who::External { .. } => NodeKind::External,
            Who::Unknown { .. } => NodeKind::Unknown,
        };
        Node {
            id: self.id.clone(),
            label: self.claim.who.label().into_owned(),
            kind,
            group: self.group.to_string(),
            component: self.claim.who.component().map(str::to_owned),
            netns: (kind != NodeKind::External && self.netns != 0).then_some(self.netns),
            pids: self.pids.iter().copied().take(PIDS_SHOWN).collect(),
            process_count: self.pids.len() as u64,
            listening: self.listening.iter().copied().collect(),
            claim: Claim::clone(&self.claim),
        }
    }
}

#[cfg(test)]
mod tests;
