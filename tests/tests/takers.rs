//! Who took a connection where its port does not tell: workers that share one, devices, a transparent proxy, oneself.

#![cfg(test)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use tests::json::{self, destination, name, pid, source};
use tests::needs;
use tests::netns::Netns;
use tests::pair::Pair;
use tests::require::Need;
use tests::standin::Standin;
use tests::tracer::{self, Tracer};

const KINDS: [&str; 2] = ["connection.opened", "connection.closed"];

/// Waits for `count` connections opened and closed in a namespace.
fn told(mut tracer: Tracer, netns: &Netns, count: usize) -> Vec<Value> {
    let records = tracer
        .wait_records("all opened and closed", |records| {
            KINDS.map(|kind| json::records(records, kind, netns.inode()).len()) == [count; 2]
        })
        .unwrap();
    tracer.interrupt().unwrap();
    let of_kind = |kind| json::records(&records, kind, netns.inode()).into_iter().cloned();
    KINDS.into_iter().flat_map(of_kind).collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn workers_that_share_a_port_are_their_program() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "worker").unwrap();
    let mut workers = [
        pair.server.again(&pair.netns).unwrap(),
        pair.server.again(&pair.netns).unwrap(),
    ];
    for worker in workers.iter_mut().chain([&mut pair.server]) {
        worker.ask("listen-as 0.0.0.0:8000 reuseport").unwrap();
    }
    let tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.client.dial("127.0.0.1:8000", 24).unwrap();
    let graph = tracer::run(&["graph", "--duration", "1", "-o", "json"]);
    let live = json::edge_counts(&graph.unwrap().json().unwrap(), pair.netns.inode(), "active");
    assert_eq!(live, [("caller".to_owned(), "worker".to_owned(), 8000, 24)]);
    pair.client.ask("close").unwrap();
    let pids: BTreeSet<u64> = workers
        .iter()
        .chain([&pair.server])
        .map(|one| one.pid().into())
        .collect();
    for record in told(tracer, &pair.netns, 24) {
        let worker = destination(&record);
        assert_eq!(name(worker), "worker", "{record}");
        // Which one is told by who accepted or closed, never guessed.
        if json::kind(&record) == "connection.closed" {
            assert!(pids.contains(&pid(worker)), "{record}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn different_programs_on_one_port_are_told_apart_by_their_devices() {
    if !needs![Need::Root, Need::Bpf, Need::Veth] {
        return;
    }
    let (clients, servers) = (Netns::new().unwrap(), Netns::new().unwrap());
    let mut running = Vec::new();
    let mut client = Standin::start(&clients, "caller").unwrap();
    for (number, server) in [(1, "answerer"), (2, "listener")] {
        let (near, far) = (format!("near{number}"), format!("far{number}"));
        clients.connect(&near, &servers, &far).unwrap();
        let address = |host| format!("10.9.{number}.{host}").parse().unwrap();
        clients.add_address(&near, address(1), 24).unwrap();
        servers.add_address(&far, address(2), 24).unwrap();
        let mut standin = Standin::start(&servers, server).unwrap();
        standin
            .ask(format_args!("listen-as 0.0.0.0:8000 device={far}"))
            .unwrap();
        running.push(standin);
    }
    let tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    for number in [1, 2] {
        client.dial_close(&format!("10.9.{number}.2:8000"), 3).unwrap();
    }
    for record in told(tracer, &clients, 6) {
        let server = destination(&record);
        let want = if json::text(server, "address") == "10.9.1.2" {
            "answerer"
        } else {
            "listener"
        };
        assert_eq!(name(server), want, "{record}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_socket_that_is_connected_to_itself_is_its_program_at_both_ends() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let netns = Netns::new().unwrap();
    let mut loner = Standin::start(&netns, "loner").unwrap();
    let tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    loner.ask("dial 127.0.0.1:6000 1 127.0.0.1:6000").unwrap();
    loner.ask("close").unwrap();
    for record in told(tracer, &netns, 1) {
        for end in [source(&record), destination(&record)] {
            assert_eq!((name(end), pid(end)), ("loner", loner.pid().into()), "{record}");
        }
    }
}

/// What is for port 80 of any address goes to port 15001 here, as a mesh's proxy has it.
const DIVERT: &str = "*mangle\n\
    -A PREROUTING -p tcp -m tcp --dport 80 -j TPROXY --on-port 15001 --tproxy-mark 1\n\
    COMMIT\n";

#[test]
#[ignore = "needs root and BPF"]
fn what_is_diverted_to_a_transparent_proxy_is_the_proxys() {
    if !needs![Need::Root, Need::Bpf, Need::Veth, Need::Nat, Need::Program("ip")] {
        return;
    }
    let (clients, node) = (Netns::new().unwrap(), Netns::new().unwrap());
    clients.connect("near", &node, "far").unwrap();
    clients
        .add_address("near", "10.66.0.2".parse().unwrap(), 24)
        .unwrap();
    node.add_address("far", "10.66.0.1".parse().unwrap(), 24).unwrap();
    clients
        .route_via("10.77.0.0".parse().unwrap(), 16, "10.66.0.1".parse().unwrap())
        .unwrap();
    node.sysctl("ipv4/ip_forward", "1").unwrap();
    for command in [
        "rule add fwmark 1 lookup 100",
        "route add local default dev lo table 100",
    ] {
        let done = node.inside(|| Command::new("ip").args(command.split(' ')).status().unwrap());
        assert!(done.unwrap().success(), "{command}");
    }
    if let Err(error) = node.translate(DIVERT) {
        tests::skipped!("needs TPROXY: {error:#}");
        return;
    }
    let mut proxy = Standin::start(&node, "proxy").unwrap();
    proxy.ask("listen-as 0.0.0.0:15001 transparent").unwrap();
    let mut client = Standin::start(&clients, "caller").unwrap();
    let tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    client.dial_close("10.77.0.9:80", 5).unwrap();
    for record in told(tracer, &clients, 5) {
        assert_eq!(name(destination(&record)), "proxy", "{record}");
        assert_eq!(pid(destination(&record)), u64::from(proxy.pid()), "{record}");
    }
}
