//! `graph -o json`: schema `kcn-trace.graph/v1`.

use std::{collections::BTreeMap, io::Write, net::SocketAddr};

use serde::Serialize;

use super::{
    Layout, List, Meta, Text,
    identity::Identity,
    party::{Attribution, JsonVia},
    write_document,
};
use crate::{
    graph::{Edge, Graph, Node},
    output::{Frame, SinkError, units::Rfc3339},
};

/// Writes the graph as one document.
pub fn write_graph(out: &mut dyn Write, graph: &Graph, layout: Layout) -> Result<(), SinkError> {
    let document = JsonGraph {
        schema: "kcn-trace.graph/v1",
        meta: Meta::from(&Frame::from(graph)),
        nodes: List(graph.nodes.iter().map(JsonNode::from)),
        edges: List(graph.edges.iter().map(JsonEdge::from)),
    };
    write_document(out, &document, layout)
}

#[derive(Serialize)]
struct JsonGraph<'a, N: Serialize, E: Serialize> {
    schema: &'static str,
    meta: Meta<'a>,
    nodes: N,
    edges: E,
}

#[derive(Serialize)]
struct JsonNode<'a> {
    id: &'a str,
    label: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a str>,
    group: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<Text<u32>>,
    pids: &'a [u32],
    process_count: u64,
    listening: &'a [SocketAddr],
    #[serde(flatten)]
    identity: Identity<'a>,
    attribution: Attribution<'a>,
}

impl<'a> From<&'a Node> for JsonNode<'a> {
    fn from(node: &'a Node) -> Self {
        Self {
            id: &node.id,
            label: &node.label,
            kind: node.kind.name(),
            component: node.component.as_deref(),
            group: &node.group,
            netns: node.netns.map(Text),
            pids: &node.pids,
            process_count: node.process_count,
            listening: &node.listening,
            identity: Identity::from(node),
            attribution: Attribution::from(&node.claim),
        }
    }
}

#[derive(Serialize)]
struct JsonEdge<'a> {
    source: &'a str,
    destination: &'a str,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<JsonVia<'a>>,
    opened: u64,
    active: u64,
    joined: u64,
    found: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction_guessed: Option<u64>,
    failed: BTreeMap<&'static str, u64>,
    sent_bytes: u64,
    received_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_us: Option<u32>,
    retransmits: u64,
    first_seen: Rfc3339,
    last_seen: Rfc3339,
    closed_by: ClosedBy,
}

#[derive(Serialize)]
struct ClosedBy {
    source: u64,
    destination: u64,
    reset: u64,
}

impl<'a> From<&'a Edge> for JsonEdge<'a> {
    fn from(edge: &'a Edge) -> Self {
        let stats = &edge.stats;
        let (first_seen, last_seen) = stats.seen_unix_ns;
        Self {
            source: &edge.source,
            destination: &edge.destination,
            port: edge.port,
            via: edge.via.as_ref().map(JsonVia::from),
            opened: stats.opened,
            active: stats.active,
            joined: stats.joined,
            found: stats.found,
            direction_guessed: Some(stats.direction_guessed).filter(|guessed| *guessed > 0),
            failed: stats
                .failed
                .iter()
                .map(|(failure, count)| (failure.name(), *count))
                .collect(),
            sent_bytes: stats.sent_bytes,
            received_bytes: stats.received_bytes,
            rtt_us: stats.rtt_us,
            retransmits: stats.retransmits,
            first_seen: Rfc3339(first_seen),
            last_seen: Rfc3339(last_seen),
            closed_by: ClosedBy {
                source: stats.closed_by_source,
                destination: stats.closed_by_destination,
                reset: stats.closed_by_reset,
            },
        }
    }
}
