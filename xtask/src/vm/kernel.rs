//! Fetches Debian's kernels for virtual machines; nothing is installed and apt's own state is not touched.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::private_apt::{PrivateApt, entry};
use crate::cmd;
use crate::cmd::{say, to_stderr};
use crate::ebpf_toolchain::facts::cache_dir;

/// A kernel line, the Debian suite that offers it, and how it is booted.
struct Line {
    version: &'static str,
    suite: &'static str,
    cpus: u8,
    preempt: Preempt,
}

/// Whether tasks are preempted inside the kernel, and so inside tracing programs from 7.0 on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preempt {
    /// As the distribution built it.
    Default,
    /// Wherever the kernel allows: `preempt=full`.
    Full,
}

/// Under emulation two processors that patch each other's code crashed 6.12 in 8 of 40 boots; one in none of 40.
/// 6.1 had none of 30 with two.
const LINES: &[Line] = &[
    line("5.10", "bullseye-security", 2, Preempt::Default),
    line("6.1", "bookworm", 2, Preempt::Default),
    line("6.12", "trixie", 1, Preempt::Default),
    line("6.18", BACKPORTS, 1, Preempt::Default),
    line("7.0", BACKPORTS, 1, Preempt::Full),
    line("7.1", BACKPORTS, 1, Preempt::Full),
    line("7.2", BACKPORTS, 1, Preempt::Full),
    line("7.3", BACKPORTS, 1, Preempt::Full),
];

const BACKPORTS: &str = "trixie-backports";

const fn line(version: &'static str, suite: &'static str, cpus: u8, preempt: Preempt) -> Line {
    Line {
        version,
        suite,
        cpus,
        preempt,
    }
}

/// A kernel that can be booted.
pub(crate) struct Kernel {
    pub(super) image: PathBuf,
    pub(super) cpus: u8,
    /// What its command line has beside what every machine's has.
    pub(super) arguments: &'static str,
}

/// Names of the versions that can be fetched.
pub(super) fn versions() -> impl Iterator<Item = &'static str> {
    LINES.iter().map(|line| line.version)
}

/// The kernel image, from the cache or downloaded into it.
pub(crate) fn kernel(version: &str) -> Result<Kernel> {
    let Some(line) = LINES.iter().find(|line| line.version == version) else {
        bail!(
            "no kernel {version}: known are {}",
            versions().collect::<Vec<_>>().join(", ")
        );
    };
    let cache = cache_dir()
        .context("no directory to keep kernels in: set HOME, XDG_CACHE_HOME or KCN_TRACE_CACHE")?;
    let image = cache.join("vm").join(version).join("vmlinuz");
    let what = format!("kernel {version}");
    if image.is_file() {
        say(&what, &format!("present ({})", image.display()));
        return Ok(line.kernel(image));
    }
    say(
        &what,
        &format!(
            "downloading Debian's cloud image package of {}, not installing it",
            line.suite
        ),
    );
    // Made in a directory of our own, then moved: an interrupted download leaves no half kernel.
    let work = cache.join("vm").join(format!("{version}.{}", std::process::id()));
    cmd::remove(&work)?;
    let result = fetch(line, &work).and_then(|found| {
        fs::create_dir_all(image.parent().unwrap_or(&cache))?;
        fs::rename(&found, &image).with_context(|| format!("cannot move {}", found.display()))
    });
    cmd::remove(&work)?;
    result.with_context(|| format!("cannot get kernel {version}"))?;
    Ok(line.kernel(image))
}

impl Line {
    fn kernel(&self, image: PathBuf) -> Kernel {
        let arguments = match self.preempt {
            Preempt::Default => "",
            Preempt::Full => " preempt=full",
        };
        Kernel {
            image,
            cpus: self.cpus,
            arguments,
        }
    }
}

fn fetch(line: &Line, work: &Path) -> Result<PathBuf> {
    let Line { version, suite, .. } = line;
    let apt = PrivateApt::new(suite, work)?;
    let names = cmd::output(
        apt.command("apt-cache")
            .args(["pkgnames", &format!("linux-image-{version}.")]),
    )?;
    let package = newest(&names)
        .with_context(|| format!("{suite} has no package linux-image-{version}.*-cloud-amd64"))?;
    let deb = apt.download(package)?;
    let root = work.join("root");
    if let Some(image) = unpack(&deb, &root)? {
        return Ok(image);
    }
    // Later packages are shells; the image is in the package they depend on.
    let depends = cmd::output(Command::new("dpkg-deb").arg("--field").arg(&deb).arg("Depends"))?;
    let binary = depends
        .split([',', '|', ' '])
        .find(|word| word.starts_with("linux-binary-"))
        .with_context(|| format!("{package} holds no kernel and depends on none: {depends}"))?;
    let deb = apt.download(binary)?;
    unpack(&deb, &root)?.with_context(|| format!("no kernel in {}", deb.display()))
}

/// Unpacks without installing; the kernel, if one was in it: in `boot`, from 7.2 on among the modules.
fn unpack(deb: &Path, root: &Path) -> Result<Option<PathBuf>> {
    cmd::run(to_stderr(
        Command::new("dpkg-deb").arg("--extract").arg(deb).arg(root),
    ))?;
    image_in(root)
}

fn image_in(root: &Path) -> Result<Option<PathBuf>> {
    if let Some(image) = entry(&root.join("boot"), "vmlinuz-")? {
        return Ok(Some(image));
    }
    match entry(&root.join("usr/lib/modules"), "")? {
        Some(release) => entry(&release, "vmlinuz"),
        None => Ok(None),
    }
}

/// The newest cloud image among package names; `-unsigned` and `-dbg` variants end differently.
fn newest(names: &str) -> Option<&str> {
    names
        .lines()
        .map(str::trim)
        .filter(|name| name.ends_with("-cloud-amd64"))
        .max_by_key(|name| numbers(name))
}

/// Numbers of a name in order, so that `6.1.0-9` sorts before `6.1.0-40`.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_cloud_image_is_chosen_by_number() {
        let names = "linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-40-cloud-amd64\n\
                     linux-image-6.1.0-41-cloud-amd64-unsigned\nlinux-image-6.1.0-42-amd64\nlinux-image-6.1.0-42-cloud-amd64-dbg\n";
        assert_eq!(newest(names), Some("linux-image-6.1.0-40-cloud-amd64"));
        assert_eq!(newest(""), None);
    }

    #[test]
    fn kernels_are_found_where_packages_of_any_age_put_them() {
        let work = std::env::temp_dir().join(format!("kcn-trace-images.{}", std::process::id()));
        let cases = [
            ("up to 7.1", "boot/vmlinuz-6.1.0-40-cloud-amd64"),
            ("from 7.2 on", "usr/lib/modules/7.2.12+deb13-cloud-amd64/vmlinuz"),
        ];
        for (name, path) in cases {
            let root = work.join(name);
            let image = root.join(path);
            assert_eq!(image_in(&root).unwrap(), None, "case: {name}");
            fs::create_dir_all(image.parent().unwrap()).unwrap();
            assert_eq!(image_in(&root).unwrap(), None, "case: {name}, a directory only");
            fs::write(&image, "").unwrap();
            assert_eq!(image_in(&root).unwrap(), Some(image), "case: {name}");
        }
        cmd::remove(&work).unwrap();
    }
}
