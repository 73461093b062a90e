//! Things that happen by chance in the model, and what is true of it in the end.

use std::{collections::BTreeMap, net::SocketAddr};

use proptest::prelude::*;

use super::{HOST, POD, Plan, Side, TWIN, World};

/// One thing that happens. Numbers choose among what there is; where there is nothing, nothing happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Listen(usize),
    Unlisten(usize),
    Connect(usize, usize, bool),
    Dial(usize, usize),
    Answer(usize),
    Fail(usize, usize),
    Accept(usize),
    Transfer(usize, u64, u64),
    Pass(usize, bool, usize, bool),
    Close(usize, bool),
    CloseBoth(usize, bool),
    Reset(usize),
    Snapshot(bool),
    Drain,
    Wait(u64),
}

pub(crate) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let n = || 0..64_usize;
    let step = prop_oneof![
        2 => n().prop_map(Step::Listen),
        1 => n().prop_map(Step::Unlisten),
        8 => (n(), n(), any::<bool>()).prop_map(|(a, b, c)| Step::Connect(a, b, c)),
        2 => (n(), n()).prop_map(|(a, b)| Step::Dial(a, b)),
        2 => n().prop_map(Step::Answer),
        1 => (n(), n()).prop_map(|(a, b)| Step::Fail(a, b)),
        3 => n().prop_map(Step::Accept),
        3 => (n(), 0..1000_u64, 0..1000_u64).prop_map(|(a, b, c)| Step::Transfer(a, b, c)),
        2 => (n(), any::<bool>(), n(), any::<bool>()).prop_map(|(a, b, c, d)| Step::Pass(a, b, c, d)),
        3 => (n(), any::<bool>()).prop_map(|(a, b)| Step::Close(a, b)),
        5 => (n(), any::<bool>()).prop_map(|(a, b)| Step::CloseBoth(a, b)),
        2 => n().prop_map(Step::Reset),
        6 => proptest::bool::weighted(0.9).prop_map(Step::Snapshot),
        2 => Just(Step::Drain),
        2 => (0..150_000_000_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..most)
}

type Route = (
    Option<u32>,
    &'static str,
    Option<u32>,
    &'static str,
    Option<usize>,
);

/// Who may reach whom, and the listener it takes.
const ROUTES: [Route; 11] = [
    (Some(HOST), "127.0.0.1", Some(HOST), "127.0.0.1:2379", Some(0)),
    (Some(POD), "127.0.0.1", Some(POD), "127.0.0.1:2379", Some(1)),
    (
        Some(HOST),
        "192.168.59.150",
        Some(HOST),
        "192.168.59.150:6443",
        Some(2),
    ),
    (Some(HOST), "127.0.0.1", Some(HOST), "127.0.0.1:6443", Some(2)),
    (Some(HOST), "10.0.0.1", Some(POD), "10.0.0.2:80", Some(3)),
    (Some(HOST), "::1", Some(HOST), "[::1]:7000", Some(4)),
    (Some(HOST), "192.168.59.150", None, "10.9.9.9:443", None),
    (None, "10.9.9.8", Some(HOST), "192.168.59.150:6443", Some(2)),
    // Both connect to each other at once.
    (Some(HOST), "10.0.0.1", Some(POD), "10.0.0.2:3000", None),
    // The same addresses, and ports, in two namespaces.
    (Some(POD), "10.1.1.1", Some(POD), "10.1.1.2:81", Some(5)),
    (Some(TWIN), "10.1.1.1", Some(TWIN), "10.1.1.2:81", Some(6)),
];
const CROSSING: usize = 8;
/// Port of the other end of that one.
pub(crate) const CROSSING_PORT: u16 = 3000;

const LISTENERS: [(u32, &str); 7] = [
    (HOST, "127.0.0.1:2379"),
    (POD, "127.0.0.1:2379"),
    (HOST, "[::]:6443"),
    (POD, "0.0.0.0:80"),
    (HOST, "[::1]:7000"),
    (POD, "10.1.1.2:81"),
    (TWIN, "0.0.0.0:81"),
];
/// Port of a server that is in two namespaces by the same address.
pub(crate) const TWIN_PORT: u16 = 81;

