//! The kernel side of the model: the socket table, the ring, the snapshot, as `tracer-ebpf` has them.

use std::net::{IpAddr, SocketAddr};

use tracer_common::wire::{Owner, RecordHeader, SocketRecord, WIRE_VERSION, flag, kind, role};

use super::{LISTEN, Out, World};

/// Where a snapshot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Begun,
    HalfWalked,
    Walked,
}

/// What is remembered of a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    first_seen_ns: u64,
    owner: Option<u32>,
    role: u8,
    found: bool,
}

/// Holders below are walked first: the list of all file tables goes by process.
const HALF: u32 = 105;

impl World {
    /// The programs are attached.
    pub(crate) fn attach(&mut self) {
        self.wait(1000);
        self.attached = true;
    }

    pub(super) fn remember(&mut self, address: u64, owner: Option<u32>, role: u8) {
        if self.attached {
            let first_seen_ns = self.now_ns;
            let found = false;
            self.table.insert(
                address,
                Entry {
                    first_seen_ns,
                    owner,
                    role,
                    found,
                },
            );
        }
    }

    /// A record of a socket, with what is remembered of it.
    pub(super) fn tell(&mut self, kind: u8, address: u64, state: u8, error: u32) {
        if !self.attached {
            return;
        }
        let entry = self.table.get(&address).copied().unwrap_or(Entry {
            first_seen_ns: 0,
            owner: None,
            role: role::UNKNOWN,
            found: true,
        });
        let record = self.record(kind, address, &entry, state, error);
        self.wait(300);
        if self.lose_one_in != 0 && self.roll().is_multiple_of(self.lose_one_in) {
            self.counters.lost_socket += 1;
        } else {
            self.ring.push(record);
        }
    }

    pub(super) fn established(&mut self, address: u64, from: u8) {
        if self.attached && !self.table.contains_key(&address) {
            // Its SYN was older than the tracer.
            self.counters.no_owner += 1;
            self.remember(address, None, role::ACTIVE);
            self.table.get_mut(&address).expect("just remembered").found = true;
        }
        self.tell(kind::OPENED, address, from, 0);
    }

    pub(super) fn accepted(&mut self, address: u64, tgid: u32) {
        if !self.attached {
            return;
        }
        let now_ns = self.now_ns;
        let entry = self.table.entry(address).or_insert(Entry {
            first_seen_ns: now_ns,
            owner: None,
            role: role::PASSIVE,
            found: true,
        });
        entry.owner = Some(tgid);
        let state = self.sockets[&address].state;
        self.tell(kind::ACCEPTED, address, state, 0);
    }

    /// A complete snapshot is over.
    pub(super) fn has_been_seen(&self) -> bool {
        self.out.iter().any(|out| matches!(out, Out::End(_, true)))
    }

    /// The owner of a socket older than the tracer, while the first snapshot is not over.
    pub(super) fn closing(&mut self, address: u64) {
        if self.attached && !self.has_been_seen() && !self.table.contains_key(&address) {
            self.remember(address, Some(100), role::UNKNOWN);
            self.table.get_mut(&address).expect("just remembered").found = true;
        }
    }

    /// The last record of a socket, whose address is free for the next.
    pub(super) fn end_socket(&mut self, address: u64, kind: u8, from: u8, error: u32) {
        self.tell(kind, address, from, error);
        self.table.remove(&address);
        self.drop_socket(address);
    }

    fn record(&self, kind: u8, address: u64, entry: &Entry, state: u8, error: u32) -> SocketRecord {
        let sock = &self.sockets[&address];
        let fresh = kind == kind::OPENED || kind == kind::LISTENING;
        let mut flags = flag::COUNTERS | flag::ERROR;
        flags |= if entry.found { flag::FOUND } else { 0 };
        flags |= if entry.owner.is_some() { flag::OWNER } else { 0 };
        SocketRecord {
            header: RecordHeader {
                kind,
                version: WIRE_VERSION,
                len: 160,
                pad: 0,
                at_ns: self.now_ns,
            },
            socket: address,
            first_seen_ns: entry.first_seen_ns,
            owner: self.owner(entry.owner, sock.netns),
            local_addr: octets(sock.local),
            remote_addr: octets(sock.remote),
            local_port: sock.local.port(),
            remote_port: sock.remote.port(),
            role: entry.role,
            flags,
            state,
            family: if sock.local.is_ipv4() { 2 } else { 10 },
            error,
            rtt_us: if fresh { 0 } else { 41 },
            sent_bytes: if fresh { 0 } else { sock.sent },
            received_bytes: if fresh { 0 } else { sock.received },
            retransmits: 0,
            fd: 0,
            ifindex: 0,
            pad: 0,
            mptcp: 0,
        }
    }

