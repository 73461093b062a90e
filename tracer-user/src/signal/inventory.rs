//! What sources of names tell: pods, containers, services, endpoints and nodes, one change at a time.
//!
//! Every source speaks for itself: what the API server calls gone may still run for the container runtime. All strings
//! are hostile: escape before showing.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Who told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The API server.
    Kube,
    /// The container runtime, by CRI.
    Cri,
    /// Files and directories that the kubelet keeps on the node.
    Files,
}

impl Origin {
    /// Word for outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kube => "API server",
            Self::Cri => "CRI",
            Self::Files => "node files",
        }
    }
}

/// Kinds of facts that are listed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`PodFacts`].
    Pods,
    /// [`ContainerFacts`].
    Containers,
    /// [`ServiceFacts`].
    Services,
    /// [`EndpointsFacts`].
    Endpoints,
    /// [`NodeFacts`].
    Nodes,
    /// [`StaticPodFacts`].
    StaticPods,
    /// [`ApiServerFacts`].
    ApiServers,
}

/// One change of what a source knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Who told.
    pub origin: Origin,
    /// When it was learnt, `CLOCK_BOOTTIME` nanoseconds.
    pub at_ns: u64,
    /// What.
    pub fact: Fact,
}

/// What a source tells. A fact replaces what the same origin told of the same thing before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A whole list begins. What this origin told of this kind and does not tell again before `Listed` is gone.
    Listing(Kind),
    /// The list is complete.
    Listed(Kind),
    /// A pod, by uid.
    Pod(Box<PodFacts>),
    /// No longer there, by uid.
    PodGone(String),
    /// A container, by id.
    Container(Box<ContainerFacts>),
    /// No longer there, by id.
    ContainerGone(String),
    /// A service, by namespace and name.
    Service(Box<ServiceFacts>),
    /// No longer there: namespace and name.
    ServiceGone(String, String),
    /// A slice of a service's endpoints, by namespace and the slice's own name.
    Endpoints(Box<EndpointsFacts>),
    /// No longer there: namespace and the slice's own name.
    EndpointsGone(String, String),
    /// A node, by name.
    Node(Box<NodeFacts>),
    /// No longer there, by name.
    NodeGone(String),
    /// A static pod's manifest on this node, by namespace and name.
    StaticPod(Box<StaticPodFacts>),
    /// No longer there: namespace and name.
    StaticPodGone(String, String),
    /// Where a kubeconfig file of this node expects the API server, by the file's path.
    ApiServer(Box<ApiServerFacts>),
    /// No longer there, by the file's path.
    ApiServerGone(String),
}

/// What controls a pod: what an operator calls it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `DaemonSet`, `StatefulSet`, `CronJob`, `Job`, `StaticPod`, `Pod` for a bare one, or another
    /// controller's kind.
    pub kind: String,
    /// Its name, without hashes.
    pub name: String,
}

/// A pod, trimmed to what names and addresses need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodFacts {
    /// As this origin has it: the API server gives mirror pods another one than kubelet, runtime and cgroups use.
    pub uid: String,
    /// Annotation `kubernetes.io/config.hash`: the uid that kubelet, runtime and cgroups use for a static pod.
    pub config_hash: Option<String>,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name of the node it runs on; absent where the origin does not tell.
    pub node: Option<String>,
    /// Controller; absent where the origin does not tell.
    pub workload: Option<Workload>,
    /// Labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Own addresses: empty for pods in the host's network, whose address is the node's.
    pub addresses: Vec<IpAddr>,
    /// In the host's network; absent where the origin does not tell.
    pub host_network: Option<bool>,
    /// Container ports, TCP.
    pub ports: Vec<u16>,
    /// TCP ports of the node that lead to it: host port, container port.
    pub host_ports: Vec<(u16, u16)>,
    /// Containers: name, and id (without the runtime's scheme) where known.
    pub containers: Vec<(String, Option<String>)>,
    /// Id of its sandbox; absent where the origin does not tell.
    pub sandbox_id: Option<String>,
    /// Since when its address may be its own, Unix nanoseconds.
    pub started_unix_ns: Option<i64>,
    /// Over: its address may belong to another pod already.
    pub ended: bool,
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerFacts {
    /// 64 hexadecimal digits, as in cgroup paths.
    pub id: String,
    /// Its pod, by the uid that this origin uses.
    pub pod_uid: String,
    /// Its pod's sandbox; absent where the origin does not tell.
    pub sandbox_id: Option<String>,
    /// Name in the pod's spec.
    pub name: String,
    /// `containerd`, `cri-o`, `docker`, ...; absent where the origin does not tell.
    pub runtime: Option<String>,
    /// Its first process; absent where the origin does not tell.
    pub pid: Option<u32>,
    /// Image as asked for; absent where the origin does not tell.
    pub image: Option<String>,
    /// It runs no more.
    pub ended: bool,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub kind: String,
    /// Cluster addresses; none for headless services.
    pub cluster_ips: Vec<IpAddr>,
    /// External and load balancer addresses.
    pub external_ips: Vec<IpAddr>,
    /// TCP ports.
    pub ports: Vec<ServicePort>,
}

/// One TCP port of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicePort {
    /// Empty where the service has one port only.
    pub name: String,
    /// Port of the service.
    pub port: u16,
    /// Port on every node; 0 for none.
    pub node_port: u16,
}

/// A slice of a service's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointsFacts {
    /// Namespace of slice and service.
    pub namespace: String,
    /// The slice's own name.
    pub name: String,
    /// The service, from the label `kubernetes.io/service-name`.
    pub service: String,
    /// TCP ports: name and number.
    pub ports: Vec<(String, u16)>,
    /// Who serves.
    pub endpoints: Vec<Endpoint>,
}

/// One server of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// It takes connections; absent counts as yes.
    pub ready: bool,
    /// The pod behind it: namespace, name and the API server's uid.
    pub pod: Option<(String, String, String)>,
    /// Its node.
    pub node: Option<String>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFacts {
    /// Name.
    pub name: String,
    /// `InternalIP` and `ExternalIP` addresses.
    pub addresses: Vec<IpAddr>,
    /// `Hostname`, where it differs from the name.
    pub hostname: Option<String>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<String>,
}

/// A static pod's manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StaticPodFacts {
    /// Path of the manifest.
    pub path: String,
    /// Namespace.
    pub namespace: String,
    /// Name in the manifest, without the node's name.
    pub name: String,
    /// Labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// In the host's network.
    pub host_network: bool,
    /// Names of the containers with the base name of their commands.
    pub containers: Vec<(String, Option<String>)>,
    /// Harmless flags of the first container, as `--key=value`.
    pub flags: Vec<String>,
}

/// Where a kubeconfig file of this node expects the API server, or a balancer in front of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiServerFacts {
    /// Path of the file.
    pub path: String,
    /// Its servers: the host as written, the port, and the host's addresses: itself, or what /etc/hosts says.
    pub servers: Vec<(String, u16, Vec<IpAddr>)>,
}

/// What a source of names is worth right now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Its name in outputs and in `explain`: `CRI /run/containerd/containerd.sock`, `API server pods`, `conntrack`.
    pub source: String,
    /// When, `CLOCK_BOOTTIME` nanoseconds.
    pub at_ns: u64,
    /// Nothing, or what does not work; replaces what was said of this source before.
    pub fault: Option<super::Degraded>,
}
