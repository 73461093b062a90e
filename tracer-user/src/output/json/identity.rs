//! Who an end is beyond its process, under OpenTelemetry's resource names: pod, container, unit, service, person.
//!
//! Labels are never written: they are large, hostile, and for filters only.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::k8s::{K8s, Name};
use crate::{
    attribute::{
        Claim, Who,
        place::{Container, Human},
    },
    graph::{Node, NodeKind},
};

/// Keys of a party, a node or a component; flattened into it.
#[derive(Serialize)]
pub(super) struct Identity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    k8s: Option<K8s<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<JsonContainer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    systemd: Option<Systemd<'a>>,
    /// The service itself, where its server is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service<'a>>,
    /// Services it serves, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<Services<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    human: Option<JsonHuman<'a>>,
    /// In what it is not what it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    spoofed: Option<&'a str>,
}

impl<'a> From<&'a Claim> for Identity<'a> {
    fn from(claim: &'a Claim) -> Self {
        let place = &claim.place;
        Self {
            k8s: K8s::of(claim),
            container: place.container.as_deref().map(JsonContainer::from),
            systemd: place.unit.as_deref().map(|unit| Systemd { unit }),
            service: service(&claim.who),
            services: (!place.services.is_empty()).then_some(Services(&place.services)),
            human: place.human.as_deref().map(JsonHuman::from),
            spoofed: place.spoofed.as_deref(),
        }
    }
}

impl<'a> From<&'a Node> for Identity<'a> {
    /// A node of the graph has the claim of one of its processes: what differs between them is left out.
    fn from(node: &'a Node) -> Self {
        let mut all = Self::from(&node.claim);
        let pod = node.claim.pod();
        let is_pod = pod.is_some_and(|pod| *pod.name == *node.label);
        let has_controller = pod.is_some_and(|pod| pod.workload.is_some());
        if node.process_count > 1 || (node.kind == NodeKind::Workload && has_controller && !is_pod) {
            all.container = None;
            all.human = None;
            if !is_pod && let Some(k8s) = &mut all.k8s {
                (k8s.pod, k8s.container) = (None, None);
                if node.kind == NodeKind::Workload {
                    k8s.node = None;
                }
            }
        }
        match node.kind {
            NodeKind::Namespace => {
                let namespace = all.k8s.and_then(|k8s| k8s.namespace);
                Self {
                    k8s: namespace.map(|namespace| K8s {
                        namespace: Some(namespace),
                        ..K8s::default()
                    }),
                    ..Self::nothing()
                }
            }
            NodeKind::Node => Self {
                k8s: node.claim.node().map(|name| K8s {
                    node: Some(Name { name }),
                    ..K8s::default()
                }),
                ..Self::nothing()
            },
            NodeKind::Component
            | NodeKind::Workload
            | NodeKind::Pod
            | NodeKind::Service
            | NodeKind::Process
            | NodeKind::External
            | NodeKind::Unknown => all,
        }
    }
}

impl Identity<'_> {
    const fn nothing() -> Self {
        Self {
            k8s: None,
            container: None,
            systemd: None,
            service: None,
            services: None,
            human: None,
            spoofed: None,
        }
    }
}

struct Services<'a>(&'a [Arc<str>]);

impl Serialize for Services<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|service| &**service))
    }
}

/// `container.id`, `container.name`, `container.runtime.name`.
#[derive(Serialize)]
struct JsonContainer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<Name<'a>>,
}

impl<'a> From<&'a Container> for JsonContainer<'a> {
    fn from(container: &'a Container) -> Self {
        Self {
            name: container.name.as_deref(),
            id: &container.id,
            runtime: container.runtime.as_deref().map(|name| Name { name }),
        }
    }
}

#[derive(Serialize)]
struct Systemd<'a> {
    unit: &'a str,
}

#[derive(Serialize)]
struct Service<'a> {
    namespace: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    candidates: &'a [String],
}

fn service(who: &Who) -> Option<Service<'_>> {
    match who {
        Who::Service {
            namespace,
            name,
            candidates,
        } => Some(Service {
            namespace,
            name,
            candidates,
        }),
        Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Node { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => None,
    }
}

#[derive(Serialize)]
struct JsonHuman<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
}

impl<'a> From<&'a Human> for JsonHuman<'a> {
    fn from(human: &'a Human) -> Self {
        Self {
            name: human.name.as_deref(),
            session: human.session.as_deref(),
            by: human.by.as_deref(),
        }
    }
}
