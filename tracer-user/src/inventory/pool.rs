//! Strings, labels and workloads that many pods share, kept once.
#![forbid(unsafe_code)]

use std::{collections::HashSet, sync::Arc};

use crate::attribute::place::{Labels, Workload};

/// Shared values of one kind before all are forgotten and shared anew; holders keep theirs.
const SHARED_MAX: usize = 1 << 17;

/// Shared values.
#[derive(Debug, Default)]
pub(super) struct Pool {
    texts: HashSet<Arc<str>>,
    labels: HashSet<Labels>,
    workloads: HashSet<Arc<Workload>>,
}

impl Pool {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= SHARED_MAX {
            self.texts.clear();
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    pub(super) fn labels(&mut self, labels: &[(String, String)]) -> Labels {
        let mut new: Vec<(Arc<str>, Arc<str>)> = labels
            .iter()
            .map(|(key, value)| (self.text(key), self.text(value)))
            .collect();
        new.sort_unstable();
        if let Some(known) = self.labels.get(new.as_slice()) {
            return Arc::clone(known);
        }
        if self.labels.len() >= SHARED_MAX {
            self.labels.clear();
        }
        let new: Labels = new.into();
        self.labels.insert(Arc::clone(&new));
        new
    }

    pub(super) fn workload(&mut self, workload: &Workload) -> Arc<Workload> {
        if let Some(known) = self.workloads.get(workload) {
            return Arc::clone(known);
        }
        if self.workloads.len() >= SHARED_MAX {
            self.workloads.clear();
        }
        let new = Arc::new(workload.clone());
        self.workloads.insert(Arc::clone(&new));
        new
    }
}
