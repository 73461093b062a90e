//! Names that come late, go and change: edges stay what they are, and are called what is known.

use super::*;
use crate::signal::inventory::{
    Endpoint, EndpointsFacts, Fact, Inventory, Kind, NodeFacts, Origin, PodFacts, ServiceFacts, ServicePort,
    Workload,
};

const POD_NETNS: u32 = 77;

fn tell(run: &mut Run, at_ns: u64, fact: Fact) {
    run.feed(&Signal::Inventory(&Inventory {
        origin: Origin::Cri,
        at_ns,
        fact,
    }));
}

fn client(uid: &str, name: &str, address: &str, since_ns: u64) -> Fact {
    Fact::Pod(Box::new(PodFacts {
        uid: uid.into(),
        namespace: "shop".into(),
        name: name.into(),
        workload: Some(Workload {
            kind: "Deployment".into(),
            name: "client".into(),
        }),
        addresses: vec![address.parse().unwrap()],
        started_unix_ns: Some(since_ns.try_into().unwrap()),
        ..PodFacts::default()
    }))
}

/// A connection from another machine, from its beginning to its end.
fn visit(run: &mut Run, world: &mut World, from: &str) {
    let plan = Plan {
        source: (None, from.parse().unwrap()),
        destination: (Some(HOST), "192.168.59.150:6443".parse().unwrap()),
        client: 10,
        other_client: None,
    };
    let id = world.connect(plan);
    world.accept(id, 100);
    world.close(id, Side::Destination);
    world.reset(id);
    watch(run, world);
}

/// Lets everything come and settle.
fn watch(run: &mut Run, world: &mut World) {
    world.drain();
    world.wait(2_000_000_000);
    world.tick();
    run.watch(world);
}

fn begun() -> (World, Run) {
    let (mut world, mut run) = (World::new(3), Run::new());
    world.names = [(100, "kube-apiserver")].into();
    world.listen(100, HOST, "0.0.0.0:6443".parse().unwrap());
    world.attach();
    world.snapshot();
    run.watch(&mut world);
    (world, run)
}

fn sources(run: &mut Run, by: GroupBy) -> Vec<(String, u64)> {
    let graph = run.pipeline.graph(by);
    graph
        .edges
        .into_iter()
        .map(|edge| (edge.source, edge.stats.opened))
        .collect()
}

#[test]
fn an_edge_made_before_its_name_was_known_is_the_same_edge_with_a_name() {
    let (mut world, mut run) = begun();
    visit(&mut run, &mut world, "10.0.0.7:40000");
    assert_eq!(
        sources(&mut run, GroupBy::Component),
        [("external/10.0.0.7".to_owned(), 1)]
    );
    tell(&mut run, world.now_ns, client("a", "client-1", "10.0.0.7", 1));
    visit(&mut run, &mut world, "10.0.0.7:40001");
    let renamed = [("namespace/shop/deployment/client".to_owned(), 2)];
    assert_eq!(sources(&mut run, GroupBy::Component), renamed);
    tell(&mut run, world.now_ns, Fact::PodGone("a".into()));
    assert_eq!(
        sources(&mut run, GroupBy::Component),
        renamed,
        "though it is gone"
    );
}

#[test]
fn a_pod_that_gets_the_address_of_another_does_not_get_its_edges() {
    let (mut world, mut run) = begun();
    let since_ns = world.now_ns;
    tell(&mut run, since_ns, client("a", "client-1", "10.0.0.7", since_ns));
    visit(&mut run, &mut world, "10.0.0.7:40000");
    tell(&mut run, world.now_ns, Fact::PodGone("a".into()));
    let reused_ns = world.now_ns;
    visit(&mut run, &mut world, "10.0.0.7:40001");
    tell(
        &mut run,
        world.now_ns,
        client("b", "client-2", "10.0.0.7", reused_ns),
    );
    visit(&mut run, &mut world, "10.0.0.7:40002");
    assert_eq!(
        sources(&mut run, GroupBy::Pod),
        [
            ("namespace/shop/pod/client-1".to_owned(), 2),
            ("namespace/shop/pod/client-2".to_owned(), 1)
        ],
        "what was told while the old one's address was warm stays with it"
    );
    assert_eq!(
        sources(&mut run, GroupBy::Component),
        [("namespace/shop/deployment/client".to_owned(), 3)]
    );
}

