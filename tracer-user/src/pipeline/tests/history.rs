//! Any history, added up: exact without loss; never verified with one.

use proptest::prelude::*;

use super::*;
use crate::{
    event::Failure,
    graph::Edge,
    track::tests::world::story::{Step, Story, steps},
    verify::{self, Check, Scene, Verdict, Window},
};

fn tell(seed: u64, lose_one_in: u64, before: &[Step], after: &[Step]) -> (Story, Run) {
    let mut story = Story::tell(seed, lose_one_in, before, after);
    story.rest();
    let mut run = Run::new();
    run.watch(&mut story.world);
    (story, run)
}

fn sum(edges: &[Edge], of: impl Fn(&Edge) -> u64) -> u64 {
    edges.iter().map(of).sum()
}

/// What `verify` says of a run whose test connections were seen.
fn verdict(run: &mut Run) -> Verdict {
    let mut window = Window::default();
    for happening in &run.told {
        window.happening(happening);
    }
    let connections = run.pipeline.connections();
    for row in &connections {
        window.connection(row);
    }
    let mut health = run.pipeline.health();
    health.canaries = (2, 2);
    health.programs.asked = 2;
    let components = run.pipeline.components();
    let listeners = run.pipeline.listeners();
    let scene = Scene {
        listeners: &listeners,
        window: &window,
        components: &components,
        connections: &connections,
        health: &health,
        allow: &[],
    };
    verify::run(&[Check::ApiserverEtcd, Check::EtcdClients], &scene).verdict()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_loss_the_graph_is_exact(seed: u64, before in steps(20), after in steps(60)) {
        let (story, mut run) = tell(seed, 0, &before, &after);
        let graph = run.pipeline.graph(GroupBy::Component);
        let edges = &graph.edges;
        prop_assert_eq!(sum(edges, |edge| edge.stats.opened), story.existed() as u64);
        prop_assert_eq!(sum(edges, |edge| edge.stats.active), story.alive_now() as u64);
        prop_assert_eq!(run.pipeline.connections().len(), story.alive_now());
        let failed = story.failed();
        for (errno, count) in &failed {
            let failure = Failure::from_errno(Some(*errno));
            let counted = sum(edges, |edge| edge.stats.failed.get(&failure).copied().unwrap_or_default());
            prop_assert_eq!(counted, *count, "errno {}", errno);
        }
        prop_assert_eq!(
            sum(edges, |edge| edge.stats.failed.values().sum()),
            failed.values().sum::<u64>()
        );
        let health = run.pipeline.health();
        prop_assert!(health.is_complete(), "{:?}", health);
        prop_assert!(health.recall_ppm.is_none_or(|ppm| ppm == 1_000_000));
        prop_assert_eq!(graph, run.pipeline.graph(GroupBy::Component), "looking changes nothing");
    }

    #[test]
    fn with_a_loss_nothing_is_verified(seed: u64, lose_one_in in 1..30_u64, after in steps(60)) {
        let (story, mut run) = tell(seed, lose_one_in, &[], &after);
        let lost = story.world.counters.lost();
        prop_assert_eq!(run.pipeline.health().lost, lost);
        if lost > 0 {
            prop_assert!(verdict(&mut run) != Verdict::Pass);
            prop_assert!(!run.pipeline.health().is_complete());
        }
    }

    #[test]
    fn signals_of_any_kind_in_any_order_never_panic(
        kinds in proptest::collection::vec((0..8_u8, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..150)), 0..60),
        after in steps(20),
    ) {
        let (mut story, mut run) = tell(1, 0, &[], &after);
        let records: Vec<Vec<u8>> = records(&mut story);
        for (kind, number, raw) in kinds {
            let chosen = records.get(usize::try_from(number).unwrap_or_default() % records.len().max(1));
            let mut mangled = chosen.cloned().unwrap_or_default();
            for (at, byte) in raw.iter().enumerate().take(3) {
                let place = (usize::from(*byte) + at * 50) % 144;
                if let Some(byte) = mangled.get_mut(place) {
                    *byte ^= raw[0];
                }
            }
            match kind {
                0 => run.feed(&Signal::Record(&mangled)),
                1 => run.feed(&Signal::Row(&mangled)),
                2 => run.feed(&Signal::SnapshotBegin { at_ns: number }),
                3 => run.feed(&Signal::SnapshotEnd { at_ns: number, complete: number % 2 == 0 }),
                4 => run.feed(&Signal::Remembered(&[(number, number), (0, 0), (u64::MAX, 1)])),
                5 => run.feed(&Signal::Tick { at_ns: number }),
                6 => run.feed(&Signal::Canary { port: 2379, at_ns: number }),
                _ => run.feed(&Signal::Record(&raw)),
            }
        }
        let _graph = run.pipeline.graph(GroupBy::Component);
        let _rows = (run.pipeline.connections(), run.pipeline.listeners(), run.pipeline.components());
        run.pipeline.settle(&mut |_| {});
    }
}

/// Some more of the story, to be mangled.
fn records(story: &mut Story) -> Vec<Vec<u8>> {
    for number in 0..9 {
        story.step(Step::Connect(number, number, true));
    }
    story.step(Step::CloseBoth(3, true));
    story.world.snapshot();
    let all = std::mem::take(&mut story.world.out);
    all.into_iter()
        .filter_map(|out| {
            let (Out::Record(record) | Out::Row(record)) = out else {
                return None;
            };
            Some(record.as_bytes().to_vec())
        })
        .collect()
}
