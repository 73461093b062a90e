//! A graph that is watched: what is alive, what was, what is forgotten.

#![cfg(test)]

use serde_json::Value;
use tests::json;
use tests::needs;
use tests::netns::Netns;
use tests::pair::Pair;
use tests::require::Need;
use tests::tracer::Tracer;
use tests::wait::seconds;

/// Destination ports of a namespace's edges, with how many connections each has and has had.
fn ports(graph: &Value, netns: &Netns) -> Vec<(u64, u64, u64)> {
    json::edges(graph, netns.inode())
        .iter()
        .map(|edge| (edge.key().2, edge.count("active"), edge.count("opened")))
        .collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn a_watched_graph_lets_go_of_dead_edges_and_of_no_live_one() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    for address in ["127.0.0.1:5000", "127.0.0.1:5001"] {
        pair.server.listen(address).unwrap();
    }
    // Both hear of the same; only the one was asked to forget.
    let all = ["graph", "--watch", "--duration", &seconds(120), "-o", "json"];
    let forgets = [&all[..], &["--forget-after", "2s", "--interval", "1s"]].concat();
    let remembers = Tracer::start_ready(&all).unwrap();
    let mut forgets = Tracer::start_ready(&forgets).unwrap();
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    pair.client.dial_close("127.0.0.1:5000", 3).unwrap();
    pair.client.dial_close("127.0.0.1:5001", 2).unwrap();
    let both = |graphs: &[Value]| graphs.iter().any(|graph| ports(graph, &pair.netns).len() == 2);
    forgets.wait_records("both edges", both).unwrap();
    let last = |graphs: &[Value]| graphs.last().map(|graph| ports(graph, &pair.netns));
    forgets
        .wait_records("the dead edge is gone", |graphs| {
            last(graphs).is_some_and(|ports| ports.len() == 1)
        })
        .unwrap();
    let graphs = forgets.interrupt().unwrap().records().unwrap();
    let all: Vec<_> = graphs.iter().map(|graph| ports(graph, &pair.netns)).collect();
    assert_eq!(
        all.last().unwrap(),
        &[(5000, 1, 4)],
        "with all of its sums: {all:?}"
    );

    let graphs = remembers.interrupt().unwrap().records().unwrap();
    assert_eq!(last(&graphs).unwrap(), [(5000, 1, 4), (5001, 0, 2)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn active_shows_what_is_connected_and_last_seen_when_the_rest_was() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    for address in ["127.0.0.1:5000", "127.0.0.1:5001"] {
        pair.server.listen(address).unwrap();
    }
    let view = ["graph", "--duration", &seconds(120), "--process", "caller"];
    let active = [&view[..], &["--active", "-o", "json"]].concat();
    let watch = ["graph", "--watch", "--duration", &seconds(120), "-o", "json"];
    let mut watch = Tracer::start_ready(&watch).unwrap();
    let tracers = [&view[..], &active[..]].map(|view| Tracer::start_ready(view).unwrap());
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    pair.client.dial_close("127.0.0.1:5001", 2).unwrap();
    watch
        .wait_records("two are over", |graphs| {
            graphs
                .last()
                .is_some_and(|graph| ports(graph, &pair.netns).contains(&(5001, 0, 2)))
        })
        .unwrap();
    let [table, active] = tracers.map(|tracer| tracer.interrupt().unwrap());
    assert_eq!(
        ports(&active.json().unwrap(), &pair.netns),
        [(5000, 1, 1)],
        "{}{}",
        active.stdout,
        active.stderr
    );
    let header = table.stdout.lines().next().unwrap();
    let at = header.find("LAST SEEN").unwrap();
    let group = format!("netns/{}/caller", pair.netns.inode());
    let seen: Vec<&str> = table
        .stdout
        .lines()
        .filter(|line| line.starts_with(&group))
        .map(|line| line[at..at + "LAST SEEN".len()].trim())
        .collect();
    let [now, ago] = seen[..] else {
        panic!("{}", table.stdout)
    };
    assert_eq!(now, "now", "{}", table.stdout);
    assert!(ago.ends_with('s'), "{}", table.stdout);
}
