//! The pure middle: signals in, happenings and views out. No clock, no I/O, no threads.
#![forbid(unsafe_code)]

mod attribution;
mod describe;
mod explain;
mod health;
mod own;
mod programs;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tracer_common::counters::Counters;

use crate::{
    attribute::{place::Via, rules::Rules},
    decode::decode,
    event::{Event, SocketEvent},
    graph::{Graph, GroupBy, build::Builder},
    report::Happening,
    signal::{Degraded, Session, Signal},
    track::{Change, Connection, Tracker},
};
use attribution::Attribution;
use own::Own;
use programs::Programs;

/// How long a canary's port is its own; then anybody may get it.
const CANARY_NS: u64 = 1_000_000_000;

/// Live connections tracked unless told otherwise; about 500 bytes each.
pub const CONNECTIONS_MAX: usize = 1 << 18;

/// Decodes, tracks, attributes and adds up.
#[derive(Debug)]
pub struct Pipeline {
    tracker: Tracker,
    attribution: Attribution,
    session: Session,
    /// Connections that are over, added up.
    finished: Builder,
    changes: Vec<Change>,
    counters: Counters,
    /// When they were read.
    counted_ns: u64,
    programs: Programs,
    /// When the kernel was asked for them.
    asked_ns: u64,
    undecodable: u64,
    delivered: u64,
    snapshots_incomplete: u64,
    degraded: BTreeSet<Degraded>,
    /// What does not work right now, by source of names.
    faults: BTreeMap<String, Degraded>,
    cut_off: bool,
    canaries_made: u64,
    own: Own,
    /// Port and time of the canaries made.
    canary_ports: BTreeMap<u16, u64>,
    canaries_seen: u64,
    now_ns: u64,
    /// Connections whose edge did not fit when a graph was made last: nothing else is less complete for it.
    crowded_out: u64,
    /// Age in nanoseconds, and the grain.
    forget_after: Option<(u64, GroupBy)>,
}

impl Pipeline {
    /// A pipeline that names by `rules` and tracks at most `connections_max` live connections.
    pub fn new(rules: &Arc<Rules>, connections_max: usize) -> Self {
        Self {
            tracker: Tracker::new(connections_max),
            attribution: Attribution::new(rules),
            session: Session::default(),
            finished: Builder::default(),
            changes: Vec::new(),
            counters: Counters::default(),
            counted_ns: 0,
            programs: Programs::default(),
            asked_ns: 0,
            undecodable: 0,
            delivered: 0,
            snapshots_incomplete: 0,
            degraded: BTreeSet::new(),
            faults: BTreeMap::new(),
            cut_off: false,
            canaries_made: 0,
            own: Own::default(),
            canary_ports: BTreeMap::new(),
            canaries_seen: 0,
            now_ns: 0,
            crowded_out: 0,
            forget_after: None,
        }
    }

    /// Edges without a live connection are forgotten when their last sign of life is that long ago; edges as they are
    /// where nodes are put together `by`.
    pub fn forget_after(&mut self, age: Duration, by: GroupBy) {
        let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        self.forget_after = Some((age_ns, by));
    }

    /// Facts about the run; all default before its first signal.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Latest instant the signals have told of, `CLOCK_BOOTTIME` nanoseconds.
    pub const fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Unix nanoseconds of an instant of this run.
    pub fn unix_ns(&self, at_ns: u64) -> i64 {
        i64::try_from(at_ns)
            .unwrap_or(i64::MAX)
            .saturating_add(self.session.wall_offset_ns)
    }

    /// Start and end of what was observed so far, Unix nanoseconds.
    pub fn window_unix_ns(&self) -> (i64, i64) {
        (self.unix_ns(self.session.attached_ns), self.unix_ns(self.now_ns))
    }

    /// Signals are missing at the end: nothing may be concluded from absence.
    pub const fn cut_off(&mut self) {
        self.cut_off = true;
    }

