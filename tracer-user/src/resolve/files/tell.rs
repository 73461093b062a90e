//! What of the node's files is told: everything once, then changes only.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::{
    resolve::{Over, Teller},
    signal::{
        Degraded,
        inventory::{ApiServerFacts, ContainerFacts, Fact, Kind, Origin, PodFacts, StaticPodFacts},
    },
};

/// All facts of one look.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) pods: BTreeMap<String, PodFacts>,
    pub(super) containers: BTreeMap<String, ContainerFacts>,
    pub(super) static_pods: BTreeMap<(String, String), StaticPodFacts>,
    pub(super) api_servers: BTreeMap<String, ApiServerFacts>,
}

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    facts: Option<Facts>,
    /// By part of the source: what was told of its health.
    health: BTreeMap<&'static str, Option<Degraded>>,
}

impl Told {
    /// Tells everything the first time, then what changed.
    pub(super) fn facts(&mut self, new: Facts, teller: &Teller) -> Result<(), Over> {
        let first = self.facts.is_none();
        let old = self.facts.take().unwrap_or_default();
        list(first, Kind::Pods, teller, |tell| {
            changes(
                &old.pods,
                &new.pods,
                |facts| Fact::Pod(Box::new(facts)),
                Fact::PodGone,
                tell,
            )
        })?;
        list(first, Kind::Containers, teller, |tell| {
            changes(
                &old.containers,
                &new.containers,
                |facts| Fact::Container(Box::new(facts)),
                Fact::ContainerGone,
                tell,
            )
        })?;
        list(first, Kind::StaticPods, teller, |tell| {
            changes(
                &old.static_pods,
                &new.static_pods,
                |facts| Fact::StaticPod(Box::new(facts)),
                |(namespace, name)| Fact::StaticPodGone(namespace, name),
                tell,
            )
        })?;
        list(first, Kind::ApiServers, teller, |tell| {
            changes(
                &old.api_servers,
                &new.api_servers,
                |facts| Fact::ApiServer(Box::new(facts)),
                Fact::ApiServerGone,
                tell,
            )
        })?;
        self.facts = Some(new);
        Ok(())
    }

    /// Tells the health of a part, or of the source where `part` is empty: once, and when it changes. A part that
    /// works from the start is not worth a word.
    pub(super) fn health(
        &mut self,
        part: &'static str,
        fault: Option<Degraded>,
        teller: &Teller,
    ) -> Result<(), Over> {
        let before = self.health.get(part);
        let news = match before {
            Some(before) => *before != fault,
            None => part.is_empty() || fault.is_some(),
        };
        if news {
            let teller = if part.is_empty() {
                teller.clone()
            } else {
                teller.part(part)
            };
            match fault.clone() {
                None => teller.works()?,
                Some(fault) => teller.fails(fault)?,
            }
        }
        self.health.insert(part, fault);
        Ok(())
    }
}

type Tell<'a> = &'a mut dyn FnMut(Fact) -> Result<(), Over>;

fn list(
    first: bool,
    kind: Kind,
    teller: &Teller,
    tell_all: impl FnOnce(Tell<'_>) -> Result<(), Over>,
) -> Result<(), Over> {
    let mut tell = |fact| teller.fact(Origin::Files, fact);
    if first {
        tell(Fact::Listing(kind))?;
    }
    tell_all(&mut tell)?;
    if first {
        tell(Fact::Listed(kind))?;
    }
    Ok(())
}

fn changes<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    fact: impl Fn(V) -> Fact,
    gone: impl Fn(K) -> Fact,
    tell: Tell<'_>,
) -> Result<(), Over> {
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        tell(gone(key.clone()))?;
    }
    for (_key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(*value)) {
        tell(fact(value.clone()))?;
    }
    Ok(())
}
