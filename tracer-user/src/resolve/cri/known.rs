//! What the runtime told so far: turns each list into the facts that changed, and knows what is still to be asked.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet, VecDeque};

use super::{
    diff::{changes, newest},
    facts::{self, Network},
    wire::{Container, List, PodSandbox},
};
use crate::signal::inventory::{ContainerFacts, Fact, Kind, PodFacts};

/// A status to ask for, by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ask {
    /// Addresses and network of a sandbox: its id, and its pod's uid.
    Sandbox(String, String),
    /// First process of a container.
    Container(String),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Sandbox(String, String, Network),
    Container(String, Option<u32>),
    /// No use in asking again before the next check: gone, or not answered. True for the latter.
    Nothing(Ask, bool),
}

/// Bounded by the length of one list.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Name of the runtime.
    pub(super) runtime: Option<String>,
    pods: HashMap<String, PodFacts>,
    containers: HashMap<String, ContainerFacts>,
    networks: HashMap<String, Network>,
    pids: HashMap<String, u32>,
    asks: VecDeque<Ask>,
    /// Asked in vain; true where there was no answer.
    rests: HashMap<Ask, bool>,
    /// Entries of the last lists that made no sense.
    refused: usize,
}

impl Known {
    /// Takes complete lists and returns what changed, or everything, as whole lists, when `whole`.
    pub(super) fn update(
        &mut self,
        containers: List<Container>,
        sandboxes: List<PodSandbox>,
        whole: bool,
    ) -> Vec<Fact> {
        self.refused = containers.refused + sandboxes.refused;
        let listed = sandboxes.items.len();
        let sandboxes: Vec<PodFacts> = sandboxes.items.into_iter().filter_map(facts::pod).collect();
        self.refused += listed - sandboxes.len();
        let sandbox_ids = sandboxes
            .iter()
            .filter_map(|pod| Some((pod.sandbox_id.clone()?, pod.uid.clone())));
        let uids: HashMap<_, _> = sandbox_ids.collect();
        let mut pods = newest(sandboxes);

        let mut found = HashMap::new();
        let mut running = HashSet::new();
        for container in containers.items {
            let ports = facts::ports(&container);
            let has_process = facts::has_process(&container);
            let Some(facts) = facts::container(container, &uids, self.runtime.as_deref()) else {
                self.refused += 1;
                continue;
            };
            let own_sandbox = |pod: &&mut PodFacts| pod.sandbox_id == facts.sandbox_id;
            if let Some(pod) = pods.get_mut(&facts.pod_uid).filter(own_sandbox) {
                pod.containers.push((facts.name.clone(), Some(facts.id.clone())));
                for (port, host_port) in ports {
                    pod.ports.push(port);
                    pod.host_ports.extend(host_port.map(|host| (host, port)));
                }
            }
            if has_process {
                running.insert(facts.id.clone());
            }
            found.insert(facts.id.clone(), facts);
        }
        for pod in pods.values_mut() {
            pod.containers.sort_unstable();
            pod.ports.sort_unstable();
            pod.ports.dedup();
            pod.host_ports.sort_unstable();
            pod.host_ports.dedup();
        }
        self.networks.retain(|id, _| uids.contains_key(id));
        self.pids.retain(|id, _| running.contains(id));
        self.complete(&mut pods, &mut found);
        self.plan(&pods, &running);

        let mut told = Vec::new();
        if whole {
            told.push(Fact::Listing(Kind::Pods));
        }
        changes(
            &self.pods,
            &pods,
            whole,
            Fact::PodGone,
            |pod| Fact::Pod(Box::new(pod)),
            &mut told,
        );
        if whole {
            told.extend([Fact::Listed(Kind::Pods), Fact::Listing(Kind::Containers)]);
        }
        let fact = |container| Fact::Container(Box::new(container));
        changes(
            &self.containers,
            &found,
            whole,
            Fact::ContainerGone,
            fact,
            &mut told,
        );
        if whole {
            told.push(Fact::Listed(Kind::Containers));
        }
        self.pods = pods;
        self.containers = found;
        told
    }

