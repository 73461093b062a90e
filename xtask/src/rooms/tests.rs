//! Each rule on small files that keep it and that break it.

use super::*;
use std::collections::BTreeSet;

fn source(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn count(rule: fn(&[Source]) -> Vec<Finding>, path: &str, text: &str) -> usize {
    rule(&[source(path, text)]).len()
}

#[test]
fn members_are_read_from_the_manifest() {
    let manifest = "[workspace]\nmembers = [\"a\", \"b-c\"]\ndefault-members = [\"a\"]\n";
    assert_eq!(members(manifest), ["a", "b-c"]);
}

#[test]
fn table_has_no_cycle_and_names_known_rooms() {
    // Rooms whose needs are all placed can be placed: if some never can, they form a cycle.
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    for _ in EDGES {
        for (room, needs) in EDGES {
            if needs.split_whitespace().all(|need| placed.contains(need)) {
                placed.insert(room);
            }
        }
    }
    let rooms: BTreeSet<&str> = EDGES.iter().map(|(room, _)| *room).collect();
    assert_eq!(placed, rooms);
}

#[test]
fn manifest_must_inherit_lints() {
    assert_eq!(
        count(lints, "a/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"),
        0
    );
    assert_eq!(count(lints, "a/Cargo.toml", "[package]\n"), 1);
    assert_eq!(
        count(lints, "a/Cargo.toml", "[lints.rust]\nworkspace = true\n"),
        1
    );
}

#[test]
fn first_line_says_what_a_file_owns() {
    let cases = [
        ("doc first", "//! Owns x.\nfn a() {}\n", 0),
        ("after attributes", "#![no_std]\n#![no_main]\n\n//! Owns x.\n", 0),
        ("no doc", "fn a() {}\n", 1),
        ("a comment is no doc", "// Owns x.\n", 1),
        ("an empty doc says nothing", "//!\n//! Owns x.\n", 1),
        ("empty file", "", 1),
    ];
    for (name, text, want) in cases {
        assert_eq!(count(documented, "a/src/b.rs", text), want, "case: {name}");
    }
}

#[test]
fn long_files_alarm_and_longer_ones_fail() {
    let cases = [
        ("short", 250, 0, None),
        ("long", 251, 0, Some(Level::Warning)),
        ("at the limit", 400, 0, Some(Level::Warning)),
        ("too long", 401, 0, Some(Level::Error)),
        ("tests do not count", 100, 500, None),
    ];
    for (name, lines, tests, want) in cases {
        let text = format!(
            "{}\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "x\n".repeat(lines).trim_end(),
            "y\n".repeat(tests)
        );
        let level = sizes(&[source("a/src/b.rs", &text)])
            .first()
            .map(|finding| finding.level);
        assert_eq!(level, want, "case: {name}");
    }
}

#[test]
fn rooms_are_named_only_along_the_table() {
    let cases = [
        (
            "allowed",
            "graph/build.rs",
            "use crate::event::Event;\nuse crate::report;\n",
            0,
        ),
        ("itself", "graph/build.rs", "use crate::graph::Node;\n", 0),
        ("against the flow", "event.rs", "use crate::graph::Node;\n", 1),
        (
            "in a group",
            "event.rs",
            "use crate::{\n    graph::{Node, signal},\n    track,\n};\n",
            2,
        ),
        (
            "in an expression",
            "decode/mod.rs",
            "fn a() { crate::loader::open(); }\n",
            1,
        ),
        (
            "through super from a door",
            "decode/mod.rs",
            "use super::loader::Loader;\n",
            1,
        ),
        (
            "through super inside a room is the room",
            "decode/tcp.rs",
            "use super::loader::Loader;\n",
            0,
        ),
        (
            "through super twice",
            "decode/tcp.rs",
            "use super::super::loader::Loader;\n",
            1,
        ),
    ];
    check_edges(&cases);
}

#[test]
fn what_is_no_use_of_a_room_is_not_taken_for_one() {
    let cases = [
        (
            "visibility is no use",
            "event.rs",
            "pub(crate) fn a() {}\npub(in crate::event) fn b() {}\n",
            0,
        ),
        (
            "comments are no use",
            "event.rs",
            "//! See [`crate::graph`].\n/// And [`crate::views`].\n",
            0,
        ),
        (
            "tests may use anything",
            "event.rs",
            "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::graph;\n}\n",
            0,
        ),
        (
            "a room's test file too",
            "event/tests.rs",
            "use crate::graph;\n",
            0,
        ),
        (
            "macros of another crate",
            "event.rs",
            "other_crate::graph::a!(); $crate::graph::b!();\n",
            0,
        ),
        (
            "the composition root is free",
            "app.rs",
            "use crate::loader;\n",
            0,
        ),
        ("a new room must enter the table", "shed/mod.rs", "fn a() {}\n", 1),
    ];
    check_edges(&cases);
}

fn check_edges(cases: &[(&str, &str, &str, usize)]) {
    for (name, path, text, want) in cases {
        let found = count(edges, &format!("{ROOMS_DIR}{path}"), text);
        assert_eq!(found, *want, "case: {name}");
    }
}

#[test]
fn aya_is_named_in_its_rooms_only() {
    let cases = [
        ("loader", "loader/plan.rs", "use aya::Ebpf;\n", 0),
        ("live source", "source/live.rs", "use aya::maps::RingBuf;\n", 0),
        ("elsewhere", "graph/mod.rs", "use aya::Ebpf;\n", 1),
        ("from the root", "graph/mod.rs", "fn a(_: ::aya::Ebpf) {}\n", 1),
        ("a word that ends so", "graph/mod.rs", "use maya::Ebpf;\n", 0),
        ("a comment", "graph/mod.rs", "// aya::Ebpf does this.\n", 0),
    ];
    for (name, path, text, want) in cases {
        assert_eq!(
            count(aya, &format!("{ROOMS_DIR}{path}"), text),
            want,
            "case: {name}"
        );
    }
}

#[test]
fn unfinished_work_is_found() {
    for (start, end) in LATER {
        assert_eq!(
            count(later, "a/src/b.rs", &format!("// {start}{end} x\n")),
            1,
            "{start}"
        );
    }
    assert_eq!(count(later, "a/src/b.rs", "// done, method\n"), 0);
}
