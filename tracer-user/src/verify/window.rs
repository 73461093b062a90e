//! Who reached an etcd during a window: what connections at its end no longer show.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{Evidence, servers};
use crate::{
    attribute::{Claim, Quality, rules::PortUse},
    report::{ConnectionRow, Happened, Happening, Party},
};

/// Distinct clients kept of a window; more are counted together.
pub(super) const CLIENTS_MAX: usize = 4096;

/// Address and namespace of the client, which process of all it was and as which program, and what it reached: an id may
/// be another's a moment later, and a process another program.
type Key = (IpAddr, u32, u64, u64, u32, SocketAddr);

/// A client and what it reached.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub(super) evidence: Evidence,
    /// Who it reached, whichever way that is known: where a listening socket's owner stands in, that owner.
    pub(super) server: Arc<Claim>,
}

/// Who reached an etcd.
#[derive(Debug, Default)]
pub struct Window {
    reached: BTreeMap<Key, Reached>,
    overflow: u64,
}

impl Window {
    /// Takes a happening into account.
    pub fn happening(&mut self, happening: &Happening) {
        let connections = match happening.what {
            Happened::Opened => 1,
            // One that was there before the window is counted by its end.
            Happened::Closed { .. } => u64::from(happening.duration_ns.is_none()),
            Happened::Accepted
            | Happened::Failed { .. }
            | Happened::ListenerOpened
            | Happened::ListenerClosed => return,
        };
        if servers::may_be_etcd(&happening.destination) {
            self.reach(&happening.source, &happening.destination, connections);
        }
    }

    /// Takes what is alive at the end into account; what opened before the window counts too.
    pub fn connection(&mut self, row: &ConnectionRow) {
        if servers::may_be_etcd(&row.destination) {
            let known = row.since_unix_ns.is_some();
            self.reach(&row.source, &row.destination, u64::from(!known));
        }
    }

    /// At the end, names are made anew: records and /proc may have told since. `again` gives nothing for a program that has
    /// been forgotten, which then proves nothing any more.
    pub fn rename(&mut self, mut again: impl FnMut(&Party, PortUse) -> Option<Arc<Claim>>) {
        for reached in self.reached.values_mut() {
            let Evidence {
                source, destination, ..
            } = &mut reached.evidence;
            let port = destination.address.port();
            if source.process.is_some() {
                let claim = again(source, PortUse::Dials(port));
                source.claim = claim.unwrap_or_else(|| outdated(&source.claim));
            }
            if destination.process.is_some() {
                let claim = again(destination, PortUse::Serves(port));
                reached.server = claim.unwrap_or_else(|| outdated(&destination.claim));
            }
        }
    }

    pub(super) fn reached(&self) -> impl Iterator<Item = &Reached> {
        self.reached.values()
    }

    pub(super) const fn overflow(&self) -> u64 {
        self.overflow
    }

    fn reach(&mut self, source: &Party, destination: &Party, connections: u64) {
        let (instance, program) = source
            .process
            .as_ref()
            .map_or((0, 0), |process| (process.instance, process.program));
        let key = (
            source.address.ip(),
            source.netns,
            instance,
            program,
            destination.netns,
            destination.address,
        );
        if self.reached.len() >= CLIENTS_MAX && !self.reached.contains_key(&key) {
            self.overflow += 1;
            return;
        }
        let reached = self.reached.entry(key).or_insert_with(|| Reached {
            evidence: Evidence {
                source: source.clone(),
                destination: destination.clone(),
                connections: 0,
                note: String::new(),
            },
            server: Arc::clone(&destination.claim),
        });
        reached.evidence.connections += connections;
        // The latest names are the best.
        reached.evidence.source.claim = Arc::clone(&source.claim);
        reached.evidence.destination.claim = Arc::clone(&destination.claim);
        reached.server = Arc::clone(&destination.claim);
    }
}

fn outdated(claim: &Arc<Claim>) -> Arc<Claim> {
    Arc::new(Claim {
        quality: claim.quality.max(Quality::Outdated),
        ..Claim::clone(claim)
    })
}
