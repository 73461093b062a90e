//! MPTCP: the subflows of one MPTCP socket are one connection, which lives as long as any of them.

use super::*;
use crate::event::Counters;

/// MPTCP sockets of the client and of the server.
const NEAR: u64 = 0xffff_8880_7000_0000;
const FAR: u64 = 0xffff_8880_7100_0000;

/// A subflow's two sockets.
fn subflow(number: u64, since_ns: u64, from: &str, to: &str) -> [Socket; 2] {
    let near = client(number, since_ns, from, to);
    [near, server(&near)]
}

fn paths() -> [[Socket; 2]; 2] {
    [
        subflow(1, 10 * MS, "10.0.0.1:40000", "10.0.0.2:6443"),
        subflow(2, 20 * MS, "10.0.1.1:40001", "10.0.1.2:6443"),
    ]
}

/// An event of a socket on one side of the connection.
fn of(event: SocketEvent, mptcp: u64) -> SocketEvent {
    SocketEvent { mptcp, ..event }
}

fn open(run: &mut Run, [near, far]: [Socket; 2], at_ns: u64) {
    run.event(&of(near.opened(at_ns), NEAR));
    run.event(&of(far.opened(at_ns), FAR));
}

/// Both sockets of a subflow end; the kernel no longer says whose they were.
fn close(run: &mut Run, [near, far]: [Socket; 2], at_ns: u64, bytes: u64) {
    let counted = |end: Socket, sent_bytes, received_bytes| SocketEvent {
        counters: Some(Counters {
            sent_bytes,
            received_bytes,
            ..Counters::default()
        }),
        ..end.closed(at_ns)
    };
    run.event(&counted(near, bytes, 2 * bytes));
    run.event(&counted(far, 2 * bytes, bytes));
}

fn finished(run: &Run) -> Connection {
    let Some(Change::Finished(one)) = run.changes.last() else {
        panic!("{:?}", run.changes)
    };
    *one
}

#[test]
fn subflows_are_one_connection_and_each_byte_counts_once() {
    let [first, second] = paths();
    for closes_first in [first, second] {
        let closes_last = if closes_first[0].address == first[0].address {
            second
        } else {
            first
        };
        let mut run = Run::begun();
        open(&mut run, first, 11 * MS);
        open(&mut run, second, 21 * MS);
        let one = run.only();
        assert!(one.is_joined());
        assert_eq!(one.subflows, 2);
        assert_eq!(one.source_addr, first[0].local, "the path known first");
        assert_eq!(run.tracker.paths(&one).len(), 2);
        close(&mut run, closes_first, 30 * MS, 100);
        run.tick(900 * MS);
        assert_eq!(run.told(), ["opened"], "a path ended, and the connection did not");
        let one = run.only();
        assert!(one.source.unwrap().is_alive() && one.destination.unwrap().is_alive());
        assert_eq!(one.counters().unwrap().sent_bytes, 100);
        assert_eq!(
            run.tracker.paths(&one),
            [(closes_last[0].local, closes_last[0].remote)]
        );
        close(&mut run, closes_last, 950 * MS, 11);
        assert_eq!(run.told(), ["opened", "closed", "finished"]);
        let all = finished(&run);
        let counters = all.counters().unwrap();
        assert_eq!((counters.sent_bytes, counters.received_bytes), (111, 222));
        assert_eq!((all.subflows, all.last_ns), (2, 950 * MS));
        assert!(run.tracker.by_tuple.is_empty() && run.tracker.by_socket.is_empty());
    }
}

#[test]
fn records_of_subflows_come_in_any_order() {
    let [first, second] = paths();
    let all = [
        of(first[0].opened(11 * MS), NEAR),
        of(first[1].opened(11 * MS), FAR),
        of(second[0].opened(11 * MS), NEAR),
        of(second[1].opened(11 * MS), FAR),
    ];
    for order in joining::orders(&[0, 1, 2, 3]) {
        let mut run = Run::begun();
        for at in &order {
            run.event(&all[*at]);
        }
        run.tick(500 * MS);
        let one = run.only();
        assert!(one.is_joined(), "{order:?}");
        assert_eq!((one.subflows, run.told()), (2, vec!["opened"]), "{order:?}");
        close(&mut run, second, 600 * MS, 1);
        close(&mut run, first, 600 * MS, 1);
        assert_eq!(run.told(), ["opened", "closed", "finished"], "{order:?}");
    }
}

