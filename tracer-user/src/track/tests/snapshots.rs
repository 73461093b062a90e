//! What a snapshot adds, confirms, buries, and what it must leave alone.

use super::*;

fn remote(number: u64, since_ns: u64) -> Socket {
    client(
        number,
        since_ns,
        &format!("192.168.59.150:4000{number}"),
        "10.9.9.9:443",
    )
}

#[test]
fn changes_wait_for_the_first_snapshot() {
    let near = client(1, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let mut run = Run::new();
    run.event(&near.opened(11 * MS));
    run.event(&server(&near).opened(11 * MS));
    assert_eq!(run.told(), [""; 0]);
    run.snapshot(200 * MS, &[near.row(200 * MS, 10)], &[server(&near).remembered()]);
    assert_eq!(run.told(), ["opened"]);
}

#[test]
fn changes_do_not_wait_for_ever() {
    let mut run = Run::new();
    let failed = remote(1, 10 * MS).at(11 * MS, What::Failed, TcpState::SynSent);
    for _ in 0..HELD_MAX - 1 {
        run.event(&failed);
    }
    assert_eq!(run.changes.len(), 0);
    run.event(&failed);
    assert_eq!(run.changes.len(), HELD_MAX);
}

#[test]
fn what_is_older_than_the_tracer_is_adopted_and_no_news() {
    let near = old(client(1, 5 * MS, "127.0.0.1:40000", "127.0.0.1:2379"));
    let far = old(server(&near));
    let etcd = listener(9, 5 * MS, HOST, "127.0.0.1:2379", 100).listen_row(5 * MS, 100, true);
    let rows = [near.row(5 * MS, 10), far.row(5 * MS, 100), etcd];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut run = Run::new();
        run.snapshot(4 * MS, &order.map(|at| rows[at]), &[]);
        let one = run.only();
        assert!(one.is_joined() && !one.direction_guessed, "{order:?}");
        assert_eq!(one.source_addr, near.local, "{order:?}: who listens accepts");
        assert_eq!(one.opened_ns, None, "{order:?}");
        assert_eq!(run.told(), [""; 0], "{order:?}");
        assert_eq!(run.tracker.audit().missed, 0, "{order:?}");
        run.event(&near.closed(20 * MS));
        run.event(&far.closed(20 * MS));
        assert_eq!(run.told(), ["closed", "finished"], "{order:?}");
    }
}

#[test]
fn without_a_listener_the_ephemeral_port_connected_and_that_is_a_guess() {
    let near = old(client(1, 5 * MS, "192.168.59.150:40000", "10.9.9.9:443"));
    let mut run = Run::new();
    run.snapshot(4 * MS, &[near.row(5 * MS, 10)], &[]);
    assert_eq!(run.only().source_addr, near.local);
    assert!(run.only().direction_guessed);
}

#[test]
fn an_early_end_is_directed_once_the_listeners_are_known() {
    // By its ports alone the server would be the one who connected.
    let near = old(client(1, 5 * MS, "127.0.0.1:2000", "127.0.0.1:30000"));
    let far = old(server(&near));
    let mut run = Run::new();
    run.event(&far.closed(6 * MS));
    run.event(&near.closed(6 * MS));
    assert_eq!(run.told(), [""; 0]);
    let late = listener(9, 5 * MS, HOST, "127.0.0.1:30000", 100).listen_row(7 * MS, 100, true);
    run.snapshot(7 * MS, &[late], &[]);
    assert_eq!(
        run.told(),
        ["closed", "finished"],
        "older than the tracer: its opening is no news"
    );
    let Some(Change::Finished(one)) = run.changes.last() else {
        panic!("{:?}", run.changes)
    };
    assert!(one.is_joined());
    assert_eq!(one.source_addr, near.local);
}

