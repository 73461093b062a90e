//! YAML of files and of what plugins print, within budgets. Errors tell the place and nothing of the content.
#![forbid(unsafe_code)]

use serde::de::DeserializeOwned;

use crate::malformed::Malformed;

/// Bytes of a file; the largest manifests and kubeconfig files are far below.
pub(super) const FILE_BYTES: u64 = 1024 * 1024;

/// Values in one file, events that aliases replay, and bytes of all values together.
const NODES_MAX: usize = 100_000;
const REPLAYED_MAX: usize = 10_000;
const VALUE_BYTES: usize = 4 * 1024 * 1024;

/// Documents in one file.
const DOCUMENTS_MAX: usize = 16;

/// Lists and maps within each other.
const DEPTH_MAX: usize = 64;

/// All documents of a file; JSON is YAML too.
pub(super) fn documents<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>, Malformed> {
    let mut limits = serde_saphyr::options::AliasLimits::default();
    limits.max_total_replayed_events = REPLAYED_MAX;
    limits.max_replay_stack_depth = 16;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
            max_depth: DEPTH_MAX,
            max_documents: DOCUMENTS_MAX,
            max_total_scalar_bytes: VALUE_BYTES,
            max_recorded_anchor_events: NODES_MAX,
            max_recorded_anchor_bytes: VALUE_BYTES,
        },
        alias_limits: limits,
        with_snippet: false,
    };
    Ok(serde_saphyr::from_slice_multiple_with_options(bytes, options)?)
}
