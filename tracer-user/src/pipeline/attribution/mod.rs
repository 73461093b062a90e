//! Puts names to the ends of connections: asks the process table, the listening sockets, the inventory, and last the
//! address.
#![forbid(unsafe_code)]

mod local;
mod people;
mod remote;
mod subject;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use crate::{
    attribute::{
        Claim, Quality, Who,
        cgroup::{CgroupPlace, CgroupTable},
        names::Groups,
        place::{Place, Via},
        process::ProcessTable,
        remote::Remotes,
        rules::{PortUse, Rules},
    },
    graph::{
        build::{Builder, Name},
        fold::coarse_id,
    },
    inventory::Inventory,
    report::Party,
    signal::Session,
    track::{Connection, End, Listener, OwnerBy, Tracker},
};
use local::Around;
use people::{People, Person};
use remote::Asked;
pub(super) use remote::title;
pub(super) use subject::{Named, Subject};
use subject::{Same, Subjects};

/// Subjects numbered before those that no edge has are forgotten: about 400 bytes each. Edges hold half as many at most.
const SUBJECTS_MAX: usize = 1 << 18;

/// Everything that knows a name.
#[derive(Debug)]
pub(super) struct Attribution {
    pub(super) processes: ProcessTable,
    pub(super) cgroups: CgroupTable,
    pub(super) inventory: Inventory,
    subjects: Subjects,
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
            rules: Arc::clone(rules),
            remotes: Remotes::new(Arc::clone(rules)),
            people: People::default(),
            groups: Groups::new(0, &[]),
            node: None,
            ownerless: Arc::new(Claim {
                who: Who::Unknown {
                    reason: "nobody was seen to own the socket".to_owned(),
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
        self.inventory = Inventory::new(session.wall_offset_ns, session.node.as_deref());
    }

    /// Name of a namespace's group.
    pub(super) fn group(&mut self, netns: u32) -> Arc<str> {
        self.groups.group(netns)
    }

    /// The end that connected.
    pub(super) fn source(&mut self, connection: &Connection) -> Known {
        let dials = PortUse::Dials(connection.destination_addr.port());
        match &connection.source {
            Some(end) => self.end(end, connection.source_addr, dials, false),
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
            .filter(|listener| is_local || !listener.local.ip().is_unspecified());
        match listener {
            Some(listener) => self.end(&listener.end, address, serves, true),
            None => match &connection.destination {
                Some(end) => self.end(end, address, serves, false),
                None => self.elsewhere(address, Some(address.port()), connection),
            },
        }
    }

    /// A listening socket.
    pub(super) fn listener(&mut self, listener: &Listener) -> Known {
        let serves = PortUse::Serves(listener.local.port());
        self.end(&listener.end, listener.local, serves, false)
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
        let nobody = Subject::Nobody { netns: end.netns };
        let owner = end.owner;
        let process = owner.and_then(|(owner, _)| self.processes.who(owner.tgid, end.owner_ns));
        let reference = process.map(|process| process.reference.clone());
        let claim = owner.and_then(|(owner, _)| self.processes.claim(owner.tgid, end.owner_ns, used));
        let subject = match (owner, claim) {
            (Some((owner, by)), Some(claim)) => {
                let by_listener = by_listener || by == OwnerBy::Listener;
                self.of_process(owner.tgid, end.owner_ns, claim, by_listener, end.netns)
            }
            (None, _) | (_, None) => nobody,
        };
        let party = Party {
            address,
            netns: end.netns,
            claim: Arc::clone(&self.ownerless),
            process: reference,
        };
        self.known(subject, party, end.owner_ns)
    }

    fn of_process(
        &mut self,
        tgid: u32,
        at_ns: u64,
        claim: Arc<Claim>,
        by_listener: bool,
        netns: u32,
    ) -> Subject {
        let process = self.processes.who(tgid, at_ns);
        let from_proc = process.and_then(|process| process.cgroup.as_deref());
        let cgroup_id = process.map_or(0, |process| process.reference.cgroup_id);
        let cgroup = self.cgroups.place_of(cgroup_id, at_ns, from_proc);
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
            by_listener,
            netns,
        }
    }

    fn elsewhere(&mut self, address: SocketAddr, port: Option<u16>, connection: &Connection) -> Known {
        let at_ns = connection.first_ns;
        let tenant = self.inventory.at(address.ip(), at_ns);
        let subject = Subject::Elsewhere {
            address: address.ip(),
            port,
            uid: tenant.map(|tenant| Arc::clone(&tenant.pod.uid)),
            netns: netns_of(connection),
        };
        let party = Party {
            address,
            netns: 0,
            claim: Arc::clone(&self.ownerless),
            process: None,
        };
        self.known(subject, party, at_ns)
    }

    fn known(&mut self, subject: Subject, party: Party, at_ns: u64) -> Known {
        let subject = self.subjects.number(subject, at_ns);
        let claim = self.named(subject).claim;
        Known {
            subject,
            party: Party { claim, ..party },
        }
    }

    /// The name of a subject, as far as it is known now.
    pub(super) fn named(&mut self, number: u32) -> Named {
        let revision = self.inventory.revision();
        if let Some(named) = self.subjects.named(number, revision) {
            return named.clone();
        }
        let new = self.name(number);
        self.subjects.name(number, revision, new)
    }

    /// What a number stands for.
    pub(super) fn subject(&self, number: u32) -> Option<&Subject> {
        self.subjects.get(number).map(|(subject, _)| subject)
    }

    /// A process without any socket.
    pub(super) fn subject_of(&mut self, tgid: u32) -> Option<u32> {
        let process = self.processes.who(tgid, 0)?;
        let (claim, netns, since_ns) = (
            Arc::clone(&process.claim),
            process.netns.unwrap_or_default(),
            process.since_ns,
        );
        let subject = self.of_process(tgid, since_ns, claim, false, netns);
        Some(self.subjects.number(subject, since_ns))
    }

    /// The same for a graph.
    pub(super) fn name_of(&mut self, number: u32) -> Name {
        let Named { claim, group } = self.named(number);
        let netns = self
            .subjects
            .get(number)
            .map_or(0, |(subject, _)| subject.netns());
        Name { claim, group, netns }
    }

    /// Whether it is time to make room.
    pub(super) const fn is_crowded(&self) -> bool {
        self.subjects.len() >= SUBJECTS_MAX
    }

    /// Makes room: subjects that are the same component or workload become one, and those that no edge has go.
    pub(super) fn thin(&mut self, builder: &mut Builder) {
        let mut thinned = Subjects::default();
        let mut first: HashMap<String, u32> = HashMap::new();
        let revision = self.inventory.revision();
        builder.renumber(|number| {
            let named = self.named(number);
            let key = coarse_id(&named.claim, &named.group);
            *first
                .entry(key)
                .or_insert_with(|| match self.subjects.get(number) {
                    Some((subject, (from_ns, to_ns))) => {
                        let kept = thinned.number(subject.clone(), from_ns);
                        thinned.number(subject.clone(), to_ns);
                        thinned.name(kept, revision, named);
                        kept
                    }
                    None => 0,
                })
        });
        self.subjects = thinned;
    }

    fn name(&mut self, number: u32) -> Named {
        let Some((subject, asked_ns)) = self.subjects.get(number) else {
            return Named {
                claim: Arc::clone(&self.ownerless),
                group: self.groups.group(0),
            };
        };
        let netns = subject.netns();
        let claim = match subject {
            Subject::Process {
                claim,
                cgroup,
                human,
                spoofed,
                by_listener,
                netns: _,
            } => {
                let around = Around {
                    cgroup: cgroup.as_ref().map(|Same(cgroup)| &**cgroup),
                    human: human.as_ref(),
                    spoofed: spoofed.as_ref(),
                    by_listener: *by_listener,
                    node: self.node.as_ref(),
                };
                local::claim(&claim.0, &around, &self.inventory)
            }
            Subject::Elsewhere {
                address, port, uid, ..
            } => {
                let asked = Asked {
                    address: *address,
                    port: *port,
                    uid: uid.as_deref(),
                    between_ns: asked_ns,
                };
                remote::claim(&asked, &self.inventory, &mut self.remotes, &self.rules)
            }
            Subject::Nobody { .. } => Arc::clone(&self.ownerless),
        };
        let group = if matches!(subject, Subject::Elsewhere { .. }) {
            self.groups.group_elsewhere(&claim, netns)
        } else {
            self.groups.group_here(&claim, netns)
        };
        Named { claim, group }
    }
}

/// Namespace of the end that was seen; 0 when it is unknown.
fn netns_of(connection: &Connection) -> u32 {
    connection
        .ends()
        .map(|end| end.netns)
        .find(|netns| *netns != 0)
        .unwrap_or_default()
}