#[test]
fn an_early_end_and_the_next_connection_on_its_port_are_two() {
    let first = old(client(1, 5 * MS, "127.0.0.1:40000", "127.0.0.1:2379"));
    let second = client(2, 7 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let mut run = Run::new();
    for end in [first, server(&first)] {
        run.event(&old(end).closed(6 * MS));
    }
    for end in [second, server(&second)] {
        run.event(&end.opened(7 * MS));
    }
    run.snapshot(8 * MS, &[second.row(8 * MS, 10)], &[server(&second).remembered()]);
    assert_eq!(run.told(), ["closed", "finished", "opened"]);
    assert!(run.only().is_alive() && run.only().is_joined());
    let audit = run.tracker.audit();
    assert_eq!((audit.missed, audit.ghosts), (0, 0));
}

#[test]
fn a_ghost_is_buried_only_when_absence_means_it() {
    // What the snapshot did, and whether the tracked socket is gone after.
    type Case = (
        &'static str,
        u64,
        fn(&Socket) -> Vec<SocketEvent>,
        bool,
        bool,
        bool,
    );
    let cases: [Case; 5] = [
        (
            "absent from a complete one",
            10 * MS,
            |_| vec![],
            false,
            true,
            true,
        ),
        (
            "absent from an incomplete one",
            10 * MS,
            |_| vec![],
            false,
            false,
            false,
        ),
        ("remembered: an orphan", 10 * MS, |_| vec![], true, true, false),
        (
            "it has a row",
            10 * MS,
            |s| vec![s.row(200 * MS, 10)],
            false,
            true,
            false,
        ),
        (
            "younger than the snapshot",
            199 * MS + 1,
            |_| vec![],
            false,
            true,
            false,
        ),
    ];
    for (case, since_ns, rows, remembered, complete, gone) in cases {
        let socket = remote(1, since_ns);
        let mut run = Run::begun();
        run.event(&socket.opened(since_ns));
        run.tracker.snapshot_begin(199 * MS);
        for row in rows(&socket) {
            run.tracker.event(&row);
        }
        if remembered {
            run.tracker.remembered(&[socket.remembered()]);
        }
        run.tracker.snapshot_end(200 * MS, complete);
        run.take();
        assert_eq!(run.tracker.audit().ghosts, u64::from(gone), "{case}");
        assert_eq!(run.count("finished"), usize::from(gone), "{case}");
        assert_eq!(
            run.tracker.connections().any(|one| one.is_alive()),
            !gone,
            "{case}"
        );
    }
}

#[test]
fn another_socket_at_a_remembered_address_saves_no_ghost() {
    let socket = remote(1, 10 * MS);
    let mut run = Run::begun();
    run.event(&socket.opened(10 * MS));
    run.snapshot(199 * MS, &[], &[(socket.address, 150 * MS)]);
    assert_eq!(run.tracker.audit().ghosts, 1);
}

#[test]
fn a_missed_opening_is_adopted_counted_and_lowers_the_recall() {
    let (known, missed) = (remote(1, 10 * MS), remote(2, 10 * MS));
    let mut run = Run::begun();
    run.event(&known.opened(10 * MS));
    let rows = [
        known.row(200 * MS, 10),
        missed.row(200 * MS, 10),
        missed.row(200 * MS, 11),
    ];
    run.snapshot(199 * MS, &rows, &[]);
    let audit = run.tracker.audit();
    assert_eq!(
        (audit.confirmed, audit.missed),
        (1, 1),
        "several holders are one socket"
    );
    run.tick(900 * MS);
    assert_eq!(run.count("opened"), 2, "late, but told");
    run.snapshot(999 * MS, &rows, &[]);
    let audit = run.tracker.audit();
    assert_eq!((audit.confirmed, audit.missed, audit.snapshots), (3, 1, 3));
}

#[test]
fn a_record_that_comes_after_its_row_makes_no_miss() {
    type Case = (&'static str, u64, fn(&Socket) -> Vec<SocketEvent>, usize);
    let slow = 10 * MS;
    let cases: [Case; 4] = [
        ("just opened", 198 * MS, |s| vec![s.opened(199 * MS + 1)], 1),
        (
            "its handshake took long",
            slow,
            |s| vec![s.opened(199 * MS + 1)],
            1,
        ),
        (
            "opened and closed meanwhile",
            198 * MS,
            |s| vec![s.opened(199 * MS + 1), s.closed(199 * MS + 9)],
            0,
        ),
        (
            "the same after a long handshake",
            slow,
            |s| vec![s.opened(199 * MS + 1), s.closed(199 * MS + 9)],
            0,
        ),
    ];
    for (case, since_ns, records, left) in cases {
        let socket = remote(1, since_ns);
        let mut run = Run::begun();
        run.tracker.snapshot_begin(199 * MS);
        run.event(&socket.row(199 * MS + 2, 10));
        for record in records(&socket) {
            run.event(&record);
        }
        run.tracker.snapshot_end(200 * MS, true);
        run.tick(900 * MS);
        let audit = run.tracker.audit();
        assert_eq!((audit.missed, audit.ghosts), (0, 0), "{case}");
        assert_eq!(run.count("opened"), 1, "{case}");
        assert_eq!(run.tracker.connections().count(), left, "{case}");
    }
}

#[test]
fn rows_in_no_connection_yet_or_any_more_are_not_connections() {
    let mut run = Run::begun();
    for state in [
        TcpState::SynSent,
        TcpState::SynReceived,
        TcpState::TimeWait,
        TcpState::Closed,
    ] {
        let row = SocketEvent {
            state,
            ..remote(1, 10 * MS).row(200 * MS, 10)
        };
        run.snapshot(199 * MS, &[row], &[]);
    }
    assert_eq!(run.tracker.connections().count(), 0);
    assert_eq!(run.tracker.audit().missed, 0);
}

#[test]
fn a_row_whose_socket_is_gone_and_its_address_taken_ends_nobody_else() {
    let first = remote(1, 10 * MS);
    let second = Socket {
        since_ns: 199 * MS + 5,
        local: addr("192.168.59.150:40009"),
        ..first
    };
    let mut run = Run::begun();
    run.tracker.snapshot_begin(199 * MS);
    // Opening and end of the first were lost.
    run.event(&first.row(199 * MS + 2, 10));
    run.event(&second.opened(199 * MS + 6));
    run.tracker.snapshot_end(200 * MS, true);
    for at_ns in [400 * MS, 600 * MS] {
        run.snapshot(at_ns, &[second.row(at_ns, 10)], &[]);
    }
    assert_eq!(run.only().source_addr, second.local);
    assert!(run.only().is_alive());
}
