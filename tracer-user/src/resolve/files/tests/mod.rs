//! Trees of nodes: a real one's, and those that break every rule.

mod directories;
mod node;
mod text;
mod told;
mod weather;

use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

const POD_LOGS: &str = include_str!("../fixtures/var-log-pods.txt");
const CONTAINER_LOGS: &str = include_str!("../fixtures/var-log-containers.txt");

/// A static pod of the captured node.
const ETCD_UID: &str = "40fd1c883492798a973420b1590f1fa1";
const ETCD_ID: &str = "22efe87f90ddd7fc958347559fb107de07a2af561481dde24b678e0788ad0c71";
/// One of its pods with a network of its own.
const WEB_UID: &str = "65472c8a-e055-4910-811c-e315a2840737";

/// A node's file system in a directory of its own, removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("kcn-trace-files-{}-{number}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    /// The captured node.
    fn real() -> Self {
        let tree = Self::new();
        for name in POD_LOGS.lines().map(str::trim) {
            tree.dir(&format!("var/log/pods/{name}"));
        }
        for line in CONTAINER_LOGS.lines() {
            let Some((name, target)) = line.split_once(" -> ") else {
                continue;
            };
            tree.dir(target.trim_start_matches('/').rsplit_once('/').unwrap().0);
            tree.link(&format!("var/log/containers/{name}"), target);
        }
        let manifests = [
            ("etcd", include_str!("../fixtures/manifests/etcd.yaml")),
            (
                "kube-apiserver",
                include_str!("../fixtures/manifests/kube-apiserver.yaml"),
            ),
            (
                "kube-controller-manager",
                include_str!("../fixtures/manifests/kube-controller-manager.yaml"),
            ),
            (
                "kube-scheduler",
                include_str!("../fixtures/manifests/kube-scheduler.yaml"),
            ),
        ];
        for (name, text) in manifests {
            tree.file(&format!("etc/kubernetes/manifests/{name}.yaml"), text);
        }
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn dir(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
    }

    fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    fn files(&self) -> Files {
        Files::discover(&self.0, Rules::built_in()).unwrap()
    }

    /// The source after its first look.
    fn looked(&self) -> Files {
        let mut files = self.files();
        files.look(true);
        files
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn hosts(address: &str) -> String {
    format!(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::1\tip6-allnodes\n{address}\tweb\n\n# Entries added by HostAliases.\n\
         10.9.9.9\tforeign\n"
    )
}

#[test]
fn a_machine_without_kubernetes_has_no_such_source() {
    let tree = Tree::new();
    tree.file("etc/hostname", "box\n");
    tree.dir("var/log");
    tree.file("etc/default/kubelet", "");
    assert!(discover(&tree.0, Rules::built_in()).is_none());
    assert!(discover(&tree.path("nowhere"), Rules::built_in()).is_none());
    tree.dir("var/log/pods");
    let source = discover(&tree.0, Rules::built_in()).unwrap();
    assert_eq!(source.name(), "node files");
}
