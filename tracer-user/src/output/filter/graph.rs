//! A filter on a finished graph.

use std::collections::{BTreeMap, BTreeSet};

use super::{Families, Filter, GraphEnd};
use crate::{
    attribute::Who,
    graph::{Edge, Graph, Node},
};

/// See [`Filter::apply`].
pub(super) fn apply(filter: &Filter, graph: &Graph) -> Graph {
    let by_id: BTreeMap<&str, &Node> = graph.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let edges: Vec<Edge> = graph
        .edges
        .iter()
        .filter(|edge| {
            let ends = (by_id.get(edge.source.as_str()), by_id.get(edge.destination.as_str()));
            matches!(ends, (Some(source), Some(destination)) if matches_edge(filter, source, destination, edge))
        })
        .cloned()
        .collect();
    let kept: BTreeSet<&str> = edges
        .iter()
        .flat_map(|edge| [edge.source.as_str(), edge.destination.as_str()])
        .collect();
    let nodes = graph
        .nodes
        .iter()
        .filter(|node| kept.contains(node.id.as_str()) || matches_node(filter, node))
        .cloned()
        .collect();
    Graph {
        hostname: graph.hostname.clone(),
        window_unix_ns: graph.window_unix_ns,
        health: graph.health.clone(),
        nodes,
        edges,
    }
}

fn matches_edge(filter: &Filter, source: &Node, destination: &Node, edge: &Edge) -> bool {
    let ports = [edge.port];
    let ends = (
        GraphEnd {
            node: source,
            ports: &[],
            via: None,
        },
        GraphEnd {
            node: destination,
            ports: &ports,
            via: edge.via.as_ref(),
        },
    );
    filter.hold_pair(&ends.0, &ends.1)
        && is_of(filter.families, edge)
        && (filter.netns.is_empty() || in_netns(filter, source) || in_netns(filter, destination))
}

fn matches_node(filter: &Filter, node: &Node) -> bool {
    let ports: Vec<u16> = node.listening.iter().map(std::net::SocketAddr::port).collect();
    filter.hold_alone(&GraphEnd {
        node,
        ports: &ports,
        via: None,
    }) && (!filter.families.is_condition()
        || external(node).is_some_and(|ip| filter.families.hold(ip))
        || node.listening.iter().any(|at| filter.families.hold(at.ip())))
        && (filter.netns.is_empty() || in_netns(filter, node))
}

fn in_netns(filter: &Filter, node: &Node) -> bool {
    node.netns.is_some_and(|netns| filter.netns.contains(&netns))
}

const fn external(node: &Node) -> Option<std::net::IpAddr> {
    match &node.claim.who {
        Who::External { address, .. } => Some(*address),
        Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::Unknown { .. } => None,
    }
}

const fn is_of(families: Families, edge: &Edge) -> bool {
    let (ipv4, ipv6) = edge.stats.families;
    !families.is_condition() || (families.v4 && ipv4) || (families.v6 && ipv6)
}
