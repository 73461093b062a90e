//! Why an end is called what it is called: every witness, what became of its word, and what would tell more.
#![forbid(unsafe_code)]

mod here;
mod there;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{
    Pipeline,
    attribution::{Named, Subject},
};
use crate::{
    attribute::{Claim, Who, process::Process},
    graph::{build::Builder, fold::coarse_id},
    report::{ExplainedEnd, Explanation, Outcome, Question, Testimony},
};

/// Ends explained of one thing: a workload may have hundreds, and they are called the same for the same reasons.
const ENDS_MAX: usize = 8;

impl Pipeline {
    /// Answers a question; nothing where nothing is meant by it.
    pub fn explain(&mut self, question: &Question) -> Vec<Explanation> {
        let mut builder = self.tally();
        self.add_listeners(&mut builder);
        match question {
            Question::Edge {
                source,
                destination,
                port,
            } => self.explain_edges(&builder, source, destination, *port),
            Question::Name(name) => self.explain_names(&builder, |claim| is_called(claim, name)),
            Question::Address(address) => self.explain_address(&builder, *address),
            Question::Pid(tgid) => {
                let of_it: Vec<u32> = builder
                    .subjects()
                    .into_iter()
                    .filter(|subject| builder.pids(*subject).any(|pid| pid == *tgid))
                    .chain(self.attribution.subject_of(*tgid))
                    .collect();
                let about = format!("process {tgid}");
                self.explained(&builder, &about, &of_it, Some(*tgid))
            }
        }
    }

    fn explain_edges(
        &mut self,
        builder: &Builder,
        source: &str,
        destination: &str,
        port: Option<u16>,
    ) -> Vec<Explanation> {
        let mut edges: BTreeMap<(String, String, u16), (u32, u32)> = BTreeMap::new();
        let keys: BTreeSet<(u32, u32, u16)> = builder
            .keys()
            .map(|(source, destination, port, _)| (*source, *destination, *port))
            .filter(|(.., to)| port.is_none_or(|port| port == *to))
            .collect();
        for (from, to, port) in keys {
            let (one, other) = (self.attribution.named(from), self.attribution.named(to));
            if is_called(&one.claim, source) && is_called(&other.claim, destination) {
                let ids = (id_of(&one), id_of(&other), port);
                edges.entry(ids).or_insert((from, to));
            }
        }
        let mut answers = Vec::new();
        for ((source, destination, port), (from, to)) in edges {
            answers.push(Explanation {
                about: format!("{source} -> {destination} tcp/{port}"),
                ends: [from, to]
                    .map(|subject| self.explain_end(builder, subject, None, Some(port)))
                    .into(),
            });
        }
        answers
    }

    fn explain_names(&mut self, builder: &Builder, is_meant: impl Fn(&Claim) -> bool) -> Vec<Explanation> {
        let mut meant: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for subject in builder.subjects() {
            let named = self.attribution.named(subject);
            if is_meant(&named.claim) {
                meant.entry(id_of(&named)).or_default().push(subject);
            }
        }
        meant
            .into_iter()
            .flat_map(|(about, subjects)| self.explained(builder, &about, &subjects, None))
            .collect()
    }

    /// Who listens at an address, is connected from or to it, or has it elsewhere.
    fn explain_address(&mut self, builder: &Builder, address: SocketAddr) -> Vec<Explanation> {
        let mut meant = BTreeSet::new();
        let connections: Vec<_> = self.foreign().collect();
        for connection in &connections {
            if connection.source_addr == address {
                meant.insert(self.attribution.source(connection).subject);
            }
            if connection.destination_addr == address || connection.via == Some(address) {
                meant.insert(self.attribution.destination(connection, &self.tracker).subject);
            }
        }
        let listens =
            |at: SocketAddr| at == address || (at.ip().is_unspecified() && at.port() == address.port());
        for subject in builder.subjects() {
            let elsewhere = match self.attribution.subject(subject) {
                Some(Subject::Elsewhere {
                    address: ip, port, ..
                }) => *ip == address.ip() && port.is_none_or(|port| port == address.port()),
                Some(Subject::Process { .. } | Subject::Nobody { .. }) | None => false,
            };
            if elsewhere || builder.listening(subject).any(listens) {
                meant.insert(subject);
            }
        }
        let meant: Vec<u32> = meant.into_iter().collect();
        self.explained(builder, &address.to_string(), &meant, None)
    }

