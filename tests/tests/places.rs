//! Where an end is: pods that are imitated, network namespaces that come and go, addresses of the node.

#![cfg(test)]

use serde_json::Value;
use std::fs;
use tests::json::text;
use tests::needs;
use tests::netns::Netns;
use tests::require::Need;
use tests::scratch::{Cgroup, Scratch};
use tests::standin::Standin;
use tests::tracer;

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
