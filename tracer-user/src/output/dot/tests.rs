//! DOT output against golden files and, where it is installed, Graphviz itself.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use super::*;
use crate::output::fixture;

fn dot(graph: &Graph) -> String {
    let mut out = Vec::new();
    write_graph(&mut out, graph, "0.1.0").unwrap();
    String::from_utf8(out).unwrap()
}

fn sick_graph() -> Graph {
    let mut graph = fixture::graph();
    graph.health = fixture::sick();
    graph.hostname = fixture::EVIL.to_owned();
    graph
}

#[test]
fn a_control_plane_is_drawn_as_expected() {
    fixture::golden("graph.dot", dot(&fixture::graph()).as_bytes());
    fixture::golden("graph-sick.dot", dot(&sick_graph()).as_bytes());
}

#[test]
fn graphviz_accepts_it_without_a_warning_and_shows_no_hostile_character() {
    let mut empty = fixture::graph();
    (empty.nodes, empty.edges) = (Vec::new(), Vec::new());
    for (name, graph) in [
        ("well", fixture::graph()),
        ("sick", sick_graph()),
        ("empty", empty),
    ] {
        let started = Command::new("dot")
            .arg("-Tsvg")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            eprintln!("skipped: Graphviz is not installed");
            return;
        };
        child
            .stdin
            .take()
            .unwrap()
            .write_all(dot(&graph).as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "case: {name}");
        assert!(output.status.success(), "case: {name}");
        let svg = String::from_utf8(output.stdout).unwrap();
        assert!(svg.contains("</svg>"), "case: {name}");
        assert!(
            !svg.contains(['\x1b', '\u{202e}']) && !svg.contains("&#x202e;"),
            "case: {name}"
        );
        assert!(!svg.contains("<b>"), "case: {name}");
    }
}
