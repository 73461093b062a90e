//! How to observe.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::names::NamesArgs;
use crate::cli::value;

const CAPTURE: &str = "Capture";

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
pub(in crate::cli) struct ProbeArgs {
    /// Kind of programs to attach [default: auto]
    #[arg(long, value_name = "KIND", help_heading = CAPTURE)]
    pub(in crate::cli) probe: Option<Probe>,
    /// How to list sockets that already exist [default: auto]
    #[arg(long, value_name = "HOW", help_heading = CAPTURE)]
    pub(in crate::cli) snapshot: Option<SnapshotMode>,
    /// Kernel type information to use instead of /sys/kernel/btf/vmlinux; `none` to do without
    #[arg(long, value_name = "PATH|none", help_heading = CAPTURE)]
    pub(in crate::cli) btf: Option<PathBuf>,
}

/// How much memory.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct SizeArgs {
    /// Ring buffer between kernel and tracer: bytes, or with K or M; a power of two [default: 4M]
    #[arg(long, value_name = "BYTES", value_parser = value::ring_bytes, help_heading = CAPTURE)]
    pub(in crate::cli) ring_size: Option<u32>,
    /// Sockets the kernel side remembers at most [default: what fits the node, see `doctor`]
    #[arg(long, value_name = "COUNT", value_parser = value::sockets_max, help_heading = CAPTURE)]
    pub(in crate::cli) max_sockets: Option<u32>,
}

/// How often; for what lasts longer than one snapshot.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct CadenceArgs {
    /// Time between snapshots, which update bytes and round-trip times and repair misses [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = value::interval, help_heading = CAPTURE)]
    pub(in crate::cli) interval: Option<Duration>,
}

/// Who is who.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct RulesArgs {
    /// Component rules to use besides the built-in ones (TOML)
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) rules: Option<PathBuf>,
}

/// Saving what a live view sees.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct SaveArgs {
    /// Also record what the view is made of, to replay it later
    #[arg(short = 'w', long = "record", value_name = "FILE", help_heading = CAPTURE)]
    pub(in crate::cli) record: Option<PathBuf>,
}

/// For what watches over a time.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct LiveArgs {
    #[command(flatten)]
    pub(in crate::cli) at_once: AtOnceArgs,
    #[command(flatten)]
    pub(in crate::cli) cadence: CadenceArgs,
}

/// For what is made of a single snapshot.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct AtOnceArgs {
    #[command(flatten)]
    pub(in crate::cli) probe: ProbeArgs,
    #[command(flatten)]
    pub(in crate::cli) size: SizeArgs,
    #[command(flatten)]
    pub(in crate::cli) rules: RulesArgs,
    #[command(flatten)]
    pub(in crate::cli) save: SaveArgs,
    #[command(flatten)]
    pub(in crate::cli) names: NamesArgs,
}

/// For `record`, whose own `-w` is required.
#[derive(Args, Debug)]
pub(in crate::cli) struct RecordArgs {
    #[command(flatten)]
    pub(in crate::cli) probe: ProbeArgs,
    #[command(flatten)]
    pub(in crate::cli) size: SizeArgs,
    #[command(flatten)]
    pub(in crate::cli) cadence: CadenceArgs,
    #[command(flatten)]
    pub(in crate::cli) rules: RulesArgs,
    #[command(flatten)]
    pub(in crate::cli) names: NamesArgs,
}
