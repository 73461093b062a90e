//! What to show of it.

use clap::{Args, value_parser};

use super::place::{FromPlaceArgs, PlaceArgs, ToPlaceArgs};
use crate::output::filter::{Conditions, Families, Filter};

const FILTERS: &str =
    "Filters (repeat or separate by commas for alternatives; different flags must all match)";

/// Conditions without direction.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct EndArgs {
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
    #[command(flatten)]
    places: PlaceArgs,
}

/// Conditions on one direction.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct DirectionArgs {
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
    #[command(flatten)]
    from_places: FromPlaceArgs,
    #[command(flatten)]
    to_places: ToPlaceArgs,
}

/// Apart, since a graph puts connections from all source ports together.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct FromPortArgs {
    /// Port of the end that connects
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = value_parser!(u16).range(1..), help_heading = FILTERS)]
    from_port: Vec<u16>,
}

/// Apart, since a component row has no namespace of its own.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct NetnsArgs {
    /// Network namespace of either end, by inode
    #[arg(long, value_name = "INODE", value_delimiter = ',', hide = true)]
    netns: Vec<u32>,
}

impl EndArgs {
    pub(in crate::cli) fn filter(self) -> Filter {
        let Self {
            port,
            component,
            process,
            pid,
            v4,
            v6,
            places,
        } = self;
        Filter {
            either: Conditions {
                ports: port,
                components: component,
                processes: process,
                pids: pid,
                places: places.into(),
            },
            families: Families { v4, v6 },
            ..Filter::default()
        }
    }
}

impl DirectionArgs {
    pub(in crate::cli) fn add_to(self, filter: &mut Filter) {
        filter.from.components = self.from_component;
        filter.from.processes = self.from_process;
        filter.from.pids = self.from_pid;
        filter.to.ports = self.to_port;
        filter.to.components = self.to_component;
        filter.to.processes = self.to_process;
        filter.to.pids = self.to_pid;
        filter.from.places = self.from_places.into();
        filter.to.places = self.to_places.into();
    }
}

impl FromPortArgs {
    pub(in crate::cli) fn add_to(self, filter: &mut Filter) {
        filter.from.ports = self.from_port;
    }
}

impl NetnsArgs {
    pub(in crate::cli) fn add_to(self, filter: &mut Filter) {
        filter.netns = self.netns;
    }
}

#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct GraphFilterArgs {
    #[command(flatten)]
    pub(in crate::cli) ends: EndArgs,
    #[command(flatten)]
    pub(in crate::cli) directions: DirectionArgs,
    #[command(flatten)]
    pub(in crate::cli) netns: NetnsArgs,
}
