//! What outputs write where there is no name, or between names: a foreign name that is one of these is quoted.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

/// Our own words. A process may be called any of them.
const WORDS: [&str; 8] = [
    "unknown", "external", "SPOOFED", "by", "via", "somebody", "->", "-",
];

/// Whether `name` could be taken for a word of ours, or for the address of an end that has no name.
pub fn is_ours(name: &str) -> bool {
    WORDS.contains(&name) || name.parse::<IpAddr>().is_ok() || name.parse::<SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_addresses_are_ours_and_names_are_not() {
        let cases = [
            ("unknown", true),
            ("external", true),
            ("->", true),
            ("10.0.0.9", true),
            ("10.0.0.9:443", true),
            ("fe80::1", true),
            ("[::1]:80", true),
            ("unknownd", false),
            ("etcd", false),
            ("10.0.0", false),
            ("", false),
        ];
        for (name, want) in cases {
            assert_eq!(is_ours(name), want, "case: {name}");
        }
    }
}
