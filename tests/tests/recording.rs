//! Recordings: a replay prints what the live run printed, and a bad file is named for what it is.

#![cfg(test)]

use rustix::process::Signal;
use std::fs;
use std::path::Path;
use tests::json;
use tests::needs;
use tests::pair::Pair;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::tracer::{self, Finished, Tracer};
use tests::wait::{patience, seconds, until_true};

#[test]
#[ignore = "needs root and BPF"]
fn a_replay_is_byte_for_byte_the_live_graph() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    for format in ["json", "dot", "table"] {
        let file = path(&directory, format);
        let mut pair = traffic();
        let arguments = ["graph", "--duration", &seconds(3), "-o", format, "-w", &file];
        let tracer = Tracer::start_ready(&arguments).unwrap();
        more_traffic(&mut pair);
        let live = tracer.finish(patience()).unwrap();
        live.expect_code(0).unwrap();
        // After the processes have gone: nothing of a replay may come from the machine it runs on.
        drop(pair);
        let replayed = tracer::run(&["replay", &file, "graph", "-o", format]).unwrap();
        replayed.expect_code(0).unwrap();
        assert!(!live.stdout.is_empty());
        assert_eq!(replayed.stdout, live.stdout, "{format}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_verification_replayed_comes_to_the_same_verdict() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = path(&directory, "verified");
    let live = tracer::run(&["verify", "--duration", &seconds(1), "-o", "json", "-w", &file]).unwrap();
    let replayed = tracer::run(&["replay", &file, "verify", "-o", "json"]).unwrap();
    // On this machine it may be any: other tests' etcds come and go. The recording has the same.
    assert!(matches!(live.code, Some(0 | 1 | 3)), "{}", live.stderr);
    assert_eq!((replayed.code, replayed.stdout), (live.code, live.stdout));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_bad_file_is_named_for_what_it_is() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let (whole, pair) = recorded(&directory);
    let good = fs::read(&whole).unwrap();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("one byte short", good[..good.len() - 1].to_vec(), "truncated"),
        ("half of it", good[..good.len() / 2].to_vec(), "truncated"),
        ("damaged in the middle", flipped(&good, good.len() / 2), "damaged"),
        ("nothing", Vec::new(), "truncated"),
        (
            "another kind of file",
            b"\x7fELF and so on, for more than a header's length".to_vec(),
            "is not a recording of kcn-trace",
        ),
        (
            "text",
            b"{\"schema\":\"kcn-trace.graph/v1\"}\n".repeat(20),
            "is not a recording of kcn-trace",
        ),
    ];
    for (case, bytes, named) in cases {
        let file = path(&directory, "bad");
        fs::write(&file, bytes).unwrap();
        let finished = replay(&file);
        assert_eq!(finished.code, Some(5), "case: {case}: {}", finished.stderr);
        assert!(
            finished.stderr.contains(named),
            "case: {case}: {}",
            finished.stderr
        );
        assert!(
            finished.stderr.contains(&file),
            "case: {case} names the file: {}",
            finished.stderr
        );
    }
    let missing = replay(&path(&directory, "missing"));
    assert_eq!(missing.code, Some(5), "{}", missing.stderr);

    // Everything before the damage is used.
    let file = path(&directory, "short");
    fs::write(&file, &good[..good.len() - 1]).unwrap();
    has_the_traffic(&replay(&file), &pair);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recording_whose_writer_was_killed_can_be_replayed() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = path(&directory, "killed");
    let mut pair = traffic();
    let tracer = Tracer::start_ready(&["record", "-w", &file, "--interval", "1"]).unwrap();
    more_traffic(&mut pair);
    let length = || fs::metadata(&file).map_or(0, |found| found.len());
    let mut before = length();
    // Two growths after the traffic: the frame that held it has been written by then.
    for _ in 0..2 {
        until_true("the recording grows", patience(), || {
            more_traffic(&mut pair);
            Ok(length() > before)
        })
        .unwrap();
        before = length();
    }
    tracer.signal(Signal::KILL).unwrap();
    tracer.finish(patience()).unwrap();
    let finished = replay(&file);
    assert!(matches!(finished.code, Some(0 | 5)), "{}", finished.stderr);
    // What closed after the last frame is still open in the recording.
    assert!(
        traffic_edge(&finished, &pair).count("active") >= 3,
        "{}",
        finished.stdout
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn record_and_replay_events_give_both_ends() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let (file, pair) = recorded(&directory);
    let finished = tracer::run(&["replay", &file, "events", "-o", "json"]).unwrap();
    finished.expect_code(0).unwrap();
    let records = finished.records().unwrap();
    let closed = pair.records(&records, "connection.closed");
    assert_eq!(closed.len(), 20);
    assert!(closed.iter().all(|record| pair.owns_both_ends(record)));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recording_that_ends_at_its_size_knows_what_was_lost() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = path(&directory, "small");
    let mut pair = Pair::start("kube-apiserver", "etcd").unwrap();
    pair.server.listen("127.0.0.1:2379").unwrap();
    pair.client.dial("127.0.0.1:2379", 2).unwrap();
    pair.client.ask("churn 127.0.0.1:2379 1000 /dev/null").unwrap();
    let tracer =
        Tracer::start_ready(&["record", "-w", &file, "--max-size", "64K", "--ring-size", "4096"]).unwrap();
    // More than its ring holds happens while it is stopped. Then the file fills.
    tracer.signal(Signal::STOP).unwrap();
    let churned = pair.client.count("churned").unwrap();
    pair.client.wait_count("churned", churned + 500).unwrap();
    tracer.signal(Signal::CONT).unwrap();
    let live = tracer.finish(patience()).unwrap();
    live.expect_code(0).unwrap();
    let graph = replay(&file);
    graph.expect_code(0).unwrap();
    let told = |stderr: &str| {
        stderr
            .lines()
            .filter(|line| line.starts_with("-- window") || line.starts_with("incomplete:"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(!told(&live.stderr).is_empty(), "{}", live.stderr);
    assert_eq!(told(&graph.stderr), told(&live.stderr));
    assert!(json::lost(&graph.json().unwrap()) > 0, "{}", live.stderr);

    let verified = tracer::run(&["replay", &file, "verify", "-o", "json"]).unwrap();
    let verdicts = serde_json::from_str(&verified.stdout).unwrap();
    let (verdict, reason) = json::check(&verdicts, "etcd-clients");
    // A foreign client of another test's etcd is a fail, whatever was lost.
    assert!(matches!(verdict, "inconclusive" | "fail"), "{verdict}: {reason}");
    assert!(
        verdict == "fail" || reason.contains("records were lost"),
        "{reason}"
    );
    // Those at its start and at its end.
    assert_eq!(json::number(&verdicts, "meta.health.canaries.made"), 2);
}

#[test]
#[ignore = "needs root and BPF"]
fn no_check_passes_on_a_recording_that_was_cut_or_changed() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = path(&directory, "whole");
    let mut pair = Pair::start("kube-apiserver", "etcd").unwrap();
    pair.server.listen("127.0.0.1:2379").unwrap();
    pair.client.dial("127.0.0.1:2379", 2).unwrap();
    let live = tracer::run(&["record", "-w", &file, "--duration", &seconds(1)]).unwrap();
    live.expect_code(0).unwrap();
    let good = fs::read(&file).unwrap();
    let last = good.len() - 1;
    for (case, bytes) in [
        ("one byte short", good[..last].to_vec()),
        ("half of it", good[..good.len() / 2].to_vec()),
        ("damaged at the end", flipped(&good, last)),
        ("damaged in the middle", flipped(&good, good.len() / 2)),
    ] {
        fs::write(&file, bytes).unwrap();
        for check in [&[][..], &["apiserver-etcd"], &["etcd-clients"]] {
            let finished = tracer::run(&[&["replay", &file, "verify"], check].concat()).unwrap();
            assert_eq!(finished.code, Some(5), "case: {case}: {}", finished.stderr);
            assert!(
                !finished.stdout.contains("PASS"),
                "case: {case}: {}",
                finished.stdout
            );
        }
    }
}

/// A recording of [`more_traffic`], and who made it.
fn recorded(directory: &Scratch) -> (String, Pair) {
    let file = path(directory, "whole");
    let mut pair = traffic();
    let tracer = Tracer::start_ready(&["record", "-w", &file]).unwrap();
    more_traffic(&mut pair);
    let finished = tracer.interrupt().unwrap();
    finished.expect_code(0).unwrap();
    (file, pair)
}

/// Three connections that are there before any tracer.
fn traffic() -> Pair {
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("[::]:5000").unwrap();
    pair.client.dial("127.0.0.1:5000", 3).unwrap();
    pair.server.wait_count("accepted", 3).unwrap();
    pair
}

/// Twenty that come and go, and refusals.
fn more_traffic(pair: &mut Pair) {
    pair.client.dial_close("127.0.0.1:5000", 20).unwrap();
    pair.client.ask("try 127.0.0.1:5999 5").unwrap();
    pair.server.wait_count_down("held", 3).unwrap();
}

fn has_the_traffic(finished: &Finished, pair: &Pair) {
    assert_eq!(traffic_edge(finished, pair).count("active"), 3);
}

fn traffic_edge(finished: &Finished, pair: &Pair) -> json::Edge {
    let graph = serde_json::from_str(&finished.stdout).unwrap();
    let edges = json::edges(&graph, pair.netns.inode());
    let key = ("caller".to_owned(), "answerer".to_owned(), 5000);
    let edge = edges.into_iter().find(|edge| edge.key() == key).unwrap();
    assert!(edge.count("opened") >= 23, "{edge:?}");
    edge
}

fn replay(file: &str) -> Finished {
    tracer::run(&["replay", file, "graph", "-o", "json"]).unwrap()
}

fn path(directory: &Scratch, name: &str) -> String {
    let path: &Path = &directory.join(name);
    path.to_str().unwrap().to_owned()
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0xff;
    bytes
}
