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
            run.tracker.connections().all(Connection::is_joined),
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
    assert!(run.tracker.connections().all(Connection::is_joined));
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
    let alive: Vec<_> = run.tracker.connections().filter(|one| one.is_alive()).collect();
    assert_eq!(alive.len(), 1);
    assert_eq!(alive[0].source_addr, second.local);
}
