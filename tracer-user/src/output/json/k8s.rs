//! `k8s`: namespace, pod, controller, container and node of an end, under OpenTelemetry's names.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use crate::attribute::{
    Claim,
    place::{Pod, Workload},
};

#[derive(Serialize)]
pub(super) struct Name<'a> {
    pub(super) name: &'a str,
}

/// `k8s`, with the controller under its kind: `k8s.deployment.name`.
#[derive(Default)]
pub(super) struct K8s<'a> {
    pub(super) namespace: Option<Name<'a>>,
    pub(super) pod: Option<PodName<'a>>,
    pub(super) workload: Option<&'a Workload>,
    pub(super) container: Option<Name<'a>>,
    pub(super) node: Option<Name<'a>>,
}

#[derive(Serialize)]
pub(super) struct PodName<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
}

impl<'a> K8s<'a> {
    pub(super) fn of(claim: &'a Claim) -> Option<Self> {
        let pod = claim.pod();
        let node = claim.node();
        let container = claim.place.container.as_deref().filter(|_| pod.is_some());
        let name = |name: &'a str| Name { name };
        (pod.is_some() || node.is_some()).then(|| Self {
            namespace: pod.filter(|pod| pod.is_named()).map(|pod| name(&pod.namespace)),
            pod: pod.map(|Pod { name, uid, .. }| PodName { name, uid }),
            workload: pod.and_then(|pod| pod.workload.as_deref()),
            container: container
                .and_then(|container| container.name.as_deref())
                .map(name),
            node: node.map(name),
        })
    }
}

impl Serialize for K8s<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Self {
            namespace,
            pod,
            workload,
            container,
            node,
        } = self;
        if let Some(namespace) = namespace {
            map.serialize_entry("namespace", namespace)?;
        }
        if let Some(pod) = pod {
            map.serialize_entry("pod", pod)?;
        }
        // A bare pod is its own workload, and named already.
        if let Some(workload) = workload.filter(|workload| workload.kind != "Pod") {
            // OpenTelemetry has a name for each of these, and none for what it does not know.
            match kind_key(&workload.kind) {
                Some(key) => map.serialize_entry(key, &Name { name: &workload.name })?,
                None => map.serialize_entry(
                    "workload",
                    &OtherWorkload {
                        kind: &workload.kind,
                        name: &workload.name,
                    },
                )?,
            }
        }
        if let Some(container) = container {
            map.serialize_entry("container", container)?;
        }
        if let Some(node) = node {
            map.serialize_entry("node", node)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct OtherWorkload<'a> {
    kind: &'a str,
    name: &'a str,
}

fn kind_key(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Deployment" => "deployment",
        "DaemonSet" => "daemonset",
        "StatefulSet" => "statefulset",
        "ReplicaSet" => "replicaset",
        "ReplicationController" => "replicationcontroller",
        "Job" => "job",
        "CronJob" => "cronjob",
        _ => return None,
    })
}
