//! Services, endpoint slices and nodes: who answers at which address and port, and whose networks they are.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{KEPT_MAX, pool::Pool};
use crate::signal::inventory::{EndpointsFacts, NodeFacts, ServiceFacts, ServicePort};

/// Namespace and name.
type Key = (String, String);

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `namespace/name`.
    pub title: Arc<str>,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    addresses: Vec<IpAddr>,
    ports: Vec<ServicePort>,
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backend {
    /// Where.
    pub address: SocketAddr,
    /// Namespace and name of its pod.
    pub pod: Option<(String, String)>,
    /// Its node.
    pub node: Option<String>,
}

/// Everything that has addresses but is no pod.
#[derive(Debug, Default)]
pub(super) struct Network {
    services: HashMap<Key, Arc<Served>>,
    by_address: HashMap<(IpAddr, u16), Arc<Served>>,
    by_node_port: HashMap<u16, Arc<Served>>,
    slices: BTreeMap<Key, EndpointsFacts>,
    /// Slices by service.
    by_service: HashMap<Key, Vec<Key>>,
    /// Slices by the addresses in them.
    by_endpoint: HashMap<IpAddr, Vec<Key>>,
    nodes: BTreeMap<String, NodeFacts>,
    node_addresses: HashMap<IpAddr, Arc<str>>,
    cidrs: Vec<(Cidr, Arc<str>)>,
}

impl Network {
    pub(super) fn services_len(&self) -> usize {
        self.services.len()
    }

    pub(super) fn nodes_len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn service(&mut self, facts: &ServiceFacts, pool: &mut Pool) -> bool {
        let key = (facts.namespace.clone(), facts.name.clone());
        self.service_gone(&facts.namespace, &facts.name);
        if self.services.len() >= KEPT_MAX {
            return false;
        }
        let addresses: Vec<IpAddr> = facts
            .cluster_ips
            .iter()
            .chain(&facts.external_ips)
            .copied()
            .collect();
        let served = Arc::new(Served {
            title: pool.text(&format!("{}/{}", facts.namespace, facts.name)),
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            addresses,
            ports: facts.ports.clone(),
        });
        for port in &served.ports {
            for address in &served.addresses {
                self.by_address.insert((*address, port.port), Arc::clone(&served));
            }
            if port.node_port != 0 {
                self.by_node_port.insert(port.node_port, Arc::clone(&served));
            }
        }
        self.services.insert(key, served);
        true
    }

    pub(super) fn service_gone(&mut self, namespace: &str, name: &str) {
        let Some(served) = self.services.remove(&(namespace.to_owned(), name.to_owned())) else {
            return;
        };
        for port in &served.ports {
            for address in &served.addresses {
                let key = (*address, port.port);
                if self
                    .by_address
                    .get(&key)
                    .is_some_and(|other| Arc::ptr_eq(other, &served))
                {
                    self.by_address.remove(&key);
                }
            }
            let theirs = self.by_node_port.get(&port.node_port);
            if theirs.is_some_and(|other| Arc::ptr_eq(other, &served)) {
                self.by_node_port.remove(&port.node_port);
            }
        }
    }

