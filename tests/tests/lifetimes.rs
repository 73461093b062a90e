//! The life of a connection in records: each once, in order, with its ports and bytes, and nothing in between.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use tests::json::{destination, kind, number, port, source};
use tests::pair::Pair;
use tests::require::Need;
use tests::tracer::{self, Tracer};
use tests::wait::{patience, seconds};
use tests::{json, needs};

const OPENED: &str = "connection.opened";
const CLOSED: &str = "connection.closed";

/// Bytes of a transfer that takes tens of thousands of segments.
const SIZE: u64 = 64 << 20;

#[test]
#[ignore = "needs root and BPF"]
fn every_record_has_both_ports_though_the_kernel_zeroes_them() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let dialled: BTreeSet<u64> = pair
        .client
        .dial_close("127.0.0.1:5000", 100)
        .unwrap()
        .into_iter()
        .map(u64::from)
        .collect();
    pair.client.ask("try 127.0.0.1:5999 20").unwrap();
    tracer
        .wait_records("100 closed, 20 failed", |records| {
            pair.count(records, CLOSED) >= 100 && pair.count(records, "connection.failed") >= 20
        })
        .unwrap();

    let records = tracer.interrupt().unwrap().records().unwrap();
    for kind in [OPENED, CLOSED] {
        let found = pair.records(&records, kind);
        assert_eq!(
            found
                .iter()
                .map(|record| port(source(record)))
                .collect::<BTreeSet<_>>(),
            dialled,
            "{kind}"
        );
        assert!(
            found.iter().all(|record| port(destination(record)) == 5000),
            "{kind}"
        );
    }
    for record in pair.records(&records, "connection.failed") {
        assert_ne!(port(source(record)), 0, "{record}");
        assert_eq!(port(destination(record)), 5999, "{record}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_reused_port_and_descriptor_is_a_new_connection_with_its_own_bytes() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.ask("listen-brief 127.0.0.1:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    // The n-th of these sends n bytes; all have the same tuple, and the same descriptor in both processes.
    pair.client
        .ask("redial 127.0.0.1:5000 100 127.0.0.1:6000")
        .unwrap();
    tracer
        .wait_records("100 closed", |records| pair.count(records, CLOSED) >= 100)
        .unwrap();

    let records = tracer.interrupt().unwrap().records().unwrap();
    assert_eq!(pair.count(&records, OPENED), 100);
    let closed = pair.records(&records, CLOSED);
    let sent: Vec<_> = closed
        .iter()
        .map(|record| number(record, "stats.sent_bytes"))
        .collect();
    assert_eq!(sent, (1..=100).collect::<Vec<u64>>());
    assert!(
        closed
            .iter()
            .all(|record| number(record, "stats.received_bytes") == 0)
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn records_of_a_connection_are_in_order_though_its_ends_are_on_two_processors() {
    if !needs![Need::Root, Need::Bpf, Need::TwoProcessors] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.ask("cpu 0").unwrap();
    pair.client.ask("cpu 1").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.client.dial_close("127.0.0.1:5000", 3000).unwrap();
    tracer
        .wait_records("3000 closed", |records| pair.count(records, CLOSED) >= 3000)
        .unwrap();

    let records = tracer.interrupt().unwrap().records().unwrap();
    let mut open: BTreeMap<u64, u64> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| json::netns(record) == pair.netns.inode())
    {
        let port = port(source(record));
        match kind(record) {
            OPENED => assert_eq!(open.insert(port, 1), None, "opened twice: {record}"),
            CLOSED => assert_eq!(open.remove(&port), Some(1), "closed without being open: {record}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_bulk_transfer_adds_bytes_and_no_records() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    pair.client.ask(format_args!("send {SIZE}")).unwrap();
    pair.server.wait_count("received", SIZE).unwrap();
    pair.client.ask("close").unwrap();
    tracer
        .wait_records("closed", |records| pair.count(records, CLOSED) >= 1)
        .unwrap();

    let records = tracer.interrupt().unwrap().records().unwrap();
    let about: Vec<_> = records
        .iter()
        .filter(|record| json::netns(record) == pair.netns.inode() && port(source(record)) != 5000)
        .collect();
    // Opened, accepted, closed.
    assert!(about.len() <= 3, "{about:?}");
    let closed = pair.records(&records, CLOSED);
    assert_eq!(number(closed[0], "stats.sent_bytes"), SIZE);
}

#[test]
#[ignore = "needs root and BPF"]
fn bytes_of_a_connection_that_never_closes_come_with_the_interval() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.dial("127.0.0.1:5000", 3).unwrap();
    let arguments = [
        "graph",
        "--duration",
        &seconds(3),
        "--interval",
        &seconds(1),
        "-o",
        "json",
    ];
    let tracer = Tracer::start_ready(&arguments).unwrap();
    pair.client.ask("send 100000").unwrap();
    pair.server.wait_count("received", 300_000).unwrap();

    let graph = tracer.finish(patience()).unwrap().json().unwrap();
    let edges = json::edges(&graph, pair.netns.inode());
    assert_eq!(edges.len(), 1, "{edges:?}");
    assert_eq!(
        (edges[0].count("active"), edges[0].count("sent_bytes")),
        (3, 300_000)
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn an_edge_is_named_by_ends_and_server_port_never_by_the_clients_port() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.server.listen("127.0.0.1:5001").unwrap();
    pair.client.dial("127.0.0.1:5000", 300).unwrap();
    pair.client.dial("127.0.0.1:5001", 300).unwrap();
    pair.server.wait_count("accepted", 600).unwrap();

    let graph = tracer::run(&["graph", "--duration", "1", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    let edge = |port| ("caller".to_owned(), "answerer".to_owned(), port, 300);
    assert_eq!(
        json::edge_counts(&graph, pair.netns.inode(), "opened"),
        [edge(5000), edge(5001)]
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn listeners_come_and_go_in_the_stream() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    tracer
        .wait_records("opened", |records| pair.count(records, "listener.opened") == 1)
        .unwrap();
    pair.server.ask("unlisten 127.0.0.1:5000").unwrap();
    let records = tracer
        .wait_records("closed", |records| pair.count(records, "listener.closed") == 1)
        .unwrap();
    for kind in ["listener.opened", "listener.closed"] {
        let record = pair.records(&records, kind)[0];
        assert_eq!(
            json::pid(destination(record)),
            u64::from(pair.server.pid()),
            "{kind}"
        );
        assert_eq!(number(record, "listener.port"), 5000, "{kind}");
        assert_eq!(json::text(record, "listener.address"), "127.0.0.1", "{kind}");
    }
}
