//! Connections become edges, ends become nodes; sums are sums and order is stable.

use super::*;
use crate::{attribute::Quality, report::ProcessRef};

fn claim(name: &str, quality: Quality) -> Arc<Claim> {
    Arc::new(Claim {
        who: Who::Component {
            name: name.to_owned(),
            role: None,
        },
        quality,
        by: format!("{quality:?}"),
        place: crate::attribute::place::Place::default(),
    })
}

fn party(claim: &Arc<Claim>, tgid: u32) -> Party {
    Party {
        address: "127.0.0.1:1".parse().unwrap(),
        netns: 7,
        claim: Arc::clone(claim),
        process: Some(ProcessRef {
            tgid,
            uid: 0,
            cgroup_id: 0,
            comm: "x".into(),
            exe: None,
        }),
    }
}

const fn alive(from_unix_ns: i64, to_unix_ns: i64) -> Contribution {
    Contribution {
        active: true,
        joined: true,
        found: false,
        families: (true, false),
        failed: None,
        counters: None,
        seen_unix_ns: (from_unix_ns, to_unix_ns),
        closed_by: None,
    }
}

fn finished(builder: &Builder) -> Graph {
    builder.finish("node".to_owned(), (0, 1), Health::default())
}

#[test]
fn a_restart_makes_no_new_node_and_the_best_claim_speaks() {
    let host: Arc<str> = "host".into();
    let mut builder = Builder::default();
    let (weak, strong) = (claim("etcd", Quality::Listener), claim("etcd", Quality::Exe));
    let first = builder.node(&party(&weak, 10), &host);
    let second = builder.node(&party(&strong, 11), &host);
    assert_eq!(first, second);
    assert_eq!(builder.node(&party(&strong, 11), &host), first);
    builder.add(first, second, 2380, None, &alive(1, 2));
    let graph = finished(&builder);
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!(graph.nodes[0].pids, [10, 11]);
    assert_eq!(graph.nodes[0].process_count, 2);
    assert_eq!(graph.nodes[0].claim.quality, Quality::Exe);
    assert_eq!(graph.edges[0].source, graph.edges[0].destination);
}

#[test]
fn the_same_component_in_two_namespaces_is_two_nodes() {
    let etcd = claim("etcd", Quality::Exe);
    let mut builder = Builder::default();
    let (host, pod): (Arc<str>, Arc<str>) = ("host".into(), "netns/pod".into());
    let (a, b) = (
        builder.node(&party(&etcd, 1), &host),
        builder.node(&party(&etcd, 2), &pod),
    );
    assert_ne!(a, b);
    builder.add(a, b, 2380, None, &alive(1, 2));
    let ids: Vec<_> = finished(&builder).nodes.into_iter().map(|node| node.id).collect();
    assert_eq!(ids, ["host/etcd", "netns/pod/etcd"]);
}

#[test]
fn an_edge_sums_what_its_connections_add() {
    let host: Arc<str> = "host".into();
    let mut builder = Builder::default();
    let a = builder.node(&party(&claim("a", Quality::Exe), 1), &host);
    let b = builder.node(&party(&claim("b", Quality::Exe), 2), &host);
    let counters = |sent_bytes, rtt_us| {
        Some(Counters {
            sent_bytes,
            received_bytes: 5,
            rtt_us,
            retransmits: 1,
        })
    };
    let over = |by| Contribution {
        active: false,
        closed_by: Some(by),
        ..alive(10, 20)
    };
    let refused = Contribution {
        failed: Some(Failure::Refused),
        counters: counters(99, 99),
        ..alive(1, 30)
    };
    let all = [
        alive(10, 20),
        Contribution {
            joined: false,
            found: true,
            counters: counters(7, 41),
            ..alive(5, 25)
        },
        Contribution {
            counters: counters(8, 0),
            ..over(ClosedBy::Source)
        },
        over(ClosedBy::Destination),
        over(ClosedBy::Reset),
        over(ClosedBy::Unseen),
        refused,
        refused,
    ];
    for one in &all {
        builder.add(a, b, 80, None, one);
    }
    let graph = finished(&builder);
    let want = EdgeStats {
        opened: 6,
        active: 2,
        joined: 5,
        found: 1,
        failed: [(Failure::Refused, 2)].into(),
        sent_bytes: 15,
        received_bytes: 10,
        rtt_us: Some(41),
        retransmits: 2,
        seen_unix_ns: (1, 30),
        closed_by_source: 1,
        closed_by_destination: 1,
        closed_by_reset: 1,
        families: (true, false),
    };
    assert_eq!(graph.edges[0].stats, want);
}

#[test]
fn the_order_of_arrival_does_not_show() {
    let host: Arc<str> = "host".into();
    let claims: Vec<_> = ["c", "a", "b", "only-listens"]
        .map(|name| claim(name, Quality::Exe))
        .into();
    let built = |order: &[(usize, usize, u16)]| {
        let mut builder = Builder::default();
        let listener = builder.node(&party(&claims[3], 9), &host);
        builder.listens(listener, "0.0.0.0:80".parse().unwrap());
        for (from, to, port) in order {
            let from = builder.node(&party(&claims[*from], 1), &host);
            let to = builder.node(&party(&claims[*to], 2), &host);
            builder.listens(to, SocketAddr::from(([127, 0, 0, 1], *port)));
            builder.add(from, to, *port, None, &alive(1, 2));
        }
        finished(&builder)
    };
    let mut order = [(0, 1, 80), (0, 1, 79), (2, 1, 80), (1, 0, 443)];
    let first = built(&order);
    order.reverse();
    assert_eq!(first, built(&order));
    assert_eq!(first.nodes.len(), 3, "who only listens is in no edge");
    assert!(first.nodes.is_sorted_by_key(|node| &node.id));
    let keys: Vec<_> = first
        .edges
        .iter()
        .map(|edge| (edge.source.as_str(), edge.destination.as_str(), edge.port))
        .collect();
    assert_eq!(
        keys,
        [
            ("host/a", "host/c", 443),
            ("host/b", "host/a", 80),
            ("host/c", "host/a", 79),
            ("host/c", "host/a", 80)
        ]
    );
}

#[test]
fn edges_and_pids_are_bounded_and_the_rest_is_counted() {
    let host: Arc<str> = "host".into();
    let mut builder = Builder::default();
    let a = builder.node(&party(&claim("a", Quality::Exe), 1), &host);
    for destination in 0..=EDGES_MAX {
        builder.add(a, destination, 80, None, &alive(1, 2));
    }
    builder.add(a, 0, 80, None, &alive(1, 2));
    assert_eq!(builder.edges.len(), EDGES_MAX);
    assert_eq!(builder.overflow(), 1, "an edge that is there still grows");
    let shared = claim("a", Quality::Exe);
    for tgid in 1..=100 {
        builder.node(&party(&shared, tgid), &host);
    }
    let node = builder.nodes[a].finish();
    assert_eq!((node.pids.len(), node.process_count), (PIDS_SHOWN, 100));
}
