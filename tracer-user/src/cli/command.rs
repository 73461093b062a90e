//! Commands and their flags, as clap reads them, with their help.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use super::{
    args::{
        capture::{AtOnceArgs, LiveArgs, ProbeArgs, RecordArgs, RulesArgs},
        filter::GraphFilterArgs,
    },
    format::TableFormat,
    value,
    views::{ComponentsArgs, ConnectionsArgs, EventsArgs, ExplainArgs, GraphArgs, ListenersArgs, VerifyArgs},
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
  kcn-trace explain 'kube-apiserver -> etcd'  by what evidence the ends of this edge have their names
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
  kcn-trace graph --watch --active            only what is connected now
  kcn-trace graph --watch --forget-after 5m   without what was last seen more than 5 minutes ago
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
        /// Forget what had no live connection, and no failed one, for this long [default: never]
        #[arg(long, value_name = "DURATION", value_parser = value::interval, requires = "watch")]
        forget_after: Option<Duration>,
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
    /// Why an end of a connection has its name: every witness, who was believed and why, and what would tell more
    #[command(after_help = "\
Examples:
  kcn-trace explain 127.0.0.1:2379
  kcn-trace explain 4242
  kcn-trace explain kube-apiserver
  kcn-trace explain 'kube-apiserver -> etcd:2379'
  kcn-trace replay run.kcn explain shop/client

Exit code 3: nothing was seen that goes by this name.")]
    Explain {
        #[command(flatten)]
        view: ExplainArgs,
        /// How long to watch before; 0 takes a single snapshot [default: 3s]
        #[arg(long, value_name = "DURATION", value_parser = value::duration)]
        duration: Option<Duration>,
        #[command(flatten)]
        live: LiveArgs,
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
    /// Why an end of a connection has its name
    Explain(ExplainArgs),
    /// Check what had to be and what had not to be
    Verify(VerifyArgs),
}
