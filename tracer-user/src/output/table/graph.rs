//! `graph -o table`: one row for each edge.

use std::{collections::BTreeMap, io::Write};

use super::{Align, Cell, Table};
use crate::{
    attribute::{Quality, Who},
    graph::{Edge, EdgeStats, Graph, Node, NodeKind},
    output::{
        SinkError,
        escape::Word,
        name::Place,
        name::ViaText,
        style::{Paint, Tone},
        units::{Bytes, Count, Span},
    },
};

/// Writes the edges, sorted by what is shown of them: ends, port, service.
pub fn write_graph(out: &mut dyn Write, graph: &Graph, paint: Paint) -> Result<(), SinkError> {
    let nodes: BTreeMap<&str, &Node> = graph.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut table = Table::new([
        ("SOURCE", Align::Left),
        ("DESTINATION", Align::Left),
        ("PORT", Align::Right),
        ("ACTIVE", Align::Right),
        ("OPENED", Align::Right),
        ("FAILED", Align::Left),
        ("SENT", Align::Right),
        ("RECEIVED", Align::Right),
        ("RTT", Align::Right),
        ("RETRANS", Align::Right),
        ("LAST SEEN", Align::Right),
        ("EVIDENCE", Align::Left),
    ]);
    let mut rows: Vec<_> = graph
        .edges
        .iter()
        .map(|edge| (shown(edge, &nodes), edge))
        .collect();
    // Stable: edges that look the same stay in the graph's order.
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (_, now_unix_ns) = graph.window_unix_ns;
    for (_, edge) in rows {
        let source = nodes.get(edge.source.as_str()).copied();
        let destination = nodes.get(edge.destination.as_str()).copied();
        let stats = &edge.stats;
        table.row([
            name(source, &edge.source),
            name(destination, &edge.destination),
            edge.port.into(),
            stats.active.into(),
            stats.opened.into(),
            failed(stats),
            if stats.opened == 0 {
                Cell::none()
            } else {
                Bytes(stats.sent_bytes).into()
            },
            if stats.opened == 0 {
                Cell::none()
            } else {
                Bytes(stats.received_bytes).into()
            },
            stats
                .rtt_us
                .map_or_else(Cell::none, |us| Span(u64::from(us) * 1000).into()),
            Cell::new(
                stats.retransmits.to_string(),
                if stats.retransmits > 0 {
                    Tone::Doubt
                } else {
                    Tone::Plain
                },
            ),
            last_seen(stats, now_unix_ns),
            Cell::new(evidence(edge, source, destination), Tone::Quiet),
        ]);
    }
    table.write(out, paint)?;
    // Also where only stdout is kept: a table that looks whole and is not would deceive.
    if graph.health.lost > 0 {
        let lost = Count(graph.health.lost, "record");
        writeln!(
            out,
            "{}",
            paint.text(Tone::Bad, format_args!("incomplete: {lost} lost"))
        )?;
    }
    Ok(())
}

/// What the eye finds a row by.
fn shown(edge: &Edge, nodes: &BTreeMap<&str, &Node>) -> (String, String, u16, String) {
    let text = |id: &str| {
        nodes
            .get(id)
            .map_or_else(|| Word(id).to_string(), |node| Place(node).to_string())
    };
    let via = edge.via.as_ref().map(|via| ViaText(via).to_string());
    (
        text(&edge.source),
        text(&edge.destination),
        edge.port,
        via.unwrap_or_default(),
    )
}

/// How long before the end of the window there was a sign of life.
fn last_seen(stats: &EdgeStats, now_unix_ns: i64) -> Cell {
    if stats.active > 0 {
        return "now".into();
    }
    let (_, last_unix_ns) = stats.seen_unix_ns;
    let ago_ns = now_unix_ns.saturating_sub(last_unix_ns).try_into().unwrap_or(0);
    Cell::new(Span(ago_ns).to_string(), Tone::Quiet)
}

fn name(node: Option<&Node>, id: &str) -> Cell {
    let Some(node) = node else {
        return Word(id).into();
    };
    let text = Place(node).to_string();
    let tone = match node.kind {
        _ if node.claim.place.spoofed.is_some() => Tone::Bad,
        NodeKind::Component | NodeKind::Workload | NodeKind::Pod => Tone::Strong,
        NodeKind::Process | NodeKind::Service | NodeKind::Node | NodeKind::Namespace | NodeKind::External => {
            Tone::Plain
        }
        NodeKind::Unknown => Tone::Doubt,
    };
    Cell::new(text, tone)
}

/// `2 refused, 1 timeout`.
fn failed(stats: &EdgeStats) -> Cell {
    let parts: Vec<String> = stats
        .failed
        .iter()
        .map(|(failure, count)| format!("{count} {}", failure.name()))
        .collect();
    if parts.is_empty() {
        Cell::none()
    } else {
        Cell::new(parts.join(", "), Tone::Bad)
    }
}

/// Whether its role is known by nothing but a port.
fn is_guess(node: &Node) -> bool {
    matches!(node.claim.quality, Quality::Port | Quality::Outdated)
        || matches!(node.claim.who, Who::Node { guess: Some(_), .. })
}

/// Which ends were seen, what is only a guess, and what is older than the tracer.
fn evidence(edge: &Edge, source: Option<&Node>, destination: Option<&Node>) -> String {
    let stats = &edge.stats;
    let mut words = Vec::new();
    match (stats.opened, stats.joined) {
        (0, _) => {}
        (opened, joined) if joined >= opened => words.push("both ends".to_owned()),
        (_, 0) => words.push("one end".to_owned()),
        (opened, joined) => words.push(format!("both ends {joined}/{opened}")),
    }
    if [source, destination].into_iter().flatten().any(is_guess) {
        words.push("role guessed by port".to_owned());
    }
    if stats.found > 0 {
        words.push(format!("{} found at start", stats.found));
    }
    if stats.direction_guessed > 0 {
        words.push(format!("direction guessed of {}", stats.direction_guessed));
    }
    words.extend(edge.via.as_ref().map(|via| ViaText(via).to_string()));
    words.join(", ")
}