const CLIENTS: [u32; 4] = [91, 92, 107, 108];
const ERRNOS: [u32; 4] = [111, 110, 113, 0];

/// A world with things happening in it.
pub(crate) struct Story {
    pub(crate) world: World,
    listening: BTreeMap<usize, u64>,
}

impl Story {
    pub(crate) fn new(seed: u64) -> Self {
        let mut story = Self {
            world: World::new(seed),
            listening: BTreeMap::new(),
        };
        for number in 0..LISTENERS.len() {
            story.step(Step::Listen(number));
        }
        story
    }

    /// `before`, the start of the tracer, `after`.
    pub(crate) fn tell(seed: u64, lose_one_in: u64, before: &[Step], after: &[Step]) -> Self {
        let mut story = Self::new(seed);
        for step in before {
            if !matches!(step, Step::Snapshot(_) | Step::Drain) {
                story.step(*step);
            }
        }
        story.attach();
        story.world.lose_one_in = lose_one_in;
        for step in after {
            story.step(*step);
        }
        story
    }

    /// Once the process has closed it, a socket is in no file table: older than the first snapshot, nobody knows it.
    fn is_hidden_when_closed(&self, id: usize) -> bool {
        self.world.conns[id].older && !self.world.has_been_seen()
    }

    /// A socket that no process holds when the tracer comes cannot be known before its end: there is none in a story.
    pub(crate) fn attach(&mut self) {
        for id in 0..self.world.conns.len() {
            let tgid = self.server(id);
            if self.world.conns[id].is_alive() {
                self.world.accept(id, tgid);
                if self.world.conns[id].first_fin.is_some() {
                    self.world.close(id, Side::Source);
                    self.world.close(id, Side::Destination);
                }
            }
        }
        self.world.attach();
    }

    /// Nothing more happens and nothing more is lost; all that waits for time is told.
    pub(crate) fn rest(&mut self) {
        self.world.end_running_snapshot();
        self.world.lose_one_in = 0;
        self.world.incomplete = false;
        // Longer than a record may be on its way.
        self.world.wait(60_000_000);
        self.world.snapshot();
        self.world.wait(1_000_000_000);
        self.world.tick();
    }

    fn server(&self, id: usize) -> u32 {
        100 + u32::from(self.world.conns[id].plan.destination.1.port() % 5)
    }

    fn plan(&self, route: usize, client: usize) -> Plan {
        let number = route % ROUTES.len();
        let (near, ip, far, to, _) = ROUTES[number];
        let destination: SocketAddr = to.parse().expect("a socket address");
        let ip = ip.parse().expect("an address");
        // Few ports, so that they are used again and again.
        let port = (40_000..=u16::MAX)
            .find(|port| {
                !self
                    .world
                    .is_used((near, SocketAddr::new(ip, *port)), destination)
            })
            .expect("a port");
        Plan {
            source: (near, SocketAddr::new(ip, port)),
            destination: (far, destination),
            client: CLIENTS[client % CLIENTS.len()],
            other_client: (number == CROSSING).then_some(109),
        }
    }

    fn is_served(&self, plan: &Plan) -> bool {
        let route = ROUTES
            .iter()
            .find(|route| route.3.parse() == Ok(plan.destination.1) && route.2 == plan.destination.0);
        route
            .and_then(|route| route.4)
            .is_none_or(|slot| self.listening.contains_key(&slot))
    }

    fn choose(&self, number: usize, of: impl Fn(usize) -> bool) -> Option<usize> {
        let fit: Vec<usize> = (0..self.world.conns.len()).filter(|id| of(*id)).collect();
        (!fit.is_empty()).then(|| fit[number % fit.len()])
    }

