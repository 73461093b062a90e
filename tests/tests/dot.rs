//! The drawing: graphviz takes it without a word, and it shows what the graph says.

#![cfg(test)]

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use tests::binaries;
use tests::json::{list, number, text};
use tests::needs;
use tests::netns::Netns;
use tests::require::Need;
use tests::scenario::Scenario;
use tests::standin::Standin;
use tests::tracer;
use tests::wait::seconds;

#[test]
#[ignore = "needs root and BPF"]
fn the_nodes_drawing_shows_apiserver_to_etcd_with_61_connections() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd"), Need::Program("dot")] {
        return;
    }
    let _node = Scenario::start().unwrap();
    let drawing = graph();
    // Graphviz writes a hyphen in text as an entity.
    let svg = drawn(&drawing, "-Tsvg").replace("&#45;", "-");
    for name in [
        "kube-apiserver",
        "etcd",
        "kube-controller-manager",
        "kubelet",
        "2379",
        "6443",
    ] {
        assert!(svg.contains(name), "{name} is not in the drawing");
    }

    let parsed: Value = serde_json::from_str(&drawn(&drawing, "-Tdot_json")).unwrap();
    let label = |id: u64| {
        let object = list(&parsed, "objects")
            .iter()
            .find(|object| number(object, "_gvid") == id);
        object
            .map(|object| text(object, "label").to_owned())
            .unwrap_or_default()
    };
    let shown = list(&parsed, "edges").iter().any(|edge| {
        let ends = (label(number(edge, "tail")), label(number(edge, "head")));
        let words = text(edge, "label");
        ends.0.contains("kube-apiserver")
            && ends.1.contains("etcd")
            && words.contains("2379")
            && words.contains("61")
    });
    assert!(shown, "{drawing}");
}

#[test]
#[ignore = "needs root and BPF"]
fn hostile_process_names_cannot_break_the_drawing() {
    if !needs![Need::Root, Need::Bpf, Need::Program("dot")] {
        return;
    }
    let names = [
        "a\"];b[c",
        "<b>&amp;",
        "back\\slash\\",
        "{x|<y>}",
        "new\nline",
        "\u{1b}[31mred",
        "\u{202e}ltr",
    ];
    let netns = Netns::new().unwrap();
    let mut server = Standin::start(&netns, "answerer").unwrap();
    server.listen("127.0.0.1:5000").unwrap();
    let mut clients = names.map(|name| Standin::start(&netns, name).unwrap());
    for client in &mut clients {
        client.dial("127.0.0.1:5000", 1).unwrap();
    }
    server.wait_count("accepted", names.len() as u64).unwrap();

    let drawing = graph();
    assert!(
        !drawing.contains('\u{1b}') && !drawing.contains('\u{202e}'),
        "{drawing}"
    );
    let parsed: Value = serde_json::from_str(&drawn(&drawing, "-Tdot_json")).unwrap();
    let edges = list(&parsed, "edges")
        .iter()
        .filter(|edge| text(edge, "label").contains("5000"));
    assert!(edges.count() >= names.len(), "{drawing}");
}

fn graph() -> String {
    let finished = tracer::run(&["graph", "--duration", &seconds(3), "-o", "dot"]).unwrap();
    finished.expect_code(0).unwrap();
    finished.stdout
}

/// What graphviz makes of a drawing. It must have nothing to say about it.
fn drawn(drawing: &str, format: &str) -> String {
    let mut dot = Command::new(binaries::find("dot").unwrap())
        .arg(format)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    dot.stdin.take().unwrap().write_all(drawing.as_bytes()).unwrap();
    let output = dot.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "dot {format} says: {said}\n{drawing}"
    );
    String::from_utf8(output.stdout).unwrap()
}
