//! Rules that keep rooms apart, checked on source text. To let a room use another: one word in [`EDGES`].

mod text;

use std::path::Path;

use self::text::{code, paths_of, uses, without_tests};

/// A file of the workspace; `path` is relative to its root.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
}

/// What is wrong where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) path: String,
    pub(crate) what: String,
}

/// A rule's name and its check of all files.
pub(crate) type Rule = (&'static str, fn(&[Source]) -> Vec<Finding>);

/// All rules.
pub(crate) const RULES: &[Rule] = &[
    ("lints are inherited", lints),
    ("files say what they own", documented),
    ("files are short", sizes),
    ("rooms use only what they may", edges),
    ("aya stays in its rooms", aya),
    ("nothing is left for later", later),
];

/// Which rooms of tracer-user each room may name. Data flows one way, so a room stands below all it names.
const EDGES: &[(&str, &str)] = &[
    ("clock", ""),
    ("event", ""),
    ("hash", ""),
    ("malformed", ""),
    ("regular_file", ""),
    ("signal", ""),
    ("decode", "event"),
    ("track", "event signal hash"),
    ("attribute", "event signal hash malformed regular_file"),
    ("inventory", "signal attribute"),
    ("report", "event signal attribute"),
    ("graph", "event signal attribute report"),
    ("resolve", "signal clock attribute malformed regular_file"),
    (
        "pipeline",
        "event signal hash decode track attribute inventory graph report",
    ),
    ("loader", "signal clock regular_file"),
    ("record", "signal clock regular_file"),
    ("source", "signal clock loader attribute resolve hash"),
    ("verify", "event signal attribute graph report"),
    ("output", "event signal attribute graph report verify"),
    ("cli", "event output verify report"),
];

/// May name every room: the composition root and the doors.
const FREE: [&str; 3] = ["app", "lib", "main"];

/// Where kernel programs are handled; everything else sees records only.
const AYA: [&str; 2] = ["tracer-user/src/loader/", "tracer-user/src/source/live.rs"];

/// Lines of a file without its tests: alarm, and refusal.
const LONG: usize = 250;
const TOO_LONG: usize = 400;

/// Marks of unfinished work, each in two parts so that this file holds none.
const LATER: [(&str, &str); 4] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("todo", "!("),
    ("unimplemented", "!("),
];

const ROOMS_DIR: &str = "tracer-user/src/";

/// Workspace members, from the root manifest.
pub(crate) fn members(manifest: &str) -> Vec<&str> {
    let list = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = ["))
        .unwrap_or_default();
    list.split('"').skip(1).step_by(2).collect()
}

fn error(source: &Source, what: impl Into<String>) -> Finding {
    Finding {
        level: Level::Error,
        path: source.path.clone(),
        what: what.into(),
    }
}

fn lints(sources: &[Source]) -> Vec<Finding> {
    let manifests = sources
        .iter()
        .filter(|source| source.path.ends_with("Cargo.toml"));
    let inherits = |source: &&Source| !source.text.contains("[lints]\nworkspace = true");
    manifests
        .filter(inherits)
        .map(|source| error(source, "lacks `[lints] workspace = true`"))
        .collect()
}

fn documented(sources: &[Source]) -> Vec<Finding> {
    let undocumented = |source: &&Source| {
        let mut lines = source
            .text
            .lines()
            .skip_while(|line| line.starts_with("#!") || line.is_empty());
        !lines.next().is_some_and(|line| line.starts_with("//! "))
    };
    rust(sources)
        .filter(undocumented)
        .map(|source| error(source, "must begin with a `//!` line that says what it owns"))
        .collect()
}

fn sizes(sources: &[Source]) -> Vec<Finding> {
    let judge = |source: &Source| {
        let lines = without_tests(&source.text).lines().count();
        let level = if lines > TOO_LONG {
            Level::Error
        } else {
            Level::Warning
        };
        (lines > LONG).then(|| Finding {
            level,
            path: source.path.clone(),
            what: format!("{lines} lines; split it at a seam (alarm {LONG}, limit {TOO_LONG})"),
        })
    };
    rust(sources)
        .filter(|source| !is_test(source))
        .filter_map(judge)
        .collect()
}

fn edges(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in rust(sources).filter(|source| !is_test(source)) {
        let Some(inside) = source.path.strip_prefix(ROOMS_DIR) else {
            continue;
        };
        let room = inside.split(['/', '.']).next().unwrap_or(inside);
        if FREE.contains(&room) {
            continue;
        }
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == room) else {
            findings.push(error(
                source,
                format!("room `{room}` is not in the table of xtask/src/rooms/mod.rs"),
            ));
            continue;
        };
        let door = inside == format!("{room}.rs") || inside == format!("{room}/mod.rs");
        for used in uses(&code(&source.text), door) {
            if used != room && !allowed.split(' ').any(|room| room == used) {
                findings.push(error(
                    source,
                    format!("room `{room}` may not use `{used}`; the table is in xtask/src/rooms/mod.rs"),
                ));
            }
        }
    }
    findings
}

fn aya(sources: &[Source]) -> Vec<Finding> {
    let outside = |source: &&Source| {
        source.path.starts_with(ROOMS_DIR) && !AYA.iter().any(|place| source.path.starts_with(place))
    };
    let names = |source: &&Source| paths_of("aya", &code(&source.text)).next().is_some();
    rust(sources)
        .filter(outside)
        .filter(names)
        .map(|source| error(source, format!("names aya, which only {} may", AYA.join(" and "))))
        .collect()
}

fn later(sources: &[Source]) -> Vec<Finding> {
    let marks = LATER.map(|(start, end)| format!("{start}{end}"));
    let found = |source: &Source| {
        let mark = marks.iter().find(|mark| source.text.contains(mark.as_str()))?;
        Some(error(source, format!("holds {mark}: finish it or leave it out")))
    };
    sources.iter().filter_map(found).collect()
}

/// A file that is compiled for tests only: an integration test, or a room's `tests.rs`.
fn is_test(source: &Source) -> bool {
    source.path.contains("/tests/") || source.path.ends_with("/tests.rs")
}

fn rust(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| {
        Path::new(&source.path)
            .extension()
            .is_some_and(|kind| kind == "rs")
    })
}

#[cfg(test)]
mod tests;
