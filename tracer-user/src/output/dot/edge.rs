//! One edge in DOT: line style by evidence, width by number, words for failures.

use std::fmt::Write as _;

use crate::{
    graph::{Edge, EdgeStats},
    output::{
        escape::{Dot, Shown},
        name::ViaText,
        units::{Bytes, Count, Span},
    },
};

const SEEN: &str = "#333333";
const GUESSED: &str = "#777777";
const FAILED: &str = "#D55E00";

/// `guess`: one of its ends is named by nothing but a port.
pub(super) fn write_edge(text: &mut String, edge: &Edge, guess: bool) -> std::fmt::Result {
    let stats = &edge.stats;
    let both = stats.joined > 0 && !guess;
    let style = if both { "solid" } else { "dashed" };
    let color = match (stats.failed.is_empty(), both) {
        (false, _) => FAILED,
        (true, true) => SEEN,
        (true, false) => GUESSED,
    };
    let (source, destination) = (Dot(Shown(&edge.source)), Dot(Shown(&edge.destination)));
    writeln!(
        text,
        "  \"{source}\" -> \"{destination}\" [label=\"{}\",",
        label(edge)
    )?;
    write!(
        text,
        "    style={style}, color=\"{color}\", penwidth={}, ",
        width(stats)
    )?;
    if !stats.failed.is_empty() {
        write!(text, "fontcolor=\"#A34700\", ")?;
        if stats.opened == 0 {
            write!(text, "arrowhead=tee, ")?;
        }
    }
    writeln!(
        text,
        "tooltip=\"{}\", labeltooltip=\"{}\"];",
        tooltip(edge),
        tooltip(edge)
    )
}

/// `tcp/2379\n61 conn\n2 refused`.
fn label(edge: &Edge) -> String {
    let stats = &edge.stats;
    let mut lines = vec![format!("tcp/{}", edge.port)];
    if let Some(via) = &edge.via {
        lines.push(Dot(ViaText(via)).to_string());
    }
    if stats.opened > 0 {
        lines.push(format!("{} conn", stats.opened));
    }
    if stats.joined > 0 && stats.joined < stats.opened {
        lines.push(format!("{} seen at one end", stats.opened - stats.joined));
    }
    lines.extend(failures(stats));
    // The empty line keeps a sloping edge out of the text.
    lines.join("\\n") + "\\n "
}

fn failures(stats: &EdgeStats) -> impl Iterator<Item = String> {
    stats
        .failed
        .iter()
        .map(|(failure, count)| format!("{count} {}", failure.name()))
}

/// 1 for one connection, half a point more each time it doubles, at most 5: in tenths of a point.
fn width(stats: &EdgeStats) -> String {
    let count = stats.opened.saturating_add(stats.failed.values().sum());
    let doubled = count.checked_ilog2().unwrap_or(0);
    let tenths = (10 + 5 * doubled).min(50);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn tooltip(edge: &Edge) -> String {
    let stats = &edge.stats;
    let mut lines = vec![
        format!(
            "{} to {} tcp/{}",
            Dot(Shown(&edge.source)),
            Dot(Shown(&edge.destination)),
            edge.port
        ),
        format!(
            "{} opened, {} active, {} found at start",
            stats.opened, stats.active, stats.found
        ),
        format!(
            "{} sent, {} received",
            Bytes(stats.sent_bytes),
            Bytes(stats.received_bytes)
        ),
    ];
    lines.extend(
        stats
            .rtt_us
            .map(|rtt_us| format!("rtt {}", Span(u64::from(rtt_us) * 1000))),
    );
    if stats.retransmits > 0 {
        lines.push(Count(stats.retransmits, "retransmit").to_string());
    }
    lines.extend(failures(stats));
    lines.join("\\n")
}
