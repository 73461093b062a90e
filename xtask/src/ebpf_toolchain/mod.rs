//! Finds a compiler for the eBPF target and makes its command line.
//!
//! Shared by xtask and by tracer-user's build script, so it uses the standard library only and reads
//! files and variables only: a build script that has nothing to do must cost nothing.

pub(crate) mod facts;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use self::facts::{Debian, Facts, Nightly};
use self::facts::{NIGHTLIES, debian_program};

/// Package and binary name of the eBPF crate.
pub(crate) const PACKAGE: &str = "tracer-ebpf";

/// Crates for which a stable compiler opens unstable features; no other crate gets them.
pub(crate) const UNSTABLE: &str = "aya_ebpf,tracer_ebpf";

/// Which of the two ways is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// Debian's rustc with its prebuilt core.
    Debian,
    /// rustup's nightly of this name, which compiles core from source.
    Nightly(&'static str),
}

/// A compiler and the linker that turns its output into an eBPF object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: PathBuf,
}

/// Why no eBPF program can be built here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Neither way is complete.
    Compiler(Debian, Nightly),
    /// A compiler, but no bpf-linker.
    Linker,
}

impl Facts {
    /// The compiler to use. Debian's goes first: its core is prebuilt and its version does not move.
    pub(crate) fn compiler(&self) -> Result<Compiler, Missing> {
        match (self.debian, self.nightly) {
            (Debian::Ready, _) => Ok(Compiler::Debian),
            (_, Nightly::Ready(name)) => Ok(Compiler::Nightly(name)),
            (debian, nightly) => Err(Missing::Compiler(debian, nightly)),
        }
    }

    /// The compiler and the linker to use.
    pub(crate) fn toolchain(&self) -> Result<Toolchain, Missing> {
        let compiler = self.compiler()?;
        let linker = self.linker.clone().ok_or(Missing::Linker)?;
        Ok(Toolchain { compiler, linker })
    }
}

impl Compiler {
    /// One of its programs, `cargo` or `rustc`.
    pub(crate) fn program(self, name: &str) -> Command {
        match self {
            Self::Debian => Command::new(debian_program(name)),
            Self::Nightly(toolchain) => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", toolchain, name]);
                rustup
            }
        }
    }
}

impl Toolchain {
    /// `cargo <verb>` for the eBPF package, optimised, into `target_dir`, which must not be the
    /// directory of a cargo that waits for this one: they would wait for each other's lock.
    pub(crate) fn cargo(&self, verb: &str, root: &Path, target_dir: &Path, host_arch: &str) -> Command {
        let target = target_triple();
        let mut command = self.compiler.program("cargo");
        command
            .current_dir(root)
            .args([verb, "--release", "--package", PACKAGE, "--bin", PACKAGE]);
        command
            .args(["--target", &target])
            .arg("--target-dir")
            .arg(target_dir);
        // Set by a calling cargo or clippy for its own compiler; RUSTFLAGS is outranked below.
        for name in [
            "CARGO",
            "RUSTC",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTDOC",
            "RUSTUP_TOOLCHAIN",
            "CARGO_BUILD_TARGET",
        ] {
            command.env_remove(name);
        }
        match self.compiler {
            Compiler::Debian => {
                command
                    .env("RUSTC", debian_program("rustc"))
                    .env("RUSTC_BOOTSTRAP", UNSTABLE);
            }
            Compiler::Nightly(_) => {
                command
                    .args(["-Z", "build-std=core"])
                    .env_remove("RUSTC_BOOTSTRAP");
            }
        }
        let flags = [
            &format!("--cfg=bpf_target_arch=\"{}\"", bpf_target_arch(host_arch)),
            // BTF is made from debug information.
            "-Cdebuginfo=2",
            "-Clink-arg=--btf",
        ];
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        let linker_variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
        command.env(linker_variable, &self.linker);
        // The workspace's release profile is for the host; bpf-linker does the whole-program step itself.
        for (key, value) in [
            ("LTO", "off"),
            ("CODEGEN_UNITS", "1"),
            ("STRIP", "none"),
            ("PANIC", "abort"),
        ] {
            command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
        }
        command
    }
}

/// The eBPF target of this machine's byte order: programs run where they are built.
pub(crate) fn target_triple() -> String {
    let endian = if cfg!(target_endian = "big") {
        "bpfeb"
    } else {
        "bpfel"
    };
    format!("{endian}-unknown-none")
}

