//! What does not work, why, and what to do about it.
#![forbid(unsafe_code)]

use super::State;
use crate::{
    resolve::kube::{convert::Resource, wire::Trouble},
    signal::Degraded,
};

/// Of the server as a whole.
pub(super) fn of_all(server: &str, trouble: &Trouble) -> Degraded {
    Degraded {
        what: "pods, services and nodes are not named by the API server".to_owned(),
        why: format!("{server}: {trouble}"),
        remedy: match class(trouble) {
            Class::Forbidden => "apply docs/deploy/rbac.yaml, or name a kubeconfig that may list \
                                     and watch them (--kubeconfig)"
                .to_owned(),
            Class::Credentials => "name a kubeconfig with valid credentials (--kubeconfig)".to_owned(),
            Class::Away => format!(
                "see whether the API server runs, {server} can be reached and its certificate is \
                     of the kubeconfig's authority; it is asked again until it answers"
            ),
            Class::Odd => "see whether this is a Kubernetes API server (--kubeconfig)".to_owned(),
        },
    }
}

/// Of one resource alone.
pub(super) fn of_one(resource: Resource, state: &State) -> Option<Degraded> {
    let plural = resource.plural();
    let trouble = match state {
        State::Unknown | State::Works { unreadable: 0, .. } => return None,
        State::Works { unreadable, why } => {
            return Some(Degraded {
                what: format!("some {plural} are not known from the API server"),
                why: format!("{unreadable} or more could not be read; the last: {why}"),
                remedy: "report this with the object that it is about".to_owned(),
            });
        }
        State::Fails(trouble) => trouble,
    };
    let group = resource.group();
    Some(Degraded {
        what: format!("{plural} are not known from the API server, or not up to date"),
        why: trouble.to_string(),
        remedy: match class(trouble) {
            Class::Forbidden => format!(
                "allow it with a ClusterRole (docs/deploy/rbac.yaml): apiGroups [\"{group}\"], \
                 resources [\"{plural}\"], verbs [\"list\", \"watch\"]"
            ),
            Class::Credentials => "name a kubeconfig with valid credentials (--kubeconfig)".to_owned(),
            Class::Away | Class::Odd => {
                "see the API server's log; it is asked again until it answers".to_owned()
            }
        },
    })
}

/// Of pods asked for a node that is not there.
pub(super) fn no_such_node(node: &str) -> Degraded {
    Degraded {
        what: "no pods are known from the API server".to_owned(),
        why: format!("its cluster has no node called {node}"),
        remedy: "name this node as the cluster does (--node-name), or a kubeconfig of its cluster \
                 (--kubeconfig)"
            .to_owned(),
    }
}

/// What kind of remedy a trouble needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Forbidden,
    Credentials,
    Away,
    Odd,
}

pub(super) const fn class(trouble: &Trouble) -> Class {
    match trouble {
        Trouble::Refused { code: 403, .. } => Class::Forbidden,
        Trouble::Refused { code: 401, .. } | Trouble::Credentials => Class::Credentials,
        Trouble::Connection(_)
        | Trouble::Silent(_)
        | Trouble::Refused {
            code: 429 | 500..=599,
            ..
        } => Class::Away,
        Trouble::Refused { .. }
        | Trouble::Gone
        | Trouble::TooLarge(_)
        | Trouble::Garbage(_)
        | Trouble::Endless(_) => Class::Odd,
    }
}
