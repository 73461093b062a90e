//! Who is at each end: the owner of a socket is right whatever the kernel was running when the record was made.

#![cfg(test)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use tests::json::{destination, name, number, pid, port, source, text};
use tests::netns::Netns;
use tests::pair::Pair;
use tests::require::Need;
use tests::standin::{Program, Standin};
use tests::tracer::{self, Tracer};
use tests::wait::{boot_ns, seconds};
use tests::{json, needs};

const OPENED: &str = "connection.opened";
const CLOSED: &str = "connection.closed";

#[test]
#[ignore = "needs root and BPF"]
fn the_pid_is_the_owners_though_the_transitions_run_in_softirq() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.server.ask("listen-brief 127.0.0.1:5001").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    // Here the client closes first, and below the server does.
    pair.client.dial_close("127.0.0.1:5000", 200).unwrap();
    pair.client
        .ask("redial 127.0.0.1:5001 200 127.0.0.1:6000")
        .unwrap();
    tracer
        .wait_records("400 closed", |records| pair.count(records, CLOSED) >= 400)
        .unwrap();

    let records = tracer.interrupt().unwrap().records().unwrap();
    for kind in [OPENED, CLOSED] {
        let found = pair.records(&records, kind);
        assert_eq!(found.len(), 400, "{kind}");
        for record in found {
            assert!(pair.owns_both_ends(record), "{record}");
            assert_eq!(
                (name(source(record)), name(destination(record))),
                ("caller", "answerer")
            );
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_accepting_owner_is_known_with_many_threads_blocked_in_accept_since_before_the_start() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.ask("listen-blocking 127.0.0.1:5000 64").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.client.dial("127.0.0.1:5000", 300).unwrap();
    pair.server.wait_count("accepted", 300).unwrap();
    tracer
        .wait_records("300 opened", |records| pair.count(records, OPENED) >= 300)
        .unwrap();

    let records = tracer.interrupt().unwrap().records().unwrap();
    let opened = pair.records(&records, OPENED);
    assert_eq!(opened.len(), 300);
    assert!(opened.iter().all(|record| pair.owns_both_ends(record)));
    assert!(
        pair.records(&records, "connection.accepted")
            .iter()
            .all(|record| pair.owns_both_ends(record))
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn a_worker_that_accepts_on_the_socket_of_another_is_the_one_that_accepted() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "listener").unwrap();
    pair.server.ask("listen-deaf 127.0.0.1:5000 128").unwrap();
    let mut worker = Standin::start(&pair.netns, "worker").unwrap();
    let listener = pair.server.pid();
    worker
        .ask(format_args!("listen-with {listener} 127.0.0.1:5000"))
        .unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.client.dial_close("127.0.0.1:5000", 20).unwrap();
    worker.wait_count("accepted", 20).unwrap();
    let records = tracer
        .wait_records("20 closed", |records| pair.count(records, CLOSED) >= 20)
        .unwrap();
    let closed = pair.records(&records, CLOSED);
    assert_eq!(closed.len(), 20);
    for record in closed {
        assert_eq!(pid(destination(record)), u64::from(worker.pid()), "{record}");
        assert_eq!(name(destination(record)), "worker", "{record}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn an_old_connection_that_nobody_has_accepted_yet_has_both_ends() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.ask("listen-deaf 127.0.0.1:5000 8").unwrap();
    pair.client.dial("127.0.0.1:5000", 3).unwrap();
    let finished = tracer::run(&["connections", "-o", "json"]).unwrap();
    let rows = finished.json().unwrap();
    let rows = json::items(&rows, pair.netns.inode());
    assert_eq!(rows.len(), 3, "{rows:?}");
    for row in rows {
        assert_eq!(
            text(row, "observer.side"),
            "both",
            "no file holds its server's end: {row}"
        );
        assert_eq!(name(source(row)), "caller", "{row}");
        assert_eq!(name(destination(row)), "answerer", "{row}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn ipv4_clients_of_a_dual_stack_listener_meet_their_server() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("[::]:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let mapped = pair.client.dial("127.0.0.1:5000", 3).unwrap();
    let native = pair.client.dial("[::1]:5000", 3).unwrap();
    pair.server.wait_count("accepted", 6).unwrap();
    tracer
        .wait_records("6 opened", |records| pair.count(records, OPENED) >= 6)
        .unwrap();
    let records = tracer.interrupt().unwrap().records().unwrap();

    let cases = [
        ("mapped", mapped, "127.0.0.1", "ipv4"),
        ("native", native, "::1", "ipv6"),
    ];
    for (case, ports, address, version) in cases {
        for local in ports {
            let opened = pair.records(&records, OPENED);
            let found: Vec<_> = opened
                .iter()
                .filter(|r| port(source(r)) == u64::from(local))
                .collect();
            assert_eq!(found.len(), 1, "case: {case}");
            assert!(pair.owns_both_ends(found[0]), "case: {case}: {}", found[0]);
            assert_eq!(text(source(found[0]), "address"), address, "case: {case}");
            assert_eq!(text(destination(found[0]), "address"), address, "case: {case}");
            assert_eq!(text(found[0], "network.type"), version, "case: {case}");
        }
    }
    let graph = tracer::run(&["graph", "--duration", "1", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    let edges = json::edge_counts(&graph, pair.netns.inode(), "active");
    assert_eq!(edges, [("caller".to_owned(), "answerer".to_owned(), 5000, 6)]);
}

#[test]
#[ignore = "needs root and BPF"]
fn the_same_loopback_tuple_in_two_namespaces_is_two_connections() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    two_connections_of_one_tuple("127.0.0.1:5000", "127.0.0.1:6000");
}

#[test]
#[ignore = "needs root and BPF"]
fn the_same_addresses_and_ports_in_two_namespaces_are_two_connections() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    two_connections_of_one_tuple("10.99.8.2:5000", "10.99.8.1:6000");
    two_connections_of_one_tuple("[fd99:8::2]:5000", "[fd99:8::1]:6000");
}

/// One connection in each of two namespaces, between the same addresses.
fn two_connections_of_one_tuple(server: &str, client: &str) {
    let mut pairs = [
        Pair::start("caller", "answerer").unwrap(),
        Pair::start("caller", "answerer").unwrap(),
    ];
    for pair in &pairs {
        for address in [server, client].map(|one| one.parse::<SocketAddr>().unwrap().ip()) {
            if !address.is_loopback() {
                let prefix = if address.is_ipv4() { 32 } else { 128 };
                pair.netns.add_address("lo", address, prefix).unwrap();
            }
        }
    }
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    for pair in &mut pairs {
        pair.server.listen(server).unwrap();
        pair.client.ask(format_args!("dial {server} 1 {client}")).unwrap();
        pair.server.wait_count("accepted", 1).unwrap();
    }
    // Found at the start by this one.
    let graph = tracer::run(&["graph", "--duration", "1", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    for pair in &pairs {
        let edges = json::edges(&graph, pair.netns.inode());
        assert_eq!(edges.len(), 1, "{edges:?}");
        assert_eq!(edges[0].count("active"), 1);
        let pids = |end| json::list(end, "pids").to_vec();
        assert_eq!(pids(&edges[0].source), [pair.client.pid()]);
        assert_eq!(pids(&edges[0].destination), [pair.server.pid()]);
    }

    let [first, second] = &mut pairs;
    first.client.ask("close").unwrap();
    tracer
        .wait_records("the first closed", |records| first.count(records, CLOSED) == 1)
        .unwrap();
    let records = tracer.interrupt().unwrap().records().unwrap();
    for (pair, closed) in [(first, 1), (second, 0)] {
        let opened = pair.records(&records, OPENED);
        assert_eq!(opened.len(), 1);
        assert!(pair.owns_both_ends(opened[0]), "{}", opened[0]);
        assert_eq!(pair.count(&records, CLOSED), closed);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn ends_in_two_namespaces_are_joined_into_one_edge() {
    if !needs![Need::Root, Need::Bpf, Need::Veth] {
        return;
    }
    let (near, far) = (Netns::new().unwrap(), Netns::new().unwrap());
    near.connect("near0", &far, "far0").unwrap();
    near.add_address("near0", "10.99.0.1".parse().unwrap(), 24)
        .unwrap();
    far.add_address("far0", "10.99.0.2".parse().unwrap(), 24).unwrap();
    let mut client = Standin::start(&near, "caller").unwrap();
    let mut server = Standin::start(&far, "answerer").unwrap();
    server.listen("[::]:5000").unwrap();
    client.dial("10.99.0.2:5000", 5).unwrap();
    server.wait_count("accepted", 5).unwrap();

    let graph = tracer::run(&["graph", "--duration", "1", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    for netns in [&near, &far] {
        let edges = json::edge_counts(&graph, netns.inode(), "opened");
        assert_eq!(edges, [("caller".to_owned(), "answerer".to_owned(), 5000, 5)]);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_keeps_its_name_after_its_exit() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let netns = Netns::new().unwrap();
    let mut server = Standin::start(&netns, "answerer").unwrap();
    server.listen("127.0.0.1:5000").unwrap();
    let mut tracer = Tracer::start(&["graph", "--duration", &seconds(2), "-o", "json"]).unwrap();
    tracer.wait_ready().unwrap();
    let job = Program::new("nightly-job").unwrap();
    let gone = job.run(&netns, "dial 127.0.0.1:5000 7; send 10").unwrap();
    drop(job);

    let graph = tracer.finish(tests::wait::patience()).unwrap().json().unwrap();
    let edges = json::edges(&graph, netns.inode());
    assert_eq!(edges.len(), 1, "{edges:?}");
    assert_eq!(
        edges[0].key(),
        ("nightly-job".to_owned(), "answerer".to_owned(), 5000)
    );
    assert_eq!(json::list(&edges[0].source, "pids"), [gone]);
    assert_eq!((edges[0].count("opened"), edges[0].count("active")), (7, 0));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_calls_itself_etcd_is_not_etcd() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "impostor").unwrap();
    pair.server.ask("call etcd").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.ask("call kube-apiserver").unwrap();
    pair.client.dial("127.0.0.1:5000", 2).unwrap();
    pair.server.wait_count("accepted", 2).unwrap();

    let graph = tracer::run(&["graph", "--duration", "1", "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    let edges = json::edges(&graph, pair.netns.inode());
    assert_eq!(edges.len(), 1, "{edges:?}");
    assert_eq!(edges[0].key(), ("caller".to_owned(), "impostor".to_owned(), 5000));
    for end in [&edges[0].source, &edges[0].destination] {
        assert_eq!(
            (text(end, "kind"), text(end, "component")),
            ("process", ""),
            "{end}"
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_thousand_clients_of_a_few_milliseconds_are_all_named() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let netns = Netns::new().unwrap();
    let mut server = Standin::start(&netns, "kube-apiserver").unwrap();
    server.listen("[::]:6443").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let curl = Program::new("curl").unwrap();
    let mut pids = BTreeSet::new();
    for _ in 0..1000 {
        pids.insert(u64::from(
            curl.run(&netns, "dial 127.0.0.1:6443 1; send 100").unwrap(),
        ));
    }
    let inode = netns.inode();
    tracer
        .wait_records("1000 closed", |records| {
            json::records(records, CLOSED, inode).len() >= 1000
        })
        .unwrap();

    let records = tracer.interrupt().unwrap().records().unwrap();
    for kind in [OPENED, CLOSED] {
        let found = json::records(&records, kind, inode);
        assert_eq!(found.len(), 1000, "{kind}");
        assert_eq!(
            found
                .iter()
                .map(|record| pid(source(record)))
                .collect::<BTreeSet<_>>(),
            pids,
            "{kind}"
        );
        for record in found {
            assert_eq!(name(source(record)), "curl", "{record}");
            assert_eq!(
                text(source(record), "process.executable.path"),
                curl.path().to_str().unwrap(),
                "{record}"
            );
            assert_eq!(name(destination(record)), "kube-apiserver", "{record}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn both_components_are_known_for_a_client_that_lived_under_ten_milliseconds() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let netns = Netns::new().unwrap();
    let mut server = Standin::start(&netns, "kube-apiserver").unwrap();
    server.listen("[::]:6443").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let kubectl = Program::new("kubectl").unwrap();
    let brief = (0..200).find_map(|_| {
        let start = boot_ns();
        let pid = kubectl.run(&netns, "dial 127.0.0.1:6443 1; send 100").unwrap();
        (boot_ns() - start < 10_000_000).then_some(pid)
    });
    let Some(brief) = brief else {
        tests::skipped!("no process lives and dies within 10 ms on this machine");
        return;
    };
    let of_brief = |record: &&serde_json::Value| pid(source(record)) == u64::from(brief);
    let inode = netns.inode();
    tracer
        .wait_records("its connection closed", |records| {
            json::records(records, CLOSED, inode).iter().any(of_brief)
        })
        .unwrap();
    let records = tracer.interrupt().unwrap().records().unwrap();
    for kind in [OPENED, CLOSED] {
        let found: Vec<_> = json::records(&records, kind, inode)
            .into_iter()
            .filter(of_brief)
            .collect();
        assert_eq!(found.len(), 1, "{kind}");
        let [from, to] = [source(found[0]), destination(found[0])];
        assert_eq!(
            (text(from, "component"), text(to, "component")),
            ("kubectl", "kube-apiserver"),
            "{kind}"
        );
        assert_eq!(text(from, "process.executable.name"), "kubectl", "{kind}");
        assert_eq!(pid(to), u64::from(server.pid()), "{kind}");
        assert_eq!(number(from, "process.user.id"), 0, "{kind}");
    }
}
