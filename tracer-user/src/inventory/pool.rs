//! Strings, labels, ports and workloads that many pods share, kept once while anybody holds them.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use crate::attribute::place::{Labels, Workload};

/// Shared values before the first look for those that nobody holds any more.
const SWEPT_MIN: usize = 4_096;

/// Shared values.
#[derive(Debug, Default)]
pub(super) struct Pool {
    texts: HashSet<Arc<str>>,
    /// By a keyed hash: two that meet there are both right, but only one of them is shared.
    labels: HashMap<u64, Labels>,
    hashes: RandomState,
    workloads: HashSet<Arc<Workload>>,
    ports: HashSet<Arc<[u16]>>,
    /// Values there were after the last sweep.
    swept: usize,
}

/// Whether these are the labels that were told.
pub(super) fn same_labels(known: &Labels, told: &[(String, String)]) -> bool {
    known.len() == told.len()
        && known
            .iter()
            .zip(told)
            .all(|((key, value), (other_key, other))| **key == **other_key && **value == **other)
}

impl Pool {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        self.sweep();
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    pub(super) fn labels(&mut self, told: &[(String, String)]) -> Labels {
        let hash = self.hashes.hash_one(told);
        if let Some(known) = self.labels.get(&hash).filter(|known| same_labels(known, told)) {
            return Arc::clone(known);
        }
        let mut new: Vec<(Arc<str>, Arc<str>)> = told
            .iter()
            .map(|(key, value)| (self.text(key), self.text(value)))
            .collect();
        new.sort_unstable();
        let new: Labels = new.into();
        self.sweep();
        self.labels.insert(hash, Arc::clone(&new));
        new
    }

    pub(super) fn workload(&mut self, workload: &Workload) -> Arc<Workload> {
        if let Some(known) = self.workloads.get(workload) {
            return Arc::clone(known);
        }
        self.sweep();
        let new = Arc::new(workload.clone());
        self.workloads.insert(Arc::clone(&new));
        new
    }

    pub(super) fn ports(&mut self, ports: &[u16]) -> Arc<[u16]> {
        if let Some(known) = self.ports.get(ports) {
            return Arc::clone(known);
        }
        self.sweep();
        let new: Arc<[u16]> = ports.into();
        self.ports.insert(Arc::clone(&new));
        new
    }

    fn len(&self) -> usize {
        self.texts.len() + self.labels.len() + self.workloads.len() + self.ports.len()
    }

    /// Forgets what nobody else holds, each time there are twice as many as were held the last time: so little work that
    /// it does not count, and never more than twice the memory that is needed.
    fn sweep(&mut self) {
        if self.len() < (self.swept * 2).max(SWEPT_MIN) {
            return;
        }
        // Labels hold texts.
        self.labels.retain(|_, labels| Arc::strong_count(labels) > 1);
        self.workloads.retain(|workload| Arc::strong_count(workload) > 1);
        self.ports.retain(|ports| Arc::strong_count(ports) > 1);
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.labels.shrink_to_fit();
        self.texts.shrink_to_fit();
        self.swept = self.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_what_nobody_holds_is_forgotten() {
        let mut pool = Pool::default();
        let label = |value: &str| [("app".to_owned(), value.to_owned())];
        let held = pool.labels(&label("held"));
        for number in 0..100_000 {
            let passing = pool.labels(&label(&number.to_string()));
            assert!(same_labels(&passing, &label(&number.to_string())));
        }
        assert!(pool.len() < 2 * SWEPT_MIN, "{}", pool.len());
        assert!(Arc::ptr_eq(&held, &pool.labels(&label("held"))));
        let (key, value) = &held[0];
        assert!(Arc::ptr_eq(key, &pool.text("app")) && Arc::ptr_eq(value, &pool.text("held")));
    }

    #[test]
    fn labels_told_in_another_order_are_the_same_labels() {
        let mut pool = Pool::default();
        let (a, b) = (("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned()));
        assert_eq!(pool.labels(&[a.clone(), b.clone()]), pool.labels(&[b, a]));
    }
}
