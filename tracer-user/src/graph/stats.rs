//! Sums of edges: what one connection adds, and what two edges are together.
#![forbid(unsafe_code)]

use super::{EdgeStats, build::Contribution};
use crate::report::ClosedBy;

impl EdgeStats {
    /// Adds a connection.
    pub(super) fn add(&mut self, what: &Contribution) {
        self.seen(what.seen_unix_ns);
        self.families.0 |= what.families.0;
        self.families.1 |= what.families.1;
        if let Some(failure) = what.failed {
            *self.failed.entry(failure).or_default() += 1;
            return;
        }
        self.opened += 1;
        self.active += u64::from(what.active);
        self.joined += u64::from(what.joined);
        self.found += u64::from(what.found);
        self.direction_guessed += u64::from(what.direction_guessed);
        if let Some(counters) = what.counters {
            self.sent_bytes = self.sent_bytes.saturating_add(counters.sent_bytes);
            self.received_bytes = self.received_bytes.saturating_add(counters.received_bytes);
            self.retransmits = self.retransmits.saturating_add(u64::from(counters.retransmits));
            if counters.rtt_us != 0 {
                self.rtt_us = Some(counters.rtt_us);
            }
        }
        match what.closed_by {
            Some(ClosedBy::Source) => self.closed_by_source += 1,
            Some(ClosedBy::Destination) => self.closed_by_destination += 1,
            Some(ClosedBy::Reset) => self.closed_by_reset += 1,
            Some(ClosedBy::Unseen) | None => {}
        }
    }

    /// Adds another edge, which is the same at a coarser grain.
    pub(super) fn merge(&mut self, other: &Self) {
        // The later sample speaks; of two as late, the greater, so that the order does not show.
        let own = (self.seen_unix_ns.1, self.rtt_us);
        let others = (other.seen_unix_ns.1, other.rtt_us);
        self.rtt_us = match (own.1, others.1) {
            (Some(_), Some(_)) => own.max(others).1,
            (one, None) | (None, one) => one,
        };
        self.seen(other.seen_unix_ns);
        self.families.0 |= other.families.0;
        self.families.1 |= other.families.1;
        for (failure, count) in &other.failed {
            *self.failed.entry(*failure).or_default() += count;
        }
        self.opened += other.opened;
        self.active += other.active;
        self.joined += other.joined;
        self.found += other.found;
        self.direction_guessed += other.direction_guessed;
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(other.received_bytes);
        self.retransmits = self.retransmits.saturating_add(other.retransmits);
        self.closed_by_source += other.closed_by_source;
        self.closed_by_destination += other.closed_by_destination;
        self.closed_by_reset += other.closed_by_reset;
    }

    fn seen(&mut self, (first, last): (i64, i64)) {
        self.seen_unix_ns = (self.seen_unix_ns.0.min(first), self.seen_unix_ns.1.max(last));
    }
}
