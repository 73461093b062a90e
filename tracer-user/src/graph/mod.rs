//! The communication graph as values: nodes, edges, and how far they can be trusted.
//!
//! Sorted and free of maps with random order, so that equal inputs print equal bytes.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

pub use crate::event::Failure;
use crate::{
    attribute::{Claim, Who, place::Via},
    signal::Degraded,
};

pub(crate) mod build;
pub(crate) mod fold;
mod stats;

/// Who talked to whom during a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// Host the graph is of.
    pub hostname: String,
    /// Start and end of the window, Unix nanoseconds.
    pub window_unix_ns: (i64, i64),
    /// How far it can be trusted.
    pub health: Health,
    /// Sorted by id.
    pub nodes: Vec<Node>,
    /// Sorted by source, destination, port.
    pub edges: Vec<Edge>,
}

/// What kind of thing a node is; decides its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeKind {
    /// A component of Kubernetes or around it.
    Component,
    /// Pods under one controller, or a pod.
    Workload,
    /// A pod: only where the graph is grouped so.
    Pod,
    /// A service whose server is not known.
    Service,
    /// A node of the cluster.
    Node,
    /// A namespace of the cluster: only where the graph is grouped so.
    Namespace,
    /// Any other process of this machine.
    Process,
    /// An address outside this machine.
    External,
    /// On this machine, but nobody knows who.
    Unknown,
}

impl NodeKind {
    /// The kind of a node that is nothing but who it is.
    pub(crate) const fn of(who: &Who) -> Self {
        match who {
            Who::Component { .. } => Self::Component,
            Who::Process { .. } => Self::Process,
            Who::Pod(_) => Self::Workload,
            Who::Service { .. } => Self::Service,
            Who::Node { .. } => Self::Node,
            Who::External { .. } => Self::External,
            Who::Unknown { .. } => Self::Unknown,
        }
    }

    /// Word for outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::Workload => "workload",
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Node => "node",
            Self::Namespace => "namespace",
            Self::Process => "process",
            Self::External => "external",
            Self::Unknown => "unknown",
        }
    }
}

/// What becomes one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// A component, else a workload, else a program.
    #[default]
    Component,
    /// A workload, else a unit, else a program.
    Workload,
    /// A pod, else a program.
    Pod,
    /// A process.
    Process,
    /// A namespace of the cluster, else the host.
    Namespace,
    /// A node of the cluster.
    Node,
}

/// One end of edges. Processes of the same component in the same group are one node, so that a restart makes none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `group/name`, stable over restarts and between runs: `host/etcd`, `external/10.0.0.9`.
    pub id: String,
    /// What to show. Hostile: escape before showing.
    pub label: String,
    /// What it is.
    pub kind: NodeKind,
    /// The box it is drawn in: `host`, `netns/NAME`, `external`.
    pub group: String,
    /// Name of the component, if it is one.
    pub component: Option<String>,
    /// Network namespace inode; absent for external addresses.
    pub netns: Option<u32>,
    /// Processes seen, sorted, at most 16.
    pub pids: Vec<u32>,
    /// Processes seen, all.
    pub process_count: u64,
    /// Sockets it listens on, sorted.
    pub listening: Vec<SocketAddr>,
    /// Best claim and its evidence.
    pub claim: Claim,
}

/// What went from one node to another, by destination port. `source` is who connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Id of the node that connects.
    pub source: String,
    /// Id of the node that accepts.
    pub destination: String,
    /// Destination port.
    pub port: u16,
    /// Service address before translation; absent when there was none.
    pub via: Option<Via>,
    /// Totals.
    pub stats: EdgeStats,
}

/// Totals of an edge over the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeStats {
    /// Connections that existed during the window, each counted once, both ends joined.
    pub opened: u64,
    /// Of those, connections alive at its end.
    pub active: u64,
    /// Of `opened`, those whose both ends were seen on this machine.
    pub joined: u64,
    /// Of `opened`, those that are older than the tracer.
    pub found: u64,
    /// Of which end connected was concluded from ports alone.
    pub direction_guessed: u64,
    /// Failed connects by reason.
    pub failed: BTreeMap<Failure, u64>,
    /// Payload from source to destination, bytes.
    pub sent_bytes: u64,
    /// Payload from destination to source, bytes.
    pub received_bytes: u64,
    /// Smoothed round-trip time of the latest sample, microseconds; absent before any.
    pub rtt_us: Option<u32>,
    /// Segments sent again by either end.
    pub retransmits: u64,
    /// Unix nanoseconds of the first and last sign of life.
    pub seen_unix_ns: (i64, i64),
    /// Closed first by the source.
    pub closed_by_source: u64,
    /// Closed first by the destination.
    pub closed_by_destination: u64,
    /// Ended by RST, time-out or abort.
    pub closed_by_reset: u64,
    /// Some of it went between IPv4 addresses, and some between IPv6 addresses.
    pub families: (bool, bool),
}

impl Graph {
    /// Drops edges without a live connection, and the nodes that only they had.
    pub fn keep_active(&mut self) {
        self.edges.retain(|edge| edge.stats.active > 0);
        let used: BTreeSet<&str> = self
            .edges
            .iter()
            .flat_map(|edge| [edge.source.as_str(), edge.destination.as_str()])
            .collect();
        self.nodes.retain(|node| used.contains(node.id.as_str()));
    }
}

/// What the kernel says of the tracer's programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// How often it was asked.
    pub asked: u64,
    /// Runs that the kernel skipped, because the program was running on that CPU already, and that no other program made
    /// up for: what they would have told is lost.
    pub skipped: u64,
    /// Runs that were skipped and that a second program made up for: nothing is lost.
    pub healed: u64,
    /// Programs that were found detached, by name.
    pub detached: Vec<String>,
    /// Programs that verdicts rest on and whose skipped runs this kernel does not count, by name.
    pub uncounted: Vec<String>,
}

impl Programs {
    /// Every program was there whenever it was asked for, and every run of it is accounted for.
    pub const fn is_complete(&self) -> bool {
        self.skipped == 0 && self.detached.is_empty() && self.uncounted.is_empty()
    }
}

/// How far an output can be trusted; part of every output, so that none can hide a loss.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Records the kernel side could not deliver.
    pub lost: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Records delivered and decoded.
    pub delivered: u64,
    /// Records delivered without an owner, by the kernel's count: socket table full or connect not seen.
    pub ownerless: u64,
    /// Complete snapshots merged.
    pub snapshots: u64,
    /// Sockets a later snapshot found though their opening had been missed.
    pub missed: u64,
    /// Connections removed because a later snapshot showed that their end had been missed.
    pub ghosts: u64,
    /// Sockets a later snapshot confirmed, of all it saw: 1,000,000 is perfect. Absent before the second snapshot.
    pub recall_ppm: Option<u32>,
    /// Connections not tracked because a limit was reached.
    pub overflow: u64,
    /// The recording it comes from ends before the run did.
    pub cut_off: bool,
    /// Canary connections made, and seen.
    pub canaries: (u64, u64),
    /// What the kernel says of the programs themselves.
    pub programs: Programs,
    /// What does not work as well as it could.
    pub degraded: Vec<Degraded>,
}

impl Health {
    /// Whether nothing at all was missed: what a negative needs.
    pub const fn is_complete(&self) -> bool {
        self.lost == 0
            && self.undecodable == 0
            && self.missed == 0
            && self.ghosts == 0
            && self.overflow == 0
            && !self.cut_off
            && self.snapshots > 0
            && self.canaries.0 == self.canaries.1
            && self.programs.is_complete()
    }
}
