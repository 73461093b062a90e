//! Connections become edges, ends become nodes; sums are sums and order is stable.

use super::*;
use crate::{
    attribute::{Quality, Who},
    graph::GroupBy,
};

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

const fn alive(from_unix_ns: i64, to_unix_ns: i64) -> Contribution {
    Contribution {
        active: true,
        joined: true,
        found: false,
        direction_guessed: false,
        families: (true, false),
        failed: None,
        counters: None,
        seen_unix_ns: (from_unix_ns, to_unix_ns),
        closed_by: None,
    }
}

/// Subjects by number, all in the group given.
fn finished(builder: &Builder, names: &[(&Arc<Claim>, &str)]) -> Graph {
    let name = |subject: u32| {
        let (claim, group) = names[subject as usize];
        Name {
            claim: Arc::clone(claim),
            group: group.into(),
            netns: 7,
        }
    };
    let via = |address| Via {
        address,
        service: None,
    };
    let fine = builder.finish("node".to_owned(), (0, 1), Health::default(), name, via);
    fine.fold(GroupBy::Component)
}

#[test]
fn a_restart_makes_no_new_node_and_the_best_claim_speaks() {
    let mut builder = Builder::default();
    let (weak, strong) = (claim("etcd", Quality::Listener), claim("etcd", Quality::Exe));
    builder.process(0, 10);
    builder.process(1, 11);
    builder.process(1, 11);
    builder.add((0, 1, 2380, None), &alive(1, 2));
    let graph = finished(&builder, &[(&weak, "host"), (&strong, "host")]);
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
    builder.add((0, 1, 2380, None), &alive(1, 2));
    let graph = finished(&builder, &[(&etcd, "host"), (&etcd, "netns/pod")]);
    let ids: Vec<_> = graph.nodes.into_iter().map(|node| node.id).collect();
    assert_eq!(ids, ["host/etcd", "netns/pod/etcd"]);
}

#[test]
fn the_same_port_by_another_service_is_another_edge() {
    let (a, b) = (claim("a", Quality::Exe), claim("b", Quality::Exe));
    let mut builder = Builder::default();
    let via = |text: &str| Some(text.parse().unwrap());
    for via in [
        None,
        via("10.96.0.1:80"),
        via("10.96.0.2:80"),
        via("10.96.0.1:80"),
    ] {
        builder.add((0, 1, 8080, via), &alive(1, 2));
    }
    let graph = finished(&builder, &[(&a, "host"), (&b, "host")]);
    let opened: Vec<_> = graph
        .edges
        .iter()
        .map(|edge| {
            (
                edge.via.as_ref().map(|via| via.address.to_string()),
                edge.stats.opened,
            )
        })
        .collect();
    assert_eq!(
        opened,
        [
            (None, 1),
            (Some("10.96.0.1:80".to_owned()), 2),
            (Some("10.96.0.2:80".to_owned()), 1)
        ]
    );
}

