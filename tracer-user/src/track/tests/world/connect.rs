//! The life of a connection in the model: dialled, answered, accepted, passed on, closed.

use std::net::SocketAddr;

use tracer_common::wire::{kind, role};

use super::{
    CLOSE_WAIT, Conn, ESTABLISHED, FIN_WAIT2, LAST_ACK, Plan, SYN_RECV, SYN_SENT, Side, Sock, World,
};

impl World {
    /// SYN sent, no answer yet.
    pub(crate) fn dial(&mut self, plan: Plan) -> usize {
        // Ports come round again, but not within a tenth of a millisecond.
        self.wait(200_000);
        let id = self.conns.len();
        let source = plan.source.0.map(|netns| {
            let ends = (plan.source.1, plan.destination.1);
            let address = self.connecting(netns, ends, plan.client);
            self.remember(address, Some(plan.client), role::ACTIVE);
            address
        });
        self.conns.push(Conn {
            plan,
            source,
            destination: None,
            established: false,
            failed: None,
            ended: false,
            accepted: false,
            before: false,
            older: false,
            bytes: (0, 0),
            first_fin: None,
        });
        id
    }

    fn connecting(&mut self, netns: u32, ends: (SocketAddr, SocketAddr), tgid: u32) -> u64 {
        self.put(Sock {
            netns,
            local: ends.0,
            remote: ends.1,
            state: SYN_SENT,
            holders: [tgid].into(),
            sent: 0,
            received: 0,
        })
    }

    /// The handshake completes.
    pub(crate) fn answer(&mut self, id: usize) {
        self.wait(1000);
        let plan = self.conns[id].plan;
        let mut opened = Vec::new();
        if let Some(address) = self.conns[id].source {
            opened.push((address, SYN_SENT));
        }
        if let Some(netns) = plan.destination.0 {
            let holder = plan.other_client.unwrap_or_default();
            let address = self.connecting(netns, (plan.destination.1, plan.source.1), holder);
            if plan.other_client.is_some() {
                self.remember(address, plan.other_client, role::ACTIVE);
                self.conns[id].accepted = true;
            } else {
                self.sock(address).holders.clear();
                self.remember(address, None, role::PASSIVE);
            }
            self.conns[id].destination = Some(address);
            opened.push((address, SYN_RECV));
        }
        for (address, from) in opened {
            self.sock(address).state = ESTABLISHED;
            self.established(address, from);
        }
        self.conns[id].established = true;
        self.conns[id].older = !self.attached;
    }

    pub(crate) fn connect(&mut self, plan: Plan) -> usize {
        let id = self.dial(plan);
        self.answer(id);
        id
    }

    /// A connect that has not been answered fails.
    pub(crate) fn fail(&mut self, id: usize, errno: u32) {
        self.wait(1000);
        if let Some(address) = self.conns[id].source {
            self.end_socket(address, kind::FAILED, SYN_SENT, errno);
        }
        self.conns[id].failed = self.attached.then_some(errno);
        self.conns[id].ended = true;
    }

    pub(crate) fn accept(&mut self, id: usize, tgid: u32) {
        self.wait(1000);
        let Some(address) = self.conns[id].destination.filter(|_| !self.conns[id].accepted) else {
            return;
        };
        self.conns[id].accepted = true;
        self.sock(address).holders = [tgid].into();
        if self.accept_hook {
            self.accepted(address, tgid);
        }
    }

    /// The descriptor moves to another process, or is shared with it.
    pub(crate) fn pass(&mut self, id: usize, side: Side, tgid: u32, keep: bool) {
        self.wait(1000);
        let Some(address) = self.end(id, side) else {
            return;
        };
        let holders = &mut self.sock(address).holders;
        if holders.is_empty() {
            return;
        }
        if !keep {
            holders.clear();
        }
        holders.insert(tgid);
    }

    pub(crate) fn transfer(&mut self, id: usize, sent: u64, received: u64) {
        self.wait(1000);
        let conn = &mut self.conns[id];
        if !conn.is_alive() || conn.first_fin.is_some() {
            return;
        }
        conn.bytes = (conn.bytes.0 + sent, conn.bytes.1 + received);
        for (side, sent, received) in [
            (Side::Source, sent, received),
            (Side::Destination, received, sent),
        ] {
            if let Some(address) = self.end(id, side) {
                let sock = self.sock(address);
                (sock.sent, sock.received) = (sock.sent + sent, sock.received + received);
            }
        }
    }

    /// One side closes; the second to do so ends the connection.
    pub(crate) fn close(&mut self, id: usize, side: Side) {
        self.wait(1000);
        if !self.conns[id].is_alive() || self.conns[id].first_fin == Some(side) {
            return;
        }
        if let Some(address) = self.end(id, side) {
            self.sock(address).holders.clear();
            self.closing(address);
        }
        let Some(first) = self.conns[id].first_fin else {
            self.conns[id].first_fin = Some(side);
            let other = opposite(side);
            if let Some(address) = self.end(id, side) {
                self.sock(address).state = FIN_WAIT2;
            }
            if let Some(address) = self.end(id, other) {
                let sock = self.sock(address);
                sock.state = CLOSE_WAIT;
            }
            return;
        };
        if let Some(address) = self.end(id, first) {
            self.end_socket(address, kind::CLOSED, FIN_WAIT2, 0);
        }
        if let Some(address) = self.end(id, side) {
            self.end_socket(address, kind::CLOSED, LAST_ACK, 0);
        }
        self.over(id);
    }

    pub(crate) fn reset(&mut self, id: usize) {
        self.wait(1000);
        if !self.conns[id].is_alive() {
            return;
        }
        for side in [Side::Source, Side::Destination] {
            if let Some(address) = self.end(id, side) {
                let state = self.sockets[&address].state;
                self.end_socket(address, kind::CLOSED, state, 104);
            }
        }
        self.over(id);
    }

    fn over(&mut self, id: usize) {
        self.conns[id].ended = true;
        self.conns[id].before = !self.attached;
    }
}

const fn opposite(side: Side) -> Side {
    match side {
        Side::Source => Side::Destination,
        Side::Destination => Side::Source,
    }
}
