//! Groups of flags that several commands share, as clap reads them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, value_parser};

use super::value;
use crate::output::filter::{Conditions, Families, Filter};

const CAPTURE: &str = "Capture";
const FILTERS: &str =
    "Filters (repeat or separate by commas for alternatives; different flags must all match)";

/// Which programs to attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Probe {
    /// The best this kernel has, for each program.
    #[default]
    Auto,
    /// fentry and fexit.
    Fentry,
    /// kprobe and kretprobe.
    Kprobe,
    /// Tracepoints only.
    Tracepoint,
}

/// How sockets that are already there are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SnapshotMode {
    /// The iterator where this kernel has it.
    #[default]
    Auto,
    /// A BPF iterator over all files of all tasks.
    Iterator,
    /// `sock_diag` and /proc in every network namespace.
    Procfs,
}

/// Which programs and which facts about the kernel.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProbeArgs {
    /// Kind of programs to attach [default: auto]
    #[arg(long, value_name = "KIND", help_heading = CAPTURE)]
    pub(super) probe: Option<Probe>,
    /// How to list sockets that already exist [default: auto]
    #[arg(long, value_name = "HOW", help_heading = CAPTURE)]
    pub(super) snapshot: Option<SnapshotMode>,
    /// Kernel type information to use instead of /sys/kernel/btf/vmlinux; `none` to do without
    #[arg(long, value_name = "PATH|none", help_heading = CAPTURE)]
    pub(super) btf: Option<PathBuf>,
}

/// How much memory.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SizeArgs {
    /// Ring buffer between kernel and tracer: bytes, or with K or M; a power of two [default: 4M]
    #[arg(long, value_name = "BYTES", value_parser = value::ring_bytes, help_heading = CAPTURE)]
    pub(super) ring_size: Option<u32>,
    /// Sockets the kernel side remembers at most [default: 131072]
    #[arg(long, value_name = "COUNT", value_parser = value::sockets_max, help_heading = CAPTURE)]
    pub(super) max_sockets: Option<u32>,
}

/// How often; for what lasts longer than one snapshot.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CadenceArgs {
    /// Time between snapshots, which update bytes and round-trip times and repair misses [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = value::interval, help_heading = CAPTURE)]
    pub(super) interval: Option<Duration>,
}

/// Who is who.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RulesArgs {
    /// Component rules to use besides the built-in ones (TOML)
    #[arg(long, value_name = "FILE")]
    pub(super) rules: Option<PathBuf>,
}

/// Saving what a live view sees.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SaveArgs {
    /// Also record what the view is made of, to replay it later
    #[arg(short = 'w', long = "record", value_name = "FILE", help_heading = CAPTURE)]
    pub(super) record: Option<PathBuf>,
}

/// Conditions without direction.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EndArgs {
    /// Port, of either end
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value_parser!(u16).range(1..), help_heading = FILTERS)]
    port: Vec<u16>,
    /// Component, at either end: kube-apiserver, etcd, kubelet, ...; guessed ones match too
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = FILTERS)]
    component: Vec<String>,
    /// Process, at either end: its name, or name or path of its executable
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = FILTERS)]
    process: Vec<String>,
    /// Process id, at either end
    #[arg(long, value_name = "PID", value_delimiter = ',', help_heading = FILTERS)]
    pid: Vec<u32>,
    /// IPv4 only, IPv4-mapped IPv6 included
    #[arg(short = '4', long = "ipv4", help_heading = FILTERS)]
    v4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "ipv6", help_heading = FILTERS)]
    v6: bool,
}

/// Conditions on one direction.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DirectionArgs {
    /// Port of the end that accepts
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value_parser!(u16).range(1..), help_heading = FILTERS)]
    to_port: Vec<u16>,
    /// Component that connects
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = FILTERS)]
    from_component: Vec<String>,
    /// Component that accepts
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = FILTERS)]
    to_component: Vec<String>,
    /// Process that connects
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = FILTERS)]
    from_process: Vec<String>,
    /// Process that accepts
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = FILTERS)]
    to_process: Vec<String>,
    /// Process id that connects
    #[arg(long, value_name = "PID", value_delimiter = ',', help_heading = FILTERS)]
    from_pid: Vec<u32>,
    /// Process id that accepts
    #[arg(long, value_name = "PID", value_delimiter = ',', help_heading = FILTERS)]
    to_pid: Vec<u32>,
}

/// Apart, since a graph puts connections from all source ports together.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FromPortArgs {
    /// Port of the end that connects
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value_parser!(u16).range(1..), help_heading = FILTERS)]
    from_port: Vec<u16>,
}

/// Apart, since a component row has no namespace of its own.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NetnsArgs {
    /// Network namespace of either end, by inode
    #[arg(long, value_name = "INODE", value_delimiter = ',', hide = true)]
    netns: Vec<u32>,
}

impl EndArgs {
    pub(super) fn filter(self) -> Filter {
        let Self {
            port,
            component,
            process,
            pid,
            v4,
            v6,
        } = self;
        Filter {
            either: Conditions {
                ports: port,
                components: component,
                processes: process,
                pids: pid,
            },
            families: Families { v4, v6 },
            ..Filter::default()
        }
    }
}

impl DirectionArgs {
    pub(super) fn add_to(self, filter: &mut Filter) {
        filter.from.components = self.from_component;
        filter.from.processes = self.from_process;
        filter.from.pids = self.from_pid;
        filter.to.ports = self.to_port;
        filter.to.components = self.to_component;
        filter.to.processes = self.to_process;
        filter.to.pids = self.to_pid;
    }
}

impl FromPortArgs {
    pub(super) fn add_to(self, filter: &mut Filter) {
        filter.from.ports = self.from_port;
    }
}

impl NetnsArgs {
    pub(super) fn add_to(self, filter: &mut Filter) {
        filter.netns = self.netns;
    }
}