#[test]
fn an_edge_sums_what_its_connections_add() {
    let (a, b) = (claim("a", Quality::Exe), claim("b", Quality::Exe));
    let mut builder = Builder::default();
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
            direction_guessed: true,
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
        builder.add((0, 1, 80, None), one);
    }
    let graph = finished(&builder, &[(&a, "host"), (&b, "host")]);
    let want = EdgeStats {
        opened: 6,
        active: 2,
        joined: 5,
        found: 1,
        direction_guessed: 1,
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
    let claims: Vec<_> = ["c", "a", "b", "only-listens"]
        .map(|name| claim(name, Quality::Exe))
        .into();
    let built = |order: &[(u32, u32, u16)]| {
        let mut builder = Builder::default();
        builder.listens(3, "0.0.0.0:80".parse().unwrap());
        for (from, to, port) in order {
            builder.listens(*to, SocketAddr::from(([127, 0, 0, 1], *port)));
            builder.add((*from, *to, *port, None), &alive(1, 2));
        }
        let names: Vec<_> = claims.iter().map(|claim| (claim, "host")).collect();
        finished(&builder, &names)
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
    let mut builder = Builder::default();
    for destination in 0..=u32::try_from(EDGES_MAX).unwrap() {
        builder.add((0, destination, 80, None), &alive(1, 2));
    }
    builder.add((0, 0, 80, None), &alive(1, 2));
    assert_eq!(builder.edges.len(), EDGES_MAX);
    assert_eq!(builder.overflow(), 1, "an edge that is there still grows");
    let shared = claim("a", Quality::Exe);
    let mut builder = Builder::default();
    builder.add((0, 0, 80, None), &alive(1, 2));
    for tgid in 1..=100 {
        builder.process(0, tgid);
    }
    let node = finished(&builder, &[(&shared, "host")]).nodes.remove(0);
    assert_eq!((node.pids.len(), node.process_count), (PIDS_SHOWN, 100));
}

#[test]
fn subjects_put_together_keep_all_sums_and_wait_for_more_before_it_is_time_again() {
    let mut builder = Builder::default();
    let half = u32::try_from(EDGES_MAX / 2).unwrap();
    for source in 1..=half {
        builder.process(source, source);
        builder.add((source, 0, 80, None), &alive(1, 2));
    }
    assert!(builder.is_crowded());
    builder.renumber(|subject| subject.min(1));
    assert_eq!(builder.edges.len(), 1);
    assert_eq!(builder.edges[&(1, 0, 80, None)].opened, u64::from(half));
    assert_eq!(builder.pids[&1].len(), half as usize);
    for source in 1..half {
        builder.add((source, 0, 81, None), &alive(1, 2));
    }
    builder.renumber(|subject| subject);
    assert!(!builder.is_crowded(), "nothing could be put together: later");
}

#[test]
fn what_had_no_sign_of_life_for_long_is_forgotten_unless_it_is_alive() {
    // The last is the same node as the second.
    let names: Vec<Arc<Claim>> = ["a", "b", "c", "d", "b"]
        .map(|name| claim(name, Quality::Exe))
        .into();
    let over = |to_unix_ns| Contribution {
        active: false,
        ..alive(1, to_unix_ns)
    };
    let mut finished_ones = Builder::default();
    for subject in 0..5 {
        finished_ones.process(subject, subject + 100);
    }
    // Old; old with a live connection; young; old and failed.
    finished_ones.add((0, 3, 1, None), &over(9));
    finished_ones.add((4, 3, 1, None), &over(9));
    finished_ones.add((2, 3, 1, None), &over(10));
    finished_ones.add(
        (0, 3, 2, None),
        &Contribution {
            failed: Some(Failure::Refused),
            ..over(9)
        },
    );
    let mut all = finished_ones.clone();
    all.add((1, 3, 1, None), &alive(1, 2));
    all.forget_before(10, |subject| {
        names[subject as usize].by.clone() + &names[subject as usize].who.label()
    });
    finished_ones.keep(&all);
    let in_host: Vec<(&Arc<Claim>, &str)> = names.iter().map(|claim| (claim, "host")).collect();
    let graph = finished(&all, &in_host);
    let edges: Vec<_> = graph
        .edges
        .iter()
        .map(|edge| {
            (
                edge.source.as_str(),
                edge.port,
                edge.stats.opened,
                edge.stats.active,
            )
        })
        .collect();
    assert_eq!(edges, [("host/b", 1, 2, 1), ("host/c", 1, 1, 0)]);
    assert_eq!(finished_ones.keys().count(), 2);
    assert_eq!(
        finished_ones.pids(0).count(),
        0,
        "its process is forgotten with its last edge"
    );
    assert_eq!(finished_ones.pids(4).collect::<Vec<_>>(), [104]);
}

#[test]
fn active_is_what_has_a_live_connection_with_all_of_its_sums() {
    let (a, b, c) = (
        claim("a", Quality::Exe),
        claim("b", Quality::Exe),
        claim("c", Quality::Exe),
    );
    let mut builder = Builder::default();
    let over = Contribution {
        active: false,
        ..alive(1, 2)
    };
    builder.add((0, 1, 1, None), &over);
    builder.add((0, 1, 1, None), &alive(1, 2));
    builder.add((2, 1, 1, None), &over);
    let mut graph = finished(&builder, &[(&a, "host"), (&b, "host"), (&c, "host")]);
    graph.keep_active();
    assert_eq!(graph.edges.len(), 1);
    assert_eq!((graph.edges[0].stats.opened, graph.edges[0].stats.active), (2, 1));
    let ids: Vec<_> = graph.nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["host/a", "host/b"]);
}