#[test]
fn a_process_in_a_pod_is_its_workload_and_a_component_stays_a_component() {
    let (mut world, mut run) = begun();
    world.names = [(100, "kube-apiserver"), (200, "sh"), (300, "coredns")].into();
    let uid = "11111111-2222-3333-4444-555555555555";
    let path = format!("/kubepods/besteffort/pod{uid}/{}", "a".repeat(64));
    for tgid in [200, 300] {
        run.feed(&Signal::Process(&crate::signal::ProcessFacts {
            tgid,
            comm: world.names[&tgid].to_owned(),
            exe: Some(format!("/bin/{}", world.names[&tgid])),
            cgroup: Some(path.clone()),
            netns: Some(POD_NETNS),
            ..Default::default()
        }));
    }
    for (tgid, port) in [(200, 41_000), (300, 41_001)] {
        let plan = Plan {
            source: (Some(POD_NETNS), format!("10.0.0.7:{port}").parse().unwrap()),
            destination: (Some(HOST), "192.168.59.150:6443".parse().unwrap()),
            client: tgid,
            other_client: None,
        };
        let id = world.connect(plan);
        world.accept(id, 100);
    }
    watch(&mut run, &mut world);
    let nameless = sources(&mut run, GroupBy::Component);
    assert_eq!(nameless[0].0, "netns/77/coredns");
    assert_eq!(nameless[1].0, "netns/77/sh", "only its uid is known");
    tell(&mut run, world.now_ns, client(uid, "client-1", "10.0.0.7", 1));
    let ids = |run: &mut Run, by| sources(run, by).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(
        ids(&mut run, GroupBy::Component),
        ["namespace/shop/coredns", "namespace/shop/deployment/client"]
    );
    assert_eq!(
        ids(&mut run, GroupBy::Workload),
        ["namespace/shop/deployment/client"]
    );
    assert_eq!(ids(&mut run, GroupBy::Namespace), ["namespace/shop"]);
    assert_eq!(
        ids(&mut run, GroupBy::Process),
        [
            "namespace/shop/pod/client-1/coredns",
            "namespace/shop/pod/client-1/sh"
        ]
    );
}

#[test]
fn addresses_of_nodes_and_services_are_named_and_the_port_is_a_guess_only_where_nothing_better_is_known() {
    let (mut world, mut run) = begun();
    let node = NodeFacts {
        name: "worker".into(),
        addresses: vec!["192.168.59.151".parse().unwrap()],
        ..NodeFacts::default()
    };
    tell(&mut run, 1, Fact::Node(Box::new(node)));
    let service = ServiceFacts {
        namespace: "shop".into(),
        name: "web".into(),
        cluster_ips: vec!["10.96.0.9".parse().unwrap()],
        ports: vec![ServicePort {
            port: 80,
            ..ServicePort::default()
        }],
        ..ServiceFacts::default()
    };
    tell(&mut run, 1, Fact::Service(Box::new(service)));
    for (port, to) in [
        (42_000, "192.168.59.151:10250"),
        (42_001, "10.96.0.9:80"),
        (42_002, "10.96.0.9:81"),
    ] {
        let mut plan = plan(100, &format!("192.168.59.150:{port}"), to);
        plan.destination.0 = None;
        world.connect(plan);
    }
    watch(&mut run, &mut world);
    let graph = run.pipeline.graph(GroupBy::Component);
    let found: Vec<_> = graph
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node.kind.name(), node.claim.quality))
        .collect();
    assert_eq!(
        found,
        [
            (
                "external/10.96.0.9",
                "external",
                crate::attribute::Quality::Address
            ),
            (
                "host/kube-apiserver",
                "component",
                crate::attribute::Quality::Comm
            ),
            (
                "namespace/shop/service/web",
                "service",
                crate::attribute::Quality::Inventory
            ),
            ("node/worker", "node", crate::attribute::Quality::Port),
        ]
    );
}

