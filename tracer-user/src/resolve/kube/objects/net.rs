//! Services, slices of endpoints, nodes.
#![forbid(unsafe_code)]

use serde::Deserialize;

use super::Meta;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct Service {
    pub(in crate::resolve::kube) metadata: Meta,
    pub(in crate::resolve::kube) spec: ServiceSpec,
    pub(in crate::resolve::kube) status: ServiceStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::resolve::kube) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(in crate::resolve::kube) kind: Option<String>,
    #[serde(rename = "clusterIP")]
    pub(in crate::resolve::kube) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(in crate::resolve::kube) cluster_ips: Option<Vec<String>>,
    #[serde(rename = "externalIPs")]
    pub(in crate::resolve::kube) external_ips: Option<Vec<String>>,
    pub(in crate::resolve::kube) ports: Option<Vec<Port>>,
}

/// A port of a service or of a slice.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct Port {
    pub(in crate::resolve::kube) name: Option<String>,
    pub(in crate::resolve::kube) protocol: Option<String>,
    #[serde(rename = "port")]
    pub(in crate::resolve::kube) number: Option<i64>,
    #[serde(rename = "nodePort")]
    pub(in crate::resolve::kube) on_nodes: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::resolve::kube) struct ServiceStatus {
    pub(in crate::resolve::kube) load_balancer: Option<LoadBalancer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct LoadBalancer {
    pub(in crate::resolve::kube) ingress: Option<Vec<Ingress>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct Ingress {
    pub(in crate::resolve::kube) ip: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::resolve::kube) struct EndpointSlice {
    pub(in crate::resolve::kube) metadata: Meta,
    pub(in crate::resolve::kube) address_type: Option<String>,
    pub(in crate::resolve::kube) ports: Option<Vec<Port>>,
    pub(in crate::resolve::kube) endpoints: Option<Vec<SliceEndpoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::resolve::kube) struct SliceEndpoint {
    pub(in crate::resolve::kube) addresses: Option<Vec<String>>,
    pub(in crate::resolve::kube) conditions: Option<Conditions>,
    pub(in crate::resolve::kube) target_ref: Option<Target>,
    pub(in crate::resolve::kube) node_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct Conditions {
    pub(in crate::resolve::kube) ready: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct Target {
    pub(in crate::resolve::kube) kind: Option<String>,
    pub(in crate::resolve::kube) namespace: Option<String>,
    pub(in crate::resolve::kube) name: Option<String>,
    pub(in crate::resolve::kube) uid: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct Node {
    pub(in crate::resolve::kube) metadata: Meta,
    pub(in crate::resolve::kube) spec: NodeSpec,
    pub(in crate::resolve::kube) status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub(in crate::resolve::kube) pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pub(in crate::resolve::kube) pod_cidrs: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct NodeStatus {
    pub(in crate::resolve::kube) addresses: Option<Vec<NodeAddress>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::resolve::kube) struct NodeAddress {
    #[serde(rename = "type")]
    pub(in crate::resolve::kube) kind: String,
    pub(in crate::resolve::kube) address: String,
}
