//! What a cgroup path tells: pod, container, runtime, systemd unit, login session. Pure; any string is answered.
//!
//! The grammar is that of kubelet (cgroupfs and systemd drivers), the container runtimes, systemd and Talos. It matches
//! segments by their form, not whole paths, so a cgroup root of any name and any depth of nesting is read alike.
//!
//! A container may make cgroups of any name below its own (KEP-5474), and so may a unit or a user whose cgroup is delegated. So
//! where this node's own root is known ([`Root`]), its outermost pod counts, whoever is known, and what is deeper is ignored.
#![forbid(unsafe_code)]

mod segment;
mod table;
#[cfg(test)]
mod tests;

pub use table::CgroupTable;

use segment::{Segment, classify, expand, is_kubelet};

/// Segments read of one path: what is deeper is inside a container.
const SEGMENTS_MAX: usize = 64;

/// The quality of service class of a pod, which is a part of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// Requests equal limits.
    Guaranteed,
    /// Some requests or limits.
    Burstable,
    /// None.
    BestEffort,
}

impl Qos {
    /// As Kubernetes writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// A container in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupContainer {
    /// 64 hexadecimal digits.
    pub id: String,
    /// `containerd`, `cri-o`, `docker` or `podman`; absent when the path does not tell.
    pub runtime: Option<&'static str>,
}

/// A pod in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupPod {
    /// With dashes; 32 hexadecimal digits for a static pod; what the manifest says for one with a uid of its own.
    pub uid: String,
    /// Absent when the path lost its head.
    pub qos: Option<Qos>,
    /// Absent for what runs in the pod's cgroup beside its containers: no process of the pod's.
    pub container: Option<CgroupContainer>,
}

/// Where a cgroup path puts its processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CgroupPlace {
    /// Outermost first: a cluster in a pod puts pods inside pods.
    pub pods: Vec<CgroupPod>,
    /// A container that is no pod's.
    pub container: Option<CgroupContainer>,
    /// The container that is a whole node (kind, minikube): not the pod's.
    pub node: Option<CgroupContainer>,
    /// The container a conmon watches. conmon is a process of the host, whatever cgroup it is in.
    pub conmon_of: Option<String>,
    /// systemd unit or its like on Talos and `OpenRC`; of a bare container, the unit inside it.
    pub unit: Option<String>,
    /// systemd's scope of a login session: `session-12.scope`.
    pub session: Option<String>,
    /// User id of the user slice.
    pub user: Option<u32>,
    /// The path was seen from another cgroup namespace and has lost its head.
    pub relative: bool,
    /// The outermost pod is below a container, a unit or a user's slice, whose owner may make cgroups of any name.
    pub delegated: bool,
}

/// Where the cgroups of this node begin, and what is known of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The container that this node is (kind, a node in a pod): its path. Empty for a machine.
    path: String,
    /// The kubelet of this node keeps its pods outside of every container, unit and user's slice.
    has_own_pods: bool,
}

impl Root {
    /// By the path of pid 1, below the root of the whole hierarchy.
    pub fn of_first_process(path: &str) -> Self {
        let mut end = 0;
        let mut at = 0;
        let mut before = ["", ""];
        for segment in path.split('/') {
            at += segment.len();
            if let Segment::Container(_) = classify(segment, before, 1, None) {
                end = at;
            }
            at += 1;
            before = [before[1], segment];
        }
        Self {
            path: path.get(..end).unwrap_or_default().to_owned(),
            has_own_pods: false,
        }
    }

    /// What is below this root; a path that is not below it, as those seen from inside are not, as it is.
    fn below<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.path.as_str())
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path)
    }
}

impl CgroupPlace {
    /// The pod that this node's cluster knows: the outermost.
    pub fn pod(&self) -> Option<&CgroupPod> {
        self.pods.first()
    }

    /// The outermost pod whose uid is known; the outermost of all when none is.
    pub fn pod_known(&self, known: impl Fn(&str) -> bool) -> Option<&CgroupPod> {
        self.pods
            .iter()
            .find(|pod| known(&pod.uid))
            .or_else(|| self.pod())
    }

    /// The container: of the outermost pod, or bare. What a node container runs on its own is not in a container.
    pub fn container(&self) -> Option<&CgroupContainer> {
        match self.pod() {
            Some(pod) => pod.container.as_ref(),
            None => self.container.as_ref(),
        }
    }

