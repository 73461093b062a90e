//! The harness itself: namespaces, stand-ins, etcd and the scenario are what they say, by the kernel's own tables.

#![cfg(test)]

use rustix::net::ipproto;
use rustix::net::sockopt::socket_protocol;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tests::binaries::{self, Setting};
use tests::json;
use tests::listener::{self, Transport};
use tests::netns::Netns;
use tests::require::Need;
use tests::scenario::{self, Scenario};
use tests::scratch::{Cgroup, Scratch};
use tests::standin::{Program, Standin};
use tests::wait::{patience, until_true};
use tests::witness::{self, ESTABLISHED, LISTEN};
use tests::{needs, skipped};

const PEER: &str = "10.99.0.2";

#[test]
#[ignore = "needs root"]
fn a_namespace_has_its_own_loopback_and_goes_away_with_its_value() {
    if !needs![Need::Root] {
        return;
    }
    let netns = Netns::new().unwrap();
    let own = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let path = netns.path();
    assert_eq!(
        fs::read_link(&path).unwrap(),
        PathBuf::from(format!("net:[{}]", netns.inode()))
    );
    assert_ne!(fs::read_link(&path).unwrap(), own);

    let mut server = Standin::start(&netns, "server").unwrap();
    let mut client = Standin::start(&netns, "client").unwrap();
    let port = server.listen("[::]:0").unwrap();
    for address in ["127.0.0.1", "[::1]"] {
        client.dial(&format!("{address}:{port}"), 1).unwrap();
    }
    server.wait_count("accepted", 2).unwrap();
    assert_eq!(
        fs::read_link("/proc/thread-self/ns/net").unwrap(),
        own,
        "the test itself stays where it was"
    );

    drop((server, client, netns));
    assert!(!path.exists());
}

#[test]
#[ignore = "needs root"]
fn stand_ins_listen_by_mptcp_unless_the_namespace_has_none_or_tcp_is_asked_for() {
    if !needs![Need::Root] {
        return;
    }
    if !listener::has_mptcp() {
        return skipped!("needs MPTCP, which this kernel lacks");
    }
    let protocol_of = |netns: &Netns, transport| {
        let address = "[::1]:0".parse().unwrap();
        let listener = netns
            .inside(|| listener::listen(address, 1, transport))
            .unwrap()
            .unwrap();
        socket_protocol(&listener).unwrap()
    };
    let (mptcp, tcp) = (Some(ipproto::MPTCP), Some(ipproto::TCP));
    let netns = Netns::new().unwrap();
    assert_eq!(protocol_of(&netns, Transport::Mptcp), mptcp);
    assert_eq!(protocol_of(&netns, Transport::Tcp), tcp);
    netns.sysctl("mptcp/enabled", "0").unwrap();
    assert_eq!(protocol_of(&netns, Transport::Mptcp), tcp);
}

#[test]
#[ignore = "needs root"]
fn two_namespaces_can_be_connected_and_routed() {
    if !needs![Need::Root, Need::Veth] {
        return;
    }
    let (near, far) = (Netns::new().unwrap(), Netns::new().unwrap());
    near.connect("near0", &far, "far0").unwrap();
    near.add_address("near0", "10.99.0.1".parse().unwrap(), 24)
        .unwrap();
    far.add_address("far0", PEER.parse().unwrap(), 24).unwrap();
    near.route_via("10.99.1.0".parse().unwrap(), 24, PEER.parse().unwrap())
        .unwrap();
    far.sysctl("ipv4/ip_forward", "1").unwrap();
    far.route_unreachable("10.99.1.0".parse().unwrap(), 24).unwrap();

    let mut server = Standin::start(&far, "server").unwrap();
    let mut client = Standin::start(&near, "client").unwrap();
    server.listen("10.99.0.2:4000").unwrap();
    client.dial("10.99.0.2:4000", 3).unwrap();
    server.wait_count("accepted", 3).unwrap();
    assert_eq!(
        client.ask("try 10.99.1.1:4000 1").unwrap(),
        libc::EHOSTUNREACH.to_string()
    );
}

