//! A kernel without type information: the classic tracepoint tells who and where, and the run says what it lacks.

#![cfg(test)]

use serde_json::Value;
use std::path::Path;
use tests::binaries::Setting;
use tests::json::{self, destination, kind, name, number, pid, port, source, text};
use tests::pair::Pair;
use tests::require::Need;
use tests::tracer::{self, Tracer};
use tests::wait::{patience, seconds};
use tests::{needs, skipped};

const TRACEFS: &str = "/sys/kernel/tracing";
const OPENED: &str = "connection.opened";
const CLOSED: &str = "connection.closed";
const FAILED: &str = "connection.failed";

/// The choice is given, so that a forced backend, which would need type information, stays out.
const NO_BTF: [&str; 4] = ["--btf", "none", "--probe", "auto"];

#[test]
#[ignore = "needs root and BPF"]
fn without_type_information_the_records_still_have_their_owners() {
    let Some(tracefs) = with_tracefs(needs![Need::Root, Need::Bpf]) else {
        return;
    };
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    pair.server.wait_count("accepted", 1).unwrap();
    let mut tracer = Tracer::start_in(&arguments(&["events", "-o", "json"]), tracefs).unwrap();
    tracer.wait_ready().unwrap();

    pair.client.ask("close").unwrap();
    pair.server.listen("[::]:5002").unwrap();
    pair.client.dial_close("127.0.0.1:5000", 5).unwrap();
    pair.client.dial("127.0.0.1:5002", 2).unwrap();
    pair.client.dial("[::1]:5002", 2).unwrap();
    pair.client.ask("close").unwrap();
    pair.client.ask("try 127.0.0.1:5999 3").unwrap();
    pair.server.wait_count_down("held", 0).unwrap();
    pair.server.ask("unlisten [::]:5002").unwrap();
    tracer
        .wait_records("all closed and failed", |records| {
            let enough = |kind, count| pair.count(records, kind) >= count;
            enough(CLOSED, 10) && enough(FAILED, 3) && enough("listener.closed", 1)
        })
        .unwrap();
    let finished = tracer.interrupt().unwrap();
    finished.expect_code(0).unwrap();
    assert!(finished.stderr.contains("degraded"), "{}", finished.stderr);

    let records = finished.records().unwrap();
    for record in [pair.records(&records, OPENED), pair.records(&records, CLOSED)].concat() {
        assert!(pair.owns_both_ends(record), "{record}");
    }
    for record in pair.records(&records, FAILED) {
        assert_eq!(pid(source(record)), u64::from(pair.client.pid()), "{record}");
        assert_eq!(
            text(record, "error.type"),
            "unknown",
            "the tracepoint has no error: {record}"
        );
    }
    let mut lines: Vec<_> = records
        .iter()
        .filter(|record| json::netns(record) == pair.netns.inode())
        .map(line)
        .collect();
    lines.sort();
    assert_eq!(lines, expected());
}

