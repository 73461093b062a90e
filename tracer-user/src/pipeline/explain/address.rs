//! Who is meant by an address: with a port, who has it or is dialled by it; alone, whose address it is.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::{Pipeline, Subject};
use crate::{graph::build::Builder, report::Explanation};

impl Pipeline {
    /// Who listens at an address, is connected from or to it, answers what is dialled there, or has it elsewhere.
    pub(super) fn explain_address(&mut self, builder: &Builder, address: SocketAddr) -> Vec<Explanation> {
        let mut meant = BTreeSet::new();
        let connections: Vec<_> = self.foreign().collect();
        for connection in &connections {
            if connection.source_addr == address {
                meant.insert(self.attribution.source(connection).subject);
            }
            if connection.destination_addr == address {
                meant.insert(self.attribution.destination(connection, &self.tracker).subject);
            }
        }
        // What was dialled and has ended since counts too.
        let dialled = builder.keys().filter(|(.., via)| *via == Some(address));
        meant.extend(dialled.map(|(_, destination, ..)| *destination));
        let homes = self.homes(builder, address.ip());
        for subject in builder.subjects() {
            let (inode, elsewhere) = match self.attribution.subject(subject) {
                Some(Subject::Elsewhere {
                    address: ip, port, ..
                }) => (
                    0,
                    *ip == address.ip() && port.is_none_or(|port| port == address.port()),
                ),
                Some(other) => (other.space().inode, false),
                None => continue,
            };
            // Who listens on every address listens there only in a namespace that has it.
            let listens = |at: SocketAddr| {
                let every = at.ip().is_unspecified() && (at.is_ipv6() || address.is_ipv4());
                let here = address.ip().is_loopback() || homes.contains(&inode);
                at == address || (every && at.port() == address.port() && here)
            };
            if elsewhere || builder.listening(subject).any(listens) {
                meant.insert(subject);
            }
        }
        let meant: Vec<u32> = meant.into_iter().collect();
        self.explained(builder, &address.to_string(), &meant, None)
    }

    /// Inodes of the network namespaces that have an address, as far as sockets, pods and interfaces tell.
    fn homes(&mut self, builder: &Builder, address: IpAddr) -> BTreeSet<u32> {
        let mut homes = BTreeSet::new();
        for connection in self.foreign() {
            let ends = [
                (connection.source_addr, &connection.source),
                (connection.destination_addr, &connection.destination),
            ];
            let here = ends.into_iter().filter(|(at, _)| at.ip() == address);
            homes.extend(here.filter_map(|(_, end)| end.as_ref()).map(|end| end.netns));
        }
        let listening = self.tracker.listeners().filter(|one| one.local.ip() == address);
        homes.extend(listening.map(|one| one.end.netns));
        if self.attribution.inventory.is_own(address) {
            homes.insert(self.session.host_netns);
        }
        for subject in self.of_pod(builder, address) {
            homes.extend(self.attribution.subject(subject).map(|one| one.space().inode));
        }
        homes.remove(&0);
        homes
    }

    /// Processes here of the pod that has an address now, if it is not the host's.
    pub(super) fn of_pod(&mut self, builder: &Builder, address: IpAddr) -> Vec<u32> {
        let tenant = self.attribution.inventory.at(address, 0);
        let Some(uid) = tenant.map(|tenant| tenant.pod.uid.clone()) else {
            return Vec::new();
        };
        let host = self.session.host_netns;
        let subjects = builder.subjects().into_iter();
        let is_its = |subject: &u32| {
            let is_here = match self.attribution.subject(*subject) {
                Some(one @ (Subject::Process { .. } | Subject::Nobody { .. })) => one.space().inode != host,
                Some(Subject::Elsewhere { .. }) | None => false,
            };
            let claim = self.attribution.named(*subject).claim;
            is_here && claim.pod().is_some_and(|pod| pod.uid == uid)
        };
        subjects.filter(is_its).collect()
    }

    /// Whose an address is: of whom is here or elsewhere, else of this node or a pod of which no process was seen.
    pub(super) fn explain_host(&mut self, builder: &Builder, address: IpAddr) -> Vec<Explanation> {
        let mut meant: Vec<u32> = self.of_pod(builder, address);
        let has_it = |one: &Subject| match one {
            Subject::Elsewhere { address: ip, .. } | Subject::Nobody { address: ip, .. } => *ip == address,
            Subject::Process { .. } => false,
        };
        let subjects = builder.subjects().into_iter();
        meant.extend(subjects.filter(|subject| self.attribution.subject(*subject).is_some_and(has_it)));
        if meant.is_empty() {
            let known = self.attribution.inventory.node_at(address, 0).is_some()
                || self.attribution.inventory.at(address, 0).is_some();
            meant.extend(known.then(|| self.attribution.at_address(address, self.now_ns)));
        }
        meant.sort_unstable();
        meant.dedup();
        self.explained(builder, &address.to_string(), &meant, None)
    }
}
