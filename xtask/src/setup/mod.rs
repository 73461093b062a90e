//! `cargo xtask setup`: gets what is missing, step by step, and says why.
//!
//! To add a program that tests need: one row in `tools.rs`.

mod linker;
mod tools;

use anyhow::{Context as _, Result};
use std::process::Command;

use crate::apt::Apt;
use crate::cmd::{self, say, to_stderr};
use crate::ebpf_toolchain::facts::NIGHTLIES;
use crate::ebpf_toolchain::{Compiler, Facts, Missing, Nightly};
use crate::vm;

/// What the machine is prepared for. Everything needs what `Run` needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Run,
    Demo,
    Test,
    Bench,
}

impl Purpose {
    /// The value of `--for`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "run" => Some(Self::Run),
            "demo" => Some(Self::Demo),
            "test" => Some(Self::Test),
            "bench" => Some(Self::Bench),
            _ => None,
        }
    }
}

/// Makes the machine ready; quick when it is.
pub(crate) fn setup(purpose: Purpose) -> Result<()> {
    let mut apt = Apt::new();
    let compiler = compiler(&mut apt)?;
    linker::linker(&mut apt, compiler)?;
    tools::tools(&mut apt, purpose)?;
    if purpose == Purpose::Test {
        kernels()?;
    }
    Ok(())
}

fn compiler(apt: &mut Apt) -> Result<Compiler> {
    let facts = Facts::gather();
    if let Ok(compiler) = facts.compiler() {
        say("eBPF compiler", &format!("present ({})", name_of(compiler)));
        return Ok(compiler);
    }
    let packages = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
    if apt.has_all(&packages)? {
        say(
            "eBPF compiler",
            "installing Debian's rustc with a core library for the eBPF target",
        );
        apt.install(&packages)?;
    } else if facts.nightly != Nightly::NoRustup {
        say(
            "eBPF compiler",
            "a nightly with rust-src is needed, to compile core for the eBPF target",
        );
        install_nightly().context(Missing::Compiler(facts.debian, facts.nightly))?;
    }
    Facts::gather()
        .compiler()
        .context("set-up could not get an eBPF compiler on this machine")
}

/// Leaves rustup's other toolchains, and which of them is the default, as they are.
fn install_nightly() -> Result<Compiler> {
    let [dated, ..] = NIGHTLIES;
    say("eBPF compiler", &format!("installing rustup's {dated}"));
    let mut rustup = Command::new("rustup");
    rustup.args([
        "toolchain",
        "install",
        dated,
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ]);
    cmd::run(to_stderr(rustup.arg("--no-self-update")))?;
    Ok(Compiler::Nightly(dated))
}

fn kernels() -> Result<()> {
    match vm::obstacle() {
        Some(obstacle) => say(
            "kernel for the virtual machine",
            &format!("not fetched: {obstacle}"),
        ),
        None => {
            vm::kernel(vm::DEFAULT_VERSION)?;
        }
    }
    Ok(())
}

fn name_of(compiler: Compiler) -> String {
    match compiler {
        Compiler::Debian => "Debian packages".to_owned(),
        Compiler::Nightly(name) => format!("rustup's {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_has_a_name() {
        let named = ["run", "demo", "test", "bench"].map(Purpose::from_name);
        assert_eq!(
            named,
            [Purpose::Run, Purpose::Demo, Purpose::Test, Purpose::Bench].map(Some)
        );
        assert_eq!(Purpose::from_name("fun"), None);
    }
}
