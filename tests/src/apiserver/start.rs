//! How a stand-in API server is started, and the objects it begins with.

use crate::scratch::Cgroup;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// What a real node's API server answered. Compiled in: the tests also run where the repository is not.
pub(super) const OBJECTS: &[(&str, &str)] = &[
    (
        "endpointslices.json",
        include_str!("../../fixtures/real-node/api/endpointslices.json"),
    ),
    (
        "namespaces.json",
        include_str!("../../fixtures/real-node/api/namespaces.json"),
    ),
    (
        "nodes.json",
        include_str!("../../fixtures/real-node/api/nodes.json"),
    ),
    (
        "pods.json",
        include_str!("../../fixtures/real-node/api/pods.json"),
    ),
    (
        "replicasets.json",
        include_str!("../../fixtures/real-node/api/replicasets.json"),
    ),
    (
        "services.json",
        include_str!("../../fixtures/real-node/api/services.json"),
    ),
];

/// How one is started.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Its command line, its name first. For show: the options below go another way.
    pub argv: &'a [&'a str],
    /// Cgroup it is in.
    pub cgroup: Option<&'a Cgroup>,
    /// Where it listens. Port 0 is any; `[::]` takes IPv4 clients too.
    pub listen: SocketAddr,
    /// Directory with the lists it begins with; none for those of the real node.
    pub objects: Option<&'a Path>,
    /// A real etcd that keeps the objects.
    pub etcd: Option<SocketAddr>,
    /// Connections it holds to that etcd, at least.
    pub etcd_connections: usize,
    /// More options, each with its value: `--bookmark-ms 50`, `--history 4`, `--faults JSON`.
    pub options: &'a [(&'a str, &'a str)],
}

impl Default for Start<'_> {
    fn default() -> Self {
        Self {
            argv: &["kube-apiserver"],
            cgroup: None,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            objects: None,
            etcd: None,
            etcd_connections: 0,
            options: &[],
        }
    }
}

impl Start<'_> {
    pub(super) fn options(&self, objects: &Path) -> String {
        let objects = self.objects.unwrap_or(objects);
        let mut options = vec![
            ("--objects", objects.display().to_string()),
            ("--etcd-connections", self.etcd_connections.to_string()),
        ];
        if let Some(etcd) = self.etcd {
            options.push(("--etcd", etcd.to_string()));
        }
        let more = self.options.iter();
        options.extend(more.map(|(option, value)| (*option, (*value).to_owned())));
        let lines: Vec<_> = options
            .iter()
            .map(|(option, value)| format!("{option}\n{value}"))
            .collect();
        lines.join("\n")
    }
}
