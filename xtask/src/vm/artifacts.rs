//! Programs that cargo built, read from its JSON messages, and the libraries they load.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cmd;

/// Kind of a cargo target that has an executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bin,
    Test,
}

/// An executable cargo built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Artifact {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) executable: PathBuf,
}

/// Integration tests and programs of the crate `tests`, built.
pub(super) fn build_tests() -> Result<Vec<Artifact>> {
    let messages = cmd::output(&mut cmd::cargo(&[
        "test",
        "--package",
        "tests",
        "--bins",
        "--tests",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]))?;
    Ok(messages.lines().filter_map(artifact).collect())
}

/// Shared libraries of a program, loader included.
pub(super) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let mut ldd = Command::new("ldd");
    ldd.arg(program).env("LC_ALL", "C").stderr(Stdio::null());
    let output = ldd
        .output()
        .with_context(|| format!("cannot start {}", cmd::text(&ldd)))?;
    // It fails on a static program, which needs nothing.
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.filter_map(library).collect()
}

/// `libc.so.6 => /lib/libc.so.6 (0x7f..)`, `/lib64/ld-linux.so.2 (0x7f..)`, `linux-vdso.so.1 (0x7f..)`.
fn library(line: &str) -> Option<Result<PathBuf>> {
    let (name, target) = line
        .split_once("=>")
        .map_or((line, line), |(name, target)| (name, target));
    let path = target.trim().split(" (").next().unwrap_or_default().trim();
    if path.starts_with('/') {
        Some(Ok(PathBuf::from(path)))
    } else if path.contains("not found") {
        Some(Err(anyhow::anyhow!("library {} is not found", name.trim())))
    } else {
        None
    }
}

/// A compiler-artifact message that names an executable. The test build of a binary, `src/bin` under a test
/// harness, is neither: its kind is `bin` and its profile is a test's.
fn artifact(line: &str) -> Option<Artifact> {
    if !line.contains("\"reason\":\"compiler-artifact\"") {
        return None;
    }
    let target = line.split_once("\"target\":{")?.1;
    let kind = match target.split_once("\"kind\":[\"")?.1.split('"').next()? {
        "bin" if line.contains("\"test\":false},") => Kind::Bin,
        "test" => Kind::Test,
        _ => return None,
    };
    let name = string_after(target, "\"name\":")?;
    let executable = string_after(line, "\"executable\":")?;
    Some(Artifact {
        kind,
        name,
        executable: PathBuf::from(executable),
    })
}

/// The JSON string that follows `key`; none when what follows is no string. Only `\\` and `\"` are unescaped:
/// paths and crate names hold no control characters worth supporting here.
fn string_after(text: &str, key: &str) -> Option<String> {
    let mut chars = text.split_once(key)?.1.trim_start().strip_prefix('"')?.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(chars.next()?),
            other => value.push(other),
        }
    }
}

/// A file's content, or an error that names it.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_cargos_messages() {
        let line = |kind: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"path+file:///w/tests#0.1.0","manifest_path":"/w/tests/Cargo.toml","target":{{"kind":["{kind}"],"crate_types":["bin"],"name":"live","src_path":"/w/tests/tests/live.rs","edition":"2024","doc":false,"doctest":false,"test":true}},"profile":{{"opt_level":"0","debuginfo":1,"debug_assertions":true,"overflow_checks":true,"test":{test}}},"features":[],"filenames":["/w/x"],"executable":{executable},"fresh":true}}"#
            )
        };
        let found = |kind| {
            Some(Artifact {
                kind,
                name: "live".to_owned(),
                executable: PathBuf::from("/w/a \"b\""),
            })
        };
        let path = r#""/w/a \"b\"""#;
        let cases = [
            ("integration test", line("test", true, path), found(Kind::Test)),
            ("program", line("bin", false, path), found(Kind::Bin)),
            ("a program's own unit tests", line("bin", true, path), None),
            ("library", line("lib", false, "null"), None),
            (
                "not an artifact",
                r#"{"reason":"build-finished","success":true}"#.to_owned(),
                None,
            ),
            ("not JSON", "hello".to_owned(), None),
        ];
        for (name, line, want) in cases {
            assert_eq!(artifact(&line), want, "case: {name}");
        }
    }

    #[test]
    fn libraries_are_read_from_ldd() {
        let path = |text: &str| Some(PathBuf::from(text));
        let cases = [
            (
                "found by name",
                "libc.so.6 => /lib/x/libc.so.6 (0x00007f5d)",
                path("/lib/x/libc.so.6"),
            ),
            (
                "the loader",
                "/lib64/ld-linux-x86-64.so.2 (0x00007f5d)",
                path("/lib64/ld-linux-x86-64.so.2"),
            ),
            ("the kernel's own", "linux-vdso.so.1 (0x00007ffe)", None),
            ("static", "statically linked", None),
        ];
        for (name, line, want) in cases {
            assert_eq!(library(line).transpose().unwrap(), want, "case: {name}");
        }
        assert!(library("libx.so => not found").unwrap().is_err());
    }
}
