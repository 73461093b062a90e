//! The benchmark of names: what a large cluster costs in memory, what a fact and a lookup cost in time, and what
//! naming adds to each record.
//!
//! `cargo xtask bench names`. Needs no rights. Prints Markdown tables.
#![forbid(unsafe_code)]

mod cluster;
mod measure;
mod naming;
mod storm;
mod traffic;

use std::{hint::black_box, net::IpAddr};

use anyhow::{Result, ensure};
use cluster::{Cluster, EPOCH_NS, NODES, PODS, SERVICES, told};
use measure::{each_ns, resident_bytes, row, spent_ns, table};
use tracer_user::{
    inventory::Inventory,
    signal::inventory::{Fact, Kind},
};

/// Keys looked up, in no order: the processor's caches help as little as they do with traffic.
const LOOKUPS: u32 = 1 << 17;
/// Facts made at once: few, so that they hardly count as memory, and are as fresh as those of a source.
const AT_ONCE: u32 = 50;

/// The facts of one thing, by its number.
type Facts<'a> = dyn Fn(u32) -> Vec<Fact> + 'a;

fn main() -> Result<()> {
    let cluster = Cluster::new();
    let mut inventory = Inventory::new(EPOCH_NS, Some(&cluster::node_name(0)));
    table(&format!("{NODES} nodes, {PODS} pods, {SERVICES} services"))?;
    fill(&cluster, &mut inventory)?;
    lookups(&inventory)?;
    table("Storms: all pods listed anew, a tenth of them replaced, with their addresses")?;
    storm::run(&cluster, &mut inventory)?;
    drop(inventory);
    table("Naming")?;
    naming::run(&cluster)
}

/// Tells of everything, kind by kind.
fn fill(cluster: &Cluster, inventory: &mut Inventory) -> Result<()> {
    let kinds: [(&str, Kind, u32, &Facts<'_>); 4] = [
        ("node", Kind::Nodes, NODES, &|number| {
            vec![Fact::Node(Box::new(Cluster::node(number)))]
        }),
        ("pod", Kind::Pods, PODS, &|number| {
            let pod = cluster.pod(number, 0);
            pod.into_iter().map(|pod| Fact::Pod(Box::new(pod))).collect()
        }),
        ("service", Kind::Services, SERVICES, &|number| {
            let service = cluster.service(number);
            service
                .into_iter()
                .map(|service| Fact::Service(Box::new(service)))
                .collect()
        }),
        ("endpoint slice", Kind::Endpoints, SERVICES, &|number| {
            let slices = cluster.slices(number, |_pod| 0);
            slices
                .into_iter()
                .map(|slice| Fact::Endpoints(Box::new(slice)))
                .collect()
        }),
    ];
    let before = resident_bytes()?;
    for (name, kind, count, facts) in kinds {
        let begun = resident_bytes()?;
        let told = list(inventory, 1, kind, count, facts);
        let grown = resident_bytes()?.saturating_sub(begun);
        row(&format!("facts of kind {name}"), told.facts, "")?;
        row(
            &format!("resident memory by {name}"),
            grown / told.facts.max(1),
            "bytes",
        )?;
        row(
            &format!("CPU time to take one {name}"),
            told.spent_ns / told.facts.max(1),
            "ns",
        )?;
        if kind == Kind::Endpoints {
            row(
                "resident memory by endpoint",
                grown / told.endpoints.max(1),
                "bytes",
            )?;
            row(
                "CPU time to take an endpoint",
                told.spent_ns / told.endpoints.max(1),
                "ns",
            )?;
        }
    }
    let all = resident_bytes()?.saturating_sub(before);
    row("resident memory of everything", all >> 20, "MiB")?;
    row("the same by pods", all / u64::from(PODS), "bytes")?;
    ensure!(
        inventory.counts().get("pods") == Some(&(PODS as usize)),
        "not all pods were taken"
    );
    Ok(())
}

/// What telling a list came to.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) facts: u64,
    endpoints: u64,
    pub(crate) spent_ns: u64,
}

/// Tells a whole list; only the inventory's own work is timed.
pub(crate) fn list(inventory: &mut Inventory, at_ns: u64, kind: Kind, count: u32, facts: &Facts<'_>) -> List {
    let mut list = List::default();
    let begin = told(at_ns, Fact::Listing(kind));
    list.spent_ns += spent_ns(|| inventory.apply(&begin));
    let mut next = 0;
    while next < count {
        let until = count.min(next + AT_ONCE);
        let some: Vec<_> = (next..until)
            .flat_map(facts)
            .map(|fact| told(at_ns, fact))
            .collect();
        list.facts += some.len() as u64;
        list.endpoints += some.iter().map(endpoints).sum::<u64>();
        list.spent_ns += spent_ns(|| some.iter().for_each(|one| inventory.apply(one)));
        next = until;
    }
    let end = told(at_ns, Fact::Listed(kind));
    list.spent_ns += spent_ns(|| inventory.apply(&end));
    list
}

fn endpoints(told: &tracer_user::signal::inventory::Inventory) -> u64 {
    if let Fact::Endpoints(slice) = &told.fact {
        slice.endpoints.len() as u64
    } else {
        0
    }
}

fn lookups(inventory: &Inventory) -> Result<()> {
    let some = |count: u32| {
        let numbers = (0..u64::from(LOOKUPS)).map(move |n| cluster::mixed(n) % u64::from(count));
        numbers.filter_map(|number| u32::try_from(number).ok())
    };
    let uids: Vec<String> = some(PODS).map(|pod| cluster::uid(pod, 0)).collect();
    let addresses: Vec<IpAddr> = some(PODS).map(cluster::address).collect();
    let services: Vec<IpAddr> = some(SERVICES).map(cluster::service_address).collect();
    let mut found = 0_u64;
    let mut count = |is_there: bool| found += u64::from(is_there);
    row(
        "lookup by uid",
        each_ns(&uids, |uid| count(inventory.pod(uid).is_some())),
        "ns",
    )?;
    let at = |address: &IpAddr| inventory.at(*address, 7).is_some();
    row(
        "lookup by address at a time",
        each_ns(&addresses, |address| count(at(address))),
        "ns",
    )?;
    let service = |address: &IpAddr| inventory.service_at(*address, 80).is_some();
    row(
        "lookup by service address and port",
        each_ns(&services, |address| count(service(address))),
        "ns",
    )?;
    let of = |address: &IpAddr| black_box(inventory.services_of(&[*address])).len() < 2;
    row(
        "services of an address",
        each_ns(&addresses, |address| count(of(address))),
        "ns",
    )?;
    let node = |address: &IpAddr| inventory.node_of_pods(*address).is_some();
    row(
        "node whose pods an address is for",
        each_ns(&addresses, |address| count(node(address))),
        "ns",
    )?;
    ensure!(found == u64::from(LOOKUPS) * 5, "not everything was found");
    Ok(())
}
