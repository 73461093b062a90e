//! Who is it: claims with evidence about the owner of a socket, ranked; ambiguity is unknown, never a coin flip.
//!
//! To add a source of identity: one file here, one rank in [`Quality`].
#![forbid(unsafe_code)]

pub mod cgroup;
pub mod human;
pub mod netns;
pub mod node_ids;
pub mod place;
pub mod process;
pub mod procfs;
pub mod remote;
pub mod reserved;
pub mod rules;
pub mod spoof;

use std::{borrow::Cow, sync::Arc};

use place::{Place, Pod};
use serde::Serialize;

/// Who an end of a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A component the rules know: `kube-apiserver`, `etcd`, ...
    Component {
        /// Name from the rules.
        name: String,
        /// The part it plays here: of a single-binary distribution, `k3s-server(kubelet)`, or its subcommand,
        /// `kubectl(proxy)`.
        role: Option<String>,
    },
    /// Any other process, by the base name of its executable.
    Process {
        /// Base name, hostile: escape before showing.
        name: String,
    },
    /// A pod that is not here, or of which no process was seen.
    Pod(Arc<Pod>),
    /// A service whose server is not known.
    Service {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// Who may have served it, as labels of pods; sorted.
        candidates: Vec<String>,
    },
    /// A node of the cluster: something in its host network.
    Node {
        /// Name.
        name: String,
        /// What usually serves the destination port; a guess.
        guess: Option<String>,
    },
    /// An address nobody on this machine claims.
    External {
        /// The address, without port.
        address: std::net::IpAddr,
        /// What usually serves the destination port; a guess.
        guess: Option<String>,
    },
    /// Something on this machine that could not be named.
    Unknown {
        /// Why not.
        reason: String,
        /// What usually serves the destination port, where nobody does; a guess.
        guess: Option<String>,
    },
}

impl Who {
    /// Name of the component, without its role; absent for everything else.
    pub fn component(&self) -> Option<&str> {
        match self {
            Self::Component { name, .. } => Some(name),
            Self::Process { .. }
            | Self::Pod(_)
            | Self::Service { .. }
            | Self::Node { .. }
            | Self::External { .. }
            | Self::Unknown { .. } => None,
        }
    }

    /// What to show: `etcd`, `k3s-server(kubelet)`, `curl`, `10.0.0.9`, `etcd?`, `unknown`. Hostile: escape before showing.
    pub fn label(&self) -> Cow<'_, str> {
        match self {
            Self::Component {
                name,
                role: Some(role),
            } => Cow::Owned(format!("{name}({role})")),
            Self::Component { name, role: None }
            | Self::Process { name }
            | Self::Service { name, .. }
            | Self::Node { name, .. } => Cow::Borrowed(name),
            Self::Pod(pod) => match &pod.workload {
                Some(workload) => Cow::Borrowed(&workload.name),
                None if pod.is_named() => Cow::Borrowed(&pod.name),
                None => Cow::Owned(format!("pod {}", pod.uid)),
            },
            Self::External { address, .. } => Cow::Owned(address.to_string()),
            Self::Unknown {
                guess: Some(guess), ..
            } => Cow::Owned(format!("{guess}?")),
            Self::Unknown { guess: None, .. } => Cow::Borrowed("unknown"),
        }
    }
}

/// What a claim rests on, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// The file that runs: its name as the kernel told at `execve`, or its path from /proc.
    Exe,
    /// The path given to `execve`, which may be a link's, or the program of the parent it was forked by.
    Exec,
    /// `argv[0]` or a subcommand.
    Argv,
    /// Name of the thread alone: anybody can set it.
    Comm,
    /// What it was before records were lost: it may have become another program since.
    Outdated,
    /// The owner of the listening socket the connection came in by.
    Listener,
    /// The inventory of pods, services and nodes has the address.
    Inventory,
    /// The usual server of a port: a guess.
    Port,
    /// Nothing but the address.
    Address,
}

/// A claim with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub who: Who,
    /// What it rests on.
    pub quality: Quality,
    /// The evidence itself, in words: `exe /usr/local/bin/etcd`. Hostile: escape before showing.
    pub by: String,
    /// Where it lives.
    pub place: Place,
}

impl Claim {
    /// The pod it is, or lives in.
    pub fn pod(&self) -> Option<&Pod> {
        match &self.who {
            Who::Pod(pod) => Some(pod),
            Who::Component { .. }
            | Who::Process { .. }
            | Who::Service { .. }
            | Who::Node { .. }
            | Who::External { .. }
            | Who::Unknown { .. } => self.place.pod.as_deref(),
        }
    }

    /// The cluster's node it is on, or is.
    pub fn node(&self) -> Option<&str> {
        match &self.who {
            Who::Node { name, .. } => Some(name),
            Who::Component { .. }
            | Who::Process { .. }
            | Who::Pod(_)
            | Who::Service { .. }
            | Who::External { .. }
            | Who::Unknown { .. } => self.place.node.as_deref(),
        }
    }
}

/// A process as far as an output needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRef {
    /// Thread group id.
    pub tgid: u32,
    /// Which process of all that had this id: ids are used again.
    pub instance: u64,
    /// Which program of all that were seen: a process becomes another by exec.
    pub program: u64,
    /// Real user id.
    pub uid: u32,
    /// cgroup v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// Name of the process (of its leader where known). Hostile: escape before showing.
    pub comm: Arc<str>,
    /// Path of the executable, or the bare name of its file where only that is known; absent when nothing told. Hostile.
    pub exe: Option<Arc<str>>,
    /// The kernel or /proc told that file, not the path given to `execve` alone.
    pub exe_known: bool,
}
