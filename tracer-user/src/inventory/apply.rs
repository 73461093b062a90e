//! One fact after the other: what each changes.
#![forbid(unsafe_code)]

use super::{Inventory, KEPT_MAX, listing, merge::Hands};
use crate::signal::inventory::{
    EndpointsFacts, Fact, Inventory as Told, Kind, Origin, PodFacts, StaticPodFacts,
};

impl Inventory {
    /// Takes one fact.
    pub fn apply(&mut self, told: &Told) {
        self.revision += 1;
        let (origin, at_ns) = (told.origin, told.at_ns);
        match &told.fact {
            Fact::Listing(kind) => {
                if *kind == Kind::Pods {
                    self.pods.begin(origin);
                }
                self.listings.begin(origin, *kind);
            }
            Fact::Listed(kind) => {
                if *kind == Kind::Pods {
                    for uid in self.pods.end(origin) {
                        self.gone(origin, Kind::Pods, (&uid, ""), at_ns);
                    }
                }
                for (first, second) in self.listings.end(origin, *kind) {
                    self.gone(origin, *kind, (&first, &second), at_ns);
                }
            }
            Fact::Pod(pod) => self.take_pod(origin, pod, at_ns),
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
            Fact::Endpoints(slice) => self.take_slice(origin, slice, at_ns),
            Fact::Node(node) => {
                self.listings.told(origin, Kind::Nodes, (&node.name, ""));
                self.refused += u64::from(!self.nodes.node(node, &mut self.pool));
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

    fn take_pod(&mut self, origin: Origin, pod: &PodFacts, at_ns: u64) {
        let since_ns = self.since_ns(pod.started_unix_ns, origin, Kind::Pods, at_ns);
        self.containers.of_pod(origin, pod, &mut self.pool);
        let mut hands = Hands {
            now: (at_ns, since_ns),
            pool: &mut self.pool,
            addresses: &mut self.addresses,
        };
        let taken = self.pods.pod(origin, pod, &mut hands);
        self.refused += u64::from(!taken);
    }

    fn take_slice(&mut self, origin: Origin, slice: &EndpointsFacts, at_ns: u64) {
        self.listings
            .told(origin, Kind::Endpoints, (&slice.namespace, &slice.name));
        let since_ns = self.since_ns(None, origin, Kind::Endpoints, at_ns);
        let mut hands = Hands {
            now: (at_ns, since_ns),
            pool: &mut self.pool,
            addresses: &mut self.addresses,
        };
        // First what it names now: a pod that it named before too is never gone.
        let uids = self.pods.slice(slice, &mut hands);
        self.slice_gone(&slice.namespace, &slice.name, at_ns);
        if let Err(refused) = self.slices.put(slice, uids, &mut self.pool) {
            self.refused += 1;
            for uid in refused.uids() {
                self.pods.unnamed(uid, at_ns, &mut self.addresses);
            }
        }
    }

    fn slice_gone(&mut self, namespace: &str, name: &str, at_ns: u64) {
        if let Some(slice) = self.slices.remove(namespace, name, &mut self.pool) {
            for uid in slice.uids() {
                self.pods.unnamed(uid, at_ns, &mut self.addresses);
            }
        }
    }

    fn gone(&mut self, origin: Origin, kind: Kind, key: listing::Key<'_>, at_ns: u64) {
        let (first, second) = key;
        if kind != Kind::Pods {
            self.listings.gone(origin, kind, key);
        }
        match kind {
            Kind::Pods => {
                self.containers.of_pod_gone(origin, self.pods.canonical(first));
                self.pods.gone(origin, first, at_ns, &mut self.addresses);
            }
            Kind::Containers => self.containers.gone(origin, first),
            Kind::Services => self.network.service_gone(first, second),
            Kind::Endpoints => self.slice_gone(first, second, at_ns),
            Kind::Nodes => self.nodes.gone(first),
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
}
