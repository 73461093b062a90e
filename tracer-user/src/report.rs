//! What views get besides the graph: happenings as they come, and tables of connections and listeners.
//!
//! A connection between two sockets of this machine is one thing here: both ends are already joined.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc};

pub use crate::attribute::ProcessRef;
use crate::{
    attribute::Claim,
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
    /// Which ends were seen here.
    pub side: Side,
    /// The sockets are `AF_INET6`, whatever the addresses are.
    pub family_v6: bool,
    /// Counters as the source sees them (`sent` is source to destination); absent when not read.
    pub counters: Option<Counters>,
    /// From established (or the first SYN, for a failed one) to now, nanoseconds; absent when its beginning was not seen.
    pub duration_ns: Option<u64>,
}

/// One row of `connections`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// The end that connected.
    pub source: Party,
    /// The end that accepted.
    pub destination: Party,
    /// Which ends were seen here.
    pub side: Side,
    /// State of the source's socket if seen, else of the destination's.
    pub state: TcpState,
    /// As the source sees them; absent when not read.
    pub counters: Option<Counters>,
    /// Established at, Unix nanoseconds; absent when older than the tracer.
    pub since_unix_ns: Option<i64>,
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
