//! Every kube-apiserver has live connections to an etcd.
#![forbid(unsafe_code)]

use super::{
    Check, Evidence, Finding, Scene, Verdict, gaps,
    servers::{self, ETCD_CLIENT_PORT},
    standing::{self, Standing, executable, is_apiserver},
};
use crate::{
    attribute::{Quality, Who},
    event::TcpState,
    report::{ComponentRow, ConnectionRow, Party, ProcessRef},
};

/// The executable of k3s, of which the arguments say that it is a server.
const SINGLE_BINARY: &str = "k3s";

pub(super) fn check(scene: &Scene<'_>) -> Finding {
    let finding = |verdict, reason, evidence| Finding {
        check: Check::ApiserverEtcd,
        verdict,
        reason,
        evidence,
    };
    let apiservers: Vec<&ComponentRow> = scene
        .components
        .iter()
        .filter(|row| is_apiserver(&row.claim.who))
        .collect();
    if apiservers.is_empty() {
        return finding(
            Verdict::Inconclusive,
            "no kube-apiserver with a socket was seen here".to_owned(),
            Vec::new(),
        );
    }
    let mut evidence = Vec::new();
    let mut without = Vec::new();
    let mut doubts = Vec::new();
    for apiserver in &apiservers {
        let name = format!("{}[{}]", apiserver.name, apiserver.process.tgid);
        if let Standing::Unsure(why) | Standing::Not(why) = standing_of(apiserver) {
            doubts.push(format!("whether {name} is one is not sure: {why}"));
            continue;
        }
        let remote = remote_ports(scene, &apiserver.process);
        let mut sure = Vec::new();
        let mut unsure = 0_usize;
        let established = scene
            .connections
            .iter()
            .filter(|row| row.state == TcpState::Established && is_of(&row.source, &apiserver.process));
        for row in established {
            match is_etcd(scene, &row.destination, &remote) {
                Some(true) => sure.push(row),
                Some(false) => unsure += 1,
                None => {}
            }
        }
        match (sure.is_empty(), unsure) {
            (true, 0) => without.push(name),
            (true, _) => doubts.push(format!(
                "whether what {name} is connected to is an etcd is not sure"
            )),
            (false, _) => {}
        }
        evidence.extend(group(&sure));
    }
    let gaps = gaps(scene.health);
    if !without.is_empty() {
        let reason = format!("no live connection to an etcd: {}", without.join(", "));
        return if gaps.is_empty() {
            finding(Verdict::Fail, reason, evidence)
        } else {
            finding(
                Verdict::Inconclusive,
                format!("{reason}; but {}", gaps.join("; ")),
                evidence,
            )
        };
    }
    if !doubts.is_empty() {
        return finding(Verdict::Inconclusive, doubts.join("; "), evidence);
    }
    let total: u64 = evidence.iter().map(|one| one.connections).sum();
    let reason = format!(
        "{} of {} kube-apiserver(s) hold {total} connections to etcd",
        apiservers.len(),
        apiservers.len()
    );
    finding(Verdict::Pass, reason, evidence)
}

/// Whether a process is a kube-apiserver. Of a single binary only its arguments tell; here nobody gains by lying.
fn standing_of(row: &ComponentRow) -> Standing {
    let single = row.claim.quality == Quality::Argv && executable(Some(&row.process)) == Some(SINGLE_BINARY);
    if single {
        Standing::Sure
    } else {
        standing::of(&row.claim)
    }
}

/// Whether an end is of this very process: ids are used again.
fn is_of(party: &Party, process: &ProcessRef) -> bool {
    let is = |of: &ProcessRef| of.tgid == process.tgid && of.instance == process.instance;
    party.process.as_ref().is_some_and(is)
}

/// Ports of the etcd elsewhere: what the API server was told, and the usual one.
fn remote_ports(scene: &Scene<'_>, process: &ProcessRef) -> Vec<u16> {
    let told = scene
        .listeners
        .iter()
        .filter(|row| is_of(&row.party, process))
        .flat_map(|row| row.args.iter())
        .filter_map(|arg| arg.strip_prefix("--etcd-servers="));
    told.flat_map(servers::ports)
        .flatten()
        .chain([ETCD_CLIENT_PORT])
        .collect()
}

/// Whether an end is an etcd: one here by its name, one elsewhere by its port. `Some(false)` where it may be one.
fn is_etcd(scene: &Scene<'_>, party: &Party, remote: &[u16]) -> Option<bool> {
    if servers::is_etcd(&party.claim.who) {
        let listener = scene.listeners.iter().find(|row| {
            let (own, listening) = (&party.process, &row.party.process);
            own.as_ref()
                .zip(listening.as_ref())
                .is_some_and(|(own, listening)| {
                    own.tgid == listening.tgid && own.program == listening.program
                })
                && servers::is_etcd(&row.party.claim.who)
        });
        let sure =
            servers::is_sure(&party.claim) || listener.is_some_and(|row| servers::is_sure(&row.party.claim));
        return Some(sure);
    }
    match &party.claim.who {
        Who::External { .. } | Who::Node { .. } | Who::Pod(_) | Who::Service { .. } => {
            remote.contains(&party.address.port()).then_some(true)
        }
        Who::Unknown { .. } => (party.address.port() == ETCD_CLIENT_PORT).then_some(false),
        Who::Component { .. } | Who::Process { .. } => None,
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
