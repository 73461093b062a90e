//! bpf-linker: built once, kept in the cache.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::install_nightly;
use crate::apt::Apt;
use crate::cmd;
use crate::cmd::{say, to_stderr};
use crate::ebpf_toolchain::facts::{NIGHTLIES, cache_dir};
use crate::ebpf_toolchain::{Compiler, Facts};

/// bpf-linker's version, and the LLVM versions it can be built with.
const BPF_LINKER_VERSION: &str = "0.13.0";
const BPF_LINKER_LLVM: [u32; 3] = [21, 22, 23];

/// Finds a linker that fits the compiler, or builds it.
pub(super) fn linker(apt: &mut Apt, compiler: Compiler) -> Result<()> {
    let needed = rustc_llvm(compiler)?;
    let fits = |linker: &PathBuf| starts(linker) && llvm_of(linker).is_none_or(|llvm| llvm >= needed);
    if let Some(linker) = Facts::gather().linker.filter(fits) {
        say("bpf-linker", &format!("present ({})", linker.display()));
        return Ok(());
    }
    if let Some(named) = std::env::var_os("BPF_LINKER") {
        bail!(
            "BPF_LINKER is {}, which does not start or has an LLVM older than the compiler's {needed}",
            named.display()
        );
    }
    let cache = cache_dir()
        .context("no directory to keep bpf-linker in: set HOME, XDG_CACHE_HOME or KCN_TRACE_CACHE")?;
    let mut offered = Vec::new();
    for version in BPF_LINKER_LLVM {
        if apt.has_all(&[&format!("llvm-{version}-dev")])? {
            offered.push(version);
        }
    }
    let Some(llvm) = pick_llvm(needed, &offered) else {
        let [dated, ..] = NIGHTLIES;
        if matches!(compiler, Compiler::Nightly(name) if name != dated) {
            say(
                "bpf-linker",
                &format!(
                    "no packaged LLVM reads what a compiler with LLVM {needed} writes; another compiler is needed"
                ),
            );
            return linker(apt, install_nightly()?);
        }
        bail!(
            "bpf-linker cannot be built: the compiler uses LLVM {needed}, and this machine's package sources have \
             no llvm-*-dev of that or a later version which bpf-linker {BPF_LINKER_VERSION} knows ({BPF_LINKER_LLVM:?}).\n\
             Get bpf-linker from your distribution or its project's release page and set BPF_LINKER to it"
        );
    };
    let [dev, polly] = [format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")];
    let packages = [&dev, &polly, "zlib1g-dev", "libzstd-dev", "libxml2-dev", "g++"];
    say(
        "bpf-linker",
        &format!("installing what it links with: {}", packages.join(" ")),
    );
    apt.install(&packages)?;
    // A linker kept in a cache that outlived the machine may have lacked these libraries only.
    if Facts::gather().linker.is_some_and(|linker| fits(&linker)) {
        return Ok(());
    }
    say(
        "bpf-linker",
        &format!(
            "building {BPF_LINKER_VERSION} once, into {}",
            cache.join("bin").display()
        ),
    );
    let feature = format!("llvm-{llvm}");
    let mut install = cmd::cargo(&[
        "install",
        "bpf-linker",
        "--version",
        BPF_LINKER_VERSION,
        "--locked",
        "--force",
    ]);
    install
        .args(["--no-default-features", "--features", &feature, "--root"])
        .arg(&cache);
    install.env("LLVM_PREFIX", format!("/usr/lib/llvm-{llvm}"));
    cmd::run(to_stderr(&mut install))
}

/// Smallest offered LLVM that reads what the compiler writes: bitcode is readable upwards only.
fn pick_llvm(rustc_llvm: u32, offered: &[u32]) -> Option<u32> {
    offered
        .iter()
        .copied()
        .filter(|version| *version >= rustc_llvm)
        .min()
}

fn rustc_llvm(compiler: Compiler) -> Result<u32> {
    let text = cmd::output(compiler.program("rustc").arg("-vV"))?;
    llvm_major(&text).with_context(|| format!("rustc -vV does not name its LLVM version:\n{text}"))
}

fn llvm_major(version_text: &str) -> Option<u32> {
    let version = version_text
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.parse().ok()
}

/// Major version of the LLVM a linker loads; none when it holds its own, as released ones do.
fn llvm_of(linker: &Path) -> Option<u32> {
    let output = Command::new("ldd")
        .arg(linker)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    loaded_llvm(&String::from_utf8_lossy(&output.stdout))
}

/// `libLLVM.so.22.1 => ...` or `libLLVM-19.so.1 => ...`.
fn loaded_llvm(ldd: &str) -> Option<u32> {
    let name = ldd
        .split_whitespace()
        .find_map(|word| word.strip_prefix("libLLVM"))?;
    let digits = name
        .split(|c: char| !c.is_ascii_digit())
        .find(|digits| !digits.is_empty())?;
    digits.parse().ok()
}

/// Whether the program can be loaded at all: its libraries may be gone.
fn starts(linker: &Path) -> bool {
    let mut version = Command::new(linker);
    version
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linker_uses_the_smallest_llvm_that_reads_the_compilers_output() {
        let cases: &[(&str, u32, &[u32], Option<u32>)] = &[
            ("the same version", 22, &[21, 22, 23], Some(22)),
            ("a later one when the same is not offered", 22, &[23], Some(23)),
            ("an earlier one cannot read it", 22, &[21], None),
            ("nothing offered", 22, &[], None),
        ];
        for (name, rustc, offered, want) in cases {
            assert_eq!(pick_llvm(*rustc, offered), *want, "case: {name}");
        }
    }

    #[test]
    fn llvm_version_is_read_from_the_linker() {
        let cases = [
            (
                "current name",
                "\tlibz.so.1 => /lib/libz.so.1\n\tlibLLVM.so.22.1 => /usr/lib/x (0x7f)\n",
                Some(22),
            ),
            ("older name", "\tlibLLVM-19.so.1 => /usr/lib/x (0x7f)\n", Some(19)),
            ("its own", "\tstatically linked\n", None),
        ];
        for (name, ldd, want) in cases {
            assert_eq!(loaded_llvm(ldd), want, "case: {name}");
        }
    }

    #[test]
    fn llvm_version_is_read_from_the_compiler() {
        assert_eq!(
            llvm_major("rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8\n"),
            Some(22)
        );
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }
}