    /// Takes one signal; tells `each` what happened by it, if anybody listens.
    pub fn feed(&mut self, signal: &Signal<'_>, mut each: Option<&mut dyn FnMut(&Happening)>) {
        match signal {
            Signal::Start(session) => {
                self.session = Session::clone(session);
                self.attribution.start(session);
                self.tracker.attached(session.attached_ns);
                // Whoever asks for a larger table wants more connections tracked.
                self.tracker.make_room(session.sockets_max as usize);
                self.now_ns = self.now_ns.max(session.attached_ns);
            }
            Signal::Record(raw) => self.record(raw, true),
            Signal::Row(raw) => self.record(raw, false),
            Signal::SnapshotBegin { at_ns } => {
                self.advance(*at_ns);
                self.tracker.snapshot_begin(*at_ns);
            }
            Signal::Remembered(sockets) => self.tracker.remembered(sockets),
            Signal::SnapshotEnd { at_ns, complete } => {
                self.advance(*at_ns);
                self.snapshots_incomplete += u64::from(!complete);
                self.tracker.snapshot_end(*at_ns, *complete);
            }
            Signal::Process(facts) => self.attribution.processes.facts(facts),
            Signal::Counters(counters) => {
                if counters.lost() > self.counters.lost() {
                    self.attribution.processes.lost(self.counted_ns, self.now_ns);
                }
                self.counters = **counters;
                self.counted_ns = self.now_ns;
            }
            Signal::Programs(programs) => {
                if self.programs.told(programs) {
                    self.attribution.processes.lost(self.asked_ns, self.now_ns);
                }
                self.asked_ns = self.now_ns;
            }
            Signal::Degraded(degraded) => {
                self.degraded.insert(Degraded::clone(degraded));
            }
            Signal::Cgroup { id, path } => self.attribution.cgroups().found(*id, path),
            Signal::Inventory(told) => {
                self.advance(told.at_ns);
                self.attribution.inventory.apply(told);
            }
            Signal::Host(facts) => {
                self.advance(facts.at_ns);
                self.attribution.host(facts);
            }
            Signal::Nat(facts) => {
                self.advance(facts.at_ns);
                self.tracker.nat(facts);
            }
            Signal::Source(state) => {
                self.advance(state.at_ns);
                match &state.fault {
                    Some(fault) => self.faults.insert(state.source.clone(), fault.clone()),
                    None => self.faults.remove(&state.source),
                };
            }
            Signal::Canary { port, at_ns } => {
                self.advance(*at_ns);
                self.canaries_made += 1;
                self.canary_ports.insert(*port, *at_ns);
            }
            Signal::Tick { at_ns } => {
                self.advance(*at_ns);
                self.tracker.tick(*at_ns);
            }
        }
        self.digest(&mut each);
    }

    /// Nothing more comes: tells what still waited for its other end.
    pub fn settle(&mut self, each: &mut dyn FnMut(&Happening)) {
        self.tracker.tick(u64::MAX);
        self.digest(&mut Some(each));
    }

    fn advance(&mut self, at_ns: u64) {
        self.now_ns = self.now_ns.max(at_ns);
    }

    fn record(&mut self, raw: &[u8], delivered: bool) {
        let event = decode(raw);
        self.delivered += u64::from(delivered && event.is_ok());
        match event {
            Ok(Event::Socket(mut event)) => {
                if let Some(owner) = &event.owner {
                    let _ask = self.attribution.processes.seen(owner, event.owner_ns());
                    if event.netns == 0 {
                        // A task's sockets are of its own namespace, but for the few that go from one to another.
                        let process = self.attribution.processes.who(owner.tgid, event.owner_ns());
                        event.netns = process.and_then(|process| process.netns).unwrap_or_default();
                    }
                }
                self.advance(event.at_ns);
                if self.is_own(&event) {
                    self.own(&event);
                } else {
                    self.tracker.event(&event);
                }
            }
            Ok(Event::Process(event)) => {
                self.advance(event.at_ns);
                self.attribution.processes.event(&event);
            }
            Ok(Event::Cgroup(event)) => {
                self.advance(event.at_ns);
                self.attribution.cgroups().event(&event);
            }
            Err(_reason) => {
                self.undecodable += 1;
                self.attribution
                    .processes
                    .lost(self.now_ns, self.now_ns.saturating_add(1));
            }
        }
    }

