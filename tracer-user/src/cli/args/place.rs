//! Filters by what only a cluster has, without direction and for both.

use clap::Args;

use crate::output::filter::{Controller, Places, Qualified, Selector};

const CLUSTER: &str = "Cluster filters";

/// Of either end.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct PlaceArgs {
    /// Pod, at either end: NAME, or NAMESPACE/NAME
    #[arg(long, value_name = "[NS/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    pod: Vec<Qualified>,
    /// Namespace of the pod or service at either end
    #[arg(short = 'n', long, value_name = "NAME", value_delimiter = ',', help_heading = CLUSTER)]
    namespace: Vec<String>,
    /// Labels of the pod at either end, as kubectl takes them: app=web,tier!=db, 'app in (a,b)', '!app'; repeat for alternatives
    #[arg(short = 'l', long, value_name = "SELECTOR", help_heading = CLUSTER)]
    selector: Vec<Selector>,
    /// Workload of the pod at either end: NAME, or KIND/NAME as in deployment/web
    #[arg(long, value_name = "[KIND/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    workload: Vec<Controller>,
    /// Node of the cluster, at either end
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = CLUSTER)]
    node: Vec<String>,
    /// Service that either end serves or was dialled by: NAME, or NAMESPACE/NAME
    #[arg(long, value_name = "[NS/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    service: Vec<Qualified>,
}

/// Of the end that connects.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct FromPlaceArgs {
    /// Pod that connects
    #[arg(id = "from_pod", long = "from-pod", value_name = "[NS/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    pod: Vec<Qualified>,
    /// Namespace of the pod that connects
    #[arg(id = "from_namespace", long = "from-namespace", value_name = "NAME", value_delimiter = ',', help_heading = CLUSTER)]
    namespace: Vec<String>,
    /// Labels of the pod that connects
    #[arg(id = "from_selector", long = "from-selector", value_name = "SELECTOR", help_heading = CLUSTER)]
    selector: Vec<Selector>,
    /// Workload of the pod that connects
    #[arg(id = "from_workload", long = "from-workload", value_name = "[KIND/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    workload: Vec<Controller>,
    /// Node of the cluster that connects, or on which the pod does
    #[arg(id = "from_node", long = "from-node", value_name = "NAME", value_delimiter = ',', help_heading = CLUSTER)]
    node: Vec<String>,
    /// Service whose pod connects
    #[arg(id = "from_service", long = "from-service", value_name = "[NS/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    service: Vec<Qualified>,
}

/// Of the end that accepts.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct ToPlaceArgs {
    /// Pod that accepts
    #[arg(id = "to_pod", long = "to-pod", value_name = "[NS/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    pod: Vec<Qualified>,
    /// Namespace of the pod that accepts
    #[arg(id = "to_namespace", long = "to-namespace", value_name = "NAME", value_delimiter = ',', help_heading = CLUSTER)]
    namespace: Vec<String>,
    /// Labels of the pod that accepts
    #[arg(id = "to_selector", long = "to-selector", value_name = "SELECTOR", help_heading = CLUSTER)]
    selector: Vec<Selector>,
    /// Workload of the pod that accepts
    #[arg(id = "to_workload", long = "to-workload", value_name = "[KIND/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    workload: Vec<Controller>,
    /// Node of the cluster that accepts, or on which the pod does
    #[arg(id = "to_node", long = "to-node", value_name = "NAME", value_delimiter = ',', help_heading = CLUSTER)]
    node: Vec<String>,
    /// Service that was dialled, or whose pod accepts
    #[arg(id = "to_service", long = "to-service", value_name = "[NS/]NAME", value_delimiter = ',', help_heading = CLUSTER)]
    service: Vec<Qualified>,
}

/// The three have the same conditions, each under flags and help of its own.
macro_rules! conditions_of {
    ($($args:ident),+) => {$(
        impl From<$args> for Places {
            fn from(args: $args) -> Self {
                Self {
                    pods: args.pod,
                    namespaces: args.namespace,
                    selectors: args.selector,
                    workloads: args.workload,
                    nodes: args.node,
                    services: args.service,
                }
            }
        }
    )+};
}

conditions_of!(PlaceArgs, FromPlaceArgs, ToPlaceArgs);
