//! Puts names to the ends of connections: asks the process table, the listening sockets, the inventory, and last the
//! address.
#![forbid(unsafe_code)]

mod crowd;
mod local;
mod naming;
mod people;
mod remote;
mod subject;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    attribute::{
        Claim, Quality, Who,
        cgroup::{CgroupPlace, CgroupTable},
        netns::{Groups, Space},
        place::{Place, Via},
        process::ProcessTable,
        remote::Remotes,
        rules::{PortUse, Rules},
    },
    hash::IdMap,
    inventory::Inventory,
    report::Party,
    signal::{
        Session,
        host::{HostFact, HostFacts},
    },
    track::{Connection, End, Listener, OwnerBy, Tracker},
};
use people::{People, Person};
pub(super) use remote::title;
pub(super) use subject::{Named, Subject};
use subject::{Same, Subjects};

/// Subjects numbered before those that no edge has are forgotten: about 400 bytes each. Edges hold half as many at most.
const SUBJECTS_MAX: usize = 1 << 18;

/// Processes remembered with their subjects: what the next connection of each is asked for. About 50 bytes each.
const MET_MAX: usize = 16_384;

/// A process as it was met at a socket: while none of this changes, its subject is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Met {
    /// Address of the claim, which its subject holds.
    claim: usize,
    program: u64,
    /// When /proc last told of it.
    read_ns: u64,
    cgroup_id: u64,
    space: Space,
    flags: u32,
    revision: u64,
}

/// Everything that knows a name.
#[derive(Debug)]
pub(super) struct Attribution {
    pub(super) processes: ProcessTable,
    cgroups: CgroupTable,
    pub(super) inventory: Inventory,
    subjects: Subjects,
    met: IdMap<Met, u32>,
    pub(super) rules: Arc<Rules>,
    remotes: Remotes,
    people: People,
    groups: Groups,
    /// Name of this node in the cluster.
    node: Option<Arc<str>>,
    ownerless: Arc<Claim>,
}

/// An end with its name, and the number of its subject.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) subject: u32,
    pub(super) party: Party,
}

impl Attribution {
    pub(super) fn new(rules: &Arc<Rules>) -> Self {
        Self {
            processes: ProcessTable::new(Arc::clone(rules)),
            cgroups: CgroupTable::default(),
            inventory: Inventory::default(),
            subjects: Subjects::default(),
            met: IdMap::default(),
            rules: Arc::clone(rules),
            remotes: Remotes::new(Arc::clone(rules)),
            people: People::default(),
            groups: Groups::new(0, &[]),
            node: None,
            ownerless: Arc::new(Claim {
                who: Who::Unknown {
                    reason: "nobody was seen to own the socket".to_owned(),
                    guess: None,
                },
                quality: Quality::Address,
                by: "no hook, file table or listening socket told".to_owned(),
                place: Place::default(),
            }),
        }
    }

    pub(super) fn start(&mut self, session: &Session) {
        self.groups = Groups::of(session);
        self.node = session.node.as_deref().map(Arc::from);
        if let Some(path) = &session.first_process_cgroup {
            self.cgroups.first_process(path);
        }
        self.inventory = Inventory::new(session.wall_offset_ns, session.node.as_deref());
        self.inventory
            .call_host(session.node.as_deref().unwrap_or(&session.hostname));
    }

    /// Something of the node's own network got a name, or lost it.
    pub(super) fn host(&mut self, facts: &HostFacts) {
        match &facts.fact {
            HostFact::Namespace(inode, name) => self.groups.named(*inode, name, facts.at_ns),
            HostFact::NamespaceGone(inode, name) => self.groups.unnamed(*inode, name, facts.at_ns),
            HostFact::Address(address) => self.inventory.own_address(*address, facts.at_ns, true),
            HostFact::AddressGone(address) => self.inventory.own_address(*address, facts.at_ns, false),
        }
    }

    /// Name of the group of the namespace that had an inode at a time; 0 for now.
    pub(super) fn group_at(&mut self, netns: u32, at_ns: u64) -> Arc<str> {
        let space = self.groups.space(netns, at_ns);
        self.groups.group(space)
    }

    /// Name of the namespace that had an inode at a time, if it has one.
    pub(super) fn netns_name(&self, netns: u32, at_ns: u64) -> Option<Arc<str>> {
        self.groups.name(self.groups.space(netns, at_ns)).map(Arc::from)
    }

    /// Grows with everything that may change a name.
    const fn revision(&self) -> u64 {
        self.inventory.revision() + self.groups.revision()
    }

