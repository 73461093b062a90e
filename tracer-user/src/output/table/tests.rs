//! Tables, compact lines and notes against golden files.

use super::*;
use crate::output::{
    EventSink as _, Frame, Loss, compact::CompactEvents, count::count, fixture, health::write_notes,
};

#[test]
fn tables_are_as_expected() {
    let (well, sick) = (fixture::well(), fixture::sick());
    let window_unix_ns = (fixture::AT, fixture::AT + 3_000_000_000);
    let frame = Frame {
        hostname: "cp-1",
        window_unix_ns,
        health: &well,
    };
    let connections = fixture::connections();
    let mut out = Vec::new();
    write_graph(&mut out, &fixture::graph(), Paint::PLAIN).unwrap();
    fixture::golden("graph.txt", &out);
    out.clear();
    write_listeners(&mut out, &fixture::listeners(), Paint::PLAIN).unwrap();
    fixture::golden("listeners.txt", &out);
    out.clear();
    write_connections(&mut out, &frame, &connections, Paint::PLAIN).unwrap();
    fixture::golden("connections.txt", &out);
    out.clear();
    write_counts(&mut out, &count(&connections), Paint::PLAIN).unwrap();
    fixture::golden("counts.txt", &out);
    out.clear();
    write_components(&mut out, &fixture::components(), Paint::PLAIN).unwrap();
    fixture::golden("components.txt", &out);
    out.clear();
    write_explanations(&mut out, &fixture::explanations(), Paint::PLAIN).unwrap();
    fixture::golden("explain.txt", &out);
    out.clear();
    write_notes(&mut out, &frame, Paint::PLAIN).unwrap();
    write_notes(
        &mut out,
        &Frame {
            health: &sick,
            ..frame
        },
        Paint::PLAIN,
    )
    .unwrap();
    fixture::golden("notes.txt", &out);
}

#[test]
fn rows_of_a_graph_are_sorted_by_what_is_shown_of_them() {
    let mut graph = fixture::graph();
    graph.edges.reverse();
    let mut out = Vec::new();
    write_graph(&mut out, &graph, Paint::PLAIN).unwrap();
    fixture::golden("graph.txt", &out);
    let shown: Vec<Vec<String>> = String::from_utf8(out)
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| {
            line.split("  ")
                .filter(|cell| !cell.is_empty())
                .map(|cell| cell.trim().to_owned())
                .take(2)
                .collect()
        })
        .collect();
    let mut sorted = shown.clone();
    sorted.sort();
    assert_eq!(shown, sorted);
}

#[test]
fn compact_lines_are_as_expected() {
    let mut out = Vec::new();
    let mut events = CompactEvents::new(Paint::PLAIN);
    events.start(&mut out, &fixture::session(), fixture::AT).unwrap();
    for happening in fixture::happenings() {
        events.happening(&mut out, &happening).unwrap();
    }
    events
        .lost(
            &mut out,
            &Loss {
                count: 5,
                total: 12,
                place: "ring",
            },
            fixture::AT,
        )
        .unwrap();
    for degraded in &fixture::sick().degraded {
        events.degraded(&mut out, degraded, fixture::AT).unwrap();
        events.recovered(&mut out, degraded, fixture::AT).unwrap();
    }
    events.summary(&mut out, &fixture::well(), fixture::AT).unwrap();
    assert_eq!(
        String::from_utf8(out.clone()).unwrap().lines().count(),
        fixture::happenings().len() + 3
    );
    fixture::golden("events.txt", &out);
}

#[test]
fn columns_are_aligned_and_lines_end_at_the_last_cell() {
    let mut table = Table::new([
        ("A", Align::Left),
        ("NUMBER", Align::Right),
        ("LAST", Align::Left),
    ]);
    table.row(["caf\u{e9}".into(), 7.into(), "x".into()]);
    table.row(["b".into(), 12_345_678.into(), Cell::none()]);
    let mut out = Vec::new();
    table.write(&mut out, Paint::PLAIN).unwrap();
    let want = "A       NUMBER  LAST\ncaf\u{e9}         7  x\nb     12345678  -\n";
    assert_eq!(String::from_utf8(out).unwrap(), want);
}
