//! What is known of the cluster: pods, containers, addresses, services and nodes, as sources told it. Pure.
//!
//! Several sources tell of one pod; what any of them knows counts, and it is there until all that told of it say it is
//! gone. Addresses have tenures: who had one is a matter of time.
#![forbid(unsafe_code)]

mod addresses;
mod containers;
mod entry;
mod listing;
mod network;
mod pods;
mod pool;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use addresses::Addresses;
pub use addresses::Tenant;
pub use containers::ContainerEntry;
use containers::Containers;
pub use entry::PodEntry;
use listing::Listings;
use network::Network;
pub use network::{Backend, Served};
use pods::Pods;
use pool::Pool;

use crate::{
    attribute::place::{Pod, Workload},
    signal::inventory::{Fact, Inventory as Told, Kind, Origin, StaticPodFacts},
};

/// Things kept of one kind; more are not taken, and counted.
const KEPT_MAX: usize = 1 << 20;

/// Pods, and containers, kept after they are gone: edges they made still ask for their names.
const GONE_MAX: usize = 16_384;

/// Everything told, merged.
#[derive(Debug, Default)]
pub struct Inventory {
    pool: Pool,
    pods: Pods,
    containers: Containers,
    addresses: Addresses,
    network: Network,
    static_pods: BTreeMap<(String, String), StaticPodFacts>,
    listings: Listings,
    /// Unix time minus `CLOCK_BOOTTIME`, nanoseconds.
    wall_offset_ns: i64,
    revision: u64,
    refused: u64,
}

impl Inventory {
    /// An empty one of a run whose clock is this far from Unix time.
    ///
    /// `node`: this node's name, if it is known. Containers of other nodes are not kept.
    pub fn new(wall_offset_ns: i64, node: Option<&str>) -> Self {
        let mut inventory = Self {
            wall_offset_ns,
            ..Self::default()
        };
        inventory.containers.local(node);
        inventory
    }

    /// Grows with every change: what was looked up at another revision may be out of date.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Facts not taken because a limit was reached.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether nothing was told at all.
    pub const fn is_empty(&self) -> bool {
        self.revision == 0
    }

    /// Takes one fact.
    pub fn apply(&mut self, told: &Told) {
        self.revision += 1;
        let (origin, at_ns) = (told.origin, told.at_ns);
        match &told.fact {
            Fact::Listing(kind) => self.listings.begin(origin, *kind),
            Fact::Listed(kind) => {
                for (first, second) in self.listings.end(origin, *kind) {
                    self.gone(origin, *kind, (&first, &second), at_ns);
                }
            }
            Fact::Pod(pod) => {
                self.listings.told(origin, Kind::Pods, (&pod.uid, ""));
                let since_ns = self.since_ns(pod.started_unix_ns, origin, Kind::Pods, at_ns);
                self.containers.of_pod(origin, pod, &mut self.pool);
                let taken = self.pods.pod(
                    origin,
                    pod,
                    (at_ns, since_ns),
                    &mut self.pool,
                    &mut self.addresses,
                );
                self.refused += u64::from(!taken);
            }
            Fact::Container(container) => {
                self.listings.told(origin, Kind::Containers, (&container.id, ""));
                let taken = self.containers.told(origin, container, &mut self.pool);
                self.refused += u64::from(!taken);
            }
            Fact::Service(service) => {
                self.listings
                    .told(origin, Kind::Services, (&service.namespace, &service.name));
                self.refused += u64::from(!self.network.service(service, &mut self.pool));
            }
            Fact::Endpoints(slice) => {
                self.listings
                    .told(origin, Kind::Endpoints, (&slice.namespace, &slice.name));
                let since_ns = self.since_ns(None, origin, Kind::Endpoints, at_ns);
                let taken = self.network.slice(slice);
                self.refused += u64::from(!taken);
                self.pods
                    .slice(slice, (at_ns, since_ns), &mut self.pool, &mut self.addresses);
            }
            Fact::Node(node) => {
                self.listings.told(origin, Kind::Nodes, (&node.name, ""));
                self.refused += u64::from(!self.network.node(node, &mut self.pool));
            }
            Fact::StaticPod(pod) => {
                self.listings
                    .told(origin, Kind::StaticPods, (&pod.namespace, &pod.name));
                if self.static_pods.len() < KEPT_MAX {
                    self.static_pods.insert(
                        (pod.namespace.clone(), pod.name.clone()),
                        StaticPodFacts::clone(pod),
                    );
                }
            }
            Fact::ApiServer(servers) => {
                self.listings.told(origin, Kind::ApiServers, (&servers.path, ""));
                self.refused += u64::from(!self.network.api_servers(servers));
            }
            Fact::ApiServerGone(path) => self.gone(origin, Kind::ApiServers, (path, ""), at_ns),
            Fact::PodGone(uid) => self.gone(origin, Kind::Pods, (uid, ""), at_ns),
            Fact::ContainerGone(id) => self.gone(origin, Kind::Containers, (id, ""), at_ns),
            Fact::ServiceGone(namespace, name) => {
                self.gone(origin, Kind::Services, (namespace, name), at_ns);
            }
            Fact::EndpointsGone(namespace, name) => {
                self.gone(origin, Kind::Endpoints, (namespace, name), at_ns);
            }
            Fact::NodeGone(name) => self.gone(origin, Kind::Nodes, (name, ""), at_ns),
            Fact::StaticPodGone(namespace, name) => {
                self.gone(origin, Kind::StaticPods, (namespace, name), at_ns);
            }
        }
    }

