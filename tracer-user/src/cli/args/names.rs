//! Where names come from.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::cli::format::Conntrack;

const NAMES: &str = "Names";

/// Sources of names beyond the kernel and /proc. All of them are optional and may come and go.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct NamesArgs {
    /// Socket of the container runtime; `none` to do without [default: the first known one that answers]
    #[arg(long, value_name = "PATH|none", help_heading = NAMES)]
    pub(in crate::cli) cri_socket: Option<PathBuf>,
    /// How to reach the API server; `none` to do without [default: in a pod its service account, else `KUBECONFIG` or
    /// ~/.kube/config]
    #[arg(long, value_name = "PATH|none", help_heading = NAMES)]
    pub(in crate::cli) kubeconfig: Option<PathBuf>,
    /// Ask the API server for the pods of all nodes, to name both ends of what crosses nodes
    #[arg(long, help_heading = NAMES)]
    pub(in crate::cli) cluster_pods: bool,
    /// Where the file system of the node is mounted [default: /]
    #[arg(long, value_name = "DIR", help_heading = NAMES)]
    pub(in crate::cli) host_root: Option<PathBuf>,
    /// Name of this node in the cluster [default: `NODE_NAME`, else what the kubelet goes by, else the host name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = NAMES)]
    pub(in crate::cli) node_name: Option<String>,
    /// Translated connections from the kernel's connection tracking [default: auto]
    #[arg(long, value_name = "HOW", help_heading = NAMES)]
    pub(in crate::cli) conntrack: Option<Conntrack>,
}

impl NamesArgs {
    /// These, and `other` where they say nothing.
    pub(in crate::cli) fn or(self, other: Self) -> Self {
        Self {
            cri_socket: self.cri_socket.or(other.cri_socket),
            kubeconfig: self.kubeconfig.or(other.kubeconfig),
            cluster_pods: self.cluster_pods || other.cluster_pods,
            host_root: self.host_root.or(other.host_root),
            node_name: self.node_name.or(other.node_name),
            conntrack: self.conntrack.or(other.conntrack),
        }
    }
}
