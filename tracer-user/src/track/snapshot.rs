//! Snapshots against what is tracked: adopts what is older than the tracer, repairs what was missed, buries ghosts.
//!
//! An end that was opened before a snapshot began, that the snapshot did not see, that the kernel side does not
//! remember, and whose closing did not come by the end of the snapshot, has lost its closing record.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
};

use super::{
    Change, Listener, OwnerBy, Tracker,
    connection::{End, TupleKey},
    is_nameless, slot,
};
use crate::event::{Role, SocketEvent, TcpState};

/// Where a snapshot stands.
#[derive(Debug, Default)]
pub(super) struct Progress {
    number: u32,
    began_ns: u64,
    /// Rows of sockets nobody knows. Their opening may be on its way, and their direction may depend on a listening
    /// socket whose row comes later.
    unknown: Vec<SocketEvent>,
    /// Ends of sockets older than the tracer, told before the first snapshot is over, by their tuple: as `unknown`.
    early: HashMap<TupleKey, Vec<SocketEvent>>,
    early_count: usize,
    /// Sockets that ended while the snapshot ran, by namespace and own view of the tuple: their rows are history.
    ended: HashSet<(u32, SocketAddr, SocketAddr)>,
    /// Between its beginning and its end.
    running: bool,
    /// The first snapshot is over.
    begun: bool,
}

/// How long before a snapshot's beginning a socket may have been seen first while its record is still on its way.
const ON_ITS_WAY_NS: u64 = 50_000_000;

/// Early ends kept; the rest is directed by ports. Also sockets kept that ended during a snapshot.
const EARLY_MAX: usize = 1 << 16;

impl Progress {
    /// Number of the snapshot that runs or ran last; 0 before the first.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// Whether the first snapshot is over.
    pub(super) const fn begun(&self) -> bool {
        self.begun
    }

    /// Keeps the end of a socket that nobody knows until the listening sockets are known; true when it did.
    pub(super) fn wants(&mut self, event: &SocketEvent) -> bool {
        let wants = !self.begun && self.early_count < EARLY_MAX;
        if wants {
            self.ended(event);
            self.early_count += 1;
            self.early.entry(unordered(event)).or_default().push(*event);
        }
        wants
    }

    /// A socket has ended, and that has been told.
    pub(super) fn ended(&mut self, event: &SocketEvent) {
        if self.running && self.ended.len() < EARLY_MAX {
            self.ended.insert((event.netns, event.local, event.remote));
        }
    }
}

/// The tuple, whichever end is whose.
fn unordered(event: &SocketEvent) -> TupleKey {
    let (low, high) = (event.local.min(event.remote), event.local.max(event.remote));
    TupleKey::new(event.netns, low, high)
}

impl Tracker {
    /// A tuple is taken again: the connection that had it before is over, and its direction was most likely the same.
    pub(super) fn end_early(&mut self, taken: &SocketEvent) {
        if self.snapshot.early.is_empty() {
            return;
        }
        for mut event in self.snapshot.early.remove(&unordered(taken)).unwrap_or_default() {
            let same_end = event.local == taken.local;
            event.role = if same_end == (taken.role == Role::Passive) {
                Role::Passive
            } else {
                Role::Active
            };
            let place = self.place_of(&event);
            self.closed_as(&event, place);
        }
    }

    /// A snapshot begins.
    pub fn snapshot_begin(&mut self, at_ns: u64) {
        self.tick(at_ns);
        self.snapshot.number = self.snapshot.number.wrapping_add(1).max(1);
        self.snapshot.began_ns = at_ns;
        self.snapshot.unknown.clear();
        self.snapshot.ended.clear();
        self.snapshot.running = true;
    }

    /// The kernel side remembers these sockets, though no file table holds them.
    pub fn remembered(&mut self, sockets: &[(u64, u64)]) {
        let number = self.snapshot.number;
        for (address, first_seen_ns) in sockets {
            if let Some(place) = self.by_socket.get(address).copied() {
                if place.first_seen_ns == *first_seen_ns
                    && let Some(connection) = self.connections.get_mut(&place.connection)
                    && let Some(end) = slot(connection, place.is_source)
                {
                    end.seen_in = number;
                }
            } else if let Some(listener) = self.listeners.get_mut(*address) {
                listener.end.seen_in = number;
            }
        }
    }

