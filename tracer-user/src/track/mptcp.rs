//! Subflows to connections: the TCP sockets of one MPTCP socket are one connection, however many paths it has.
//!
//! The subflow known first stands for all; the others are kept beside it and told of as a part of it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::{Connection, End, Tracker};
use crate::{event::Counters, hash::IdMap};

/// Which connections are parts of which.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// MPTCP sockets by their kernel address: the connection that stands for it, and whether it is its source's.
    by_address: IdMap<u64, (u64, bool)>,
    /// By the connection that stands for all.
    by_first: IdMap<u64, Group>,
    /// Further subflows: the connection that stands for all, and whether source and destination are the other way round.
    parts: IdMap<u64, (u64, bool)>,
}

/// Kernel addresses of the MPTCP sockets at both ends, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    source: Option<u64>,
    destination: Option<u64>,
}

impl Sides {
    const fn of(&mut self, is_source: bool) -> &mut Option<u64> {
        if is_source {
            &mut self.source
        } else {
            &mut self.destination
        }
    }
}

/// What belongs to one connection besides its first subflow.
#[derive(Debug, Default)]
struct Group {
    addresses: Sides,
    /// Further subflows.
    further: Vec<u64>,
    /// Further subflows that have ended, and what they have carried, by the counters of either end.
    ended: u16,
    sums: [Option<Counters>; 2],
}

impl Groups {
    /// The connection of which that one is a further subflow, and whether it is the other way round.
    pub(super) fn part(&self, id: u64) -> Option<(u64, bool)> {
        self.parts.get(&id).copied()
    }

    /// Whether further subflows of that connection are there.
    pub(super) fn has_further(&self, id: u64) -> bool {
        self.by_first
            .get(&id)
            .is_some_and(|group| !group.further.is_empty())
    }

    /// A connection is over, and so are its MPTCP sockets.
    pub(super) fn forget(&mut self, id: u64) {
        let Some(group) = self.by_first.remove(&id) else {
            return;
        };
        for address in [group.addresses.source, group.addresses.destination]
            .into_iter()
            .flatten()
        {
            if self
                .by_address
                .get(&address)
                .is_some_and(|(owner, _)| *owner == id)
            {
                self.by_address.remove(&address);
            }
        }
    }

    /// `id`, with all its parts, becomes a part of `main`.
    fn attach(&mut self, main: u64, id: u64, turned: bool) {
        self.absorb(main, id, turned);
        self.by_first.entry(main).or_default().further.push(id);
        self.parts.insert(id, (main, turned));
    }

    /// An end of a connection turned out to be another's, and so its MPTCP socket.
    pub(super) fn forget_side(&mut self, id: u64, is_source: bool) {
        let group = self.by_first.get_mut(&id);
        if let Some(address) = group.and_then(|group| group.addresses.of(is_source).take()) {
            self.by_address.remove(&address);
        }
    }

    /// Of two connections that are one `dropped` is no more.
    pub(super) fn unite(&mut self, kept: u64, dropped: u64) {
        if let Some((main, turned)) = self.parts.remove(&dropped) {
            if let Some(group) = self.by_first.get_mut(&main) {
                group.further.retain(|other| *other != dropped);
            }
            if main != kept && self.part(kept).is_none() {
                self.attach(main, kept, turned);
            }
        } else {
            let (main, turned) = self.part(kept).unwrap_or((kept, false));
            self.absorb(main, dropped, turned);
        }
    }

    /// What belongs to `id` belongs to `main`.
    fn absorb(&mut self, main: u64, id: u64, turned: bool) {
        let Some(old) = self.by_first.remove(&id) else {
            return;
        };
        let group = self.by_first.entry(main).or_default();
        for (is_source, address) in [(true, old.addresses.source), (false, old.addresses.destination)] {
            let Some(address) = address else { continue };
            let side = is_source != turned;
            self.by_address.insert(address, (main, side));
            group.addresses.of(side).get_or_insert(address);
        }
        for further in &old.further {
            if let Some(part) = self.parts.get_mut(further) {
                *part = (main, part.1 != turned);
            }
        }
        let [source, destination] = old.sums;
        let sums = if turned {
            [destination, source]
        } else {
            [source, destination]
        };
        for (sum, other) in group.sums.iter_mut().zip(sums) {
            add(sum, other);
        }
        group.ended = group.ended.saturating_add(old.ended);
        group.further.extend(old.further);
    }
}

impl Tracker {
    /// A socket on one side of a connection is a subflow of the MPTCP socket at `address`, 0 for none.
    pub(super) fn group(&mut self, id: u64, is_source: bool, address: u64) {
        if address == 0 {
            return;
        }
        let (main, turned) = self.mptcp.part(id).unwrap_or((id, false));
        let side = is_source != turned;
        let known = self.mptcp.by_address.get(&address).copied();
        // The kernel uses addresses again: of a connection that is over, this one is no part.
        match known.filter(|(other, _)| *other == main || self.lives(*other)) {
            Some((other, _)) if other == main => {}
            Some((other, other_side)) => self.mptcp.attach(other, main, side != other_side),
            None => {
                self.mptcp.by_address.insert(address, (main, side));
                let group = self.mptcp.by_first.entry(main).or_default();
                *group.addresses.of(side) = Some(address);
            }
        }
    }

