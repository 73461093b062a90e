//! What the tracer takes of a node, and how that fits the node: the socket table.

#![cfg(test)]

use serde_json::Value;
use tests::json::{list, number, text};
use tests::pair::Pair;
use tests::require::Need;
use tests::tracer::{self, Tracer};
use tests::wait::{boot_ns, patience, seconds};
use tests::{bpf, needs};

#[test]
#[ignore = "needs root and BPF"]
fn the_socket_table_is_as_large_as_doctor_says_or_as_was_asked_for() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let doctor = tracer::run(&["doctor", "-o", "json"]).unwrap().json().unwrap();
    let found = list(&doctor, "items")
        .iter()
        .find(|line| text(line, "what") == "socket table")
        .map(|line| text(line, "found").to_owned())
        .unwrap();
    // `262144 sockets, 32 MiB of kernel memory (8192 MiB of memory)`
    let mut numbers = found.split_whitespace().filter_map(|word| word.parse().ok());
    let (sockets, mib): (u64, u64) = (numbers.next().unwrap(), numbers.next().unwrap());
    let tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let (room, bytes) = bpf::table(tracer.pid()).unwrap();
    assert_eq!(room, sockets, "{found}");
    assert!(room.is_power_of_two() && room >= 1 << 14, "{found}");
    // Besides entries there are a few objects for each processor; old kernels do not account buckets.
    let taken = bytes.div_ceil(1 << 20);
    assert!(
        taken <= mib + 1 && mib <= taken + 1 + taken / 4,
        "{found}, {bytes} bytes are taken"
    );
    let asked = Tracer::start_ready(&["events", "-o", "json", "--max-sockets", "1000"]).unwrap();
    assert_eq!(bpf::table(asked.pid()).unwrap().0, 1000);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_full_socket_table_is_told_with_its_size() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let duration = seconds(3);
    let run = [
        "graph",
        "--duration",
        &duration,
        "-o",
        "json",
        "--max-sockets",
        "16",
    ];
    let tracer = Tracer::start_ready(&run).unwrap();
    pair.client.dial("127.0.0.1:5000", 100).unwrap();
    let graph = tracer.finish(patience()).unwrap().json().unwrap();
    let full = |one: &&Value| text(one, "why").contains("at most 16 sockets");
    let degraded = list(&graph, "meta.health.degraded");
    let told = degraded
        .iter()
        .find(full)
        .unwrap_or_else(|| panic!("{degraded:?}"));
    assert_eq!(text(told, "remedy"), "--max-sockets 64");
    assert!(number(&graph, "meta.health.ownerless") > 0, "{graph}");
}

/// How often the source waited, and how often the ring ended the wait, by what the tracer says under `-vv`.
fn waits(stderr: &str) -> (u64, u64) {
    let line = stderr.lines().find(|line| line.contains("source ended")).unwrap();
    let number = |name: &str| {
        let (_, rest) = line.split_once(name).unwrap();
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    (number("waits="), number("woken="))
}

#[test]
#[ignore = "needs root and BPF"]
fn under_load_the_ring_is_looked_at_by_the_timer_and_when_it_is_half_full() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("churner", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.ask("churn 127.0.0.1:5000 1 /dev/null").unwrap();
    let duration = seconds(3);
    let run = [
        "graph",
        "--duration",
        &duration,
        "-o",
        "json",
        "-vv",
        "--ring-size",
    ];
    for (ring, is_small) in [("16M", false), ("16K", true)] {
        let begun = boot_ns();
        let tracer = Tracer::start(&[&run[..], &[ring]].concat()).unwrap();
        let finished = tracer.finish(patience() * 2).unwrap();
        let looks = (boot_ns() - begun) / 10_000_000;
        let (waits, woken) = waits(&finished.stderr);
        let graph = finished.json().unwrap();
        assert!(
            number(&graph, "meta.health.delivered") > 2 * looks,
            "too little load to tell: {graph}"
        );
        // As many looks as the timer allows, and one more for each time that somebody woke it; twice as many, because a wait
        // also ends for a snapshot and for signals.
        assert!(
            waits <= 2 * looks + woken,
            "{waits} waits, {woken} woken, {looks} looks in {ring}"
        );
        if is_small {
            assert!(
                woken > 0,
                "nobody woke it though a small ring was half full: {waits} waits"
            );
        } else {
            assert!(
                woken <= 3,
                "{woken} of {waits} waits ended with the ring far from half full"
            );
        }
    }
}
