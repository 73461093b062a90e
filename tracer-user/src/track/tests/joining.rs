//! Which two ends are one connection, and which are not.

use super::*;

#[test]
fn two_ends_join_when_their_tuples_can_meet() {
    let cases = [
        (
            "one namespace, loopback",
            HOST,
            HOST,
            "127.0.0.1:40000",
            "127.0.0.1:2379",
            true,
        ),
        (
            "two namespaces, the same loopback tuple",
            HOST,
            POD,
            "127.0.0.1:40000",
            "127.0.0.1:2379",
            false,
        ),
        (
            "two namespaces, IPv6 loopback",
            HOST,
            POD,
            "[::1]:40000",
            "[::1]:2379",
            false,
        ),
        (
            "two namespaces, an address with itself",
            HOST,
            POD,
            "10.0.0.1:40000",
            "10.0.0.1:80",
            false,
        ),
        (
            "one namespace, an address with itself",
            POD,
            POD,
            "10.0.0.1:40000",
            "10.0.0.1:80",
            true,
        ),
        (
            "two namespaces, two addresses",
            HOST,
            POD,
            "10.0.0.1:40000",
            "10.0.0.2:80",
            true,
        ),
        (
            "two namespaces, IPv6",
            HOST,
            POD,
            "[fd00::1]:40000",
            "[fd00::2]:80",
            true,
        ),
    ];
    for (case, near_ns, far_ns, from, to, joins) in cases {
        let near = Socket {
            netns: near_ns,
            ..client(1, 10 * MS, from, to)
        };
        let far = Socket {
            netns: far_ns,
            ..server(&near)
        };
        let mut run = Run::begun();
        run.event(&near.opened(11 * MS));
        run.event(&far.opened(11 * MS));
        run.tick(500 * MS);
        assert_eq!(run.count("opened"), if joins { 1 } else { 2 }, "{case}");
        assert_eq!(
            run.tracker.connections().all(|one| one.is_joined()),
            joins,
            "{case}"
        );
    }
}

