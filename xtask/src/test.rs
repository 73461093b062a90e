//! `cargo xtask test`: every test there is, stage by stage; the last line is the result.

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::check::rooms;
use crate::cmd;
use crate::run::build;
use crate::setup::{Purpose, setup};
use crate::tally::{Reader, Tally};
use crate::vm;

/// Crates whose tests need no rights and no other program.
const PLAIN: [&str; 3] = ["tracer-common", "tracer-user", "xtask"];

/// A stage's name and its work; the filter is the second argument.
type Stage = (&'static str, fn(Option<&str>) -> Result<Tally>);

const ROOMS: &str = "rooms";

const STAGES: &[Stage] = &[
    ("set-up", |_| setup(Purpose::Test).map(|()| Tally::default())),
    (ROOMS, |_| rooms()),
    ("build", |_| build().map(|()| Tally::default())),
    ("unit and replay", plain),
    ("live", live),
    ("virtual machine", |filter| {
        vm::run(&[vm::DEFAULT_VERSION.to_owned()], filter, &cmd::tracer()?)
    }),
];

/// Runs all stages, a failed one stops none of the others. True when all is well.
pub(crate) fn test(filter: Option<&str>) -> bool {
    let mut total = Tally::default();
    let mut ran = 0;
    for (name, work) in STAGES {
        println!("== {name}");
        let start = cmd::now();
        let tally = work(filter).unwrap_or_else(|error| {
            println!("{name}: {error:#}");
            let mut tally = Tally::default();
            tally.fail(format!(
                "{name}: {}",
                format!("{error:#}").lines().next().unwrap_or_default()
            ));
            tally
        });
        println!(
            "== {name}: {} ({:.1} s)",
            tally.line(),
            start.elapsed().as_secs_f64()
        );
        total.add(&tally);
        // Rules of the source are always there; a filter that fits no test must not look like success.
        ran += if *name == ROOMS { 0 } else { tally.passed };
    }
    summary(&total, ran);
    total.failed == 0 && ran > 0
}

/// `cargo xtask vm`: boots each version, with the tests in it. True when all is well.
pub(crate) fn test_vm(versions: &[String], filter: Option<&str>) -> Result<bool> {
    setup(Purpose::Test)?;
    let tracer = if let Some(tracer) = cmd::chosen_tracer() {
        tracer
    } else {
        build()?;
        cmd::tracer()?
    };
    let total = vm::run(versions, filter, &tracer)?;
    summary(&total, total.passed);
    Ok(total.failed == 0 && total.passed > 0)
}

fn summary(total: &Tally, ran: u64) {
    for why in &total.skips {
        println!("skipped: {why}");
    }
    for what in &total.failures {
        println!("failed: {what}");
    }
    if total.failed + ran == 0 {
        println!("no test passed or failed, which proves nothing");
    }
    println!("{}", total.line());
}

fn plain(filter: Option<&str>) -> Result<Tally> {
    let mut cargo = cmd::cargo(&["test", "--no-fail-fast"]);
    for package in PLAIN {
        cargo.args(["--package", package]);
    }
    cargo.args(["--", "--show-output"]);
    with_rights(&mut cargo);
    watch(cargo.args(filter))
}

fn live(filter: Option<&str>) -> Result<Tally> {
    let mut cargo = cmd::cargo(&["test", "--no-fail-fast", "--package", "tests"]);
    cargo.env("KCN_TRACE_BIN", cmd::tracer()?);
    cargo.args(["--", "--show-output"]);
    with_rights(&mut cargo);
    watch(cargo.args(filter))
}

/// Includes the tests that need root, where root can be had.
fn with_rights(cargo: &mut Command) {
    if cmd::is_root() {
        cargo.arg("--include-ignored");
    } else if sudo_asks_nothing() {
        let runner = format!(
            "CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER",
            std::env::consts::ARCH.to_uppercase()
        );
        cargo
            .env(runner, "sudo --non-interactive --preserve-env=KCN_TRACE_BIN,PATH")
            .arg("--include-ignored");
    } else {
        println!("neither root nor sudo without a password: tests that need root are skipped");
    }
}

fn sudo_asks_nothing() -> bool {
    let mut sudo = Command::new("sudo");
    sudo.args(["--non-interactive", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    sudo.status().is_ok_and(|status| status.success())
}

/// Runs `cargo test`, shows its output, both streams in their order, and counts.
fn watch(cargo: &mut Command) -> Result<Tally> {
    let name = cmd::text(cargo);
    let (output, input) = std::io::pipe().context("cannot make a pipe")?;
    cargo
        .stdout(input.try_clone().context("cannot share a pipe")?)
        .stderr(input);
    let mut child = cargo.spawn().with_context(|| format!("cannot start {name}"))?;
    // The command holds the writing ends; reading ends when none is left.
    cargo.stdout(Stdio::null()).stderr(Stdio::null());
    let mut reader = Reader::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("cannot read from {name}"))?;
        let line = String::from_utf8_lossy(&line);
        if reader.feed(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {name}"))?;
    reader.end(status.success(), &format!("{name} ended with {status}"));
    Ok(reader.finish())
}
