//! A model of TCP sockets on one machine: namespaces, listeners, connections, who holds what.
//!
//! [`kernel`] is what the programs would tell of it; [`story`] makes things happen by chance.

mod connect;
mod kernel;
pub(crate) mod story;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use tracer_common::{counters::Counters, wire::SocketRecord, wire::kind, wire::role};

/// The host's network namespace.
pub(crate) const HOST: u32 = 4_026_531_840;
/// Another one.
pub(crate) const POD: u32 = 4_026_532_200;
/// A third one, in which addresses of the second are used as well.
pub(crate) const TWIN: u32 = 4_026_532_300;

/// Kernel numbers of the TCP states.
pub(crate) const ESTABLISHED: u8 = 1;
pub(crate) const SYN_SENT: u8 = 2;
pub(crate) const SYN_RECV: u8 = 3;
pub(crate) const FIN_WAIT2: u8 = 5;
pub(crate) const CLOSED: u8 = 7;
pub(crate) const CLOSE_WAIT: u8 = 8;
pub(crate) const LAST_ACK: u8 = 9;
pub(crate) const LISTEN: u8 = 10;

/// What the tracer is told, in order.
#[derive(Clone, Debug)]
pub(crate) enum Out {
    Record(SocketRecord),
    Begin(u64),
    Row(SocketRecord),
    Remembered(Vec<(u64, u64)>),
    End(u64, bool),
    Tick(u64),
}

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
}

/// A connection to be made. An end without namespace is elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) source: (Option<u32>, SocketAddr),
    pub(crate) destination: (Option<u32>, SocketAddr),
    /// Thread group id of the one who connects.
    pub(crate) client: u32,
    /// Both connect to each other at once; this one is the other.
    pub(crate) other_client: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct Sock {
    pub(super) netns: u32,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: u8,
    pub(super) holders: BTreeSet<u32>,
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// A connection, for the truth.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a ledger of what has happened to it"
)]
pub(crate) struct Conn {
    pub(crate) plan: Plan,
    pub(super) source: Option<u64>,
    pub(super) destination: Option<u64>,
    pub(crate) established: bool,
    pub(crate) failed: Option<u32>,
    pub(crate) ended: bool,
    pub(crate) accepted: bool,
    /// Ended before the tracer was attached.
    pub(crate) before: bool,
    /// Established before the tracer was attached.
    pub(crate) older: bool,
    pub(crate) bytes: (u64, u64),
    first_fin: Option<Side>,
}

impl Conn {
    pub(crate) const fn is_alive(&self) -> bool {
        self.established && !self.ended
    }
}

/// The machine.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now_ns: u64,
    pub(crate) conns: Vec<Conn>,
    pub(crate) counters: Counters,
    /// `accept` has a backend.
    pub(crate) accept_hook: bool,
    /// Loses one record in so many; 0 loses none.
    pub(crate) lose_one_in: u64,
    /// Snapshots see only some of the sockets, and say so.
    pub(crate) incomplete: bool,
    /// Names of processes; the others are `p`.
    pub(crate) names: BTreeMap<u32, &'static str>,
    /// cgroup ids by thread group id; 0 for those that are not here.
    pub(crate) cgroups: BTreeMap<u32, u64>,
    pub(crate) out: Vec<Out>,
    pub(super) sockets: BTreeMap<u64, Sock>,
    attached: bool,
    phase: kernel::Phase,
    table: BTreeMap<u64, kernel::Entry>,
    ring: Vec<SocketRecord>,
    free: Vec<u64>,
    next_address: u64,
    chance: u64,
}

impl World {
    /// Nobody watches yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now_ns: 1_000_000_000,
            conns: Vec::new(),
            counters: Counters::default(),
            accept_hook: true,
            lose_one_in: 0,
            incomplete: false,
            names: BTreeMap::new(),
            cgroups: BTreeMap::new(),
            out: Vec::new(),
            sockets: BTreeMap::new(),
            attached: false,
            phase: kernel::Phase::Idle,
            table: BTreeMap::new(),
            ring: Vec::new(),
            free: Vec::new(),
            next_address: 0xffff_8880_0000_0000,
            chance: seed | 1,
        }
    }

    /// Watched from its first instant, first snapshot included.
    pub(crate) fn watched() -> Self {
        let mut world = Self::new(1);
        world.attach();
        world.snapshot();
        world
    }

    pub(crate) fn wait(&mut self, ns: u64) {
        self.now_ns += ns;
    }

    /// Xorshift: the same world for the same seed.
    pub(super) fn roll(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }

    fn put(&mut self, sock: Sock) -> u64 {
        // The kernel hands out first what was freed last.
        let address = self.free.pop().unwrap_or_else(|| {
            self.next_address += 0x1000;
            self.next_address
        });
        self.sockets.insert(address, sock);
        address
    }

    fn drop_socket(&mut self, address: u64) {
        self.sockets.remove(&address);
        self.free.push(address);
    }

    pub(crate) fn listen(&mut self, tgid: u32, netns: u32, local: SocketAddr) -> u64 {
        self.wait(1000);
        let unspecified = SocketAddr::new(
            if local.is_ipv4() {
                [0; 4].into()
            } else {
                [0; 16].into()
            },
            0,
        );
        let address = self.put(Sock {
            netns,
            local,
            remote: unspecified,
            state: LISTEN,
            holders: [tgid].into(),
            sent: 0,
            received: 0,
        });
        self.remember(address, Some(tgid), role::LISTENER);
        self.tell(kind::LISTENING, address, CLOSED, 0);
        address
    }

    /// Children nobody has accepted are reset, as the kernel does.
    pub(crate) fn unlisten(&mut self, address: u64) {
        self.wait(1000);
        let (netns, local) = {
            let sock = &self.sockets[&address];
            (sock.netns, sock.local)
        };
        self.end_socket(address, kind::UNLISTENED, LISTEN, 0);
        for id in 0..self.conns.len() {
            let conn = &self.conns[id];
            let to = conn.plan.destination;
            if conn.is_alive() && !conn.accepted && to.0 == Some(netns) && to.1.port() == local.port() {
                self.reset(id);
            }
        }
    }

    pub(super) fn end(&self, id: usize, side: Side) -> Option<u64> {
        let conn = &self.conns[id];
        match side {
            Side::Source => conn.source,
            Side::Destination => conn.destination,
        }
        .filter(|_| !conn.ended)
    }

    fn sock(&mut self, address: u64) -> &mut Sock {
        self.sockets.get_mut(&address).expect("a live socket")
    }

    /// Whether a process holds any end of it, so that a snapshot must find it.
    pub(crate) fn is_held(&self, id: usize) -> bool {
        [Side::Source, Side::Destination].into_iter().any(|side| {
            self.end(id, side)
                .is_some_and(|address| !self.sockets[&address].holders.is_empty())
        })
    }

    /// Whether the tuple is in use.
    pub(crate) fn is_used(&self, source: (Option<u32>, SocketAddr), destination: SocketAddr) -> bool {
        self.conns
            .iter()
            .any(|conn| !conn.ended && conn.plan.source == source && conn.plan.destination.1 == destination)
    }
}