    pub(super) fn slice(&mut self, facts: &EndpointsFacts) -> bool {
        self.slice_gone(&facts.namespace, &facts.name);
        if self.slices.len() >= KEPT_MAX {
            return false;
        }
        let key = (facts.namespace.clone(), facts.name.clone());
        let service = (facts.namespace.clone(), facts.service.clone());
        self.by_service.entry(service).or_default().push(key.clone());
        for address in facts.endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            let keys = self.by_endpoint.entry(*address).or_default();
            if !keys.contains(&key) {
                keys.push(key.clone());
            }
        }
        self.slices.insert(key, facts.clone());
        true
    }

    pub(super) fn slice_gone(&mut self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let Some(slice) = self.slices.remove(&key) else {
            return;
        };
        for address in slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            if let Some(keys) = self.by_endpoint.get_mut(address) {
                keys.retain(|other| *other != key);
                if keys.is_empty() {
                    self.by_endpoint.remove(address);
                }
            }
        }
        let service = (slice.namespace, slice.service);
        if let Some(keys) = self.by_service.get_mut(&service) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_service.remove(&service);
            }
        }
    }

    pub(super) fn node(&mut self, facts: &NodeFacts, pool: &mut Pool) -> bool {
        self.node_gone(&facts.name);
        if self.nodes.len() >= KEPT_MAX {
            return false;
        }
        let name = pool.text(&facts.name);
        for address in &facts.addresses {
            self.node_addresses.insert(*address, Arc::clone(&name));
        }
        let cidrs = facts.pod_cidrs.iter().filter_map(|text| Cidr::parse(text));
        self.cidrs.extend(cidrs.map(|cidr| (cidr, Arc::clone(&name))));
        self.nodes.insert(facts.name.clone(), facts.clone());
        true
    }

    pub(super) fn node_gone(&mut self, name: &str) {
        if self.nodes.remove(name).is_some() {
            self.node_addresses.retain(|_, other| **other != *name);
            self.cidrs.retain(|(_, other)| **other != *name);
        }
    }

    pub(super) fn service_at(&self, address: IpAddr, port: u16) -> Option<&Served> {
        let own = self.by_address.get(&(address, port));
        let of_nodes = || {
            self.node_addresses
                .contains_key(&address)
                .then(|| self.by_node_port.get(&port))
                .flatten()
        };
        own.or_else(of_nodes).map(|served| &**served)
    }

    pub(super) fn backends(&self, service: &Served, port: u16) -> Vec<Backend> {
        let name = service
            .ports
            .iter()
            .find(|one| one.port == port || one.node_port == port)
            .map_or("", |one| one.name.as_str());
        let key = (service.namespace.clone(), service.name.clone());
        let slices = self.by_service.get(&key).into_iter().flatten();
        let mut backends = Vec::new();
        for slice in slices.filter_map(|key| self.slices.get(key)) {
            let ports = slice.ports.iter().filter(|(other, _)| other == name);
            for (_, port) in ports {
                for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready) {
                    backends.extend(endpoint.addresses.iter().map(|address| {
                        Backend {
                            address: SocketAddr::new(*address, *port),
                            pod: endpoint
                                .pod
                                .as_ref()
                                .map(|(namespace, name, _)| (namespace.clone(), name.clone())),
                            node: endpoint.node.clone(),
                        }
                    }));
                }
            }
        }
        backends.sort();
        backends.dedup();
        backends
    }

    pub(super) fn endpoint_of(&self, address: IpAddr, port: u16) -> Vec<Arc<str>> {
        self.serving(&[address], |slice| {
            slice.ports.iter().any(|(_, one)| *one == port)
        })
    }

    pub(super) fn services_of(&self, addresses: &[IpAddr]) -> Vec<Arc<str>> {
        self.serving(addresses, |_| true)
    }

    /// Titles of the services that have one of the addresses in such a slice.
    fn serving(&self, addresses: &[IpAddr], is_such: impl Fn(&EndpointsFacts) -> bool) -> Vec<Arc<str>> {
        let mut titles: Vec<Arc<str>> = addresses
            .iter()
            .filter_map(|address| self.by_endpoint.get(address))
            .flatten()
            .filter_map(|key| self.slices.get(key))
            .filter(|slice| is_such(slice))
            .map(|slice| Arc::from(format!("{}/{}", slice.namespace, slice.service)))
            .collect();
        titles.sort_unstable();
        titles.dedup();
        titles
    }

    pub(super) fn node_at(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.node_addresses.get(&address)
    }

    pub(super) fn node_of_pods(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.cidrs
            .iter()
            .find(|(cidr, _)| cidr.holds(address))
            .map(|(_, node)| node)
    }
}

/// A network, as in `10.244.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    prefix: u32,
}

impl Cidr {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        (prefix <= if address.is_ipv4() { 32 } else { 128 }).then_some(Self { address, prefix })
    }

    fn holds(&self, other: IpAddr) -> bool {
        fn same(a: u128, b: u128, bits: u32) -> bool {
            bits == 0 || (a ^ b).leading_zeros() >= bits
        }
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), self.prefix + 96)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}
