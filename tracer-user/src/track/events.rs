//! What each record of a socket does to what is tracked.
#![forbid(unsafe_code)]

use super::{Change, Connection, End, Ended, Listener, Place, Told, Tracker, slot};
use crate::event::{Role, SocketEvent, TcpState};

impl Tracker {
    pub(super) fn opened(&mut self, event: &SocketEvent) {
        self.end_early(event);
        let Some((id, _)) = self.join(event, event.role != Role::Passive) else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.opened_ns = Some(connection.opened_ns.map_or(event.at_ns, |at| at.min(event.at_ns)));
        }
        self.settle(id, false);
    }

    pub(super) fn accepted(&mut self, event: &SocketEvent) {
        let Some((id, _)) = self.join(event, false) else {
            return;
        };
        self.no_news(id, event);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.accepted_ns = Some(event.at_ns);
        }
        self.settle(id, false);
    }

    pub(super) fn failed(&mut self, event: &SocketEvent) {
        // A further path that did not come about: the connection has others.
        if self.has_mptcp(event.mptcp) {
            return;
        }
        let mut end = End::new(event, self.snapshot.number());
        end.state = TcpState::Closed;
        end.ended = Some(Ended {
            at_ns: event.at_ns,
            from: event.state,
            errno: event.errno,
            unseen: false,
        });
        let began_ns = if event.id.first_seen_ns == 0 {
            event.at_ns
        } else {
            event.id.first_seen_ns
        };
        let mut connection = Connection {
            source_addr: event.local,
            destination_addr: event.remote,
            via: None,
            source: Some(end),
            destination: None,
            first_ns: began_ns,
            last_ns: event.at_ns,
            opened_ns: None,
            accepted_ns: None,
            direction_guessed: false,
            ambiguous: false,
            subflows: 0,
            translated: None,
            told: Told {
                opened: true,
                accepted: true,
                closed: true,
            },
            waits_until_ns: 0,
        };
        if let Some(facts) = self.translation_of(event, true) {
            connection.translate(&facts);
        }
        self.changes.push(Change::Failed(connection));
    }

    pub(super) fn closed(&mut self, event: &SocketEvent) {
        let tracked = self.place_of(event);
        if tracked.is_none() && event.role == Role::Unknown && self.snapshot.wants(event) {
            return;
        }
        self.snapshot.ended(event);
        self.closed_as(event, tracked);
    }

    pub(super) fn closed_as(&mut self, event: &SocketEvent, tracked: Option<Place>) {
        let is_source = match (tracked, event.role) {
            (Some(place), _) => place.is_source,
            (None, Role::Active) => true,
            (None, Role::Passive | Role::Listener) => false,
            (None, Role::Unknown) => self.guess_is_source(event),
        };
        // Also when nothing was known of it: its own record tells all that is needed.
        let Some((id, is_source)) = self.join(event, is_source) else {
            return;
        };
        self.no_news(id, event);
        if let Some(end) = self
            .connections
            .get_mut(&id)
            .and_then(|found| slot(found, is_source).as_mut())
        {
            end.state = TcpState::Closed;
            end.ended = Some(Ended {
                at_ns: event.at_ns,
                from: event.state,
                errno: event.errno,
                unseen: false,
            });
            let address = end.id.address;
            self.forget_place(address, id);
        }
        self.settle(id, false);
    }

    /// That a connection exists which was there before the tracer is not told as its opening.
    pub(super) fn no_news(&mut self, id: u64, event: &SocketEvent) {
        if event.found
            && self.audit.snapshots == 0
            && let Some(connection) = self.connections.get_mut(&id)
            && connection.opened_ns.is_none()
        {
            connection.told.opened = true;
        }
    }

    pub(super) fn listening(&mut self, event: &SocketEvent) {
        let listener = Listener {
            local: event.local,
            end: End {
                state: TcpState::Listen,
                ..End::new(event, self.snapshot.number())
            },
            since_ns: (!event.found).then_some(event.at_ns),
        };
        if self.listeners.insert(event.id.address, listener) {
            self.changes.push(Change::ListenerOpened(listener));
        } else {
            self.audit.overflow += 1;
        }
    }

    pub(super) fn unlistened(&mut self, event: &SocketEvent) {
        if let Some(listener) = self.listeners.remove(event.id.address) {
            self.changes.push(Change::ListenerClosed(listener));
        }
    }
}