#[test]
#[ignore = "needs root"]
fn a_stand_in_is_its_component_in_comm_exe_argv_and_cgroup() {
    if !needs![Need::Root, Need::Cgroup] {
        return;
    }
    let netns = Netns::new().unwrap();
    let cgroup = Cgroup::new("kubepods/burstable/pod98358bfda3e31aafe299bb95eea525d3/d5cba1b2ca18").unwrap();
    let argv = ["kube-controller-manager", "--bind-address=127.0.0.1"];
    let standin = Standin::start_as(&netns, &argv, Some(&cgroup)).unwrap();
    let proc = PathBuf::from(format!("/proc/{}", standin.pid()));
    let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap();

    assert_eq!(read("comm"), "kube-controller\n");
    assert_eq!(
        read("cmdline"),
        "kube-controller-manager\0--bind-address=127.0.0.1\0"
    );
    let executable = fs::read_link(proc.join("exe")).unwrap();
    assert_eq!(executable.file_name().unwrap(), "kube-controller-manager");
    assert!(
        read("cgroup")
            .lines()
            .any(|line| line == format!("0::{}", cgroup.name()))
    );
    assert_eq!(
        fs::read_link(proc.join("ns/net")).unwrap(),
        fs::read_link(netns.path()).unwrap()
    );

    let path = cgroup.path().to_owned();
    drop((standin, cgroup));
    assert!(!path.exists());
}

#[test]
#[ignore = "needs root"]
fn stand_ins_do_what_they_are_told() {
    if !needs![Need::Root] {
        return;
    }
    let netns = Netns::new().unwrap();
    let mut server = Standin::start(&netns, "server").unwrap();
    let mut client = Standin::start(&netns, "client").unwrap();
    server.listen("127.0.0.1:4000").unwrap();
    server.ask("listen-brief 127.0.0.1:4001").unwrap();
    server.ask("listen-blocking 127.0.0.1:4002 8").unwrap();
    server.ask("listen-deaf 127.0.0.1:4003 0").unwrap();

    let mut ports = client.dial("127.0.0.1:4000", 3).unwrap();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    client.ask("send 1000").unwrap();
    server.wait_count("received", 3000).unwrap();
    assert_eq!(client.ask("close").unwrap(), "3");
    server.wait_count_down("held", 0).unwrap();

    client.ask("redial 127.0.0.1:4001 50 127.0.0.1:4100").unwrap();
    assert_eq!(server.count("received").unwrap(), 3000 + (1..=50).sum::<u64>());

    client.dial("127.0.0.1:4002", 20).unwrap();
    server.wait_count("held", 20).unwrap();

    assert_eq!(
        client.ask("try 127.0.0.1:4004 5").unwrap(),
        libc::ECONNREFUSED.to_string()
    );
    client.dial("127.0.0.1:4003", 1).unwrap();
    let given_up = client.ask("try 127.0.0.1:4003 1 50").unwrap();
    assert_eq!(given_up, libc::EINPROGRESS.to_string());
    netns.sysctl("ipv4/tcp_syn_retries", "1").unwrap();
    let timed_out = client.ask("try 127.0.0.1:4003 1").unwrap();
    assert_eq!(timed_out, libc::ETIMEDOUT.to_string());
    assert!(client.ask("dial 127.0.0.1:4004 1").is_err());
    assert!(client.ask("nonsense").is_err());

    client.ask("call somebody-else").unwrap();
    let comm = fs::read_to_string(format!("/proc/{}/comm", client.pid())).unwrap();
    assert_eq!(comm, "somebody-else\n");

    server.ask("hangup 127.0.0.1:4002").unwrap();
    assert_eq!(server.count("held").unwrap(), 0);
    server.ask("unlisten 127.0.0.1:4000").unwrap();
    let refused = client.ask("try 127.0.0.1:4000 1").unwrap();
    assert_eq!(refused, libc::ECONNREFUSED.to_string());
}

