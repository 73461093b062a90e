//! The contestants, and one lap of each.

use crate::load::Load;
use crate::process::Running;
use anyhow::{Context, Result};
use std::time::Duration;
use tests::bpf;
use tests::json;
use tests::wait::{boot_ns, window};

/// Longer than a lap by what attaching and the last print take.
const MARGIN_S: u64 = 3;

/// Something that watches the machine meanwhile, or nothing.
pub(crate) struct Contestant {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// What runs.
    pub(crate) kind: Kind,
}

/// How a contestant is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing runs.
    Untraced,
    /// `kcn-trace graph`: every connection is attributed and counted on its edge.
    Graph,
    /// `kcn-trace events -o json` into the void: every record is also written.
    Events,
    /// tcplife of libbpf-tools, into the void.
    Tcplife,
}

/// All of them; the first is what the others are compared with.
pub(crate) const CONTESTANTS: &[Contestant] = &[
    Contestant {
        name: "untraced",
        kind: Kind::Untraced,
    },
    Contestant {
        name: "kcn-trace graph",
        kind: Kind::Graph,
    },
    Contestant {
        name: "kcn-trace events -o json",
        kind: Kind::Events,
    },
    Contestant {
        name: "tcplife",
        kind: Kind::Tcplife,
    },
];

/// What one lap came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lap {
    /// Connections per second.
    pub(crate) rate: f64,
    /// CPU time of the contestant's process per connection, microseconds, its start and end included.
    pub(crate) cpu_us_per_connection: Option<f64>,
    /// The same per record that it was given.
    pub(crate) cpu_us_per_record: Option<f64>,
    /// Resident memory at the end of the window, KiB.
    pub(crate) resident_kib: Option<u64>,
    /// Records lost.
    pub(crate) lost: Option<u64>,
}

/// Runs one lap. Nothing where the contestant is not installed.
pub(crate) fn run(contestant: &Contestant, load: &Load, length: Duration) -> Result<Option<Lap>> {
    let first = load.connections()?;
    let Some(running) = Running::start(contestant.kind, length.as_secs() + MARGIN_S)? else {
        return Ok(None);
    };
    let (begun, before) = (boot_ns(), load.connections()?);
    window(length);
    let (ended, after) = (boot_ns(), load.connections()?);
    let mut lap = Lap {
        rate: ratio(after - before, ended - begun) * 1e9,
        ..Lap::default()
    };
    if contestant.kind == Kind::Untraced {
        return Ok(Some(lap));
    }
    lap.resident_kib = running.resident_kib();
    let finished = running.finish()?;
    let seen = load.connections()? - first;
    lap.cpu_us_per_connection = Some(ratio(finished.cpu_us, seen));
    if contestant.kind == Kind::Graph {
        let graph = serde_json::from_str(&finished.stdout).context("the graph is not JSON")?;
        lap.lost = Some(json::lost(&graph));
        lap.cpu_us_per_record = Some(ratio(finished.cpu_us, json::delivered(&graph)));
    }
    Ok(Some(lap))
}

/// Time of all BPF programs of a contestant per connection, both ends together, in nanoseconds.
pub(crate) fn kernel_ns_per_connection(
    contestant: &Contestant,
    load: &Load,
    length: Duration,
) -> Result<Option<f64>> {
    if contestant.kind == Kind::Untraced {
        return Ok(None);
    }
    let Some(running) = Running::start(contestant.kind, length.as_secs() + MARGIN_S)? else {
        return Ok(None);
    };
    let (before, first) = (bpf::run_time_ns(running.pid())?, load.connections()?);
    window(length);
    let (after, last) = (bpf::run_time_ns(running.pid())?, load.connections()?);
    running.finish()?;
    Ok(Some(ratio(after - before, last - first)))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for a table with three digits"
)]
fn ratio(value: u64, by: u64) -> f64 {
    value as f64 / by.max(1) as f64
}
