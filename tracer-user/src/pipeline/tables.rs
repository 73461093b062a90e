//! What is alive, as rows: connections, listeners, components.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
};

use super::{Pipeline, describe::side};
use crate::{
    attribute::{Claim, Who, rules::PortUse},
    report::{ComponentRow, ConnectionRow, ListenerRow, Party},
    track::{Connection, End, Listener},
};

impl Pipeline {
    /// Live connections, each once, in stable order.
    pub fn connections(&mut self) -> Vec<ConnectionRow> {
        let live: Vec<Connection> = self.foreign().filter(Connection::is_alive).collect();
        let mut rows: Vec<ConnectionRow> = live
            .iter()
            .map(|connection| self.connection_row(connection))
            .collect();
        rows.sort_by_key(|row| {
            (
                row.destination.address,
                row.source.address,
                row.source.netns,
                row.destination.netns,
            )
        });
        rows
    }

    fn connection_row(&mut self, connection: &Connection) -> ConnectionRow {
        let (source, destination) = self.parties(connection);
        let alive = |end: &&End| end.is_alive();
        let speaker = connection
            .source
            .as_ref()
            .filter(alive)
            .or(connection.destination.as_ref().filter(alive));
        ConnectionRow {
            source,
            destination,
            via: connection.via.map(|address| self.attribution.via(address)),
            side: side(connection),
            state: speaker.map_or(crate::event::TcpState::Closed, |end| end.state),
            counters: connection.counters(),
            since_unix_ns: connection.opened_ns.map(|at_ns| self.unix_ns(at_ns)),
            direction_guessed: connection.direction_guessed,
            paths: self.tracker.paths(connection),
        }
    }

    /// Listening sockets in stable order, each with the connections that came in by it.
    pub fn listeners(&mut self) -> Vec<ListenerRow> {
        let mut incoming: HashMap<(u32, SocketAddr), u64> = HashMap::new();
        for connection in self.foreign().filter(Connection::is_alive) {
            if let Some(end) = &connection.destination
                && let Some(listener) = self.tracker.serving(end.netns, connection.destination_addr)
            {
                *incoming.entry((end.netns, listener.local)).or_default() += 1;
            }
        }
        let all: Vec<Listener> = self.tracker.listeners().copied().collect();
        let own = self.session.self_tgid;
        let mut rows: Vec<ListenerRow> = all
            .iter()
            .filter(|listener| listener.end.owner.is_none_or(|(owner, _)| owner.tgid != own))
            .map(|listener| (listener, self.attribution.listener(listener).party))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(listener, party)| ListenerRow {
                args: self.attribution.args_of(&party),
                party,
                family_v6: listener.end.family_v6,
                group: self
                    .attribution
                    .group_at(listener.end.netns, listener.end.owner_ns)
                    .to_string(),
                connections: incoming
                    .get(&(listener.end.netns, listener.local))
                    .copied()
                    .unwrap_or_default(),
            })
            .collect();
        let pid = |row: &ListenerRow| row.party.process.as_ref().map(|process| process.tgid);
        rows.sort_by(|a, b| {
            (&a.group, a.party.address.port(), a.party.address, pid(a)).cmp(&(
                &b.group,
                b.party.address.port(),
                b.party.address,
                pid(b),
            ))
        });
        rows
    }

    /// Who a party's process is, as it is known now; its place is that which it had. Absent when it has been forgotten.
    pub fn name_again(&mut self, party: &Party, used: PortUse) -> Option<Arc<Claim>> {
        let process = party.process.as_ref()?;
        let claim = self
            .attribution
            .processes
            .claim_of(process.tgid, process.program, used)?;
        Some(Arc::new(Claim {
            place: party.claim.place.clone(),
            ..Claim::clone(&claim)
        }))
    }

    /// Processes that were recognised as components, in stable order: those that hold a socket now.
    pub fn components(&mut self) -> Vec<ComponentRow> {
        let mut rows: BTreeMap<ComponentKey, ComponentRow> = BTreeMap::new();
        for row in self.listeners() {
            let listening = row.party.address;
            if let Some(component) = component_row(&mut rows, &row.party, row.group.clone()) {
                component.listening.push(listening);
            }
        }
        for row in self.connections() {
            for party in [&row.source, &row.destination] {
                let group = self.attribution.group_at(party.netns, 0).to_string();
                let _already = component_row(&mut rows, party, group);
            }
        }
        rows.into_values().collect()
    }
}

/// Name, thread group id, and which process of all that had it.
type ComponentKey = (String, u32, u64);

fn component_row<'a>(
    rows: &'a mut BTreeMap<ComponentKey, ComponentRow>,
    party: &Party,
    group: String,
) -> Option<&'a mut ComponentRow> {
    let process = party.process.as_ref()?;
    if !matches!(party.claim.who, Who::Component { .. }) {
        return None;
    }
    let name = party.claim.who.label().into_owned();
    Some(
        rows.entry((name.clone(), process.tgid, process.instance))
            .or_insert_with(|| ComponentRow {
                name,
                process: process.clone(),
                claim: Arc::clone(&party.claim),
                group,
                listening: Vec::new(),
            }),
    )
}
