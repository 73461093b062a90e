//! Known records are decoded, every other is refused by name, nothing panics.

use proptest::prelude::*;
use tracer_common::wire::Owner as WireOwner;
use zerocopy::IntoBytes;

use super::*;

fn record(edit: impl FnOnce(&mut SocketRecord)) -> Vec<u8> {
    let mut record = SocketRecord {
        header: RecordHeader {
            kind: kind::CLOSED,
            version: WIRE_VERSION,
            len: 160,
            pad: 0,
            at_ns: 42,
        },
        socket: 0xffff_8880_0000_1000,
        first_seen_ns: 7,
        owner: WireOwner {
            tgid: 1893,
            tid: 1899,
            uid: 0,
            netns: 4_026_531_840,
            cgroup_id: 77,
            comm: *b"kube-apiserver\0\0",
        },
        local_addr: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1],
        remote_addr: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1],
        local_port: 47512,
        remote_port: 2379,
        role: role::ACTIVE,
        flags: flag::OWNER | flag::COUNTERS | flag::ERROR,
        state: 9,
        family: 2,
        sent_bytes: 10,
        received_bytes: 21,
        rtt_us: 41,
        ..SocketRecord::default()
    };
    edit(&mut record);
    record.as_bytes().to_vec()
}

fn decoded(edit: impl FnOnce(&mut SocketRecord)) -> SocketEvent {
    match decode(&record(edit)) {
        Ok(Event::Socket(event)) => event,
        other => panic!("not a socket event: {other:?}"),
    }
}

#[test]
fn refuses_with_the_reason_what_it_does_not_know() {
    let cases: &[(&str, Vec<u8>, Option<DecodeError>)] = &[
        ("a good record", record(|_| {}), None),
        (
            "the ring may pad the tail",
            [record(|_| {}), vec![0; 8]].concat(),
            None,
        ),
        ("empty", vec![], Some(DecodeError::Short { got: 0, need: 16 })),
        (
            "header only",
            record(|_| {})[..16].to_vec(),
            Some(DecodeError::Short { got: 16, need: 160 }),
        ),
        (
            "one byte short",
            record(|_| {})[..143].to_vec(),
            Some(DecodeError::Short { got: 143, need: 160 }),
        ),
        (
            "older programs",
            record(|r| r.header.version = 0),
            Some(DecodeError::Version(0)),
        ),
        (
            "a kind from the future",
            record(|r| r.header.kind = 99),
            Some(DecodeError::Kind(99)),
        ),
        (
            "a state from nowhere",
            record(|r| r.state = 77),
            Some(DecodeError::Field {
                field: "state",
                value: 77,
            }),
        ),
        (
            "a role from nowhere",
            record(|r| r.role = 9),
            Some(DecodeError::Field {
                field: "role",
                value: 9,
            }),
        ),
    ];
    for (name, raw, want) in cases {
        assert_eq!(decode(raw).err(), *want, "case: {name}");
    }
}

#[test]
fn mapped_addresses_are_ipv4_whatever_the_family() {
    for family in [2, 10] {
        let event = decoded(|r| r.family = family);
        assert_eq!(event.local.to_string(), "127.0.0.1:47512");
        assert_eq!(event.remote.to_string(), "127.0.0.1:2379");
        assert_eq!(event.family_v6, family == 10);
    }
    let v6 = decoded(|r| r.remote_addr = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(v6.remote.to_string(), "[::1]:2379");
}

#[test]
fn what_was_not_read_is_absent() {
    let event = decoded(|r| r.flags = 0);
    assert_eq!((event.owner, event.errno, event.counters), (None, None, None));
    assert_eq!(
        event.netns, 4_026_531_840,
        "the namespace is the socket's, not the owner's"
    );
}

#[test]
fn every_prefix_is_short() {
    let whole = record(|_| {});
    for end in 0..whole.len() {
        assert!(
            matches!(decode(&whole[..end]), Err(DecodeError::Short { .. })),
            "prefix of {end}"
        );
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut raw in proptest::collection::vec(any::<u8>(), 0..320), kind in 0..32u8) {
        drop(decode(&raw));
        if let [first, second, ..] = raw.as_mut_slice() {
            (*first, *second) = (kind, WIRE_VERSION);
        }
        drop(decode(&raw));
    }
}
