//! Puts names to the ends of connections: asks the process table, the listening sockets, and last the address.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc};

use crate::{
    attribute::{
        Claim, Quality, Who,
        names::Groups,
        place::Place,
        process::ProcessTable,
        remote::Remotes,
        rules::{PortUse, Rules},
    },
    report::Party,
    signal::Session,
    track::{Connection, End, Listener, OwnerBy, Tracker},
};

/// Everything that knows a name.
#[derive(Debug)]
pub(super) struct Attribution {
    pub(super) processes: ProcessTable,
    remotes: Remotes,
    groups: Groups,
    /// Claims by the owner of a listening socket, by the claim they weaken.
    by_listener: std::collections::HashMap<usize, (Arc<Claim>, Arc<Claim>)>,
    ownerless: Arc<Claim>,
}

impl Attribution {
    pub(super) fn new(rules: &Arc<Rules>) -> Self {
        Self {
            processes: ProcessTable::new(Arc::clone(rules)),
            remotes: Remotes::new(Arc::clone(rules)),
            groups: Groups::new(0, &[]),
            by_listener: std::collections::HashMap::new(),
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
    }

    /// Name of a namespace's group.
    pub(super) fn group(&mut self, netns: u32) -> Arc<str> {
        self.groups.group(netns)
    }

    /// The group an end is drawn in. An address that is not elsewhere stays where it was dialled.
    pub(super) fn group_of(&mut self, party: &Party, netns: u32) -> Arc<str> {
        let netns = if party.netns == 0 { netns } else { party.netns };
        self.groups.group_of(&party.claim.who, netns)
    }

    /// The end that connected.
    pub(super) fn source(&mut self, connection: &Connection) -> Party {
        let dials = PortUse::Dials(connection.destination_addr.port());
        match &connection.source {
            Some(end) => self.end(end, connection.source_addr, dials),
            None => self.elsewhere(connection.source_addr, None),
        }
    }

    /// The end that accepted, or would have.
    pub(super) fn destination(&mut self, connection: &Connection, tracker: &Tracker) -> Party {
        let address = connection.destination_addr;
        if let Some(end) = connection.destination.as_ref().filter(|end| end.owner.is_some()) {
            return self.end(end, address, PortUse::Serves(address.port()));
        }
        // Nobody was seen to take it, or it has no socket: a failed connect, or one in the making. Who listens there is
        // who is meant.
        let netns = connection
            .ends()
            .map(|end| end.netns)
            .find(|netns| *netns != 0)
            .unwrap_or_default();
        match tracker.serving(netns, address) {
            Some(listener) => {
                let mut party = self.end(&listener.end, address, PortUse::Serves(address.port()));
                party.claim = self.weaken(&party.claim);
                party
            }
            None => match &connection.destination {
                Some(end) => self.end(end, address, PortUse::Serves(address.port())),
                None => self.elsewhere(address, Some(address.port())),
            },
        }
    }

    /// A listening socket.
    pub(super) fn listener(&mut self, listener: &Listener) -> Party {
        self.end(
            &listener.end,
            listener.local,
            PortUse::Serves(listener.local.port()),
        )
    }

    fn end(&mut self, end: &End, address: SocketAddr, used: PortUse) -> Party {
        let Some((owner, by)) = end.owner else {
            return Party {
                address,
                netns: end.netns,
                claim: Arc::clone(&self.ownerless),
                process: None,
            };
        };
        let claim = self.processes.claim(owner.tgid, end.owner_ns, used);
        let process = self
            .processes
            .who(owner.tgid, end.owner_ns)
            .map(|process| process.reference.clone());
        let claim = claim.unwrap_or_else(|| Arc::clone(&self.ownerless));
        let claim = if by == OwnerBy::Listener {
            self.weaken(&claim)
        } else {
            claim
        };
        Party {
            address,
            netns: end.netns,
            claim,
            process,
        }
    }

    fn elsewhere(&mut self, address: SocketAddr, port: Option<u16>) -> Party {
        Party {
            address,
            netns: 0,
            claim: self.remotes.claim(address.ip(), port),
            process: None,
        }
    }

    /// The same claim, resting on the listening socket's owner rather than on the socket's own.
    fn weaken(&mut self, claim: &Arc<Claim>) -> Arc<Claim> {
        const REMEMBERED_MAX: usize = 16_384;
        let key = Arc::as_ptr(claim) as usize;
        if let Some((_, weak)) = self.by_listener.get(&key) {
            return Arc::clone(weak);
        }
        if self.by_listener.len() >= REMEMBERED_MAX {
            self.by_listener.clear();
        }
        let weak = Arc::new(Claim {
            who: claim.who.clone(),
            quality: claim.quality.max(Quality::Listener),
            by: format!("listens there; {}", claim.by),
            place: claim.place.clone(),
        });
        self.by_listener
            .insert(key, (Arc::clone(claim), Arc::clone(&weak)));
        weak
    }
}
