//! The demo: a control plane of stand-ins around a real etcd in a network namespace of its own, and the tracer's
//! graph of it.
//!
//! `demo [--hold] [ARGUMENTS OF KCN-TRACE..]`; without arguments `graph --duration 3`. With `--hold` the node stays
//! until Ctrl-C, to be looked at by hand.

use anyhow::{Context, Result, bail};
use std::io::{self, Write};
use std::process::{ExitCode, Stdio};
use tests::require::{Need, lacking};
use tests::scenario::Scenario;
use tests::{signals, tracer};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            drop(writeln!(io::stderr(), "demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let hold = arguments.first().is_some_and(|first| first == "--hold");
    if hold {
        arguments.remove(0);
    }
    if arguments.is_empty() {
        arguments = ["graph", "--duration", "3"].map(str::to_owned).to_vec();
    }
    if let Some(reason) = [Need::Root, Need::Bpf].into_iter().find_map(lacking) {
        bail!("the demo {reason}");
    }
    // Before the first thread and the first process: all of them are to leave the signal to this one.
    let ctrl_c = signals::block_interrupt()?;
    let real = lacking(Need::Program("etcd")).is_none();
    let node = if real {
        Scenario::start()?
    } else {
        Scenario::start_without_etcd()?
    };
    let mut say = io::stderr().lock();
    writeln!(
        say,
        "A node with {} processes is up, {} etcd among them.",
        node.pids().len(),
        kind(real)
    )?;
    writeln!(
        say,
        "Its network namespace is {}; the tracer sees all namespaces.",
        node.netns().inode()
    )?;
    writeln!(say, "$ kcn-trace {}", arguments.join(" "))?;

    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = tracer::command(&words)?;
    let status = command
        .stdin(Stdio::inherit())
        .status()
        .context("cannot run kcn-trace")?;
    if hold {
        writeln!(
            say,
            "The node stays until Ctrl-C. Inside: nsenter --net={} ss -natp",
            node.netns().path().display()
        )?;
        ctrl_c.wait()?;
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn kind(real: bool) -> &'static str {
    if real { "a real" } else { "a stand-in for" }
}
