//! The node's own network: namespaces by the time that they had their inode, and addresses of its interfaces.

use super::*;
use crate::signal::host::{HostFact, HostFacts};

/// Inode of a namespace that is used again.
const REUSED: u32 = 77;
const S: u64 = 1_000_000_000;

fn tell(run: &mut Run, at_ns: u64, fact: HostFact) {
    run.feed(&Signal::Host(&HostFacts { at_ns, fact }));
}

fn begun(accept_hook: bool) -> (World, Run) {
    let mut world = World::new(3);
    world.accept_hook = accept_hook;
    world.names = [(100, "client"), (200, "server")].into();
    world.attach();
    let mut run = Run::new();
    world.snapshot();
    run.watch(&mut world);
    (world, run)
}

/// A server and its client in the namespace that has the inode now, from beginning to end.
fn visit(run: &mut Run, world: &mut World, from: &str) {
    let at = "127.0.0.1:7000".parse().unwrap();
    let listener = world.listen(200, REUSED, at);
    let id = world.connect(Plan {
        source: (Some(REUSED), from.parse().unwrap()),
        destination: (Some(REUSED), at),
        client: 100,
        other_client: None,
    });
    world.accept(id, 200);
    world.close(id, Side::Source);
    world.close(id, Side::Destination);
    world.unlisten(listener);
    settle(run, world);
}

fn settle(run: &mut Run, world: &mut World) {
    world.drain();
    world.wait(3 * S);
    world.tick();
    run.watch(world);
}

/// Both ends of edges with what was opened.
fn edges(run: &mut Run) -> Vec<(String, String, u64)> {
    let graph = run.pipeline.graph(GroupBy::Component);
    let edges = graph.edges.into_iter();
    edges
        .map(|edge| (edge.source, edge.destination, edge.stats.opened))
        .collect()
}

#[test]
fn namespaces_that_had_one_inode_one_after_the_other_are_groups_of_their_own() {
    for accept_hook in [true, false] {
        let (mut world, mut run) = begun(accept_hook);
        for (name, from) in [("red", "127.0.0.1:40001"), ("blue", "127.0.0.1:40002")] {
            tell(
                &mut run,
                world.now_ns,
                HostFact::Namespace(REUSED, name.to_owned()),
            );
            visit(&mut run, &mut world, from);
            tell(
                &mut run,
                world.now_ns,
                HostFact::NamespaceGone(REUSED, name.to_owned()),
            );
            world.wait(3 * S);
        }
        let edge = |name: &str| (format!("netns/{name}/client"), format!("netns/{name}/server"), 1);
        assert_eq!(
            edges(&mut run),
            [edge("blue"), edge("red")],
            "accept {accept_hook}"
        );
        let told: Vec<Option<&str>> = run.told.iter().map(|one| one.netns_name.as_deref()).collect();
        assert!(told.iter().all(Option::is_some), "{told:?}");
    }
}

#[test]
fn a_name_that_comes_later_names_the_edges_that_are_there() {
    let (mut world, mut run) = begun(true);
    tell(
        &mut run,
        world.now_ns,
        HostFact::Namespace(REUSED, "first".to_owned()),
    );
    tell(
        &mut run,
        world.now_ns,
        HostFact::NamespaceGone(REUSED, "first".to_owned()),
    );
    let began_ns = world.now_ns;
    world.wait(1);
    visit(&mut run, &mut world, "127.0.0.1:40001");
    assert_eq!(edges(&mut run)[0].0, format!("netns/{REUSED}.3/client"));
    tell(
        &mut run,
        began_ns + S / 2,
        HostFact::Namespace(REUSED, "late".to_owned()),
    );
    assert_eq!(edges(&mut run)[0].0, "netns/late/client");
}

#[test]
fn an_address_of_the_nodes_own_interfaces_is_the_node_while_it_has_it() {
    let (mut world, mut run) = begun(true);
    let bridge = "10.244.0.1".parse().unwrap();
    let dial = |world: &mut World, run: &mut Run, from: &str| {
        let id = world.dial(Plan {
            source: (Some(REUSED), from.parse().unwrap()),
            destination: (None, "10.244.0.1:10250".parse().unwrap()),
            client: 100,
            other_client: None,
        });
        world.fail(id, 111);
        settle(run, world);
    };
    dial(&mut world, &mut run, "10.244.0.5:40000");
    assert_eq!(edges(&mut run)[0].1, "external/10.244.0.1");
    tell(&mut run, world.now_ns, HostFact::Address(bridge));
    world.wait(10 * S);
    dial(&mut world, &mut run, "10.244.0.6:40001");
    assert!(
        edges(&mut run).iter().any(|edge| edge.1 == "node/the-host"),
        "{:?}",
        edges(&mut run)
    );
    let claim = Arc::clone(&run.told.last().unwrap().destination.claim);
    assert!(claim.by.contains("of an interface of this node"), "{}", claim.by);
    assert_eq!(claim.node(), Some("the-host"));

    // Another node may have it next.
    tell(&mut run, world.now_ns, HostFact::AddressGone(bridge));
    world.wait(100 * S);
    let id = world.dial(Plan {
        source: (Some(POD), "10.244.0.7:40002".parse().unwrap()),
        destination: (None, "10.244.0.1:10250".parse().unwrap()),
        client: 100,
        other_client: None,
    });
    world.fail(id, 111);
    settle(&mut run, &mut world);
    let last = run.told.last().unwrap();
    assert!(matches!(
        last.destination.claim.who,
        crate::attribute::Who::External { .. }
    ));
}
