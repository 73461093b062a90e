//! What this machine has for building eBPF programs: files and variables, nothing is started.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::target_triple;

/// Debian's compiler by full path: rustup's proxies of the same names usually come first in `PATH`.
const DEBIAN_BIN: &str = "/usr/bin";
const DEBIAN_RUSTLIB: &str = "/usr/lib/rustlib";

/// rustup's toolchains that will do, best first. The dated one (rustc 1.97, LLVM 22) is what set-up installs: later
/// ones use an LLVM whose output the packaged LLVMs, hence bpf-linker, cannot read.
pub(crate) const NIGHTLIES: [&str; 2] = ["nightly-2026-05-20", "nightly"];

/// What Debian's packages give here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Debian {
    /// rustc or cargo is not installed in `/usr/bin`.
    Absent,
    /// A compiler, but no core library for the eBPF target.
    NoCore,
    /// All of it.
    Ready,
}

/// What rustup gives here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nightly {
    /// rustup itself is not installed.
    NoRustup,
    /// rustup, but none of [`NIGHTLIES`].
    Absent,
    /// Nightly, but not the sources of core, which must be compiled for the eBPF target.
    NoRustSrc,
    /// All of it, in the toolchain of this name.
    Ready(&'static str),
}

/// What the choice is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) debian: Debian,
    pub(crate) nightly: Nightly,
    pub(crate) linker: Option<PathBuf>,
}

impl Facts {
    /// Looks at this machine.
    pub(crate) fn gather() -> Self {
        Self {
            debian: debian(),
            nightly: nightly(),
            linker: linker(),
        }
    }
}

/// Directory of what is made once and used by every clone: `bin/` and `vm/`.
pub(crate) fn cache_dir() -> Option<PathBuf> {
    cache_dir_from(|name| env::var_os(name).map(PathBuf::from))
}

fn cache_dir_from(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name| var(name).filter(|path| path.is_absolute());
    absolute("KCN_TRACE_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|dir| dir.join("kcn-trace")))
        .or_else(|| absolute("HOME").map(|dir| dir.join(".cache/kcn-trace")))
}

/// First file of this name in `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Path of Debian's `cargo` or `rustc`.
pub(crate) fn debian_program(name: &str) -> PathBuf {
    Path::new(DEBIAN_BIN).join(name)
}

fn debian() -> Debian {
    if !debian_program("cargo").is_file() || !debian_program("rustc").is_file() {
        return Debian::Absent;
    }
    let core = Path::new(DEBIAN_RUSTLIB).join(target_triple()).join("lib");
    if has_entry(&core, "libcore-") {
        Debian::Ready
    } else {
        Debian::NoCore
    }
}

fn nightly() -> Nightly {
    if in_path("rustup").is_none() {
        return Nightly::NoRustup;
    }
    let home = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".rustup")));
    let toolchains = home.map(|home| home.join("toolchains")).unwrap_or_default();
    let dir = |name: &str| toolchains.join(format!("{name}-{}-unknown-linux-gnu", env::consts::ARCH));
    let with_source = |name: &&&str| dir(name).join("lib/rustlib/src/rust/library/core").is_dir();
    if let Some(name) = NIGHTLIES.iter().find(with_source) {
        Nightly::Ready(name)
    } else if NIGHTLIES.iter().any(|name| dir(name).is_dir()) {
        Nightly::NoRustSrc
    } else {
        Nightly::Absent
    }
}

/// What set-up made goes before what happens to be in `PATH`: it fits the compiler.
fn linker() -> Option<PathBuf> {
    let named = env::var_os("BPF_LINKER").map(PathBuf::from);
    let cached = cache_dir().map(|dir| dir.join("bin/bpf-linker"));
    named
        .filter(|file| file.is_file())
        .or(cached.filter(|file| file.is_file()))
        .or_else(|| in_path("bpf-linker"))
}

fn has_entry(dir: &Path, prefix: &str) -> bool {
    let starts = |name: &OsStr| name.as_encoded_bytes().starts_with(prefix.as_bytes());
    std::fs::read_dir(dir).is_ok_and(|entries| {
        entries
            .filter_map(Result::ok)
            .any(|entry| starts(&entry.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_is_the_first_absolute_directory_named() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (
                "own variable",
                &[("KCN_TRACE_CACHE", "/c"), ("HOME", "/h")],
                Some("/c"),
            ),
            (
                "desktop convention",
                &[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")],
                Some("/x/kcn-trace"),
            ),
            ("home", &[("HOME", "/h")], Some("/h/.cache/kcn-trace")),
            (
                "empty and relative are passed over",
                &[("KCN_TRACE_CACHE", ""), ("XDG_CACHE_HOME", "x"), ("HOME", "/h")],
                Some("/h/.cache/kcn-trace"),
            ),
            ("nothing set", &[], None),
        ];
        for (name, vars, want) in cases {
            let var = |name: &str| {
                vars.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| PathBuf::from(value))
            };
            assert_eq!(cache_dir_from(var), want.map(PathBuf::from), "case: {name}");
        }
    }
}
