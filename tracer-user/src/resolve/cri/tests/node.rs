//! What a real node's runtime answered, and made-up nodes of any size.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    super::wire::{
        Container, ContainerMetadata, ContainerStatusResponse, ImageSpec, LinuxStatus, NamespaceOptions,
        Namespaces, Network, PodIp, PodSandbox, SandboxMetadata, SandboxStatus, SandboxStatusResponse,
        Version,
    },
    fake::State,
};

macro_rules! fixture {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../fixtures/real-node/", $name, ".json")))
            .unwrap()
    };
}

/// The capture, from JSON to the messages it was made from.
pub(super) fn real() -> State {
    let version = fixture!("Version");
    let mut state = State {
        version: Version {
            runtime_name: text(&version["runtimeName"]),
            runtime_version: text(&version["runtimeVersion"]),
        },
        ..State::default()
    };
    for item in fixture!("ListPodSandbox")["items"].as_array().unwrap() {
        state.sandboxes.push(PodSandbox {
            id: text(&item["id"]),
            metadata: Some(SandboxMetadata {
                name: text(&item["metadata"]["name"]),
                uid: text(&item["metadata"]["uid"]),
                namespace: text(&item["metadata"]["namespace"]),
            }),
            state: number(&item["state"], &["SANDBOX_READY", "SANDBOX_NOTREADY"]),
            created_at: text(&item["createdAt"]).parse().unwrap(),
            labels: map(&item["labels"]),
            annotations: map(&item["annotations"]),
        });
    }
    let names = ["CONTAINER_CREATED", "CONTAINER_RUNNING", "CONTAINER_EXITED"];
    for item in fixture!("ListContainers")["containers"].as_array().unwrap() {
        state.containers.push(Container {
            id: text(&item["id"]),
            pod_sandbox_id: text(&item["podSandboxId"]),
            metadata: Some(ContainerMetadata {
                name: text(&item["metadata"]["name"]),
            }),
            image: Some(ImageSpec {
                image: text(&item["image"]["image"]),
                user_specified_image: text(&item["image"]["userSpecifiedImage"]),
            }),
            state: number(&item["state"], &names),
            labels: map(&item["labels"]),
            annotations: map(&item["annotations"]),
        });
    }
    for item in fixture!("PodSandboxStatus").as_array().unwrap() {
        let status = &item["status"];
        let options = &status["linux"]["namespaces"]["options"];
        let network = number(&options["network"], &["POD", "CONTAINER", "NODE"]);
        let more = status["network"]["additionalIps"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let status_of = SandboxStatus {
            network: Some(Network {
                ip: text(&status["network"]["ip"]),
                additional_ips: more
                    .iter()
                    .map(|more| PodIp {
                        ip: text(&more["ip"]),
                    })
                    .collect(),
            }),
            linux: Some(linux(network)),
        };
        let answer = SandboxStatusResponse {
            status: Some(status_of),
        };
        state.sandbox_statuses.insert(text(&status["id"]), answer);
    }
    for item in fixture!("ContainerStatus").as_array().unwrap() {
        let answer = ContainerStatusResponse {
            info: map(&item["info"]),
        };
        state
            .container_statuses
            .insert(text(&item["status"]["id"]), answer);
    }
    state
}

/// A node of `pods` pods with one container each.
pub(super) fn made(pods: u32) -> State {
    let mut state = State {
        version: Version {
            runtime_name: "containerd".to_owned(),
            runtime_version: "1.6.20~ds1".to_owned(),
        },
        ..State::default()
    };
    for number in 0..pods {
        add(&mut state, number);
    }
    state
}

/// Adds pod `number`: uid `uid-N`, sandbox `sandbox-N`, container `container-N`, address 10.(N / 65536).x.y.
pub(super) fn add(state: &mut State, number: u32) {
    let sandbox = format!("sandbox-{number}");
    let container = format!("container-{number}");
    state.sandboxes.push(PodSandbox {
        id: sandbox.clone(),
        metadata: Some(SandboxMetadata {
            name: format!("pod-{number}"),
            uid: format!("uid-{number}"),
            namespace: "default".to_owned(),
        }),
        created_at: 1_795_197_963_989_246_390,
        ..PodSandbox::default()
    });
    state.containers.push(Container {
        id: container.clone(),
        pod_sandbox_id: sandbox.clone(),
        metadata: Some(ContainerMetadata {
            name: format!("app-{number}"),
        }),
        state: 1,
        ..Container::default()
    });
    let status = SandboxStatus {
        network: Some(Network {
            ip: std::net::Ipv4Addr::from(0x0a00_0000 + number + 1).to_string(),
            additional_ips: Vec::new(),
        }),
        linux: Some(linux(0)),
    };
    state
        .sandbox_statuses
        .insert(sandbox, SandboxStatusResponse { status: Some(status) });
    let info = HashMap::from([(
        "info".to_owned(),
        format!(r#"{{"pid":{},"other":[]}}"#, 1000 + number),
    )]);
    state
        .container_statuses
        .insert(container, ContainerStatusResponse { info });
}

/// Takes pod `number` away.
pub(super) fn remove(state: &mut State, number: u32) {
    state
        .sandboxes
        .retain(|sandbox| sandbox.id != format!("sandbox-{number}"));
    state
        .containers
        .retain(|container| container.id != format!("container-{number}"));
}

pub(super) const fn linux(network: i32) -> LinuxStatus {
    LinuxStatus {
        namespaces: Some(Namespaces {
            options: Some(NamespaceOptions { network }),
        }),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn map(value: &Value) -> HashMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), text(value))).collect()
}

/// Protobuf's JSON leaves out the first name of an enumeration.
fn number(value: &Value, names: &[&str]) -> i32 {
    let Some(name) = value.as_str() else { return 0 };
    i32::try_from(names.iter().position(|other| *other == name).unwrap()).unwrap()
}
