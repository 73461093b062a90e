//! `graph -o dot`: text for Graphviz, equal for equal graphs.
//!
//! Meaning never rests on colour alone: shapes, line styles and words carry it, the colours (Okabe and Ito's, told
//! apart by nearly everybody) repeat it. Ids are the graph's own keys, so that two files can be compared by `diff`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::Write,
};

use self::{edge::write_edge, node::write_node};
use super::{
    SinkError,
    escape::{Dot, Shown},
    health::faults,
    units::{Rfc3339, Span},
};
use crate::graph::{Edge, Graph, Health, Node};

mod edge;
mod node;

/// Writes the graph. `version` is that of kcn-trace, as in the session.
pub fn write_graph(out: &mut dyn Write, graph: &Graph, version: &str) -> Result<(), SinkError> {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let done = header(&mut text, graph, version)
        .and_then(|()| clusters(&mut text, graph))
        .and_then(|()| edges(&mut text, graph))
        .and_then(|()| text.write_str("}\n"));
    done.map_err(|error| SinkError::Io(std::io::Error::other(error)))?;
    Ok(out.write_all(text.as_bytes())?)
}

fn header(text: &mut String, graph: &Graph, version: &str) -> std::fmt::Result {
    let (start, end) = graph.window_unix_ns;
    let Health { lost, delivered, .. } = graph.health;
    writeln!(
        text,
        "// kcn-trace {} on {}",
        Shown(version),
        Shown(&graph.hostname)
    )?;
    writeln!(
        text,
        "// window {} to {}, {delivered} records, {lost} lost",
        Rfc3339(start),
        Rfc3339(end)
    )?;
    writeln!(text, "digraph \"kcn-trace\" {{")?;
    writeln!(
        text,
        "  graph [rankdir=LR, compound=true, newrank=true, nodesep=0.35, ranksep=1.1, pad=0.3,"
    )?;
    writeln!(
        text,
        "    fontname=\"DejaVu Sans\", fontsize=11, fontcolor=\"#444444\", labelloc=b, labeljust=l,"
    )?;
    writeln!(text, "    label=\"{}\"];", caption(graph))?;
    writeln!(
        text,
        "  node [fontname=\"DejaVu Sans\", fontsize=11, fontcolor=\"#000000\", style=filled,"
    )?;
    writeln!(text, "    margin=\"0.18,0.09\"];")?;
    writeln!(
        text,
        "  edge [fontname=\"DejaVu Sans\", fontsize=9, fontcolor=\"#000000\", arrowsize=0.7];"
    )
}

/// Below the drawing: what it shows, and in words whatever makes it less than the truth. `\l` ends a line, to the left.
fn caption(graph: &Graph) -> String {
    let (start, end) = graph.window_unix_ns;
    let window = Span(end.saturating_sub(start).try_into().unwrap_or(0));
    let at = Rfc3339(start).to_string();
    let at = at.split('.').next().unwrap_or_default();
    let mut lines = vec![
        format!("kcn-trace: TCP on {}, {window} from {at}Z", Dot(Shown(&graph.hostname))),
        "solid: both ends seen; dashed: one end seen, or a role guessed by its port (?); orange: some connects failed"
            .to_owned(),
    ];
    for (fact, _) in faults(&graph.health) {
        lines.push(format!("INCOMPLETE: {}", Dot(fact)));
    }
    for degraded in &graph.health.degraded {
        lines.push(format!(
            "DEGRADED: {}: {}",
            Dot(Shown(&degraded.what)),
            Dot(Shown(&degraded.why))
        ));
    }
    lines.iter().fold(String::new(), |text, line| text + line + "\\l")
}

/// One box for each group; external addresses are outside of all.
fn clusters(text: &mut String, graph: &Graph) -> std::fmt::Result {
    let mut groups: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
    for node in &graph.nodes {
        groups.entry(&node.group).or_default().push(node);
    }
    for (group, nodes) in &groups {
        if *group == EXTERNAL {
            continue;
        }
        let label = match group.split_once('/') {
            None if *group == "host" => format!("host {}", Dot(Shown(&graph.hostname))),
            Some(("netns", name)) => format!("network namespace {}", Dot(Shown(name))),
            Some(("namespace", name)) => format!("namespace {}", Dot(Shown(name))),
            Some(("node", name)) => format!("node {}", Dot(Shown(name))),
            Some(_) | None => Dot(Shown(group)).to_string(),
        };
        writeln!(text, "  subgraph \"cluster_{}\" {{", Dot(Shown(group)))?;
        writeln!(
            text,
            "    label=\"{label}\"; labelloc=t; labeljust=l; fontsize=12; margin=16;"
        )?;
        writeln!(
            text,
            "    style=\"rounded,filled\"; color=\"#B8B8B8\"; fillcolor=\"#F6F6F6\";"
        )?;
        for node in nodes {
            write_node(text, node, "    ")?;
        }
        writeln!(text, "  }}")?;
    }
    groups
        .get(EXTERNAL)
        .into_iter()
        .flatten()
        .try_for_each(|node| write_node(text, node, "  "))
}

/// Group of the nodes that are drawn outside of any box.
const EXTERNAL: &str = "external";

fn edges(text: &mut String, graph: &Graph) -> std::fmt::Result {
    let guessed: BTreeSet<&str> = graph
        .nodes
        .iter()
        .filter(|node| node::is_guess(node))
        .map(|node| node.id.as_str())
        .collect();
    let is_guess =
        |edge: &Edge| guessed.contains(edge.source.as_str()) || guessed.contains(edge.destination.as_str());
    graph
        .edges
        .iter()
        .try_for_each(|edge| write_edge(text, edge, is_guess(edge)))
}

#[cfg(test)]
mod tests;
