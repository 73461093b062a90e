//! What differs between two lists.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use crate::signal::inventory::{Fact, PodFacts};

/// One sandbox per pod: one that runs before one that does not, then the newest.
pub(super) fn newest(sandboxes: Vec<PodFacts>) -> HashMap<String, PodFacts> {
    let mut pods: HashMap<String, PodFacts> = HashMap::with_capacity(sandboxes.len());
    for pod in sandboxes {
        let rank = |pod: &PodFacts| (!pod.ended, pod.started_unix_ns, pod.sandbox_id.clone());
        if pods.get(&pod.uid).is_none_or(|other| rank(other) < rank(&pod)) {
            pods.insert(pod.uid.clone(), pod);
        }
    }
    pods
}

/// Tells what is gone and what changed, or everything that is there when `whole`.
pub(super) fn changes<T: Clone + PartialEq>(
    before: &HashMap<String, T>,
    after: &HashMap<String, T>,
    whole: bool,
    gone: impl Fn(String) -> Fact,
    fact: impl Fn(T) -> Fact,
    told: &mut Vec<Fact>,
) {
    // First who is gone: an address may have gone to another.
    let missing = before.keys().filter(|key| !whole && !after.contains_key(*key));
    told.extend(missing.cloned().map(gone));
    let changed = after
        .iter()
        .filter(|(key, value)| whole || before.get(*key) != Some(*value));
    told.extend(changed.map(|(_, value)| fact(value.clone())));
}
