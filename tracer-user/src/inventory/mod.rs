//! What is known of the cluster: pods, containers, addresses, services and nodes, as sources told it. Pure.
//!
//! Several sources tell of one pod; what any of them knows counts, and it is there until all that told of it say it is
//! gone. Addresses have tenures: who had one is a matter of time.
#![forbid(unsafe_code)]

mod addresses;
mod apply;
mod containers;
mod entry;
mod few;
mod host;
mod listing;
mod merge;
mod network;
mod nodes;
mod pods;
mod pool;
mod slices;
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
pub use few::Few;
use host::Host;
use listing::Listings;
use network::Network;
pub use network::Served;
use nodes::Nodes;
use pods::Pods;
use pool::Pool;
pub use slices::Backend;
use slices::Slices;

use crate::{
    attribute::place::{Pod, Workload},
    signal::inventory::StaticPodFacts,
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
    slices: Slices,
    nodes: Nodes,
    host: Host,
    static_pods: BTreeMap<(String, String), StaticPodFacts>,
    listings: Listings,
    /// Unix time minus `CLOCK_BOOTTIME`, nanoseconds.
    wall_offset_ns: i64,
    revision: u64,
    refused: u64,
    /// Changes of the node's own addresses.
    own_changes: u64,
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
        self.revision + self.own_changes
    }

    /// Facts not taken because a limit was reached.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether no source told anything of the cluster.
    pub const fn is_empty(&self) -> bool {
        self.revision == 0
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
        if self.node_at(address, at_ns).is_some() {
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
        self.network
            .service_at(address, port, self.node_at(address, 0).is_some())
    }

    /// Who serves a service's port, by its endpoint slices: those that take connections.
    pub fn backends(&self, service: &Served, port: u16) -> Vec<Backend> {
        self.slices.backends(service, port, &self.pods)
    }

    /// The service among whose endpoints an address and port are, as `namespace/name`.
    pub fn endpoint_of(&self, address: IpAddr, port: u16) -> Vec<Arc<str>> {
        self.slices.endpoint_of(address, port)
    }

    /// Services that have any port at an address, as `namespace/name`, sorted.
    pub fn services_of(&self, addresses: &[IpAddr]) -> Vec<Arc<str>> {
        self.slices.services_of(addresses)
    }

    /// The file of this node that says an API server is at an address and port.
    pub fn api_server_at(&self, address: IpAddr, port: u16) -> Option<&str> {
        self.network.api_server_at(address, port)
    }

    /// The node that has an address.
    ///
    /// At a time, for addresses that only this node's interfaces tell; 0 for now.
    pub fn node_at(&self, address: IpAddr, at_ns: u64) -> Option<&Arc<str>> {
        self.nodes.at(address).or_else(|| self.host.at(address, at_ns))
    }

    /// Whether an interface of this node has an address, or had it.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.host.has_had(address)
    }

    /// What this node is called.
    pub fn call_host(&mut self, name: &str) {
        self.host.call(name);
    }

    /// An interface of this node has an address, or none has it any more.
    pub fn own_address(&mut self, address: IpAddr, at_ns: u64, has: bool) {
        self.own_changes += 1;
        self.refused += u64::from(!self.host.address(address, at_ns, has));
    }

    /// What this node is called, and its addresses now.
    pub fn host_name(&self) -> Option<&Arc<str>> {
        self.host.name()
    }

    /// One of its addresses now, that is not for itself alone.
    pub fn own_address_of_host(&self) -> Option<IpAddr> {
        self.host.lowest()
    }

    /// The node whose pods an address is for.
    pub fn node_of_pods(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.nodes.of_pods(address)
    }

    /// Manifests of static pods on this node, by namespace and name.
    pub const fn static_pods(&self) -> &BTreeMap<(String, String), StaticPodFacts> {
        &self.static_pods
    }

    /// Who should listen on a port of the host, and the path of the manifest that says so.
    pub fn manifest_for(&self, port: u16) -> Option<(&str, &str)> {
        let manifest = self.static_pods.values().find(|manifest| {
            manifest.host_network && manifest.flags.iter().any(|flag| listens(flag, port))
        })?;
        let (name, command) = manifest.containers.first()?;
        Some((command.as_deref().unwrap_or(name), &manifest.path))
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
            ("nodes", self.nodes.len()),
        ])
    }
}

/// Whether a uid is the hash of a manifest: 32 hexadecimal digits without dashes.
fn is_hash(uid: &str) -> bool {
    uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a flag has its program listen on a port: `--secure-port=6443`, `--listen-client-urls=https://127.0.0.1:2379`.
fn listens(flag: &str, port: u16) -> bool {
    let Some((key, value)) = flag.split_once('=') else {
        return false;
    };
    let is_port = |text: &str| text.parse() == Ok(port);
    match key {
        "--secure-port" | "--insecure-port" | "--port" => is_port(value),
        _ if key.starts_with("--listen-") => value.split(',').any(|url| {
            let end = url.rsplit(':').next().unwrap_or_default();
            is_port(end.split('/').next().unwrap_or_default())
        }),
        _ => false,
    }
}
