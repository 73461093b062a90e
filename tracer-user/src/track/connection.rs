//! A connection as the tracker keeps it: two ends, each a socket of this machine or unseen.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use crate::event::{Counters, Owner, SocketEvent, SocketId, TcpState};

/// What names the owner of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwnerBy {
    /// A hook in the owner's own context.
    Hook,
    /// The file table that holds the socket.
    Holder,
    /// Who closed the socket: who accepted it, unless the socket was passed on.
    Closer,
    /// The owner of the listening socket the connection came in by.
    Listener,
}

impl OwnerBy {
    /// What names the owner that `event` tells of.
    pub(super) const fn of(event: &SocketEvent) -> Self {
        if event.owner_closed_it {
            Self::Closer
        } else {
            Self::Hook
        }
    }
}

/// One end that is a socket of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The socket.
    pub id: SocketId,
    /// Network namespace inode; 0 when unknown.
    pub netns: u32,
    /// Whose.
    pub owner: Option<(Owner, OwnerBy)>,
    /// When the owner was seen to own it: which process a tgid was is a matter of time.
    pub owner_ns: u64,
    /// Latest known state; `Closed` once it ended.
    pub state: TcpState,
    /// State from which it was closed, and its error: they tell who closed first.
    pub ended: Option<Ended>,
    /// Latest counters.
    pub counters: Option<Counters>,
    /// The socket is `AF_INET6`.
    pub family_v6: bool,
    /// Index, in its namespace, of the device the socket is bound to; 0 for none.
    pub(super) ifindex: u32,
    /// Those one of whom owns it, while nothing tells which; 0 for nobody.
    pub(super) crowd: u32,
    /// It is older than the tracer, or its opening was missed.
    pub(super) found: bool,
    /// Latest snapshot that confirmed it.
    pub(super) seen_in: u32,
    /// The owner's own file table confirmed it in that snapshot.
    pub(super) owner_confirmed: bool,
    /// Another holder, lowest tgid but 1: who has it when the owner has not.
    pub(super) holder: Option<Owner>,
}

/// How a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at_ns: u64,
    /// The state it was in.
    pub from: TcpState,
    /// `sk_err`, if it was read.
    pub errno: Option<u32>,
    /// Nobody saw it: a snapshot showed that it is gone.
    pub unseen: bool,
}

impl End {
    /// The end that `event` tells of.
    pub(super) fn new(event: &SocketEvent, seen_in: u32) -> Self {
        Self {
            id: event.id,
            netns: event.netns,
            owner: event.owner.map(|owner| (owner, OwnerBy::of(event))),
            owner_ns: event.owner_ns(),
            state: TcpState::Established,
            ended: None,
            counters: event.counters,
            family_v6: event.family_v6,
            ifindex: event.ifindex,
            crowd: 0,
            found: event.found,
            seen_in,
            owner_confirmed: false,
            holder: None,
        }
    }

    /// Its end was missed.
    pub(super) const fn end_unseen(&mut self, at_ns: u64) {
        self.ended = Some(Ended {
            at_ns,
            from: self.state,
            errno: None,
            unseen: true,
        });
        self.state = TcpState::Closed;
    }

    /// Whether both are sockets of one namespace that are not on two links: there a tuple has one connection.
    pub(super) const fn shares_place(&self, other: &Self) -> bool {
        let on_two_links = self.ifindex != 0 && other.ifindex != 0 && self.ifindex != other.ifindex;
        self.netns == other.netns && self.netns != 0 && !on_two_links
    }

    /// When it came into being; 0 when that was before anybody saw.
    pub(super) const fn born_ns(&self) -> u64 {
        if self.found { 0 } else { self.id.first_seen_ns }
    }

    /// Whether the socket still exists.
    pub const fn is_alive(&self) -> bool {
        self.ended.is_none()
    }
}

