//! Conditions on where an end lives: pod, namespace, labels, workload, node, service.

use std::str::FromStr;

use super::Selector;
use crate::attribute::{
    Claim, Who,
    place::{Via, Workload},
};

/// Conditions on one end, or on either. An empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Pods.
    pub pods: Vec<Qualified>,
    /// Namespaces, of pods and services.
    pub namespaces: Vec<String>,
    /// Labels of pods; what is in no pod has none and meets no selector.
    pub selectors: Vec<Selector>,
    /// Controllers of pods.
    pub workloads: Vec<Controller>,
    /// Nodes of the cluster.
    pub nodes: Vec<String>,
    /// Services an end serves, is, or was dialled by.
    pub services: Vec<Qualified>,
}

impl Places {
    /// Whether there is no condition.
    pub const fn is_empty(&self) -> bool {
        self.pods.is_empty()
            && self.namespaces.is_empty()
            && self.selectors.is_empty()
            && self.workloads.is_empty()
            && self.nodes.is_empty()
            && self.services.is_empty()
    }
}

/// `NAME` in any namespace, or `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qualified {
    /// Absent for any.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl FromStr for Qualified {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) =
            two(text).ok_or_else(|| format!("`{text}` is neither NAME nor NAMESPACE/NAME"))?;
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

impl Qualified {
    fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
    }
}

/// `NAME` of any kind, or `KIND/NAME`; kinds without case, short ones as kubectl has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Lower case, in full; absent for any.
    pub kind: Option<String>,
    /// Name.
    pub name: String,
}

impl FromStr for Controller {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = two(text)
            .ok_or_else(|| format!("`{text}` is neither NAME nor KIND/NAME, as in deployment/web"))?;
        Ok(Self {
            kind: kind.map(|kind| full_kind(&kind.to_ascii_lowercase()).to_owned()),
            name: name.to_owned(),
        })
    }
}

impl Controller {
    fn is(&self, workload: &Workload) -> bool {
        let kind = |wanted: &str| workload.kind.eq_ignore_ascii_case(wanted);
        self.name == workload.name && self.kind.as_deref().is_none_or(kind)
    }
}

/// kubectl's short and plural names.
fn full_kind(kind: &str) -> &str {
    match kind {
        "deploy" | "deployments" => "deployment",
        "ds" | "daemonsets" => "daemonset",
        "sts" | "statefulsets" => "statefulset",
        "rs" | "replicasets" => "replicaset",
        "rc" | "replicationcontrollers" => "replicationcontroller",
        "cj" | "cronjobs" => "cronjob",
        "jobs" => "job",
        "po" | "pods" => "pod",
        other => other,
    }
}

/// `B` or `A/B`, neither empty.
fn two(text: &str) -> Option<(Option<&str>, &str)> {
    let (first, second) = text
        .split_once('/')
        .map_or((None, text), |(first, second)| (Some(first), second));
    let good = !second.is_empty() && !second.contains('/') && first.is_none_or(|first| !first.is_empty());
    good.then_some((first, second))
}

/// What there is to judge of an end: its claim, and the service address it was dialled by.
#[derive(Clone, Copy)]
pub(super) struct Dwelling<'a> {
    pub(super) claim: &'a Claim,
    pub(super) via: Option<&'a Via>,
}

impl Dwelling<'_> {
    pub(super) fn is_pod(self, wanted: &Qualified) -> bool {
        let pod = self.claim.pod().filter(|pod| pod.is_named());
        pod.is_some_and(|pod| wanted.is(&pod.namespace, &pod.name))
    }

    pub(super) fn is_in(self, wanted: &str) -> bool {
        let pod = self.claim.pod().filter(|pod| pod.is_named());
        pod.is_some_and(|pod| *pod.namespace == *wanted)
            || self
                .own_service()
                .is_some_and(|(namespace, _)| namespace == wanted)
    }

    pub(super) fn is_selected(self, selector: &Selector) -> bool {
        let pod = self.claim.pod().filter(|pod| pod.is_named());
        pod.is_some_and(|pod| selector.matches(&pod.labels))
    }

    pub(super) fn is_of(self, wanted: &Controller) -> bool {
        let pod = self.claim.pod();
        pod.is_some_and(|pod| pod.workload.as_ref().is_some_and(|workload| wanted.is(workload)))
    }

    pub(super) fn is_on(self, wanted: &str) -> bool {
        self.claim.node() == Some(wanted)
    }

    pub(super) fn serves(self, wanted: &Qualified) -> bool {
        let named = |service: &str| {
            service
                .split_once('/')
                .is_some_and(|(namespace, name)| wanted.is(namespace, name))
        };
        self.own_service()
            .is_some_and(|(namespace, name)| wanted.is(namespace, name))
            || self.claim.place.services.iter().any(|service| named(service))
            || self.via.and_then(|via| via.service.as_deref()).is_some_and(named)
    }

    fn own_service(&self) -> Option<(&str, &str)> {
        match &self.claim.who {
            Who::Service { namespace, name, .. } => Some((namespace, name)),
            Who::Component { .. }
            | Who::Process { .. }
            | Who::Pod(_)
            | Who::Node { .. }
            | Who::External { .. }
            | Who::Unknown { .. } => None,
        }
    }
}
