//! Listening sockets: told once, provisional owners of what they take, chosen as the kernel chooses.

use super::*;

#[test]
fn a_listener_is_told_when_it_comes_and_when_it_goes() {
    let etcd = listener(1, 10 * MS, HOST, "127.0.0.1:2379", 100);
    let mut run = Run::begun();
    run.event(&etcd.listening(10 * MS));
    assert_eq!(run.tracker.listeners().count(), 1);
    run.event(&etcd.unlistened(20 * MS));
    run.event(&etcd.unlistened(20 * MS));
    assert_eq!(run.told(), ["listener opened", "listener closed"]);
    assert_eq!(run.tracker.listeners().count(), 0);
}

#[test]
fn a_listener_serves_as_the_kernel_chooses() {
    let cases = [
        ("the exact address", HOST, "127.0.0.1:2379", Some(1)),
        (
            "else the unspecified one of the family",
            HOST,
            "192.168.59.150:2379",
            Some(2),
        ),
        ("else that of IPv6", HOST, "192.168.59.150:6443", Some(3)),
        ("IPv6 itself", HOST, "[fd00::1]:6443", Some(3)),
        ("IPv6 not by one of IPv4", HOST, "[fd00::1]:2379", None),
        ("another port", HOST, "127.0.0.1:2380", None),
        ("another namespace", POD, "127.0.0.1:2379", None),
        (
            "two owners of one address are nobody",
            HOST,
            "127.0.0.1:8080",
            None,
        ),
        (
            "two sockets of one owner are that one",
            HOST,
            "127.0.0.1:9090",
            Some(6),
        ),
    ];
    let mut run = Run::begun();
    let all = [
        (1, "127.0.0.1:2379"),
        (2, "0.0.0.0:2379"),
        (3, "[::]:6443"),
        (4, "0.0.0.0:8080"),
        (5, "0.0.0.0:8080"),
        (6, "0.0.0.0:9090"),
        (6, "0.0.0.0:9090"),
    ];
    for (number, (tgid, local)) in (1..).zip(all) {
        run.event(&listener(number, 10 * MS, HOST, local, tgid).listening(10 * MS));
    }
    for (case, netns, address, want) in cases {
        let served = run.tracker.serving(netns, addr(address));
        let tgid = served.and_then(|one| one.end.owner).map(|(owner, _)| owner.tgid);
        assert_eq!(tgid, want, "{case}");
    }
}

/// Processes one of whom took the connection of the only end that accepted; one alone where it is the owner.
fn takers(run: &Run) -> Vec<u32> {
    let end = run.only().destination.unwrap();
    let crowd = run.tracker.crowd(&end).iter().map(|member| member.tgid);
    end.owner
        .map(|(owner, _)| owner.tgid)
        .into_iter()
        .chain(crowd)
        .collect()
}

#[test]
fn who_may_have_taken_a_connection_is_kept_as_it_was_when_it_came() {
    type Case<'a> = (&'a str, &'a [(u32, &'a str, u32)], (&'a str, u32), &'a [u32]);
    let (any, one) = ("0.0.0.0:8000", "10.0.0.1:8000");
    let cases: &[Case<'_>] = &[
        (
            "workers of one address",
            &[(6, any, 0), (5, any, 0), (5, any, 0)],
            (one, 0),
            &[5, 6],
        ),
        (
            "not those of a wider one",
            &[(5, one, 0), (6, one, 0), (7, any, 0)],
            (one, 0),
            &[5, 6],
        ),
        (
            "bound to the device it came by",
            &[(5, any, 2), (6, any, 3)],
            (one, 3),
            &[6],
        ),
        (
            "bound to devices, by which is not told",
            &[(5, any, 2), (6, any, 3)],
            (one, 0),
            &[5, 6],
        ),
        (
            "diverted to one who listens elsewhere",
            &[(5, "0.0.0.0:15001", 0)],
            (one, 0),
            &[5],
        ),
        (
            "or to one of several",
            &[(5, "0.0.0.0:15001", 0), (6, any, 0)],
            ("10.0.0.1:80", 0),
            &[5, 6],
        ),
        ("nobody listens at all", &[], (one, 0), &[]),
    ];
    for (case, listeners, (local, ifindex), want) in cases {
        let mut run = Run::begun();
        let sockets: Vec<SocketEvent> = (1..)
            .zip(*listeners)
            .map(|(number, (tgid, local, ifindex))| SocketEvent {
                ifindex: *ifindex,
                ..listener(number, 10 * MS, HOST, local, *tgid).listening(10 * MS)
            })
            .collect();
        for socket in &sockets {
            run.event(socket);
        }
        let far = server(&client(99, 20 * MS, "10.0.0.2:40000", local));
        run.event(&SocketEvent {
            ifindex: *ifindex,
            ..far.opened(21 * MS)
        });
        assert_eq!(takers(&run), *want, "{case}");
        for socket in &sockets {
            run.event(&SocketEvent {
                what: What::Unlistened,
                ..*socket
            });
        }
        assert_eq!(
            takers(&run),
            *want,
            "{case}: though nobody listens there any more"
        );
        run.event(&listener(50, 30 * MS, HOST, local, 9).listening(30 * MS));
        assert_eq!(takers(&run), *want, "{case}: nor is it who listens there later");
    }
}

