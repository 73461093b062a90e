//! The start: connections that come and go while the tracer attaches and scans are neither lost nor doubled.
//!
//! A stand-in logs when each of its connections was opened and closed. Whatever was still open when the tracer had
//! said that it is ready must be counted once; whatever had long ended before it was started must not be counted.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tests::json::{destination, name, port, source};
use tests::pair::Pair;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::tracer::Tracer;
use tests::wait::{boot_ns, patience, seconds};
use tests::{json, needs};

/// Connections in all, and at least as many after the tracer was ready as make whole ports of [`EACH`].
const CHURNED: u64 = 10_000;
const AFTER: u64 = 4_000;
/// Connections to one server port before the next port is taken.
const EACH: u64 = 500;
const PORTS: std::ops::Range<u64> = 5000..5100;
const HELD: u64 = 1_000;
/// Bytes of a ring that has room for all of it, however little of a processor the tracer gets beside others.
const RING: &str = "33554432";
/// A connection that ended this long before the tracer was started has no socket left, the server's end included.
const LONG_NS: u64 = 1_000_000_000;

/// A line of the log: ports, and the times just before and after opening and closing.
struct Churned {
    server: u64,
    local: u64,
    opening: u64,
    closing: u64,
    closed: u64,
}

#[test]
#[ignore = "needs root and BPF"]
fn connections_opened_and_closed_during_the_start_are_counted_once() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let log = directory.join("churn");
    let mut pair = churning(&log);
    let started = boot_ns();
    let mut tracer = Tracer::start_ready(&[
        "graph",
        "--duration",
        &seconds(6),
        "-o",
        "json",
        "--ring-size",
        RING,
    ])
    .unwrap();
    let ready = boot_ns();
    let churned = enough(&mut pair, &log);
    assert!(
        tracer.runs().unwrap(),
        "the churn took longer than the graph's window"
    );
    let graph = tracer.finish(patience()).unwrap().json().unwrap();

    assert_eq!(json::lost(&graph), 0);
    let edges = json::edges(&graph, pair.netns.inode());
    let edge = |port: u64| {
        let found = || edges.iter().filter(|edge| edge.key().2 == port);
        // Whose client had closed before the programs were attached has nobody left to ask.
        for edge in found().filter(|edge| name(&edge.source) != "churner") {
            assert_eq!(edge.count("found"), edge.count("opened"), "{edge:?}");
        }
        let sum = |counter| found().map(|edge| edge.count(counter)).sum::<u64>();
        (sum("opened"), sum("active"))
    };
    assert_eq!(edge(4999), (HELD, HELD), "held since before the start");
    let mut exact = 0;
    for server in PORTS {
        let to = || churned.iter().filter(|line| line.server == server);
        let must = to().filter(|line| line.closing > ready).count() as u64;
        let may = to().filter(|line| line.closed + LONG_NS > started).count() as u64;
        let (opened, active) = edge(server);
        assert!(
            (must..=may).contains(&opened),
            "port {server}: {opened} of {must} to {may}"
        );
        assert_eq!(active, 0, "port {server}");
        exact += u64::from(must == may && must > 0);
    }
    assert!(
        exact >= AFTER / EACH - 1,
        "only {exact} ports were used wholly after the start"
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn events_of_connections_around_the_start_come_once() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let log = directory.join("churn");
    let mut pair = churning(&log);
    let mut tracer = Tracer::start_ready(&["events", "-o", "json", "--ring-size", RING]).unwrap();
    let ready = boot_ns();
    let churned = enough(&mut pair, &log);
    let last = churned.iter().map(key).next_back().unwrap();
    tracer
        .wait_records("the last one closed", |records| {
            pair.records(records, "connection.closed")
                .iter()
                .any(|record| event_key(record) == last)
        })
        .unwrap();
    let records = tracer.interrupt().unwrap().records().unwrap();

    assert_eq!(json::lost_records(&records), 0);
    for kind in ["connection.opened", "connection.closed"] {
        let moment = |line: &Churned| {
            if kind == "connection.opened" {
                line.opening
            } else {
                line.closing
            }
        };
        let mut seen: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for record in pair.records(&records, kind) {
            *seen.entry(event_key(record)).or_default() += 1;
        }
        let mut bounds: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
        for line in &churned {
            let (must, may) = bounds.entry(key(line)).or_default();
            *must += u64::from(moment(line) > ready);
            *may += 1;
        }
        for (ports, (must, may)) in bounds {
            let count = seen.remove(&ports).unwrap_or(0);
            assert!(
                (must..=may).contains(&count),
                "{kind} of {ports:?}: {count} of {must} to {may}"
            );
        }
        assert!(
            seen.keys().all(|(_, server)| *server == 4999),
            "{kind} of nobody's: {seen:?}"
        );
    }
}

/// A pair with connections held, and others opened and closed without pause.
fn churning(log: &Path) -> Pair {
    let mut pair = Pair::start("churner", "answerer").unwrap();
    // Enough ports that none is used again within the test.
    pair.netns
        .sysctl("ipv4/ip_local_port_range", "10000 65000")
        .unwrap();
    pair.server.listen("127.0.0.1:4999").unwrap();
    let addresses: Vec<_> = PORTS.map(|port| format!("127.0.0.1:{port}")).collect();
    for address in &addresses {
        pair.server.listen(address).unwrap();
    }
    pair.client
        .dial("127.0.0.1:4999", usize::try_from(HELD).unwrap())
        .unwrap();
    pair.client
        .ask(format_args!(
            "churn {} {EACH} {}",
            addresses.join(","),
            log.display()
        ))
        .unwrap();
    pair.client.wait_count("churned", 1000).unwrap();
    pair
}

/// Lets the churn go on until it is enough, ends it, and reads its log.
fn enough(pair: &mut Pair, log: &Path) -> Vec<Churned> {
    let now = pair.client.count("churned").unwrap();
    pair.client
        .wait_count("churned", CHURNED.max(now + AFTER))
        .unwrap();
    pair.client.ask("churn-stop").unwrap();
    pair.server.wait_count_down("held", HELD).unwrap();
    fs::read_to_string(log).unwrap().lines().map(parse).collect()
}

fn parse(line: &str) -> Churned {
    let fields: Vec<u64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
    let [server, local, opening, _open, closing, closed] = fields[..] else {
        panic!("{line}")
    };
    Churned {
        server,
        local,
        opening,
        closing,
        closed,
    }
}

fn key(line: &Churned) -> (u64, u64) {
    (line.local, line.server)
}

fn event_key(record: &serde_json::Value) -> (u64, u64) {
    (port(source(record)), port(destination(record)))
}
