//! Records as the kernel would write them: this node's pods dial others, and hang up.

use std::net::IpAddr;

use tracer_common::wire::{COMM_LEN, Owner, RecordHeader, SocketRecord, WIRE_VERSION, flag, kind, role};
use tracer_user::signal::ProcessFacts;

use crate::cluster::{self, PODS};

/// Connections of one round; each has two records, the one that opens and the one that closes.
pub(crate) const CONNECTIONS: u32 = 50_000;
/// Pods that each pod of this node talks to.
const PEERS: u32 = 64;
const RECORD_NS: u64 = 10_000;
pub(crate) const HOST_NETNS: u32 = 4_026_531_840;

/// Numbers of the pods of the first node.
pub(crate) fn own_pods() -> impl Iterator<Item = u32> {
    (0..PODS).filter(|pod| cluster::place(*pod).0 == 0)
}

/// Its process.
pub(crate) fn process(pod: u32) -> ProcessFacts {
    let slot = cluster::place(pod).1;
    ProcessFacts {
        tgid: 2_000 + slot,
        parent_tgid: 1,
        uid: 1_000,
        comm: "server".into(),
        exe: Some("/app/server".into()),
        args: vec!["/app/server".into()],
        cgroup: Some(format!(
            "/kubepods/burstable/pod{}/{:064x}",
            cluster::uid(pod, 0),
            cluster::mixed(u64::from(pod))
        )),
        netns: Some(HOST_NETNS + 1 + slot),
        ..ProcessFacts::default()
    }
}

/// The records of one round, in pairs.
pub(crate) fn records(first: u32) -> Vec<SocketRecord> {
    let own: Vec<u32> = own_pods().collect();
    let pairs = (first..first + CONNECTIONS).zip(own.iter().cycle());
    let pairs = pairs.map(|(number, pod)| {
        let peer = cluster::mixed(u64::from(*pod) << 20 | u64::from(number / 30 % PEERS)) % u64::from(PODS);
        let at_ns = 1_000_000_000 + u64::from(number) * 2 * RECORD_NS;
        let opened = record(number, *pod, u32::try_from(peer).unwrap_or_default(), at_ns);
        let closed = SocketRecord {
            header: RecordHeader {
                kind: kind::CLOSED,
                at_ns: at_ns + RECORD_NS,
                ..opened.header
            },
            // FIN-WAIT-2: it closed first.
            state: 5,
            rtt_us: 240,
            sent_bytes: 420,
            received_bytes: 1_337,
            ..opened
        };
        [opened, closed]
    });
    pairs.flatten().collect()
}

fn record(number: u32, pod: u32, peer: u32, at_ns: u64) -> SocketRecord {
    let slot = cluster::place(pod).1;
    let mut comm = [0; COMM_LEN];
    comm.iter_mut().zip(b"server").for_each(|(to, from)| *to = *from);
    SocketRecord {
        header: RecordHeader {
            kind: kind::OPENED,
            version: WIRE_VERSION,
            len: 144,
            pad: 0,
            at_ns,
        },
        socket: 0xffff_8880_0000_0000 + u64::from(number) * 4_096,
        first_seen_ns: at_ns,
        owner: Owner {
            cgroup_id: u64::from(2_000 + slot),
            tgid: 2_000 + slot,
            tid: 2_000 + slot,
            uid: 1_000,
            netns: HOST_NETNS + 1 + slot,
            comm,
        },
        local_addr: octets(cluster::address(pod)),
        remote_addr: octets(cluster::address(peer)),
        local_port: 32_768 + u16::try_from(number % 28_000).unwrap_or_default(),
        remote_port: 8_080,
        role: role::ACTIVE,
        flags: flag::OWNER | flag::COUNTERS | flag::ERROR,
        // SYN-SENT.
        state: 2,
        family: 2,
        ..SocketRecord::default()
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
