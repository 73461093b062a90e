//! The resources the stand-in serves, and their discovery documents.

use crate::object::set;
use serde_json::{Value, json};

/// A resource as discovery describes it.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
}

const CORE: &str = "";

/// All resources. Each may have a list in `PLURAL.json`.
pub(crate) const RESOURCES: &[Resource] = &[
    Resource {
        group: CORE,
        plural: "namespaces",
        singular: "namespace",
        kind: "Namespace",
        short: &["ns"],
        namespaced: false,
    },
    Resource {
        group: CORE,
        plural: "nodes",
        singular: "node",
        kind: "Node",
        short: &["no"],
        namespaced: false,
    },
    Resource {
        group: CORE,
        plural: "pods",
        singular: "pod",
        kind: "Pod",
        short: &["po"],
        namespaced: true,
    },
    Resource {
        group: CORE,
        plural: "services",
        singular: "service",
        kind: "Service",
        short: &["svc"],
        namespaced: true,
    },
    Resource {
        group: "discovery.k8s.io",
        plural: "endpointslices",
        singular: "endpointslice",
        kind: "EndpointSlice",
        short: &[],
        namespaced: true,
    },
    Resource {
        group: "apps",
        plural: "replicasets",
        singular: "replicaset",
        kind: "ReplicaSet",
        short: &["rs"],
        namespaced: true,
    },
];

impl Resource {
    pub(crate) fn find(group: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES
            .iter()
            .find(|resource| resource.group == group && resource.plural == plural)
    }

    /// The resource of this plural, whatever its group.
    pub(crate) fn called(plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|resource| resource.plural == plural)
    }

    /// The resource whose objects are of this kind.
    pub(crate) fn of_kind(kind: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|resource| resource.kind == kind)
    }

    /// `v1`, or `GROUP/v1`.
    pub(crate) fn api_version(&self) -> String {
        group_version(self.group)
    }
}

/// Whether any resource is in the group.
pub(crate) fn has_group(group: &str) -> bool {
    RESOURCES.iter().any(|resource| resource.group == group)
}

/// `/api`: the versions of the core group.
pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`: all other groups.
pub(crate) fn groups() -> Value {
    let mut names: Vec<_> = RESOURCES
        .iter()
        .map(|resource| resource.group)
        .filter(|group| *group != CORE)
        .collect();
    names.sort_unstable();
    names.dedup();
    let groups: Vec<_> = names.into_iter().map(described).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`.
pub(crate) fn group(name: &str) -> Value {
    let mut document = described(name);
    set(&mut document, "kind", "APIGroup");
    set(&mut document, "apiVersion", "v1");
    document
}

/// `/api/v1` or `/apis/GROUP/v1`.
pub(crate) fn resources(group: &str) -> Value {
    let resources: Vec<_> = RESOURCES
        .iter()
        .filter(|resource| resource.group == group)
        .map(|resource| {
            json!({
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "shortNames": resource.short,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            })
        })
        .collect();
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version(group),
        "resources": resources,
    })
}

fn described(group: &str) -> Value {
    let version = json!({"groupVersion": group_version(group), "version": "v1"});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn group_version(group: &str) -> String {
    if group == CORE {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    }
}
