//! `cargo xtask build`, `run`, `demo` and `bench`: build, then hand over.

use anyhow::Result;

use crate::cmd;
use crate::cmd::to_stderr;
use crate::setup::{Purpose, setup};

/// Leaves the released tracer in cargo's target directory.
pub(crate) fn build() -> Result<()> {
    // stdout belongs to the tracer that may run next.
    cmd::run(to_stderr(&mut cmd::cargo(&[
        "build",
        "--release",
        "--package",
        "tracer-user",
        "--bin",
        "kcn-trace",
    ])))
}

/// Sets up, builds, and becomes the tracer.
pub(crate) fn run(args: &[String]) -> Result<()> {
    setup(Purpose::Run)?;
    build()?;
    cmd::become_root(&cmd::tracer()?, args, &[])
}

/// Sets up, builds, and becomes the stand-in control plane with a tracer on it.
pub(crate) fn demo(args: &[String]) -> Result<()> {
    helper(Purpose::Demo, "demo", args)
}

/// Sets up, builds, and becomes the benchmark.
pub(crate) fn bench(args: &[String]) -> Result<()> {
    helper(Purpose::Bench, "bench", args)
}

/// Sets up, builds, and runs the benchmark of names, which needs no root.
pub(crate) fn bench_names() -> Result<()> {
    setup(Purpose::Run)?;
    cmd::run(&mut cmd::cargo(&[
        "bench",
        "--package",
        "tracer-user",
        "--bench",
        "inventory",
    ]))
}

/// A program of the crate `tests`; optimised, since it may be what is measured. All of that crate's programs are
/// built: this one starts others.
fn helper(purpose: Purpose, name: &str, args: &[String]) -> Result<()> {
    setup(purpose)?;
    build()?;
    cmd::run(to_stderr(&mut cmd::cargo(&[
        "build",
        "--release",
        "--package",
        "tests",
        "--bins",
    ])))?;
    let tracer = cmd::tracer()?;
    cmd::become_root(&tracer.with_file_name(name), args, &[("KCN_TRACE_BIN", &tracer)])
}
