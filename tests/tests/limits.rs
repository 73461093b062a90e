//! What the tracer takes of a node, and how that fits the node: the socket table.

#![cfg(test)]

use serde_json::Value;
use tests::json::{list, number, text};
use tests::pair::Pair;
use tests::require::Need;
use tests::tracer::{self, Tracer};
use tests::wait::{patience, seconds};
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
