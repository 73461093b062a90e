//! Connects that fail are edges with a reason, and cost nothing afterwards.

#![cfg(test)]

use tests::bpf;
use tests::json::{self, destination, name, number, pid, port, source, text};
use tests::needs;
use tests::netns::Netns;
use tests::pair::Pair;
use tests::require::Need;
use tests::standin::Standin;
use tests::tracer::Tracer;
use tests::wait::{patience, seconds};

const FAILED: &str = "connection.failed";

/// Many times what an owner table would hold if its entries were not freed in time for the next connect.
const REFUSALS: usize = 5000;

/// A namespace whose route to 10.99.1.0/24 leads through another.
fn behind_a_router() -> (Netns, Netns) {
    let (near, router) = (Netns::new().unwrap(), Netns::new().unwrap());
    near.connect("near0", &router, "far0").unwrap();
    near.add_address("near0", "10.99.0.1".parse().unwrap(), 24)
        .unwrap();
    router
        .add_address("far0", "10.99.0.2".parse().unwrap(), 24)
        .unwrap();
    near.route_via("10.99.1.0".parse().unwrap(), 24, "10.99.0.2".parse().unwrap())
        .unwrap();
    router.sysctl("ipv4/ip_forward", "1").unwrap();
    (near, router)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_failed_connect_has_its_owner_its_target_and_its_reason() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.netns.sysctl("ipv4/tcp_syn_retries", "1").unwrap();
    // Its one place for a connection nobody accepts is taken: every further SYN is dropped.
    pair.server.ask("listen-deaf 127.0.0.1:5001 0").unwrap();
    pair.client.dial("127.0.0.1:5001", 1).unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.client.ask("try 127.0.0.1:5000 1").unwrap();
    pair.client.ask("try [::1]:5002 1").unwrap();
    pair.client.ask("try 127.0.0.1:5001 1 20").unwrap();
    assert_eq!(
        pair.client.ask("try 127.0.0.1:5001 1").unwrap(),
        libc::ETIMEDOUT.to_string()
    );
    let records = tracer
        .wait_records("4 failed", |records| pair.count(records, FAILED) >= 4)
        .unwrap();

    let failed = pair.records(&records, FAILED);
    let cases = [
        ("nobody listens", 5000, "127.0.0.1", "refused", libc::ECONNREFUSED),
        (
            "nobody listens on IPv6",
            5002,
            "::1",
            "refused",
            libc::ECONNREFUSED,
        ),
        ("the caller gave up", 5001, "127.0.0.1", "abandoned", 0),
        ("no answer", 5001, "127.0.0.1", "timeout", libc::ETIMEDOUT),
    ];
    assert_eq!(failed.len(), cases.len());
    for ((case, to, address, reason, errno), record) in cases.into_iter().zip(failed) {
        assert_eq!(text(record, "error.type"), reason, "case: {case}: {record}");
        assert_eq!(
            number(record, "error.errno"),
            u64::from(errno.unsigned_abs()),
            "case: {case}"
        );
        assert_eq!(
            (text(destination(record), "address"), port(destination(record))),
            (address, to),
            "case: {case}"
        );
        assert_eq!(name(source(record)), "caller", "case: {case}");
        assert_eq!(pid(source(record)), u64::from(pair.client.pid()), "case: {case}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_host_that_a_router_calls_unreachable_is_unreachable() {
    if !needs![Need::Root, Need::Bpf, Need::Veth] {
        return;
    }
    let (near, router) = behind_a_router();
    router
        .route_unreachable("10.99.1.0".parse().unwrap(), 24)
        .unwrap();
    let mut client = Standin::start(&near, "caller").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    assert_eq!(
        client.ask("try 10.99.1.1:5000 1 0").unwrap(),
        libc::EHOSTUNREACH.to_string()
    );

    let failed = |records: &[serde_json::Value]| json::records(records, FAILED, near.inode()).len();
    let records = tracer
        .wait_records("failed", |records| failed(records) == 1)
        .unwrap();
    let record = json::records(&records, FAILED, near.inode())[0];
    assert_eq!(text(record, "error.type"), "unreachable", "{record}");
    assert_eq!(text(destination(record), "address"), "10.99.1.1", "{record}");
}

#[test]
#[ignore = "needs root and BPF"]
fn what_a_router_prohibits_is_prohibited() {
    if !needs![Need::Root, Need::Bpf, Need::Veth] {
        return;
    }
    let (near, router) = (Netns::new().unwrap(), Netns::new().unwrap());
    near.connect("near0", &router, "far0").unwrap();
    near.add_address("near0", "fd00:99::1".parse().unwrap(), 64)
        .unwrap();
    router
        .add_address("far0", "fd00:99::2".parse().unwrap(), 64)
        .unwrap();
    near.route_via("fd00:98::".parse().unwrap(), 64, "fd00:99::2".parse().unwrap())
        .unwrap();
    router.sysctl("ipv6/conf/all/forwarding", "1").unwrap();
    // ICMPv6 "administratively prohibited", which is EACCES at the client.
    router.route_prohibit("fd00:98::".parse().unwrap(), 64).unwrap();
    let mut client = Standin::start(&near, "caller").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    assert_eq!(
        client.ask("try [fd00:98::1]:5000 1 0").unwrap(),
        libc::EACCES.to_string()
    );

    let failed = |records: &[serde_json::Value]| json::records(records, FAILED, near.inode()).len();
    let records = tracer
        .wait_records("failed", |records| failed(records) == 1)
        .unwrap();
    let record = json::records(&records, FAILED, near.inode())[0];
    assert_eq!(text(record, "error.type"), "prohibited", "{record}");
    assert_eq!(
        number(record, "error.errno"),
        u64::from(libc::EACCES.unsigned_abs()),
        "{record}"
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn an_api_server_that_etcd_refuses_is_an_edge_to_a_guess() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let netns = Netns::new().unwrap();
    let mut apiserver = Standin::start(&netns, "kube-apiserver").unwrap();
    let window = seconds(3);
    let [document, table] = ["json", "table"].map(|format| {
        let tracer = Tracer::start_ready(&["graph", "--duration", &window, "-o", format]).unwrap();
        apiserver.ask("try 127.0.0.1:2379 3").unwrap();
        tracer.finish(patience()).unwrap()
    });
    let edges = json::edges(&document.json().unwrap(), netns.inode());
    assert_eq!(edges.len(), 1, "{edges:?}");
    let etcd = &edges[0].destination;
    assert_eq!(
        (text(etcd, "label"), text(etcd, "component")),
        ("etcd?", ""),
        "{etcd}"
    );
    assert_eq!(edges[0].count("failed.refused"), 3);
    let row = table.stdout.lines().find(|row| row.contains(netns.inode()));
    let row = row.unwrap_or_else(|| panic!("no row of {}: {}", netns.inode(), table.stdout));
    assert!(row.contains("/etcd? "), "{row}");
    assert!(row.contains("role guessed by port"), "{row}");
}

#[test]
#[ignore = "needs root and BPF"]
fn refused_and_timed_out_connects_are_edges_with_a_reason() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.netns.sysctl("ipv4/tcp_syn_retries", "1").unwrap();
    pair.server.ask("listen-deaf 127.0.0.1:5001 0").unwrap();
    pair.client.dial("127.0.0.1:5001", 1).unwrap();
    let tracer = Tracer::start_ready(&["graph", "--duration", &seconds(6), "-o", "json"]).unwrap();
    pair.client.ask("try 127.0.0.1:5000 20").unwrap();
    pair.client.ask("try 127.0.0.1:5001 1").unwrap();

    let graph = tracer.finish(patience()).unwrap().json().unwrap();
    let edges = json::edges(&graph, pair.netns.inode());
    let edge = |port| {
        let found: Vec<_> = edges.iter().filter(|edge| edge.key().2 == port).collect();
        assert_eq!(found.len(), 1, "{edges:?}");
        found[0]
    };
    assert_eq!(name(&edge(5000).source), "caller");
    assert_eq!(
        (edge(5000).count("opened"), edge(5000).count("failed.refused")),
        (0, 20)
    );
    assert_eq!(name(&edge(5001).destination), "answerer");
    assert_eq!(
        (edge(5001).count("opened"), edge(5001).count("failed.timeout")),
        (1, 1)
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn after_thousands_of_refusals_the_tracer_still_sees_and_holds_nothing_for_them() {
    if !needs![Need::Root, Need::Bpf, Need::Program("bpftool")] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let before = bpf::entries(tracer.pid()).unwrap();
    pair.client
        .ask(format_args!("try 127.0.0.1:5999 {REFUSALS}"))
        .unwrap();
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    tracer
        .wait_records("all failed, one opened", |records| {
            pair.count(records, FAILED) >= REFUSALS && pair.count(records, "connection.opened") >= 1
        })
        .unwrap();

    let held = bpf::entries(tracer.pid()).unwrap().saturating_sub(before);
    // Other tests' sockets come and go on the same machine; a leak would be one entry a refusal.
    assert!(held < REFUSALS / 2, "{held} more map entries than before");
    let records = tracer.interrupt().unwrap().records().unwrap();
    assert_eq!(pair.count(&records, FAILED), REFUSALS);
    let opened = pair.records(&records, "connection.opened");
    assert_eq!(opened.len(), 1);
    assert!(pair.owns_both_ends(opened[0]));
}

/// What a record says of its error, against what `connect` returned: the kind always, the number where a hook of this kernel
/// has it.
fn says(record: &serde_json::Value, errno: i32) -> bool {
    match json::at(record, "error.errno").as_i64() {
        Some(found) => found == i64::from(errno),
        None => text(record, "error.type") == "unknown",
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connect_that_fails_at_once_is_told_with_its_target() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    for (address, to) in [
        ("198.51.100.9", "198.51.100.9:5001"),
        ("2001:db8::9", "[2001:db8::9]:5001"),
    ] {
        let returned = pair.client.ask(format_args!("try {to} 2 0")).unwrap();
        assert_eq!(returned, libc::ENETUNREACH.to_string());
        let told = |records: &[serde_json::Value]| -> Vec<serde_json::Value> {
            let records = pair.records(records, FAILED).into_iter();
            let there = records.filter(|record| text(destination(record), "address") == address);
            there.cloned().collect()
        };
        let records = tracer
            .wait_records("both are told", |records| told(records).len() >= 2)
            .unwrap();
        let told = told(&records);
        assert_eq!(told.len(), 2, "{to}");
        for record in told {
            assert_eq!(port(destination(&record)), 5001, "{record}");
            assert_eq!(name(source(&record)), "caller", "{record}");
            assert!(says(&record, libc::ENETUNREACH), "{record}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connect_without_a_free_port_fails_for_want_of_one() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.netns
        .sysctl("ipv4/ip_local_port_range", "40000 40001")
        .unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    pair.client.dial("127.0.0.1:5000", 2).unwrap();
    let returned = pair.client.ask("try 127.0.0.1:5000 2").unwrap();
    assert_eq!(returned, libc::EADDRNOTAVAIL.to_string());
    let records = tracer
        .wait_records("2 failed", |records| pair.count(records, FAILED) >= 2)
        .unwrap();
    let failed = pair.records(&records, FAILED);
    assert_eq!(failed.len(), 2);
    for record in failed {
        assert_eq!(
            number(record, "error.errno"),
            u64::from(libc::EADDRNOTAVAIL.unsigned_abs()),
            "{record}"
        );
        assert_eq!(port(destination(record)), 5000, "{record}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn an_error_that_the_program_reads_before_it_closes_is_told() {
    if !needs![Need::Root, Need::Bpf, Need::Veth] {
        return;
    }
    let (near, router) = behind_a_router();
    router.sysctl("ipv4/icmp_ratelimit", "0").unwrap();
    router
        .route_unreachable("10.99.1.0".parse().unwrap(), 24)
        .unwrap();
    let mut client = Standin::start(&near, "caller").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    // Polls, asks for SO_ERROR, closes: as Go, curl, nginx and the JVM dial.
    assert_eq!(
        client.ask("try 10.99.1.1:5000 9").unwrap(),
        libc::EHOSTUNREACH.to_string()
    );
    let records = tracer
        .wait_records("9 failed", |records| {
            json::records(records, FAILED, near.inode()).len() >= 9
        })
        .unwrap();
    for record in json::records(&records, FAILED, near.inode()) {
        assert_eq!(text(record, "error.type"), "unreachable", "{record}");
    }
}