    /// The tracer's own connections are not traffic of the machine.
    fn is_own(&self, event: &SocketEvent) -> bool {
        let own_socket = event
            .owner
            .is_some_and(|owner| owner.tgid == self.session.self_tgid);
        let canary = |port: u16| {
            let made_ns = self.canary_ports.get(&port);
            made_ns.is_some_and(|made_ns| event.at_ns.abs_diff(*made_ns) < CANARY_NS)
        };
        own_socket
            || ([0, self.session.self_netns].contains(&event.netns)
                && event.local.ip().is_loopback()
                && (canary(event.local.port()) || canary(event.remote.port())))
    }

    fn own(&mut self, event: &SocketEvent) {
        if event
            .owner
            .is_some_and(|owner| owner.tgid == self.session.self_tgid)
        {
            self.own.seen(event);
        }
        let opened =
            matches!(event.what, crate::event::What::Opened) && event.role == crate::event::Role::Active;
        self.canaries_seen += u64::from(opened && self.canary_ports.contains_key(&event.remote.port()));
    }

    /// Names and adds up what has changed.
    fn digest(&mut self, each: &mut Option<&mut dyn FnMut(&Happening)>) {
        let mut changes = std::mem::take(&mut self.changes);
        self.tracker.take_changes(&mut changes);
        for change in &changes {
            match change {
                Change::Finished(connection)
                | Change::Failed(connection)
                | Change::Opened(connection)
                | Change::Accepted(connection)
                | Change::Closed(connection)
                    if self.own.is_other_end(connection) => {}
                Change::Finished(connection) => self.add_finished(connection),
                Change::Failed(connection) => {
                    self.add_finished(connection);
                    self.tell(change, each);
                }
                Change::Opened(_)
                | Change::Accepted(_)
                | Change::Closed(_)
                | Change::ListenerOpened(_)
                | Change::ListenerClosed(_) => self.tell(change, each),
            }
        }
        self.changes = changes;
    }

    fn tell(&mut self, change: &Change, each: &mut Option<&mut dyn FnMut(&Happening)>) {
        if let Some(each) = each {
            let happening = self.describe(change);
            each(&happening);
        }
    }

    fn add_finished(&mut self, connection: &Connection) {
        let mut finished = std::mem::take(&mut self.finished);
        self.add(&mut finished, connection);
        if finished.is_crowded() || self.attribution.is_crowded() {
            self.attribution.thin(&mut finished);
        }
        self.finished = finished;
    }

    /// The graph of everything since the start, at the finest grain: what is filtered is filtered before nodes are put
    /// together ([`Graph::fold`]).
    pub fn fine_graph(&mut self) -> Graph {
        let mut builder = self.tally();
        if let Some((age_ns, by)) = self.forget_after {
            let before = self.unix_ns(self.now_ns.saturating_sub(age_ns));
            let (attribution, hostname) = (&mut self.attribution, &self.session.hostname);
            builder.forget_before(before, |subject| attribution.name_of(subject).id_by(by, hostname));
            self.finished.keep(&builder);
        }
        self.add_listeners(&mut builder);
        self.crowded_out = builder.overflow();
        let window = self.window_unix_ns();
        let health = self.health();
        let vias: BTreeMap<SocketAddr, Via> = builder
            .vias()
            .map(|address| (address, self.attribution.via(address)))
            .collect();
        let attribution = &mut self.attribution;
        let name = |subject| attribution.name_of(subject);
        let via = |address| {
            vias.get(&address).cloned().unwrap_or(Via {
                address,
                service: None,
            })
        };
        builder.finish(self.session.hostname.clone(), window, health, name, via)
    }

    /// Connections that are not the tracer's own.
    fn foreign(&self) -> impl Iterator<Item = Connection> {
        self.tracker
            .connections()
            .filter(|connection| !self.own.is_other_end(connection))
    }

    /// Everything since the start, by subjects.
    fn tally(&mut self) -> Builder {
        let mut builder = self.finished.with_room();
        let live: Vec<Connection> = self.foreign().collect();
        for connection in &live {
            self.add(&mut builder, connection);
        }
        builder
    }

    /// The graph of everything since the start.
    pub fn graph(&mut self, by: GroupBy) -> Graph {
        self.fine_graph().fold(by)
    }
}
