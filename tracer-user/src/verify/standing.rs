//! Whether an end is the component it seems to be: by the file that runs, and by where it runs. Never by what it says.
#![forbid(unsafe_code)]

use crate::{
    attribute::{Claim, Quality, Who, place::Pod},
    report::ProcessRef,
};

/// Single-binary distributions that hold a kube-apiserver, by component.
const APISERVERS: [&str; 4] = ["kube-apiserver", "k3s-server", "kubelite", "rke2"];

/// Executables that hold several components: which one runs, only the arguments tell.
const SEVERAL: [&str; 2] = ["k3s", "hyperkube"];

/// Namespace of the control plane's pods.
const CONTROL_PLANE: &str = "kube-system";

/// How sure it is that an end is what it seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// By its executable, in its own place.
    Sure,
    /// It may be, and why that is not sure.
    Unsure(&'static str),
    /// It is not, and why.
    Not(&'static str),
}

pub(super) fn is_apiserver(who: &Who) -> bool {
    who.component().is_some_and(|name| APISERVERS.contains(&name))
}

/// Whether it is one of several programs in one executable, and nobody but itself says which.
pub(super) fn is_several(who: &Who) -> bool {
    who.component().is_some_and(|name| SEVERAL.contains(&name))
}

/// The executable's name, where the kernel or /proc told it.
pub(super) fn executable(process: Option<&ProcessRef>) -> Option<&str> {
    let path = process.filter(|process| process.exe_known)?.exe.as_deref()?;
    path.rsplit('/').next()
}

/// Of a component: whether it is that.
pub(super) fn of(claim: &Claim) -> Standing {
    let why = match claim.quality {
        Quality::Exe => return home(claim),
        Quality::Exec => "the path given to execve may be a link's",
        Quality::Argv | Quality::Comm => "it says so itself",
        Quality::Outdated => "records were lost since",
        Quality::Listener | Quality::Inventory | Quality::Port | Quality::Address => "nobody saw who it is",
    };
    Standing::Unsure(why)
}

/// Whether it runs where that component runs: on the host, in a static pod, or in a pod of the control plane that is its own.
fn home(claim: &Claim) -> Standing {
    let name = claim.who.component().unwrap_or_default();
    let Some(pod) = claim.place.pod.as_deref() else {
        return match claim.place.container {
            Some(_) => Standing::Unsure("it runs in a container that is no pod's"),
            None => Standing::Sure,
        };
    };
    // The kubelet alone names a cgroup so: its manifest is a file of the node.
    let is_static = pod.uid.len() == 32 && pod.uid.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !pod.is_named() {
        return if is_static {
            Standing::Sure
        } else {
            Standing::Unsure("it runs in a pod that nobody could name")
        };
    }
    if (is_static || *pod.namespace == *CONTROL_PLANE) && is_of(pod, name) {
        Standing::Sure
    } else {
        Standing::Not("it runs in another pod")
    }
}

/// Whether a pod is a component's own: by its name, its controller or its labels.
fn is_of(pod: &Pod, component: &str) -> bool {
    let begins = |name: &str| {
        name.strip_prefix(component)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let labelled = |(key, value): &(std::sync::Arc<str>, std::sync::Arc<str>)| {
        ["component", "k8s-app", "app", "app.kubernetes.io/name"].contains(&&**key) && begins(value)
    };
    begins(&pod.name)
        || pod
            .workload
            .as_ref()
            .is_some_and(|workload| begins(&workload.name))
        || pod.labels.iter().any(labelled)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::attribute::place::{Container, Place};

    const HASH: &str = "40fd1c883492798a973420b1590f1fa1";
    const UID: &str = "0b7f1c88-3492-798a-9734-20b1590f1fa1";

    fn claim(quality: Quality, pod: Option<Pod>, container: bool) -> Claim {
        Claim {
            who: Who::Component {
                name: "kube-apiserver".to_owned(),
                role: None,
            },
            quality,
            by: String::new(),
            place: Place {
                pod: pod.map(Arc::new),
                container: container.then(Arc::<Container>::default),
                ..Place::default()
            },
        }
    }

    fn pod(uid: &str, namespace: &str, name: &str) -> Pod {
        Pod {
            uid: uid.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Pod::default()
        }
    }

    fn kind(standing: Standing) -> &'static str {
        match standing {
            Standing::Sure => "sure",
            Standing::Unsure(_) => "unsure",
            Standing::Not(_) => "not",
        }
    }

    #[test]
    fn a_component_is_sure_in_its_own_place_only() {
        let labelled = Pod {
            labels: Arc::from([("component".into(), "kube-apiserver".into())]),
            ..pod(UID, "kube-system", "x")
        };
        let own = |name| pod(UID, "kube-system", name);
        let fixed = |name| pod(HASH, "kube-system", name);
        let cases = [
            ("a static pod, not named", pod(HASH, "", ""), "sure"),
            ("a pod, not named", pod(UID, "", ""), "unsure"),
            ("its static pod", fixed("kube-apiserver-n1"), "sure"),
            ("its pod", own("kube-apiserver-7f-x"), "sure"),
            ("its pod by a label", labelled, "sure"),
            ("another pod of the control plane", own("coredns-1"), "not"),
            ("another static pod", fixed("backup-n1"), "not"),
            (
                "called like it, elsewhere",
                pod(UID, "team", "kube-apiserver-1"),
                "not",
            ),
            ("a name that only begins so", own("kube-apiserverx"), "not"),
        ];
        for (case, pod, want) in cases {
            let claim = claim(Quality::Exe, Some(pod), true);
            assert_eq!(kind(of(&claim)), want, "case: {case}");
        }
        assert_eq!(kind(of(&claim(Quality::Exe, None, false))), "sure", "on the host");
        assert_eq!(
            kind(of(&claim(Quality::Exe, None, true))),
            "unsure",
            "a bare container"
        );
    }

    #[test]
    fn a_component_is_sure_by_its_executable_only() {
        for quality in [Quality::Exec, Quality::Argv, Quality::Comm, Quality::Outdated] {
            assert_eq!(kind(of(&claim(quality, None, false))), "unsure", "{quality:?}");
        }
    }
}
