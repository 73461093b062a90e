//! Nobody but kube-apiserver, etcd and those allowed reached etcd's client port.
#![forbid(unsafe_code)]

use super::{
    Check, Evidence, Finding, Scene, Verdict, gaps, is_apiserver, is_component, is_etcd_client_port,
};
use crate::attribute::{Quality, Who, reserved::is_ours};

/// What a client of etcd is to this check.
enum Client {
    Expected,
    Allowed,
    Foreign,
    /// It is on this machine and nobody could name it.
    Unnamed,
}

pub(super) fn check(scene: &Scene<'_>) -> Finding {
    let finding = |verdict, reason, evidence| Finding {
        check: Check::EtcdClients,
        verdict,
        reason,
        evidence,
    };
    let served = scene
        .components
        .iter()
        .any(|row| is_component(&row.claim.who, "etcd"));
    // A remote etcd is not watched from here: its other clients do not pass this machine.
    let clients: Vec<&Evidence> = scene
        .window
        .reached
        .values()
        .filter(|one| is_local(one) && is_etcd_client_port(&one.destination))
        .collect();
    if !served && clients.is_empty() {
        return finding(
            Verdict::Inconclusive,
            "no etcd was seen here".to_owned(),
            Vec::new(),
        );
    }
    let mut foreign = Vec::new();
    let mut unnamed = Vec::new();
    let mut known = Vec::new();
    for client in clients {
        let (list, note) = match judge(client, scene.allow) {
            Client::Expected => (&mut known, "expected"),
            Client::Allowed => (&mut known, "allowed by --allow"),
            Client::Foreign => (&mut foreign, "foreign"),
            Client::Unnamed => (&mut unnamed, "cannot be named"),
        };
        list.push(Evidence {
            note: note.to_owned(),
            ..client.clone()
        });
    }
    if !foreign.is_empty() {
        let names: Vec<String> = foreign.iter().map(describe).collect();
        return finding(Verdict::Fail, format!("reached by {}", names.join(", ")), foreign);
    }
    let mut gaps = gaps(scene.health);
    if scene.window.overflow > 0 {
        gaps.push(format!("{} clients did not fit the list", scene.window.overflow));
    }
    if !unnamed.is_empty() {
        let names: Vec<String> = unnamed.iter().map(describe).collect();
        gaps.push(format!("who is {} could not be told", names.join(", ")));
    }
    if gaps.is_empty() {
        let total: u64 = known.iter().map(|one| one.connections).sum();
        let reason = format!("only expected clients: {total} connections, nothing missed");
        return finding(Verdict::Pass, reason, known);
    }
    known.extend(unnamed);
    finding(
        Verdict::Inconclusive,
        format!("no foreign client was seen, but {}", gaps.join("; ")),
        known,
    )
}

/// The etcd end is a socket of this machine.
fn is_local(one: &Evidence) -> bool {
    !matches!(one.destination.claim.who, Who::External { .. })
}

fn judge(client: &Evidence, allow: &[String]) -> Client {
    let who = &client.source.claim.who;
    let label = who.label();
    let address = client.source.address.ip().to_string();
    if allow
        .iter()
        .any(|name| *name == label || Some(name.as_str()) == who.component() || *name == address)
    {
        return Client::Allowed;
    }
    match who {
        Who::Unknown { .. } => Client::Unnamed,
        // A thread's name alone can be anybody's: it neither clears nor convicts.
        Who::Component { .. } if client.source.claim.quality >= Quality::Comm => Client::Unnamed,
        Who::Component { .. } if is_apiserver(who) || is_component(who, "etcd") => Client::Expected,
        Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::External { .. } => Client::Foreign,
    }
}

fn describe(one: &Evidence) -> String {
    match &one.source.process {
        Some(process) => {
            let label = one.source.claim.who.label();
            if matches!(&one.source.claim.who, Who::Process { name } if is_ours(name)) {
                return format!("\"{label}\"[{}]", process.tgid);
            }
            format!("{label}[{}]", process.tgid)
        }
        None => one.source.address.ip().to_string(),
    }
}
