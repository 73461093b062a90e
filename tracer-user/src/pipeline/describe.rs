//! A change of the tracker, attributed: what views are told, and what it adds to the graph.
#![forbid(unsafe_code)]

use super::Pipeline;
use crate::{
    event::{Failure, TcpState},
    graph::build::{Builder, Contribution},
    report::{ClosedBy, Happened, Happening, Party, Side},
    track::{Change, Connection, End, Listener},
};

impl Pipeline {
    /// What views are told of a change.
    pub(super) fn describe(&mut self, change: &Change) -> Happening {
        match change {
            Change::Opened(connection) => {
                let at_ns = connection.opened_ns.unwrap_or(connection.first_ns);
                self.connection(connection, Happened::Opened, at_ns)
            }
            Change::Accepted(connection) => {
                let at_ns = connection.accepted_ns.unwrap_or(connection.last_ns);
                self.connection(connection, Happened::Accepted, at_ns)
            }
            Change::Failed(connection) => {
                let errno = connection
                    .source
                    .and_then(|end| end.ended)
                    .and_then(|ended| ended.errno);
                let what = Happened::Failed {
                    failure: Failure::from_errno(errno),
                    errno,
                };
                self.connection(connection, what, connection.last_ns)
            }
            Change::Closed(connection) | Change::Finished(connection) => {
                let by = closed_by(connection).unwrap_or(ClosedBy::Unseen);
                self.connection(connection, Happened::Closed { by }, connection.last_ns)
            }
            Change::ListenerOpened(listener) => self.listener_happening(listener, Happened::ListenerOpened),
            Change::ListenerClosed(listener) => self.listener_happening(listener, Happened::ListenerClosed),
        }
    }

    fn connection(&mut self, connection: &Connection, what: Happened, at_ns: u64) -> Happening {
        let (source, destination) = self.parties(connection);
        let netns = [source.netns, destination.netns]
            .into_iter()
            .find(|netns| *netns != 0);
        let began_ns = match what {
            Happened::Failed { .. } => Some(connection.first_ns),
            Happened::Closed { .. } => connection.opened_ns,
            Happened::Opened | Happened::Accepted | Happened::ListenerOpened | Happened::ListenerClosed => {
                None
            }
        };
        Happening {
            what,
            at_unix_ns: self.unix_ns(at_ns),
            source,
            destination,
            via: connection.via.map(|address| self.attribution.via(address)),
            netns_name: netns.and_then(|netns| self.attribution.netns_name(netns, connection.first_ns)),
            side: side(connection),
            family_v6: connection.ends().any(|end| end.family_v6),
            counters: match what {
                Happened::Closed { .. } => connection.counters(),
                Happened::Opened
                | Happened::Accepted
                | Happened::Failed { .. }
                | Happened::ListenerOpened
                | Happened::ListenerClosed => None,
            },
            duration_ns: began_ns.map(|began_ns| at_ns.saturating_sub(began_ns)),
            direction_guessed: connection.direction_guessed,
            subflows: connection.subflows,
        }
    }

    fn listener_happening(&mut self, listener: &Listener, what: Happened) -> Happening {
        let party = self.attribution.listener(listener).party;
        let netns_name = self.attribution.netns_name(party.netns, listener.end.owner_ns);
        Happening {
            what,
            at_unix_ns: self.unix_ns(listener.since_ns.unwrap_or(self.now_ns).max(self.now_ns)),
            source: party.clone(),
            destination: party,
            via: None,
            netns_name,
            side: Side::Destination,
            family_v6: listener.end.family_v6,
            counters: None,
            duration_ns: None,
            direction_guessed: false,
            subflows: 0,
        }
    }

    /// Both ends, named. The end that was not seen is told where it is by the one that was.
    pub(super) fn parties(&mut self, connection: &Connection) -> (Party, Party) {
        (
            self.attribution.source(connection).party,
            self.attribution.destination(connection, &self.tracker).party,
        )
    }

    /// Adds a connection to a graph.
    pub(super) fn add(&mut self, builder: &mut Builder, connection: &Connection) {
        let source = self.attribution.source(connection);
        let destination = self.attribution.destination(connection, &self.tracker);
        for known in [&source, &destination] {
            if let Some(process) = &known.party.process {
                builder.process(known.subject, process.tgid);
            }
        }
        let failed = connection
            .source
            .and_then(|end| end.ended)
            .filter(|ended| ended.from == TcpState::SynSent && !ended.unseen)
            .map(|ended| Failure::from_errno(ended.errno));
        let port = connection.destination_addr.port();
        builder.add(
            (source.subject, destination.subject, port, connection.via),
            &Contribution {
                active: connection.is_alive(),
                joined: connection.is_joined(),
                found: connection.opened_ns.is_none(),
                direction_guessed: connection.direction_guessed,
                families: (
                    connection.destination_addr.is_ipv4(),
                    connection.destination_addr.is_ipv6(),
                ),
                failed,
                counters: connection.counters(),
                seen_unix_ns: (
                    self.unix_ns(connection.first_ns),
                    self.unix_ns(connection.last_ns),
                ),
                closed_by: if connection.is_alive() {
                    None
                } else {
                    closed_by(connection)
                },
            },
        );
    }

    /// Adds what nodes listen on.
    pub(super) fn add_listeners(&mut self, builder: &mut Builder) {
        let listeners: Vec<Listener> = self.tracker.listeners().copied().collect();
        for listener in &listeners {
            let known = self.attribution.listener(listener);
            builder.listens(known.subject, listener.local);
            if let Some(process) = &known.party.process {
                builder.process(known.subject, process.tgid);
            }
        }
    }
}

/// Which ends were seen.
pub(super) const fn side(connection: &Connection) -> Side {
    match (&connection.source, &connection.destination) {
        (Some(_), Some(_)) => Side::Both,
        (None, Some(_)) => Side::Destination,
        (Some(_) | None, None) => Side::Source,
    }
}

/// Who ended a connection, from the states in which its sockets were closed. FIN-WAIT is the state of the end that
/// sent the first FIN, CLOSE-WAIT and LAST-ACK those of the other (RFC 9293, figure 5).
pub(super) fn closed_by(connection: &Connection) -> Option<ClosedBy> {
    let source = connection.source.as_ref().and_then(fin);
    let destination = connection.destination.as_ref().and_then(fin);
    match (source, destination) {
        (Some(Fin::SentFirst), _) | (_, Some(Fin::ReceivedFirst)) => Some(ClosedBy::Source),
        (Some(Fin::ReceivedFirst), _) | (_, Some(Fin::SentFirst)) => Some(ClosedBy::Destination),
        (Some(Fin::None), _) | (_, Some(Fin::None)) => Some(ClosedBy::Reset),
        (None, None) => connection
            .ends()
            .any(|end| !end.is_alive())
            .then_some(ClosedBy::Unseen),
    }
}

/// What the last state of an end tells about FINs.
enum Fin {
    SentFirst,
    ReceivedFirst,
    /// It ended without any.
    None,
}

/// Absent when nobody saw the end.
fn fin(end: &End) -> Option<Fin> {
    let ended = end.ended.as_ref().filter(|ended| !ended.unseen)?;
    Some(match ended.from {
        TcpState::FinWait1 | TcpState::FinWait2 | TcpState::TimeWait | TcpState::Closing => Fin::SentFirst,
        TcpState::CloseWait | TcpState::LastAck => Fin::ReceivedFirst,
        TcpState::Established
        | TcpState::SynSent
        | TcpState::SynReceived
        | TcpState::Closed
        | TcpState::Listen => Fin::None,
    })
}
