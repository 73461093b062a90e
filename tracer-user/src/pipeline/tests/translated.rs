//! A translated connection in every view: one edge, one row, one opening, each with the address that was dialled.

use super::*;
use crate::signal::nat::NatFacts;

const SERVICE: &str = "10.96.0.10:80";

#[test]
fn a_connection_by_a_services_address_is_one_edge_beside_a_direct_one() {
    for nat_first in [true, false] {
        let mut run = Run::new();
        let mut world = World::watched();
        world.snapshot();
        world.tick();
        run.watch(&mut world);
        let nat = NatFacts {
            at_ns: u64::MAX / 2,
            netns: HOST,
            gone: false,
            original_source: "10.244.0.4:40000".parse().unwrap(),
            original_destination: SERVICE.parse().unwrap(),
            reply_source: "10.244.0.3:8080".parse().unwrap(),
            reply_destination: "10.244.0.4:40000".parse().unwrap(),
        };
        let half = |near: Option<u32>, from: &str, far: Option<u32>, to: &str| Plan {
            source: (near, from.parse().unwrap()),
            destination: (far, to.parse().unwrap()),
            client: 10,
            other_client: None,
        };
        world.connect(half(Some(HOST), "10.244.0.4:40000", None, SERVICE));
        world.tick();
        run.watch(&mut world);
        let nat = NatFacts {
            at_ns: run.pipeline.now_ns(),
            ..nat
        };
        if nat_first {
            run.feed(&Signal::Nat(&nat));
        }
        let server = half(None, "10.244.0.4:40000", Some(POD), "10.244.0.3:8080");
        let server = world.connect(server);
        world.accept(server, 20);
        let direct = half(Some(HOST), "10.244.0.4:40001", Some(POD), "10.244.0.3:8080");
        let direct = world.connect(direct);
        world.accept(direct, 20);
        world.tick();
        run.watch(&mut world);
        if !nat_first {
            run.feed(&Signal::Nat(&nat));
        }
        let told = |one: &&Happening| matches!(one.what, Happened::Opened);
        let via = |via: &Option<Via>| via.as_ref().map(|via| via.address);
        let dialled: Option<SocketAddr> = Some(SERVICE.parse().unwrap());

        let mut opened: Vec<_> = run.told.iter().filter(told).map(|one| via(&one.via)).collect();
        opened.sort();
        assert_eq!(opened, [None, dialled], "{nat_first}");
        let mut rows: Vec<_> = run
            .pipeline
            .connections()
            .iter()
            .map(|row| via(&row.via))
            .collect();
        rows.sort();
        assert_eq!(rows, [None, dialled], "{nat_first}");
        let edges = run.pipeline.graph(GroupBy::Process).edges;
        let mut shown: Vec<_> = edges
            .iter()
            .map(|edge| (edge.port, via(&edge.via), edge.stats.opened, edge.stats.joined))
            .collect();
        shown.sort();
        assert_eq!(shown, [(8080, None, 1, 1), (8080, dialled, 1, 1)], "{nat_first}");
        assert_eq!(edges[0].source, edges[1].source, "{nat_first}");
        assert_eq!(edges[0].destination, edges[1].destination, "{nat_first}");
    }
}