    /// Before a check: asks again what was asked in vain.
    pub(super) fn retry(&mut self) {
        self.rests.clear();
    }

    /// The next statuses to ask for.
    pub(super) fn asks(&mut self, max: usize) -> Vec<Ask> {
        self.asks.drain(..max.min(self.asks.len())).collect()
    }

    /// Gives up what is still to be asked until the next check: the runtime does not answer.
    pub(super) fn rest(&mut self) {
        self.rests.extend(self.asks.drain(..).map(|ask| (ask, true)));
    }

    /// Takes an answer and returns the fact that changed.
    pub(super) fn learn(&mut self, answer: Answer) -> Option<Fact> {
        match answer {
            Answer::Sandbox(id, uid, network) => {
                let pod = self
                    .pods
                    .get_mut(&uid)
                    .filter(|pod| pod.sandbox_id.as_ref() == Some(&id));
                let fact = pod.and_then(|pod| {
                    let before = pod.clone();
                    join(pod, &network);
                    (*pod != before).then(|| Fact::Pod(Box::new(pod.clone())))
                });
                if network.addresses.is_empty() && network.host_network != Some(true) {
                    self.rests.insert(Ask::Sandbox(id.clone(), uid), false);
                }
                self.networks.insert(id, network);
                fact
            }
            Answer::Container(id, pid) => {
                let Some(pid) = pid else {
                    self.rests.insert(Ask::Container(id), false);
                    return None;
                };
                self.pids.insert(id.clone(), pid);
                let container = self.containers.get_mut(&id)?;
                let is_new = !container.ended && container.pid != Some(pid);
                container.pid = (!container.ended).then_some(pid);
                is_new.then(|| Fact::Container(Box::new(container.clone())))
            }
            Answer::Nothing(ask, is_silent) => {
                self.rests.insert(ask, is_silent);
                None
            }
        }
    }

    /// Entries that made no sense, and statuses without answer.
    pub(super) fn gaps(&self) -> (usize, usize) {
        (
            self.refused,
            self.rests.values().filter(|is_silent| **is_silent).count(),
        )
    }

    /// Fills in what statuses told earlier.
    fn complete(
        &self,
        pods: &mut HashMap<String, PodFacts>,
        containers: &mut HashMap<String, ContainerFacts>,
    ) {
        for pod in pods.values_mut() {
            let network = pod.sandbox_id.as_ref().and_then(|id| self.networks.get(id));
            if let Some(network) = network {
                join(pod, network);
            }
        }
        for container in containers.values_mut().filter(|container| !container.ended) {
            container.pid = self.pids.get(&container.id).copied();
        }
    }

    /// Notes what is to be asked: of each pod's sandbox and each running container, once.
    fn plan(&mut self, pods: &HashMap<String, PodFacts>, running: &HashSet<String>) {
        let lacks_network = |pod: &&PodFacts| {
            let id = pod.sandbox_id.as_ref();
            let known = id.and_then(|id| self.networks.get(id));
            known.is_none_or(|known| {
                !pod.ended && known.addresses.is_empty() && known.host_network != Some(true)
            })
        };
        let lacking = pods.values().filter(lacks_network);
        let sandboxes =
            lacking.filter_map(|pod| Some(Ask::Sandbox(pod.sandbox_id.clone()?, pod.uid.clone())));
        let containers = running.iter().filter(|id| !self.pids.contains_key(*id)).cloned();
        let asks: VecDeque<Ask> = sandboxes.chain(containers.map(Ask::Container)).collect();
        let wanted: HashSet<&Ask> = asks.iter().collect();
        self.rests.retain(|ask, _| wanted.contains(ask));
        self.asks = asks
            .into_iter()
            .filter(|ask| !self.rests.contains_key(ask))
            .collect();
    }
}

fn join(pod: &mut PodFacts, network: &Network) {
    pod.addresses.clone_from(&network.addresses);
    pod.host_network = network.host_network;
    if pod.host_network == Some(true) {
        // kubelet notes each port as the node's own port: there is nothing to lead anywhere.
        pod.host_ports.clear();
    }
}
