//! Nobody where somebody should be: a guess by the manifests of the node and by the port, marked as one.

use super::*;
use crate::{
    attribute::Quality,
    signal::inventory::{Fact, Inventory, Origin, StaticPodFacts},
};

fn manifest(name: &str, flag: &str) -> Fact {
    Fact::StaticPod(Box::new(StaticPodFacts {
        path: format!("/etc/kubernetes/manifests/{name}.yaml"),
        namespace: "kube-system".into(),
        name: name.into(),
        host_network: true,
        containers: vec![(name.into(), Some(name.into()))],
        flags: vec![flag.into()],
        ..StaticPodFacts::default()
    }))
}

/// Who refused a connect to that address from a namespace: id of the node, and the evidence.
fn refused(netns: u32, to: &str) -> (String, Quality, String) {
    let mut world = World::watched();
    let id = world.dial(Plan {
        source: (Some(netns), "127.0.0.1:40000".parse().unwrap()),
        destination: (Some(netns), to.parse().unwrap()),
        client: 10,
        other_client: None,
    });
    world.fail(id, 111);
    world.tick();
    let mut run = Run::new();
    for fact in [
        manifest(
            "etcd",
            "--listen-client-urls=https://127.0.0.1:12000,https://10.0.0.1:12000/",
        ),
        manifest("kube-apiserver", "--etcd-servers=https://127.0.0.1:12001"),
        manifest("kube-scheduler", "--secure-port=12002"),
    ] {
        run.feed(&Signal::Inventory(&Inventory {
            origin: Origin::Files,
            at_ns: 1,
            fact,
        }));
    }
    run.watch(&mut world);
    let graph = run.pipeline.graph(GroupBy::Component);
    let edge = &graph.edges[0];
    let node = graph
        .nodes
        .iter()
        .find(|node| node.id == edge.destination)
        .unwrap();
    (node.id.clone(), node.claim.quality, node.claim.by.clone())
}

#[test]
fn who_should_listen_at_a_loopback_address_is_guessed_by_manifest_and_port() {
    let unseen = "host/~the-socket-behind-127.0.0.1-was-not-seen";
    let cases = [
        ("by the port", HOST, "127.0.0.1:2379", "host/~etcd", Quality::Port),
        ("in a pod", POD, "127.0.0.1:2379", "netns/", Quality::Port),
        (
            "by the manifest",
            HOST,
            "127.0.0.1:12000",
            "host/~etcd",
            Quality::Port,
        ),
        (
            "by another flag",
            HOST,
            "127.0.0.1:12002",
            "host/~kube-scheduler",
            Quality::Port,
        ),
        (
            "whom it dials does not count",
            HOST,
            "127.0.0.1:12001",
            unseen,
            Quality::Address,
        ),
        (
            "a manifest of the host says nothing of a pod",
            POD,
            "127.0.0.1:12000",
            "netns/",
            Quality::Address,
        ),
        (
            "a port that tells nothing",
            HOST,
            "127.0.0.1:12003",
            unseen,
            Quality::Address,
        ),
    ];
    for (case, netns, to, id, quality) in cases {
        let found = refused(netns, to);
        assert!(found.0.starts_with(id), "{case}: {found:?}");
        assert_eq!(found.1, quality, "{case}: {found:?}");
    }
    let (.., by) = refused(HOST, "127.0.0.1:12000");
    assert_eq!(
        by,
        "/etc/kubernetes/manifests/etcd.yaml has etcd listen on 12000 here"
    );
}
