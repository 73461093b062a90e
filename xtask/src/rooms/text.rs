//! Reads Rust source as text, as far as the rules need: tests, comments, and paths that begin at the crate.

use std::collections::BTreeSet;

/// The file up to its test module.
pub(super) fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
}

/// The file without tests and comments.
pub(super) fn code(text: &str) -> String {
    let lines = without_tests(text).split_inclusive('\n');
    lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect()
}

/// Rooms named as `crate::room`, in groups too; in a room's own door `super` is the crate.
pub(super) fn uses(code: &str, door: bool) -> BTreeSet<String> {
    let crate_paths = paths_of("crate", code);
    let super_paths = paths_of(if door { "super" } else { "super::super" }, code);
    crate_paths.chain(super_paths).flat_map(heads).collect()
}

/// What follows each `name::`, when `name` is a word of its own.
pub(super) fn paths_of<'a>(name: &'a str, code: &'a str) -> impl Iterator<Item = &'a str> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ':');
    code.match_indices(name).filter_map(move |(at, _)| {
        let (before, rest) = code.split_at_checked(at)?;
        let after = rest.strip_prefix(name)?.strip_prefix("::")?;
        // `::aya::` begins at the crate too, `tests::aya::` does not.
        let own = !before
            .trim_start_matches(char::is_whitespace)
            .trim_end_matches("::")
            .ends_with(word)
            || before.ends_with(char::is_whitespace);
        own.then_some(after)
    })
}

/// First words of a path or of the members of a `{group}`, which may be nested.
fn heads(path: &str) -> Vec<String> {
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![word(path)];
    };
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0_usize, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !c.is_whitespace() => {
                heads.extend(group.get(at..).map(word));
                start = false;
            }
            _ => {}
        }
    }
    heads
}
