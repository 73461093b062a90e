//! Witnesses of an address whose socket is not here: pods, services, endpoints, nodes, networks, and the port.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::testimony;
use crate::{
    attribute::{Claim, Who, rules::Rules},
    inventory::Inventory,
    pipeline::attribution::title,
    report::{Outcome, Testimony},
};

/// What is asked about.
pub(super) struct Scene<'a> {
    pub(super) named: &'a Claim,
    pub(super) address: IpAddr,
    /// Of the end that accepted.
    pub(super) port: Option<u16>,
    pub(super) inventory: &'a Inventory,
    pub(super) rules: &'a Rules,
}

/// What each says.
pub(super) fn witnesses(scene: &Scene<'_>) -> Vec<Testimony> {
    let mut said = Vec::new();
    by_pod(scene, &mut said);
    by_service(scene, &mut said);
    by_files(scene, &mut said);
    by_node(scene, &mut said);
    by_port(scene, &mut said);
    if said.is_empty() {
        let why = "nobody who was asked knows the address".to_owned();
        let by = scene.address.to_string();
        said.push(testimony(6, "inventory", "nothing", by, Outcome::Silent(why)));
    }
    said
}

const fn decides(yes: bool) -> Outcome {
    if yes { Outcome::Decides } else { Outcome::Adds }
}

fn by_pod(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let Some(pod) = &scene.named.place.pod else {
        return;
    };
    let told = scene.inventory.pod(&pod.uid);
    let by = told.map_or("an endpoint slice".to_owned(), |entry| entry.sources().join(", "));
    said.push(testimony(
        1,
        "pod address",
        format!("pod {}", title(pod)),
        format!("{}, by {by}", scene.address),
        decides(matches!(scene.named.who, Who::Pod(_))),
    ));
}

fn by_service(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let Some(port) = scene.port else {
        return;
    };
    let address = scene.address;
    if let Some(service) = scene.inventory.service_at(address, port) {
        let servers: Vec<String> = scene
            .inventory
            .backends(service, port)
            .iter()
            .map(|backend| backend.address.to_string())
            .collect();
        let by = format!("{address}:{port}, served by {}", list(&servers));
        let outcome = decides(matches!(scene.named.who, Who::Service { .. }));
        said.push(testimony(
            2,
            "service address",
            format!("service {}", service.title),
            by,
            outcome,
        ));
    }
    for service in scene.inventory.endpoint_of(address, port) {
        let outcome = decides(matches!(scene.named.who, Who::Component { .. }));
        let by = format!("{address}:{port}");
        said.push(testimony(3, "endpoint", format!("serves {service}"), by, outcome));
    }
}

fn by_files(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    if let Some(port) = scene.port
        && let Some(path) = scene.inventory.api_server_at(scene.address, port)
    {
        let outcome = decides(matches!(scene.named.who, Who::Component { .. }));
        said.push(testimony(3, "node files", "kube-apiserver", path, outcome));
    }
}

fn by_node(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let by = scene.address.to_string();
    if let Some(node) = scene.inventory.node_at(scene.address, 0) {
        let outcome = decides(matches!(scene.named.who, Who::Node { guess: None, .. }));
        said.push(testimony(4, "node address", format!("node {node}"), by, outcome));
    } else if let Some(node) = scene.inventory.node_of_pods(scene.address) {
        said.push(testimony(
            4,
            "pod network",
            format!("a pod of node {node}"),
            by,
            Outcome::Adds,
        ));
    }
}

fn by_port(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let Some((port, rule)) = scene.port.and_then(|port| Some((port, scene.rules.port(port)?))) else {
        return;
    };
    let guess = match &scene.named.who {
        Who::External { guess, .. } | Who::Node { guess, .. } | Who::Unknown { guess, .. } => {
            guess.as_deref()
        }
        Who::Component { .. } | Who::Process { .. } | Who::Pod(_) | Who::Service { .. } => None,
    };
    let outcome = if guess == Some(&rule.server) {
        Outcome::Decides
    } else if scene.named.who.component() == Some(&rule.server) {
        Outcome::Agrees
    } else if rule.unsure {
        Outcome::Lost("many use this port".to_owned())
    } else {
        Outcome::Lost("a port is only a custom".to_owned())
    };
    let by = format!("{port}: {}", rule.purpose);
    said.push(testimony(5, "port", rule.server.as_str(), by, outcome));
}

fn list(servers: &[String]) -> String {
    if servers.is_empty() {
        "nobody that is ready".to_owned()
    } else {
        servers.join(", ")
    }
}
