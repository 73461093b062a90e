//! What a kubelet asks of a container runtime: names, labels, annotations, namespaces, mounts.

use super::cri::{
    ContainerConfig, ContainerMetadata, DnsConfig, ImageSpec, KeyValue, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, Mount, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, SandboxSecurityContext,
};
use super::pod::PodSpec;
use std::collections::HashMap;
use std::path::Path;

/// `NamespaceMode::NODE` and `CONTAINER`
const NODE: i32 = 2;
const CONTAINER: i32 = 1;

/// Libraries of the machine that programs mounted into a container are linked with.
const LIBRARIES: &[&str] = &["/lib", "/lib64", "/usr/lib"];
const BIN: &str = "/usr/local/bin";
/// Where a container finds the directory of its stand-in's socket.
const ORDERS: &str = "/run/kcn";

/// What it asks a sandbox to be.
pub(super) fn sandbox_config(spec: &PodSpec, logs: &Path, cgroup_parent: &str) -> PodSandboxConfig {
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: spec.name.clone(),
            uid: spec.uid.clone(),
            namespace: spec.namespace.clone(),
            attempt: 0,
        }),
        hostname: if spec.host_network {
            String::new()
        } else {
            spec.name.clone()
        },
        log_directory: logs.display().to_string(),
        dns_config: Some(DnsConfig {
            servers: vec!["10.96.0.10".to_owned()],
        }),
        labels: labels(spec).chain(spec.labels.iter().cloned()).collect(),
        annotations: spec.annotations.iter().cloned().collect(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup_parent.to_owned(),
            security_context: Some(SandboxSecurityContext {
                namespace_options: Some(namespaces(spec)),
            }),
        }),
    }
}

/// What it asks the container to be, the `attempt`th of its kind in its pod.
pub(super) fn container_config(spec: &PodSpec, orders: &Path, attempt: u32) -> ContainerConfig {
    let container = &spec.container;
    let name = container.argv.first().cloned().unwrap_or_default();
    let mount = |from: &Path, to: &str, readonly| Mount {
        container_path: to.to_owned(),
        host_path: from.display().to_string(),
        readonly,
    };
    let libraries = LIBRARIES.iter().filter(|path| Path::new(path).exists());
    let mut mounts: Vec<_> = libraries.map(|path| mount(Path::new(path), path, true)).collect();
    mounts.push(mount(&container.program, &format!("{BIN}/{name}"), true));
    let own = container.mounts.iter().map(|(from, to)| mount(from, to, false));
    mounts.extend(own);
    let mut environment = container.environment.clone();
    environment.push(("PATH".to_owned(), format!("{BIN}:/bin")));
    if container.standin {
        mounts.push(mount(orders, ORDERS, false));
        environment.push(("KCN_STANDIN_SOCKET".to_owned(), format!("{ORDERS}/orders")));
    }
    let named = ("io.kubernetes.container.name".to_owned(), container.name.clone());
    ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: container.name.clone(),
            attempt,
        }),
        image: Some(ImageSpec {
            image: super::IMAGE.to_owned(),
        }),
        command: container.argv.clone(),
        args: Vec::new(),
        envs: environment
            .into_iter()
            .map(|(key, value)| KeyValue { key, value })
            .collect(),
        mounts,
        labels: labels(spec).chain([named]).collect(),
        annotations: HashMap::from([(
            "io.kubernetes.container.restartCount".to_owned(),
            attempt.to_string(),
        )]),
        log_path: format!("{}/{attempt}.log", container.name),
        linux: Some(LinuxContainerConfig {
            security_context: Some(LinuxContainerSecurityContext {
                namespace_options: Some(namespaces(spec)),
            }),
        }),
    }
}

fn namespaces(spec: &PodSpec) -> NamespaceOption {
    let own_or_nodes = if spec.host_network { NODE } else { 0 };
    NamespaceOption {
        network: own_or_nodes,
        pid: CONTAINER,
        ipc: own_or_nodes,
    }
}

/// The kubelet's labels, on sandboxes and containers.
fn labels(spec: &PodSpec) -> impl Iterator<Item = (String, String)> {
    [
        ("io.kubernetes.pod.name", spec.name.clone()),
        ("io.kubernetes.pod.namespace", spec.namespace.clone()),
        ("io.kubernetes.pod.uid", spec.uid.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
}
