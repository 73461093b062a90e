//! The tracker against single events, against a model of the machine, and against whatever happens by chance.

mod history;
mod joining;
mod listening;
mod mptcp;
mod nameless;
mod opening;
mod snapshots;
mod translated;
pub(crate) mod world;

use std::net::SocketAddr;

use tracer_common::wire::SocketRecord;
use world::Out;
use zerocopy::IntoBytes;

use super::*;
use crate::{
    decode::decode,
    event::{Comm, Event, Owner, Role, SocketId, TcpState},
};

const MS: u64 = 1_000_000;
const HOST: u32 = world::HOST;
const POD: u32 = world::POD;

/// A tracker and all it told.
struct Run {
    tracker: Tracker,
    changes: Vec<Change>,
}

impl Run {
    fn new() -> Self {
        Self {
            tracker: Tracker::new(1 << 16),
            changes: Vec::new(),
        }
    }

    /// The first snapshot, of an empty machine, is over.
    fn begun() -> Self {
        let mut run = Self::new();
        run.snapshot(MS, &[], &[]);
        run
    }

    fn take(&mut self) {
        let mut new = Vec::new();
        self.tracker.take_changes(&mut new);
        self.changes.append(&mut new);
    }

    fn event(&mut self, event: &SocketEvent) {
        self.tracker.event(event);
        self.take();
    }

    fn tick(&mut self, now_ns: u64) {
        self.tracker.tick(now_ns);
        self.take();
    }

    /// A complete snapshot with these rows, a millisecond long.
    fn snapshot(&mut self, at_ns: u64, rows: &[SocketEvent], remembered: &[(u64, u64)]) {
        self.tracker.snapshot_begin(at_ns);
        for row in rows {
            self.tracker.event(row);
        }
        self.tracker.remembered(remembered);
        self.tracker.snapshot_end(at_ns + MS, true);
        self.take();
    }

    /// Takes what the model tells.
    fn watch(&mut self, out: impl IntoIterator<Item = Out>) {
        for out in out {
            match out {
                Out::Record(record) | Out::Row(record) => self.tracker.event(&decoded(&record)),
                Out::Begin(at_ns) => self.tracker.snapshot_begin(at_ns),
                Out::Remembered(sockets) => self.tracker.remembered(&sockets),
                Out::End(at_ns, complete) => self.tracker.snapshot_end(at_ns, complete),
                Out::Tick(at_ns) => self.tracker.tick(at_ns),
            }
            self.take();
        }
    }

    /// Everything told so far, in words.
    fn told(&self) -> Vec<&'static str> {
        self.changes.iter().map(word).collect()
    }

    fn count(&self, what: &str) -> usize {
        self.changes.iter().filter(|change| word(change) == what).count()
    }

    fn only(&self) -> Connection {
        let all: Vec<_> = self.tracker.connections().collect();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0]
    }
}

const fn word(change: &Change) -> &'static str {
    match change {
        Change::Opened(_) => "opened",
        Change::Accepted(_) => "accepted",
        Change::Failed(_) => "failed",
        Change::Closed(_) => "closed",
        Change::Finished(_) => "finished",
        Change::ListenerOpened(_) => "listener opened",
        Change::ListenerClosed(_) => "listener closed",
    }
}

fn decoded(record: &SocketRecord) -> SocketEvent {
    match decode(record.as_bytes()) {
        Ok(Event::Socket(event)) => event,
        other => panic!("not a socket event: {other:?}"),
    }
}

const fn owner(tgid: u32) -> Owner {
    Owner {
        tgid,
        tid: tgid,
        uid: 0,
        cgroup_id: 0,
        comm: Comm([0; 16]),
    }
}

/// One socket of the machine, to make events of.
#[derive(Clone, Copy, Debug)]
struct Socket {
    address: u64,
    since_ns: u64,
    netns: u32,
    local: SocketAddr,
    remote: SocketAddr,
    role: Role,
    tgid: Option<u32>,
}

impl Socket {
    fn at(&self, at_ns: u64, what: What, state: TcpState) -> SocketEvent {
        SocketEvent {
            what,
            at_ns,
            id: SocketId {
                address: self.address,
                first_seen_ns: self.since_ns,
            },
            owner: self.tgid.map(owner),
            netns: self.netns,
            local: self.local,
            remote: self.remote,
            role: self.role,
            found: self.role == Role::Unknown,
            state,
            family_v6: false,
            errno: Some(0),
            counters: None,
            fd: 3,
            ifindex: 0,
            mptcp: 0,
            owner_closed_it: false,
        }
    }

    fn opened(&self, at_ns: u64) -> SocketEvent {
        self.at(at_ns, What::Opened, TcpState::SynSent)
    }

    fn closed(&self, at_ns: u64) -> SocketEvent {
        self.at(at_ns, What::Closed, TcpState::FinWait2)
    }

    fn row(&self, at_ns: u64, holder: u32) -> SocketEvent {
        SocketEvent {
            owner: Some(owner(holder)),
            ..self.at(at_ns, What::Seen, TcpState::Established)
        }
    }

    fn remembered(&self) -> (u64, u64) {
        (self.address, self.since_ns)
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("a socket address")
}

/// The end that connects; the number makes it different from others.
fn client(number: u64, since_ns: u64, from: &str, to: &str) -> Socket {
    Socket {
        address: 0xffff_8880_0000_0000 + number * 0x1000,
        since_ns,
        netns: HOST,
        local: addr(from),
        remote: addr(to),
        role: Role::Active,
        tgid: Some(10),
    }
}

/// The other end of it, which nobody owns yet.
fn server(of: &Socket) -> Socket {
    Socket {
        address: of.address + 0x800,
        since_ns: of.since_ns,
        netns: of.netns,
        local: of.remote,
        remote: of.local,
        role: Role::Passive,
        tgid: None,
    }
}

/// The same socket, but older than the tracer: nobody knows how it came about.
fn old(socket: Socket) -> Socket {
    Socket {
        role: Role::Unknown,
        ..socket
    }
}

/// A listening socket.
fn listener(number: u64, since_ns: u64, netns: u32, local: &str, tgid: u32) -> Socket {
    Socket {
        address: 0xffff_8890_0000_0000 + number * 0x1000,
        since_ns,
        netns,
        local: addr(local),
        remote: addr("0.0.0.0:0"),
        role: Role::Listener,
        tgid: Some(tgid),
    }
}

impl Socket {
    fn listening(&self, at_ns: u64) -> SocketEvent {
        self.at(at_ns, What::Listening, TcpState::Closed)
    }

    fn unlistened(&self, at_ns: u64) -> SocketEvent {
        self.at(at_ns, What::Unlistened, TcpState::Listen)
    }

    fn listen_row(&self, at_ns: u64, holder: u32, found: bool) -> SocketEvent {
        SocketEvent {
            owner: Some(owner(holder)),
            found,
            ..self.at(at_ns, What::Seen, TcpState::Listen)
        }
    }
}
