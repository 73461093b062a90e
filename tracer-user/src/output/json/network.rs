//! What a connection is apart from its ends: `network` and `stats`.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::Text;
use crate::{
    event::{Counters, TcpState},
    report::{ConnectionRow, Happening, Party},
};

/// `network`.
#[derive(Serialize)]
pub(super) struct Network {
    transport: &'static str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<Text<u32>>,
    connection: Connection,
    #[serde(skip_serializing_if = "Option::is_none")]
    mptcp: Option<Mptcp>,
}

#[derive(Serialize)]
struct Connection {
    state: &'static str,
    /// Only where it is: which end connected was concluded from ports alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    direction_guessed: bool,
}

/// `network.mptcp`: of a connection by MPTCP.
#[derive(Serialize)]
struct Mptcp {
    subflows: usize,
    /// Of every subflow that lives; only in rows of `connections`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<Path>,
}

#[derive(Serialize)]
struct Path {
    source: Text<SocketAddr>,
    destination: Text<SocketAddr>,
}

impl Network {
    /// `netns` 0 is unknown.
    pub(super) fn new(destination: &Party, netns: u32, state: TcpState) -> Self {
        // After IPv4-mapped addresses have become IPv4.
        let r#type = match destination.address.ip() {
            IpAddr::V4(_) => "ipv4",
            IpAddr::V6(_) => "ipv6",
        };
        let connection = Connection {
            state: state.name(),
            direction_guessed: false,
        };
        Self {
            transport: "tcp",
            r#type,
            netns: (netns != 0).then_some(Text(netns)),
            connection,
            mptcp: None,
        }
    }

    /// Of a row of `connections`.
    pub(super) fn of_row(row: &ConnectionRow, netns: u32) -> Self {
        let mut network = Self::new(&row.destination, netns, row.state);
        network.connection.direction_guessed = row.direction_guessed;
        network.mptcp = (!row.paths.is_empty()).then(|| Mptcp {
            subflows: row.paths.len(),
            paths: row
                .paths
                .iter()
                .map(|(source, destination)| Path {
                    source: Text(*source),
                    destination: Text(*destination),
                })
                .collect(),
        });
        network
    }

    /// Of what happened to a connection.
    pub(super) fn of_happening(happening: &Happening, netns: u32, state: TcpState) -> Self {
        let mut network = Self::new(&happening.destination, netns, state);
        network.connection.direction_guessed = happening.direction_guessed;
        network.mptcp = (happening.subflows > 0).then(|| Mptcp {
            subflows: happening.subflows.into(),
            paths: Vec::new(),
        });
        network
    }
}

/// The namespace of a record: that of the end that connected where its socket was seen, else of the other.
pub(super) const fn shared_netns(source: &Party, destination: &Party) -> u32 {
    if source.netns == 0 {
        destination.netns
    } else {
        source.netns
    }
}

/// `stats`: counters as the source sees them.
#[derive(Serialize)]
pub(super) struct Stats {
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ns: Option<Text<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retransmits: Option<u32>,
}

impl Stats {
    /// Absent when nothing is known. A round-trip time of 0 is a socket that has not measured yet.
    pub(super) fn of(counters: Option<Counters>, duration_ns: Option<u64>) -> Option<Self> {
        (counters.is_some() || duration_ns.is_some()).then(|| Self {
            sent_bytes: counters.map(|counters| counters.sent_bytes),
            received_bytes: counters.map(|counters| counters.received_bytes),
            duration_ns: duration_ns.map(Text),
            rtt_us: counters
                .map(|counters| counters.rtt_us)
                .filter(|rtt_us| *rtt_us != 0),
            retransmits: counters.map(|counters| counters.retransmits),
        })
    }
}
