//! The tracer's own traffic proves that it sees, and is not shown; what health says of the rest.

use super::*;

/// A test connection of the tracer with itself, as the live source makes it; the programs see it or not.
fn canary(run: &mut Run, world: &mut World, port: u16, seen: bool) {
    let (near, far) = (format!("127.0.0.1:{}", port + 1), format!("127.0.0.1:{port}"));
    world.lose_one_in = u64::from(!seen);
    let listener = world.listen(SELF, HOST, far.parse().unwrap());
    let at_ns = world.now_ns;
    run.watch(world);
    run.feed(&Signal::Canary { port, at_ns });
    let id = world.connect(plan(SELF, &near, &far));
    world.accept(id, SELF);
    world.close(id, Side::Source);
    world.close(id, Side::Destination);
    world.unlisten(listener);
    world.lose_one_in = 0;
    world.tick();
    run.watch(world);
}

#[test]
fn a_canary_is_counted_and_not_shown() {
    for accept_hook in [true, false] {
        let (mut world, mut run) = (World::watched(), Run::new());
        world.accept_hook = accept_hook;
        canary(&mut run, &mut world, 45_000, true);
        world.snapshot();
        run.watch(&mut world);
        let told = &mut run.told;
        run.pipeline.settle(&mut |happening| told.push(happening.clone()));
        assert_eq!(run.told, [], "accept hook: {accept_hook}");
        assert_eq!(
            run.pipeline.graph(GroupBy::Component).edges,
            [],
            "accept hook: {accept_hook}"
        );
        let health = run.pipeline.health();
        assert_eq!(health.canaries, (1, 1));
        assert!(health.is_complete(), "{health:?}");
    }
}

#[test]
fn a_canary_the_programs_did_not_see_is_a_gap() {
    let (mut world, mut run) = (World::watched(), Run::new());
    canary(&mut run, &mut world, 45_000, false);
    let health = run.pipeline.health();
    assert_eq!(health.canaries, (1, 0));
    assert!(!health.is_complete());
}

#[test]
fn a_canarys_port_is_anybodys_a_second_later() {
    let (mut world, mut run) = (World::watched(), Run::new());
    canary(&mut run, &mut world, 45_000, true);
    world.wait(CANARY_NS);
    world.connect(plan(10, "127.0.0.1:40000", "127.0.0.1:45000"));
    world.tick();
    run.watch(&mut world);
    assert_eq!(run.count(|what| matches!(what, Happened::Opened)), 1);
}

#[test]
fn the_tracers_own_sockets_are_not_shown() {
    let (mut world, mut run) = (World::watched(), Run::new());
    let mut plan = plan(SELF, "192.168.59.150:40000", "10.9.9.9:443");
    plan.destination.0 = None;
    world.connect(plan);
    world.listen(SELF, HOST, "127.0.0.1:9999".parse().unwrap());
    world.snapshot();
    world.wait(1_000_000_000);
    world.tick();
    run.watch(&mut world);
    assert_eq!(run.told, []);
    assert_eq!(run.pipeline.listeners(), []);
    assert_eq!(run.pipeline.connections(), []);
}

#[test]
fn what_cannot_be_decoded_is_counted_and_the_rest_is_used() {
    let mut run = Run::new();
    for raw in [&b""[..], b"short", &[255; 200]] {
        run.feed(&Signal::Record(raw));
    }
    let mut world = World::watched();
    world.connect(plan(10, "127.0.0.1:40000", "127.0.0.1:2379"));
    world.tick();
    run.watch(&mut world);
    let health = run.pipeline.health();
    assert_eq!((health.undecodable, health.delivered), (3, 2));
    assert!(!health.is_complete());
    assert_eq!(run.count(|what| matches!(what, Happened::Opened)), 1);
}

#[test]
fn recall_is_what_later_snapshots_knew_of_what_they_saw() {
    let (mut world, mut run) = (World::watched(), Run::new());
    run.watch(&mut world);
    assert_eq!(run.pipeline.health().recall_ppm, None, "nothing to compare with");
    for (port, lose) in [(40_000, 0), (40_001, 0), (40_002, 0), (40_003, 1)] {
        world.lose_one_in = lose;
        let mut plan = plan(10, &format!("192.168.59.150:{port}"), "10.9.9.9:443");
        plan.destination.0 = None;
        world.connect(plan);
    }
    world.wait(100_000_000);
    world.snapshot();
    run.watch(&mut world);
    let health = run.pipeline.health();
    assert_eq!(health.recall_ppm, Some(750_000));
    assert_eq!((health.missed, health.lost), (1, 1));
}

