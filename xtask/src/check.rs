//! `cargo xtask check`: formatting, lints, documentation and the rules between rooms.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cmd;
use crate::ebpf_toolchain::{Compiler, Facts, PACKAGE, Toolchain, UNSTABLE};
use crate::rooms::{self, Level, Source};
use crate::tally::Tally;

/// A gate's name and its work.
type Gate = (&'static str, fn() -> Result<()>);

/// Runs every gate, also after one has failed. True when all passed.
pub(crate) fn check() -> bool {
    let gates: [Gate; 5] = [
        ("format", || {
            cmd::run(&mut cmd::cargo(&["fmt", "--all", "--check"]))
        }),
        ("lints", host_lints),
        ("lints of the eBPF programs", ebpf_lints),
        ("documentation", || {
            let mut doc = cmd::cargo(&["doc", "--workspace", "--exclude", PACKAGE, "--no-deps"]);
            cmd::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
        }),
        ("rooms", || {
            let tally = rooms()?;
            if tally.failed > 0 {
                bail!("{} rules are broken", tally.failed)
            }
            Ok(())
        }),
    ];
    let mut failed = Vec::new();
    for (name, gate) in gates {
        println!("== {name}");
        if let Err(error) = gate() {
            println!("{name}: {error:#}");
            failed.push(name);
        }
    }
    println!(
        "{}",
        if failed.is_empty() {
            "all gates passed".to_owned()
        } else {
            format!("failed: {}", failed.join(", "))
        }
    );
    failed.is_empty()
}

/// The room rules on this working tree; each rule is one test.
pub(crate) fn rooms() -> Result<Tally> {
    let root = cmd::root();
    let mut sources = Vec::new();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    for member in rooms::members(&manifest) {
        collect(root, &root.join(member), &mut sources)?;
    }
    let mut tally = Tally::default();
    for (rule, apply) in rooms::RULES {
        let mut broken = false;
        for finding in apply(&sources) {
            broken |= finding.level == Level::Error;
            println!(
                "{}: {}: {}",
                if finding.level == Level::Error {
                    "error"
                } else {
                    "warning"
                },
                finding.path,
                finding.what
            );
        }
        if broken {
            tally.fail(format!("rooms: {rule}"));
        } else {
            tally.passed += 1;
        }
    }
    Ok(tally)
}

fn host_lints() -> Result<()> {
    cmd::run(&mut cmd::cargo(&[
        "clippy",
        "--workspace",
        "--exclude",
        PACKAGE,
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Clippy on the eBPF target where its compiler has one. Debian packages none: then the compiler's own lints on the
/// eBPF target, and clippy on the same source as seen from this machine's target.
fn ebpf_lints() -> Result<()> {
    let toolchain = Facts::gather().toolchain()?;
    let target_dir = cmd::target_dir()?.join("ebpf-check");
    if has_clippy(toolchain.compiler) {
        return cmd::run(deny_warnings(&mut ebpf(&toolchain, "clippy", &target_dir)));
    }
    println!("the eBPF compiler here has no clippy: its own lints there, clippy on this machine's target");
    cmd::run(deny_warnings(&mut ebpf(&toolchain, "check", &target_dir)))?;
    let mut clippy = cmd::cargo(&["clippy", "--package", PACKAGE, "--target-dir"]);
    clippy.arg(&target_dir).args(["--", "-D", "warnings"]);
    clippy
        .env("RUSTC_BOOTSTRAP", UNSTABLE)
        .env("CARGO_PROFILE_DEV_PANIC", "abort");
    cmd::run(&mut clippy)
}

fn has_clippy(compiler: Compiler) -> bool {
    let mut version = match compiler {
        Compiler::Debian => return false,
        Compiler::Nightly(_) => compiler.program("cargo-clippy"),
    };
    version
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn ebpf(toolchain: &Toolchain, verb: &str, target_dir: &Path) -> Command {
    toolchain.cargo(verb, cmd::root(), target_dir, std::env::consts::ARCH)
}

/// By flag and not after `--`, which `cargo check` has not; other people's crates are capped by cargo.
fn deny_warnings(command: &mut Command) -> &mut Command {
    let name = "CARGO_ENCODED_RUSTFLAGS";
    let flags = command
        .get_envs()
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value)
        .unwrap_or_default();
    let mut flags = flags.to_owned();
    flags.push("\x1f-Dwarnings");
    command.env(name, flags)
}

/// All `.rs` files and the manifest of a member.
fn collect(root: &Path, path: &Path, sources: &mut Vec<Source>) -> Result<()> {
    if path.is_dir() {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
            entries.push(entry?.path());
        }
        entries.sort();
        let nested = |entry: &&std::path::PathBuf| !entry.ends_with("target");
        return entries
            .iter()
            .filter(nested)
            .try_for_each(|entry| collect(root, entry, sources));
    }
    let wanted = path.extension().is_some_and(|extension| extension == "rs") || path.ends_with("Cargo.toml");
    if wanted {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let path = path
            .strip_prefix(root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        sources.push(Source { path, text });
    }
    Ok(())
}
