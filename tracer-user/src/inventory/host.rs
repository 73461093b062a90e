//! This node: its name, and the addresses of its interfaces with their times.
#![forbid(unsafe_code)]

use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// Addresses remembered, of interfaces and of those that had them.
const ADDRESSES_MAX: usize = 32_768;
/// News of an address come after it, and connections outlive it, by moments.
const SLACK_NS: u64 = 5_000_000_000;

/// This node.
#[derive(Debug, Default)]
pub(super) struct Host {
    name: Option<Arc<str>>,
    /// Since when, and until when an interface has or had it; an address that comes back is as if it had stayed.
    addresses: HashMap<IpAddr, (u64, Option<u64>)>,
}

impl Host {
    pub(super) fn call(&mut self, name: &str) {
        self.name = Some(name.into()).filter(|name: &Arc<str>| !name.is_empty());
    }

    pub(super) const fn name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// Takes an address; false when there is no room.
    pub(super) fn address(&mut self, address: IpAddr, at_ns: u64, has: bool) -> bool {
        if let Some((_, until_ns)) = self.addresses.get_mut(&address) {
            *until_ns = (!has).then_some(at_ns);
            return true;
        }
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.retain(|_, (_, until_ns)| until_ns.is_none());
        }
        let room = self.addresses.len() < ADDRESSES_MAX;
        if has && room {
            self.addresses.insert(address, (at_ns, None));
        }
        room
    }

    /// This node, if it had the address then; 0 for now.
    pub(super) fn at(&self, address: IpAddr, at_ns: u64) -> Option<&Arc<str>> {
        let (since_ns, until_ns) = self.addresses.get(&address)?;
        let then = match (at_ns, until_ns) {
            (0, until_ns) => until_ns.is_none(),
            (_, None) => since_ns.saturating_sub(SLACK_NS) <= at_ns,
            (_, Some(until_ns)) => {
                (since_ns.saturating_sub(SLACK_NS)..=until_ns.saturating_add(SLACK_NS)).contains(&at_ns)
            }
        };
        self.name.as_ref().filter(|_| then)
    }

    /// The lowest address that it has now, and that is not a loopback one.
    pub(super) fn lowest(&self) -> Option<IpAddr> {
        let now = self
            .addresses
            .iter()
            .filter(|(_, (_, until_ns))| until_ns.is_none());
        now.map(|(address, _)| *address)
            .filter(|address| !address.is_loopback())
            .min()
    }

    pub(super) fn has_had(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }
}
