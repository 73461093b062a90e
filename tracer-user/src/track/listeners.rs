//! Listening sockets, and which of them takes connections to an address.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use super::{connection::End, is_nameless};
use crate::{event::SocketEvent, hash::IdMap};

/// Listening sockets kept at most; more are counted, not kept.
const MAX: usize = 1 << 16;

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub local: SocketAddr,
    /// The socket and its owner.
    pub end: End,
    /// Since when; absent when older than the tracer.
    pub since_ns: Option<u64>,
}

/// All listening sockets, by socket and by port.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    by_socket: IdMap<u64, Listener>,
    /// Namespace and port to sockets, in the order of their coming.
    by_port: HashMap<(u32, u16), Vec<u64>>,
    /// Port to the namespaces of its listeners, one for each.
    namespaces: HashMap<u16, Vec<u32>>,
    /// Grows with everything that may have changed.
    version: u64,
}

impl Listeners {
    /// Adds or replaces; false when there is no room.
    pub(super) fn insert(&mut self, key: u64, listener: Listener) -> bool {
        if self.by_socket.len() >= MAX && !self.by_socket.contains_key(&key) {
            return false;
        }
        self.remove(key);
        self.version += 1;
        self.by_port
            .entry((listener.end.netns, listener.local.port()))
            .or_default()
            .push(key);
        self.namespaces
            .entry(listener.local.port())
            .or_default()
            .push(listener.end.netns);
        self.by_socket.insert(key, listener);
        true
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Listener> {
        let listener = self.by_socket.remove(&key)?;
        self.version += 1;
        let port = (listener.end.netns, listener.local.port());
        if let Some(keys) = self.by_port.get_mut(&port) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_port.remove(&port);
            }
        }
        let (netns, port) = port;
        if let Some(all) = self.namespaces.get_mut(&port) {
            if let Some(at) = all.iter().position(|other| *other == netns) {
                all.swap_remove(at);
            }
            if all.is_empty() {
                self.namespaces.remove(&port);
            }
        }
        Some(listener)
    }

    pub(super) fn get(&self, key: u64) -> Option<&Listener> {
        self.by_socket.get(&key)
    }

    /// Namespaces in which anything listens on `port`, some perhaps several times.
    pub(super) fn namespaces(&self, port: u16) -> &[u32] {
        self.namespaces.get(&port).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Listener> {
        self.by_socket.get_mut(&key)
    }

    /// The listener that `event` tells of: by its address in the kernel, or where that was not visible by where it
    /// listens and who holds it.
    pub(super) fn same(&mut self, event: &SocketEvent) -> Option<&mut Listener> {
        let address = event.id.address;
        if self.by_socket.contains_key(&address) {
            return self
                .by_socket
                .get_mut(&address)
                .filter(|listener| listener.local == event.local);
        }
        let keys = self.by_port.get(&(event.netns, event.local.port()))?;
        let tgid = event.owner.map(|owner| owner.tgid);
        let same = |listener: &Listener| {
            (is_nameless(address) || is_nameless(listener.end.id.address))
                && listener.local == event.local
                && listener.end.owner.map(|(owner, _)| owner.tgid) == tgid
        };
        let key = keys
            .iter()
            .find(|key| self.by_socket.get(key).is_some_and(same))
            .copied()?;
        self.by_socket.get_mut(&key)
    }

    /// A number that stands for the sockets and their owners as they are now.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Listener)> {
        self.by_socket.iter().map(|(key, listener)| (*key, listener))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Listener)> {
        self.version += 1;
        self.by_socket.iter_mut().map(|(key, listener)| (*key, listener))
    }

    /// The sockets one of which takes connections to `address` in `netns`, as the kernel chooses: the exact address before
    /// the unspecified one, the same family before `[::]`. Several of one address share its connections (`SO_REUSEPORT`),
    /// or are bound to a device each: what they take is bound to it too, and then `ifindex` tells.
    pub(super) fn candidates(&self, netns: u32, address: SocketAddr, ifindex: u32) -> Vec<&Listener> {
        let keys = self.by_port.get(&(netns, address.port()));
        let listeners = || {
            keys.into_iter()
                .flatten()
                .filter_map(|key| self.by_socket.get(key))
        };
        let exact = |listener: &&Listener| listener.local.ip() == address.ip();
        let same_family = |listener: &&Listener| {
            listener.local.ip().is_unspecified() && listener.local.is_ipv4() == address.is_ipv4()
        };
        let dual = |listener: &&Listener| listener.local.ip() == IpAddr::from([0_u16; 8]);
        let mut found: Vec<&Listener> = listeners().filter(exact).collect();
        if found.is_empty() {
            found.extend(listeners().filter(same_family));
        }
        if found.is_empty() {
            found.extend(listeners().filter(dual));
        }
        let bound = |listener: &&Listener| listener.end.ifindex == ifindex;
        if ifindex != 0 && found.iter().any(bound) {
            found.retain(bound);
        }
        found
    }

    /// The socket that takes connections to `address` in `netns`, if no two processes may.
    pub(super) fn serving(&self, netns: u32, address: SocketAddr) -> Option<&Listener> {
        let candidates = self.candidates(netns, address, 0);
        candidates
            .first()
            .copied()
            .filter(|_| have_one_owner(&candidates))
    }

    /// Whether anything listens on just that address, which then is one of the namespace's own.
    pub(super) fn exact(&self, netns: u32, address: SocketAddr) -> bool {
        let keys = self.by_port.get(&(netns, address.port()));
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.by_socket.get(key))
            .any(|listener| listener.local == address)
    }

    /// Whether anything listens there, whoever it is.
    pub(super) fn any(&self, netns: u32, address: SocketAddr) -> bool {
        let Some(keys) = self.by_port.get(&(netns, address.port())) else {
            return false;
        };
        keys.iter()
            .filter_map(|key| self.by_socket.get(key))
            .any(|listener| {
                let ip = listener.local.ip();
                ip == address.ip() || ip.is_unspecified()
            })
    }
}

/// Whether all have the same owner, or none.
pub(super) fn have_one_owner(listeners: &[&Listener]) -> bool {
    let mut owners = listeners
        .iter()
        .map(|one| one.end.owner.map(|(owner, _)| owner.tgid));
    owners
        .next()
        .is_none_or(|first| owners.all(|owner| owner == first))
}
