//! Several processes, one of which took a connection: who listened where it came in, when it came.
#![forbid(unsafe_code)]

use std::{collections::HashMap, net::SocketAddr};

use super::{End, Listener, OwnerBy, Tracker, listeners::have_one_owner};
use crate::event::SocketEvent;

/// Sets of processes remembered; ends of more have no owner. Workers of one server are one set until one comes or goes.
const CROWDS_MAX: usize = 4096;

/// Processes of a set at most: one for each processor of a large machine.
const MEMBERS_MAX: usize = 256;

/// One of those who may have taken a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Thread group id.
    pub tgid: u32,
    /// cgroup v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// When it was seen to own its listening socket, `CLOCK_BOOTTIME` nanoseconds.
    pub owner_ns: u64,
}

/// A set, in order.
pub(super) type Members = Box<[Member]>;

/// All sets met, by number; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    all: Vec<Members>,
    numbers: HashMap<Members, u32>,
    /// The set that has all listening sockets of a namespace, as it was at a version of these.
    everywhere: HashMap<u32, (u64, Option<Members>)>,
}

impl Crowds {
    /// The number of a set; 0 where there is no room.
    fn number(&mut self, members: Members) -> u32 {
        if let Some(number) = self.numbers.get(&members) {
            return *number;
        }
        if self.all.len() >= CROWDS_MAX {
            return 0;
        }
        self.all.push(members.clone());
        let number = u32::try_from(self.all.len()).unwrap_or(0);
        self.numbers.insert(members, number);
        number
    }
}

impl Tracker {
    /// Those one of whom took the connection at this end, where its own socket does not tell who.
    pub fn crowd(&self, end: &End) -> &[Member] {
        let at = (end.crowd as usize).checked_sub(1);
        at.and_then(|at| self.crowds.all.get(at))
            .map_or(&[], AsRef::as_ref)
    }

    /// Puts to an end without owner who took its connection, as far as listening sockets tell.
    pub(super) fn by_listeners(&mut self, end: &mut End, event: &SocketEvent) {
        let serving = self.listeners.candidates(event.netns, event.local, event.ifindex);
        let members = if !serving.is_empty() {
            if have_one_owner(&serving) {
                let owner = serving.first().and_then(|first| first.end.owner);
                end.owner = owner.map(|(owner, _)| (owner, OwnerBy::Listener));
                return;
            }
            members(serving)
        } else if self.is_diverted(event) {
            self.everywhere(event.netns)
        } else {
            None
        };
        end.crowd = members.map_or(0, |members| self.crowds.number(members));
    }

    /// Whether somebody took it who does not listen where it came in: by TPROXY, or a program for `sk_lookup`.
    const fn is_diverted(&self, event: &SocketEvent) -> bool {
        // All who listen have to be known.
        event.netns != 0 && !event.found && self.audit.snapshots > 0 && self.audit.overflow == 0
    }

    fn everywhere(&mut self, netns: u32) -> Option<Members> {
        let version = self.listeners.version();
        if let Some((_, known)) = self
            .crowds
            .everywhere
            .get(&netns)
            .filter(|(at, _)| *at == version)
        {
            return known.clone();
        }
        let all = self.listeners.iter().map(|(_, listener)| listener);
        let here = members(all.filter(|listener| listener.end.netns == netns));
        if self.crowds.everywhere.len() >= CROWDS_MAX {
            self.crowds.everywhere.clear();
        }
        self.crowds.everywhere.insert(netns, (version, here.clone()));
        here
    }

    /// Those one of whom takes connections to an address, where they are several.
    pub fn crowd_at(&self, netns: u32, address: SocketAddr) -> Option<Members> {
        let serving = self.listeners.candidates(netns, address, 0);
        (!have_one_owner(&serving)).then(|| members(serving))?
    }
}

/// Who listens, if that is known of all.
fn members<'a>(listeners: impl IntoIterator<Item = &'a Listener>) -> Option<Members> {
    let mut members: Vec<Member> = Vec::new();
    for listener in listeners {
        let (owner, _) = listener.end.owner?;
        members.push(Member {
            tgid: owner.tgid,
            cgroup_id: owner.cgroup_id,
            owner_ns: listener.end.owner_ns,
        });
    }
    members.sort_unstable();
    members.dedup_by_key(|member| member.tgid);
    let fits = !members.is_empty() && members.len() <= MEMBERS_MAX;
    fits.then(|| members.into())
}
