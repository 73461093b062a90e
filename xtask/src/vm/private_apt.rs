//! apt with its own sources, lists and cache: downloads from any Debian suite without touching the machine's own state.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sources::{self, Archive};
use crate::cmd;
use crate::cmd::to_stderr;

/// Whether this machine's package sources are Debian's.
pub(super) fn is_debian() -> bool {
    os_release("ID").is_some_and(|id| id == "debian")
}

/// Keeps the machine's proxies and keys.
pub(super) struct PrivateApt {
    dir: PathBuf,
    config: PathBuf,
}

impl PrivateApt {
    /// An apt that knows one suite, whose lists are fetched; all it writes is in `work`.
    pub(super) fn new(suite: &str, work: &Path) -> Result<Self> {
        let dir = work.join("apt");
        for part in ["lists/partial", "cache/archives/partial", "download"] {
            fs::create_dir_all(dir.join(part))
                .with_context(|| format!("cannot make {}", dir.join(part).display()))?;
        }
        let codename = os_release("VERSION_CODENAME").context("/etc/os-release has no VERSION_CODENAME")?;
        let archives = archives()?;
        let archive = sources::archive_of(suite, &codename, &archives).with_context(|| {
            format!("no archive for {suite}: /etc/apt/sources.list* names none that holds {codename}'s counterpart of it")
        })?;
        let options = archive
            .signed_by
            .as_ref()
            .map_or(String::new(), |key| format!("[signed-by={key}] "));
        let write = |name: &str, text: &str| {
            let file = dir.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        write(
            "sources.list",
            &format!("deb {options}{} {suite} main\n", archive.uri),
        )?;
        write("status", "")?;
        let here = dir.display();
        // Hooks act on the machine's own lists; the sandbox user may not enter a home directory;
        // an old suite's Release file is no longer renewed, its signature is still checked.
        let text = format!(
            "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
             Dir::Etc::SourceList \"{here}/sources.list\";\nDir::Etc::SourceParts \"-\";\n\
             Dir::State::Lists \"{here}/lists\";\nDir::State::Status \"{here}/status\";\nDir::Cache \"{here}/cache\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures \"amd64\";\nAPT::Sandbox::User \"\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\nAcquire::Check-Valid-Until \"false\";\n"
        );
        write("apt.conf", &text)?;
        let apt = Self {
            config: dir.join("apt.conf"),
            dir,
        };
        cmd::run(to_stderr(apt.command("apt-get").args(["--quiet", "update"])))?;
        Ok(apt)
    }

    /// `apt-get` or `apt-cache` with this configuration.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--config-file")
            .arg(&self.config)
            .current_dir(self.dir.join("download"));
        command
    }

    /// Fetches a package; apt checks the archive's signature and the file's hash.
    pub(super) fn download(&self, package: &str) -> Result<PathBuf> {
        cmd::run(to_stderr(
            self.command("apt-get").args(["--quiet", "download", package]),
        ))?;
        entry(&self.dir.join("download"), &format!("{package}_"))?
            .with_context(|| format!("apt-get left no file of {package}"))
    }
}

fn archives() -> Result<Vec<Archive>> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    for item in fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten() {
        files.push(item?.path());
    }
    files.sort();
    let read = |file: &PathBuf| {
        let stanzas = file.extension().is_some_and(|extension| extension == "sources");
        fs::read_to_string(file).map_or_else(|_| Vec::new(), |text| sources::parse(&text, stanzas))
    };
    Ok(files.iter().flat_map(read).collect())
}

fn os_release(key: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

/// First entry of a directory by the start of its name.
pub(super) fn entry(dir: &Path, prefix: &str) -> Result<Option<PathBuf>> {
    if !dir.is_dir() {
        return Ok(None);
    }
    for item in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let item = item?;
        if item.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(Some(item.path()));
        }
    }
    Ok(None)
}
