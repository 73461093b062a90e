//! Stories of pods, addresses, services and nodes, told by one source or several.

use super::*;
use crate::signal::inventory::{
    ContainerFacts, Endpoint, EndpointsFacts, Fact, Inventory as Told, Kind, NodeFacts, Origin, PodFacts,
    ServiceFacts, ServicePort,
};

const S: u64 = 1_000_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn told(inventory: &mut Inventory, origin: Origin, at_ns: u64, fact: Fact) {
    inventory.apply(&Told { origin, at_ns, fact });
}

fn pod(uid: &str, name: &str, address: &str) -> PodFacts {
    PodFacts {
        uid: uid.into(),
        namespace: "shop".into(),
        name: name.into(),
        addresses: vec![ip(address)],
        ..PodFacts::default()
    }
}

fn fact(facts: PodFacts) -> Fact {
    Fact::Pod(Box::new(facts))
}

fn name_at(inventory: &Inventory, address: &str, at_ns: u64) -> Option<String> {
    inventory
        .at(ip(address), at_ns)
        .map(|tenant| tenant.pod.name.to_string())
}

#[test]
fn a_static_pod_and_its_mirror_are_one_by_the_hash_of_its_manifest() {
    let mut inventory = Inventory::default();
    let by_runtime = PodFacts {
        uid: "40fd1c88".into(),
        namespace: "kube-system".into(),
        name: "etcd-cp".into(),
        host_network: Some(true),
        ..PodFacts::default()
    };
    let mirror = PodFacts {
        uid: "aa-bb".into(),
        config_hash: Some("40fd1c88".into()),
        workload: Some(Workload {
            kind: "StaticPod".into(),
            name: "etcd".into(),
        }),
        ..by_runtime.clone()
    };
    told(&mut inventory, Origin::Cri, 1, fact(by_runtime));
    told(&mut inventory, Origin::Kube, 2, fact(mirror));
    let (by_hash, by_mirror) = (
        inventory.pod("40fd1c88").unwrap(),
        inventory.pod("aa-bb").unwrap(),
    );
    assert_eq!(by_hash.pod, by_mirror.pod);
    assert_eq!(&*by_hash.pod.uid, "40fd1c88", "as cgroups have it");
    assert_eq!(by_hash.pod.workload.as_ref().unwrap().kind, "StaticPod");
    assert_eq!(by_hash.sources(), ["API server", "CRI"]);
    assert_eq!(inventory.counts()["pods"], 1);
}

#[test]
fn an_address_reused_within_a_second_is_of_whoever_had_it_then() {
    let mut inventory = Inventory::default();
    for kind in [
        Fact::Listing(Kind::Pods),
        fact(pod("a", "old", "10.0.0.7")),
        Fact::Listed(Kind::Pods),
    ] {
        told(&mut inventory, Origin::Cri, 5 * S, kind);
    }
    told(&mut inventory, Origin::Cri, 100 * S, Fact::PodGone("a".into()));
    let young = PodFacts {
        started_unix_ns: Some(i64::try_from(100 * S + S / 2).unwrap()),
        ..pod("b", "new", "10.0.0.7")
    };
    told(&mut inventory, Origin::Cri, 103 * S, fact(young));
    let cases = [
        ("before the tracer knew it", S, Some("old")),
        ("the last moment", 100 * S - 1, Some("old")),
        (
            "between both: the news of a beginning are late",
            100 * S + S / 4,
            Some("new"),
        ),
        (
            "its first moment, told three seconds later",
            100 * S + S / 2,
            Some("new"),
        ),
        ("later", 200 * S, Some("new")),
    ];
    for (case, at_ns, want) in cases {
        assert_eq!(
            name_at(&inventory, "10.0.0.7", at_ns).as_deref(),
            want,
            "case: {case}"
        );
    }
}

#[test]
fn who_takes_an_address_ends_the_one_before_though_nobody_said_so() {
    let mut inventory = Inventory::default();
    let from = |seconds: u64, facts: PodFacts| PodFacts {
        started_unix_ns: Some(i64::try_from(seconds * S).unwrap()),
        ..facts
    };
    told(
        &mut inventory,
        Origin::Kube,
        1,
        fact(from(10, pod("a", "old", "10.0.0.7"))),
    );
    told(
        &mut inventory,
        Origin::Kube,
        2,
        fact(from(20, pod("b", "new", "10.0.0.7"))),
    );
    told(
        &mut inventory,
        Origin::Kube,
        3,
        fact(from(15, pod("c", "between, told last", "10.0.0.7"))),
    );
    let at = |seconds: u64| name_at(&inventory, "10.0.0.7", seconds * S);
    assert_eq!(at(12).as_deref(), Some("old"));
    assert_eq!(at(17).as_deref(), Some("between, told last"));
    assert_eq!(at(25).as_deref(), Some("new"));
}

