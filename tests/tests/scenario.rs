//! The kubeadm node: every view says exactly what it is, whether the tracer or the node was there first.

#![cfg(test)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tests::json::{self, name, text};
use tests::listener::{Transport, has_mptcp};
use tests::machine::EtcdPort;
use tests::pair::Pair;
use tests::require::Need;
use tests::scenario::{APISERVER_TO_ETCD, NAMES, Scenario, connections, listeners};
use tests::scratch::Scratch;
use tests::standin::Standin;
use tests::tracer::{self, Tracer};
use tests::wait::{patience, seconds};
use tests::{needs, skipped};

const CLIENTS: &str = "etcd-clients";
const APISERVER: &str = "apiserver-etcd";

#[test]
#[ignore = "needs root and BPF"]
fn listeners_are_exactly_the_nodes() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start().unwrap();
    let document = tracer::run(&["listeners", "-o", "json"]).unwrap().json().unwrap();
    assert_eq!(json::listeners(&document, node.netns().inode()), listeners());
    let pids = node.pids();
    for item in json::items(&document, node.netns().inode()) {
        assert_eq!(json::pid(item), u64::from(pids[name(item)]), "{item}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn listeners_of_one_component_are_its_own() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start().unwrap();
    for component in ["etcd", "kube-controller-manager", "kubelet"] {
        let document = tracer::run(&["listeners", component, "-o", "json"])
            .unwrap()
            .json()
            .unwrap();
        let own: Vec<_> = listeners()
            .into_iter()
            .filter(|(name, _, _)| name == component)
            .collect();
        assert_eq!(
            json::listeners(&document, node.netns().inode()),
            own,
            "{component}"
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn connections_are_counted_once_each() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start().unwrap();
    let inode = node.netns().inode();
    let counted = tracer::run(&["connections", "--count", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(json::connection_counts(&counted, inode), connections());

    let each = tracer::run(&["connections", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for item in json::items(&each, inode) {
        let [from, to] = [json::source(item), json::destination(item)];
        *counts
            .entry((name(from).to_owned(), name(to).to_owned(), json::port(to)))
            .or_default() += 1;
        assert_eq!(text(item, "network.connection.state"), "established", "{item}");
    }
    let counts: Vec<_> = counts
        .into_iter()
        .map(|((from, to, port), count)| (from, to, port, count))
        .collect();
    assert_eq!(counts, connections());
}

#[test]
#[ignore = "needs root and BPF"]
fn the_graph_is_the_node_when_the_tracer_starts_after_it() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start().unwrap();
    let graph = tracer::run(&["graph", "--duration", &seconds(3), "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    is_the_node(&graph, &node);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_graph_is_the_node_when_the_tracer_starts_before_it() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let mut node = Scenario::empty(EtcdPort::shared().unwrap()).unwrap();
    let mut tracer = Tracer::start_ready(&["graph", "--duration", &seconds(8), "-o", "json"]).unwrap();
    node.listen().unwrap();
    node.connect().unwrap();
    assert!(
        tracer.runs().unwrap(),
        "the node took longer to start than the graph's window"
    );
    let graph = tracer.finish(patience()).unwrap().json().unwrap();
    is_the_node(&graph, &node);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_graph_is_the_node_when_the_tracer_starts_between_listeners_and_connections() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let mut node = Scenario::empty(EtcdPort::shared().unwrap()).unwrap();
    node.listen().unwrap();
    let mut tracer = Tracer::start_ready(&["graph", "--duration", &seconds(3), "-o", "json"]).unwrap();
    node.connect().unwrap();
    assert!(
        tracer.runs().unwrap(),
        "the connections took longer than the graph's window"
    );
    let graph = tracer.finish(patience()).unwrap().json().unwrap();
    is_the_node(&graph, &node);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_recording_begun_before_the_node_shows_it_in_every_view() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = directory.join("node.rec").to_str().unwrap().to_owned();
    let mut node = Scenario::empty(EtcdPort::shared().unwrap()).unwrap();
    let tracer = Tracer::start_ready(&["record", "-w", &file]).unwrap();
    node.listen().unwrap();
    node.connect().unwrap();
    tracer.interrupt().unwrap().expect_code(0).unwrap();

    let replay = |view: &[&str]| {
        let arguments = [&["replay", &file], view, &["-o", "json"]].concat();
        tracer::run(&arguments).unwrap().json().unwrap()
    };
    let inode = node.netns().inode();
    is_the_node(&replay(&["graph"]), &node);
    assert_eq!(json::listeners(&replay(&["listeners"]), inode), listeners());
    assert_eq!(
        json::connection_counts(&replay(&["connections", "--count"]), inode),
        connections()
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn components_are_recognised() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start().unwrap();
    let document = tracer::run(&["components", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(components(&document, &node), all_components(&node));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_healthy_node_is_verified() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start_alone().unwrap();
    let finished = tracer::run(&["verify", "--duration", &seconds(3), "-o", "json"]).unwrap();
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    finished
        .expect_code(i32::from(text(&document, "verdict") != "pass"))
        .unwrap();
    assert_eq!(json::check(&document, APISERVER).0, "pass", "{document}");
    assert!(json::passes_in(&document, node.netns().inode()), "{document}");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_foreign_client_of_etcd_fails_the_verification_and_is_named() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start_alone().unwrap();
    let mut foreign = Standin::start(node.netns(), "exfiltrator").unwrap();
    let tracer = Tracer::start_ready(&["verify", "--duration", &seconds(3), "-o", "json"]).unwrap();
    foreign.dial_close("192.168.59.150:2379", 1).unwrap();
    let finished = tracer.finish(patience()).unwrap();
    finished.expect_code(1).unwrap();
    let document = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(text(&document, "verdict"), "fail", "{document}");
    assert_eq!(json::check(&document, CLIENTS).0, "fail", "{document}");
    assert_eq!(json::check(&document, APISERVER).0, "pass", "{document}");
    assert!(
        json::check_records(&document, CLIENTS).contains("exfiltrator"),
        "{document}"
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn an_allowed_client_of_etcd_passes_the_verification() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let node = Scenario::start_alone().unwrap();
    let mut backup = Standin::start(node.netns(), "etcd-backup").unwrap();
    let arguments = [
        "verify",
        "--duration",
        &seconds(3),
        "--allow",
        "etcd-backup",
        "-o",
        "json",
    ];
    let tracer = Tracer::start_ready(&arguments).unwrap();
    backup.dial_close("127.0.0.1:2379", 1).unwrap();
    tracer.finish(patience()).unwrap().expect_code(0).unwrap();
}

#[test]
#[ignore = "needs root and BPF"]
fn a_verification_that_lost_records_is_inconclusive() {
    if !needs![Need::Root, Need::Bpf, Need::Program("etcd")] {
        return;
    }
    let _node = Scenario::start_alone().unwrap();
    let directory = Scratch::new().unwrap();
    let mut load = Pair::start("load", "sink").unwrap();
    load.server.listen("127.0.0.1:5000").unwrap();
    load.client
        .ask(format_args!(
            "churn 127.0.0.1:5000 1000 {}",
            directory.join("log").display()
        ))
        .unwrap();
    let arguments = [
        "verify",
        "--duration",
        &seconds(3),
        "--ring-size",
        "4096",
        "-o",
        "json",
    ];
    let finished = tracer::run(&arguments).unwrap();
    finished.expect_code(3).unwrap();
    let document = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(text(&document, "verdict"), "inconclusive", "{document}");
    assert_eq!(json::check(&document, CLIENTS).0, "inconclusive", "{document}");
}

/// Components of today listen by MPTCP, those of yesterday by TCP: nobody but the kernel sees a difference.
#[test]
#[ignore = "needs root and BPF"]
fn by_mptcp_the_node_is_what_it_is_by_tcp_with_each_snapshot() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    if !has_mptcp() {
        return skipped!("needs MPTCP, which this kernel lacks");
    }
    for transport in [Transport::Mptcp, Transport::Tcp] {
        let node = Scenario::of_standins(EtcdPort::alone().unwrap(), transport).unwrap();
        for snapshot in ["iterator", "procfs"] {
            let case = format!("{transport:?}, {snapshot}");
            let start = |view: &[&str]| {
                tracer::run(&[view, &["-o", "json", "--snapshot", snapshot]].concat()).unwrap()
            };
            if snapshot == "iterator" && start(&["listeners"]).code == Some(4) {
                skipped!("{case}: this kernel has no such iterator");
                continue;
            }
            let run = |view: &[&str]| {
                let finished = start(view);
                finished.expect_code(0).unwrap();
                finished.json().unwrap()
            };
            let found = run(&["listeners"]);
            assert_eq!(
                json::listeners(&found, node.netns().inode()),
                listeners(),
                "{case}"
            );
            assert_eq!(
                components(&run(&["components"]), &node),
                all_components(&node),
                "{case}"
            );
            is_the_node(&run(&["graph", "--duration", &seconds(1)]), &node);
            let verdicts = start(&["verify", "--duration", &seconds(2)]).stdout;
            let verdicts: Value = serde_json::from_str(&verdicts).unwrap();
            assert_eq!(json::check(&verdicts, APISERVER).0, "pass", "{case}: {verdicts}");
            let netns = node.netns().inode();
            assert!(json::passes_in(&verdicts, netns), "{case}: {verdicts}");
        }
    }
}

/// The components of `components` that are the node's, by process.
fn components(document: &Value, node: &Scenario) -> BTreeSet<(String, u64)> {
    let pids = node.pids();
    json::list(document, "items")
        .iter()
        .filter(|item| pids.values().any(|pid| u64::from(*pid) == json::pid(item)))
        .map(|item| (name(item).to_owned(), json::pid(item)))
        .collect()
}

/// What [`components`] should give: all but the terminal in a browser, which is none.
fn all_components(node: &Scenario) -> BTreeSet<(String, u64)> {
    let pids = node.pids();
    NAMES
        .iter()
        .filter(|name| **name != "ttyd")
        .map(|name| ((*name).to_owned(), u64::from(pids[name])))
        .collect()
}

/// The graph has the node's connections, each once, with every end named, and says that nothing was missed.
fn is_the_node(graph: &Value, node: &Scenario) {
    let inode = node.netns().inode();
    assert_eq!(json::edge_counts(graph, inode, "opened"), connections());
    assert_eq!(json::edge_counts(graph, inode, "active"), connections());
    assert_eq!(json::lost(graph), 0);
    let pids = node.pids();
    for edge in json::edges(graph, inode) {
        for end in [&edge.source, &edge.destination] {
            assert_eq!(text(end, "kind"), "component", "{end}");
            assert_eq!(json::list(end, "pids"), [pids[text(end, "component")]], "{end}");
        }
    }
    let to_etcd: u64 = json::edges(graph, inode)
        .iter()
        .filter(|edge| edge.key() == ("kube-apiserver".to_owned(), "etcd".to_owned(), 2379))
        .map(|edge| edge.count("active"))
        .sum();
    assert_eq!(to_etcd, APISERVER_TO_ETCD);
}