/// A connection; `source` is the end that connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Address of the end that connected.
    pub source_addr: SocketAddr,
    /// Address of the end that accepted: that of the backend where a service's address is translated.
    pub destination_addr: SocketAddr,
    /// What the source dialled, where that was translated: a service's address.
    pub via: Option<SocketAddr>,
    /// The end that connected, if it is here.
    pub source: Option<End>,
    /// The end that accepted, if it is here.
    pub destination: Option<End>,
    /// First sign of life, `CLOCK_BOOTTIME` nanoseconds.
    pub first_ns: u64,
    /// Last sign of life.
    pub last_ns: u64,
    /// Established at; absent when that was before the tracer.
    pub opened_ns: Option<u64>,
    /// Taken by `accept` at; absent when that was not seen.
    pub accepted_ns: Option<u64>,
    /// Which end connected was concluded from ports alone.
    pub direction_guessed: bool,
    /// Its other end may be here, but several could be it.
    pub ambiguous: bool,
    /// Subflows it has, or had, of MPTCP; 0 for plain TCP.
    pub subflows: u16,
    /// How its addresses are translated between its ends, as far as is known.
    pub(super) translated: Option<Translated>,
    /// What has been told of it.
    pub(super) told: Told,
    /// When it stops waiting for its other end, `CLOCK_BOOTTIME` nanoseconds.
    pub(super) waits_until_ns: u64,
}

/// A translation as a connection keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Translated {
    /// When it was learnt.
    pub(super) at_ns: u64,
    /// Namespace whose table it is in.
    pub(super) netns: u32,
    /// Whom the destination's socket sees: the source, or what masquerades it.
    pub(super) client: SocketAddr,
}

/// What has been told of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) opened: bool,
    pub(super) accepted: bool,
    pub(super) closed: bool,
}

impl Connection {
    /// Both ends that are here.
    pub fn ends(&self) -> impl Iterator<Item = &End> {
        self.source.iter().chain(&self.destination)
    }

    /// Whether any end still exists.
    pub fn is_alive(&self) -> bool {
        self.ends().any(End::is_alive)
    }

    /// Both ends were seen here.
    pub const fn is_joined(&self) -> bool {
        self.source.is_some() && self.destination.is_some()
    }

    /// Counters as the source sees them. Two ends say the same of the same bytes; the later one to read has more.
    pub fn counters(&self) -> Option<Counters> {
        let mirrored = self
            .destination
            .and_then(|end| end.counters)
            .map(|counters| Counters {
                sent_bytes: counters.received_bytes,
                received_bytes: counters.sent_bytes,
                ..counters
            });
        match (self.source.and_then(|end| end.counters), mirrored) {
            (Some(own), Some(other)) => Some(Counters {
                sent_bytes: own.sent_bytes.max(other.sent_bytes),
                received_bytes: own.received_bytes.max(other.received_bytes),
                rtt_us: if own.rtt_us == 0 { other.rtt_us } else { own.rtt_us },
                retransmits: own.retransmits.saturating_add(other.retransmits),
            }),
            (own, other) => own.or(other),
        }
    }
}

/// What joins the two ends: the tuple as the source has it, and the namespace where the tuple means nothing without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TupleKey {
    scope: u32,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

impl TupleKey {
    pub(super) fn new(netns: u32, source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            scope: if Self::stays(source, destination) {
                netns
            } else {
                0
            },
            source,
            destination,
        }
    }

    /// A loopback address, and a connection of an address with itself, never leave their namespace; any other tuple may
    /// join two namespaces (pod to pod, pod to node).
    pub(super) fn stays(source: SocketAddr, destination: SocketAddr) -> bool {
        let local = |ip: IpAddr| ip.is_loopback();
        source.ip() == destination.ip() || local(source.ip()) || local(destination.ip())
    }

    /// The key of the same tuple where the namespace is not known.
    pub(super) const fn unscoped(self) -> Self {
        Self { scope: 0, ..self }
    }

    /// Whether it means something only inside a namespace, and that one is known.
    pub(super) const fn is_scoped(&self) -> bool {
        self.scope != 0
    }
}