#[test]
fn a_row_of_each_kind_names_its_process_and_counts_its_connections() {
    let (mut world, mut run) = (World::new(1), Run::new());
    world.names = [(100, "etcd"), (200, "kube-apiserver")].into();
    world.listen(100, HOST, "127.0.0.1:2379".parse().unwrap());
    world.attach();
    world.snapshot();
    for port in 40_000..40_061 {
        let id = world.connect(plan(200, &format!("127.0.0.1:{port}"), "127.0.0.1:2379"));
        world.accept(id, 100);
    }
    world.snapshot();
    run.watch(&mut world);
    let listeners = run.pipeline.listeners();
    assert_eq!(listeners.len(), 1);
    assert_eq!(listeners[0].connections, 61);
    let connections = run.pipeline.connections();
    assert_eq!(connections.len(), 61, "each once");
    assert!(
        connections
            .iter()
            .all(|row| row.source.process.as_ref().is_some_and(|one| one.tgid == 200))
    );
    let graph = run.pipeline.graph(GroupBy::Component);
    let [edge] = &graph.edges[..] else {
        panic!("{:#?}", graph.edges)
    };
    assert_eq!(
        (edge.stats.opened, edge.stats.joined, edge.stats.active),
        (61, 61, 61)
    );
    assert_eq!(edge.port, 2379);
}

#[test]
fn the_other_end_of_an_own_connection_is_not_shown_and_whoever_gets_its_port_later_is() {
    let (mut world, mut run) = (World::new(1), Run::new());
    world.names = [(100, "kube-apiserver"), (200, "kubelet")].into();
    world.listen(100, HOST, "192.168.59.150:6443".parse().unwrap());
    world.attach();
    world.snapshot();
    let tuple = |client| plan(client, "192.168.59.150:40000", "192.168.59.150:6443");
    let id = world.connect(tuple(SELF));
    world.accept(id, 100);
    world.snapshot();
    run.watch(&mut world);
    assert_eq!(run.pipeline.graph(GroupBy::Component).edges, []);
    assert_eq!(run.pipeline.connections(), []);
    assert_eq!(run.pipeline.listeners()[0].connections, 0);
    world.close(id, Side::Source);
    world.close(id, Side::Destination);
    world.wait(20_000_000_000);
    world.snapshot();
    run.watch(&mut world);
    assert_eq!(run.pipeline.graph(GroupBy::Component).edges, []);
    let id = world.connect(tuple(200));
    world.accept(id, 100);
    world.snapshot();
    run.watch(&mut world);
    let graph = run.pipeline.graph(GroupBy::Component);
    assert_eq!(graph.edges.len(), 1);
    assert_eq!(graph.edges[0].source, "host/kubelet");
}

#[test]
fn a_full_socket_table_is_told_with_its_size_and_the_remedy() {
    let mut run = Run::new();
    run.feed(&Signal::Start(&Session {
        sockets_max: 131_072,
        ..session()
    }));
    assert_eq!(run.pipeline.health().degraded, []);
    run.feed(&Signal::Counters(&Counters {
        table_full: 1,
        ..Counters::default()
    }));
    let degraded = run.pipeline.health().degraded;
    assert_eq!(degraded.len(), 1, "{degraded:?}");
    assert!(degraded[0].why.contains("at most 131072 sockets"), "{degraded:?}");
    assert_eq!(degraded[0].remedy, "--max-sockets 524288");
}

#[test]
fn edges_that_do_not_fit_are_in_the_health_of_the_run() {
    let (mut world, mut run) = (World::watched(), Run::new());
    let over = 100;
    for number in 0..65_536 + over {
        let [_, b, high, low] = u32::to_be_bytes(number);
        let to = format!("10.0.{b}.{high}:{}", 1000 + u16::from(low));
        let mut plan = plan(10, "192.168.59.150:40000", &to);
        plan.destination.0 = None;
        let id = world.dial(plan);
        world.fail(id, 111);
        world.tick();
        run.watch(&mut world);
    }
    assert_eq!(
        run.pipeline.health().overflow,
        0,
        "only a graph is less complete for it"
    );
    world.connect(plan(10, "127.0.0.1:40000", "127.0.0.1:2379"));
    world.tick();
    run.watch(&mut world);
    let graph = run.pipeline.graph(GroupBy::Component);
    assert_eq!(
        (graph.edges.len(), graph.health.overflow),
        (65_537, u64::from(over)),
        "what is alive has room"
    );
    assert_eq!(run.pipeline.health(), graph.health, "what stderr says");
}