    /// The end that connected.
    pub(super) fn source(&mut self, connection: &Connection) -> Known {
        let dials = PortUse::Dials(connection.destination_addr.port());
        match &connection.source {
            Some(end) => self.end(end, connection.source_addr, dials, false),
            // A socket that is connected to itself is both ends.
            None if is_with_itself(connection) => match &connection.destination {
                Some(end) => self.end(end, connection.source_addr, dials, false),
                None => self.elsewhere(connection.source_addr, None, connection),
            },
            None => self.elsewhere(connection.source_addr, None, connection),
        }
    }

    /// The end that accepted, or would have.
    pub(super) fn destination(&mut self, connection: &Connection, tracker: &Tracker) -> Known {
        let address = connection.destination_addr;
        let serves = PortUse::Serves(address.port());
        if let Some(end) = connection.destination.as_ref().filter(|end| end.owner.is_some()) {
            return self.end(end, address, serves, false);
        }
        if let Some(end) = connection.source.as_ref().filter(|_| is_with_itself(connection)) {
            return self.end(end, address, serves, false);
        }
        if let Some(end) = &connection.destination
            && let Some(known) = self.any_of(tracker.crowd(end), address, serves, (end.netns, end.owner_ns))
        {
            return known;
        }
        // Nobody was seen to take it, or it has no socket: a failed connect, or one in the making. Who listens there is
        // who is meant.
        let netns = connection
            .destination
            .map_or_else(|| netns_of(connection), |end| end.netns);
        // A socket that listens on every address takes only what is dialled to this machine, where the kernel makes the
        // source address the same.
        let is_local = connection.destination.is_some()
            || address.ip().is_loopback()
            || address.ip() == connection.source_addr.ip();
        let listener = tracker
            .serving(netns, address)
            .filter(|listener| is_local || !listener.local.ip().is_unspecified())
            // Who listens there since takes what comes since.
            .filter(|listener| {
                listener
                    .since_ns
                    .is_none_or(|since_ns| since_ns <= connection.first_ns)
            });
        if let Some(listener) = listener {
            return self.end(&listener.end, address, serves, true);
        }
        let crowd = tracker.crowd_at(netns, address).filter(|_| is_local);
        let known =
            crowd.and_then(|crowd| self.any_of(&crowd, address, serves, (netns, connection.first_ns)));
        match (known, &connection.destination) {
            (Some(known), _) => known,
            (None, Some(end)) => self.end(end, address, serves, false),
            (None, None) => self.elsewhere(address, Some(address.port()), connection),
        }
    }

    /// A listening socket.
    pub(super) fn listener(&mut self, listener: &Listener) -> Known {
        let serves = PortUse::Serves(listener.local.port());
        self.end(&listener.end, listener.local, serves, false)
    }

    /// Harmless arguments of a party's process.
    pub(super) fn args_of(&self, party: &Party) -> Arc<[String]> {
        let process = party.process.as_ref();
        let program = process.and_then(|process| self.processes.program(process.tgid, process.program));
        program.map_or_else(Arc::default, |program| Arc::clone(&program.args))
    }

    /// The service address a connection was dialled by, with the service's name.
    pub(super) fn via(&self, address: SocketAddr) -> Via {
        let service = self.inventory.service_at(address.ip(), address.port());
        Via {
            address,
            service: service.map(|service| Arc::clone(&service.title)),
        }
    }

