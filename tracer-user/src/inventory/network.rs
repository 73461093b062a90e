//! Services and configured API servers: who answers at which address and port.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::{KEPT_MAX, few::Few, pool::Pool};
use crate::signal::inventory::{ApiServerFacts, ServiceFacts, ServicePort};

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
    addresses: Few<IpAddr>,
    ports: Box<[ServicePort]>,
}

impl Served {
    /// Name of a port, which is what endpoint slices call it too.
    pub(super) fn port_name(&self, port: u16) -> &str {
        let mut ports = self.ports.iter();
        ports
            .find(|one| one.port == port || one.node_port == port)
            .map_or("", |one| one.name.as_str())
    }
}

/// All services, and what files call an API server.
#[derive(Debug, Default)]
pub(super) struct Network {
    services: HashMap<Key, Arc<Served>>,
    by_address: HashMap<(IpAddr, u16), Arc<Served>>,
    by_node_port: HashMap<u16, Arc<Served>>,
    /// By the path of the file that names them.
    api_servers: BTreeMap<String, ApiServerFacts>,
}

impl Network {
    pub(super) fn services_len(&self) -> usize {
        self.services.len()
    }

    pub(super) fn service(&mut self, facts: &ServiceFacts, pool: &mut Pool) -> bool {
        let key = (facts.namespace.clone(), facts.name.clone());
        self.service_gone(&facts.namespace, &facts.name);
        if self.services.len() >= KEPT_MAX {
            return false;
        }
        let addresses = facts.cluster_ips.iter().chain(&facts.external_ips);
        let served = Arc::new(Served {
            title: pool.text(&format!("{}/{}", facts.namespace, facts.name)),
            namespace: facts.namespace.clone(),
            name: facts.name.clone(),
            addresses: addresses.copied().collect(),
            ports: facts.ports.as_slice().into(),
        });
        for port in &served.ports {
            for address in served.addresses.iter() {
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
            for address in served.addresses.iter() {
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

    pub(super) fn api_servers(&mut self, facts: &ApiServerFacts) -> bool {
        if self.api_servers.len() >= KEPT_MAX {
            return false;
        }
        self.api_servers.insert(facts.path.clone(), facts.clone());
        true
    }

    pub(super) fn api_servers_gone(&mut self, path: &str) {
        self.api_servers.remove(path);
    }

    pub(super) fn api_server_at(&self, address: IpAddr, port: u16) -> Option<&str> {
        let names_it = |facts: &&ApiServerFacts| {
            facts
                .servers
                .iter()
                .any(|(_, at, addresses)| *at == port && addresses.contains(&address))
        };
        self.api_servers
            .values()
            .find(names_it)
            .map(|facts| facts.path.as_str())
    }

    /// The service that has an address and port of its own, or a port of every node.
    pub(super) fn service_at(&self, address: IpAddr, port: u16, of_node: bool) -> Option<&Served> {
        let own = self.by_address.get(&(address, port));
        let of_nodes = || self.by_node_port.get(&port).filter(|_| of_node);
        own.or_else(of_nodes).map(|served| &**served)
    }
}
