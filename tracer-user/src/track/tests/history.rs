//! Any history: without loss everything is exact, after a loss the next snapshot repairs what lives.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    world::story::{CROSSING_PORT, Step, Story, TWIN_PORT, steps},
    *,
};

/// A story told to a tracker.
fn tell(seed: u64, lose_one_in: u64, before: &[Step], after: &[Step]) -> (Story, Run) {
    let mut story = Story::tell(seed, lose_one_in, before, after);
    story.rest();
    let mut run = Run::new();
    run.watch(std::mem::take(&mut story.world.out));
    (story, run)
}

/// Where it was, by the model and by the tracker: the namespace where that tells it from another, and whether both ends
/// are here.
type Key = (SocketAddr, SocketAddr, u32, bool);

/// Of two that connect to each other at once, either is the source.
fn key(source: SocketAddr, destination: SocketAddr, netns: u32, joined: bool) -> Key {
    if source.port() == CROSSING_PORT {
        return (destination, source, 0, joined);
    }
    let netns = if source.ip().is_loopback() || destination.port() == TWIN_PORT {
        netns
    } else {
        0
    };
    (source, destination, netns, joined)
}

fn alive(run: &Run) -> BTreeSet<Key> {
    run.tracker
        .connections()
        .filter(Connection::is_alive)
        .map(|one| key_of(&one))
        .collect()
}

fn key_of(one: &Connection) -> Key {
    let netns = one.ends().map(|end| end.netns).next().unwrap_or_default();
    key(one.source_addr, one.destination_addr, netns, one.is_joined())
}

/// Joined though its ends are in two namespaces that have nothing to do with each other.
fn is_across(one: &Connection) -> bool {
    let netns = |end: Option<End>| end.map(|end| end.netns);
    one.destination_addr.port() == TWIN_PORT && one.is_joined() && netns(one.source) != netns(one.destination)
}

/// What is alive by the model: all of it, and of that what some process holds.
fn truth(story: &Story) -> (BTreeSet<Key>, BTreeSet<Key>) {
    let (mut all, mut held) = (BTreeSet::new(), BTreeSet::new());
    for (id, conn) in story.world.conns.iter().enumerate() {
        let (source, destination) = (conn.plan.source, conn.plan.destination);
        if conn.is_alive() {
            let joined = source.0.is_some() && destination.0.is_some();
            let key = key(source.1, destination.1, source.0.unwrap_or_default(), joined);
            all.insert(key);
            if story.world.is_held(id) {
                held.insert(key);
            }
        }
    }
    (all, held)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_loss_everything_is_exact(seed: u64, before in steps(20), after in steps(80)) {
        let (story, run) = tell(seed, 0, &before, &after);
        let audit = run.tracker.audit();
        prop_assert_eq!((audit.missed, audit.ghosts, audit.overflow), (0, 0, 0));
        let finished: Vec<&Connection> = run
            .changes
            .iter()
            .filter_map(|change| {
                let Change::Finished(one) = change else { return None };
                Some(one)
            })
            .collect();
        let all = run.tracker.connections().count() + finished.len();
        prop_assert_eq!(all, story.existed(), "each counted once");
        prop_assert_eq!(alive(&run), truth(&story).0);
        prop_assert!(!run.tracker.connections().any(|one| is_across(&one)));
        let crossed = |change: &Change| matches!(change, Change::Opened(one) | Change::Closed(one) if is_across(one));
        prop_assert!(!run.changes.iter().any(crossed), "nor told of");
        prop_assert_eq!(run.tracker.connections().count(), story.alive_now(), "nothing dead is kept");
        let news = story.world.conns.iter().filter(|conn| conn.established && !conn.older).count();
        prop_assert_eq!(run.count("opened"), news, "told of once, unless older");
        prop_assert_eq!(run.count("closed"), finished.len());
        let failed: u64 = story.failed().values().sum();
        prop_assert_eq!(run.count("failed") as u64, failed);
        // What no process holds has no row: its counters are told at its end.
        let held = truth(&story).1;
        let counted = run.tracker.connections().filter(|one| held.contains(&key_of(one))).collect::<Vec<_>>();
        let mut bytes = (0, 0);
        for one in finished.into_iter().chain(&counted) {
            let counters = one.counters().unwrap_or_default();
            let (sent, received) = (counters.sent_bytes, counters.received_bytes);
            let turned = one.source_addr.port() == CROSSING_PORT;
            let (sent, received) = if turned { (received, sent) } else { (sent, received) };
            bytes = (bytes.0 + sent, bytes.1 + received);
        }
        prop_assert_eq!(bytes, story.bytes());
    }

    #[test]
    fn after_a_loss_the_next_complete_snapshot_shows_what_lives(
        seed: u64,
        lose_one_in in 1..6_u64,
        before in steps(20),
        after in steps(80),
    ) {
        let (story, run) = tell(seed, lose_one_in, &before, &after);
        let mut seen = BTreeSet::new();
        let mut doubled = false;
        for one in run.tracker.connections().filter(Connection::is_alive) {
            let whole = key_of(&one);
            // Of two connections one end each is known: nothing tells that they are two. Each end that lives is of one.
            let across = is_across(&one);
            let living = one.ends().filter(|end| end.is_alive()).map(|end| end.netns);
            for netns in living.filter(|_| across).chain((!across).then_some(whole.2)) {
                let is_new = seen.insert((whole.0, whole.1, netns));
                // One end of each of two may be joined, and the others stay alone, until more is known.
                doubled |= !is_new && whole.1.port() != TWIN_PORT;
            }
        }
        let (all, held) = truth(&story);
        let all: BTreeSet<_> = all.into_iter().map(|key| (key.0, key.1, key.2)).collect();
        let held: BTreeSet<_> = held.into_iter().map(|key| (key.0, key.1, key.2)).collect();
        prop_assert!(seen.is_subset(&all), "{:?} are no more", seen.difference(&all));
        prop_assert!(held.is_subset(&seen), "{:?} are missing", held.difference(&seen));
        prop_assert!(!doubled, "none doubled of {:#?}", run.tracker.connections().collect::<Vec<_>>());
    }
}

#[test]
fn a_history_told_twice_is_the_same() {
    let after: Vec<Step> = (0..40)
        .flat_map(|n| {
            [
                Step::Connect(n, n, true),
                Step::Snapshot(true),
                Step::CloseBoth(n, true),
            ]
        })
        .collect();
    let (_, first) = tell(7, 0, &[], &after);
    let (_, second) = tell(7, 0, &[], &after);
    assert_eq!(first.changes, second.changes);
}
