//! Sockets whose kernel address nobody could see: the list of a kernel without iterators.

use super::*;

/// A row from such a list.
fn nameless(socket: Socket, at_ns: u64, holder: u32) -> SocketEvent {
    let id = SocketId {
        address: 0,
        first_seen_ns: 0,
    };
    SocketEvent {
        id,
        role: Role::Unknown,
        found: true,
        ..socket.row(at_ns, holder)
    }
}

fn near() -> Socket {
    client(1, 10 * MS, "127.0.0.1:40000", "127.0.0.1:2379")
}

#[test]
fn a_row_without_address_confirms_the_socket_of_its_tuple() {
    let (near, far) = (near(), server(&near()));
    let mut run = Run::begun();
    run.event(&near.opened(11 * MS));
    run.event(&far.opened(11 * MS));
    run.snapshot(
        199 * MS,
        &[nameless(near, 200 * MS, 10), nameless(far, 200 * MS, 100)],
        &[],
    );
    let audit = run.tracker.audit();
    assert_eq!((audit.confirmed, audit.missed, audit.ghosts), (2, 0, 0));
    assert!(run.only().is_joined());
}

#[test]
fn what_only_such_a_list_knows_must_be_absent_twice() {
    let mut run = Run::new();
    run.snapshot(MS, &[nameless(near(), MS, 10)], &[]);
    assert_eq!(run.tracker.audit().missed, 0);
    run.snapshot(200 * MS, &[], &[]);
    assert_eq!(run.tracker.audit().ghosts, 0, "it may have been skipped");
    run.snapshot(400 * MS, &[], &[]);
    assert_eq!(run.tracker.audit().ghosts, 1);
    assert_eq!(run.tracker.connections().count(), 0);
}

#[test]
fn its_own_record_ends_what_such_a_list_found() {
    let mut run = Run::new();
    run.snapshot(MS, &[nameless(near(), MS, 10)], &[]);
    run.event(&old(near()).closed(50 * MS));
    run.tick(500 * MS);
    assert_eq!(run.told(), ["closed", "finished"]);
    assert_eq!(run.tracker.audit().ghosts, 0);
}

#[test]
fn a_connection_that_lived_while_such_a_list_was_read_is_counted_once() {
    let near = Socket {
        since_ns: 199 * MS + 1,
        ..near()
    };
    let mut run = Run::begun();
    run.tracker.snapshot_begin(199 * MS);
    run.event(&nameless(near, 199 * MS + 2, 10));
    run.event(&near.opened(199 * MS + 2));
    run.event(&near.closed(199 * MS + 3));
    run.tracker.snapshot_end(200 * MS, true);
    run.tick(900 * MS);
    assert_eq!(run.told(), ["opened", "closed", "finished"]);
    let audit = run.tracker.audit();
    assert_eq!((audit.missed, audit.ghosts), (0, 0));
}

#[test]
fn listeners_without_address_are_the_same_by_place_and_holder() {
    let etcd = listener(1, 5 * MS, HOST, "127.0.0.1:2379", 100);
    let row = |at_ns, holder| SocketEvent {
        id: SocketId {
            address: 0,
            first_seen_ns: 0,
        },
        ..etcd.listen_row(at_ns, holder, true)
    };
    let mut run = Run::new();
    run.snapshot(MS, &[row(MS, 100)], &[]);
    run.snapshot(200 * MS, &[row(200 * MS, 100)], &[]);
    assert_eq!(run.tracker.listeners().count(), 1);
    assert_eq!(run.tracker.audit().missed, 0);
    run.snapshot(400 * MS, &[row(400 * MS, 100), row(400 * MS, 200)], &[]);
    assert_eq!(run.tracker.listeners().count(), 2, "SO_REUSEPORT: another holder");
}