    fn owner(&self, tgid: Option<u32>, netns: u32) -> Owner {
        let Some(tgid) = tgid else {
            return Owner {
                netns,
                ..Owner::default()
            };
        };
        let mut comm = [0; 16];
        let name = self.names.get(&tgid).copied().unwrap_or("p");
        comm[..name.len()].copy_from_slice(name.as_bytes());
        Owner {
            tgid,
            tid: tgid,
            netns,
            cgroup_id: self.cgroups.get(&tgid).copied().unwrap_or_default(),
            comm,
            ..Owner::default()
        }
    }

    /// What is in the ring reaches the tracer. Two processors: records of unrelated sockets change places.
    pub(crate) fn drain(&mut self) {
        let mut ring = std::mem::take(&mut self.ring);
        for second in 1..ring.len() {
            let (a, b) = (&ring[second - 1], &ring[second]);
            let near = a.header.at_ns.abs_diff(b.header.at_ns) < 5000;
            if near && are_independent(a, b) && self.roll().is_multiple_of(3) {
                ring.swap(second - 1, second);
            }
        }
        self.out.extend(ring.into_iter().map(Out::Record));
    }

    pub(crate) fn tick(&mut self) {
        self.drain();
        self.out.push(Out::Tick(self.now_ns));
    }

    /// A whole snapshot, with nothing happening meanwhile.
    pub(crate) fn snapshot(&mut self) {
        loop {
            self.advance_snapshot();
            if self.phase == Phase::Idle {
                return;
            }
        }
    }

    pub(crate) fn is_between_snapshots(&self) -> bool {
        self.phase == Phase::Idle
    }

    pub(crate) fn end_running_snapshot(&mut self) {
        while self.phase != Phase::Idle {
            self.advance_snapshot();
        }
    }

    /// The next step of the snapshot, in the live source's order.
    pub(crate) fn advance_snapshot(&mut self) {
        self.wait(1000);
        self.phase = match self.phase {
            Phase::Idle => {
                self.drain();
                self.out.push(Out::Begin(self.now_ns));
                Phase::Begun
            }
            Phase::Begun => {
                self.walk(|tgid| tgid < HALF);
                Phase::HalfWalked
            }
            Phase::HalfWalked => {
                self.walk(|tgid| tgid >= HALF);
                Phase::Walked
            }
            Phase::Walked => {
                let known = |(address, entry): (&u64, &Entry)| (*address, entry.first_seen_ns);
                self.out
                    .push(Out::Remembered(self.table.iter().map(known).collect()));
                self.drain();
                self.out.push(Out::End(self.now_ns, !self.incomplete));
                Phase::Idle
            }
        };
    }

    fn walk(&mut self, of: impl Fn(u32) -> bool) {
        let mut held: Vec<(u64, u32)> = self
            .sockets
            .iter()
            .flat_map(|(address, sock)| sock.holders.iter().map(|tgid| (*address, *tgid)))
            .filter(|(_, tgid)| of(*tgid))
            .collect();
        for last in (1..held.len()).rev() {
            let other = usize::try_from(self.roll() % (last as u64 + 1)).expect("small");
            held.swap(last, other);
        }
        for (address, tgid) in held {
            if self.incomplete && self.roll().is_multiple_of(2) {
                continue;
            }
            self.wait(100);
            let state = self.sockets[&address].state;
            let now_ns = self.now_ns;
            let entry = self.table.entry(address).or_insert(Entry {
                first_seen_ns: now_ns,
                owner: None,
                role: if state == LISTEN {
                    role::LISTENER
                } else {
                    role::UNKNOWN
                },
                found: true,
            });
            entry.owner.get_or_insert(tgid);
            let row = Entry {
                owner: Some(tgid),
                ..*entry
            };
            let record = self.record(kind::SEEN, address, &row, state, 0);
            self.out.push(Out::Row(record));
        }
    }
}

/// Neither the same socket nor two connections, one after the other, of the same tuple.
fn are_independent(a: &SocketRecord, b: &SocketRecord) -> bool {
    let near = |r: &SocketRecord| (r.local_addr, r.local_port);
    let far = |r: &SocketRecord| (r.remote_addr, r.remote_port);
    let tuple = |r: &SocketRecord| (near(r).min(far(r)), near(r).max(far(r)));
    let ends = |r: &SocketRecord| r.header.kind == kind::CLOSED || r.header.kind == kind::FAILED;
    let begins = |r: &SocketRecord| !ends(r);
    a.socket != b.socket && !(tuple(a) == tuple(b) && (ends(a) && begins(b) || begins(a) && ends(b)))
}

/// As on the wire: IPv4 in its mapped form.
fn octets(address: SocketAddr) -> [u8; 16] {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
