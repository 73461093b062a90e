//! Nobody but kube-apiserver, etcd and those allowed reached an etcd here.
#![forbid(unsafe_code)]

use super::{
    Check, Evidence, Finding, Scene, Verdict, gaps,
    servers::{self, Serves, is_etcd},
    standing::{self, Standing, executable, is_apiserver, is_several},
    window::Reached,
};
use crate::{
    attribute::{Quality, Who, reserved::is_ours},
    report::Party,
};

/// Clients named in a reason; all are in the evidence.
const NAMED_MAX: usize = 8;

/// What a client of etcd is to this check, and why.
enum Client {
    Expected(&'static str),
    Foreign(&'static str),
    /// It may be anybody.
    Unnamed(&'static str),
}

pub(super) fn check(scene: &Scene<'_>) -> Finding {
    let finding = |verdict, reason, evidence| Finding {
        check: Check::EtcdClients,
        verdict,
        reason,
        evidence,
    };
    let clients: Vec<(&Reached, Serves)> = scene
        .window
        .reached()
        .map(|one| (one, servers::serves(scene, &one.evidence.destination)))
        .filter(|(_, serves)| *serves != Serves::Others)
        .collect();
    if clients.is_empty() {
        let listening: Vec<String> = servers::known(scene).map(|address| address.to_string()).collect();
        let reason = if listening.is_empty() {
            "no etcd was seen here".to_owned()
        } else {
            let listening = listening.join(", ");
            format!("nothing to judge: nobody was seen to reach the etcd here, which listens on {listening}")
        };
        return finding(Verdict::Inconclusive, reason, Vec::new());
    }
    let mut foreign = Vec::new();
    let mut unnamed = Vec::new();
    let mut known = Vec::new();
    let mut gaps = gaps(scene.health);
    for (client, serves) in clients {
        let (list, note) = match judge(client, serves, scene) {
            Client::Expected(note) => (&mut known, note),
            Client::Foreign(note) => (&mut foreign, note),
            Client::Unnamed(note) => (&mut unnamed, note),
        };
        list.push(Evidence {
            note: note.to_owned(),
            ..client.evidence.clone()
        });
        // Who listens on the port of an etcd need not be one.
        if !servers::is_sure(&client.server) || !is_etcd(&client.server.who) {
            let unsure = format!(
                "who listens on {} is not sure",
                client.evidence.destination.address
            );
            if !gaps.contains(&unsure) {
                gaps.push(unsure);
            }
        }
    }
    if !foreign.is_empty() {
        let reason = format!("reached by {}", names(&foreign));
        foreign.extend(unnamed);
        return finding(Verdict::Fail, reason, foreign);
    }
    if scene.window.overflow() > 0 {
        gaps.push(format!(
            "{} clients did not fit the list",
            scene.window.overflow()
        ));
    }
    if !unnamed.is_empty() {
        gaps.push(format!("who is {} could not be told", names(&unnamed)));
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

fn judge(client: &Reached, serves: Serves, scene: &Scene<'_>) -> Client {
    match named(client, scene) {
        // A port that is not known to be for clients may be for members or metrics.
        Client::Foreign(_) if serves == Serves::Unsure => Client::Unnamed("the port may not be for clients"),
        client @ (Client::Expected(_) | Client::Foreign(_) | Client::Unnamed(_)) => client,
    }
}

fn named(client: &Reached, scene: &Scene<'_>) -> Client {
    let Evidence {
        source, destination, ..
    } = &client.evidence;
    let claim = &source.claim;
    if let Some(allowed) = allowed(source, scene.allow) {
        return allowed;
    }
    if is_itself(source, destination) {
        return Client::Expected("expected: it is that etcd itself");
    }
    match &claim.who {
        Who::Unknown { .. } => Client::Unnamed("cannot be named"),
        who @ Who::Component { .. } if is_several(who) => {
            Client::Unnamed("cannot be named: several programs are in its executable")
        }
        who @ Who::Component { .. } if is_apiserver(who) || who.component() == Some("etcd") => {
            match standing::of(claim) {
                Standing::Sure if servers::listens(scene, source) => Client::Expected("expected"),
                // A copy of a file under that name is soon made; a server that serves nobody is none.
                Standing::Sure => Client::Unnamed("it listens nowhere, as no server does"),
                Standing::Unsure(why) => Client::Unnamed(why),
                // A cluster in pods has an etcd and an API server of its own.
                Standing::Not(_) if shares_namespace(source, destination) => {
                    Client::Unnamed("the control plane of another cluster, it seems")
                }
                Standing::Not(why) => Client::Foreign(why),
            }
        }
        // A thread's name alone can be anybody's: it neither clears nor convicts.
        Who::Component { .. } if claim.quality >= Quality::Comm => Client::Unnamed("cannot be named"),
        Who::Component { .. } | Who::Process { .. } if claim.quality == Quality::Outdated => {
            Client::Unnamed("records were lost since")
        }
        Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::External { .. } => Client::Foreign("foreign"),
    }
}

/// Whether `--allow` names the client. What a process says of itself lets nobody through.
fn allowed(source: &Party, allow: &[String]) -> Option<Client> {
    let claim = &source.claim;
    let address = source.address.ip().to_string();
    let file = executable(source.process.as_ref());
    let is = |name: &str| allow.iter().any(|allowed| *allowed == name);
    if is(&address) || file.is_some_and(is) {
        return Some(Client::Expected("allowed by --allow"));
    }
    if !is(&claim.who.label()) && !claim.who.component().is_some_and(is) {
        return None;
    }
    Some(match claim.quality {
        Quality::Exe | Quality::Inventory => Client::Expected("allowed by --allow"),
        Quality::Exec
        | Quality::Argv
        | Quality::Comm
        | Quality::Outdated
        | Quality::Listener
        | Quality::Port
        | Quality::Address => Client::Unnamed("it says itself that it is one allowed: allow its executable"),
    })
}

/// The process that serves there reached itself.
fn is_itself(source: &Party, destination: &Party) -> bool {
    let instance = |party: &Party| {
        party
            .process
            .as_ref()
            .map(|process| (process.tgid, process.instance))
    };
    source.netns == destination.netns
        && instance(source).is_some_and(|source| Some(source) == instance(destination))
}

fn shares_namespace(source: &Party, destination: &Party) -> bool {
    let namespace = |party: &Party| party.claim.pod().map(|pod| std::sync::Arc::clone(&pod.namespace));
    namespace(source).is_some_and(|source| !source.is_empty() && Some(source) == namespace(destination))
}

/// The first few names; the rest as a number.
fn names(all: &[Evidence]) -> String {
    let first: Vec<String> = all.iter().take(NAMED_MAX).map(describe).collect();
    let first = first.join(", ");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
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