#[test]
fn a_hundred_thousand_pods_at_once_change_no_edge() {
    let (mut world, mut run) = begun();
    visit(&mut run, &mut world, "10.0.0.7:40000");
    tell(&mut run, world.now_ns, Fact::Listing(Kind::Pods));
    for number in 0..100_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        tell(
            &mut run,
            world.now_ns,
            client(
                &format!("uid-{number}"),
                &format!("client-{number}"),
                &address.to_string(),
                1,
            ),
        );
    }
    tell(&mut run, world.now_ns, Fact::Listed(Kind::Pods));
    visit(&mut run, &mut world, "10.0.0.7:40001");
    assert_eq!(
        sources(&mut run, GroupBy::Pod),
        [("namespace/shop/pod/client-7".to_owned(), 2)]
    );
}

#[test]
fn without_translations_a_service_is_its_only_server_or_itself_with_those_it_may_have_been() {
    type Case = (
        &'static str,
        &'static [(&'static str, bool)],
        &'static str,
        &'static [&'static str],
    );
    let cases: &[Case] = &[
        ("nobody serves", &[], "namespace/shop/service/web", &[]),
        (
            "one, and one that is not ready",
            &[("10.0.0.1", true), ("10.0.0.2", false)],
            "namespace/shop/pod/web-10.0.0.1",
            &[],
        ),
        (
            "two",
            &[("10.0.0.1", true), ("10.0.0.2", true)],
            "namespace/shop/service/web",
            &["shop/web-10.0.0.1", "shop/web-10.0.0.2"],
        ),
    ];
    for (case, servers, want, candidates) in cases {
        let (mut world, mut run) = begun();
        let service = ServiceFacts {
            namespace: "shop".into(),
            name: "web".into(),
            cluster_ips: vec!["10.96.0.9".parse().unwrap()],
            ports: vec![ServicePort {
                port: 80,
                ..ServicePort::default()
            }],
            ..ServiceFacts::default()
        };
        tell(&mut run, 1, Fact::Service(Box::new(service)));
        let slice = EndpointsFacts {
            namespace: "shop".into(),
            name: "web-x".into(),
            service: "web".into(),
            ports: vec![(String::new(), 8080)],
            endpoints: servers
                .iter()
                .map(|(address, ready)| Endpoint {
                    addresses: vec![address.parse().unwrap()],
                    ready: *ready,
                    pod: Some(("shop".into(), format!("web-{address}"), format!("uid-{address}"))),
                    node: None,
                })
                .collect(),
        };
        tell(&mut run, 1, Fact::Endpoints(Box::new(slice)));
        let mut plan = plan(100, "192.168.59.150:42000", "10.96.0.9:80");
        plan.destination.0 = None;
        world.connect(plan);
        watch(&mut run, &mut world);
        let graph = run.pipeline.graph(GroupBy::Pod);
        assert_eq!(graph.edges[0].destination, *want, "case: {case}");
        let node = graph.nodes.iter().find(|node| node.id == *want).unwrap();
        let mut found = Vec::new();
        if let crate::attribute::Who::Service { candidates, .. } = &node.claim.who {
            found.clone_from(candidates);
        }
        assert_eq!(found, *candidates, "case: {case}");
    }
}