#[test]
#[ignore = "needs root"]
fn a_churn_logs_every_connection_once_and_in_order() {
    if !needs![Need::Root] {
        return;
    }
    let netns = Netns::new().unwrap();
    let directory = Scratch::new().unwrap();
    let log = directory.join("churn");
    let mut server = Standin::start(&netns, "server").unwrap();
    let mut client = Standin::start(&netns, "client").unwrap();
    server.listen("127.0.0.1:4000").unwrap();
    server.listen("127.0.0.1:4001").unwrap();
    client
        .ask(format_args!(
            "churn 127.0.0.1:4000,127.0.0.1:4001 100 {}",
            log.display()
        ))
        .unwrap();
    client.wait_count("churned", 1000).unwrap();
    let count: u64 = client.ask("churn-stop").unwrap().parse().unwrap();
    server.wait_count("accepted", count).unwrap();

    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Vec<u64>> = text
        .lines()
        .map(|line| line.split(' ').map(|word| word.parse().unwrap()).collect())
        .collect();
    assert_eq!(lines.len() as u64, count);
    assert!(lines.iter().all(|line| line[2..].is_sorted()));
    assert!(
        lines
            .iter()
            .enumerate()
            .all(|(index, line)| line[0] == 4000 + (index as u64 / 100) % 2)
    );
}

#[test]
#[ignore = "needs root"]
fn one_shot_programs_run_their_script_and_end_within_milliseconds() {
    if !needs![Need::Root] {
        return;
    }
    let netns = Netns::new().unwrap();
    let mut server = Standin::start(&netns, "server").unwrap();
    server.listen("127.0.0.1:4000").unwrap();
    let curl = Program::new("curl").unwrap();
    for _ in 0..100 {
        curl.run(&netns, "dial 127.0.0.1:4000 1; send 10; exit").unwrap();
    }
    server.wait_count("received", 1000).unwrap();
    assert!(
        curl.run(&netns, "dial 127.0.0.1:4001 1").is_err(),
        "a script that fails is noticed"
    );
}

#[test]
#[ignore = "needs root"]
fn a_launched_program_has_its_setting() {
    if !needs![Need::Root, Need::Program("sh"), Need::Program("cat")] {
        return;
    }
    let run = |setting: Setting<'_>, script: &str| {
        let shell = binaries::find("sh").unwrap();
        let output = binaries::launch("sh", &shell, setting)
            .unwrap()
            .args(["-c", script])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let nobody = Setting {
        uid: Some(65534),
        ..Setting::default()
    };
    let status = run(nobody, "cat /proc/self/status");
    assert!(status.contains("Uid:\t65534\t65534\t65534\t65534"), "{status}");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");

    let no_bpf = Setting {
        no_bpf: true,
        ..Setting::default()
    };
    assert!(run(no_bpf, "cat /proc/self/status").contains("Seccomp:\t2"));

    let hidden = Setting {
        mount: Some(("tmpfs", Path::new("/proc/sys/net"))),
        ..Setting::default()
    };
    assert_eq!(run(hidden, "echo /proc/sys/net/*"), "/proc/sys/net/*\n");
    assert!(
        Path::new("/proc/sys/net/ipv4").exists(),
        "hidden from the program only"
    );
}

#[test]
#[ignore = "needs root"]
fn what_a_killed_test_left_is_swept() {
    if !needs![Need::Root] {
        return;
    }
    // A pid above the kernel's largest, 2^22, is nobody's.
    let left = std::env::temp_dir().join("kcn-4194305-0");
    fs::create_dir_all(left.join("inner")).unwrap();
    tests::scratch::sweep();
    assert!(!left.exists());
    assert!(Scratch::new().unwrap().path().is_dir());
}

