//! How far a run can be trusted: what was lost, missed and repaired, and what does not work.
#![forbid(unsafe_code)]

use super::Pipeline;
use crate::{graph::Health, signal::Degraded};

impl Pipeline {
    /// What did not fit into the limits of naming, and ends that could not be told apart.
    fn crowded(&self) -> impl Iterator<Item = Degraded> {
        let audit = self.tracker.audit();
        let forgotten = audit.translations_forgotten;
        let refused = self.attribution.inventory.refused();
        let crowd = |count: u64, what: &str| {
            (count > 0).then(|| Degraded {
                what: format!("{count} {what}"),
                why: "a limit of memory was reached".to_owned(),
                remedy: "none: connections are complete, some names or services are missing".to_owned(),
            })
        };
        let sockets_max = self.session.sockets_max;
        let full = (self.counters.table_full > 0).then(|| Degraded {
            what: "some connections have no owner".to_owned(),
            why: format!("the kernel side remembers at most {sockets_max} sockets, and there were more"),
            remedy: format!("--max-sockets {}", sockets_max.saturating_mul(4)),
        });
        crowd(forgotten, "translations of connections were forgotten")
            .into_iter()
            .chain(crowd(refused, "facts about pods and services were not taken"))
            .chain(full)
            .chain((audit.ambiguous > 0).then(|| Degraded {
                what: format!(
                    "{} ends of connections were not joined with any other",
                    audit.ambiguous
                ),
                why: "the same addresses and ports are in use in several network namespaces".to_owned(),
                remedy: "none: each end is shown as a connection of its own".to_owned(),
            }))
    }

    /// How far everything can be trusted.
    pub fn health(&self) -> Health {
        let audit = self.tracker.audit();
        let seen = audit.confirmed + audit.missed;
        let recall = (audit.snapshots > 1 && seen > 0).then(|| audit.confirmed * 1_000_000 / seen);
        Health {
            lost: self.counters.lost(),
            undecodable: self.undecodable,
            delivered: self.delivered,
            ownerless: self.counters.table_full + self.counters.no_owner,
            snapshots: audit.snapshots,
            missed: audit.missed,
            ghosts: audit.ghosts,
            recall_ppm: recall.and_then(|ppm| u32::try_from(ppm).ok()),
            overflow: audit.overflow + self.crowded_out,
            cut_off: self.cut_off,
            canaries: (self.canaries_made, self.canaries_seen),
            programs: self.programs.health(),
            degraded: self
                .degraded
                .iter()
                .chain(self.faults.values())
                .cloned()
                .chain(self.crowded())
                .chain(self.programs.faults())
                .collect(),
        }
    }
}
