//! The files that kubeadm and the kubelet leave on a node, below a directory that stands for its /.

use super::plan::Plan;
use super::roles::Workload;
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Kubeconfig files: who they are for, and where.
const KUBECONFIGS: &[(&str, &str)] = &[
    ("kubernetes-admin", "admin.conf"),
    ("system:node:controlplane", "kubelet.conf"),
    ("system:kube-controller-manager", "controller-manager.conf"),
    ("system:kube-scheduler", "scheduler.conf"),
];

/// The kubelet's configuration, as much of it as says where things are.
const KUBELET: &str = "apiVersion: kubelet.config.k8s.io/v1beta1
cgroupDriver: cgroupfs
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
kind: KubeletConfiguration
staticPodPath: /etc/kubernetes/manifests
";

/// Writes manifests, kubeconfig files and the kubelet's configuration.
pub(super) fn write(root: &Path, plans: &[Plan], server: &str) -> Result<()> {
    let kubernetes = root.join("etc/kubernetes");
    fs::create_dir_all(kubernetes.join("manifests"))?;
    fs::create_dir_all(root.join("var/lib/kubelet"))?;
    fs::write(root.join("var/lib/kubelet/config.yaml"), KUBELET)?;
    for (user, file) in KUBECONFIGS {
        fs::write(kubernetes.join(file), kubeconfig(user, server))?;
    }
    let manifests = plans.iter().filter(|plan| plan.role.workload == Workload::Static);
    for plan in manifests {
        let name = plan.role.container();
        fs::write(kubernetes.join(format!("manifests/{name}.yaml")), manifest(plan))?;
    }
    Ok(())
}

fn kubeconfig(user: &str, server: &str) -> String {
    format!(
        "apiVersion: v1
clusters:
- cluster:
    server: {server}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: {user}
  name: {user}@kubernetes
current-context: {user}@kubernetes
kind: Config
preferences: {{}}
users:
- name: {user}
  user: {{}}
"
    )
}

/// In the form that kubeadm writes.
fn manifest(plan: &Plan) -> String {
    let name = plan.role.container();
    let command: Vec<_> = plan
        .role
        .argv
        .iter()
        .map(|word| format!("    - {word}\n"))
        .collect();
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  labels:
    component: {name}
    tier: control-plane
  name: {name}
  namespace: kube-system
spec:
  containers:
  - command:
{}    image: registry.k8s.io/{name}:v1.36.0
    imagePullPolicy: IfNotPresent
    name: {name}
  hostNetwork: true
  priorityClassName: system-node-critical
status: {{}}
",
        command.concat()
    )
}
