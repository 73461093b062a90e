//! Where an end lives: pod, container, unit, node, session. What every name of an operator's world is made of.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc};

pub use crate::signal::inventory::Workload;

/// Where an end lives. Absent is unknown, or not so. All strings are hostile: escape before showing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The pod.
    pub pod: Option<Arc<Pod>>,
    /// The container, in a pod or bare.
    pub container: Option<Arc<Container>>,
    /// systemd unit, or its like: `kubelet.service`, Talos' `podruntime/etcd`.
    pub unit: Option<Arc<str>>,
    /// Name of the node.
    pub node: Option<Arc<str>>,
    /// Services it serves, as `namespace/name`, sorted: what `--service` asks for.
    pub services: Arc<[Arc<str>]>,
    /// The person behind it.
    pub human: Option<Arc<Human>>,
    /// It calls itself what its executable or cgroup say it is not; in words.
    pub spoofed: Option<Arc<str>>,
}

/// Labels, sorted by key; shared by all pods of one template.
pub type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// A pod as outputs need it. What many pods have in common is shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pod {
    /// Namespace; empty when only the uid is known.
    pub namespace: Arc<str>,
    /// Name; empty when only the uid is known.
    pub name: Box<str>,
    /// Uid as cgroups have it; for a pod on another node, as the API server has it.
    pub uid: Arc<str>,
    /// Controller; absent when unknown.
    pub workload: Option<Arc<Workload>>,
    /// Labels, sorted by key.
    pub labels: Labels,
    /// Node it runs on; absent when unknown.
    pub node: Option<Arc<str>>,
    /// In the host's network: its addresses are the node's.
    pub host_network: bool,
}

impl Pod {
    /// Whether anything but the uid is known.
    pub const fn is_named(&self) -> bool {
        !self.name.is_empty()
    }
}

/// A container as outputs need it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Container {
    /// Name in the pod's spec; absent for bare and unnamed ones.
    pub name: Option<String>,
    /// 64 hexadecimal digits.
    pub id: String,
    /// `containerd`, `cri-o`, `docker`, ...; absent when the path does not tell.
    pub runtime: Option<String>,
    /// It only holds the pod's namespaces (pause).
    pub is_sandbox: bool,
}

/// The person behind a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Human {
    /// Who logged in: user name, or `uid 1000` where it has none; `kubectl exec` has nobody.
    pub name: Option<String>,
    /// Audit session, or systemd session scope.
    pub session: Option<String>,
    /// How it came to the user it runs as: `sudo`, `su`, `kubectl exec`, ...; absent for a plain login.
    pub by: Option<String>,
}

/// The service address a connection was dialled by, before translation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Via {
    /// What the client dialled.
    pub address: SocketAddr,
    /// The service that has this address, as `namespace/name`; absent when unknown.
    pub service: Option<Arc<str>>,
}