    fn end(&mut self, end: &End, address: SocketAddr, used: PortUse, by_listener: bool) -> Known {
        let space = self.groups.space(end.netns, end.owner_ns);
        let owner = end.owner;
        let process = owner.and_then(|(owner, _)| self.processes.who(owner.tgid, end.owner_ns));
        let reference = process.map(|process| process.reference.clone());
        let known = process.map(|process| {
            (
                process.reference.program,
                process.read_ns(),
                process.cgroup.is_some(),
            )
        });
        let claim = owner.and_then(|(owner, _)| self.processes.claim(owner.tgid, end.owner_ns, used));
        let number =
            if let (Some((owner, by)), Some((program, read_ns, told)), Some(claim)) = (owner, known, claim) {
                let owner_by = match by {
                    _ if by_listener => OwnerBy::Listener,
                    OwnerBy::Hook | OwnerBy::Holder => OwnerBy::Hook,
                    OwnerBy::Closer | OwnerBy::Listener => by,
                };
                let key = Met {
                    claim: Arc::as_ptr(&claim) as usize,
                    program,
                    read_ns,
                    cgroup_id: owner.cgroup_id,
                    space,
                    flags: owner_by as u32 | u32::from(told) << 2,
                    revision: self.revision(),
                };
                self.met.get(&key).copied().unwrap_or_else(|| {
                    let who = (owner.tgid, owner.cgroup_id);
                    let subject = self.of_process(who, end.owner_ns, claim, owner_by, space);
                    let number = self.subjects.number(subject, end.owner_ns);
                    if self.met.len() >= MET_MAX {
                        self.met.clear();
                    }
                    self.met.insert(key, number);
                    number
                })
            } else {
                let address = address.ip();
                let tenant = self.inventory.at(address, end.owner_ns);
                let nobody = Subject::Nobody {
                    address,
                    uid: tenant.map(|tenant| Arc::clone(&tenant.pod.uid)),
                    space,
                };
                self.subjects.number(nobody, end.owner_ns)
            };
        Known {
            subject: number,
            party: Party {
                address,
                netns: end.netns,
                claim: self.named(number).claim,
                process: reference,
            },
        }
    }

    /// A cgroup came, went or was found: where processes are may be answered otherwise now.
    pub(super) fn cgroups(&mut self) -> &mut CgroupTable {
        self.met.clear();
        &mut self.cgroups
    }

    /// Where a process was at a time; `cgroup_id`: what it was in then, 0 when nobody saw.
    fn cgroup_of(&mut self, (tgid, cgroup_id): (u32, u64), at_ns: u64) -> Option<Arc<CgroupPlace>> {
        let process = self.processes.who(tgid, at_ns);
        let from_proc = process.and_then(|process| process.cgroup.as_deref());
        let known = process.map_or(0, |process| process.reference.cgroup_id);
        let cgroup_id = if cgroup_id == 0 { known } else { cgroup_id };
        self.cgroups.place_of(cgroup_id, at_ns, from_proc)
    }

    /// `cgroup_id`: where it was at that time, 0 when nobody saw.
    fn of_process(
        &mut self,
        (tgid, cgroup_id): (u32, u64),
        at_ns: u64,
        claim: Arc<Claim>,
        owner_by: OwnerBy,
        space: Space,
    ) -> Subject {
        let cgroup = self.cgroup_of((tgid, cgroup_id), at_ns);
        let process = self.processes.who(tgid, at_ns);
        let place = cgroup.as_deref();
        let first_pid = place
            .and_then(CgroupPlace::container)
            .and_then(|container| self.inventory.container(&container.id)?.first_pid);
        let Person { human, spoofed } = process.map_or_else(Person::default, |process| {
            self.people
                .find(process, at_ns, place, first_pid, &self.processes, &self.rules)
        });
        Subject::Process {
            claim: Same(claim),
            cgroup: cgroup.map(Same),
            human,
            spoofed,
            owner_by,
            space,
        }
    }

    /// The subject that an address is, asked about at a time: of nobody's connection.
    pub(super) fn at_address(&mut self, address: IpAddr, at_ns: u64) -> u32 {
        let tenant = self.inventory.at(address, at_ns);
        let subject = Subject::Elsewhere {
            address,
            port: None,
            uid: tenant.map(|tenant| Arc::clone(&tenant.pod.uid)),
            space: Space::default(),
        };
        self.subjects.number(subject, at_ns)
    }

    fn elsewhere(&mut self, address: SocketAddr, port: Option<u16>, connection: &Connection) -> Known {
        let at_ns = connection.first_ns;
        let tenant = self.inventory.at(address.ip(), at_ns);
        let subject = Subject::Elsewhere {
            address: address.ip(),
            port,
            uid: tenant.map(|tenant| Arc::clone(&tenant.pod.uid)),
            space: self.groups.space(netns_of(connection), at_ns),
        };
        let subject = self.subjects.number(subject, at_ns);
        Known {
            subject,
            party: Party {
                address,
                netns: 0,
                claim: self.named(subject).claim,
                process: None,
            },
        }
    }
}

/// Whether its two ends are one socket: it connected to its own address and port.
fn is_with_itself(connection: &Connection) -> bool {
    connection.source_addr == connection.destination_addr
}

/// Namespace of the end that was seen; 0 when it is unknown.
fn netns_of(connection: &Connection) -> u32 {
    connection
        .ends()
        .map(|end| end.netns)
        .find(|netns| *netns != 0)
        .unwrap_or_default()
}