#[test]
fn a_list_without_a_pod_ends_it_and_its_name_stays_for_what_it_did() {
    let mut inventory = Inventory::default();
    let list = |inventory: &mut Inventory, at_ns, pods: &[&PodFacts]| {
        told(inventory, Origin::Kube, at_ns, Fact::Listing(Kind::Pods));
        for facts in pods {
            told(inventory, Origin::Kube, at_ns, fact((*facts).clone()));
        }
        told(inventory, Origin::Kube, at_ns, Fact::Listed(Kind::Pods));
    };
    let (a, b) = (pod("a", "one", "10.0.0.1"), pod("b", "two", "10.0.0.2"));
    list(&mut inventory, S, &[&a, &b]);
    told(&mut inventory, Origin::Cri, S, fact(b.clone()));
    list(&mut inventory, 50 * S, &[&a]);
    assert_eq!(inventory.counts()["pods"], 2, "the runtime still has it");
    told(&mut inventory, Origin::Cri, 51 * S, Fact::PodGone("b".into()));
    assert_eq!(inventory.counts()["pods"], 1);
    assert_eq!(&*inventory.pod("b").unwrap().pod.name, "two");
    assert_eq!(name_at(&inventory, "10.0.0.2", 30 * S).as_deref(), Some("two"));
    assert_eq!(
        name_at(&inventory, "10.0.0.2", 51 * S + 120 * S),
        None,
        "nobody has it now"
    );
}

#[test]
fn a_worse_source_only_fills_what_is_empty() {
    let mut inventory = Inventory::default();
    let labels = |value: &str| vec![("app".to_owned(), value.to_owned())];
    let by_kube = PodFacts {
        labels: labels("kube"),
        ..pod("a", "one", "10.0.0.1")
    };
    let by_cri = PodFacts {
        labels: labels("cri"),
        sandbox_id: Some("sand".into()),
        node: Some("worker".into()),
        ..pod("a", "one", "10.0.0.1")
    };
    for order in [[Origin::Kube, Origin::Cri], [Origin::Cri, Origin::Kube]] {
        for origin in order {
            let facts = if origin == Origin::Kube { &by_kube } else { &by_cri };
            told(&mut inventory, origin, 1, fact(facts.clone()));
        }
        let entry = inventory.pod("a").unwrap();
        assert_eq!(&*entry.pod.labels[0].1, "kube", "{order:?}");
        assert_eq!(entry.pod.node.as_deref(), Some("worker"), "{order:?}");
        assert!(inventory.sandbox("sand").is_some(), "{order:?}");
        inventory = Inventory::default();
    }
}

#[test]
fn an_earlier_sandbox_that_ended_does_not_end_the_pod_that_runs() {
    let mut inventory = Inventory::default();
    let running = PodFacts {
        sandbox_id: Some("second".into()),
        ..pod("a", "one", "10.0.0.2")
    };
    let ended = PodFacts {
        sandbox_id: Some("first".into()),
        ended: true,
        ..pod("a", "one", "10.0.0.1")
    };
    told(&mut inventory, Origin::Cri, 1, fact(running.clone()));
    told(&mut inventory, Origin::Cri, 2, fact(ended));
    assert_eq!(name_at(&inventory, "10.0.0.2", 9).as_deref(), Some("one"));
    told(
        &mut inventory,
        Origin::Cri,
        10,
        fact(PodFacts {
            ended: true,
            ..running
        }),
    );
    let late = 10 + 120 * S;
    assert_eq!(name_at(&inventory, "10.0.0.2", late), None);
}

#[test]
fn containers_lead_to_pods_whoever_named_them() {
    let mut inventory = Inventory::new(0, Some("here"));
    let here = PodFacts {
        node: Some("here".into()),
        containers: vec![("app".into(), Some("c1".into())), ("waiting".into(), None)],
        ..pod("a", "one", "10.0.0.1")
    };
    let there = PodFacts {
        node: Some("there".into()),
        containers: vec![("app".into(), Some("c2".into()))],
        ..pod("b", "two", "10.0.1.1")
    };
    told(&mut inventory, Origin::Kube, 1, fact(here.clone()));
    told(&mut inventory, Origin::Kube, 1, fact(there));
    let by_runtime = ContainerFacts {
        id: "c1".into(),
        pod_uid: "a".into(),
        name: "app".into(),
        runtime: Some("containerd".into()),
        pid: Some(77),
        ..ContainerFacts::default()
    };
    told(
        &mut inventory,
        Origin::Cri,
        2,
        Fact::Container(Box::new(by_runtime)),
    );
    let found = inventory.container("c1").unwrap();
    assert_eq!((&*found.pod_uid, found.first_pid), ("a", Some(77)));
    assert_eq!(found.container.runtime.as_deref(), Some("containerd"));
    assert_eq!(found.sources(), ["API server", "CRI"]);
    assert!(inventory.container("c2").is_none(), "of another node");
    let restarted = PodFacts {
        containers: vec![("app".into(), Some("c3".into()))],
        ..here
    };
    told(&mut inventory, Origin::Kube, 3, fact(restarted));
    told(&mut inventory, Origin::Cri, 3, Fact::ContainerGone("c1".into()));
    assert_eq!(inventory.counts()["containers"], 1);
    assert!(inventory.container("c1").is_some(), "its edges still ask");
}

