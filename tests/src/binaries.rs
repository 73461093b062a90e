//! Where the programs under test are, and how they are started so that they die with the test.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tracer: `KCN_TRACE_BIN`, else the newer of the two builds in the target directory.
pub fn tracer() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("KCN_TRACE_BIN") {
        return Ok(path.into());
    }
    let profile = profile_directory()?;
    let target = profile.parent().context("the target directory has no parent")?;
    let mut built: Vec<_> = ["release/kcn-trace", "debug/kcn-trace"]
        .iter()
        .map(|name| target.join(name))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .collect();
    built.sort();
    let (_, newest) = built.pop().with_context(|| {
        format!(
            "no kcn-trace below {}: run `cargo xtask build`, or set KCN_TRACE_BIN",
            target.display()
        )
    })?;
    Ok(newest)
}

/// The stand-in: `KCN_STANDIN_BIN`, else the one built next to this program.
pub fn standin() -> Result<PathBuf> {
    beside("standin", "KCN_STANDIN_BIN")
}

/// The stand-in API server: `KCN_APISERVER_BIN`, else the one built next to this program.
pub fn apiserver() -> Result<PathBuf> {
    beside("apiserver", "KCN_APISERVER_BIN")
}

fn beside(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let path = profile_directory()?.join(name);
    if !path.exists() {
        bail!(
            "no {}: run `cargo build -p tests --bins`, or set {variable}",
            path.display()
        );
    }
    Ok(path)
}

/// A program of this name in the places where Debian has them, which a test's PATH may lack.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(
            ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
                .into_iter()
                .map(PathBuf::from),
        )
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// What a program is started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting<'a> {
    /// Cgroup directory it is in from its first instruction.
    pub cgroup: Option<&'a Path>,
    /// A file system that only it sees: its type and where. `tmpfs` makes a directory look empty.
    pub mount: Option<(&'a str, &'a Path)>,
    /// User it runs as, without any capability.
    pub uid: Option<u32>,
    /// Whether a seccomp filter refuses `bpf()`.
    pub no_bpf: bool,
}

/// A command that becomes `program` under the name `name` in `setting`, and dies with the calling thread.
///
/// The kernel ties the child to the thread that starts it, not to its process.
pub fn launch(name: &str, program: &Path, setting: Setting<'_>) -> Result<Command> {
    let mut command = Command::new(standin()?);
    command.arg("launch");
    if let Some(cgroup) = setting.cgroup {
        command.arg("--cgroup").arg(cgroup);
    }
    if let Some((kind, directory)) = setting.mount {
        command.arg("--mount").arg(kind).arg(directory);
    }
    if let Some(uid) = setting.uid {
        command.arg("--uid").arg(uid.to_string());
    }
    if setting.no_bpf {
        command.arg("--no-bpf");
    }
    command.arg(name).arg(program);
    Ok(command)
}

/// Gives a program another name: a link where the file system allows it, else a copy.
///
/// A link is better than a copy: a file that this process has just written cannot be executed as long as a child
/// of another thread, between its fork and its exec, still has it open (`ETXTBSY`).
pub fn rename(program: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(program, to).is_ok() {
        return Ok(());
    }
    fs::copy(program, to)
        .with_context(|| format!("cannot copy {} to {}", program.display(), to.display()))?;
    Ok(())
}

/// `target/debug` or `target/release`: this program is there or in its `deps`.
fn profile_directory() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let directory = own.parent().context("this program has no directory")?;
    let inner = directory.file_name() == Some(OsStr::new("deps"));
    Ok(if inner {
        directory.parent().unwrap_or(directory)
    } else {
        directory
    }
    .to_owned())
}
