//! What one may call a thing: its name, with its namespace or its kind before it, the kind as kubectl takes it.
#![forbid(unsafe_code)]

use crate::attribute::{Claim, Who};

/// Kinds with what kubectl calls them for short. The kind itself and its plural are words for it everywhere.
const SHORT: [(&str, &str); 9] = [
    ("deploy", "deployment"),
    ("ds", "daemonset"),
    ("sts", "statefulset"),
    ("rs", "replicaset"),
    ("rc", "replicationcontroller"),
    ("cj", "cronjob"),
    ("po", "pod"),
    ("svc", "service"),
    ("no", "node"),
];

/// The name after a word for `kind`, as in `deploy/web`.
fn of_kind<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    let (word, name) = text.split_once('/')?;
    let (word, kind) = (word.to_lowercase(), kind.to_lowercase());
    let is_it = word == kind
        || word.strip_suffix('s') == Some(&kind)
        || SHORT.contains(&(word.as_str(), kind.as_str()));
    is_it.then_some(name)
}

/// Whether a service, `namespace/name`, would be called so.
pub(super) fn is_service(title: &str, text: &str) -> bool {
    let text = of_kind(text, "service").unwrap_or(text);
    let name = title.split_once('/').map_or(title, |(_, name)| name);
    title.eq_ignore_ascii_case(text) || name.eq_ignore_ascii_case(text)
}

/// Whether a node would be called so.
pub(super) fn is_node(text: &str, node: &str) -> bool {
    of_kind(text, "node").unwrap_or(text).eq_ignore_ascii_case(node)
}

/// Whether one would call it so: component, program, workload, pod, service, node or address.
pub(super) fn is_called(claim: &Claim, name: &str) -> bool {
    let same = |one: &str| one.eq_ignore_ascii_case(name);
    let place = &claim.place;
    let pod = place.pod.as_deref();
    same(&claim.who.label())
        || claim.who.component().is_some_and(same)
        || pod.is_some_and(|pod| {
            same(&pod.name)
                || of_kind(name, "pod").is_some_and(|name| pod.name.eq_ignore_ascii_case(name))
                || same(&format!("{}/{}", pod.namespace, pod.name))
                || same(&pod.uid)
                || pod.workload.as_ref().is_some_and(|workload| {
                    same(&workload.name)
                        || same(&format!("{}/{}", pod.namespace, workload.name))
                        || of_kind(name, &workload.kind)
                            .is_some_and(|name| workload.name.eq_ignore_ascii_case(name))
                })
        })
        || place.unit.as_deref().is_some_and(same)
        || match &claim.who {
            Who::Service {
                namespace,
                name: service,
                ..
            } => is_service(&format!("{namespace}/{service}"), name),
            Who::Node { name: node, .. } if is_node(name, node) => true,
            Who::External { guess, .. } | Who::Node { guess, .. } | Who::Unknown { guess, .. } => {
                guess.as_deref().is_some_and(same)
            }
            Who::Component { .. } | Who::Process { .. } | Who::Pod(_) => false,
        }
}
