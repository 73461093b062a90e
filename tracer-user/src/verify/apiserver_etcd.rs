//! Every kube-apiserver has live connections to an etcd.
#![forbid(unsafe_code)]

use super::{
    Check, Evidence, Finding, Scene, Verdict, gaps, is_apiserver, is_component, is_etcd_client_port,
};
use crate::{
    attribute::Who,
    event::TcpState,
    report::{ComponentRow, ConnectionRow, Party},
};

pub(super) fn check(scene: &Scene<'_>) -> Finding {
    let apiservers: Vec<&ComponentRow> = scene
        .components
        .iter()
        .filter(|row| is_apiserver(&row.claim.who))
        .collect();
    let finding = |verdict, reason, evidence| Finding {
        check: Check::ApiserverEtcd,
        verdict,
        reason,
        evidence,
    };
    if apiservers.is_empty() {
        return finding(
            Verdict::Inconclusive,
            "no kube-apiserver with a socket was seen here".to_owned(),
            Vec::new(),
        );
    }
    let mut evidence = Vec::new();
    let mut without = Vec::new();
    for apiserver in &apiservers {
        let own = scene
            .connections
            .iter()
            .filter(|row| is_of(&row.source, apiserver.process.tgid));
        let to_etcd: Vec<&ConnectionRow> = own
            .filter(|row| row.state == TcpState::Established && is_etcd(&row.destination))
            .collect();
        if to_etcd.is_empty() {
            without.push(format!("{}[{}]", apiserver.name, apiserver.process.tgid));
        }
        evidence.extend(group(&to_etcd));
    }
    if without.is_empty() {
        let total: u64 = evidence.iter().map(|one| one.connections).sum();
        let reason = format!(
            "{} of {} kube-apiserver(s) hold {total} connections to etcd",
            apiservers.len(),
            apiservers.len()
        );
        return finding(Verdict::Pass, reason, evidence);
    }
    let gaps = gaps(scene.health);
    let reason = format!("no live connection to an etcd: {}", without.join(", "));
    if gaps.is_empty() {
        finding(Verdict::Fail, reason, evidence)
    } else {
        finding(
            Verdict::Inconclusive,
            format!("{reason}; but {}", gaps.join("; ")),
            evidence,
        )
    }
}

fn is_of(party: &Party, tgid: u32) -> bool {
    party.process.as_ref().is_some_and(|process| process.tgid == tgid)
}

/// A local etcd by name, a remote one by its port.
fn is_etcd(party: &Party) -> bool {
    match &party.claim.who {
        who @ Who::Component { .. } => is_component(who, "etcd"),
        Who::External { .. } | Who::Node { .. } | Who::Pod(_) | Who::Service { .. } => {
            is_etcd_client_port(party)
        }
        Who::Process { .. } | Who::Unknown { .. } => false,
    }
}

/// One line for all connections to the same etcd.
fn group(rows: &[&ConnectionRow]) -> Vec<Evidence> {
    let mut groups: Vec<Evidence> = Vec::new();
    for row in rows {
        let same = |one: &&mut Evidence| one.destination.address == row.destination.address;
        if let Some(one) = groups.iter_mut().find(same) {
            one.connections += 1;
            continue;
        }
        let note = match row.destination.claim.who {
            Who::External { .. } | Who::Node { .. } | Who::Pod(_) | Who::Service { .. } => {
                "a remote etcd, known by its port only"
            }
            Who::Component { .. } | Who::Process { .. } | Who::Unknown { .. } => "live",
        };
        groups.push(Evidence {
            source: row.source.clone(),
            destination: row.destination.clone(),
            connections: 1,
            note: note.to_owned(),
        });
    }
    groups
}