fn web(inventory: &mut Inventory, ready: [bool; 2]) {
    let service = ServiceFacts {
        namespace: "shop".into(),
        name: "web".into(),
        kind: "NodePort".into(),
        cluster_ips: vec![ip("10.96.0.9")],
        external_ips: vec![],
        ports: vec![
            ServicePort {
                name: "http".into(),
                port: 80,
                node_port: 30_080,
            },
            ServicePort {
                name: "metrics".into(),
                port: 9090,
                node_port: 0,
            },
        ],
    };
    let endpoint = |index: usize| Endpoint {
        addresses: vec![ip(["10.0.0.1", "10.0.1.1"][index])],
        ready: ready[index],
        pod: Some(("shop".into(), format!("web-{index}"), format!("uid-{index}"))),
        node: Some(["cp", "worker"][index].into()),
    };
    let slice = EndpointsFacts {
        namespace: "shop".into(),
        name: "web-abcde".into(),
        service: "web".into(),
        ports: vec![("http".into(), 8080), ("metrics".into(), 9090)],
        endpoints: vec![endpoint(0), endpoint(1)],
    };
    told(inventory, Origin::Kube, 1, Fact::Service(Box::new(service)));
    told(inventory, Origin::Kube, 1, Fact::Endpoints(Box::new(slice)));
}

#[test]
fn a_service_has_its_address_its_ports_on_every_node_and_those_servers_that_are_ready() {
    let mut inventory = Inventory::default();
    web(&mut inventory, [true, false]);
    let node = NodeFacts {
        name: "cp".into(),
        addresses: vec![ip("192.168.59.150")],
        ..NodeFacts::default()
    };
    told(&mut inventory, Origin::Kube, 1, Fact::Node(Box::new(node)));
    let title = |address: &str, port| {
        inventory
            .service_at(ip(address), port)
            .map(|service| service.title.to_string())
    };
    assert_eq!(title("10.96.0.9", 80).as_deref(), Some("shop/web"));
    assert_eq!(title("10.96.0.9", 81), None);
    assert_eq!(title("192.168.59.150", 30_080).as_deref(), Some("shop/web"));
    assert_eq!(title("10.0.0.1", 30_080), None, "no node has this address");
    let service = inventory.service_at(ip("10.96.0.9"), 80).unwrap();
    let backends = inventory.backends(service, 80);
    assert_eq!(backends.len(), 1);
    assert_eq!(backends[0].address, "10.0.0.1:8080".parse().unwrap());
    assert_eq!(
        inventory.endpoint_of(ip("10.0.1.1"), 9090),
        [Arc::from("shop/web")]
    );
    told(
        &mut inventory,
        Origin::Kube,
        2,
        Fact::ServiceGone("shop".into(), "web".into()),
    );
    assert!(inventory.service_at(ip("10.96.0.9"), 80).is_none());
    assert!(inventory.service_at(ip("192.168.59.150"), 30_080).is_none());
}

#[test]
fn a_slice_names_pods_of_other_nodes_until_no_slice_does() {
    let mut inventory = Inventory::default();
    web(&mut inventory, [true, true]);
    assert_eq!(name_at(&inventory, "10.0.1.1", 50).as_deref(), Some("web-1"));
    assert_eq!(
        inventory.pod("uid-1").unwrap().pod.node.as_deref(),
        Some("worker")
    );
    let gone = || Fact::EndpointsGone("shop".into(), "web-abcde".into());
    told(&mut inventory, Origin::Kube, 100, gone());
    assert_eq!(inventory.counts()["pods"], 0);
    assert_eq!(name_at(&inventory, "10.0.1.1", 50).as_deref(), Some("web-1"));
    assert_eq!(name_at(&inventory, "10.0.1.1", 100 + 120 * S), None);
    assert!(inventory.services_of(&[ip("10.0.1.1")]).is_empty());
}

