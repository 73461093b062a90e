//! Where the container runtime's socket is: asked for, said by kubelet's files, or where runtimes put it.
#![forbid(unsafe_code)]

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use crate::regular_file;

/// kubelet's files that name the runtime, and how.
const SAID_BY: [(&str, &str); 4] = [
    ("/var/lib/kubelet/config.yaml", "containerRuntimeEndpoint:"),
    (
        "/var/lib/kubelet/kubeadm-flags.env",
        "--container-runtime-endpoint",
    ),
    ("/etc/default/kubelet", "--container-runtime-endpoint"),
    ("/etc/sysconfig/kubelet", "--container-runtime-endpoint"),
];

/// Sockets of containerd, CRI-O, cri-dockerd, k3s and RKE2 (also with Docker), `MicroK8s`, k0s.
const USUAL: [&str; 7] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/k3s/cri-dockerd/cri-dockerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/k0s/containerd.sock",
];

/// Bytes of a kubelet file that are looked at.
const FILE_MAX: u64 = 256 << 10;
/// `sun_path` and some room for the node's root before it.
const PATH_MAX: usize = 1024;

/// A socket on which a runtime may serve CRI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Where it is opened.
    pub path: PathBuf,
    /// Where the node has it.
    pub shown: PathBuf,
    /// Nobody said that CRI is served there: it is just the usual place.
    pub guessed: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// At least one; it may be absent for now where it was asked for or kubelet uses it.
    Found(Vec<Socket>),
    /// No sign of a runtime: most likely there is no Kubernetes here.
    Nothing,
}

/// Finds sockets. `host_root` is where the node's files are, `asked` what the user named.
pub fn discover(host_root: &Path, asked: Option<&Path>) -> Discovery {
    if let Some(asked) = asked {
        let path = asked.to_str().map_or(asked, |text| {
            Path::new(text.strip_prefix("unix://").unwrap_or(text))
        });
        return Discovery::Found(vec![Socket {
            path: path.to_owned(),
            shown: path.to_owned(),
            guessed: false,
        }]);
    }
    let said = SAID_BY
        .iter()
        .find_map(|(file, key)| endpoint(&read(&below(host_root, Path::new(file)))?, key));
    if let Some(shown) = said {
        return Discovery::Found(vec![Socket {
            path: below(host_root, &shown),
            shown,
            guessed: false,
        }]);
    }
    let usual = USUAL.iter().map(|shown| Socket {
        path: below(host_root, Path::new(shown)),
        shown: PathBuf::from(shown),
        guessed: true,
    });
    let found: Vec<_> = usual.filter(|socket| is_socket(&socket.path)).collect();
    if found.is_empty() {
        Discovery::Nothing
    } else {
        Discovery::Found(found)
    }
}

/// The first endpoint in a file's text that is a Unix socket. `/var/run` is `/run` everywhere, and as an absolute link
/// it would lead out of a mounted root.
fn endpoint(text: &str, key: &str) -> Option<PathBuf> {
    let values = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let (before, value) = line.split_once(key)?;
            // A key of YAML stands alone; a flag may stand anywhere.
            (key.starts_with("--") || before.is_empty()).then_some(value)
        });
    values.into_iter().find_map(|value| {
        let value = value.trim_start_matches(['=', ' ', '\t', '"', '\'']);
        let value = value.split([' ', '\t', '"', '\'', '#']).next()?;
        let path = value.strip_prefix("unix://").unwrap_or(value);
        let sane = path.starts_with('/') && path.len() <= PATH_MAX && !path.contains("/../");
        let path = path
            .strip_prefix("/var/run/")
            .map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"));
        sane.then(|| PathBuf::from(path))
    })
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// A file that is absent or unreadable says nothing.
fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    regular_file::open(path)
        .ok()?
        .take(FILE_MAX)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    path.metadata().is_ok_and(|found| found.file_type().is_socket())
}
