//! What the node's own network is called: names of network namespaces, addresses of the host's.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One change of the node's own network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// When it was learnt, `CLOCK_BOOTTIME` nanoseconds.
    pub at_ns: u64,
    /// What.
    pub fact: HostFact,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostFact {
    /// A network namespace has a name, an entry of /run/netns: its inode, which may be another namespace's later.
    Namespace(u32, String),
    /// It has that name no more.
    NamespaceGone(u32, String),
    /// An interface of the host's network namespace has this address.
    Address(IpAddr),
    /// None has it any more.
    AddressGone(IpAddr),
}
