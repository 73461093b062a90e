//! Compiles the eBPF programs into `OUT_DIR/tracer-ebpf`, which the loader embeds.

#[path = "../xtask/src/ebpf_toolchain/mod.rs"]
mod ebpf_toolchain;

use ebpf_toolchain::{Facts, PACKAGE, target_triple};
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let manifest_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = manifest_dir
        .parent()
        .ok_or("tracer-user has no parent directory")?;
    let out_dir = PathBuf::from(variable("OUT_DIR")?);

    for input in [
        "Cargo.toml",
        "Cargo.lock",
        "tracer-ebpf/Cargo.toml",
        "tracer-common/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    for input in ["tracer-ebpf/src", "tracer-common/src"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    for input in ["BPF_LINKER", "KCN_TRACE_CACHE"] {
        println!("cargo::rerun-if-env-changed={input}");
    }

    let toolchain = Facts::gather().toolchain()?;
    let target_dir = target_dir(&out_dir);
    let mut cargo = toolchain.cargo("build", root, &target_dir, &variable("CARGO_CFG_TARGET_ARCH")?);
    let status = cargo
        .status()
        .map_err(|error| format!("cannot start {cargo:?}: {error}"))?;
    if !status.success() {
        return Err(
            format!("the eBPF programs did not build ({status}); the compiler's output is above").into(),
        );
    }
    let object = target_dir.join(target_triple()).join("release").join(PACKAGE);
    std::fs::copy(&object, out_dir.join(PACKAGE)).map_err(|error| {
        format!(
            "cannot copy {} to {}: {error}",
            object.display(),
            out_dir.display()
        )
    })?;
    Ok(())
}

/// One directory for all profiles, beside theirs, so that debug, release and clippy share one build.
/// `OUT_DIR` is `<target>/<profile>/build/<package>/out`.
fn target_dir(out_dir: &Path) -> PathBuf {
    let build = out_dir
        .ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "build"));
    let target = build.and_then(Path::parent).and_then(Path::parent);
    target.unwrap_or(out_dir).join("ebpf")
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}; cargo sets it for build scripts"))
}