    /// Whether it is conmon's own cgroup.
    pub const fn is_conmon(&self) -> bool {
        self.conmon_of.is_some()
    }

    /// How much it tells: of two paths of one process, the greater is to be believed.
    pub fn detail(&self) -> u8 {
        let pod = self.pod();
        u8::from(pod.is_some_and(|pod| pod.container.is_some())) * 32
            + u8::from(pod.is_some()) * 16
            + u8::from(pod.is_none() && (self.container.is_some() || self.node.is_some())) * 8
            + u8::from(self.is_conmon()) * 4
            + u8::from(self.session.is_some()) * 2
            + u8::from(self.unit.is_some())
    }
}

/// What a path tells. A path that tells nothing gives an empty place.
pub fn parse(path: &str) -> CgroupPlace {
    parse_below(None, path)
}

/// What a path tells on a node whose root is known.
fn parse_below(root: Option<&Root>, path: &str) -> CgroupPlace {
    let path = root.map_or(path, |root| root.below(path));
    let mut place = CgroupPlace {
        relative: path.split('/').any(|segment| segment == ".."),
        ..CgroupPlace::default()
    };
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !["", ".", ".."].contains(segment))
        .take(SEGMENTS_MAX)
        .flat_map(|segment| expand(segment).into_iter().flatten())
        .collect();
    let mut before: [&str; 2] = ["", ""];
    for (index, segment) in segments.iter().enumerate() {
        // Whatever follows is inside the container of this node's pod.
        if root.is_some() && place.pod().is_some_and(|pod| pod.container.is_some()) {
            break;
        }
        if is_kubelet(segment) && place.pods.is_empty() && place.node.is_none() {
            place.node = place.container.take();
        }
        let next = segments.get(index + 1).copied();
        let kind = classify(segment, before, index, next);
        if matches!(kind, Segment::Pod { .. })
            && place.is_delegated()
            && (place.relative || root.is_some_and(|root| root.has_own_pods))
        {
            place.container = place.container.take().or(place.node.take());
            break;
        }
        place.step(kind, before);
        before = [before[1], segment];
    }
    place.settle();
    place
}

impl CgroupPlace {
    /// Whoever is named so far may make cgroups of any name below.
    const fn is_delegated(&self) -> bool {
        self.pods.is_empty()
            && (self.container.is_some() || self.node.is_some() || self.unit.is_some() || self.user.is_some())
    }

    /// One segment, with the two before it.
    fn step(&mut self, segment: Segment<'_>, before: [&str; 2]) {
        match segment {
            Segment::Pod { uid, qos } => {
                self.delegated |= self.is_delegated();
                if self.pods.is_empty() && self.node.is_none() {
                    self.node = self.container.take();
                }
                let container = None;
                self.pods.push(CgroupPod { uid, qos, container });
            }
            Segment::Container(container) => match self.pods.last_mut() {
                // The first is the pod's own; what is deeper runs inside it.
                Some(pod) => {
                    pod.container.get_or_insert(container);
                }
                None if self.container.is_none() => {
                    // podman inside a unit's own cgroup (`--cgroups=split`) is that unit.
                    if before[1].strip_suffix(".service").is_none() {
                        self.unit = None;
                    }
                    self.container = Some(container);
                }
                None => {}
            },
            Segment::Conmon(id) => {
                let in_container = match self.pods.last() {
                    Some(pod) => pod.container.is_some(),
                    None => self.container.is_some() && self.node.is_none(),
                };
                if !in_container {
                    self.conmon_of = Some(id.to_owned());
                }
            }
            Segment::Unit(unit) => {
                // A user's or container's own init tells less than the unit it was started by.
                if unit != "init.scope" || self.unit.is_none() {
                    self.unit = Some(unit);
                }
            }
            Segment::Session(scope) => self.session = Some(scope.to_owned()),
            Segment::User(uid) => self.user = Some(uid),
            Segment::Other => {}
        }
    }

    /// Takes back what a later segment has shown to be wrong.
    fn settle(&mut self) {
        if self.conmon_of.is_some() {
            // It is beside the containers of the last pod; if that pod is inside another, it is inside that one's.
            self.pods.pop();
            if !self.pods.is_empty() {
                self.conmon_of = None;
            }
        }
        if !self.pods.is_empty() {
            self.unit = None;
            self.session = None;
        }
    }
}