#[test]
fn a_nodes_address_is_no_pods_though_pods_in_its_network_have_it() {
    let mut inventory = Inventory::default();
    let exporter = PodFacts {
        host_network: Some(true),
        node: Some("worker".into()),
        ports: vec![9100],
        ..pod("a", "exporter", "192.168.59.151")
    };
    told(&mut inventory, Origin::Kube, 1, fact(exporter));
    assert_eq!(inventory.at(ip("192.168.59.151"), 5), None, "host network");
    web(&mut inventory, [true, true]);
    let node = NodeFacts {
        name: "worker".into(),
        addresses: vec![ip("10.0.1.1")],
        pod_cidrs: vec!["10.244.1.0/24".into(), "fd00:1::/64".into(), "nonsense".into()],
        ..NodeFacts::default()
    };
    told(&mut inventory, Origin::Kube, 1, Fact::Node(Box::new(node)));
    assert_eq!(
        inventory.at(ip("10.0.1.1"), 5),
        None,
        "an endpoint in the host's network"
    );
    let names: Vec<_> = inventory
        .host_pods("worker", 9100)
        .iter()
        .map(|entry| entry.pod.name.to_string())
        .collect();
    assert_eq!(names, ["exporter"]);
    let network = |text: &str| inventory.node_of_pods(ip(text)).map(ToString::to_string);
    assert_eq!(network("10.244.1.255").as_deref(), Some("worker"));
    assert_eq!(network("10.244.2.0"), None);
    assert_eq!(network("fd00:1::99").as_deref(), Some("worker"));
    assert_eq!(network("fd00:2::99"), None);
}

#[test]
fn news_of_a_mirror_that_was_made_anew_are_no_news_of_its_pod() {
    let mut inventory = Inventory::new(0, Some("here"));
    let mirror = |uid: &str, container: &str| PodFacts {
        config_hash: Some("hash".into()),
        node: Some("here".into()),
        containers: vec![("etcd".into(), Some(container.into()))],
        ..pod(uid, "etcd-here", "10.0.0.1")
    };
    told(&mut inventory, Origin::Kube, 1, fact(mirror("older", "c1")));
    told(&mut inventory, Origin::Kube, 2, fact(mirror("younger", "c2")));
    told(&mut inventory, Origin::Kube, 3, Fact::PodGone("older".into()));
    assert_eq!(
        (inventory.counts()["pods"], inventory.counts()["containers"]),
        (1, 1)
    );
    told(&mut inventory, Origin::Kube, 4, Fact::Listing(Kind::Pods));
    told(&mut inventory, Origin::Kube, 5, fact(mirror("younger", "c2")));
    told(&mut inventory, Origin::Kube, 6, Fact::Listed(Kind::Pods));
    assert_eq!(
        (inventory.counts()["pods"], inventory.counts()["containers"]),
        (1, 1)
    );
    told(&mut inventory, Origin::Kube, 7, Fact::Listing(Kind::Pods));
    told(&mut inventory, Origin::Kube, 8, Fact::Listed(Kind::Pods));
    assert_eq!(
        (inventory.counts()["pods"], inventory.counts()["containers"]),
        (0, 0)
    );
}

#[test]
fn a_list_that_breaks_off_ends_nothing_and_the_next_complete_one_does() {
    let mut inventory = Inventory::default();
    let (a, b) = (pod("a", "one", "10.0.0.1"), pod("b", "two", "10.0.0.2"));
    let node = |name: &str| {
        Fact::Node(Box::new(NodeFacts {
            name: name.into(),
            ..NodeFacts::default()
        }))
    };
    for told_now in [fact(a.clone()), fact(b.clone()), node("cp"), node("worker")] {
        told(&mut inventory, Origin::Kube, 1, told_now);
    }
    let counts = |inventory: &Inventory| (inventory.counts()["pods"], inventory.counts()["nodes"]);
    let cases: [(&str, Vec<Fact>, (usize, usize)); 3] = [
        (
            "two lists break off",
            vec![
                Fact::Listing(Kind::Pods),
                Fact::Listing(Kind::Nodes),
                fact(b.clone()),
                node("worker"),
            ],
            (2, 2),
        ),
        (
            "begun again and completed: what was told in the broken ones does not count",
            vec![
                Fact::Listing(Kind::Pods),
                fact(a),
                Fact::Listed(Kind::Pods),
                Fact::Listing(Kind::Nodes),
                node("cp"),
                Fact::Listed(Kind::Nodes),
            ],
            (1, 1),
        ),
        (
            "complete without a beginning",
            vec![Fact::Listed(Kind::Pods), Fact::Listed(Kind::Nodes)],
            (1, 1),
        ),
    ];
    for (case, facts, want) in cases {
        for one in facts {
            told(&mut inventory, Origin::Kube, 9, one);
        }
        assert_eq!(counts(&inventory), want, "case: {case}");
    }
}
