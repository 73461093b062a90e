//! Who ended a connection, and why a connect failed.

use super::*;
use crate::{
    event::{Failure, TcpState},
    pipeline::describe::closed_by,
    report::ClosedBy,
    track::Ended,
};

/// A connection whose ends were closed from these states; `unseen` ones by a snapshot.
fn ended(source: Option<(TcpState, bool)>, destination: Option<(TcpState, bool)>) -> Connection {
    let mut world = World::watched();
    let id = world.connect(plan(10, "127.0.0.1:40000", "127.0.0.1:2379"));
    world.reset(id);
    world.tick();
    let mut tracker = Tracker::new(10);
    for out in &world.out {
        match out {
            Out::Record(record) => {
                if let Ok(Event::Socket(event)) = decode(record.as_bytes()) {
                    tracker.event(&event);
                }
            }
            Out::End(at_ns, complete) => tracker.snapshot_end(*at_ns, *complete),
            Out::Begin(at_ns) => tracker.snapshot_begin(*at_ns),
            Out::Row(_) | Out::Remembered(_) | Out::Tick(_) => {}
        }
    }
    let mut changes = Vec::new();
    tracker.take_changes(&mut changes);
    let Some(Change::Finished(mut one)) = changes.pop() else {
        panic!("not finished: {changes:?}")
    };
    for (end, how) in [(&mut one.source, source), (&mut one.destination, destination)] {
        match how {
            None => *end = None,
            Some((from, unseen)) => {
                end.as_mut().unwrap().ended = Some(Ended {
                    at_ns: 9,
                    from,
                    errno: None,
                    unseen,
                });
            }
        }
    }
    one
}

#[test]
fn who_sent_the_first_fin_ended_it() {
    use ClosedBy::{Destination, Reset, Source, Unseen};
    use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait};
    type How = Option<(TcpState, bool)>;
    let seen = |state| Some((state, false));
    let cases: [(&str, How, How, ClosedBy); 14] = [
        ("the source, both seen", seen(FinWait2), seen(LastAck), Source),
        (
            "the destination, both seen",
            seen(LastAck),
            seen(FinWait2),
            Destination,
        ),
        ("the source, it alone is here", seen(FinWait1), None, Source),
        (
            "the source, the other alone is here",
            None,
            seen(CloseWait),
            Source,
        ),
        (
            "the destination, it alone is here",
            None,
            seen(TimeWait),
            Destination,
        ),
        (
            "the destination, the other alone is here",
            seen(LastAck),
            None,
            Destination,
        ),
        ("both at once", seen(Closing), seen(Closing), Source),
        ("a reset of both", seen(Established), seen(Established), Reset),
        ("a reset seen at one end", seen(Established), None, Reset),
        (
            "a reset at one end after the other's FIN",
            seen(FinWait2),
            seen(Established),
            Source,
        ),
        (
            "a reset after the destination's FIN",
            seen(Established),
            seen(FinWait2),
            Destination,
        ),
        (
            "nobody saw",
            Some((Established, true)),
            Some((Established, true)),
            Unseen,
        ),
        (
            "nobody saw it at the only end",
            Some((FinWait2, true)),
            None,
            Unseen,
        ),
        ("one end saw", Some((Established, true)), seen(LastAck), Source),
    ];
    for (case, source, destination, want) in cases {
        assert_eq!(closed_by(&ended(source, destination)), Some(want), "{case}");
    }
}

#[test]
fn a_failed_connect_is_an_edge_with_a_reason_and_no_connection() {
    let cases = [
        (111, Failure::Refused, "refused"),
        (110, Failure::Timeout, "timeout"),
        (104, Failure::Reset, "reset"),
        (103, Failure::Reset, "reset"),
        (113, Failure::Unreachable, "unreachable"),
        (101, Failure::Unreachable, "unreachable"),
        (112, Failure::Unreachable, "unreachable"),
        (92, Failure::Unreachable, "unreachable"),
        (13, Failure::Prohibited, "prohibited"),
        (1, Failure::Prohibited, "prohibited"),
        (99, Failure::AddressNotAvailable, "address_not_available"),
        (11, Failure::AddressNotAvailable, "address_not_available"),
        (22, Failure::Invalid, "invalid"),
        (0, Failure::Abandoned, "abandoned"),
        (105, Failure::Other, "other"),
    ];
    for (errno, failure, name) in cases {
        assert_eq!(failure.name(), name, "errno {errno}");
        let mut world = World::watched();
        let id = world.dial(plan(10, "127.0.0.1:40000", "127.0.0.1:2379"));
        world.fail(id, errno);
        world.tick();
        let mut run = Run::new();
        run.watch(&mut world);
        let told = Happened::Failed {
            failure,
            errno: Some(errno),
        };
        assert_eq!(run.count(|what| *what == told), 1, "errno {errno}");
        let graph = run.pipeline.graph(GroupBy::Component);
        let stats = &graph.edges[0].stats;
        assert_eq!((stats.opened, stats.active), (0, 0), "errno {errno}");
        assert_eq!(stats.failed.get(&failure), Some(&1), "errno {errno}");
    }
}

#[test]
fn what_ended_just_before_the_run_is_told_at_its_end() {
    let mut world = World::watched();
    let mut from = plan(10, "10.9.9.9:40000", "192.168.59.150:2379");
    from.source.0 = None;
    let id = world.connect(from);
    world.close(id, Side::Source);
    world.close(id, Side::Destination);
    world.tick();
    let mut run = Run::new();
    run.watch(&mut world);
    assert_eq!(run.told.len(), 0, "its other end might still come");
    let told = &mut run.told;
    run.pipeline.settle(&mut |happening| told.push(happening.clone()));
    assert_eq!(run.count(|what| matches!(what, Happened::Opened)), 1);
    assert_eq!(run.count(|what| matches!(what, Happened::Closed { .. })), 1);
}