#[test]
fn the_same_loopback_tuple_lives_in_two_namespaces_at_once() {
    let mut run = Run::begun();
    for (number, netns) in [(1, HOST), (2, POD)] {
        let near = Socket {
            netns,
            ..client(number, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379")
        };
        run.event(&near.opened(11 * MS));
        run.event(&server(&near).opened(11 * MS));
    }
    assert_eq!(run.count("opened"), 2);
    assert!(run.tracker.connections().all(|one| one.is_joined()));
    assert_eq!(run.tracker.audit().ghosts, 0);
}

#[test]
fn both_connecting_at_once_are_one_connection() {
    let near = client(1, 10 * MS, "10.0.0.1:3000", "10.0.0.2:3001");
    let far = Socket {
        role: Role::Active,
        tgid: Some(20),
        ..server(&near)
    };
    let mut run = Run::begun();
    run.event(&near.opened(11 * MS));
    run.event(&far.opened(11 * MS));
    assert_eq!(run.told(), ["opened"]);
    assert!(run.only().is_joined());
    run.event(&far.closed(12 * MS));
    run.event(&near.closed(12 * MS));
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
}

#[test]
fn a_socket_connected_with_itself_is_one_connection() {
    let near = client(1, 10 * MS, "127.0.0.1:3000", "127.0.0.1:3000");
    let mut run = Run::begun();
    run.event(&near.opened(11 * MS));
    run.event(&near.closed(12 * MS));
    run.tick(500 * MS);
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
}

#[test]
fn a_port_used_again_makes_another_connection() {
    let first = client(1, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let second = client(2, 20 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let mut run = Run::begun();
    for one in [first, server(&first)] {
        run.event(&one.opened(11 * MS));
    }
    // Its end was lost.
    for one in [second, server(&second)] {
        run.event(&one.opened(21 * MS));
    }
    assert_eq!(run.told(), ["opened", "closed", "finished", "opened"]);
    assert_eq!(run.tracker.audit().ghosts, 2);
    assert_eq!(run.only().opened_ns, Some(21 * MS));
}

#[test]
fn an_end_that_came_after_the_other_was_gone_is_of_another_connection() {
    let first = client(1, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let second = client(2, 20 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let mut run = Run::begun();
    run.event(&server(&first).opened(11 * MS));
    run.event(&server(&first).closed(12 * MS));
    run.event(&second.opened(21 * MS));
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
    run.event(&server(&second).opened(21 * MS));
    assert!(run.only().is_joined());
}

#[test]
fn a_socket_address_used_again_is_another_socket() {
    let first = client(1, 10 * MS, "192.168.59.150:40000", "10.9.9.9:443");
    let second = Socket {
        since_ns: 20 * MS,
        local: addr("192.168.59.150:40001"),
        ..first
    };
    let mut run = Run::begun();
    run.event(&first.opened(11 * MS));
    run.event(&second.opened(21 * MS));
    assert_eq!(
        run.told(),
        ["opened", "closed", "finished"],
        "the first one's end was lost"
    );
    assert_eq!(run.tracker.audit().ghosts, 1);
    // What nobody has remembered says nothing of a younger socket.
    let stranger = Socket {
        since_ns: 0,
        ..old(first)
    };
    run.event(&stranger.closed(15 * MS));
    let alive: Vec<_> = run.tracker.connections().filter(Connection::is_alive).collect();
    assert_eq!(alive.len(), 1);
    assert_eq!(alive[0].source_addr, second.local);
}

/// Both ends of a connection in `netns`, or the source in one and the destination in another.
fn overlapping(number: u64, since_ns: u64, near_ns: u32, far_ns: u32) -> (Socket, Socket) {
    let near = Socket {
        netns: near_ns,
        ..client(number, since_ns, "10.1.1.1:5000", "10.1.1.2:80")
    };
    let far = Socket {
        netns: far_ns,
        ..server(&near)
    };
    (near, far)
}

/// All orders of `all`.
pub(super) fn orders<T: Copy>(all: &[T]) -> Vec<Vec<T>> {
    if all.is_empty() {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    for at in 0..all.len() {
        let mut rest = all.to_vec();
        let first = rest.remove(at);
        found.extend(orders(&rest).into_iter().map(|mut one| {
            one.insert(0, first);
            one
        }));
    }
    found
}

/// Namespaces of both ends of all that is tracked, 0 for an end that is not there.
fn places(run: &Run) -> Vec<(u32, u32)> {
    let of = |end: Option<End>| end.map(|end| end.netns).unwrap_or_default();
    let mut places: Vec<_> = run
        .tracker
        .connections()
        .map(|one| (of(one.source), of(one.destination)))
        .collect();
    places.sort_unstable();
    places
}

const POD_2: u32 = POD + 1;
const POD_3: u32 = POD + 2;

#[test]
fn the_same_tuple_in_two_namespaces_is_two_connections_in_any_order() {
    let (a, b) = (
        overlapping(1, 10 * MS, POD, POD),
        overlapping(2, 10 * MS, POD_2, POD_2),
    );
    for order in orders(&[a.0, a.1, b.0, b.1]) {
        let mut run = Run::begun();
        for end in &order {
            run.event(&end.opened(11 * MS));
        }
        run.tick(500 * MS);
        assert_eq!(places(&run), [(POD, POD), (POD_2, POD_2)], "{order:#?}");
        assert_eq!(run.told(), ["opened", "opened"], "each once");
        // The first ends, and the other one lives.
        for end in [a.0, a.1] {
            run.event(&end.closed(600 * MS));
        }
        run.tick(900 * MS);
        assert_eq!(places(&run), [(POD_2, POD_2)]);
        for end in [b.0, b.1] {
            run.event(&end.closed(950 * MS));
        }
        assert_eq!(run.count("closed"), 2);
        assert!(run.tracker.by_tuple.is_empty());
        let audit = run.tracker.audit();
        assert_eq!((audit.ghosts, audit.ambiguous), (0, 0));
    }
}

#[test]
fn the_same_tuple_in_two_namespaces_is_found_as_two_in_any_order() {
    let (a, b) = (overlapping(1, 1, POD, POD), overlapping(2, 1, POD_2, POD_2));
    for order in orders(&[a.0, a.1, b.0, b.1]) {
        let mut run = Run::new();
        let rows: Vec<_> = order.iter().map(|end| old(*end).row(4 * MS, 10)).collect();
        run.snapshot(4 * MS, &rows, &[]);
        assert_eq!(places(&run), [(POD, POD), (POD_2, POD_2)], "{order:#?}");
        assert_eq!(run.tracker.audit().ambiguous, 0);
        // The next snapshot shows the same, whoever comes first.
        run.snapshot(20 * MS, &rows, &[]);
        let audit = run.tracker.audit();
        assert_eq!((audit.missed, audit.ghosts), (0, 0));
    }
}

#[test]
fn rows_of_two_pairs_that_cannot_be_told_apart_are_not_joined_and_marked() {
    let (a, b) = (overlapping(1, 1, POD, HOST), overlapping(2, 1, POD_2, POD_3));
    for order in orders(&[a.0, a.1, b.0, b.1]) {
        let mut run = Run::new();
        let rows: Vec<_> = order.iter().map(|end| old(*end).row(4 * MS, 10)).collect();
        run.snapshot(4 * MS, &rows, &[]);
        let all: Vec<_> = run.tracker.connections().collect();
        assert_eq!(all.len(), 4, "{order:#?}");
        assert!(all.iter().all(|one| one.ambiguous && !one.is_joined()));
        assert_eq!(run.tracker.audit().ambiguous, 4);
    }
    // One pair alone can be told.
    for order in orders(&[a.0, a.1]) {
        let mut run = Run::new();
        let rows: Vec<_> = order.iter().map(|end| old(*end).row(4 * MS, 10)).collect();
        run.snapshot(4 * MS, &rows, &[]);
        assert_eq!(places(&run), [(POD, HOST)]);
        assert!(!run.only().ambiguous);
    }
}

#[test]
fn pairs_across_namespaces_one_after_the_other_are_joined_each() {
    let (a, b) = (
        overlapping(1, 10 * MS, POD, HOST),
        overlapping(2, 500 * MS, POD_2, POD_3),
    );
    for (one, two) in [(b.0, b.1), (b.1, b.0)] {
        let mut run = Run::begun();
        for end in [a.0, a.1] {
            run.event(&end.opened(11 * MS));
        }
        for end in [one, two] {
            run.event(&end.opened(501 * MS));
        }
        assert_eq!(places(&run), [(POD, HOST), (POD_2, POD_3)]);
        assert_eq!(run.told(), ["opened", "opened"]);
    }
}

#[test]
fn whom_a_listener_of_the_own_namespace_may_have_taken_is_not_joined_across() {
    // What listens, and whether the source may be joined with an end elsewhere.
    for (local, joins, at_once) in [
        ("10.1.1.2:80", false, false),
        ("0.0.0.0:80", true, false),
        ("10.1.1.3:80", true, true),
    ] {
        let (near, far) = overlapping(1, 10 * MS, POD, POD_2);
        for pair in [[near, far], [far, near]] {
            let mut run = Run::begun();
            run.event(&listener(9, 5 * MS, POD, local, 100).listening(5 * MS));
            for end in pair {
                run.event(&end.opened(11 * MS));
            }
            assert_eq!(run.count("opened") == 1, at_once, "{local}");
            run.tick(500 * MS);
            assert_eq!(
                run.tracker.connections().any(|one| one.is_joined()),
                joins,
                "{local}"
            );
            assert_eq!(run.count("opened"), if joins { 1 } else { 2 }, "{local}");
        }
    }
}

#[test]
fn link_local_ends_of_two_links_are_not_joined() {
    // Two links between three namespaces, with the same link-local addresses and ports on both.
    let linked = |number: u64, since_ns: u64, far_ns: u32| {
        let near = Socket {
            netns: POD,
            ..client(number, since_ns, "[fe80::1]:5000", "[fe80::2]:80")
        };
        let far = Socket {
            netns: far_ns,
            ..server(&near)
        };
        (near, far)
    };
    let bound = |event: SocketEvent, ifindex: u32| SocketEvent { ifindex, ..event };
    let (a, b) = (linked(1, 10 * MS, POD_2), linked(2, 500 * MS, POD_3));
    let mut run = Run::begun();
    run.event(&bound(a.0.opened(11 * MS), 2));
    run.event(&bound(a.1.opened(11 * MS), 2));
    run.event(&bound(b.0.opened(501 * MS), 3));
    run.event(&bound(b.1.opened(501 * MS), 2));
    assert_eq!(places(&run), [(POD, POD_2), (POD, POD_3)]);
    let audit = run.tracker.audit();
    assert_eq!((audit.ghosts, audit.ambiguous), (0, 0), "nothing was superseded");
    // Two links of one namespace are never joined with each other.
    let mut run = Run::begun();
    run.event(&bound(a.0.opened(11 * MS), 2));
    run.event(&bound(Socket { netns: POD, ..a.1 }.opened(11 * MS), 3));
    run.tick(500 * MS);
    assert_eq!(run.tracker.connections().count(), 2);
}
