//! The whole file system of a virtual machine: busybox, the tracer, test programs, their libraries, and an init.

use anyhow::{Context as _, Result};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::artifacts::{self, Artifact, Kind};
use super::cpio::Archive;
use crate::cmd;

/// The line by which init tells that firmware and kernel are done with the console.
pub(super) const START: &str = "KCN-TRACE-VM: start";

/// Starts each line by which init tells how a test program ended.
pub(super) const END: &str = "KCN-TRACE-VM: end";

/// Where a test finds the tracer.
const TRACER: &str = "/bin/kcn-trace";

/// Writes the archive to `file`.
pub(super) fn write(file: &Path, tracer: &Path, programs: &[Artifact], filter: Option<&str>) -> Result<()> {
    let out = File::create(file).with_context(|| format!("cannot create {}", file.display()))?;
    let mut archive = Archive::new(BufWriter::new(out));
    let busybox =
        cmd::find("busybox").context("busybox is not here; `cargo xtask setup --for test` installs it")?;

    let mut copies: Vec<(PathBuf, PathBuf)> = vec![
        (busybox, PathBuf::from("/bin/busybox")),
        (tracer.to_owned(), PathBuf::from(TRACER)),
    ];
    // Tests find their helpers beside themselves, so each program keeps the path it has here.
    copies.extend(
        programs
            .iter()
            .map(|program| (program.executable.clone(), program.executable.clone())),
    );
    for (from, to) in &copies {
        archive.file(to, &artifacts::read(from)?)?;
        for library in artifacts::libraries(from)? {
            archive.file(&library, &artifacts::read(&library)?)?;
        }
    }
    for dir in ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/root"] {
        archive.directory(Path::new(dir))?;
    }
    archive.symlink(Path::new("/bin/sh"), "busybox")?;
    archive.file(
        Path::new("/etc/passwd"),
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    )?;
    archive.file(Path::new("/etc/hosts"), b"127.0.0.1 localhost\n::1 localhost\n")?;
    archive.file(Path::new("/init"), init(programs, filter).as_bytes())?;
    archive
        .finish()
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

/// The first program: mounts what a node has, runs the tests one after the other, ends the machine. Nothing is
/// mounted on `/tmp` or `/run`: the clone, hence the tests, may be there.
fn init(programs: &[Artifact], filter: Option<&str>) -> String {
    let mut script = format!(
        "#!/bin/busybox sh\n\
         /bin/busybox mount -t proc proc /proc\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/bin HOME=/root TMPDIR=/tmp RUST_BACKTRACE=1 KCN_TRACE_VM=1 KCN_TRACE_BIN={TRACER}\n\
         mount -t sysfs sysfs /sys\n\
         mount -t devtmpfs devtmpfs /dev\n\
         mkdir -p /dev/pts /dev/shm\n\
         mount -t devpts devpts /dev/pts\n\
         mount -t tmpfs tmpfs /dev/shm\n\
         ln -sf /proc/self/fd /dev/fd\n\
         mount -t cgroup2 cgroup2 /sys/fs/cgroup\n\
         mount -t tracefs tracefs /sys/kernel/tracing\n\
         mount -t bpf bpf /sys/fs/bpf\n\
         mount -t securityfs securityfs /sys/kernel/security\n\
         ip link set lo up\n\
         echo; echo \"{START}\"\n"
    );
    let filter = filter.map_or_else(String::new, quoted);
    for program in programs.iter().filter(|program| program.kind == Kind::Test) {
        let path = quoted(&program.executable.to_string_lossy());
        let run = format!("{path} --include-ignored --test-threads=1 --show-output {filter}");
        // A program that crashes leaves half a line.
        let end = format!("code=$?; echo; echo \"{END} {} exit $code\"", program.name);
        script.extend([&run, " < /dev/null 2>&1\n", &end, "\n"]);
    }
    script + "poweroff -f\n"
}

/// One word for the shell, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_runs_tests_and_not_their_helpers() {
        let program = |kind, name: &str| Artifact {
            kind,
            name: name.to_owned(),
            executable: PathBuf::from(format!("/t/{name}")),
        };
        let script = init(
            &[program(Kind::Bin, "standin"), program(Kind::Test, "vm")],
            Some("it's $HOME"),
        );
        assert!(
            script.contains("'/t/vm' --include-ignored --test-threads=1 --show-output 'it'\\''s $HOME' <"),
            "{script}"
        );
        assert!(!script.contains("standin"), "{script}");
        assert!(script.ends_with("poweroff -f\n"), "{script}");
    }
}
