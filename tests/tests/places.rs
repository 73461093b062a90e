//! Where an end is: pods that are imitated, network namespaces that come and go, addresses of the node.

#![cfg(test)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::json::{list, number, text};
use tests::netns::Netns;
use tests::require::Need;
use tests::scratch::{Cgroup, Scratch};
use tests::standin::Standin;
use tests::tracer::{self, Tracer};
use tests::wait::{seconds, until_true};
use tests::{needs, skipped};

const OWN_UID: &str = "0a38c12e-255a-11e9-8cd9-0007cb0b2cc8";
const VICTIM_UID: &str = "4a163a05-439d-484b-8e53-2968bc15824f";

/// The files of a node where the kubelet has one pod: `shop/victim`.
fn node_with_the_victim() -> Scratch {
    let root = Scratch::new().unwrap();
    let container = format!("var/log/pods/shop_victim_{VICTIM_UID}/app");
    fs::create_dir_all(root.join(&container)).unwrap();
    fs::create_dir_all(root.join("var/lib/kubelet/pods").join(VICTIM_UID)).unwrap();
    fs::write(root.join(&container).join("0.log"), "").unwrap();
    root
}

#[test]
#[ignore = "needs root and BPF"]
fn a_pod_that_nobody_knows_stays_itself_whatever_cgroups_it_makes_below_its_own() {
    if !needs![Need::Root, Need::Bpf, Need::Cgroup] {
        return;
    }
    let root = node_with_the_victim();
    let (own, other) = ("1".repeat(64), "2".repeat(64));
    let pods = |uid: &str, container: &str| format!("kubepods/burstable/pod{uid}/{container}");
    let cgroups = [
        ("the victim itself", pods(VICTIM_UID, &other), VICTIM_UID),
        (
            "who imitates it",
            format!("{}/{}", pods(OWN_UID, &own), pods(VICTIM_UID, &other)),
            OWN_UID,
        ),
    ];
    for (case, below, uid) in cgroups {
        let cgroup = Cgroup::new(&below).unwrap();
        let netns = Netns::new().unwrap();
        let mut standin = Standin::start_as(&netns, &["intruder"], Some(&cgroup)).unwrap();
        standin.listen("127.0.0.1:5000").unwrap();
        standin.dial("127.0.0.1:5000", 1).unwrap();
        let view = [
            "connections",
            "-o",
            "json",
            "--cri-socket",
            "none",
            "--kubeconfig",
            "none",
        ];
        let view: Vec<&str> = view
            .into_iter()
            .chain(["--host-root", root.path().to_str().unwrap()])
            .collect();
        let document = tracer::run(&view).unwrap().json().unwrap();
        let rows = tests::json::items(&document, netns.inode());
        assert_eq!(rows.len(), 1, "case: {case}");
        let name = rows[0].pointer("/source/k8s/pod/name").and_then(Value::as_str);
        assert_eq!(text(rows[0], "source.k8s.pod.uid"), uid, "case: {case}");
        assert_eq!(name, (uid == VICTIM_UID).then_some("victim"), "case: {case}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_socket_that_nobody_holds_is_the_pods_whose_address_it_has() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let address: IpAddr = "10.244.66.5".parse().unwrap();
    let root = node_with_the_victim();
    let hosts = format!("127.0.0.1\tlocalhost\n{address}\tvictim\n");
    let pods = root.join("var/lib/kubelet/pods").join(VICTIM_UID);
    fs::write(
        pods.join("etc-hosts"),
        format!("# Kubernetes-managed hosts file.\n{hosts}"),
    )
    .unwrap();
    let netns = Netns::with_address(address).unwrap();
    let mut server = Standin::start(&netns, "answerer").unwrap();
    let mut client = Standin::start(&netns, "caller").unwrap();
    server.listen("10.244.66.5:5000").unwrap();
    client.dial("10.244.66.5:5000", 1).unwrap();
    server.wait_count("accepted", 1).unwrap();
    server.ask("stow 10.244.66.5:5000").unwrap();
    let mut view = vec!["connections", "-o", "json", "--cri-socket", "none"];
    view.extend([
        "--kubeconfig",
        "none",
        "--host-root",
        root.path().to_str().unwrap(),
    ]);
    let document = tracer::run(&view).unwrap().json().unwrap();
    let rows = tests::json::items(&document, netns.inode());
    assert_eq!(rows.len(), 1, "{document}");
    assert_eq!(text(rows[0], "source.process.command"), "caller");
    assert_eq!(
        text(rows[0], "destination.process.command"),
        "",
        "nobody holds it"
    );
    assert_eq!(text(rows[0], "destination.k8s.pod.name"), "victim", "{}", rows[0]);
}

#[test]
#[ignore = "needs root and BPF"]
fn explain_asks_an_address_in_the_namespace_that_has_it() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut running = Vec::new();
    for (name, address) in [("answerer", "10.244.67.5"), ("stranger", "10.244.67.6")] {
        let netns = Netns::with_address(address.parse().unwrap()).unwrap();
        let mut server = Standin::start(&netns, name).unwrap();
        let mut other = server.again(&netns).unwrap();
        let mut client = Standin::start(&netns, "caller").unwrap();
        // Two workers of one program, and a connection that shows the address.
        for worker in [&mut server, &mut other] {
            worker.ask("listen-as 0.0.0.0:8080 reuseport").unwrap();
        }
        client.dial(&format!("{address}:8080"), 1).unwrap();
        running.push((netns, server, other, client));
    }
    for (address, name) in [("10.244.67.5:8080", "answerer"), ("10.244.67.6:8080", "stranger")] {
        let explained = tracer::run(&["explain", address, "-o", "json"]).unwrap();
        let document = explained.json().unwrap();
        let items = list(&document, "items");
        assert_eq!(items.len(), 1, "equal programs are one answer: {document}");
        assert!(text(&items[0]["ends"][0], "node").ends_with(name), "{document}");
    }
    let nobody = tracer::run(&["explain", "10.244.67.7:8080"]).unwrap();
    nobody.expect_code(3).unwrap();
}

/// `/run/netns/NAME`, as `ip netns add` makes it; removed at the end.
struct Named(PathBuf);

impl Named {
    /// A name of this test's own for the namespace.
    fn new(name: &str, netns: &Netns) -> Self {
        let directory = Path::new("/run/netns");
        fs::create_dir_all(directory).unwrap();
        let path = directory.join(format!("kcn-test-{}-{name}", std::process::id()));
        fs::write(&path, "").unwrap();
        let mounted = Command::new("mount")
            .arg("--bind")
            .arg(netns.path())
            .arg(&path)
            .status()
            .unwrap();
        assert!(mounted.success());
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.file_name().unwrap().to_str().unwrap()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
        drop(fs::remove_file(&self.0));
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn an_inode_that_is_used_again_is_another_namespace_with_a_name_of_its_own() {
    if !needs![Need::Root, Need::Bpf, Need::Program("mount")] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let recording = directory.join("run.kcn");
    let recording = recording.to_str().unwrap();
    let patience = seconds(120);
    let view = [
        "graph",
        "--watch",
        "--duration",
        &patience,
        "-o",
        "json",
        "-w",
        recording,
    ];
    let mut tracer = Tracer::start_ready(&view).unwrap();
    let nodes = |graph: &Value| -> BTreeSet<String> {
        let ids = list(graph, "nodes")
            .iter()
            .map(|node| text(node, "id").to_owned());
        ids.filter(|id| id.contains("kcn-test-")).collect()
    };
    let (mut inodes, mut expected) = (Vec::new(), BTreeSet::new());
    for name in ["red", "blue", "green"] {
        let netns = Netns::new().unwrap();
        inodes.push(netns.inode().to_owned());
        let named = Named::new(name, &netns);
        let mut server = Standin::start(&netns, "answerer").unwrap();
        let mut client = Standin::start(&netns, "caller").unwrap();
        server.listen("127.0.0.1:7000").unwrap();
        client.dial_close("127.0.0.1:7000", 2).unwrap();
        expected.extend(["answerer", "caller"].map(|program| format!("netns/{}/{program}", named.name())));
        tracer
            .wait_records("the namespace by its name", |graphs| {
                graphs.last().is_some_and(|graph| nodes(graph) == expected)
            })
            .unwrap();
        client.stop().unwrap();
        server.stop().unwrap();
    }
    // The kernel gives a free inode to the next who makes a namespace or a process: where somebody else was faster every
    // time, this proves only that each has its name.
    if inodes.iter().collect::<BTreeSet<_>>().len() == inodes.len() {
        skipped!("others took the inodes: {inodes:?}");
    }
    let graphs = tracer.interrupt().unwrap().records().unwrap();
    let graph = graphs.last().unwrap();
    for name in ["red", "blue", "green"] {
        let edges: Vec<u64> = list(graph, "edges")
            .iter()
            .filter(|edge| text(edge, "source").contains(&format!("-{name}/caller")))
            .map(|edge| number(edge, "opened"))
            .collect();
        assert_eq!(edges, [2], "{name}");
    }
    let replayed = tracer::run(&["replay", recording, "graph", "-o", "json"]).unwrap();
    assert_eq!(nodes(&replayed.json().unwrap()), expected);
}

#[test]
#[ignore = "needs root and BPF"]
fn addresses_of_this_nodes_interfaces_are_the_node_from_when_they_are_there() {
    if !needs![Need::Root, Need::Bpf, Need::Veth] {
        return;
    }
    let (node, pod) = (Netns::new().unwrap(), Netns::new().unwrap());
    let bridge: IpAddr = "10.244.77.1".parse().unwrap();
    node.connect("veth-node", &pod, "eth0").unwrap();
    pod.add_address("eth0", "10.244.77.5".parse().unwrap(), 24)
        .unwrap();
    for (netns, device) in [(&node, "veth-node"), (&pod, "eth0")] {
        netns.link_up(device).unwrap();
    }
    let patience = seconds(120);
    let view = [
        "events",
        "-o",
        "json",
        "--duration",
        &patience,
        "--node-name",
        "controlplane",
    ];
    let mut tracer = node.inside(|| Tracer::start_ready(&view).unwrap()).unwrap();
    node.add_address("veth-node", bridge, 24).unwrap();
    let mut client = Standin::start(&pod, "caller").unwrap();
    // Nobody listens there, so there is no socket of the other end to name it by.
    let mut named = BTreeSet::new();
    until_true("the node's address has its name", tests::wait::patience(), || {
        client.ask("try 10.244.77.1:9999 1")?;
        for record in tracer.records()? {
            let destination = &record["destination"];
            if record["network"]["netns"] == pod.inode() && destination["address"] == "10.244.77.1" {
                named.insert(
                    destination["k8s"]["node"]["name"]
                        .as_str()
                        .unwrap_or("external")
                        .to_owned(),
                );
            }
        }
        Ok(named.contains("controlplane"))
    })
    .unwrap();
    tracer.interrupt().unwrap();
}