#[test]
fn a_process_that_moves_to_another_cgroup_takes_its_next_connection_along() {
    let (mut world, mut run) = begun();
    world.names = [(100, "kube-apiserver"), (200, "sh")].into();
    let uids = [
        "11111111-2222-3333-4444-555555555555",
        "66666666-7777-8888-9999-aaaaaaaaaaaa",
    ];
    for (id, uid) in [7, 8].into_iter().zip(uids) {
        let path = format!("/kubepods/besteffort/pod{uid}/{}", "a".repeat(64));
        run.feed(&Signal::Cgroup { id, path: &path });
        tell(
            &mut run,
            1,
            client(uid, &format!("client-{id}"), &format!("10.0.0.{id}"), 1),
        );
    }
    for (port, cgroup) in [(41_000, 7), (41_001, 8), (41_002, 8)] {
        world.cgroups.insert(200, cgroup);
        let plan = Plan {
            source: (Some(POD_NETNS), format!("10.0.0.7:{port}").parse().unwrap()),
            destination: (Some(HOST), "192.168.59.150:6443".parse().unwrap()),
            client: 200,
            other_client: None,
        };
        let id = world.connect(plan);
        world.accept(id, 100);
    }
    watch(&mut run, &mut world);
    assert_eq!(
        sources(&mut run, GroupBy::Pod),
        [
            ("namespace/shop/pod/client-7".to_owned(), 1),
            ("namespace/shop/pod/client-8".to_owned(), 2)
        ]
    );
}

#[test]
fn who_listens_on_every_address_here_is_not_who_listens_elsewhere() {
    let (mut world, mut run) = begun();
    world.names = [(100, "kube-apiserver"), (200, "sh")].into();
    for (port, to) in [(42_000, "10.9.9.9:6443"), (42_001, "192.168.59.150:6443")] {
        let mut plan = plan(200, &format!("192.168.59.150:{port}"), to);
        plan.destination.0 = None;
        world.connect(plan);
    }
    watch(&mut run, &mut world);
    let graph = run.pipeline.graph(GroupBy::Component);
    let destinations: Vec<&str> = graph.edges.iter().map(|edge| edge.destination.as_str()).collect();
    assert_eq!(destinations, ["external/10.9.9.9", "host/kube-apiserver"]);
}

#[test]
fn edges_of_many_pods_of_one_workload_become_one_when_there_is_no_room_for_all() {
    const VISITS: u32 = (1 << 15) + 200;
    let (mut world, mut run) = begun();
    for number in 0..VISITS {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        let pod = client(
            &format!("uid-{number}"),
            &format!("client-{number}"),
            &address.to_string(),
            1,
        );
        tell(&mut run, world.now_ns, pod);
    }
    for number in 0..VISITS {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        let plan = Plan {
            source: (None, format!("{address}:40000").parse().unwrap()),
            destination: (Some(HOST), "192.168.59.150:6443".parse().unwrap()),
            client: 10,
            other_client: None,
        };
        let id = world.connect(plan);
        world.accept(id, 100);
        world.reset(id);
        if number % 4096 == 0 {
            watch(&mut run, &mut world);
        }
    }
    watch(&mut run, &mut world);
    let pods = sources(&mut run, GroupBy::Pod);
    assert!(pods.len() < 1000, "{} edges", pods.len());
    assert_eq!(
        sources(&mut run, GroupBy::Component),
        [("namespace/shop/deployment/client".to_owned(), u64::from(VISITS))]
    );
}

#[test]
fn a_socket_that_nobody_owns_is_the_pods_whose_address_it_has_but_not_in_the_hosts_namespace() {
    let (mut world, mut run) = begun();
    for (port, netns) in [(43_000, POD_NETNS), (43_001, HOST)] {
        world.connect(Plan {
            source: (None, format!("10.0.0.9:{port}").parse().unwrap()),
            destination: (Some(netns), "10.0.0.7:53".parse().unwrap()),
            client: 10,
            other_client: None,
        });
    }
    watch(&mut run, &mut world);
    let ids = |run: &mut Run| {
        let edges = run.pipeline.graph(GroupBy::Component).edges;
        edges.into_iter().map(|edge| edge.destination).collect::<Vec<_>>()
    };
    let nobody = |group: &str| format!("{group}/~nobody-was-seen-to-own-the-socket");
    assert_eq!(ids(&mut run), [nobody("host"), nobody("netns/77")]);
    tell(&mut run, world.now_ns, client("a", "client-1", "10.0.0.7", 1));
    assert_eq!(
        ids(&mut run),
        [nobody("host"), "namespace/shop/deployment/client".to_owned()]
    );
}
