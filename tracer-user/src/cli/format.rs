//! Words that choose: checks and output formats.

use clap::ValueEnum;

/// What `verify` can check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Check {
    /// Every kube-apiserver has live connections to an etcd.
    ApiserverEtcd,
    /// Nobody but kube-apiserver, etcd and --allow reached etcd's client port.
    EtcdClients,
}

/// Formats of `events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EventsFormat {
    /// Lines for people.
    #[default]
    Compact,
    /// Lines of JSON.
    Json,
}

/// Formats of `graph`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// One row for each edge.
    #[default]
    Table,
    /// For Graphviz.
    Dot,
    /// One document, with --watch one on each line.
    Json,
}

/// Formats of everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Aligned columns.
    #[default]
    Table,
    /// One document.
    Json,
}

/// Whether the kernel's connection tracking is asked for translated connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Conntrack {
    /// Where the kernel has it.
    #[default]
    Auto,
    /// Not at all.
    None,
}

/// What becomes one node of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// A component, else a workload, else a program.
    #[default]
    Component,
    /// A workload, else a unit, else a program.
    Workload,
    /// A pod, else a program.
    Pod,
    /// A process.
    Process,
    /// A namespace of the cluster, else the host.
    Namespace,
    /// A node of the cluster.
    Node,
}
