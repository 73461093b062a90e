//! What views get besides the graph: happenings as they come, and tables of connections and listeners.
//!
//! A connection between two sockets of this machine is one thing here: both ends are already joined.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc};

pub use crate::attribute::ProcessRef;
use crate::{
    attribute::{Claim, place::Via},
    event::{Counters, Failure, TcpState},
};

/// One end of a connection, attributed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// Address and port; IPv4-mapped addresses are IPv4 here.
    pub address: SocketAddr,
    /// Network namespace inode of its socket; 0 when its socket was not seen.
    pub netns: u32,
    /// Best claim and its evidence.
    pub claim: Arc<Claim>,
    /// Process that holds the socket; absent when its socket was not seen or the owner is unknown.
    pub process: Option<ProcessRef>,
}

/// Which ends of a connection were seen on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Only the end that connected.
    Source,
    /// Only the end that accepted.
    Destination,
    /// Both.
    Both,
}

impl Side {
    /// Word for outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Both => "both",
        }
    }
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The end that had connected sent the first FIN.
    Source,
    /// The end that had accepted sent the first FIN.
    Destination,
    /// RST, time-out or abort.
    Reset,
    /// Its end was missed; a snapshot showed that it is gone.
    Unseen,
}

impl ClosedBy {
    /// Word for outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Reset => "reset",
            Self::Unseen => "unseen",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A connection was established.
    Opened,
    /// The destination's process took the connection from its listening socket.
    Accepted,
    /// A connect failed.
    Failed {
        /// Why.
        failure: Failure,
        /// The errno, where it could be read.
        errno: Option<u32>,
    },
    /// A connection ended.
    Closed {
        /// By whom.
        by: ClosedBy,
    },
    /// A socket began to listen: `destination` of the happening; `source` is the same.
    ListenerOpened,
    /// A socket stopped listening.
    ListenerClosed,
}

/// One thing that happened, with both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub what: Happened,
    /// When, Unix nanoseconds.
    pub at_unix_ns: i64,
    /// The end that connected.
    pub source: Party,
    /// The end that accepted, or listens.
    pub destination: Party,
    /// The service address that was dialled, if it was translated.
    pub via: Option<Via>,
    /// Name of the network namespace that it was in then, where it has one: that of the end that connected if that was seen.
    pub netns_name: Option<Arc<str>>,
    /// Which ends were seen here.
    pub side: Side,
    /// The sockets are `AF_INET6`, whatever the addresses are.
    pub family_v6: bool,
    /// Counters as the source sees them (`sent` is source to destination); absent when not read.
    pub counters: Option<Counters>,
    /// From established (or the first SYN, for a failed one) to now, nanoseconds; absent when its beginning was not seen.
    pub duration_ns: Option<u64>,
    /// Which end connected was concluded from ports alone.
    pub direction_guessed: bool,
    /// Subflows it has had, by MPTCP; 0 for plain TCP.
    pub subflows: u16,
}

/// One row of `connections`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// The end that connected.
    pub source: Party,
    /// The end that accepted.
    pub destination: Party,
    /// The service address that was dialled, if it was translated.
    pub via: Option<Via>,
    /// Which ends were seen here.
    pub side: Side,
    /// State of the source's socket if seen, else of the destination's.
    pub state: TcpState,
    /// As the source sees them; absent when not read.
    pub counters: Option<Counters>,
    /// Established at, Unix nanoseconds; absent when older than the tracer.
    pub since_unix_ns: Option<i64>,
    /// Which end connected was concluded from ports alone.
    pub direction_guessed: bool,
    /// Source and destination of every subflow that lives, by MPTCP; empty for plain TCP.
    pub paths: Vec<(SocketAddr, SocketAddr)>,
}

/// One row of `listeners`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerRow {
    /// Address, port, namespace, claim and process.
    pub party: Party,
    /// The socket is `AF_INET6`: `[::]` then also takes IPv4 unless told otherwise.
    pub family_v6: bool,
    /// Name of the network namespace's group, as in graph nodes: `host`, `netns/NAME`.
    pub group: String,
    /// Established connections that came in by this port, now.
    pub connections: u64,
    /// Harmless arguments of the process that holds it; empty when unknown. Hostile.
    pub args: Arc<[String]>,
}

/// One row of `components`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentRow {
    /// Name, with the role where it has one.
    pub name: String,
    /// The process.
    pub process: ProcessRef,
    /// Best claim and its evidence.
    pub claim: Arc<Claim>,
    /// Name of the network namespace's group.
    pub group: String,
    /// Sockets it listens on, sorted.
    pub listening: Vec<SocketAddr>,
}

/// What `explain` is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// An end of a connection or a listening socket.
    Address(SocketAddr),
    /// A process.
    Pid(u32),
    /// Everything that goes by this name: component, workload, pod, service, node.
    Name(String),
    /// Edges: both names, and the destination port if given.
    Edge {
        /// Name of the end that connects.
        source: String,
        /// Name of the end that accepts.
        destination: String,
        /// Destination port.
        port: Option<u16>,
    },
}

/// What `explain` answers: one for every end, or edge, that the question meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What it is about: `kube-apiserver -> etcd tcp/2379`, `process 4242`, `10.0.0.9:2379`. Hostile.
    pub about: String,
    /// The end it explains; two for an edge, source first.
    pub ends: Vec<ExplainedEnd>,
}

/// Why one end has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedEnd {
    /// Id of its node in the graph. Hostile.
    pub node: String,
    /// The claim that decided.
    pub claim: Arc<Claim>,
    /// The process, where there is one.
    pub process: Option<ProcessRef>,
    /// Every witness, best rank first.
    pub testimonies: Vec<Testimony>,
    /// What would tell more, as remedies; empty where nothing is unknown.
    pub improve: Vec<String>,
}

impl ExplainedEnd {
    /// Whether all that is told of both is the same, but for which process it is.
    pub fn is_like(&self, other: &Self) -> bool {
        let user = |end: &Self| end.process.as_ref().map(|process| process.uid);
        self.node == other.node
            && self.claim == other.claim
            && self.testimonies == other.testimonies
            && user(self) == user(other)
    }
}

/// What one source says about an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// 1 is the most trusted.
    pub rank: u8,
    /// The source: `exe`, `argv`, `comm`, `cgroup`, `CRI`, `API server`, `node files`, `listening port`, ...
    pub source: &'static str,
    /// What it says, in a few words: `kube-apiserver`, `pod kube-system/etcd-cp`. Hostile.
    pub says: String,
    /// On what ground: a path, a label, a port. Hostile.
    pub by: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a testimony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The name comes from it.
    Decides,
    /// It says the same.
    Agrees,
    /// It tells something else about the same end, and contradicts nothing.
    Adds,
    /// It says something else and was not believed: why.
    Lost(String),
    /// It could have told, and had nothing to say: why.
    Silent(String),
}