#[test]
fn what_nobody_listens_for_is_nobodys_while_not_all_who_listen_are_known() {
    let far = server(&client(99, 20 * MS, "10.0.0.2:40000", "10.0.0.1:80"));
    let diverted_to = |begin: fn(&mut Run), netns| {
        let mut run = Run::new();
        begin(&mut run);
        run.event(&listener(1, 10 * MS, HOST, "0.0.0.0:15001", 5).listening(10 * MS));
        let mut event = far.opened(21 * MS);
        event.netns = netns;
        run.event(&event);
        takers(&run)
    };
    let whole: fn(&mut Run) = |run| run.snapshot(MS, &[], &[]);
    let partial: fn(&mut Run) = |run| {
        run.tracker.snapshot_begin(MS);
        run.tracker.snapshot_end(2 * MS, false);
    };
    assert_eq!(diverted_to(whole, HOST), [5]);
    assert_eq!(diverted_to(partial, HOST), [0_u32; 0], "the snapshot missed some");
    assert_eq!(diverted_to(whole, POD), [0_u32; 0], "another namespace");
}

#[test]
fn the_listeners_owner_is_provisional() {
    let near = client(1, 20 * MS, "127.0.0.1:40000", "127.0.0.1:2379");
    let far = server(&near);
    let mut run = Run::begun();
    run.event(&listener(1, 10 * MS, HOST, "127.0.0.1:2379", 100).listening(10 * MS));
    run.event(&near.opened(21 * MS));
    run.event(&far.opened(21 * MS));
    let owned = |run: &Run| {
        let (owner, by) = run.only().destination.and_then(|end| end.owner).unwrap();
        (owner.tgid, by)
    };
    assert_eq!(owned(&run), (100, OwnerBy::Listener));
    let rows = [
        near.row(200 * MS, 10),
        far.row(200 * MS, 101),
        far.row(200 * MS, 100),
    ];
    run.snapshot(199 * MS, &rows, &[]);
    assert_eq!(
        owned(&run),
        (100, OwnerBy::Holder),
        "the lowest of several holders"
    );
    let mut passed = Run::begun();
    passed.event(&listener(1, 10 * MS, HOST, "127.0.0.1:2379", 100).listening(10 * MS));
    passed.event(&far.opened(21 * MS));
    passed.snapshot(199 * MS, &[far.row(200 * MS, 101)], &[]);
    assert_eq!(owned(&passed), (101, OwnerBy::Holder), "a worker took it");
    let mut hooked = Run::begun();
    hooked.event(&listener(1, 10 * MS, HOST, "127.0.0.1:2379", 100).listening(10 * MS));
    hooked.event(&far.opened(21 * MS));
    hooked.event(&SocketEvent {
        owner: Some(owner(102)),
        ..far.at(22 * MS, What::Accepted, TcpState::Established)
    });
    assert_eq!(owned(&hooked), (102, OwnerBy::Hook), "accept told");
}

#[test]
fn pid_1_gives_way_to_the_service_it_made_the_socket_for() {
    let socket = listener(1, 10 * MS, HOST, "0.0.0.0:22", 1);
    let mut run = Run::begun();
    run.event(&socket.listening(10 * MS));
    let row = |holder| socket.listen_row(200 * MS, holder, false);
    let owned = |run: &Run| {
        let listener = run.tracker.listeners().next().unwrap();
        listener.end.owner.unwrap().0.tgid
    };
    run.snapshot(199 * MS, &[row(1)], &[]);
    assert_eq!(owned(&run), 1, "nobody else holds it");
    for rows in [[row(1), row(500)], [row(500), row(1)]] {
        run.snapshot(299 * MS, &rows, &[]);
        assert_eq!(owned(&run), 500);
    }
}

#[test]
fn listeners_are_found_missed_and_buried() {
    let socket = listener(1, 0, HOST, "127.0.0.1:2379", 100);
    let older = listener(2, 0, HOST, "127.0.0.1:2380", 100);
    let mut run = Run::new();
    run.snapshot(MS, &[older.listen_row(MS, 100, true)], &[]);
    assert_eq!(run.told(), [""; 0], "one older than the tracer is no news");
    assert_eq!(run.tracker.audit().missed, 0);
    let rows = [
        older.listen_row(200 * MS, 100, true),
        socket.listen_row(200 * MS, 100, false),
    ];
    run.snapshot(199 * MS, &rows, &[]);
    assert_eq!(run.tracker.audit().missed, 1, "the record was lost");
    assert_eq!(run.tracker.listeners().count(), 2);
    run.snapshot(399 * MS, &rows[..1], &[]);
    assert_eq!(run.told(), ["listener closed"]);
    assert_eq!(run.tracker.audit().ghosts, 1);
}