/// aya-ebpf's name for the machine: all 64-bit RISC-V variants are one.
fn bpf_target_arch(host_arch: &str) -> &str {
    if host_arch.starts_with("riscv64") {
        "riscv64"
    } else {
        host_arch
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiler(debian, nightly) => {
                let debian = match debian {
                    Debian::Absent => "/usr/bin/rustc and /usr/bin/cargo are not installed",
                    Debian::NoCore | Debian::Ready => {
                        "/usr/bin/rustc has no core library for the eBPF target"
                    }
                };
                let nightly = match nightly {
                    Nightly::NoRustup => "rustup is not in PATH",
                    Nightly::Absent => "rustup has none of the toolchains that will do",
                    Nightly::NoRustSrc | Nightly::Ready(_) => "rustup's nightly lacks the component rust-src",
                };
                write!(
                    f,
                    "no compiler for eBPF programs:\n  Debian packages: {debian}\n  rustup: {nightly}\n\
                     One of the two is needed; `cargo xtask setup` gets what it can. By hand:\n  \
                     apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf   (Debian 12 with security updates)\n  \
                     rustup toolchain install {} --component rust-src",
                    NIGHTLIES[0]
                )
            }
            Self::Linker => f.write_str(
                "bpf-linker is not found (looked at $BPF_LINKER, PATH and the cache's bin/):\n\
                 `cargo xtask setup` builds it once, or set BPF_LINKER to an existing one",
            ),
        }
    }
}

impl std::error::Error for Missing {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn compiler_is_chosen_by_what_is_present() {
        let cases = [
            ("neither", Debian::Absent, Nightly::NoRustup, None),
            ("rustup without nightly", Debian::Absent, Nightly::Absent, None),
            (
                "nightly without rust-src",
                Debian::Absent,
                Nightly::NoRustSrc,
                None,
            ),
            (
                "a plain distribution compiler",
                Debian::NoCore,
                Nightly::NoRustup,
                None,
            ),
            (
                "debian only",
                Debian::Ready,
                Nightly::NoRustup,
                Some(Compiler::Debian),
            ),
            (
                "nightly only",
                Debian::Absent,
                Nightly::Ready("nightly"),
                Some(Compiler::Nightly("nightly")),
            ),
            (
                "nightly beside a plain distribution compiler",
                Debian::NoCore,
                Nightly::Ready("nightly"),
                Some(Compiler::Nightly("nightly")),
            ),
            (
                "debian beside an incomplete nightly",
                Debian::Ready,
                Nightly::NoRustSrc,
                Some(Compiler::Debian),
            ),
            (
                "both",
                Debian::Ready,
                Nightly::Ready("nightly"),
                Some(Compiler::Debian),
            ),
        ];
        for (name, debian, nightly, want) in cases {
            let facts = Facts {
                debian,
                nightly,
                linker: None,
            };
            let want = want.ok_or(Missing::Compiler(debian, nightly));
            assert_eq!(facts.compiler(), want, "case: {name}");
        }
    }

    #[test]
    fn compiler_without_linker_is_not_a_toolchain() {
        let facts = Facts {
            debian: Debian::Ready,
            nightly: Nightly::NoRustup,
            linker: None,
        };
        assert_eq!(facts.toolchain(), Err(Missing::Linker));
    }

    #[test]
    fn error_names_what_each_way_lacks_and_how_to_get_it() {
        let text = Missing::Compiler(Debian::NoCore, Nightly::NoRustSrc).to_string();
        for part in [
            "no core library",
            "lacks the component rust-src",
            "libstd-rust-web-dev-bpf",
            "cargo xtask setup",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn each_compiler_gets_its_own_command_and_nothing_of_the_callers() {
        let cases = [
            (
                "debian",
                Compiler::Debian,
                "/usr/bin/cargo build",
                Some("/usr/bin/rustc"),
                Some(UNSTABLE),
                false,
            ),
            (
                "nightly",
                Compiler::Nightly("nightly-x"),
                "rustup run nightly-x cargo build",
                None,
                None,
                true,
            ),
        ];
        for (name, compiler, starts, rustc, bootstrap, builds_core) in cases {
            let toolchain = Toolchain {
                compiler,
                linker: PathBuf::from("/l/bpf-linker"),
            };
            let command = toolchain.cargo("build", Path::new("/w"), Path::new("/t"), "riscv64gc");
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            let line = words
                .map(|word| word.to_string_lossy())
                .collect::<Vec<_>>()
                .join(" ");
            assert!(line.starts_with(starts), "case: {name}: {line}");
            assert_eq!(
                line.contains("build-std=core"),
                builds_core,
                "case: {name}: {line}"
            );
            let variable = |key: &str| {
                command
                    .get_envs()
                    .find(|(name, _)| *name == key)
                    .map(|(_, value)| value)
            };
            assert_eq!(variable("RUSTC"), Some(rustc.map(OsStr::new)), "case: {name}");
            assert_eq!(
                variable("RUSTC_BOOTSTRAP"),
                Some(bootstrap.map(OsStr::new)),
                "case: {name}"
            );
            assert_eq!(variable("RUSTC_WORKSPACE_WRAPPER"), Some(None), "case: {name}");
            assert_eq!(
                variable("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER"),
                Some(Some(OsStr::new("/l/bpf-linker")))
            );
            let flags = variable("CARGO_ENCODED_RUSTFLAGS")
                .flatten()
                .map(OsStr::to_string_lossy);
            assert!(flags.is_some_and(|flags| flags.starts_with("--cfg=bpf_target_arch=\"riscv64\"\x1f")));
        }
    }
}
