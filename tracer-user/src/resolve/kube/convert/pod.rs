//! Pods.
#![forbid(unsafe_code)]

use super::{LIST_MAX, Unreadable, addresses, capped, name, namespace, required, tcp_port, workload};
use crate::{
    resolve::kube::objects::{Container, ContainerStatus, Pod, PodIp, PodStatus},
    signal::inventory::PodFacts,
};

pub(super) fn facts(mut pod: Pod) -> Result<PodFacts, Unreadable> {
    let uid = required(pod.metadata.uid.take(), "uid")?;
    let name = name(&mut pod.metadata)?;
    let namespace = namespace(&mut pod.metadata)?;
    let node = pod.spec.node_name.take().filter(|node| !node.is_empty());
    let workload = workload::of(&pod.metadata, &name, node.as_deref());
    let host_network = pod.spec.host_network.unwrap_or(false);
    let ended = has_ended(&pod);
    let addresses = if host_network {
        Vec::new()
    } else {
        own_addresses(&pod.status)
    };
    let (ports, host_ports) = ports(&pod);
    let labels = pod.metadata.labels.unwrap_or_default();
    let annotations = pod.metadata.annotations.unwrap_or_default();
    Ok(PodFacts {
        uid,
        config_hash: annotations.config_hash.map(capped),
        namespace,
        name,
        node: node.map(capped),
        workload: Some(workload),
        labels: labels
            .into_iter()
            .take(LIST_MAX)
            .map(|(key, value)| (capped(key), capped(value)))
            .collect(),
        addresses,
        host_network: Some(host_network),
        ports,
        host_ports,
        started_unix_ns: pod.status.start_time.as_deref().and_then(unix_ns),
        containers: containers(
            [
                pod.spec.containers,
                pod.spec.init_containers,
                pod.spec.ephemeral_containers,
            ],
            [
                pod.status.container_statuses,
                pod.status.init_container_statuses,
                pod.status.ephemeral_container_statuses,
            ],
        ),
        sandbox_id: None,
        ended,
    })
}

/// RFC 3339 to Unix nanoseconds.
pub(super) fn unix_ns(time: &str) -> Option<i64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Whether it will never run again. A pod that is being deleted keeps its address until its containers have ended.
fn has_ended(pod: &Pod) -> bool {
    let is_over = matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let status = &pod.status;
    let runs = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ]
    .into_iter()
    .flatten()
    .flatten()
    .any(|status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    });
    is_over || (pod.metadata.deletion_timestamp.is_some() && !runs)
}

fn own_addresses(status: &PodStatus) -> Vec<std::net::IpAddr> {
    let all: &[PodIp] = status.pod_ips.as_deref().unwrap_or_default();
    // Servers before 1.16, and some that only look like one, have the first address only.
    let first = status.pod_ip.as_deref().filter(|_| all.is_empty());
    addresses(all.iter().map(|ip| ip.ip.as_str()).chain(first))
}

/// Container ports, and pairs of host port and container port.
fn ports(pod: &Pod) -> (Vec<u16>, Vec<(u16, u16)>) {
    let containers = [&pod.spec.containers, &pod.spec.init_containers];
    let all = containers
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|container| container.ports.iter().flatten())
        .take(LIST_MAX);
    let (mut ports, mut host_ports) = (Vec::new(), Vec::new());
    for port in all {
        let protocol = port.protocol.as_deref();
        let Some(own) = tcp_port(protocol, port.own) else {
            continue;
        };
        if !ports.contains(&own) {
            ports.push(own);
        }
        if let Some(host) = tcp_port(protocol, port.host) {
            host_ports.push((host, own));
        }
    }
    (ports, host_ports)
}

/// Names from the spec, ids from the status.
fn containers(
    spec: [Option<Vec<Container>>; 3],
    status: [Option<Vec<ContainerStatus>>; 3],
) -> Vec<(String, Option<String>)> {
    let mut ids: Vec<(String, String)> = status
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|status| Some((status.name, without_scheme(&status.container_id?)?)))
        .take(LIST_MAX)
        .collect();
    spec.into_iter()
        .flatten()
        .flatten()
        .take(LIST_MAX)
        .map(|container| {
            let at = ids.iter().position(|(name, _)| *name == container.name);
            let id = at.map(|at| ids.swap_remove(at).1);
            (capped(container.name), id)
        })
        .collect()
}

/// `containerd://ID` -> `ID`.
fn without_scheme(id: &str) -> Option<String> {
    let (_runtime, id) = id.split_once("://")?;
    (!id.is_empty()).then(|| capped(id.to_owned()))
}
