//! Who had an address when: tenures, because addresses are given to another pod within a second.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use super::few::Few;
use crate::attribute::place::Pod;

/// Tenures kept of one address.
const KEPT_OF_ONE: usize = 16;
/// Tenures kept that are over, of all addresses.
const OVER_MAX: usize = 65_536;
/// A pod's beginning is told in whole seconds by some, and its address is older than the news of it.
const EARLY_NS: u64 = 5_000_000_000;
/// Connections outlive their pod's address by moments.
const LATE_NS: u64 = 60_000_000_000;

/// A pod that has or had an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The pod, as it is known now.
    pub pod: Arc<Pod>,
    /// Since when, `CLOCK_BOOTTIME` nanoseconds; 0 for always.
    pub since_ns: u64,
    /// Until when; `u64::MAX` while it has it.
    pub until_ns: u64,
}

/// All tenures.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// In order of their beginnings, never empty.
    by_address: HashMap<Address, Few<Tenant>>,
    /// Addresses of tenures that are over, oldest first.
    over: VecDeque<Address>,
}

/// An address without its family, IPv4 as `::ffff:a.b.c.d`: an eighth less to keep.
type Address = [u8; 16];

const fn octets(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl Addresses {
    /// `pod` has `address` since then, as far as known; or is known better now.
    pub(super) fn begin(&mut self, address: IpAddr, pod: &Arc<Pod>, since_ns: u64) {
        let address = octets(address);
        let tenures = self.by_address.entry(address).or_default();
        if let Some(known) = tenures
            .iter_mut()
            .rev()
            .find(|known| known.pod.uid == pod.uid && known.until_ns == u64::MAX)
        {
            known.pod = Arc::clone(pod);
            known.since_ns = known.since_ns.min(since_ns);
            return;
        }
        // Whoever had it before has it no more, whether or not that was told.
        for earlier in tenures.iter_mut().filter(|earlier| earlier.until_ns > since_ns) {
            if earlier.since_ns <= since_ns {
                earlier.until_ns = since_ns;
                self.over.push_back(address);
            }
        }
        let younger = tenures
            .iter()
            .map(|other| other.since_ns)
            .filter(|other| *other > since_ns)
            .min();
        let at = tenures.partition_point(|other| other.since_ns <= since_ns);
        let new = Tenant {
            pod: Arc::clone(pod),
            since_ns,
            until_ns: younger.unwrap_or(u64::MAX),
        };
        if tenures.is_empty() {
            tenures.push(new);
        } else {
            tenures.edit(|all| {
                all.insert(at, new);
                if all.len() > KEPT_OF_ONE {
                    all.remove(0);
                }
            });
        }
        self.trim();
    }

    /// `uid` has `address` no more.
    pub(super) fn end(&mut self, address: IpAddr, uid: &str, at_ns: u64) {
        let address = octets(address);
        let Some(tenures) = self.by_address.get_mut(&address) else {
            return;
        };
        let theirs = |tenure: &&mut Tenant| &*tenure.pod.uid == uid && tenure.until_ns == u64::MAX;
        if let Some(tenure) = tenures.iter_mut().find(theirs) {
            tenure.until_ns = at_ns.max(tenure.since_ns);
            self.over.push_back(address);
        }
        self.trim();
    }

    /// A pod is known better: its tenures show it.
    pub(super) fn renew(&mut self, address: IpAddr, pod: &Arc<Pod>) {
        let tenures = self.by_address.get_mut(&octets(address));
        let tenures = tenures.into_iter().flat_map(|tenures| tenures.iter_mut());
        for tenure in tenures.filter(|tenure| tenure.pod.uid == pod.uid) {
            tenure.pod = Arc::clone(pod);
        }
    }

    /// Forgets the oldest that are over beyond the limit.
    fn trim(&mut self) {
        while self.over.len() > OVER_MAX {
            let Some(address) = self.over.pop_front() else {
                return;
            };
            if let Some(tenures) = self.by_address.get_mut(&address) {
                if let Some(oldest) = tenures.iter().position(|tenure| tenure.until_ns != u64::MAX) {
                    tenures.edit(|all| drop(all.remove(oldest)));
                }
                if tenures.is_empty() {
                    self.by_address.remove(&address);
                }
            }
        }
    }

    /// Who had an address at a time. Where nobody is known for that very moment: who got it just after, since news of
    /// beginnings are late; else who had it just before.
    pub(super) fn at(&self, address: IpAddr, at_ns: u64) -> Option<&Tenant> {
        let tenures = self.by_address.get(&octets(address))?;
        let then = tenures
            .iter()
            .rev()
            .find(|tenure| tenure.since_ns <= at_ns && at_ns < tenure.until_ns);
        then.or_else(|| {
            tenures
                .iter()
                .find(|tenure| tenure.since_ns > at_ns && tenure.since_ns - at_ns <= EARLY_NS)
        })
        .or_else(|| {
            tenures
                .iter()
                .rev()
                .find(|tenure| tenure.until_ns <= at_ns && at_ns - tenure.until_ns <= LATE_NS)
        })
    }
}
