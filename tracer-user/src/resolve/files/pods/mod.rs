//! Pods and containers out of the directories the kubelet keeps for their logs and files.
#![forbid(unsafe_code)]

mod look;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use look::Look;

use super::{
    host::{Host, Stamp},
    hosts::PodHosts,
};
use crate::signal::{
    Degraded,
    inventory::{ContainerFacts, PodFacts},
};

/// Pods kept; a node runs some hundreds at most.
const PODS_MAX: usize = 65_536;

const POD_LOGS: &str = "/var/log/pods";
const CONTAINER_LOGS: &str = "/var/log/containers";

/// Directories of the kubelet: usual, k0s, `MicroK8s`.
const KUBELETS: [&str; 3] = [
    "/var/lib/kubelet",
    "/var/lib/k0s/kubelet",
    "/var/snap/microk8s/common/var/lib/kubelet",
];

/// Whether the node has any of them.
pub(super) fn are_there(host: &Host) -> bool {
    let mut paths = [POD_LOGS, CONTAINER_LOGS].iter().chain(&KUBELETS);
    paths.any(|path| host.has(Path::new(path)))
}

/// What the directories said last.
#[derive(Debug)]
pub(super) struct Directories {
    /// Pods kept: [`PODS_MAX`].
    pub(super) pods_max: usize,
    /// By uid.
    pub(super) pods: BTreeMap<String, PodFacts>,
    /// By id.
    pub(super) containers: BTreeMap<String, ContainerFacts>,
    pub(super) fault: Option<Degraded>,
    /// Directories that tell by their stamps that something changed.
    pub(super) watched: Vec<PathBuf>,
    memory: BTreeMap<String, Memory>,
}

/// What need not be read again of one pod.
#[derive(Clone, Debug, Default)]
struct Memory {
    born_unix_ns: Option<i64>,
    hosts: PodHosts,
    hosts_stamp: Option<Stamp>,
    /// The kubelet had a directory for it.
    was_kept: bool,
}

impl Directories {
    pub(super) const fn new() -> Self {
        Self {
            pods_max: PODS_MAX,
            pods: BTreeMap::new(),
            containers: BTreeMap::new(),
            fault: None,
            watched: Vec::new(),
            memory: BTreeMap::new(),
        }
    }

    /// Looks at the directories, `root_dir` among them. What cannot be read keeps what was known.
    pub(super) fn look(&mut self, host: &Host, root_dir: Option<&str>) {
        let mut roots: Vec<PathBuf> = KUBELETS.iter().map(PathBuf::from).collect();
        roots.extend(root_dir.map(PathBuf::from));
        roots.sort();
        roots.dedup();
        let mut look = Look::new(self.pods_max);
        // The kubelet's own directories last: a pod that is deleted meanwhile is then seen to be over.
        look.at_pod_logs(host);
        look.at_container_logs(host);
        for root in &roots {
            look.at_kubelet(host, root, &self.memory);
        }
        if look.unreadable.is_empty() {
            for (uid, pod) in &mut look.pods {
                let known = self.memory.get(uid).filter(|memory| memory.was_kept);
                let Some(memory) = known.filter(|_memory| !look.kept.contains(uid)) else {
                    continue;
                };
                // It is over; what it was stays known as long as its logs stay.
                pod.ended = true;
                pod.started_unix_ns = memory.born_unix_ns;
                pod.host_network = memory.hosts.host_network;
                pod.addresses.clone_from(&memory.hosts.addresses);
                look.memory.insert(uid.clone(), memory.clone());
            }
        } else {
            look.keep(self);
        }
        look.drop_contested_addresses();
        self.fault = look.fault();
        self.watched = [POD_LOGS, CONTAINER_LOGS].iter().map(PathBuf::from).collect();
        self.watched.extend(roots.iter().map(|root| root.join("pods")));
        self.pods = look.pods;
        self.containers = look.containers;
        self.memory = look.memory;
    }
}

impl Look {
    /// Keeps what was known before: absence proves nothing where a directory could not be read.
    fn keep(&mut self, before: &Directories) {
        for (uid, memory) in &before.memory {
            let known = self.memory.entry(uid.clone());
            known.or_insert_with(|| memory.clone());
        }
        for (uid, before) in &before.pods {
            let Some(pod) = self.pod(uid) else { continue };
            if pod.name.is_empty() {
                pod.namespace.clone_from(&before.namespace);
                pod.name.clone_from(&before.name);
            }
            if pod.containers.iter().all(|(_name, id)| id.is_none()) {
                pod.containers.clone_from(&before.containers);
            }
            if !self.kept.contains(uid) {
                let pod = self.pods.entry(uid.clone()).or_default();
                pod.addresses.clone_from(&before.addresses);
                pod.host_network = before.host_network;
                pod.started_unix_ns = before.started_unix_ns;
                pod.ended = before.ended;
            }
        }
        for (id, before) in &before.containers {
            if self.containers.len() < self.logs_max() {
                let known = self.containers.entry(id.clone());
                known.or_insert_with(|| before.clone());
            }
        }
    }

    /// A pod writes its own hosts file, and one that completed keeps its own: an address that several claim is nobody's.
    fn drop_contested_addresses(&mut self) {
        let mut claims: BTreeMap<IpAddr, u32> = BTreeMap::new();
        for pod in self.pods.values().filter(|pod| !pod.ended) {
            for address in &pod.addresses {
                *claims.entry(*address).or_default() += 1;
            }
        }
        for pod in self.pods.values_mut() {
            pod.addresses
                .retain(|address| claims.get(address).is_none_or(|claims| *claims < 2));
        }
    }

    fn fault(&self) -> Option<Degraded> {
        let remedy = "run kcn-trace as root, and in a pod mount /var/log and /var/lib/kubelet of the node";
        if let Some(first) = self.unreadable.first() {
            let more = match self.unreadable.len() {
                1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            return Some(Degraded {
                what: "not every pod of this node is known from its directories".to_owned(),
                why: format!("{first}{more}"),
                remedy: remedy.to_owned(),
            });
        }
        if self.left_out > 0 {
            return Some(Degraded {
                what: "not every pod of this node is known from its directories".to_owned(),
                why: format!(
                    "{} entries are beyond the bound of {} pods",
                    self.left_out, self.pods_max
                ),
                remedy: format!("remove what is left behind in {POD_LOGS} and {CONTAINER_LOGS}"),
            });
        }
        (self.unreadable_pods > 0).then(|| Degraded {
            what: "containers and addresses of some pods are not known from their directories".to_owned(),
            why: format!(
                "{} directories or files of pods cannot be read",
                self.unreadable_pods
            ),
            remedy: remedy.to_owned(),
        })
    }
}
