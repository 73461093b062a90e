//! Every backend that the kernel has gives the same records. Made for virtual machines too: needs no other program.

#![cfg(test)]

use serde_json::Value;
use tests::json::{self, destination, kind, number, port, source, text};
use tests::pair::Pair;
use tests::require::Need;
use tests::scenario::{Scenario, connections, listeners};
use tests::tracer::{self, Tracer};
use tests::wait::seconds;
use tests::{needs, skipped};

const PROBES: [&str; 3] = ["fentry", "kprobe", "tracepoint"];
const CLOSED: &str = "connection.closed";
const FAILED: &str = "connection.failed";

#[test]
#[ignore = "needs root and BPF"]
fn fentry_gives_the_records() {
    if needs![Need::Root, Need::Bpf] && !gives_the_records("fentry") {
        skipped!("this kernel refuses fentry");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn kprobe_gives_the_records() {
    if needs![Need::Root, Need::Bpf] && !gives_the_records("kprobe") {
        skipped!("this kernel refuses kprobe");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn tracepoint_gives_the_records() {
    if needs![Need::Root, Need::Bpf] {
        assert!(
            gives_the_records("tracepoint"),
            "the last resort works everywhere"
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_choice_of_this_kernel_gives_the_records() {
    if needs![Need::Root, Need::Bpf] {
        assert!(gives_the_records("auto"));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn each_backend_shows_the_node_as_it_is() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let node = Scenario::start_without_etcd().unwrap();
    let inode = node.netns().inode();
    for probe in PROBES.into_iter().chain(["auto"]) {
        let arguments = ["graph", "--duration", &seconds(1), "--probe", probe, "-o", "json"];
        let finished = tracer::run(&arguments).unwrap();
        if refuses(&finished, probe) {
            continue;
        }
        let graph = finished.json().unwrap();
        assert_eq!(
            json::edge_counts(&graph, inode, "opened"),
            connections(),
            "{probe}"
        );
        assert_eq!(
            json::edge_counts(&graph, inode, "active"),
            connections(),
            "{probe}"
        );
        let run = |view: &[&str]| {
            tracer::run(&[view, &["-o", "json", "--probe", probe]].concat())
                .unwrap()
                .json()
                .unwrap()
        };
        assert_eq!(
            json::listeners(&run(&["listeners"]), inode),
            listeners(),
            "{probe}"
        );
        let counted = run(&["connections", "--count"]);
        assert_eq!(json::connection_counts(&counted, inode), connections(), "{probe}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn each_backend_shows_a_node_that_starts_under_its_eyes() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    for probe in PROBES {
        let arguments = ["graph", "--duration", &seconds(5), "--probe", probe, "-o", "json"];
        let mut tracer = Tracer::start(&arguments).unwrap();
        if tracer.wait_ready().is_err() {
            let finished = tracer.finish(tests::wait::patience()).unwrap();
            assert!(refuses(&finished, probe), "{}", finished.stderr);
            continue;
        }
        let node = Scenario::start_without_etcd().unwrap();
        assert!(
            tracer.runs().unwrap(),
            "the node took longer to start than the graph's window"
        );
        let graph = tracer.finish(tests::wait::patience()).unwrap().json().unwrap();
        assert_eq!(
            json::edge_counts(&graph, node.netns().inode(), "opened"),
            connections(),
            "{probe}"
        );
    }
}

/// Makes a little of every traffic under a backend and compares all records. False where the kernel refuses it.
fn gives_the_records(probe: &str) -> bool {
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.server.ask("listen-brief 127.0.0.1:5001").unwrap();
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    pair.server.wait_count("accepted", 1).unwrap();
    let mut tracer = Tracer::start(&["events", "-o", "json", "--probe", probe]).unwrap();
    if tracer.wait_ready().is_err() {
        let finished = tracer.finish(tests::wait::patience()).unwrap();
        assert!(refuses(&finished, probe), "{}", finished.stderr);
        return false;
    }
    pair.client.ask("close").unwrap();
    pair.server.listen("[::]:5002").unwrap();
    pair.client.dial_close("127.0.0.1:5000", 5).unwrap();
    pair.client.ask("redial 127.0.0.1:5001 3 127.0.0.1:6000").unwrap();
    pair.client.dial("127.0.0.1:5002", 2).unwrap();
    pair.client.dial("[::1]:5002", 2).unwrap();
    pair.client.ask("send 1000").unwrap();
    pair.server.wait_count("received", 4006).unwrap();
    pair.client.ask("close").unwrap();
    pair.client.ask("try 127.0.0.1:5999 3").unwrap();
    pair.server.wait_count_down("held", 0).unwrap();
    pair.server.ask("unlisten [::]:5002").unwrap();
    tracer
        .wait_records("all closed and failed", |records| {
            let enough = |kind, count| pair.count(records, kind) >= count;
            enough(CLOSED, 13) && enough(FAILED, 3) && enough("listener.closed", 1)
        })
        .unwrap();
    let records = tracer.interrupt().unwrap().records().unwrap();
    let own: Vec<_> = records
        .iter()
        .filter(|record| json::netns(record) == pair.netns.inode())
        .collect();
    for record in &own {
        if [CLOSED, "connection.opened"].contains(&kind(record)) {
            assert!(pair.owns_both_ends(record), "{probe}: {record}");
        }
    }
    // Whether the hand-over by accept is told apart from the opening is the backend's own affair.
    let mut lines: Vec<_> = own
        .iter()
        .filter(|record| kind(record) != "connection.accepted")
        .map(|record| line(record))
        .collect();
    lines.sort();
    assert_eq!(lines, expected(), "{probe}");
    true
}

/// The records of [`gives_the_records`], as [`line`] writes them, sorted.
fn expected() -> Vec<String> {
    let mut lines = Vec::new();
    let mut connection = |count: usize, address: &str, port: u64, sent: u64| {
        for kind in ["connection.opened", CLOSED] {
            let sent = if kind == CLOSED { sent } else { 0 };
            let line = format!("{kind} {address} caller -> answerer :{port} sent {sent} received 0");
            lines.extend(std::iter::repeat_n(line, count));
        }
    };
    connection(5, "127.0.0.1", 5000, 0);
    for bytes in 1..=3 {
        connection(1, "127.0.0.1", 5001, bytes);
    }
    connection(2, "127.0.0.1", 5002, 1000);
    connection(2, "::1", 5002, 1000);
    // Older than the tracer: its end is seen, its beginning was not.
    lines.push(format!(
        "{CLOSED} 127.0.0.1 caller -> answerer :5000 sent 0 received 0"
    ));
    let refused = format!("{FAILED} 127.0.0.1 caller -> :5999 refused 111");
    lines.extend(std::iter::repeat_n(refused, 3));
    lines.extend([
        "listener.opened :: answerer :5002".to_owned(),
        "listener.closed :: answerer :5002".to_owned(),
    ]);
    lines.sort();
    lines
}

/// What of a record must be the same everywhere: neither times nor process ids nor the clients' ports.
fn line(record: &Value) -> String {
    let (from, to) = (source(record), destination(record));
    let comm = |end| text(end, "process.command");
    match kind(record) {
        kind @ ("listener.opened" | "listener.closed") => {
            let [address, port] = ["listener.address", "listener.port"].map(|path| json::at(record, path));
            format!(
                "{kind} {} {} :{port}",
                address.as_str().unwrap_or_default(),
                comm(to)
            )
        }
        FAILED => {
            let error = (text(record, "error.type"), number(record, "error.errno"));
            format!(
                "{FAILED} {} {} -> :{} {} {}",
                text(to, "address"),
                comm(from),
                port(to),
                error.0,
                error.1
            )
        }
        kind => {
            let [sent, received] =
                ["stats.sent_bytes", "stats.received_bytes"].map(|path| number(record, path));
            let [address, from, to, port] =
                [text(to, "address"), comm(from), comm(to), &port(to).to_string()];
            format!("{kind} {address} {from} -> {to} :{port} sent {sent} received {received}")
        }
    }
}

/// Whether a run says that this kernel has no such backend. Anything else that ends a run is a failure.
fn refuses(finished: &tracer::Finished, probe: &str) -> bool {
    let refuses = finished.code == Some(4);
    assert!(
        !refuses || finished.stderr.contains(probe),
        "the refusal names the backend: {}",
        finished.stderr
    );
    refuses
}
