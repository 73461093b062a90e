//! Fingers that type netstat: `listeners -nltp` and `connections -anp` work, with a hint.

use std::ffi::{OsStr, OsString};

/// netstat's letters: numeric, listening, TCP, programs, all, UDP.
const LETTERS: &str = "nltpau";

/// Takes netstat's letters, given as one word of two or more, out of `args` of `listeners` and `connections`.
/// Returns what to say about them.
pub(super) fn take_netstat_letters(args: &mut Vec<OsString>) -> Vec<String> {
    let mut hints = Vec::new();
    let is_view = |word: &OsString| word == "listeners" || word == "connections";
    // Only what follows the view: a file before it may be called anything.
    let Some(view_at) = args.iter().position(is_view) else {
        return hints;
    };
    let listeners = args.get(view_at).is_some_and(|view| view == "listeners");
    let end = args.iter().position(|word| word == "--").unwrap_or(args.len());
    let mut at = 0;
    args.retain(|word| {
        let taken = (view_at + 1..end).contains(&at) && is_letters(word);
        at += 1;
        if taken {
            hints.push(hint(&word.to_string_lossy(), listeners));
        }
        !taken
    });
    hints
}

fn is_letters(word: &OsStr) -> bool {
    let letters = word
        .to_str()
        .and_then(|word| word.strip_prefix('-'))
        .unwrap_or_default();
    letters.len() >= 2 && letters.chars().all(|letter| LETTERS.contains(letter))
}

fn hint(letters: &str, listeners: bool) -> String {
    let mut hint = format!("`{letters}` is netstat's: addresses are numeric and names are shown without it");
    if letters.contains('n') {
        hint += "; `-n` alone is --namespace";
    }
    if letters.contains('l') && !listeners {
        hint += "; what listens is in `kcn-trace listeners`";
    }
    if letters.contains('a') && listeners {
        hint += "; what is connected is in `kcn-trace connections`";
    }
    if letters.contains('u') {
        hint += "; UDP is not traced";
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clustered_letters_after_the_two_views_are_taken() {
        let cases: &[(&str, &str, &str, &[&str])] = &[
            (
                "netstat -nltp",
                "kcn-trace listeners -nltp etcd",
                "kcn-trace listeners etcd",
                &["`-nltp` is netstat's"],
            ),
            (
                "netstat -anp",
                "kcn-trace connections -anp",
                "kcn-trace connections",
                &["`-anp` is netstat's"],
            ),
            (
                "listening is elsewhere",
                "kcn-trace connections -lnt",
                "kcn-trace connections",
                &["kcn-trace listeners"],
            ),
            (
                "connected is elsewhere",
                "kcn-trace listeners -an",
                "kcn-trace listeners",
                &["kcn-trace connections"],
            ),
            (
                "UDP",
                "kcn-trace listeners -nltup",
                "kcn-trace listeners",
                &["UDP is not traced"],
            ),
            (
                "on a recording",
                "kcn-trace replay f listeners -nltp",
                "kcn-trace replay f listeners",
                &["netstat"],
            ),
            (
                "one letter is a flag of ours or an error",
                "kcn-trace listeners -n",
                "kcn-trace listeners -n",
                &[],
            ),
            (
                "another letter",
                "kcn-trace listeners -nltx",
                "kcn-trace listeners -nltx",
                &[],
            ),
            (
                "another view",
                "kcn-trace graph -anp",
                "kcn-trace graph -anp",
                &[],
            ),
            (
                "before the view",
                "kcn-trace -an listeners",
                "kcn-trace -an listeners",
                &[],
            ),
            (
                "after --",
                "kcn-trace listeners -- -an",
                "kcn-trace listeners -- -an",
                &[],
            ),
        ];
        for (name, given, want, says) in cases {
            let mut args: Vec<OsString> = given.split(' ').map(OsString::from).collect();
            let hints = take_netstat_letters(&mut args);
            let want: Vec<OsString> = want.split(' ').map(OsString::from).collect();
            assert_eq!(args, want, "case: {name}");
            assert_eq!(hints.len(), says.len(), "case: {name}");
            for (hint, says) in hints.iter().zip(*says) {
                assert!(hint.contains(says), "case: {name}: {hint}");
            }
        }
    }
}
