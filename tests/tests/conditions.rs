//! What happens when something is in the way: each condition has its result, its words and its exit code.

#![cfg(test)]

use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tests::binaries::Setting;
use tests::bpf::{self, Object};
use tests::json::{self, kind};
use tests::needs;
use tests::pair::Pair;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::standin::Standin;
use tests::tracer::{self, Tracer};
use tests::wait::{patience, seconds, until_true};

const OPENED: &str = "connection.opened";

#[test]
#[ignore = "needs root and BPF"]
fn without_rights_the_missing_capability_is_named() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let nobody = Setting {
        uid: Some(65534),
        ..Setting::default()
    };
    for command in ["events", "graph", "listeners", "connections", "verify"] {
        let finished = tracer::run_in(&[command], nobody).unwrap();
        finished.expect_code(4).unwrap();
        assert!(
            finished.stderr.contains("CAP_BPF"),
            "{command}: {}",
            finished.stderr
        );
        assert!(
            finished.stderr.contains("sudo"),
            "{command} gives a remedy: {}",
            finished.stderr
        );
        assert_eq!(finished.stdout, "", "{command}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_seccomp_filter_that_refuses_bpf_is_named() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let no_bpf = Setting {
        no_bpf: true,
        ..Setting::default()
    };
    let finished = tracer::run_in(&["graph", "--duration", "1"], no_bpf).unwrap();
    finished.expect_code(4).unwrap();
    assert!(finished.stderr.contains("seccomp"), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
}

#[test]
#[ignore = "needs root and BPF"]
fn two_tracers_see_the_same() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let tracers = [(); 2].map(|()| Tracer::start_ready(&["events", "-o", "json"]).unwrap());
    pair.client.dial_close("127.0.0.1:5000", 200).unwrap();
    for mut tracer in tracers {
        let closed = |records: &[Value]| pair.count(records, "connection.closed");
        tracer
            .wait_records("200 closed", |records| closed(records) >= 200)
            .unwrap();
        let records = tracer.interrupt().unwrap().records().unwrap();
        assert_eq!((pair.count(&records, OPENED), closed(&records)), (200, 200));
        assert!(
            pair.records(&records, OPENED)
                .iter()
                .all(|record| pair.owns_both_ends(record))
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_ring_too_small_loses_records_and_every_output_says_so() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let mut pair = churning(&directory);
    let mut events = Tracer::start_ready(&["events", "-o", "json", "--ring-size", "4096"]).unwrap();
    overwhelm(&events, &mut pair);
    events
        .wait_records("a loss", |records| {
            records.iter().any(|record| kind(record) == "lost")
        })
        .unwrap();
    let finished = events.interrupt().unwrap();
    finished.expect_code(0).unwrap();
    assert!(json::lost_records(&finished.records().unwrap()) > 0);
    assert!(finished.stderr.contains("lost"), "{}", finished.stderr);

    for format in ["table", "dot", "json"] {
        let arguments = [
            "graph",
            "--duration",
            &seconds(1),
            "--ring-size",
            "4096",
            "-o",
            format,
        ];
        let graph = Tracer::start_ready(&arguments).unwrap();
        overwhelm(&graph, &mut pair);
        let finished = graph.finish(patience()).unwrap();
        finished.expect_code(0).unwrap();
        if format == "json" {
            assert!(json::lost(&finished.json().unwrap()) > 0, "{}", finished.stdout);
        } else {
            assert!(finished.stdout.contains("lost"), "{format}: {}", finished.stdout);
        }
    }
    pair.client.ask("churn-stop").unwrap();
}

#[test]
#[ignore = "needs root and BPF"]
fn after_a_loss_the_graph_heals_with_the_next_interval() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let mut pair = churning(&directory);
    pair.server.listen("127.0.0.1:5001").unwrap();
    let mut late = Standin::start(&pair.netns, "latecomer").unwrap();
    let arguments = [
        "graph",
        "--duration",
        &seconds(6),
        "--interval",
        &seconds(1),
        "--ring-size",
        "4096",
        "-o",
        "json",
    ];
    let mut tracer = Tracer::start_ready(&arguments).unwrap();
    late.dial("127.0.0.1:5001", 100).unwrap();
    let now = pair.client.count("churned").unwrap();
    pair.client.wait_count("churned", now + 3000).unwrap();
    pair.client.ask("churn-stop").unwrap();
    assert!(
        tracer.runs().unwrap(),
        "the load took longer than the graph's window"
    );

    let graph = tracer.finish(patience()).unwrap().json().unwrap();
    assert!(json::lost(&graph) > 0, "{graph}");
    // Of what came and went while records were lost, an end may stay unnamed; what is alive is exact.
    let mut edges = json::edge_counts(&graph, pair.netns.inode(), "active");
    edges.retain(|(from, to, _, active)| *active > 0 || (from == "caller" && to == "answerer"));
    let edge = |from: &str, port, active| (from.to_owned(), "answerer".to_owned(), port, active);
    assert_eq!(edges, [edge("caller", 5000, 0), edge("latecomer", 5001, 100)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_goes_away_ends_the_stream_quietly() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let mut command = tracer::command(&["events", "-o", "json"]).unwrap();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    assert_eq!(kind(&serde_json::from_str(&first).unwrap()), "meta");
    drop(reader);
    until_true("it ends", patience(), || {
        pair.client.dial_close("127.0.0.1:5000", 10)?;
        Ok(child.try_wait()?.is_some())
    })
    .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        !said.contains("panic") && !said.to_lowercase().contains("pipe"),
        "{said}"
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reader_that_was_never_there_ends_a_graph_quietly() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    for format in ["table", "dot", "json"] {
        let mut command = tracer::command(&["graph", "--duration", "1", "-o", format]).unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}: {said}");
        assert!(
            !said.contains("panic") && !said.to_lowercase().contains("pipe"),
            "{format}: {said}"
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn interrupt_and_terminate_end_cleanly_with_a_summary() {
    if !needs![Need::Root, Need::Bpf, Need::Program("bpftool")] {
        return;
    }
    for signal in [Signal::INT, Signal::TERM] {
        let mut pair = Pair::start("caller", "answerer").unwrap();
        pair.server.listen("127.0.0.1:5000").unwrap();
        let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
        let held = bpf::held(tracer.pid()).unwrap();
        pair.client.dial_close("127.0.0.1:5000", 5).unwrap();
        tracer
            .wait_records("5 opened", |records| pair.count(records, OPENED) >= 5)
            .unwrap();
        tracer.signal(signal).unwrap();
        let finished = tracer.finish(patience()).unwrap();
        finished.expect_code(0).unwrap();
        // How much was lost is the machine's affair: other tests overwhelm every tracer on it.
        for part in ["-- window ", " records, ", " lost"] {
            assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
        }
        let records = finished.records().unwrap();
        assert_eq!(records.last().map(kind), Some("summary"));
        are_gone(&held);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn kill_leaves_nothing_attached() {
    if !needs![Need::Root, Need::Bpf, Need::Program("bpftool")] {
        return;
    }
    let pins = || fs::read_dir("/sys/fs/bpf").map_or(0, Iterator::count);
    let before = pins();
    let tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let held = bpf::held(tracer.pid()).unwrap();
    assert!(held.iter().any(|(kind, _)| *kind == "prog"), "{held:?}");
    assert_eq!(bpf::remaining(&held).unwrap(), held);
    tracer.signal(Signal::KILL).unwrap();
    assert_eq!(tracer.finish(patience()).unwrap().signal, Some(9));
    are_gone(&held);
    assert_eq!(pins(), before, "nothing is pinned");
}

#[test]
#[ignore = "needs root and BPF"]
fn misuse_is_told_from_everything_else() {
    if !needs![Need::Root] {
        return;
    }
    let cases: &[(&str, &[&str], &str)] = &[
        (
            "an unknown option",
            &["graph", "--no-such-option"],
            "--no-such-option",
        ),
        ("an unknown command", &["no-such-command"], "no-such-command"),
        (
            "an unknown format",
            &["graph", "-o", "no-such-format"],
            "no-such-format",
        ),
        (
            "a duration without a number",
            &["graph", "--duration", "soon"],
            "soon",
        ),
        ("a port beyond the last", &["events", "--port", "65536"], "65536"),
        (
            "an unknown backend",
            &["graph", "--probe", "no-such-probe"],
            "no-such-probe",
        ),
    ];
    for (case, arguments, named) in cases {
        let finished = tracer::run(arguments).unwrap();
        assert_eq!(finished.code, Some(2), "case: {case}: {}", finished.stderr);
        assert!(
            finished.stderr.contains(named),
            "case: {case}: {}",
            finished.stderr
        );
        assert_eq!(finished.stdout, "", "case: {case}");
    }
}

/// A pair whose client opens and closes connections without pause.
fn churning(directory: &Scratch) -> Pair {
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let log = directory.join("churn");
    pair.client
        .ask(format_args!("churn 127.0.0.1:5000 1000 {}", log.display()))
        .unwrap();
    pair.client.wait_count("churned", 100).unwrap();
    pair
}

/// Connections made while a tracer is stopped: many times what its ring of a page holds.
const UNREAD: u64 = 500;

/// Keeps a tracer from its ring until more has happened than fits.
fn overwhelm(tracer: &Tracer, pair: &mut Pair) {
    tracer.signal(Signal::STOP).unwrap();
    let churned = pair.client.count("churned").unwrap();
    pair.client.wait_count("churned", churned + UNREAD).unwrap();
    tracer.signal(Signal::CONT).unwrap();
}

/// Waits until the kernel has freed them, which it does a little after the last descriptor is closed.
fn are_gone(held: &BTreeSet<Object>) {
    until_true("the kernel has freed them", patience(), || {
        Ok(bpf::remaining(held)?.is_empty())
    })
    .unwrap();
}
