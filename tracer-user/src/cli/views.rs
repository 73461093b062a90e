//! What every view takes, live and from a recording.

use clap::Args;

use super::{
    args::filter::{EndArgs, FromPortArgs, GraphFilterArgs, NetnsArgs},
    format::{Check, EventsFormat, GraphFormat, GroupBy, TableFormat},
    question::question,
};
use crate::report::Question;

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
    /// What becomes one node
    #[arg(long, value_name = "WHAT", value_enum, default_value = "component")]
    pub(super) group_by: GroupBy,
    /// Only edges that have a live connection
    #[arg(long)]
    pub(super) active: bool,
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
pub(super) struct ExplainArgs {
    /// ADDRESS:PORT, a process id, a name (component, workload, pod, service, node), or an edge in quotes, as in
    /// 'kube-apiserver -> etcd:2379'
    #[arg(value_name = "WHAT", value_parser = question)]
    pub(super) question: Question,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    pub(super) output: TableFormat,
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
