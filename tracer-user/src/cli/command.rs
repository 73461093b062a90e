//! Commands and their flags, as clap reads them, with their help.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use super::{
    args::{
        CadenceArgs, DirectionArgs, EndArgs, FromPortArgs, NetnsArgs, ProbeArgs, RulesArgs, SaveArgs,
        SizeArgs,
    },
    value,
};
use crate::output::style::Choice;

/// The parser, for help texts, completions and error messages.
pub fn command() -> clap::Command {
    Cli::command()
}

const AFTER_HELP: &str = "\
Examples:
  kcn-trace                                   who talks to whom, now
  kcn-trace graph --duration 3s -o dot | dot -Tsvg > graph.svg
  kcn-trace events --to-component etcd        every connection to etcd as it comes and goes
  kcn-trace listeners etcd                    netstat -nltp | grep etcd, with certainty
  kcn-trace connections --port 2379 --count   netstat -anp | grep 2379 | wc -l, each connection once
  kcn-trace verify etcd-clients               does anybody but the API server speak to etcd?
  kcn-trace record -w run.kcn --duration 1m && kcn-trace replay run.kcn graph

Data goes to stdout, all else to stderr. Everything is shown unless filtered, loopback included.

Exit codes:
  0    success, or verified
  1    a check found what it must not, or missed what it must find
  2    wrong usage
  3    inconclusive: nothing to judge, or evidence incomplete
  4    cannot observe: privilege, kernel, container restrictions
  5    another error, as in writing a file
  130  verify was interrupted";

/// Shows which Kubernetes component talks to which, live, from the kernel.
#[derive(Debug, Parser)]
#[command(name = "kcn-trace", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
#[command(
    long_about = "Shows which Kubernetes component talks to which on this node, live, from the kernel.\n\n\
    Without a command: the graph as a table that refreshes, if stdout is a terminal; else the same as `events`."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) live: LiveArgs,
    #[command(flatten)]
    pub(super) filters: GraphFilterArgs,
    #[command(flatten)]
    pub(super) global: GlobalArgs,
}

#[derive(Args, Debug)]
pub(super) struct GlobalArgs {
    /// When to use colour; auto heeds `NO_COLOR`, `CLICOLOR_FORCE` and `TERM`
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto", global = true)]
    pub(super) color: Color,
    /// More on stderr: -v what is done, -vv also what the kernel programs log
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(super) verbose: u8,
    /// Nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
}

/// `--color`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl From<Color> for Choice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// For what watches over a time.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LiveArgs {
    #[command(flatten)]
    pub(super) at_once: AtOnceArgs,
    #[command(flatten)]
    pub(super) cadence: CadenceArgs,
}

/// For what is made of a single snapshot.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AtOnceArgs {
    #[command(flatten)]
    pub(super) probe: ProbeArgs,
    #[command(flatten)]
    pub(super) size: SizeArgs,
    #[command(flatten)]
    pub(super) rules: RulesArgs,
    #[command(flatten)]
    pub(super) save: SaveArgs,
}

