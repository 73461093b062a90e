//! `cargo xtask vm`: runs live tests on other kernels, in virtual machines without any rights.
//!
//! To add a kernel: one row in `kernel.rs`.

mod artifacts;
mod cpio;
mod initramfs;
mod kernel;
mod private_apt;
mod sources;

use anyhow::{Context as _, Result};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use self::artifacts::{Artifact, Kind};
use self::kernel::Kernel;
use crate::cmd;
use crate::tally::{Reader, Tally};

pub(crate) use self::kernel::kernel;

/// The kernel `cargo xtask test` boots.
pub(crate) const DEFAULT_VERSION: &str = "6.1";

/// Longest life of one machine. Software emulation boots in about 6 s; a test program there is some ten times
/// slower than here.
const LIMIT: Duration = Duration::from_mins(15);

/// Test programs of the crate `tests` that need no other program and differ by kernel.
const TESTS: &[&str] = &["backends", "no_btf", "programs"];

/// Console lines shown of a machine that did not answer.
const TAIL: usize = 30;

/// Why no virtual machine can be used on this machine at all.
pub(crate) fn obstacle() -> Option<String> {
    if std::env::consts::ARCH != "x86_64" {
        return Some("virtual machines are set up for x86-64 only".to_owned());
    }
    if !private_apt::is_debian() {
        return Some(
            "kernels come from Debian's archive, which this machine's package sources do not name".to_owned(),
        );
    }
    let missing = ["qemu-system-x86_64", "busybox", "apt-get", "dpkg-deb"]
        .into_iter()
        .find(|name| cmd::find(name).is_none());
    missing.map(|name| format!("{name} is not installed"))
}

/// Kernel versions that can be booted.
pub(crate) fn versions() -> Vec<&'static str> {
    kernel::versions().collect()
}

/// Boots each version and runs [`TESTS`] of this tracer in it.
pub(crate) fn run(versions: &[String], filter: Option<&str>, tracer: &Path) -> Result<Tally> {
    if let Some(obstacle) = obstacle() {
        let mut tally = Tally::default();
        for version in versions {
            tally.skip(format!("vm {version}: {obstacle}"));
        }
        return Ok(tally);
    }
    let programs = select(artifacts::build_tests()?);
    let dir = cmd::target_dir()?.join("vm");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let initramfs = dir.join("initramfs.cpio");
    initramfs::write(&initramfs, tracer, &programs, filter)?;
    let expected = programs
        .iter()
        .filter(|program| program.kind == Kind::Test)
        .count();
    let mut total = Tally::default();
    for version in versions {
        let kernel = kernel(version)?;
        println!("-- kernel {version}");
        let tally = boot(version, &kernel, &initramfs, &dir, expected)?;
        total.add(&tally);
    }
    Ok(total)
}

/// All programs, and of the tests those made for virtual machines.
fn select(programs: Vec<Artifact>) -> Vec<Artifact> {
    let wanted = |program: &Artifact| program.kind == Kind::Bin || TESTS.contains(&program.name.as_str());
    programs.into_iter().filter(wanted).collect()
}

/// Runs one machine to its end; `expected` test programs must say how they ended.
fn boot(version: &str, kernel: &Kernel, initramfs: &Path, dir: &Path, expected: usize) -> Result<Tally> {
    let log_path = dir.join(format!("{version}.log"));
    let mut log = File::create(&log_path).with_context(|| format!("cannot create {}", log_path.display()))?;
    let mut machine = Machine(
        qemu(kernel, initramfs)
            .spawn()
            .context("cannot start qemu-system-x86_64")?,
    );
    let console = machine.console()?;
    let deadline = cmd::now() + LIMIT;
    let mut reader = Reader::default();
    let (mut started, mut ended) = (false, 0);
    let mut tail = VecDeque::new();
    let reason = loop {
        let left = deadline.saturating_duration_since(cmd::now());
        let Ok(line) = console.recv_timeout(left) else {
            break if left.is_zero() {
                format!("no end after {} s", LIMIT.as_secs())
            } else {
                "it ended early".to_owned()
            };
        };
        writeln!(log, "{line}").with_context(|| format!("cannot write {}", log_path.display()))?;
        if let Some(how) = line.strip_prefix(initramfs::END) {
            ended += 1;
            reader.end(how.ends_with(" exit 0"), &format!("vm {version}:{how}"));
        } else if started && reader.feed(&line) {
            println!("{line}");
        }
        started |= line == initramfs::START;
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    };
    let mut tally = reader.finish();
    if ended < expected || expected == 0 {
        println!(
            "kernel {version}: {reason}, {ended} of {expected} test programs ended. The console's last lines:"
        );
        for line in &tail {
            println!("  | {line}");
        }
        println!("  all of it: {}", log_path.display());
        tally.fail(format!("vm {version}: {reason}"));
    }
    Ok(tally)
}

/// Other settings crash or hang: threaded emulation breaks newer kernels, and /dev/kvm may be there and not work.
fn qemu(kernel: &Kernel, initramfs: &Path) -> Command {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=single", "-cpu", "max", "-m", "1024"]);
    qemu.args(["-nographic", "-no-reboot", "-nic", "none"]);
    let arguments = format!("console=ttyS0 quiet panic=-1{}", kernel.arguments);
    qemu.arg("-smp")
        .arg(kernel.cpus.to_string())
        .arg("-append")
        .arg(arguments);
    qemu.arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped());
    qemu
}

/// A running machine, ended with its owner.
struct Machine(Child);

impl Machine {
    /// The console's lines as they come, without what is not text.
    fn console(&mut self) -> Result<Receiver<String>> {
        let Self(child) = self;
        let mut stdout = BufReader::new(child.stdout.take().context("qemu has no console")?);
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while stdout.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                let line = String::from_utf8_lossy(&bytes)
                    .trim_end()
                    .replace(|c: char| c.is_control(), "");
                bytes.clear();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let Self(child) = self;
        // Fails only when it has already ended.
        let _status = child.kill().and_then(|()| child.wait());
    }
}