    fn gone(&mut self, origin: Origin, kind: Kind, key: listing::Key<'_>, at_ns: u64) {
        let (first, second) = key;
        self.listings.gone(origin, kind, key);
        match kind {
            Kind::Pods => {
                self.containers.of_pod_gone(origin, first);
                self.pods.gone(origin, first, at_ns, &mut self.addresses);
            }
            Kind::Containers => self.containers.gone(origin, first),
            Kind::Services => self.network.service_gone(first, second),
            Kind::Endpoints => {
                self.network.slice_gone(first, second);
                self.pods.slice_gone(first, second, at_ns, &mut self.addresses);
            }
            Kind::Nodes => self.network.node_gone(first),
            Kind::ApiServers => self.network.api_servers_gone(first),
            Kind::StaticPods => {
                self.static_pods.remove(&(first.to_owned(), second.to_owned()));
            }
        }
    }

    /// Since when a thing told now has been there: what is in the first list may have been there always.
    fn since_ns(&self, started_unix_ns: Option<i64>, origin: Origin, kind: Kind, at_ns: u64) -> u64 {
        match started_unix_ns {
            Some(started) => u64::try_from(started.saturating_sub(self.wall_offset_ns)).unwrap_or(0),
            None if self.listings.is_first(origin, kind) => 0,
            None => at_ns,
        }
    }

    /// The pod with this uid, as cgroups have it or as the API server has it.
    pub fn pod(&self, uid: &str) -> Option<&PodEntry> {
        self.pods.by_uid(uid)
    }

    /// The container with this id.
    pub fn container(&self, id: &str) -> Option<&ContainerEntry> {
        self.containers.get(id)
    }

    /// The pod whose sandbox has this id.
    pub fn sandbox(&self, id: &str) -> Option<&PodEntry> {
        self.pods.by_sandbox(id)
    }

    /// Who had an address at a time.
    ///
    /// A node's address is nobody's: all pods in its host network have it.
    pub fn at(&self, address: IpAddr, at_ns: u64) -> Option<&Tenant> {
        if self.network.node_at(address).is_some() {
            return None;
        }
        self.addresses.at(address, at_ns)
    }

    /// Pods in the host's network of a node, or anywhere, that serve a port there.
    pub fn host_pods(&self, node: &str, port: u16) -> Vec<&PodEntry> {
        self.pods.on_host(node, port)
    }

    /// The service that has an address and port of its own, or a port of every node.
    pub fn service_at(&self, address: IpAddr, port: u16) -> Option<&Served> {
        self.network.service_at(address, port)
    }

    /// Who serves a service's port, by its endpoint slices: those that take connections.
    pub fn backends(&self, service: &Served, port: u16) -> Vec<Backend> {
        self.network.backends(service, port)
    }

    /// The service among whose endpoints an address and port are, as `namespace/name`.
    pub fn endpoint_of(&self, address: IpAddr, port: u16) -> Vec<Arc<str>> {
        self.network.endpoint_of(address, port)
    }

    /// Services that have any port at an address, as `namespace/name`, sorted.
    pub fn services_of(&self, addresses: &[IpAddr]) -> Vec<Arc<str>> {
        self.network.services_of(addresses)
    }

    /// The file of this node that says an API server is at an address and port.
    pub fn api_server_at(&self, address: IpAddr, port: u16) -> Option<&str> {
        self.network.api_server_at(address, port)
    }

    /// The node that has an address.
    pub fn node_at(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.network.node_at(address)
    }

    /// The node whose pods an address is for.
    pub fn node_of_pods(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.network.node_of_pods(address)
    }

    /// Manifests of static pods on this node, by namespace and name.
    pub const fn static_pods(&self) -> &BTreeMap<(String, String), StaticPodFacts> {
        &self.static_pods
    }

    /// What a static pod is called by its manifest, where nobody told: it is known as NAME-NODE.
    pub fn manifest_of(&self, pod: &Pod) -> Option<Workload> {
        if !is_hash(&pod.uid) {
            return None;
        }
        let is_of_it = |(_, name): &&(String, String)| {
            pod.name
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with('-'))
        };
        let first = (pod.namespace.to_string(), String::new());
        let (_, name) = self
            .static_pods
            .range(first..)
            .map(|(key, _)| key)
            .take_while(|(namespace, _)| **namespace == *pod.namespace)
            .filter(is_of_it)
            .max_by_key(|(_, name)| name.len())?;
        Some(Workload {
            kind: "StaticPod".to_owned(),
            name: name.clone(),
        })
    }

    /// Pods, containers and services known now.
    pub fn counts(&self) -> HashMap<&'static str, usize> {
        HashMap::from([
            ("pods", self.pods.len()),
            ("containers", self.containers.len()),
            ("services", self.network.services_len()),
            ("nodes", self.network.nodes_len()),
        ])
    }
}

/// Whether a uid is the hash of a manifest: 32 hexadecimal digits without dashes.
fn is_hash(uid: &str) -> bool {
    uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}
