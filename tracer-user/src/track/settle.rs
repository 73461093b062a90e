//! When a connection is told of, when it is over, and what becomes of ends nobody saw.
#![forbid(unsafe_code)]

use super::{Change, Connection, JOIN_NS, JOIN_TRANSLATED_NS, Tracker, slot};

impl Tracker {
    /// How long an end waits for the other.
    pub(super) fn join_ns(&self) -> u64 {
        if self.nat.is_empty() {
            JOIN_NS
        } else {
            JOIN_TRANSLATED_NS
        }
    }

    /// Tells what can be told of a connection; forgets it when nothing is left of it. `waited`: its other end did not
    /// come in time.
    pub(super) fn settle(&mut self, id: u64, waited: bool) {
        if let Some((main, turned)) = self.mptcp.part(id) {
            return self.settle_subflow(id, main, turned, waited);
        }
        let join_ns = self.join_ns();
        let lives_on = self.mptcp.has_further(id);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let both = connection.is_joined();
        let opened = !connection.told.opened && (both || waited);
        connection.told.opened |= opened;
        let accepted =
            connection.told.opened && !connection.told.accepted && connection.accepted_ns.is_some();
        connection.told.accepted |= accepted;
        let all_ended = !lives_on && !connection.is_alive();
        let any_ended = !lives_on && connection.ends().any(|end| !end.is_alive());
        let mut closed = false;
        if any_ended && !connection.told.closed {
            if (both && all_ended) || waited {
                connection.told.closed = true;
                closed = true;
            } else {
                connection.waits_until_ns = connection.last_ns.saturating_add(join_ns);
                self.waiting.push_back((connection.waits_until_ns, id));
            }
        }
        let over = all_ended && connection.told.closed;
        if opened || accepted || closed {
            let first = *connection;
            let whole = self.whole(id, &first);
            let told = [
                opened.then_some(Change::Opened(whole)),
                accepted.then_some(Change::Accepted(whole)),
                closed.then_some(Change::Closed(whole)),
            ];
            self.changes.extend(told.into_iter().flatten());
        }
        if over {
            self.finish(id);
        }
    }

    /// A further subflow tells nothing of its own. Once both its ends are gone, or the other did not come, it is over.
    fn settle_subflow(&mut self, id: u64, main: u64, turned: bool, waited: bool) {
        let join_ns = self.join_ns();
        let Some(subflow) = self.connections.get_mut(&id) else {
            return;
        };
        if subflow.is_alive() {
            return;
        }
        if subflow.is_joined() || waited {
            self.end_subflow(id, main, turned);
        } else {
            subflow.waits_until_ns = subflow.last_ns.saturating_add(join_ns);
            self.waiting.push_back((subflow.waits_until_ns, id));
        }
    }

    /// Forgets a connection and hands over its sums.
    pub(super) fn finish(&mut self, id: u64) {
        let Some(first) = self.connections.get(&id) else {
            return;
        };
        let whole = self.whole(id, first);
        self.forget(id);
        self.mptcp.forget(id);
        self.changes.push(Change::Finished(whole));
    }

    /// Forgets a connection, its sockets and its tuples.
    pub(super) fn forget(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        for end in connection.ends() {
            self.forget_place(end.id.address, id);
        }
        for key in connection.keys() {
            if self.by_tuple.remove(&key, id) && connection.translated.is_none() {
                break;
            }
        }
        Some(connection)
    }

    /// A connection whose tuple was taken by a younger one.
    pub(super) fn supersede(&mut self, id: u64, at_ns: u64) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        for end in connection
            .source
            .iter_mut()
            .chain(connection.destination.iter_mut())
        {
            if end.is_alive() {
                end.end_unseen(at_ns);
                self.audit.ghosts += 1;
            }
        }
        self.settle(id, true);
    }

    /// The socket at `address` has ended without a record.
    pub(super) fn end_unseen(&mut self, address: u64, at_ns: u64) {
        if let Some(place) = self.by_socket.get(&address).copied() {
            self.end_of_unseen(place.connection, place.is_source, at_ns);
        }
    }

    /// An end has ended without a record.
    pub(super) fn end_of_unseen(&mut self, id: u64, is_source: bool, at_ns: u64) {
        let connection = self.connections.get_mut(&id);
        if let Some(end) = connection.and_then(|found| slot(found, is_source).as_mut())
            && end.is_alive()
        {
            end.end_unseen(at_ns);
            self.audit.ghosts += 1;
            let address = end.id.address;
            self.forget_place(address, id);
        }
        self.settle(id, true);
    }

    /// A younger socket may have the address by now: its place stays.
    pub(super) fn forget_place(&mut self, address: u64, id: u64) {
        if self
            .by_socket
            .get(&address)
            .is_some_and(|place| place.connection == id)
        {
            self.by_socket.remove(&address);
        }
    }
}