    /// One row: a socket, by one of its holders.
    pub(super) fn seen(&mut self, event: &SocketEvent) {
        match event.state {
            TcpState::Listen => self.seen_listening(event),
            // Not established yet, or no longer anybody's.
            TcpState::SynSent | TcpState::SynReceived | TcpState::TimeWait | TcpState::Closed => {}
            TcpState::Established
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::CloseWait
            | TcpState::LastAck
            | TcpState::Closing => {
                let began_ns = self.snapshot.began_ns;
                if !event.found && event.id.first_seen_ns.saturating_add(ON_ITS_WAY_NS) > began_ns {
                    // It opened as the snapshot began: its own record comes after the rows.
                    self.confirm_known(event);
                } else if self.place_of(event).is_some() {
                    self.confirm(event);
                } else {
                    self.snapshot.unknown.push(*event);
                }
            }
        }
    }

    fn seen_listening(&mut self, event: &SocketEvent) {
        let number = self.snapshot.number;
        if let Some(listener) = self.listeners.same(event) {
            hold(&mut listener.end, event, number);
            return;
        }
        if !event.found && event.id.first_seen_ns.saturating_add(ON_ITS_WAY_NS) > self.snapshot.began_ns {
            return;
        }
        self.count_missed(event);
        let mut end = End {
            state: TcpState::Listen,
            ..End::new(event, number)
        };
        end.owner = event.owner.map(|owner| (owner, OwnerBy::Holder));
        hold(&mut end, event, number);
        if end.id.address == 0 {
            self.next_nameless += 1;
            end.id.address = self.next_nameless;
        }
        let listener = Listener {
            local: event.local,
            end,
            since_ns: None,
        };
        if !self.listeners.insert(end.id.address, listener) {
            self.audit.overflow += 1;
        }
    }

    /// A row of a socket that may be tracked under the same first-seen time; nothing when it is not.
    fn confirm_known(&mut self, event: &SocketEvent) {
        let place = self.by_socket.get(&event.id.address);
        if place.is_some_and(|place| place.first_seen_ns == event.id.first_seen_ns) {
            self.confirm(event);
        }
    }

    /// A row of a tracked socket.
    fn confirm(&mut self, event: &SocketEvent) {
        let number = self.snapshot.number;
        let Some((id, is_source)) = self.join(event, false) else {
            return;
        };
        let Some(end) = self
            .connections
            .get_mut(&id)
            .and_then(|found| slot(found, is_source).as_mut())
        else {
            return;
        };
        if end.seen_in != number && number > 1 {
            self.audit.confirmed += 1;
        }
        hold(end, event, number);
    }

    /// A row of a socket that was not tracked when the row came.
    fn adopt_unknown(&mut self, row: &SocketEvent) {
        if self.place_of(row).is_some() {
            self.confirm(row);
            return;
        }
        // It has ended meanwhile, or its end was missed and a younger socket has its address.
        let ended = |netns| self.snapshot.ended.contains(&(netns, row.local, row.remote));
        if ended(row.netns) || ended(0) || self.by_socket.contains_key(&row.id.address) {
            return;
        }
        let listens = |address| self.listeners.any(row.netns, address);
        let known = row.role != Role::Unknown || listens(row.local) || listens(row.remote);
        let is_source = match row.role {
            Role::Active => true,
            Role::Passive | Role::Listener => false,
            Role::Unknown => self.guess_is_source(row),
        };
        self.adopt(row, is_source);
        let place = self.place_of(row);
        if !known
            && let Some(connection) = place.and_then(|place| self.connections.get_mut(&place.connection))
            && !connection.is_joined()
            && connection.translated.is_none()
        {
            connection.direction_guessed = true;
        }
    }

    /// A row of a socket that is not tracked.
    fn adopt(&mut self, event: &SocketEvent, is_source: bool) {
        self.count_missed(event);
        let number = self.snapshot.number;
        let Some((id, is_source)) = self.join(event, is_source) else {
            return;
        };
        self.no_news(id, event);
        if let Some(end) = self
            .connections
            .get_mut(&id)
            .and_then(|found| slot(found, is_source).as_mut())
        {
            end.state = event.state;
            end.owner = event.owner.map(|owner| (owner, OwnerBy::Holder));
            hold(end, event, number);
        }
        self.settle(id, false);
    }

