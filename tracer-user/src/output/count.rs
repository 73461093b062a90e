//! `connections --count`: established connections by who connects to whom on which port, each counted once.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    attribute::{Who, place::Pod, reserved::is_ours},
    report::{ConnectionRow, Party},
};

/// One row of `connections --count`. Names are not escaped yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountRow {
    /// Component, workload or process that connects, or its address.
    pub source: String,
    /// Component, workload or process that accepts, or its address; not its port.
    pub destination: String,
    /// Port it accepts on.
    pub port: u16,
    /// Network namespace of the end that connects, or of the other where only that was seen; 0 when unknown.
    pub netns: u32,
    /// How many.
    pub count: u64,
}

/// Counts `rows`: most first, then by names.
pub fn count(rows: &[ConnectionRow]) -> Vec<CountRow> {
    let mut counts: BTreeMap<(String, String, u16, u32), u64> = BTreeMap::new();
    for ConnectionRow {
        source, destination, ..
    } in rows
    {
        let netns = if source.netns == 0 {
            destination.netns
        } else {
            source.netns
        };
        *counts
            .entry((key(source), key(destination), destination.address.port(), netns))
            .or_default() += 1;
    }
    let mut counts: Vec<CountRow> = counts
        .into_iter()
        .map(|((source, destination, port, netns), count)| CountRow {
            source,
            destination,
            port,
            netns,
            count,
        })
        .collect();
    counts.sort_by_key(|row| Reverse(row.count));
    counts
}

/// Ends of the same name are counted together, pods by workload; external and unknown ones by address.
fn key(party: &Party) -> String {
    let claim = &party.claim;
    match (&claim.who, &claim.place.pod) {
        (Who::Process { name }, Some(pod)) => format!("{}({name})", workload(pod)),
        // Never the same as a pod or an address, whatever it calls itself.
        (Who::Process { name }, None) if name.contains('/') || is_ours(name) => format!("process {name}"),
        (Who::Pod(pod), _) => workload(pod),
        (Who::Service { namespace, name, .. }, _) => format!("svc/{namespace}/{name}"),
        (Who::Node { name, .. }, _) => format!("node/{name}"),
        (Who::Component { .. } | Who::Process { .. }, _) => claim.who.label().into_owned(),
        (Who::External { .. } | Who::Unknown { .. }, _) => party.address.ip().to_string(),
    }
}

/// `shop/client`: of the workload, else of the pod.
fn workload(pod: &Pod) -> String {
    match &pod.workload {
        _ if !pod.is_named() => format!("pod/{}", pod.uid),
        Some(workload) => format!("{}/{}", pod.namespace, workload.name),
        None => format!("{}/{}", pod.namespace, pod.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fixture;

    #[test]
    fn a_process_is_never_counted_with_what_has_no_name() {
        let mut row = fixture::connections().remove(0);
        let mut end = |claim| {
            row.source.claim = std::sync::Arc::new(claim);
            key(&row.source)
        };
        let address = end(fixture::unknown());
        assert!(address.parse::<std::net::IpAddr>().is_ok(), "{address}");
        for (name, want) in [
            ("curl", "curl".to_owned()),
            ("unknown", "process unknown".to_owned()),
            ("shop/web", "process shop/web".to_owned()),
            (address.as_str(), format!("process {address}")),
        ] {
            assert_eq!(end(fixture::process(name)), want);
        }
    }
}
