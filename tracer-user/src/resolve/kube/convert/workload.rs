//! What controls a pod, from its owner references alone: no right to read apps/* or batch/* is needed.
#![forbid(unsafe_code)]

use super::{capped, pod::unix_ns};
use crate::{
    resolve::kube::objects::{Meta, Owner},
    signal::inventory::Workload,
};

/// Years 2015 to 2084 in minutes since 1970: what the last part of a `CronJob`'s job can be.
const CRON_MINUTES: std::ops::Range<i64> = 23_667_840..60_000_000;

/// Of a pod called `name` on `node`.
pub(super) fn of(meta: &Meta, name: &str, node: Option<&str>) -> Workload {
    let owners = meta.owner_references.iter().flatten();
    let controller = owners
        .clone()
        .find(|owner| owner.controller == Some(true) && !owner.name.is_empty());
    let Some(owner) = controller else {
        // The kubelet's own list has static pods without an owner.
        let source = meta.annotations.as_ref();
        let source = source.and_then(|annotations| annotations.config_source.as_deref());
        return match source {
            Some("file" | "http") => workload("StaticPod", without_node(name, node)),
            Some(_) | None => workload("Pod", name),
        };
    };
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let above = match (group, owner.kind.as_str()) {
        ("apps" | "extensions", "ReplicaSet") => deployment(meta, owner),
        ("batch", "Job") => cron_job(meta, owner),
        ("", "Node") => Some(workload("StaticPod", without_node(name, Some(&owner.name)))),
        (_, _) => None,
    };
    above.unwrap_or_else(|| workload(&owner.kind, &owner.name))
}

fn workload(kind: &str, name: &str) -> Workload {
    Workload {
        kind: capped(kind.to_owned()),
        name: capped(name.to_owned()),
    }
}

/// A replica set that a deployment made is called after it and the hash of the pod template, and labels its pods with
/// that hash. Without the label it was made by something else.
fn deployment(meta: &Meta, owner: &Owner) -> Option<Workload> {
    let hash = meta.labels.as_ref()?.get("pod-template-hash")?;
    let name = owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    (!hash.is_empty() && !name.is_empty()).then(|| workload("Deployment", name))
}

/// A job that a `CronJob` made is called after it and the minute it was due, which is before the pod was created. The
/// job controller labels the pods with the job's name.
fn cron_job(meta: &Meta, owner: &Owner) -> Option<Workload> {
    let labels = meta.labels.as_ref()?;
    let job = labels
        .get("batch.kubernetes.io/job-name")
        .or_else(|| labels.get("job-name"))?;
    let (name, due) = owner.name.rsplit_once('-')?;
    let is_number = due.len() == 8 && due.bytes().all(|byte| byte.is_ascii_digit());
    let due: i64 = due.parse().ok()?;
    let created = meta.creation_timestamp.as_deref().and_then(unix_ns);
    // Clocks of two masters may differ by a little.
    let is_due = created.is_none_or(|created| due <= created / 60_000_000_000 + 1);
    let proven = *job == owner.name && is_number && CRON_MINUTES.contains(&due) && is_due;
    (proven && !name.is_empty()).then(|| workload("CronJob", name))
}

/// The kubelet calls a static pod after the manifest and the node.
fn without_node<'a>(name: &'a str, node: Option<&str>) -> &'a str {
    node.and_then(|node| name.strip_suffix(node)?.strip_suffix('-'))
        .filter(|name| !name.is_empty())
        .unwrap_or(name)
}
