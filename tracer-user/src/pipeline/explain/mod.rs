//! Why an end is called what it is called: every witness, what became of its word, and what would tell more.
#![forbid(unsafe_code)]

mod address;
mod called;
mod here;
mod there;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use called::{is_called, is_node, is_service};

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
            Question::Name(name) => self.explain_name(&builder, name),
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

    fn explain_name(&mut self, builder: &Builder, name: &str) -> Vec<Explanation> {
        if let Ok(address) = name.parse() {
            return self.explain_host(builder, address);
        }
        let mut meant: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        let served: BTreeSet<u32> = builder
            .keys()
            .filter(|(.., via)| via.is_some_and(|via| self.is_service(via, name)))
            .map(|(_, destination, ..)| *destination)
            .collect();
        for subject in builder.subjects() {
            let named = self.attribution.named(subject);
            if served.contains(&subject) || is_called(&named.claim, name) {
                meant.entry(id_of(&named)).or_default().insert(subject);
            }
        }
        let inventory = &self.attribution.inventory;
        let is_host = inventory.host_name().is_some_and(|host| is_node(name, host));
        if let Some(address) = inventory.own_address_of_host().filter(|_| is_host) {
            let subject = self.attribution.at_address(address, self.now_ns);
            let named = self.attribution.named(subject);
            meant.entry(id_of(&named)).or_default().insert(subject);
        }
        meant
            .into_iter()
            .flat_map(|(about, subjects)| {
                let subjects: Vec<u32> = subjects.into_iter().collect();
                self.explained(builder, &about, &subjects, None)
            })
            .collect()
    }

    /// Whether an address that was dialled is of the service called so.
    fn is_service(&self, via: SocketAddr, name: &str) -> bool {
        let service = self.attribution.via(via).service;
        service.is_some_and(|title| is_service(&title, name))
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
        // Programs that are alike in all that is told are one answer, by the first of their processes.
        let mut ends: Vec<(ExplainedEnd, BTreeSet<u32>)> = Vec::new();
        for subject in subjects {
            let end = self.explain_end(builder, *subject, tgid, None);
            let pids = builder.pids(*subject).filter(|_| tgid.is_none());
            if let Some((_, known)) = ends.iter_mut().find(|(known, _)| known.is_like(&end)) {
                known.extend(pids);
            } else if ends.len() < ENDS_MAX {
                ends.push((end, pids.collect()));
            }
        }
        ends.into_iter()
            .map(|(end, pids)| Explanation {
                about: match pids.len() {
                    0 | 1 => about.to_owned(),
                    several => format!("{about}, {several} processes alike"),
                },
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
