//! What naming adds to a record: connections of this node's pods to others, with nothing known of any, with all known,
//! and with news of pods in between, which make every name to be looked up anew.

use std::sync::Arc;

use anyhow::{Result, ensure};
use tracer_common::wire::SocketRecord;
use tracer_user::{
    attribute::{Who, rules::Rules},
    graph::GroupBy,
    pipeline::{CONNECTIONS_MAX, Pipeline},
    report::Happening,
    signal::{Session, Signal, inventory::Fact},
};
use zerocopy::IntoBytes;

use crate::{
    cluster::{self, Cluster, EPOCH_NS, NODES, PODS, SERVICES, told},
    measure::{row, spent_ns},
    traffic::{CONNECTIONS, HOST_NETNS, own_pods, process, records},
};

const ROUNDS: usize = 7;
/// Records between two ticks, and two news of a pod.
const STEP: usize = 100;

/// What is known, and whether events are wanted beside the graph.
struct Lane {
    name: &'static str,
    known: bool,
    news: bool,
    events: bool,
    pipeline: Pipeline,
    ns: Vec<u64>,
}

pub(crate) fn run(cluster: &Cluster) -> Result<()> {
    let rules = Arc::new(Rules::load(None)?);
    let lane = |name, known, news, events| Lane {
        name,
        known,
        news,
        events,
        pipeline: begun(cluster, &rules, known),
        ns: Vec::new(),
    };
    let mut lanes = vec![
        lane("graph, nothing known", false, false, false),
        lane("graph, all pods known", true, false, false),
        lane(
            "graph, all pods known, news of a pod every 100 records",
            true,
            true,
            false,
        ),
        lane("events, nothing known", false, false, true),
        lane("events, all pods known", true, false, true),
        lane(
            "events, all pods known, news of a pod every 100 records",
            true,
            true,
            true,
        ),
    ];
    for round in 0..ROUNDS {
        let records = records(u32::try_from(round)? * CONNECTIONS);
        for lane in &mut lanes {
            let ns = lap(cluster, lane, &records);
            lane.ns.push(ns / records.len() as u64);
        }
    }
    let mut plain = 0;
    for lane in &mut lanes {
        lane.ns.sort_unstable();
        let ns = lane.ns.get(ROUNDS / 2).copied().unwrap_or_default();
        if !lane.known {
            plain = ns.max(1);
        }
        let percent = ns * 100 / plain.max(1);
        row(
            &format!("CPU by record: {}", lane.name),
            format!("{ns} ns, {percent}"),
            "%",
        )?;
        checked(lane)?;
    }
    Ok(())
}

/// A pipeline of the first node, its pods' processes running.
fn begun(cluster: &Cluster, rules: &Arc<Rules>, known: bool) -> Pipeline {
    let mut pipeline = Pipeline::new(rules, CONNECTIONS_MAX);
    let mut feed = |signal: &Signal<'_>| pipeline.feed(signal, None);
    feed(&Signal::Start(&Session {
        hostname: cluster::node_name(0),
        node: Some(cluster::node_name(0)),
        wall_offset_ns: EPOCH_NS,
        attached_ns: 1,
        host_netns: HOST_NETNS,
        self_netns: HOST_NETNS,
        self_tgid: 1,
        ..Session::default()
    }));
    if known {
        let nodes = (0..NODES).map(|number| Fact::Node(Box::new(Cluster::node(number))));
        let pods = (0..PODS).filter_map(|number| cluster.pod(number, 0));
        let pods = pods.map(|pod| Fact::Pod(Box::new(pod)));
        let slices = (0..SERVICES).flat_map(|number| cluster.slices(number, |_pod| 0));
        let slices = slices.map(|slice| Fact::Endpoints(Box::new(slice)));
        for fact in nodes.chain(pods).chain(slices) {
            feed(&Signal::Inventory(&told(1, fact)));
        }
    }
    for pod in own_pods() {
        let facts = process(pod);
        if let Some(path) = &facts.cgroup {
            feed(&Signal::Cgroup {
                id: u64::from(facts.tgid),
                path,
            });
        }
        feed(&Signal::Process(&facts));
    }
    pipeline
}

/// CPU time of one round, nanoseconds.
fn lap(cluster: &Cluster, lane: &mut Lane, records: &[SocketRecord]) -> u64 {
    let mut happened = 0_u64;
    let mut each = |_: &Happening| happened += 1;
    let mut all_ns = 0;
    for (number, some) in (0_u32..).zip(records.chunks(STEP)) {
        let pod = cluster.pod((number * 31) % PODS, 0).filter(|_| lane.news);
        let at_ns = some.last().map_or(0, |last| last.header.at_ns);
        let news = pod.map(|pod| told(at_ns, Fact::Pod(Box::new(pod))));
        all_ns += spent_ns(|| {
            let news = news.iter().map(Signal::Inventory);
            let records = some.iter().map(|record| Signal::Record(record.as_bytes()));
            for signal in records.chain(news).chain([Signal::Tick { at_ns }]) {
                if lane.events {
                    lane.pipeline.feed(&signal, Some(&mut each));
                } else {
                    lane.pipeline.feed(&signal, None);
                }
            }
        });
    }
    all_ns
}

/// Every connection is on an edge, by names exactly where pods are known.
fn checked(lane: &mut Lane) -> Result<()> {
    lane.pipeline.settle(&mut |_| ());
    let health = lane.pipeline.health();
    ensure!(health.undecodable == 0, "records were refused");
    let graph = lane.pipeline.graph(GroupBy::Pod);
    let opened: u64 = graph.edges.iter().map(|edge| edge.stats.opened).sum();
    ensure!(
        opened == u64::from(CONNECTIONS) * ROUNDS as u64,
        "{}: {opened} connections are on edges",
        lane.name
    );
    let is_named = |who: &Who| matches!(who, Who::Pod(pod) if pod.is_named());
    let named = graph
        .nodes
        .iter()
        .filter(|node| is_named(&node.claim.who))
        .count();
    ensure!(
        if lane.known { named > 1_000 } else { named == 0 },
        "{}: {named} pods have names",
        lane.name
    );
    Ok(())
}
