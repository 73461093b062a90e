//! A pod before it runs: names, ids, labels and owner as its workload gives them.

use super::ids;
use super::roles::{NODE_NAME, Role, Workload};
use crate::binaries;
use crate::containerd::{ContainerSpec, PodSpec};
use crate::scenario::APISERVER_TO_ETCD;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Where the API server's container has the directory with its objects.
const OBJECTS: &str = "/var/lib/objects";

/// A pod before it runs.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) role: &'static Role,
    pub(super) spec: PodSpec,
    /// Its uid in the API server: a static pod's is another one than on the node.
    pub(super) api_uid: String,
    /// Its owner there.
    pub(super) owner: Value,
}

impl Role {
    /// Gives it names and ids. Pods of one deployment share a `template` hash; the API server finds its `objects`.
    pub(super) fn plan(&'static self, template: &str, objects: &Path) -> Result<Plan> {
        let uid = ids::uid()?;
        let node_uid = match self.workload {
            Workload::Static => ids::manifest_hash()?,
            Workload::DaemonSet(_) | Workload::Deployment(_) => uid.clone(),
        };
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut labels = vec![label(self.label.0, self.label.1)];
        let mut annotations = Vec::new();
        let (name, kind, owner) = match self.workload {
            Workload::Static => {
                labels.push(label("tier", "control-plane"));
                annotations.push(label("kubernetes.io/config.hash", &node_uid));
                annotations.push(label(
                    "kubernetes.io/config.seen",
                    "2026-11-20T18:03:47.988746692Z",
                ));
                annotations.push(label("kubernetes.io/config.source", "file"));
                let name = format!("{}-{NODE_NAME}", self.container());
                (name, "Node", NODE_NAME.to_owned())
            }
            Workload::DaemonSet(set) => {
                labels.push(label("controller-revision-hash", template));
                labels.push(label("pod-template-generation", "1"));
                (format!("{set}-{}", ids::suffix(5)?), "DaemonSet", set.to_owned())
            }
            Workload::Deployment(deployment) => {
                labels.push(label("pod-template-hash", template));
                let set = format!("{deployment}-{template}");
                (format!("{set}-{}", ids::suffix(5)?), "ReplicaSet", set)
            }
        };
        let api_version = if kind == "Node" { "v1" } else { "apps/v1" };
        Ok(Plan {
            role: self,
            api_uid: uid,
            owner: json!({
                "apiVersion": api_version, "kind": kind, "name": owner, "uid": ids::uid()?, "controller": true,
            }),
            spec: PodSpec {
                namespace: self.namespace.to_owned(),
                name,
                uid: node_uid,
                labels,
                annotations,
                host_network: self.host_network(),
                container: self.container_spec(objects)?,
            },
        })
    }

    fn container_spec(&self, objects: &Path) -> Result<ContainerSpec> {
        let mut spec = ContainerSpec {
            name: self.container().to_owned(),
            argv: self.argv.iter().map(|word| (*word).to_owned()).collect(),
            program: binaries::standin()?,
            standin: false,
            mounts: Vec::new(),
            environment: Vec::new(),
        };
        if self.key == "etcd" {
            spec.program = binaries::find("etcd").context("etcd is not installed")?;
        } else if self.key == "kube-apiserver" {
            spec.program = binaries::apiserver()?;
            spec.mounts.push((objects.to_owned(), OBJECTS.to_owned()));
            let words = [
                "--listen",
                "[::]:6443",
                "--objects",
                OBJECTS,
                "--etcd",
                "127.0.0.1:2379",
                "--etcd-connections",
                &APISERVER_TO_ETCD.to_string(),
            ];
            let words = words.join("\n");
            spec.environment.push(("KCN_APISERVER".to_owned(), words));
        } else {
            spec.standin = true;
        }
        Ok(spec)
    }
}
