//! Nodes: their addresses, and the networks of their pods.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::{KEPT_MAX, few::Few, pool::Pool};
use crate::signal::inventory::NodeFacts;

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    by_name: HashMap<Arc<str>, Node>,
    by_address: HashMap<IpAddr, Arc<str>>,
    by_network: HashMap<Network, Arc<str>>,
    /// Sizes of networks there are, by family, each with their number: few, and an address is in one of each at most.
    sizes: BTreeMap<(bool, u32), usize>,
}

#[derive(Debug)]
struct Node {
    addresses: Few<IpAddr>,
    networks: Few<Network>,
}

impl Nodes {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Takes a node; false when there is no room.
    pub(super) fn node(&mut self, facts: &NodeFacts, pool: &mut Pool) -> bool {
        self.gone(&facts.name);
        if self.by_name.len() >= KEPT_MAX {
            return false;
        }
        let name = pool.text(&facts.name);
        let node = Node {
            addresses: facts.addresses.iter().copied().collect(),
            networks: facts
                .pod_cidrs
                .iter()
                .filter_map(|text| Network::parse(text))
                .collect(),
        };
        for address in node.addresses.iter() {
            self.by_address.insert(*address, Arc::clone(&name));
        }
        for network in node.networks.iter() {
            if self.by_network.insert(*network, Arc::clone(&name)).is_none() {
                *self.sizes.entry(network.size()).or_default() += 1;
            }
        }
        self.by_name.insert(name, node);
        true
    }

    pub(super) fn gone(&mut self, name: &str) {
        let Some(node) = self.by_name.remove(name) else {
            return;
        };
        for address in node.addresses.iter() {
            if self.by_address.get(address).is_some_and(|other| **other == *name) {
                self.by_address.remove(address);
            }
        }
        for network in node.networks.iter() {
            if self.by_network.get(network).is_none_or(|other| **other != *name) {
                continue;
            }
            self.by_network.remove(network);
            if let Some(count) = self.sizes.get_mut(&network.size()) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.sizes.remove(&network.size());
                }
            }
        }
    }

    pub(super) fn at(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.by_address.get(&address)
    }

    /// The node whose pods an address is for, by the smallest network.
    pub(super) fn of_pods(&self, address: IpAddr) -> Option<&Arc<str>> {
        let family = (address.is_ipv6(), 0)..=(address.is_ipv6(), u32::MAX);
        let mut sizes = self.sizes.range(family).rev();
        sizes.find_map(|((_, prefix), _)| self.by_network.get(&Network::around(address, *prefix)))
    }
}

/// A network, as in `10.244.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network {
    is_v6: bool,
    prefix: u32,
    /// First address, in the highest bits.
    bits: u128,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        (prefix <= if address.is_ipv4() { 32 } else { 128 }).then(|| Self::around(address, prefix))
    }

    /// The network of this size that an address is in.
    fn around(address: IpAddr, prefix: u32) -> Self {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        };
        let host = u128::MAX.checked_shr(prefix).unwrap_or(0);
        Self {
            is_v6: address.is_ipv6(),
            prefix,
            bits: bits & !host,
        }
    }

    const fn size(&self) -> (bool, u32) {
        (self.is_v6, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, address: &str, cidrs: &[&str]) -> NodeFacts {
        NodeFacts {
            name: name.into(),
            addresses: vec![address.parse().unwrap()],
            pod_cidrs: cidrs.iter().map(|&cidr| cidr.to_owned()).collect(),
            ..NodeFacts::default()
        }
    }

    #[test]
    fn an_address_is_of_the_smallest_network_around_it() {
        let (mut nodes, mut pool) = (Nodes::default(), Pool::default());
        let all = [
            node("all", "192.0.2.1", &["0.0.0.0/0", "::/0"]),
            node("some", "192.0.2.2", &["10.1.2.3/16", "10.2.0.0/33", "10.3.0.0"]),
            node("one", "192.0.2.3", &["10.1.7.7/32"]),
        ];
        for facts in &all {
            assert!(nodes.node(facts, &mut pool));
        }
        let of =
            |nodes: &Nodes, address: &str| nodes.of_pods(address.parse().unwrap()).map(ToString::to_string);
        let cases = [
            ("10.1.7.7", "one"),
            ("10.1.7.8", "some"),
            ("10.2.0.1", "all"),
            ("fd00::1", "all"),
        ];
        for (address, want) in cases {
            assert_eq!(of(&nodes, address).as_deref(), Some(want), "case: {address}");
        }
        nodes.gone("all");
        assert_eq!(of(&nodes, "10.2.0.1"), None);
        assert_eq!(of(&nodes, "fd00::1"), None);
        nodes.gone("some");
        assert_eq!(of(&nodes, "10.1.7.8"), None);
        assert_eq!(of(&nodes, "10.1.7.7").as_deref(), Some("one"));
    }

    #[test]
    fn what_another_node_has_taken_over_stays_its_own_when_the_first_is_gone() {
        let (mut nodes, mut pool) = (Nodes::default(), Pool::default());
        for name in ["old", "new"] {
            nodes.node(&node(name, "192.0.2.1", &["10.1.0.0/24"]), &mut pool);
        }
        nodes.gone("old");
        assert_eq!(
            nodes.at("192.0.2.1".parse().unwrap()).map(|name| &**name),
            Some("new")
        );
        let of_pods = nodes.of_pods("10.1.0.9".parse().unwrap());
        assert_eq!(of_pods.map(|name| &**name), Some("new"));
        nodes.gone("new");
        assert_eq!(nodes.at("192.0.2.1".parse().unwrap()), None);
    }
}
