//! Endpoint slices: which addresses serve which service, on which ports, and whose pods they are.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{KEPT_MAX, few::Few, network::Served, pods::Pods, pool::Pool};
use crate::signal::inventory::EndpointsFacts;

/// Slices of one service, or around one address: at 100 endpoints each, more servers than a cluster has pods.
const OF_ONE_MAX: usize = 4_096;

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

/// A slice. Of its pods only the uids are kept: their names are in the pods.
#[derive(Debug)]
pub(super) struct Slice {
    /// The service, as `namespace/name`.
    title: Arc<str>,
    ports: Box<[(Box<str>, u16)]>,
    servers: Box<[Server]>,
}

#[derive(Debug)]
struct Server {
    addresses: Few<IpAddr>,
    uid: Option<Arc<str>>,
    node: Option<Arc<str>>,
    is_ready: bool,
}

impl Slice {
    /// Uids of the pods it names.
    pub(super) fn uids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.servers.iter().filter_map(|server| server.uid.as_ref())
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let all = self.servers.iter().flat_map(|server| server.addresses.iter());
        all.copied()
    }
}

/// All slices.
#[derive(Debug, Default)]
pub(super) struct Slices {
    /// By namespace and the slice's own name.
    all: HashMap<(Arc<str>, Box<str>), Arc<Slice>>,
    /// By the service's title.
    by_service: HashMap<Arc<str>, Few<Arc<Slice>>>,
    by_address: HashMap<IpAddr, Few<Arc<Slice>>>,
}

impl Slices {
    /// Takes a slice, whose endpoints are pods with these uids; gives it back when there is no room.
    pub(super) fn put(
        &mut self,
        facts: &EndpointsFacts,
        uids: Vec<Option<Arc<str>>>,
        pool: &mut Pool,
    ) -> Result<(), Arc<Slice>> {
        let servers = facts.endpoints.iter().zip(uids).map(|(endpoint, uid)| Server {
            addresses: endpoint.addresses.iter().copied().collect(),
            uid,
            node: endpoint.node.as_deref().map(|node| pool.text(node)),
            is_ready: endpoint.ready,
        });
        let servers = servers.collect();
        let slice = Arc::new(Slice {
            title: pool.text(&format!("{}/{}", facts.namespace, facts.service)),
            ports: facts
                .ports
                .iter()
                .map(|(name, port)| (name.as_str().into(), *port))
                .collect(),
            servers,
        });
        let of_service = self.by_service.get(&slice.title).map_or(0, |all| all.len());
        if self.all.len() >= KEPT_MAX || of_service >= OF_ONE_MAX {
            return Err(slice);
        }
        let key = (pool.text(&facts.namespace), facts.name.as_str().into());
        self.all.insert(key, Arc::clone(&slice));
        let of_service = self.by_service.entry(Arc::clone(&slice.title)).or_default();
        of_service.push(Arc::clone(&slice));
        for address in slice.addresses() {
            let around = self.by_address.entry(address).or_default();
            let is_there = around.last().is_some_and(|last| Arc::ptr_eq(last, &slice));
            if !is_there && around.len() < OF_ONE_MAX {
                around.push(Arc::clone(&slice));
            }
        }
        Ok(())
    }

    /// Takes a slice out.
    pub(super) fn remove(&mut self, namespace: &str, name: &str, pool: &mut Pool) -> Option<Arc<Slice>> {
        let slice = self.all.remove(&(pool.text(namespace), name.into()))?;
        for address in slice.addresses() {
            if let Some(around) = self.by_address.get_mut(&address) {
                without(around, &slice);
                if around.is_empty() {
                    self.by_address.remove(&address);
                }
            }
        }
        if let Some(of_service) = self.by_service.get_mut(&slice.title) {
            without(of_service, &slice);
            if of_service.is_empty() {
                self.by_service.remove(&slice.title);
            }
        }
        Some(slice)
    }

    /// Who serves a service's port, as far as they take connections.
    pub(super) fn backends(&self, service: &Served, port: u16, pods: &Pods) -> Vec<Backend> {
        let name = service.port_name(port);
        let slices = self.by_service.get(&service.title).into_iter();
        let mut backends = Vec::new();
        for slice in slices.flat_map(|slices| slices.iter()) {
            let ports = slice.ports.iter().filter(|(other, _)| **other == *name);
            for (_, port) in ports {
                for server in slice.servers.iter().filter(|server| server.is_ready) {
                    let pod = server.uid.as_ref().and_then(|uid| pods.by_uid(uid));
                    backends.extend(server.addresses.iter().map(|address| Backend {
                        address: SocketAddr::new(*address, *port),
                        pod: pod.map(|entry| (entry.pod.namespace.to_string(), entry.pod.name.to_string())),
                        node: server.node.as_deref().map(String::from),
                    }));
                }
            }
        }
        backends.sort();
        backends.dedup();
        backends
    }

    /// Services among whose endpoints an address and port are, as `namespace/name`, sorted.
    pub(super) fn endpoint_of(&self, address: IpAddr, port: u16) -> Vec<Arc<str>> {
        self.serving(&[address], |slice| {
            slice.ports.iter().any(|(_, one)| *one == port)
        })
    }

    /// Services that have any port at one of the addresses, as `namespace/name`, sorted.
    pub(super) fn services_of(&self, addresses: &[IpAddr]) -> Vec<Arc<str>> {
        self.serving(addresses, |_| true)
    }

    fn serving(&self, addresses: &[IpAddr], is_such: impl Fn(&Slice) -> bool) -> Vec<Arc<str>> {
        let mut titles: Vec<Arc<str>> = addresses
            .iter()
            .filter_map(|address| self.by_address.get(address))
            .flat_map(|slices| slices.iter())
            .filter(|slice| is_such(slice))
            .map(|slice| Arc::clone(&slice.title))
            .collect();
        titles.sort_unstable();
        titles.dedup();
        titles
    }
}

/// Takes one slice out of some.
fn without(some: &mut Few<Arc<Slice>>, slice: &Arc<Slice>) {
    if some.iter().any(|other| Arc::ptr_eq(other, slice)) {
        some.edit(|all| all.retain(|other| !Arc::ptr_eq(other, slice)));
    }
}