/// For `record`, whose own `-w` is required.
#[derive(Args, Debug)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    pub(super) probe: ProbeArgs,
    #[command(flatten)]
    pub(super) size: SizeArgs,
    #[command(flatten)]
    pub(super) cadence: CadenceArgs,
    #[command(flatten)]
    pub(super) rules: RulesArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GraphFilterArgs {
    #[command(flatten)]
    pub(super) ends: EndArgs,
    #[command(flatten)]
    pub(super) directions: DirectionArgs,
    #[command(flatten)]
    pub(super) netns: NetnsArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Stream connections as they open, fail and close, and listeners as they come and go
    Events {
        #[command(flatten)]
        view: EventsArgs,
        /// How long to watch [default: until Ctrl-C]
        #[arg(long, value_name = "DURATION", value_parser = value::duration)]
        duration: Option<Duration>,
        #[command(flatten)]
        live: LiveArgs,
    },
    /// Who talked to whom, on which port, how often and how well
    #[command(after_help = "\
Examples:
  kcn-trace graph --duration 0                what is connected now
  kcn-trace graph --watch --component etcd    etcd's connections, refreshed
  kcn-trace graph -o dot | dot -Tsvg > graph.svg")]
    Graph {
        #[command(flatten)]
        view: GraphArgs,
        /// How long to watch; 0 takes a single snapshot [default: 10s, with --watch until Ctrl-C]
        #[arg(long, value_name = "DURATION", value_parser = value::duration)]
        duration: Option<Duration>,
        /// Show the graph again and again while it grows
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        live: LiveArgs,
    },
    /// Who listens where (netstat -nltp, with names)
    Listeners {
        #[command(flatten)]
        view: ListenersArgs,
        #[command(flatten)]
        live: AtOnceArgs,
    },
    /// What is connected to what (netstat -anp, each connection once)
    Connections {
        #[command(flatten)]
        view: ConnectionsArgs,
        #[command(flatten)]
        live: AtOnceArgs,
    },
    /// Which components were recognised, and by what evidence
    Components {
        #[command(flatten)]
        view: ComponentsArgs,
        #[command(flatten)]
        live: AtOnceArgs,
    },
    /// Check what must be and what must not be; the exit code is the answer
    #[command(after_help = "\
Exit codes: 0 all passed, 1 one failed, 3 none failed but one is inconclusive, 130 interrupted.
A check that nobody did something passes only if nothing was missed while watching.")]
    Verify {
        #[command(flatten)]
        view: VerifyArgs,
        /// How long to watch [default: 10s]
        #[arg(long, value_name = "DURATION", value_parser = value::duration)]
        duration: Option<Duration>,
        #[command(flatten)]
        live: LiveArgs,
    },
    /// What this kernel and these rights allow, what was chosen and why
    Doctor {
        /// Output format
        #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
        output: TableFormat,
        #[command(flatten)]
        probe: ProbeArgs,
    },
    /// Save everything that views are made of, to replay it later
    #[command(after_help = "\
Examples:
  kcn-trace record -w run.kcn --duration 5m
  kcn-trace replay run.kcn graph -o dot")]
    Record {
        /// File to write
        #[arg(short = 'w', long = "record", value_name = "FILE")]
        file: PathBuf,
        /// How long to record [default: until Ctrl-C]
        #[arg(long, value_name = "DURATION", value_parser = value::interval)]
        duration: Option<Duration>,
        /// Stop at this size: bytes, or with K, M or G; 0 for no limit [default: 1G]
        #[arg(long, value_name = "BYTES", value_parser = value::bytes)]
        max_size: Option<u64>,
        #[command(flatten)]
        live: RecordArgs,
    },
    /// Any view of a recording, as fast as it can be read
    Replay {
        /// Recording made by `record` or `--record`
        file: PathBuf,
        #[command(flatten)]
        rules: RulesArgs,
        #[command(subcommand)]
        view: ReplayView,
    },
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
pub(super) enum ReplayView {
    /// Stream connections as they opened, failed and closed
    Events(EventsArgs),
    /// Who talked to whom
    Graph(GraphArgs),
    /// Who listened at the end
    Listeners(ListenersArgs),
    /// What was connected at the end
    Connections(ConnectionsArgs),
    /// Which components were recognised
    Components(ComponentsArgs),
    /// Check what had to be and what had not to be
    Verify(VerifyArgs),
}

#[derive(Args, Debug)]
pub(super) struct EventsArgs {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "compact")]
    pub(super) output: EventsFormat,
    #[command(flatten)]
    pub(super) filters: GraphFilterArgs,
    #[command(flatten)]
    pub(super) from_port: FromPortArgs,
}

#[derive(Args, Debug)]
pub(super) struct GraphArgs {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    pub(super) output: GraphFormat,
    #[command(flatten)]
    pub(super) filters: GraphFilterArgs,
}

#[derive(Args, Debug)]
pub(super) struct ListenersArgs {
    /// Only this component: the same as --component
    #[arg(value_name = "COMPONENT")]
    pub(super) name: Option<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    pub(super) output: TableFormat,
    #[command(flatten)]
    pub(super) ends: EndArgs,
    #[command(flatten)]
    pub(super) netns: NetnsArgs,
}

#[derive(Args, Debug)]
pub(super) struct ConnectionsArgs {
    /// Only connections from or to this component: the same as --component
    #[arg(value_name = "COMPONENT")]
    pub(super) name: Option<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    pub(super) output: TableFormat,
    /// Count by source, destination and port. Each connection counts once: netstat shows both ends of a local one, and
    /// grep also finds a port in other numbers
    #[arg(long)]
    pub(super) count: bool,
    #[command(flatten)]
    pub(super) filters: GraphFilterArgs,
    #[command(flatten)]
    pub(super) from_port: FromPortArgs,
}

#[derive(Args, Debug)]
pub(super) struct ComponentsArgs {
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    pub(super) output: TableFormat,
    #[command(flatten)]
    pub(super) ends: EndArgs,
}

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    /// Checks to make [default: all]
    #[arg(value_name = "CHECK", value_enum)]
    pub(super) checks: Vec<Check>,
    /// Component or process that may also speak to etcd
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(super) allow: Vec<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    pub(super) output: TableFormat,
}

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