#[test]
fn subflows_found_by_a_snapshot_are_one_connection() {
    let [first, second] = paths();
    let rows = [
        of(old(first[0]).row(4 * MS, 10), NEAR),
        of(old(first[1]).row(4 * MS, 100), FAR),
        of(old(second[0]).row(4 * MS, 10), NEAR),
        of(old(second[1]).row(4 * MS, 100), FAR),
    ];
    for order in joining::orders(&[0, 1, 2, 3]) {
        let mut run = Run::new();
        run.snapshot(4 * MS, &order.iter().map(|at| rows[*at]).collect::<Vec<_>>(), &[]);
        assert!(run.only().is_joined(), "{order:?}");
        assert_eq!(run.only().subflows, 2);
        // One that joins later, by its record.
        open(
            &mut run,
            subflow(3, 30 * MS, "10.0.2.1:40002", "10.0.2.2:6443"),
            31 * MS,
        );
        assert_eq!(run.only().subflows, 3);
        assert_eq!(run.told(), [""; 0]);
    }
}

#[test]
fn the_other_machine_of_subflows_is_one_end() {
    let [first, second] = paths();
    let mut run = Run::begun();
    for end in [first[0], second[0]] {
        run.event(&of(end.opened(21 * MS), NEAR));
    }
    run.tick(500 * MS);
    assert_eq!(run.told(), ["opened"]);
    for end in [first[0], second[0]] {
        run.event(&end.closed(600 * MS));
        run.tick(900 * MS);
    }
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
    assert_eq!(finished(&run).subflows, 2);
    assert!(run.tracker.by_tuple.is_empty());
}

#[test]
fn a_subflow_that_the_server_has_opened_counts_for_the_side_it_is_on() {
    let [first, _] = paths();
    // The server dials another address of the client.
    let back = subflow(2, 20 * MS, "10.0.1.2:50000", "10.0.1.1:40001");
    let mut run = Run::begun();
    open(&mut run, first, 11 * MS);
    run.event(&of(back[0].opened(21 * MS), FAR));
    run.event(&of(back[1].opened(21 * MS), NEAR));
    let one = run.only();
    assert_eq!(run.tracker.paths(&one)[1], (back[0].remote, back[0].local));
    close(&mut run, back, 30 * MS, 5);
    close(&mut run, first, 40 * MS, 100);
    let counters = finished(&run).counters().unwrap();
    assert_eq!((counters.sent_bytes, counters.received_bytes), (110, 205));
}

#[test]
fn a_connection_that_fell_back_to_tcp_is_one_of_one_subflow() {
    let [first, _] = paths();
    let mut run = Run::begun();
    run.event(&of(first[0].opened(11 * MS), NEAR));
    run.event(&first[1].opened(11 * MS));
    assert_eq!((run.only().subflows, run.only().is_joined()), (1, true));
    close(&mut run, first, 30 * MS, 3);
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
    assert_eq!(finished(&run).counters().unwrap().sent_bytes, 3);
}

#[test]
fn an_mptcp_socket_at_the_address_of_one_that_is_over_is_another() {
    let [first, second] = paths();
    let mut run = Run::begun();
    open(&mut run, first, 11 * MS);
    close(&mut run, first, 15 * MS, 1);
    open(&mut run, second, 21 * MS);
    assert_eq!(run.told(), ["opened", "closed", "finished", "opened"]);
    assert_eq!(run.only().subflows, 1);
}

#[test]
fn a_path_that_did_not_come_about_is_no_failed_connection() {
    let [first, second] = paths();
    let mut run = Run::begun();
    open(&mut run, first, 11 * MS);
    run.event(&of(second[0].at(25 * MS, What::Failed, TcpState::SynSent), NEAR));
    assert_eq!(run.told(), ["opened"]);
    // The first one of a connection is its connect.
    close(&mut run, first, 30 * MS, 1);
    run.event(&of(second[0].at(35 * MS, What::Failed, TcpState::SynSent), NEAR));
    assert_eq!(run.count("failed"), 1);
}

#[test]
fn a_path_whose_end_was_missed_is_buried_and_the_connection_lives() {
    let [first, second] = paths();
    let mut run = Run::begun();
    open(&mut run, first, 11 * MS);
    open(&mut run, second, 21 * MS);
    let rows: Vec<_> = [(first[0], NEAR), (first[1], FAR)]
        .map(|(end, mptcp)| of(end.row(200 * MS, 10), mptcp))
        .to_vec();
    run.snapshot(199 * MS, &rows, &[]);
    run.tick(900 * MS);
    assert_eq!(run.told(), ["opened"]);
    assert_eq!(run.tracker.audit().ghosts, 2);
    assert!(run.only().is_alive());
    assert_eq!(run.tracker.paths(&run.only()).len(), 1);
}
