//! What a pipeline would know after all that was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use super::super::{Cri, Socket};
use crate::{
    clock,
    resolve::{Resolvers, Told},
    signal::{
        Degraded,
        inventory::{ContainerFacts, Fact, Kind, Origin, PodFacts},
    },
};

/// Longer than anything a test waits for.
const DEADLINE_NS: u64 = 60_000_000_000;

pub(super) struct World {
    resolvers: Resolvers,
    pub(super) pods: BTreeMap<String, PodFacts>,
    pub(super) containers: BTreeMap<String, ContainerFacts>,
    /// What each source said of itself, in turn.
    pub(super) states: Vec<(String, Option<Degraded>)>,
    /// Facts so far.
    pub(super) facts: usize,
    /// Facts that take something away.
    pub(super) gone: usize,
    listing: BTreeMap<&'static str, BTreeSet<String>>,
}

impl World {
    /// Asks the runtime at `socket`.
    pub(super) fn of(cri: Cri) -> Self {
        Self {
            resolvers: Resolvers::start(vec![Box::new(cri)]),
            pods: BTreeMap::new(),
            containers: BTreeMap::new(),
            states: Vec::new(),
            facts: 0,
            gone: 0,
            listing: BTreeMap::new(),
        }
    }

    /// Listens until something is so.
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline_ns = clock::boot_ns() + DEADLINE_NS;
        while !is_so(self) {
            let mut told = Vec::new();
            if self.resolvers.drain(1000, |each| told.push(each.clone())) == 0 {
                let told = (self.pods.len(), self.containers.len(), &self.states);
                assert!(
                    clock::boot_ns() < deadline_ns,
                    "never came: {what}; told: {told:?}"
                );
                thread::park_timeout(Duration::from_millis(2));
            }
            for each in told {
                self.take(each);
            }
        }
    }

    pub(super) fn works(&mut self) {
        self.until("it works", |world| matches!(world.states.last(), Some((_, None))));
    }

    pub(super) fn fails(&mut self) -> Degraded {
        self.until("it fails", |world| {
            matches!(world.states.last(), Some((_, Some(_))))
        });
        self.states.last().unwrap().1.clone().unwrap()
    }

    pub(super) fn pod(&self, name: &str) -> &PodFacts {
        self.pods.values().find(|pod| pod.name == name).unwrap()
    }

    pub(super) fn container(&self, name: &str) -> &ContainerFacts {
        self.containers
            .values()
            .find(|container| container.name == name)
            .unwrap()
    }

    fn take(&mut self, told: Told) {
        let inventory = match told {
            Told::Inventory(inventory) => inventory,
            Told::Source(state) => return self.states.push((state.source, state.fault)),
            Told::Host(_) | Told::Nat(_) => panic!("a runtime knows nothing of the node's network"),
        };
        assert_eq!(inventory.origin, Origin::Cri);
        self.facts += 1;
        match inventory.fact {
            Fact::Listing(Kind::Pods) => {
                self.listing.insert("pods", self.pods.keys().cloned().collect());
            }
            Fact::Listing(Kind::Containers) => {
                drop(
                    self.listing
                        .insert("containers", self.containers.keys().cloned().collect()),
                );
            }
            Fact::Listed(Kind::Pods) => {
                let stale = self.listing.remove("pods").unwrap();
                self.pods.retain(|uid, _| !stale.contains(uid));
            }
            Fact::Listed(Kind::Containers) => {
                let stale = self.listing.remove("containers").unwrap();
                self.containers.retain(|id, _| !stale.contains(id));
            }
            Fact::Pod(pod) => {
                self.listing.entry("pods").or_default().remove(&pod.uid);
                self.pods.insert(pod.uid.clone(), *pod);
            }
            Fact::PodGone(uid) => {
                self.gone += 1;
                assert!(self.pods.remove(&uid).is_some(), "{uid} was never there");
            }
            Fact::Container(container) => {
                self.listing
                    .entry("containers")
                    .or_default()
                    .remove(&container.id);
                self.containers.insert(container.id.clone(), *container);
            }
            Fact::ContainerGone(id) => {
                self.gone += 1;
                assert!(self.containers.remove(&id).is_some(), "{id} was never there");
            }
            other @ (Fact::Listing(_)
            | Fact::Listed(_)
            | Fact::Service(_)
            | Fact::ServiceGone(..)
            | Fact::Endpoints(_)
            | Fact::EndpointsGone(..)
            | Fact::Node(_)
            | Fact::NodeGone(_)
            | Fact::StaticPod(_)
            | Fact::StaticPodGone(..)
            | Fact::ApiServer(_)
            | Fact::ApiServerGone(_)) => panic!("a runtime does not tell {other:?}"),
        }
    }
}

/// A socket that was asked for.
pub(super) fn asked(path: std::path::PathBuf) -> Socket {
    Socket {
        shown: path.clone(),
        path,
        guessed: false,
    }
}
