//! JSON documents and lines against golden files; every line must parse.

use super::*;
use crate::output::{EventSink as _, Loss, count::count, fixture};

fn frame(health: &Health) -> Frame<'_> {
    let window_unix_ns = (fixture::AT, fixture::AT + 3_000_000_000);
    Frame {
        hostname: "cp-1",
        window_unix_ns,
        health,
    }
}

#[test]
fn events_are_lines_of_json() {
    let mut out = Vec::new();
    let mut events = JsonEvents::new();
    events.start(&mut out, &fixture::session(), fixture::AT).unwrap();
    for happening in fixture::happenings() {
        events.happening(&mut out, &happening).unwrap();
    }
    let loss = Loss {
        count: 5,
        total: 12,
        place: "ring",
    };
    events.lost(&mut out, &loss, fixture::AT).unwrap();
    for degraded in &fixture::sick().degraded {
        events.degraded(&mut out, degraded, fixture::AT).unwrap();
        events.recovered(&mut out, degraded, fixture::AT).unwrap();
    }
    events.heartbeat(&mut out, &fixture::well(), fixture::AT).unwrap();
    events.summary(&mut out, &fixture::sick(), fixture::AT).unwrap();
    for line in String::from_utf8(out.clone()).unwrap().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["schema"], "kcn-trace.event/v1", "{line}");
    }
    fixture::golden("events.jsonl", &out);
}

#[test]
fn documents_are_as_expected() {
    let health = fixture::well();
    let sick = fixture::sick();
    let connections = fixture::connections();
    let mut out = Vec::new();
    write_graph(&mut out, &fixture::graph(), Layout::Pretty).unwrap();
    fixture::golden("graph.json", &out);
    out.clear();
    write_listeners(&mut out, &frame(&health), &fixture::listeners()).unwrap();
    fixture::golden("listeners.json", &out);
    out.clear();
    write_connections(&mut out, &frame(&sick), &connections).unwrap();
    fixture::golden("connections.json", &out);
    out.clear();
    write_counts(&mut out, &frame(&health), &count(&connections)).unwrap();
    fixture::golden("counts.json", &out);
    out.clear();
    write_components(&mut out, &frame(&health), &fixture::components()).unwrap();
    fixture::golden("components.json", &out);
    out.clear();
    write_explanations(&mut out, &frame(&sick), &fixture::explanations()).unwrap();
    fixture::golden("explain.json", &out);
}

#[test]
fn one_line_layout_is_one_line() {
    let mut out = Vec::new();
    write_graph(&mut out, &fixture::graph(), Layout::Line).unwrap();
    assert_eq!(String::from_utf8(out.clone()).unwrap().lines().count(), 1);
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value["edges"].as_array().unwrap().len(),
        fixture::graph().edges.len()
    );
}

#[test]
fn a_closed_pipe_is_told_from_a_full_disk() {
    struct Fails(std::io::ErrorKind);
    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let write = |kind| write_graph(&mut Fails(kind), &fixture::graph(), Layout::Line);
    assert!(matches!(
        write(std::io::ErrorKind::BrokenPipe),
        Err(SinkError::Closed)
    ));
    assert!(matches!(
        write(std::io::ErrorKind::StorageFull),
        Err(SinkError::Io(_))
    ));
}
