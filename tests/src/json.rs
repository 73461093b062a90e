//! Reading the tracer's JSON: the only place of the tests that knows the names of its fields.

use serde_json::Value;
use std::collections::BTreeMap;

/// The value at a path such as `source.process.pid`; null where there is none.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .fold(value, |inner, key| inner.get(key).unwrap_or(&Value::Null))
}

/// The text there; empty where there is none.
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The number there, which may be written as a string; 0 where there is none.
pub fn number(value: &Value, path: &str) -> u64 {
    let found = at(value, path);
    found
        .as_u64()
        .or_else(|| found.as_str()?.parse().ok())
        .unwrap_or(0)
}

/// The elements there; none where there is no array.
pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What the other end of a connection, a listener's owner or a node of the graph is called: its component, else its
/// process, else its label. Without the role a component plays there: `kubectl` of `kubectl(proxy)`.
pub fn name(end: &Value) -> &str {
    [
        "component",
        "name",
        "process.command",
        "process.executable.name",
        "label",
    ]
    .into_iter()
    .map(|path| text(end, path))
    .find(|name| !name.is_empty())
    .and_then(|name| name.split('(').next())
    .unwrap_or_default()
}

/// What kind of record this is, such as `connection.opened`.
pub fn kind(record: &Value) -> &str {
    text(record, "type")
}

/// The namespace of a record of `events`, of a node of the graph or of an item of a list.
pub fn netns(record: &Value) -> &str {
    match text(record, "network.netns") {
        "" => text(record, "netns"),
        netns => netns,
    }
}

/// The client's end; an event's `source` is always the end that dialled.
pub fn source(record: &Value) -> &Value {
    at(record, "source")
}

/// The server's end, or what listens.
pub fn destination(record: &Value) -> &Value {
    let destination = at(record, "destination");
    if destination.is_null() {
        at(record, "listener")
    } else {
        destination
    }
}

/// Which end's socket the record is about: `source` or `destination`.
pub fn side(record: &Value) -> &str {
    text(record, "observer.side")
}

/// The process id of an end.
pub fn pid(end: &Value) -> u64 {
    number(end, "process.pid")
}

/// The port of an end.
pub fn port(end: &Value) -> u64 {
    number(end, "port")
}

/// The records of one kind in one namespace.
pub fn records<'a>(all: &'a [Value], kind: &str, netns: &str) -> Vec<&'a Value> {
    all.iter()
        .filter(|record| self::kind(record) == kind && self::netns(record) == netns)
        .collect()
}

/// Records that the ring lost, over a whole `events` stream: the last figure, because it is a sum that never goes back.
pub fn lost_records(all: &[Value]) -> u64 {
    all.iter()
        .filter(|record| text(record, "lost.where") == "ring")
        .map(|record| number(record, "lost.total"))
        .max()
        .unwrap_or(0)
}

/// Records that the kernel side delivered while a graph was made.
pub fn delivered(document: &Value) -> u64 {
    number(document, "meta.health.delivered")
}

/// What a graph or a list says was lost while it was made.
pub fn lost(document: &Value) -> u64 {
    number(document, "meta.health.lost")
}

/// An edge of the graph with its ends looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The client's node.
    pub source: Value,
    /// The server's node.
    pub destination: Value,
    /// The edge itself.
    pub edge: Value,
}

impl Edge {
    /// Client, server, port.
    pub fn key(&self) -> (String, String, u64) {
        (
            name(&self.source).to_owned(),
            name(&self.destination).to_owned(),
            number(&self.edge, "port"),
        )
    }

    /// A counter of the edge: `opened`, `active`, `failed.refused`, `sent_bytes`.
    pub fn count(&self, counter: &str) -> u64 {
        number(&self.edge, counter)
    }
}

/// The edges of a graph that have an end in the namespace, in the graph's order.
pub fn edges(graph: &Value, netns: &str) -> Vec<Edge> {
    let nodes: BTreeMap<_, _> = list(graph, "nodes")
        .iter()
        .map(|node| (text(node, "id"), node))
        .collect();
    let node = |id: &str| nodes.get(id).copied().cloned().unwrap_or_default();
    list(graph, "edges")
        .iter()
        .map(|edge| Edge {
            source: node(text(edge, "source")),
            destination: node(text(edge, "destination")),
            edge: edge.clone(),
        })
        .filter(|edge| {
            [&edge.source, &edge.destination]
                .iter()
                .any(|end| text(end, "netns") == netns)
        })
        .collect()
}

/// Client, server, port and a counter of every edge with an end in the namespace, sorted.
pub fn edge_counts(graph: &Value, netns: &str, counter: &str) -> Vec<(String, String, u64, u64)> {
    let mut counts: Vec<_> = edges(graph, netns)
        .iter()
        .map(|edge| {
            let (source, destination, port) = edge.key();
            (source, destination, port, edge.count(counter))
        })
        .collect();
    counts.sort();
    counts
}

/// The items of `listeners` or `connections` in the namespace.
pub fn items<'a>(document: &'a Value, netns: &str) -> Vec<&'a Value> {
    list(document, "items")
        .iter()
        .filter(|item| self::netns(item) == netns)
        .collect()
}

/// Name, address and port of every listener in the namespace, sorted.
pub fn listeners(document: &Value, netns: &str) -> Vec<(String, String, u64)> {
    let mut listeners: Vec<_> = items(document, netns)
        .iter()
        .map(|item| {
            (
                name(item).to_owned(),
                text(item, "address").to_owned(),
                number(item, "port"),
            )
        })
        .collect();
    listeners.sort();
    listeners
}

/// Client, server, port and number of `connections --count` in the namespace, sorted.
pub fn connection_counts(document: &Value, netns: &str) -> Vec<(String, String, u64, u64)> {
    let mut counts: Vec<_> = items(document, netns)
        .iter()
        .map(|item| {
            let end = |path| text(item, path).to_owned();
            (
                end("source"),
                end("destination"),
                number(item, "port"),
                number(item, "count"),
            )
        })
        .collect();
    counts.sort();
    counts
}

/// Verdict and reason of a check of `verify`.
pub fn check<'a>(document: &'a Value, name: &str) -> (&'a str, &'a str) {
    let found = list(document, "checks")
        .iter()
        .find(|check| text(check, "name") == name);
    found.map_or(("", ""), |check| (text(check, "verdict"), text(check, "reason")))
}

/// The records that decided a check of `verify`, as text to search in.
pub fn check_records(document: &Value, name: &str) -> String {
    let found = list(document, "checks")
        .iter()
        .find(|check| text(check, "name") == name);
    found
        .map(|check| at(check, "records").to_string())
        .unwrap_or_default()
}

/// Whether `verify` passed all that is of a namespace: the machine may have another etcd, such as one that has just been
/// ended, whose last connections close while this one is judged.
pub fn passes_in(document: &Value, netns: &str) -> bool {
    let checks = list(document, "checks");
    let passes = |check: &Value| {
        let foreign =
            |record: &&Value| !["live", "expected", "allowed by --allow"].contains(&text(record, "note"));
        let mut strangers = list(check, "records").iter().filter(foreign).peekable();
        text(check, "verdict") == "pass"
            || (strangers.peek().is_some()
                && strangers.all(|record| text(record, "destination.netns") != netns))
    };
    !checks.is_empty() && checks.iter().all(passes)
}
