//! Answers of the runtime to facts, pure. All of them are untrusted: what is no id, no address or too long is left out.
#![forbid(unsafe_code)]

use std::{collections::HashMap, net::IpAddr};

use serde::Deserialize;

use super::wire::{
    CONTAINER_CREATED, CONTAINER_EXITED, Container, ContainerStatusResponse, NAMESPACE_NODE, PodSandbox,
    SANDBOX_READY, SandboxStatus,
};
use crate::{
    resolve::workload::workload_of,
    signal::inventory::{ContainerFacts, PodFacts},
};

/// Ids and uids have 64 or fewer letters.
const ID_MAX: usize = 128;
/// Names of Kubernetes objects.
const NAME_MAX: usize = 253;
/// A label's key: a domain, a slash, a name.
const KEY_MAX: usize = 253 + 1 + 63;
const VALUE_MAX: usize = 63;
const LABELS_MAX: usize = 64;
/// Image references: host, path, tag and digest.
const IMAGE_MAX: usize = 512;
const ADDRESSES_MAX: usize = 16;
const PORTS_MAX: usize = 64;
/// `pid_max` of 64-bit kernels.
const PID_MAX: u32 = 4 << 20;

/// Labels that kubelet adds for itself; the API server does not have them.
const KUBELET_LABELS: [&str; 4] = [
    "io.kubernetes.pod.name",
    "io.kubernetes.pod.namespace",
    "io.kubernetes.pod.uid",
    "io.kubernetes.container.name",
];

/// What only the status of a sandbox tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) host_network: Option<bool>,
}

/// A pod from its sandbox, without what only the status tells. `None` when it is not a pod's.
pub(super) fn pod(sandbox: PodSandbox) -> Option<PodFacts> {
    let metadata = sandbox.metadata?;
    let sane =
        is_id(&sandbox.id) && is_id(&metadata.uid) && is_name(&metadata.name) && is_name(&metadata.namespace);
    if !sane {
        return None;
    }
    let started_unix_ns = (sandbox.created_at > 0).then_some(sandbox.created_at);
    let labels = labels(sandbox.labels);
    let hash = sandbox.annotations.get("kubernetes.io/config.hash");
    Some(PodFacts {
        config_hash: hash.filter(|hash| is_id(hash)).cloned(),
        workload: workload_of(&metadata.name, &labels, started_unix_ns),
        uid: metadata.uid,
        namespace: metadata.namespace,
        name: metadata.name,
        labels,
        sandbox_id: Some(sandbox.id),
        started_unix_ns,
        ended: sandbox.state != SANDBOX_READY,
        ..PodFacts::default()
    })
}

/// A container, without its pid. `uids` leads from sandboxes to pods. `None` when it is no pod's.
pub(super) fn container(
    container: Container,
    uids: &HashMap<String, String>,
    runtime: Option<&str>,
) -> Option<ContainerFacts> {
    let uid = uids
        .get(&container.pod_sandbox_id)
        .or_else(|| container.labels.get("io.kubernetes.pod.uid"))
        .filter(|uid| is_id(uid))?;
    let name = container.metadata?.name;
    if !is_id(&container.id) || !is_name(&name) {
        return None;
    }
    let image = container.image.map(|image| {
        if image.user_specified_image.is_empty() {
            image.image
        } else {
            image.user_specified_image
        }
    });
    Some(ContainerFacts {
        pod_uid: uid.clone(),
        id: container.id,
        sandbox_id: Some(container.pod_sandbox_id).filter(|id| is_id(id)),
        name,
        runtime: runtime.map(str::to_owned),
        pid: None,
        image: image.filter(|image| !image.is_empty() && image.len() <= IMAGE_MAX),
        // Unknown to the runtime is not over: its process may well run.
        ended: container.state == CONTAINER_EXITED,
    })
}

/// Whether its status tells a pid.
pub(super) const fn has_process(container: &Container) -> bool {
    !matches!(container.state, CONTAINER_CREATED | CONTAINER_EXITED)
}

/// TCP ports that kubelet notes on a container: port, and port of the node where there is one.
pub(super) fn ports(container: &Container) -> Vec<(u16, Option<u16>)> {
    #[derive(Deserialize)]
    struct Noted {
        #[serde(rename = "containerPort")]
        port: u16,
        #[serde(rename = "hostPort")]
        host: Option<u16>,
        protocol: Option<String>,
    }

    let noted = container.annotations.get("io.kubernetes.container.ports");
    let ports: Vec<Noted> = noted
        .and_then(|noted| serde_json::from_str(noted).ok())
        .unwrap_or_default();
    let tcp = |port: &Noted| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
    ports
        .iter()
        .filter(|port| tcp(port) && port.port > 0)
        .take(PORTS_MAX)
        .map(|port| (port.port, port.host.filter(|host| *host > 0)))
        .collect()
}

/// What the status of a sandbox tells.
pub(super) fn network(status: &SandboxStatus) -> Network {
    let options = status
        .linux
        .and_then(|linux| linux.namespaces)
        .and_then(|spaces| spaces.options);
    let host_network = options.map(|options| options.network == NAMESPACE_NODE);
    // CRI-O tells the node's address for pods in its network; it is not the pod's own.
    let own = status.network.as_ref().filter(|_| host_network != Some(true));
    let mut addresses = Vec::new();
    if let Some(network) = own {
        let others = network.additional_ips.iter().map(|other| &other.ip);
        for text in std::iter::once(&network.ip).chain(others).take(ADDRESSES_MAX) {
            if let Ok(address) = text.parse::<IpAddr>() {
                let address = address.to_canonical();
                let own = !address.is_unspecified() && !address.is_loopback() && !address.is_multicast();
                if own && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
    }
    Network {
        addresses,
        host_network,
    }
}

/// The pid in a verbose status: below `info` since containerd 1.6 and CRI-O 1.18, beside it before.
pub(super) fn pid(answer: &ContainerStatusResponse) -> Option<u32> {
    #[derive(Deserialize)]
    struct Info {
        pid: Option<u32>,
    }

    let nested = answer
        .info
        .get("info")
        .and_then(|info| serde_json::from_str::<Info>(info).ok());
    let plain = || {
        answer
            .info
            .get("pid")
            .and_then(|pid| pid.trim_matches('"').parse().ok())
    };
    nested
        .and_then(|info| info.pid)
        .or_else(plain)
        .filter(|pid| (1..=PID_MAX).contains(pid))
}

/// A runtime's name for outputs.
pub(super) fn runtime(name: &str) -> Option<String> {
    is_id(name).then(|| name.to_owned())
}

fn labels(labels: HashMap<String, String>) -> Vec<(String, String)> {
    let mut labels: Vec<_> = labels
        .into_iter()
        .filter(|(key, _)| !KUBELET_LABELS.contains(&key.as_str()))
        .filter(|(key, value)| !key.is_empty() && key.len() <= KEY_MAX && value.len() <= VALUE_MAX)
        .collect();
    labels.sort_unstable();
    labels.truncate(LABELS_MAX);
    labels
}

fn is_id(id: &str) -> bool {
    let letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    !id.is_empty() && id.len() <= ID_MAX && id.bytes().all(letter)
}

const fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX
}