    fn explained(
        &mut self,
        builder: &Builder,
        about: &str,
        subjects: &[u32],
        tgid: Option<u32>,
    ) -> Vec<Explanation> {
        if subjects.is_empty() {
            return Vec::new();
        }
        let mut ends: Vec<ExplainedEnd> = Vec::new();
        for subject in subjects {
            let end = self.explain_end(builder, *subject, tgid, None);
            if ends.len() < ENDS_MAX && !ends.contains(&end) {
                ends.push(end);
            }
        }
        ends.into_iter()
            .map(|end| Explanation {
                about: about.to_owned(),
                ends: vec![end],
            })
            .collect()
    }

    fn explain_end(
        &mut self,
        builder: &Builder,
        subject: u32,
        tgid: Option<u32>,
        port: Option<u16>,
    ) -> ExplainedEnd {
        let named = self.attribution.named(subject);
        let tgid = tgid.or_else(|| builder.pids(subject).next());
        let process: Option<Process> = tgid
            .and_then(|tgid| self.attribution.processes.who(tgid, 0))
            .cloned();
        let listening: Vec<SocketAddr> = builder.listening(subject).collect();
        let mut testimonies = match self.attribution.subject(subject) {
            Some(Subject::Process { cgroup, .. }) => here::witnesses(&here::Scene {
                named: &named.claim,
                process: process.as_ref(),
                cgroup: cgroup.as_ref().map(|shared| &*shared.0),
                listening: &listening,
                inventory: &self.attribution.inventory,
                rules: &self.attribution.rules,
            }),
            Some(Subject::Elsewhere { address, .. } | Subject::Nobody { address, .. }) => {
                there::witnesses(&there::Scene {
                    named: &named.claim,
                    address: *address,
                    port,
                    inventory: &self.attribution.inventory,
                    rules: &self.attribution.rules,
                })
            }
            None => Vec::new(),
        };
        testimonies.sort_by_key(|testimony| testimony.rank);
        ExplainedEnd {
            node: id_of(&named),
            improve: self.improve(&named.claim),
            claim: named.claim,
            process: process.map(|process| process.reference),
            testimonies,
        }
    }

    /// What would tell more of a name that is not certain: remedies of what does not work, and of what is not asked.
    fn improve(&self, claim: &Claim) -> Vec<String> {
        let unnamed_pod = claim.place.pod.as_ref().is_some_and(|pod| !pod.is_named());
        let open = match &claim.who {
            Who::Unknown { .. } | Who::External { .. } | Who::Service { .. } => true,
            Who::Node { guess, .. } => guess.is_some(),
            Who::Component { .. } | Who::Process { .. } | Who::Pod(_) => unnamed_pod,
        };
        if !open {
            return Vec::new();
        }
        let mut remedies: Vec<String> = self
            .faults
            .values()
            .map(|fault| format!("{}: {}", fault.what, fault.remedy))
            .collect();
        if self.attribution.inventory.is_empty() {
            remedies.push(
                "no source of names told anything: --kubeconfig FILE for pods and services, --cri-socket PATH for \
                 containers"
                    .to_owned(),
            );
        }
        remedies
    }
}

fn id_of(named: &Named) -> String {
    coarse_id(&named.claim, &named.group)
}

/// Whether one would call it so: component, program, workload, pod, service, node or address.
fn is_called(claim: &Claim, name: &str) -> bool {
    let same = |one: &str| one.eq_ignore_ascii_case(name);
    let place = &claim.place;
    let pod = place.pod.as_deref();
    same(&claim.who.label())
        || claim.who.component().is_some_and(same)
        || pod.is_some_and(|pod| {
            same(&pod.name)
                || same(&format!("{}/{}", pod.namespace, pod.name))
                || same(&pod.uid)
                || pod.workload.as_ref().is_some_and(|workload| {
                    same(&workload.name)
                        || same(&format!("{}/{}", pod.namespace, workload.name))
                        || same(&format!("{}/{}", workload.kind, workload.name))
                })
        })
        || place.unit.as_deref().is_some_and(same)
        || match &claim.who {
            Who::Service { namespace, name, .. } => same(&format!("{namespace}/{name}")),
            Who::External { guess, .. } | Who::Node { guess, .. } | Who::Unknown { guess, .. } => {
                guess.as_deref().is_some_and(same)
            }
            Who::Component { .. } | Who::Process { .. } | Who::Pod(_) => false,
        }
}

/// One witness.
fn testimony(
    rank: u8,
    source: &'static str,
    says: impl Into<String>,
    by: impl Into<String>,
    outcome: Outcome,
) -> Testimony {
    Testimony {
        rank,
        source,
        says: says.into(),
        by: by.into(),
        outcome,
    }
}
