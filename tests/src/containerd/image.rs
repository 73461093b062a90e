//! An image for containers, made here since nothing can be pulled: an OCI layout around a static busybox.
//!
//! Programs are not in it but mounted into each container: a snapshot is a copy, so what is small starts fast.

use crate::binaries;
use crate::scratch::Scratch;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Directories that containers mount something on.
const DIRECTORIES: &[&str] = &[
    "bin",
    "dev",
    "etc",
    "lib",
    "lib64",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/lib",
    "usr/local/bin",
    "var/lib",
];

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A file of the image, named by its content.
struct Blob {
    kind: &'static str,
    digest: String,
    size: u64,
}

impl Blob {
    fn descriptor(&self) -> Value {
        json!({"mediaType": self.kind, "digest": self.digest, "size": self.size})
    }
}

/// Writes an archive with one image under several `names` into `directory`; gives the archive's path.
pub(super) fn archive(directory: &Scratch, names: &[&str]) -> Result<PathBuf> {
    let root = directory.join("rootfs");
    for name in DIRECTORIES {
        fs::create_dir_all(root.join(name))?;
    }
    let busybox = binaries::find("busybox").context("busybox is not installed")?;
    fs::copy(&busybox, root.join("bin/busybox"))?;
    symlink("busybox", root.join("bin/sh"))?;

    let layout = directory.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let layer = directory.join("layer.tar");
    tar(&root, &layer)?;
    let layer = keep(&blobs, &layer, "application/vnd.oci.image.layer.v1.tar")?;
    let config = json!({
        "architecture": architecture(), "os": "linux",
        "config": {"Entrypoint": ["/bin/busybox", "sleep", "2147483647"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
    });
    let config = keep_json(
        directory,
        &blobs,
        &config,
        "application/vnd.oci.image.config.v1+json",
    )?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": config.descriptor(), "layers": [layer.descriptor()],
    });
    let manifest = keep_json(directory, &blobs, &manifest, MANIFEST)?;
    let manifests: Vec<_> = names
        .iter()
        .map(|name| {
            let (digest, size) = (&manifest.digest, manifest.size);
            let annotations = json!({"io.containerd.image.name": name});
            json!({"mediaType": MANIFEST, "digest": digest, "size": size, "annotations": annotations})
        })
        .collect();
    fs::write(
        layout.join("index.json"),
        json!({"schemaVersion": 2, "manifests": manifests}).to_string(),
    )?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let archive = directory.join("image.tar");
    tar(&layout, &archive)?;
    Ok(archive)
}

/// Go's name of this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn keep_json(directory: &Scratch, blobs: &Path, value: &Value, kind: &'static str) -> Result<Blob> {
    let file = directory.join("blob.json");
    fs::write(&file, value.to_string())?;
    keep(blobs, &file, kind)
}

/// Moves a file to where its content says.
fn keep(blobs: &Path, file: &Path, kind: &'static str) -> Result<Blob> {
    let said = output(Command::new("sha256sum").arg(file))?;
    let digest = said.split_whitespace().next().context("sha256sum said nothing")?;
    let size = fs::metadata(file)?.len();
    fs::rename(file, blobs.join(digest))?;
    Ok(Blob {
        kind,
        digest: format!("sha256:{digest}"),
        size,
    })
}

fn tar(directory: &Path, archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--file").arg(archive);
    tar.arg("--directory").arg(directory).arg(".");
    output(&mut tar).map(drop)
}

/// What a program prints.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
