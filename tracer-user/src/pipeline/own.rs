//! The tracer's own connections, which are not traffic of the machine: by owner on its own side, by address on the other.
#![forbid(unsafe_code)]

use std::{collections::HashMap, net::SocketAddr};

use crate::{
    event::{Role, SocketEvent, What},
    track::Connection,
};

/// Own sockets remembered after their end before the oldest are forgotten.
const REMEMBERED_MAX: usize = 1024;
/// How long after the end of an own socket the other end may be told of, nanoseconds.
const LATE_NS: u64 = 5_000_000_000;

/// Addresses of own sockets that dialled.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Until when; `u64::MAX` while it is open.
    dialled_from: HashMap<SocketAddr, u64>,
}

impl Own {
    /// An own socket was told of.
    pub(super) fn seen(&mut self, event: &SocketEvent) {
        if matches!(event.role, Role::Listener | Role::Passive) || event.local.port() == 0 {
            return;
        }
        let until_ns = match event.what {
            What::Closed | What::Failed => event.at_ns.saturating_add(LATE_NS),
            What::Opened | What::Accepted | What::Listening | What::Unlistened | What::Seen => u64::MAX,
        };
        self.dialled_from.insert(event.local, until_ns);
        if self.dialled_from.len() > REMEMBERED_MAX {
            let now_ns = event.at_ns;
            self.dialled_from.retain(|_, until_ns| *until_ns > now_ns);
        }
    }

    /// Whether it is the other end of an own connection.
    pub(super) fn is_other_end(&self, connection: &Connection) -> bool {
        connection.source.is_none()
            && self
                .dialled_from
                .get(&connection.source_addr)
                .is_some_and(|until_ns| connection.first_ns <= *until_ns)
    }
}