#[test]
#[ignore = "needs root"]
fn the_scenario_has_exactly_its_listeners_and_connections() {
    if !needs![Need::Root, Need::Program("etcd")] {
        return;
    }
    has_exactly_its_listeners_and_connections(&Scenario::start().unwrap());
}

#[test]
#[ignore = "needs root"]
fn the_scenario_without_etcd_has_the_same_listeners_and_connections() {
    if !needs![Need::Root] {
        return;
    }
    has_exactly_its_listeners_and_connections(&Scenario::start_without_etcd().unwrap());
}

fn has_exactly_its_listeners_and_connections(node: &Scenario) {
    // etcd accepts in its own time, and a connection it has not accepted yet has no owner.
    until_true("every connection has an owner", patience(), || {
        Ok(observe(node).1 == scenario::connections())
    })
    .unwrap();
    assert_eq!(observe(node), (scenario::listeners(), scenario::connections()));
}

type Listeners = Vec<(String, String, u64)>;
type Connections = Vec<(String, String, u64, u64)>;

/// What the kernel's tables say of a node, in the form of the scenario's own tables.
fn observe(node: &Scenario) -> (Listeners, Connections) {
    let names: BTreeMap<u32, &str> = node.pids().into_iter().map(|(name, pid)| (pid, name)).collect();
    let owners = witness::owners(&names.keys().copied().collect::<Vec<_>>()).unwrap();
    let sockets = witness::sockets(node.netns()).unwrap();
    let name = |inode| owners.get(&inode).map_or("nobody", |pid| names[pid]);

    let mut listeners = Listeners::new();
    let mut ends: BTreeMap<(SocketAddr, SocketAddr), &str> = BTreeMap::new();
    for socket in &sockets {
        let (owner, local) = (name(socket.inode), socket.local);
        match socket.state {
            LISTEN => listeners.push((owner.to_owned(), local.ip().to_string(), local.port().into())),
            ESTABLISHED => assert_eq!(ends.insert((local, socket.remote), owner), None),
            state => panic!("a socket in state {state}: {socket:?}"),
        }
    }
    listeners.sort();
    let is_served = |port: u64| listeners.iter().any(|(_, _, served)| *served == port);
    let mut counts: BTreeMap<(String, String, u64), u64> = BTreeMap::new();
    for ((local, remote), client) in &ends {
        let port = u64::from(remote.port());
        if is_served(port) {
            let server = ends[&(*remote, *local)];
            *counts
                .entry(((*client).to_owned(), server.to_owned(), port))
                .or_default() += 1;
        }
    }
    let connections = counts
        .into_iter()
        .map(|((a, b, port), count)| (a, b, port, count))
        .collect();
    (listeners, connections)
}

#[test]
#[ignore = "needs root"]
fn the_scenarios_etcd_is_real() {
    if !needs![Need::Root, Need::Program("etcd"), Need::Program("etcdctl")] {
        return;
    }
    let scenario = Scenario::start().unwrap();
    let etcd = scenario.etcd().unwrap();
    etcd.ctl(scenario.netns(), &["put", "/registry/pods/default/web", "1"])
        .unwrap();
    let read = etcd
        .ctl(
            scenario.netns(),
            &["get", "/registry/pods/default/web", "--print-value-only"],
        )
        .unwrap();
    assert_eq!(read.trim(), "1");
    assert!(Path::new(&format!("/proc/{}/exe", etcd.pid())).exists());
}

#[test]
fn paths_into_json_never_fail() {
    let value = serde_json::json!({"source": {"process": {"pid": 7}, "port": "80"}, "component": null});
    let cases: &[(&str, &str, u64)] = &[
        ("a number", "source.process.pid", 7),
        ("a number written as text", "source.port", 80),
        ("an absent key", "source.address", 0),
        ("a path through a number", "source.process.pid.inner", 0),
        ("a null", "component", 0),
    ];
    for (case, path, want) in cases {
        assert_eq!(json::number(&value, path), *want, "case: {case}");
    }
}
