//! Containers by id, and kept a while after they are gone.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    GONE_MAX, KEPT_MAX,
    entry::{Rank, sources},
    pool::Pool,
};
use crate::{
    attribute::place::Container,
    signal::inventory::{ContainerFacts, Origin, PodFacts},
};

/// A container and its pod.
#[derive(Clone, Debug)]
pub struct ContainerEntry {
    /// The container.
    pub container: Arc<Container>,
    /// Uid of its pod, as its source has it.
    pub pod_uid: Arc<str>,
    /// Its first process; absent where nobody told.
    pub first_pid: Option<u32>,
    told: u8,
    ever: u8,
}

impl ContainerEntry {
    /// Names of the sources that have told of it.
    pub const fn sources(&self) -> &'static [&'static str] {
        sources(self.ever)
    }
}

/// All containers.
#[derive(Debug, Default)]
pub(super) struct Containers {
    by_id: HashMap<Box<str>, ContainerEntry>,
    /// Gone and kept, oldest first.
    gone: VecDeque<Box<str>>,
    /// Ids that a pod's own facts name, by who told and the pod's uid as cgroups have it.
    named_by_pods: HashMap<(Origin, Box<str>), Vec<Box<str>>>,
    local_node: Option<Box<str>>,
}

impl Containers {
    /// Those of other nodes are not kept.
    pub(super) fn local(&mut self, node: Option<&str>) {
        self.local_node = node.map(Box::from);
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.values().filter(|entry| entry.told != 0).count()
    }

    pub(super) fn get(&self, id: &str) -> Option<&ContainerEntry> {
        self.by_id.get(id)
    }

    /// Takes those that a pod names; what it named before and names no more is gone.
    pub(super) fn of_pod(&mut self, origin: Origin, facts: &PodFacts, pool: &mut Pool) {
        let foreign = self.local_node.is_some()
            && facts.node.is_some()
            && facts.node.as_deref() != self.local_node.as_deref();
        if foreign {
            return;
        }
        let uid: &str = facts.config_hash.as_deref().unwrap_or(&facts.uid);
        let mut named = Vec::new();
        for (name, id) in &facts.containers {
            if let Some(id) = id {
                let told = ContainerFacts {
                    id: id.clone(),
                    pod_uid: uid.to_owned(),
                    name: name.clone(),
                    ..ContainerFacts::default()
                };
                self.told(origin, &told, pool);
                named.push(Box::from(id.as_str()));
            }
        }
        let key = (origin, Box::from(uid));
        let before = if named.is_empty() {
            self.named_by_pods.remove(&key)
        } else {
            self.named_by_pods.insert(key, named.clone())
        };
        for id in before.into_iter().flatten().filter(|id| !named.contains(id)) {
            self.gone(origin, &id);
        }
    }

    /// A pod is gone, and what it named with it.
    pub(super) fn of_pod_gone(&mut self, origin: Origin, uid: &str) {
        let before = self.named_by_pods.remove(&(origin, Box::from(uid)));
        for id in before.into_iter().flatten() {
            self.gone(origin, &id);
        }
    }

    /// Takes a container; false when there is no room.
    pub(super) fn told(&mut self, origin: Origin, facts: &ContainerFacts, pool: &mut Pool) -> bool {
        let bit = Rank::of(origin).bit();
        if facts.id.is_empty() {
            return false;
        }
        if let Some(known) = self.by_id.get_mut(facts.id.as_str()) {
            known.told |= bit;
            known.ever |= bit;
            known.first_pid = facts.pid.or(known.first_pid);
            let name = Some(facts.name.as_str()).filter(|name| !name.is_empty());
            let merged = Container {
                name: name.map(String::from).or_else(|| known.container.name.clone()),
                id: known.container.id.clone(),
                runtime: facts.runtime.clone().or_else(|| known.container.runtime.clone()),
                is_sandbox: false,
            };
            if merged != *known.container {
                known.container = Arc::new(merged);
            }
            return true;
        }
        if self.by_id.len() >= KEPT_MAX {
            return false;
        }
        let container = Container {
            name: Some(facts.name.clone()).filter(|name| !name.is_empty()),
            id: facts.id.clone(),
            runtime: facts.runtime.clone(),
            is_sandbox: false,
        };
        self.by_id.insert(
            facts.id.as_str().into(),
            ContainerEntry {
                container: Arc::new(container),
                pod_uid: pool.text(&facts.pod_uid),
                first_pid: facts.pid,
                told: bit,
                ever: bit,
            },
        );
        true
    }

    pub(super) fn gone(&mut self, origin: Origin, id: &str) {
        let bit = Rank::of(origin).bit();
        if let Some(entry) = self.by_id.get_mut(id)
            && entry.told & bit != 0
        {
            entry.told &= !bit;
            if entry.told == 0 {
                self.gone.push_back(id.into());
            }
        }
        while self.gone.len() > GONE_MAX
            && let Some(oldest) = self.gone.pop_front()
        {
            if self.by_id.get(&oldest).is_some_and(|entry| entry.told == 0) {
                self.by_id.remove(&oldest);
            }
        }
    }
}
