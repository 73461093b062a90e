//! A hasher for keys that are small integers the kernel chose: thread group ids, inodes, socket addresses.
//!
//! Not for strings: those may be chosen by a hostile process, and keep the standard library's keyed hasher.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

/// A map keyed by an integer from the kernel.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// A set of integers from the kernel.
pub type IdSet<K> = HashSet<K, BuildHasherDefault<IdHasher>>;

/// One multiplication per integer.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl IdHasher {
    /// 2^64 divided by the golden ratio, made odd: spreads consecutive numbers (Knuth, Fibonacci hashing).
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    const fn add(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(Self::FACTOR);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, i: u32) {
        self.add(u64::from(i));
    }

    fn write_usize(&mut self, i: usize) {
        self.add(i as u64);
    }

    fn write_u64(&mut self, i: u64) {
        self.add(i);
    }

    fn finish(&self) -> u64 {
        // The table takes its bucket from the low bits, the product mixes into the high ones.
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hash;

    #[test]
    fn consecutive_ids_fall_into_different_buckets() {
        let buckets: HashSet<u64> = (1..=1024_u32)
            .map(|id| {
                let mut hasher = IdHasher::default();
                id.hash(&mut hasher);
                hasher.finish() % 4096
            })
            .collect();
        assert!(buckets.len() > 700, "{} of 1024", buckets.len());
    }
}
