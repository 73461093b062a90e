//! What a cluster does that is upgraded: all is listed again and again, each time with others in the old places.

use anyhow::Result;
use tracer_user::{
    inventory::Inventory,
    signal::inventory::{Fact, Kind},
};

use crate::{
    cluster::{Cluster, PODS, SERVICES},
    list,
    measure::{resident_bytes, row},
};

/// Storms one after the other: so many that every limit of what is kept of the past is reached.
const STORMS: u32 = 20;
/// One pod in so many is replaced by each.
const ONE_IN: u32 = 10;

pub(crate) fn run(cluster: &Cluster, inventory: &mut Inventory) -> Result<()> {
    let before = resident_bytes()?;
    row("resident memory before", before >> 20, "MiB")?;
    for storm in 1..=STORMS {
        // How often its turn has come, of all storms so far.
        let life = |pod: u32| (storm + ONE_IN - 1 - pod % ONE_IN) / ONE_IN;
        let pods = |number: u32| {
            let pod = cluster.pod(number, life(number));
            pod.into_iter().map(|pod| Fact::Pod(Box::new(pod))).collect()
        };
        let slices = |number: u32| {
            let slices = cluster.slices(number, life);
            slices
                .into_iter()
                .map(|slice| Fact::Endpoints(Box::new(slice)))
                .collect()
        };
        let at_ns = u64::from(storm) * 1_000_000_000;
        let told = list(inventory, at_ns, Kind::Pods, PODS, &pods);
        list(inventory, at_ns, Kind::Endpoints, SERVICES, &slices);
        if [1, 2, 5, 10, STORMS].contains(&storm) {
            let grown = resident_bytes()?.saturating_sub(before);
            row(&format!("grown after storm {storm}"), grown >> 10, "KiB")?;
            row(
                &format!("CPU time to take a pod in storm {storm}"),
                told.spent_ns / told.facts.max(1),
                "ns",
            )?;
        }
    }
    Ok(())
}
