//! Each connection is told of once: when it opens, is accepted, fails, ends.

use super::*;
use crate::event::Counters;

fn pair() -> (Socket, Socket) {
    let near = client(1, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    (near, server(&near))
}

#[test]
fn both_ends_of_a_connection_are_told_as_one() {
    let (near, far) = pair();
    for (case, order) in [("client first", [near, far]), ("server first", [far, near])] {
        let mut run = Run::begun();
        run.event(&order[0].opened(11 * MS));
        assert_eq!(run.told(), [""; 0], "{case}: waits for its other end");
        run.event(&order[1].opened(11 * MS + 3));
        assert_eq!(run.told(), ["opened"], "{case}");
        let one = run.only();
        assert!(one.is_joined(), "{case}");
        assert_eq!(
            (one.source_addr, one.destination_addr),
            (near.local, far.local),
            "{case}"
        );
        assert_eq!(one.opened_ns, Some(11 * MS), "{case}: the earlier of both");
        run.event(&order[0].closed(12 * MS));
        run.event(&order[1].closed(12 * MS + 3));
        assert_eq!(run.told(), ["opened", "closed", "finished"], "{case}");
        assert_eq!(run.tracker.connections().count(), 0, "{case}");
        run.tick(1000 * MS);
        assert_eq!(
            run.told(),
            ["opened", "closed", "finished"],
            "{case}: nothing more"
        );
    }
}

#[test]
fn an_end_alone_is_told_after_the_join_window_and_not_before() {
    let mut run = Run::begun();
    let near = client(1, 10 * MS, "192.168.59.150:40000", "10.9.9.9:443");
    run.event(&near.opened(11 * MS));
    run.tick(11 * MS + JOIN_NS - 1);
    assert_eq!(run.told(), [""; 0]);
    run.tick(11 * MS + JOIN_NS);
    assert_eq!(run.told(), ["opened"]);
    run.event(&near.closed(500 * MS));
    run.tick(500 * MS + JOIN_NS - 1);
    assert_eq!(run.told(), ["opened"]);
    run.tick(500 * MS + JOIN_NS);
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
}

#[test]
fn a_connection_shorter_than_the_join_window_is_told_whole() {
    let mut run = Run::begun();
    let near = client(1, 10 * MS, "192.168.59.150:40000", "10.9.9.9:443");
    run.event(&near.opened(11 * MS));
    run.event(&near.closed(12 * MS));
    run.tick(300 * MS);
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
}

#[test]
fn a_late_second_end_joins_and_is_not_told_again() {
    let (near, far) = pair();
    let mut run = Run::begun();
    run.event(&near.opened(11 * MS));
    run.tick(11 * MS + JOIN_NS);
    run.event(&far.opened(12 * MS + JOIN_NS));
    assert_eq!(run.told(), ["opened"]);
    assert!(run.only().is_joined());
}

#[test]
fn an_accept_is_told_after_the_opening() {
    let near = client(1, 10 * MS, "10.9.9.9:40000", "192.168.59.150:6443");
    let far = server(&near);
    let accept = |at_ns| SocketEvent {
        owner: Some(owner(77)),
        ..far.at(at_ns, What::Accepted, TcpState::Established)
    };
    let mut remote = Run::begun();
    remote.event(&far.opened(11 * MS));
    remote.event(&accept(12 * MS));
    remote.tick(500 * MS);
    assert_eq!(
        remote.told(),
        ["opened", "accepted"],
        "the other end is elsewhere"
    );
    let mut local = Run::begun();
    local.event(&far.opened(11 * MS));
    local.event(&accept(12 * MS));
    local.event(&near.opened(12 * MS + 5));
    local.tick(500 * MS);
    assert_eq!(local.told(), ["opened", "accepted"], "its record came late");
    let Change::Accepted(one) = local.changes[1] else {
        panic!("{:?}", local.changes)
    };
    assert_eq!(one.accepted_ns, Some(12 * MS));
    let end = one.destination.unwrap();
    assert_eq!(
        end.owner.map(|(owner, by)| (owner.tgid, by)),
        Some((77, OwnerBy::Hook))
    );
    assert_eq!(end.owner_ns, 12 * MS, "owned since the accept");
}

#[test]
fn an_accept_before_the_opening_is_the_same_connection() {
    let near = client(1, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let far = server(&near);
    let mut run = Run::begun();
    run.event(&near.opened(11 * MS));
    // A child socket is queued for accept before it is established.
    run.event(&SocketEvent {
        owner: Some(owner(77)),
        ..far.at(11 * MS + 1, What::Accepted, TcpState::SynReceived)
    });
    run.event(&far.opened(11 * MS + 2));
    run.tick(500 * MS);
    let mut told = run.told();
    told.sort_unstable();
    assert_eq!(told, ["accepted", "opened"]);
    assert!(run.only().is_joined());
}

#[test]
fn a_failed_connect_is_told_with_its_source_and_not_kept() {
    let near = client(1, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let mut run = Run::begun();
    run.event(&SocketEvent {
        errno: Some(111),
        ..near.at(15 * MS, What::Failed, TcpState::SynSent)
    });
    let [Change::Failed(one)] = run.changes[..] else {
        panic!("{:?}", run.changes)
    };
    assert_eq!((one.first_ns, one.last_ns), (10 * MS, 15 * MS), "since its SYN");
    assert_eq!(one.source.and_then(|end| end.ended).unwrap().errno, Some(111));
    assert!(one.destination.is_none() && !one.is_alive());
    assert_eq!(run.tracker.connections().count(), 0);
}

#[test]
fn what_a_limit_keeps_out_is_counted() {
    let mut run = Run::begun();
    run.tracker.max_connections = 1;
    for number in 1..=3 {
        let from = format!("127.0.0.1:4000{number}");
        run.event(&client(number, 10 * MS, &from, "127.0.0.1:2379").opened(11 * MS));
    }
    assert_eq!(run.tracker.audit().overflow, 2);
    assert_eq!(run.tracker.connections().count(), 1);
}

type Case = (&'static str, Option<Counters>, Option<Counters>, Option<Counters>);

#[test]
fn counters_of_both_ends_make_those_of_the_connection() {
    let (near, far) = pair();
    let count = |sent_bytes, received_bytes, rtt_us, retransmits| {
        Some(Counters {
            sent_bytes,
            received_bytes,
            rtt_us,
            retransmits,
        })
    };
    let cases: [Case; 5] = [
        ("nobody counted", None, None, None),
        ("the source did", count(5, 7, 41, 1), None, count(5, 7, 41, 1)),
        (
            "the destination did, the other way round",
            None,
            count(7, 5, 41, 1),
            count(5, 7, 41, 1),
        ),
        (
            "both, one has read later",
            count(5, 7, 41, 1),
            count(9, 4, 50, 2),
            count(5, 9, 41, 3),
        ),
        (
            "no sample at the source",
            count(5, 7, 0, 0),
            count(7, 5, 50, 0),
            count(5, 7, 50, 0),
        ),
    ];
    for (case, source, destination, want) in cases {
        let mut run = Run::begun();
        run.event(&near.opened(11 * MS));
        run.event(&far.opened(11 * MS));
        let ends = [(near, source), (far, destination)];
        for (end, counters) in ends {
            let closed = end.closed(12 * MS);
            run.event(&SocketEvent { counters, ..closed });
        }
        let Some(Change::Finished(one)) = run.changes.last() else {
            panic!("{case}: {:?}", run.changes)
        };
        assert_eq!(one.counters(), want, "{case}");
    }
}

#[test]
fn a_descriptor_passed_on_belongs_to_its_holder_until_the_end() {
    let (near, far) = pair();
    let mut run = Run::begun();
    run.event(&near.opened(11 * MS));
    run.event(&far.opened(11 * MS));
    run.event(&SocketEvent {
        owner: Some(owner(50)),
        ..far.at(12 * MS, What::Accepted, TcpState::Established)
    });
    let rows = [near.row(200 * MS, 10), far.row(200 * MS, 60)];
    // The kernel side remembers every socket, held or not.
    run.snapshot(199 * MS, &rows, &[near.remembered(), far.remembered()]);
    let holder = |one: &Connection| one.destination.and_then(|end| end.owner).unwrap().0.tgid;
    assert_eq!(holder(&run.only()), 60);
    run.event(&near.closed(300 * MS));
    // Its last record still names who had it first.
    run.event(&SocketEvent {
        owner: Some(owner(50)),
        ..far.closed(300 * MS)
    });
    let Some(Change::Finished(one)) = run.changes.last() else {
        panic!("{:?}", run.changes)
    };
    assert_eq!(holder(one), 60);
}
