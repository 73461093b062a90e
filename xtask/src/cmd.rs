//! Runs other programs: where they are, with what rights, and what failed.

use anyhow::{Context as _, Result, bail};
use std::env;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::ebpf_toolchain::facts::in_path;

/// Directory of the workspace.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Directory cargo builds into: this program is `<target>/debug/xtask`, wherever the user moved it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find the running xtask")?;
    let target = own
        .ancestors()
        .nth(2)
        .context("xtask does not run from a cargo target directory")?;
    Ok(target.to_owned())
}

/// The released tracer.
pub(crate) fn tracer() -> Result<PathBuf> {
    Ok(target_dir()?.join("release/kcn-trace"))
}

/// A tracer that is built already and is to be tested instead: `$KCN_TRACE_BIN`.
pub(crate) fn chosen_tracer() -> Option<PathBuf> {
    env::var_os("KCN_TRACE_BIN")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// The cargo that runs us, in the workspace, without what it set for this package alone: build scripts
/// that watch those variables would run again each time xtask and a plain cargo take turns.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"CARGO_PKG_") || bytes.starts_with(b"CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(root()).args(args).stdin(Stdio::null());
    cargo
}

/// Runs to the end; anything but success is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(command))?;
    if !status.success() {
        bail!("{} ended with {status}", text(command));
    }
    Ok(())
}

/// What the program wrote on stdout; its stderr is ours.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| not_started(command))?;
    if !output.status.success() {
        bail!("{} ended with {}", text(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {} is not text", text(command)))
}

/// Becomes the program, as root and with the given variables, so that signals and its exit code are its own.
pub(crate) fn become_root(program: &Path, args: &[String], vars: &[(&str, &Path)]) -> Result<()> {
    let mut command = as_root("env");
    for (name, value) in vars {
        let mut pair = std::ffi::OsString::from(name);
        pair.push("=");
        pair.push(value);
        command.arg(pair);
    }
    command.arg(program).args(args);
    Err(command.exec()).with_context(|| not_started(&command))
}

/// The program, through sudo when we are not root.
pub(crate) fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    sudo
}

/// Whether this process is root: `/proc/self` belongs to the effective user.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A program by name; administrators' directories are searched too, which a user's `PATH` often lacks.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    in_path(name).or_else(|| {
        ["/usr/sbin", "/sbin"]
            .iter()
            .map(|dir| Path::new(dir).join(name))
            .find(|file| file.is_file())
    })
}

/// The command as one would type it; cargo's own path is of no interest.
pub(crate) fn text(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or_default()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// For the durations of stages and for deadlines.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is no part of the tracer, whose time enters through Signal"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Removes a file or directory that may not be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let result = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn not_started(command: &Command) -> String {
    format!("cannot start {}", text(command))
}

/// stdout belongs to the program that is run after set-up.
pub(crate) fn to_stderr(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(io::stderr())
}

pub(crate) fn say(what: &str, state: &str) {
    eprintln!("set-up: {what}: {state}");
}