#[test]
#[ignore = "needs root and BPF"]
fn without_type_information_the_graph_is_complete_and_marked_degraded() {
    let Some(tracefs) = with_tracefs(needs![Need::Root, Need::Bpf]) else {
        return;
    };
    // The same port in two namespaces, which the tracepoint does not tell apart.
    let mut pairs = [("caller", "answerer"), ("asker", "replier")]
        .map(|(client, server)| Pair::start(client, server).unwrap());
    for pair in &mut pairs {
        pair.server.listen("127.0.0.1:5000").unwrap();
        pair.client.dial("127.0.0.1:5000", 3).unwrap();
        pair.server.wait_count("accepted", 3).unwrap();
    }
    let duration = seconds(2);
    let graph = ["graph", "--duration", &duration, "-o", "json"];
    let mut tracer = Tracer::start_in(&arguments(&graph), tracefs).unwrap();
    tracer.wait_ready().unwrap();
    for pair in &mut pairs {
        pair.client.dial_close("127.0.0.1:5000", 4).unwrap();
        pair.client.ask("try 127.0.0.1:5999 2").unwrap();
    }
    assert!(
        tracer.runs().unwrap(),
        "the traffic took longer than the graph's window"
    );
    let graph = tracer.finish(patience()).unwrap().json().unwrap();
    let degraded = json::at(&graph, "meta.health.degraded").to_string();
    assert!(degraded.contains("BTF"), "{degraded}");
    for pair in &pairs {
        let (client, server) = (pair.client.name(), pair.server.name());
        let count = |counter| -> Vec<_> {
            json::edges(&graph, pair.netns.inode())
                .into_iter()
                .filter(|edge| number(&edge.edge, "port") == 5000)
                .map(|edge| (edge.key(), edge.count(counter)))
                .collect()
        };
        let key = (client.to_owned(), server.to_owned(), 5000);
        assert_eq!(count("opened"), [(key.clone(), 7)], "3 found and 4 seen");
        assert_eq!(count("active"), [(key, 3)]);
        let failed: Vec<_> = json::edges(&graph, pair.netns.inode())
            .into_iter()
            .filter(|edge| number(&edge.edge, "port") == 5999)
            .map(|edge| (name(&edge.source).to_owned(), edge.count("failed.unknown")))
            .collect();
        assert_eq!(failed, [(client.to_owned(), 2)]);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn without_tracefs_too_nothing_can_be_observed_and_the_remedy_is_named() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    // Hides type information and both places of tracefs.
    let hidden = Setting {
        mount: Some(("tmpfs", Path::new("/sys/kernel"))),
        ..Setting::default()
    };
    for (case, options, why) in [
        ("hidden", &["--probe", "auto"][..], "BTF"),
        ("not wanted", &NO_BTF, "--btf none was given"),
    ] {
        let view = [&["graph", "--duration", "1"], options].concat();
        let finished = tracer::run_in(&view, hidden).unwrap();
        finished.expect_code(4).unwrap();
        for part in [why, "mount -t tracefs tracefs /sys/kernel/tracing"] {
            assert!(
                finished.stderr.contains(part),
                "case: {case}: {}",
                finished.stderr
            );
        }
        assert_eq!(finished.stdout, "", "case: {case}");
    }
}

fn arguments<'a>(view: &[&'a str]) -> Vec<&'a str> {
    [view, &NO_BTF].concat()
}

/// tracefs, for the tracer alone unless the machine has it. None where it cannot be had, which the test says.
fn with_tracefs(needed: bool) -> Option<Setting<'static>> {
    if !needed {
        return None;
    }
    if !Path::new(TRACEFS).is_dir() {
        skipped!("this kernel has no tracefs");
        return None;
    }
    // Where the machine has mounted it already, the kernel refuses it a second time.
    let mounted = Path::new(TRACEFS).join("events").is_dir();
    Some(Setting {
        mount: (!mounted).then_some(("tracefs", Path::new(TRACEFS))),
        ..Setting::default()
    })
}

/// The records of the first test, as [`line`] writes them, sorted.
fn expected() -> Vec<String> {
    let mut lines = vec![
        // Older than the tracer: its end is seen, its beginning was not.
        format!("{CLOSED} caller -> answerer 127.0.0.1:5000"),
        "listener.opened answerer :::5002".to_owned(),
        "listener.closed answerer :::5002".to_owned(),
    ];
    for (count, address) in [(5, "127.0.0.1:5000"), (2, "127.0.0.1:5002"), (2, "::1:5002")] {
        for kind in [OPENED, CLOSED] {
            let line = format!("{kind} caller -> answerer {address}");
            lines.extend(std::iter::repeat_n(line, count));
        }
    }
    lines.extend(std::iter::repeat_n(
        format!("{FAILED} caller ->  127.0.0.1:5999"),
        3,
    ));
    lines.sort();
    lines
}

/// What of a record does not differ from run to run.
fn line(record: &Value) -> String {
    let (from, to) = (source(record), destination(record));
    let process = |end| text(end, "process.command");
    match kind(record) {
        kind @ ("listener.opened" | "listener.closed") => {
            let [address, port] = ["listener.address", "listener.port"].map(|path| json::at(record, path));
            format!(
                "{kind} {} {}:{port}",
                process(json::at(record, "listener")),
                address.as_str().unwrap_or_default()
            )
        }
        kind => {
            let [from, to, address] = [process(from), process(to), text(to, "address")];
            format!("{kind} {from} -> {to} {address}:{}", port(destination(record)))
        }
    }
}
