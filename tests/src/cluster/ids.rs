//! Names and ids as Kubernetes makes them, new for each cluster.

use anyhow::{Context, Result};
use std::fs;

/// Letters and digits of generated names: `k8s.io/apimachinery/pkg/util/rand`.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// An object's uid.
pub(super) fn uid() -> Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let uuid = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(uuid.trim_end().to_owned())
}

/// A manifest's hash, which is its static pod's uid on the node.
pub(super) fn manifest_hash() -> Result<String> {
    Ok(uid()?.replace('-', ""))
}

/// The end of a generated name: 5 characters of a pod, 9 of a template's hash.
pub(super) fn suffix(length: usize) -> Result<String> {
    let uuid = manifest_hash()?;
    // Two characters of 16 digits choose one of 27.
    let pairs = uuid.as_bytes().chunks_exact(2).take(length);
    Ok(pairs
        .map(|pair| {
            let number = pair.iter().fold(0, |sum, byte| sum * 31 + usize::from(*byte));
            char::from(*ALPHABET.get(number % ALPHABET.len()).unwrap_or(&b'b'))
        })
        .collect())
}