    /// An untracked socket is no surprise when it is older than the tracer and this is the first look.
    const fn count_missed(&mut self, event: &SocketEvent) {
        let expected = event.found && self.audit.snapshots == 0;
        if !expected {
            self.audit.missed += 1;
        }
    }

    /// The snapshot is over; `complete` when absence from it means something.
    pub fn snapshot_end(&mut self, at_ns: u64, complete: bool) {
        self.tick(at_ns);
        self.snapshot.running = false;
        let early = std::mem::take(&mut self.snapshot.early);
        let mut early: Vec<SocketEvent> = early.into_values().flatten().collect();
        early.sort_by_key(|event| (event.at_ns, event.id));
        for event in early {
            let place = self.place_of(&event);
            self.closed_as(&event, place);
        }
        let rows = std::mem::take(&mut self.snapshot.unknown);
        // Those whose direction is known may tell that of others.
        let (undirected, directed): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.role == Role::Unknown);
        for row in directed.into_iter().chain(undirected) {
            self.adopt_unknown(row);
        }
        for row in &rows {
            if let Some(place) = self.place_of(row) {
                self.join_elsewhere(place.connection);
            }
        }
        self.snapshot.unknown = rows;
        self.choose_owners();
        self.snapshot.begun = true;
        if complete {
            self.bury(at_ns);
            self.audit.snapshots += 1;
        }
    }

    /// An owner that no longer holds the socket has passed it on; one unknown is whoever holds it.
    fn choose_owners(&mut self) {
        let number = self.snapshot.number;
        let ends = self.connections.values_mut().flat_map(|found| {
            found
                .source
                .iter_mut()
                .chain(found.destination.iter_mut())
                .filter(|end| end.is_alive())
        });
        let listening = self.listeners.iter_mut().map(|(_, listener)| &mut listener.end);
        for end in ends.chain(listening).filter(|end| end.seen_in == number) {
            let keeps = end.owner_confirmed
                && end
                    .owner
                    .is_some_and(|(owner, by)| owner.tgid != 1 && by != OwnerBy::Listener);
            if let Some(holder) = end.holder.take()
                && !keeps
            {
                end.owner = Some((holder, OwnerBy::Holder));
                end.owner_ns = self.snapshot.began_ns;
            }
        }
    }

    fn bury(&mut self, at_ns: u64) {
        let (number, began_ns) = (self.snapshot.number, self.snapshot.began_ns);
        // A list that is read piece by piece may skip a socket once: what only such a list knows must be absent twice.
        let absent = |end: &End| {
            if is_nameless(end.id.address) {
                end.seen_in.wrapping_add(1) < number
            } else {
                end.seen_in != number
            }
        };
        let gone = |end: &End| end.is_alive() && absent(end) && end.id.first_seen_ns < began_ns;
        let is_gone = |end: &Option<End>| end.as_ref().is_some_and(gone);
        let ends: Vec<(u64, bool)> = self
            .connections
            .iter()
            .flat_map(|(id, found)| {
                [
                    (*id, true, is_gone(&found.source)),
                    (*id, false, is_gone(&found.destination)),
                ]
            })
            .filter(|(_, _, is_gone)| *is_gone)
            .map(|(id, is_source, _)| (id, is_source))
            .collect();
        for (id, is_source) in ends {
            self.end_of_unseen(id, is_source, at_ns);
        }
        let listening: Vec<u64> = self
            .listeners
            .iter()
            .filter(|(_, listener)| gone(&listener.end))
            .map(|(key, _)| key)
            .collect();
        for key in listening {
            if let Some(listener) = self.listeners.remove(key) {
                self.audit.ghosts += 1;
                self.changes.push(Change::ListenerClosed(listener));
            }
        }
    }
}

/// Marks an end as seen in this snapshot by the holder that `event` names.
fn hold(end: &mut End, event: &SocketEvent, number: u32) {
    if end.seen_in != number {
        end.seen_in = number;
        end.owner_confirmed = false;
        end.holder = None;
    }
    let Some(holder) = event.owner else {
        return;
    };
    if end.owner.is_some_and(|(owner, _)| owner.tgid == holder.tgid) {
        end.owner_confirmed = true;
    }
    // pid 1 holds the sockets it made for its services.
    let better = |other: crate::event::Owner| (holder.tgid == 1, holder.tgid) < (other.tgid == 1, other.tgid);
    if end.holder.is_none_or(better) {
        end.holder = Some(holder);
    }
}
