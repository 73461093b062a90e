//! Why ends have their names: the claim that decided, for every live end that was meant.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, sync::Arc};

use super::Pipeline;
use crate::{
    attribute::{Claim, Quality, Who, names::node_id},
    report::{ExplainedEnd, Explanation, Outcome, Party, Question, Testimony},
};

impl Pipeline {
    /// One explanation for every live thing that `question` means, in stable order.
    pub fn explain(&mut self, question: &Question) -> Vec<Explanation> {
        let mut found: BTreeMap<String, Explanation> = BTreeMap::new();
        if let Question::Edge {
            source,
            destination,
            port,
        } = question
        {
            for row in self.connections() {
                let to = row.destination.address.port();
                if port.is_none_or(|port| port == to)
                    && goes_by(&row.source.claim, source)
                    && goes_by(&row.destination.claim, destination)
                {
                    let ends = vec![self.explained(&row.source), self.explained(&row.destination)];
                    let label = |party: &Party| party.claim.who.label().into_owned();
                    let about = format!("{} -> {} tcp/{to}", label(&row.source), label(&row.destination));
                    found.entry(about.clone()).or_insert(Explanation { about, ends });
                }
            }
            return found.into_values().collect();
        }
        let mut parties: Vec<Party> = self.listeners().into_iter().map(|row| row.party).collect();
        for row in self.connections() {
            parties.extend([row.source, row.destination]);
        }
        for party in parties {
            let about = match question {
                Question::Address(address) if party.address == *address => address.to_string(),
                Question::Pid(pid) if party.process.as_ref().is_some_and(|one| one.tgid == *pid) => {
                    format!("process {pid}")
                }
                Question::Name(name) if goes_by(&party.claim, name) => party.claim.who.label().into_owned(),
                Question::Address(_) | Question::Pid(_) | Question::Name(_) | Question::Edge { .. } => {
                    continue;
                }
            };
            let end = self.explained(&party);
            let key = format!("{about} {}", end.node);
            found.entry(key).or_insert(Explanation {
                about,
                ends: vec![end],
            });
        }
        found.into_values().collect()
    }

    fn explained(&mut self, party: &Party) -> ExplainedEnd {
        let group = self.attribution.group_of(party, party.netns);
        let claim = &party.claim;
        ExplainedEnd {
            node: node_id(&group, &claim.who),
            claim: Arc::clone(claim),
            process: party.process.clone(),
            testimonies: vec![Testimony {
                rank: 1,
                source: source(claim.quality),
                says: claim.who.label().into_owned(),
                by: claim.by.clone(),
                outcome: Outcome::Decides,
            }],
            improve: Vec::new(),
        }
    }
}

const fn source(quality: Quality) -> &'static str {
    match quality {
        Quality::Exe => "exe",
        Quality::Argv => "argv",
        Quality::Comm => "comm",
        Quality::Listener => "listening socket",
        Quality::Inventory => "inventory",
        Quality::Port => "port",
        Quality::Address => "address",
    }
}

/// Component with or without its role, program, workload, pod, service, node or address.
fn goes_by(claim: &Claim, name: &str) -> bool {
    let qualified = |namespace: &str, own: &str| own == name || format!("{namespace}/{own}") == name;
    let who = match &claim.who {
        Who::Service {
            namespace, name: own, ..
        } => qualified(namespace, own),
        Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Node { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => claim.who.label() == name || claim.who.component() == Some(name),
    };
    let pod = claim.pod().is_some_and(|pod| {
        let workload = pod.workload.as_ref();
        qualified(&pod.namespace, &pod.name)
            || workload.is_some_and(|workload| qualified(&pod.namespace, &workload.name))
    });
    who || pod
}