    fn answer(&mut self, id: usize) {
        let plan = self.world.conns[id].plan;
        if self.is_served(&plan) {
            self.world.answer(id);
        } else {
            self.world.fail(id, 111);
        }
    }

    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Listen(slot) => {
                let slot = slot % LISTENERS.len();
                let (netns, local) = LISTENERS[slot];
                let local: SocketAddr = local.parse().expect("a socket address");
                if !self.listening.contains_key(&slot) {
                    let tgid = 100 + u32::from(local.port() % 5);
                    let address = self.world.listen(tgid, netns, local);
                    self.listening.insert(slot, address);
                }
            }
            Step::Unlisten(slot) => {
                if let Some(address) = self.listening.remove(&(slot % LISTENERS.len())) {
                    self.world.unlisten(address);
                }
            }
            Step::Connect(route, client, accept) => {
                let plan = self.plan(route, client);
                let id = self.world.dial(plan);
                self.answer(id);
                if accept && self.world.conns[id].is_alive() {
                    let tgid = self.server(id);
                    self.world.accept(id, tgid);
                }
            }
            Step::Dial(route, client) => {
                self.world.dial(self.plan(route, client));
            }
            Step::Answer(number) => {
                if let Some(id) = self.dialled(number) {
                    self.answer(id);
                }
            }
            Step::Fail(number, errno) => {
                if let Some(id) = self.dialled(number) {
                    self.world.fail(id, ERRNOS[errno % ERRNOS.len()]);
                }
            }
            Step::Accept(number) => self.live(number, |story, id| {
                let tgid = story.server(id);
                story.world.accept(id, tgid);
            }),
            Step::Transfer(number, sent, received) => {
                self.live(number, |story, id| story.world.transfer(id, sent, received));
            }
            Step::Pass(number, source, to, keep) => self.live(number, |story, id| {
                // What moves while file tables are walked may be in none of them.
                let keep = keep || story.is_hidden_when_closed(id);
                story
                    .world
                    .pass(id, side(source), CLIENTS[to % CLIENTS.len()], keep);
            }),
            Step::Close(number, source) => self.live(number, |story, id| {
                story.world.close(id, side(source));
                if story.is_hidden_when_closed(id) {
                    story.world.close(id, side(!source));
                }
            }),
            Step::CloseBoth(number, source) => self.live(number, |story, id| {
                story.world.close(id, side(source));
                story.world.close(id, side(!source));
            }),
            Step::Reset(number) => self.live(number, |story, id| story.world.reset(id)),
            Step::Snapshot(complete) => {
                if self.world.is_between_snapshots() {
                    self.world.incomplete = !complete;
                }
                self.world.advance_snapshot();
            }
            Step::Drain if self.world.is_between_snapshots() => self.world.tick(),
            Step::Drain => {}
            Step::Wait(ns) => self.world.wait(ns),
        }
    }

    fn dialled(&self, number: usize) -> Option<usize> {
        self.choose(number, |id| {
            !self.world.conns[id].established && !self.world.conns[id].ended
        })
    }

    fn live(&mut self, number: usize, act: impl FnOnce(&mut Self, usize)) {
        if let Some(id) = self.choose(number, |id| self.world.conns[id].is_alive()) {
            act(self, id);
        }
    }

    /// Connections there were while the tracer watched.
    pub(crate) fn existed(&self) -> usize {
        let there = |conn: &&super::Conn| conn.established && !conn.before;
        // The one who dials elsewhere, and who is dialled from elsewhere, has one end here: all have at least one.
        self.world.conns.iter().filter(there).count()
    }

    pub(crate) fn alive_now(&self) -> usize {
        self.world.conns.iter().filter(|conn| conn.is_alive()).count()
    }

    /// Payload from sources to destinations and back, of all that existed and is over or held.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let told = |(id, conn): &(usize, &super::Conn)| {
            conn.established && !conn.before && (conn.ended || self.world.is_held(*id))
        };
        let all = self.world.conns.iter().enumerate().filter(told);
        all.fold((0, 0), |sum, (_, conn)| {
            (sum.0 + conn.bytes.0, sum.1 + conn.bytes.1)
        })
    }

    pub(crate) fn failed(&self) -> BTreeMap<u32, u64> {
        let mut failed = BTreeMap::new();
        for conn in &self.world.conns {
            if let Some(errno) = conn.failed.filter(|_| conn.plan.source.0.is_some()) {
                *failed.entry(errno).or_default() += 1;
            }
        }
        failed
    }
}

const fn side(source: bool) -> Side {
    if source { Side::Source } else { Side::Destination }
}
