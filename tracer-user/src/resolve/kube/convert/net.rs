//! Services, slices of endpoints, nodes.
#![forbid(unsafe_code)]

use super::{ENDPOINTS_MAX, LIST_MAX, Unreadable, addresses, capped, name, namespace, tcp_port};
use crate::{
    resolve::kube::objects::{EndpointSlice, Node, Port, Service, SliceEndpoint, Target},
    signal::inventory::{Endpoint, EndpointsFacts, NodeFacts, ServiceFacts, ServicePort},
};

pub(super) fn service(mut service: Service) -> Result<ServiceFacts, Unreadable> {
    let spec = service.spec;
    let all = spec.cluster_ips.unwrap_or_default();
    // Servers before 1.20 have the first address only.
    let first = spec.cluster_ip.as_deref().filter(|_| all.is_empty());
    let ingress = service.status.load_balancer.unwrap_or_default().ingress;
    let external = spec.external_ips.unwrap_or_default();
    let external = external.iter().map(String::as_str);
    let balancers = ingress.iter().flatten();
    Ok(ServiceFacts {
        name: name(&mut service.metadata)?,
        namespace: namespace(&mut service.metadata)?,
        kind: spec.kind.map_or_else(|| "ClusterIP".to_owned(), capped),
        cluster_ips: addresses(all.iter().map(String::as_str).chain(first)),
        external_ips: addresses(external.chain(balancers.filter_map(|at| at.ip.as_deref()))),
        ports: spec
            .ports
            .into_iter()
            .flatten()
            .filter_map(service_port)
            .take(LIST_MAX)
            .collect(),
    })
}

fn service_port(port: Port) -> Option<ServicePort> {
    let protocol = port.protocol.as_deref();
    Some(ServicePort {
        port: tcp_port(protocol, port.number)?,
        node_port: tcp_port(protocol, port.on_nodes).unwrap_or(0),
        name: capped(port.name.unwrap_or_default()),
    })
}

pub(super) fn endpoints(mut slice: EndpointSlice) -> Result<EndpointsFacts, Unreadable> {
    let is_ip = matches!(slice.address_type.as_deref(), Some("IPv4" | "IPv6"));
    let labels = slice.metadata.labels.as_mut();
    let service = labels.and_then(|labels| labels.remove("kubernetes.io/service-name"));
    let ports = slice.ports.into_iter().flatten();
    let endpoints = slice.endpoints.into_iter().flatten();
    Ok(EndpointsFacts {
        name: name(&mut slice.metadata)?,
        namespace: namespace(&mut slice.metadata)?,
        // Slices made by hand may belong to none.
        service: service.map(capped).unwrap_or_default(),
        ports: ports
            .filter_map(|port| {
                let number = tcp_port(port.protocol.as_deref(), port.number)?;
                Some((capped(port.name.unwrap_or_default()), number))
            })
            .take(LIST_MAX)
            .collect(),
        // Others are host names, which connections never carry.
        endpoints: endpoints
            .filter(|_| is_ip)
            .take(ENDPOINTS_MAX)
            .map(endpoint)
            .collect(),
    })
}

fn endpoint(endpoint: SliceEndpoint) -> Endpoint {
    let texts = endpoint.addresses.unwrap_or_default();
    Endpoint {
        addresses: addresses(texts.iter().map(String::as_str)),
        ready: endpoint
            .conditions
            .and_then(|conditions| conditions.ready)
            .unwrap_or(true),
        pod: endpoint.target_ref.and_then(pod),
        node: endpoint.node_name.map(capped),
    }
}

fn pod(target: Target) -> Option<(String, String, String)> {
    (target.kind.as_deref() == Some("Pod")).then_some(())?;
    Some((
        capped(target.namespace?),
        capped(target.name?),
        capped(target.uid?),
    ))
}

pub(super) fn node(mut node: Node) -> Result<NodeFacts, Unreadable> {
    let name = name(&mut node.metadata)?;
    let all = node.status.addresses.unwrap_or_default();
    let is_ip = |kind: &str| matches!(kind, "InternalIP" | "ExternalIP");
    let ips = all.iter().filter(|address| is_ip(&address.kind));
    let addresses = addresses(ips.map(|address| address.address.as_str()));
    let hostname = all
        .into_iter()
        .find(|address| address.kind == "Hostname" && address.address != name);
    let cidrs = node.spec.pod_cidrs.filter(|cidrs| !cidrs.is_empty());
    let cidrs = cidrs.unwrap_or_else(|| node.spec.pod_cidr.into_iter().collect());
    Ok(NodeFacts {
        name,
        addresses,
        hostname: hostname.map(|address| capped(address.address)),
        pod_cidrs: cidrs.into_iter().take(LIST_MAX).map(capped).collect(),
    })
}
