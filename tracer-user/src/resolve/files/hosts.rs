//! Hosts files: the one the kubelet writes for each pod, and the node's own. Pure.
//!
//! A pod may write into its own: what it says is a claim, and whoever uses it compares the claims of all pods.
#![forbid(unsafe_code)]

use std::net::IpAddr;

/// First line as the kubelet writes it for a pod with a network of its own, and for one in the host's.
const OWN_NETWORK: &str = "# Kubernetes-managed hosts file.";
const HOST_NETWORK: &str = "# Kubernetes-managed hosts file (host network).";

/// Addresses kept of one name.
const ADDRESSES_MAX: usize = 16;

/// What the hosts file of a pod says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodHosts {
    pub(super) host_network: Option<bool>,
    /// One of each family at most.
    pub(super) addresses: Vec<IpAddr>,
}

/// Reads the hosts file of a pod.
pub(super) fn of_pod(bytes: &[u8]) -> PodHosts {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines().map(str::trim);
    match lines.next() {
        Some(OWN_NETWORK) => {}
        Some(HOST_NETWORK) => {
            return PodHosts {
                host_network: Some(true),
                addresses: Vec::new(),
            };
        }
        Some(_) | None => return PodHosts::default(),
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    // What follows a blank line or a comment are aliases that the pod asked for.
    for line in lines.take_while(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((address, _names)) = entry(line).filter(|(address, _)| may_be_a_pods(address)) else {
            continue;
        };
        if !addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            addresses.push(address);
        }
    }
    PodHosts {
        host_network: Some(false),
        addresses,
    }
}

/// Addresses of a name in a hosts file.
pub(super) fn look_up(bytes: &[u8], name: &str) -> Vec<IpAddr> {
    let text = String::from_utf8_lossy(bytes);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        if let Some((address, names)) = entry(line)
            && names
                .split_whitespace()
                .any(|known| known.eq_ignore_ascii_case(name))
            && !addresses.contains(&address)
            && addresses.len() < ADDRESSES_MAX
        {
            addresses.push(address);
        }
    }
    addresses
}

fn entry(line: &str) -> Option<(IpAddr, &str)> {
    let (address, names) = line.trim().split_once(char::is_whitespace)?;
    Some((address.parse().ok()?, names))
}

/// Not an address that every host has, nor `fe00::0` and its like, which the kubelet writes into every file.
fn may_be_a_pods(address: &IpAddr) -> bool {
    let special = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.segments().first().is_some_and(|first| *first >= 0xfe00),
    };
    !(special || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}
