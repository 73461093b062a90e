//! What the user asked for, with every default filled in.

use std::{path::PathBuf, time::Duration};

use tracer_common::maps::RING_BYTES;

use super::{
    args::capture::{Probe, SnapshotMode},
    format::{Check, Conntrack, EventsFormat, GraphFormat, GroupBy, TableFormat},
};
use crate::{
    output::{filter::Filter, style::Choice},
    report::Question,
};

/// A checked command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `--color`.
    pub color: Choice,
    /// -1 for `-q`, else the number of `-v`.
    pub verbosity: i8,
    /// Friendly remarks for stderr.
    pub hints: Vec<String>,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show what happens now.
    Live {
        /// What to show.
        view: View,
        /// How to observe.
        capture: Capture,
        /// How long; absent until Ctrl-C, zero for one snapshot. Listeners, connections and components: zero.
        duration: Option<Duration>,
    },
    /// Show what a recording holds.
    Replay {
        /// The recording.
        file: PathBuf,
        /// What to show; never [`View::Default`].
        view: View,
        /// Component rules besides the built-in ones.
        rules: Option<PathBuf>,
    },
    /// Save everything, show nothing.
    Record {
        /// Where to.
        file: PathBuf,
        /// How to observe; its `record` is absent.
        capture: Capture,
        /// How long; absent until Ctrl-C.
        duration: Option<Duration>,
        /// Size to stop at; absent for none.
        max_bytes: Option<u64>,
    },
    /// Tell what works here.
    Doctor {
        /// Format.
        format: TableFormat,
        /// How it would observe.
        capture: Capture,
    },
    /// Print the version.
    Version,
}

/// What to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The graph as a refreshing table on a terminal, else events.
    Default {
        /// What to show of it.
        filter: Filter,
    },
    /// A stream of happenings.
    Events {
        /// Format.
        format: EventsFormat,
        /// What to show of it.
        filter: Filter,
    },
    /// The graph.
    Graph {
        /// Format.
        format: GraphFormat,
        /// What to show of it.
        filter: Filter,
        /// Only edges with a live connection.
        active: bool,
        /// Again and again.
        watch: bool,
        /// Without what was last seen longer ago; absent for everything since the start.
        forget_after: Option<Duration>,
        /// What becomes one node.
        group_by: GroupBy,
    },
    /// Listening sockets.
    Listeners {
        /// Format.
        format: TableFormat,
        /// What to show of it.
        filter: Filter,
    },
    /// Established connections.
    Connections {
        /// Format.
        format: TableFormat,
        /// What to show of it.
        filter: Filter,
        /// Numbers by source, destination and port instead of rows.
        count: bool,
    },
    /// Recognised components.
    Components {
        /// Format.
        format: TableFormat,
        /// What to show of it.
        filter: Filter,
    },
    /// Why ends have the names they have.
    Explain {
        /// What is asked about.
        question: Question,
        /// Format.
        format: TableFormat,
    },
    /// Verdicts.
    Verify {
        /// Checks, sorted, each once, at least one.
        checks: Vec<Check>,
        /// Names that may also reach etcd.
        allow: Vec<String>,
        /// Format.
        format: TableFormat,
    },
}

/// How to observe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Kind of programs.
    pub probe: Probe,
    /// How to list sockets.
    pub snapshot: SnapshotMode,
    /// Type information of the kernel.
    pub btf: Btf,
    /// Size of the ring buffer: a power of two from 4096.
    pub ring_bytes: u32,
    /// Room of the socket table; absent for what fits the node.
    pub sockets_max: Option<u32>,
    /// Time between snapshots.
    pub interval: Duration,
    /// Component rules besides the built-in ones.
    pub rules: Option<PathBuf>,
    /// Where to save what is seen.
    pub record: Option<PathBuf>,
    /// Where names come from.
    pub names: Names,
}

/// Where names come from, besides the kernel and /proc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Socket of the container runtime.
    pub cri: Whence,
    /// Kubeconfig file for the API server.
    pub kubeconfig: Whence,
    /// The pods of all nodes, not only of this one.
    pub cluster_pods: bool,
    /// Where the file system of the node is mounted.
    pub host_root: PathBuf,
    /// Name of this node in the cluster; absent to find out.
    pub node_name: Option<String>,
    /// Connection tracking.
    pub conntrack: Conntrack,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            cri: Whence::Found,
            kubeconfig: Whence::Found,
            cluster_pods: false,
            host_root: PathBuf::from("/"),
            node_name: None,
            conntrack: Conntrack::Auto,
        }
    }
}

/// Where a source of names is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Whence {
    /// Wherever it is found.
    #[default]
    Found,
    /// It is not to be used.
    None,
    /// Here.
    File(PathBuf),
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            probe: Probe::Auto,
            snapshot: SnapshotMode::Auto,
            btf: Btf::Kernel,
            ring_bytes: RING_BYTES,
            sockets_max: None,
            interval: Self::INTERVAL,
            rules: None,
            record: None,
            names: Names::default(),
        }
    }
}

impl Capture {
    /// Between snapshots unless told otherwise.
    pub const INTERVAL: Duration = Duration::from_secs(10);
}

/// Type information of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Btf {
    /// The running kernel's own.
    #[default]
    Kernel,
    /// None, even if the kernel has it.
    None,
    /// This file.
    File(PathBuf),
}