    /// Whether any subflow of a connection is alive.
    fn lives(&self, main: u64) -> bool {
        let further = self
            .mptcp
            .by_first
            .get(&main)
            .map(|group| group.further.as_slice());
        further
            .unwrap_or_default()
            .iter()
            .chain([&main])
            .any(|id| self.connections.get(id).is_some_and(Connection::is_alive))
    }

    /// Whether the MPTCP socket at `address` has a connection already.
    pub(super) fn has_mptcp(&self, address: u64) -> bool {
        let known = self.mptcp.by_address.get(&address);
        address != 0 && known.is_some_and(|(main, _)| self.lives(*main))
    }

    /// A further subflow is over: what it has carried stays.
    pub(super) fn end_subflow(&mut self, id: u64, main: u64, turned: bool) {
        let Some(one) = self.forget(id) else {
            return;
        };
        self.mptcp.parts.remove(&id);
        if let Some(group) = self.mptcp.by_first.get_mut(&main) {
            group.further.retain(|other| *other != id);
            group.ended = group.ended.saturating_add(1);
            let (source, destination) = by_side(&one, turned);
            add(&mut group.sums[0], source.and_then(|end| end.counters));
            add(&mut group.sums[1], destination.and_then(|end| end.counters));
        }
        if let Some(first) = self.connections.get_mut(&main) {
            first.last_ns = first.last_ns.max(one.last_ns);
        }
        self.settle(main, false);
    }

    /// The connection with all its subflows: the counters of each end are those of all its sockets, and an end lives while
    /// any of them does.
    pub(super) fn whole(&self, id: u64, first: &Connection) -> Connection {
        let mut whole = *first;
        let Some(group) = self.mptcp.by_first.get(&id) else {
            return whole;
        };
        let further = u16::try_from(group.further.len()).unwrap_or(u16::MAX);
        whole.subflows = 1_u16.saturating_add(group.ended).saturating_add(further);
        let [mut sent, mut received] = group.sums;
        add(&mut sent, whole.source.and_then(|end| end.counters));
        add(&mut received, whole.destination.and_then(|end| end.counters));
        for part in &group.further {
            let Some(one) = self.connections.get(part) else {
                continue;
            };
            let turned = self.mptcp.part(*part).is_some_and(|(_, turned)| turned);
            let (source, destination) = by_side(one, turned);
            add(&mut sent, source.and_then(|end| end.counters));
            add(&mut received, destination.and_then(|end| end.counters));
            live(&mut whole.source, source);
            live(&mut whole.destination, destination);
            whole.last_ns = whole.last_ns.max(one.last_ns);
        }
        if let Some(end) = &mut whole.source {
            end.counters = sent;
        }
        if let Some(end) = &mut whole.destination {
            end.counters = received;
        }
        whole
    }

    /// Source and destination of every living subflow of a connection; none of one that is not MPTCP.
    pub fn paths(&self, connection: &Connection) -> Vec<(SocketAddr, SocketAddr)> {
        let place = connection
            .ends()
            .filter(|end| end.is_alive())
            .find_map(|end| self.by_socket.get(&end.id.address));
        let Some(id) = place.map(|place| place.connection) else {
            return Vec::new();
        };
        let main = self.mptcp.part(id).map_or(id, |(main, _)| main);
        let Some(group) = self.mptcp.by_first.get(&main) else {
            return Vec::new();
        };
        let all = [main].into_iter().chain(group.further.iter().copied());
        all.filter_map(|id| {
            let one = self.connections.get(&id).filter(|one| one.is_alive())?;
            let turned = self.mptcp.part(id).is_some_and(|(_, turned)| turned);
            Some(if turned {
                (one.destination_addr, one.source_addr)
            } else {
                (one.source_addr, one.destination_addr)
            })
        })
        .collect()
    }
}

/// The ends of a subflow by the sides of its connection.
const fn by_side(one: &Connection, turned: bool) -> (Option<&End>, Option<&End>) {
    if turned {
        (one.destination.as_ref(), one.source.as_ref())
    } else {
        (one.source.as_ref(), one.destination.as_ref())
    }
}

/// An end that is gone, or was never seen, is that of a subflow which lives.
fn live(end: &mut Option<End>, other: Option<&End>) {
    let Some(other) = other else { return };
    match end {
        None => *end = Some(*other),
        Some(known) if !known.is_alive() && other.is_alive() => {
            let owner = (known.owner, known.owner_ns);
            *known = *other;
            if known.owner.is_none() {
                (known.owner, known.owner_ns) = owner;
            }
        }
        Some(_) => {}
    }
}

fn add(sum: &mut Option<Counters>, other: Option<Counters>) {
    let Some(other) = other else { return };
    let known = sum.get_or_insert_default();
    *known = Counters {
        sent_bytes: known.sent_bytes.saturating_add(other.sent_bytes),
        received_bytes: known.received_bytes.saturating_add(other.received_bytes),
        rtt_us: if known.rtt_us == 0 {
            other.rtt_us
        } else {
            known.rtt_us
        },
        retransmits: known.retransmits.saturating_add(other.retransmits),
    };
}
