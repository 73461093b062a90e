//! Trees that break every rule.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, os::unix::fs::PermissionsExt as _};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const MANIFEST: &str = "kind: Pod\nmetadata: {name: a, namespace: n}\n";

fn pipe(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
}

#[test]
fn names_no_kubelet_writes_are_passed_over() {
    let tree = Tree::real();
    for name in [
        &b"default_\x1b[31mweb_65472c8a-e055-4910-811c-e315a2840737"[..],
        b"default_\xff\xfe_65472c8a-e055-4910-811c-e315a2840737",
        b"lost+found",
        b"a_b",
        b"____",
    ] {
        for place in ["var/log/pods", "var/lib/kubelet/pods", "var/log/containers"] {
            fs::create_dir_all(tree.path(place).join(OsStr::from_bytes(name))).unwrap();
        }
    }
    tree.file(
        "var/log/pods/default_file_65472c8a-e055-4910-811c-e315a2840737x",
        "",
    );
    let files = tree.looked();
    let named: Vec<_> = files
        .pods
        .pods
        .values()
        .filter(|pod| !pod.name.is_empty())
        .collect();
    assert_eq!(named.len(), 8);
    assert_eq!(files.pods.containers.len(), 8);
    assert!(
        files
            .pods
            .pods
            .keys()
            .all(|uid| uid.bytes().all(|b| b.is_ascii_graphic()))
    );
    assert_eq!(files.pods.fault, None);
}

#[test]
fn loops_pipes_and_links_out_of_the_tree_hang_nothing() {
    let tree = Tree::real();
    tree.link("etc/kubernetes/manifests/loop.yaml", "loop.yaml");
    tree.link("etc/kubernetes/manifests/outside.yaml", "/../../../../etc/passwd");
    tree.link("etc/kubernetes/manifests/device.yaml", "/dev/zero");
    tree.dir("etc/kubernetes/manifests/directory.yaml");
    pipe(&tree.path("etc/kubernetes/manifests/pipe.yaml"));
    pipe(&tree.path("var/lib/kubelet/config.yaml"));
    pipe(&tree.path(&format!("var/lib/kubelet/pods/{WEB_UID}/etc-hosts")));
    tree.link(&format!("var/lib/kubelet/pods/{ETCD_UID}/etc-hosts"), "etc-hosts");
    tree.link(
        &format!("var/lib/kubelet/pods/{ETCD_UID}/containers"),
        "containers",
    );
    let mut files = tree.looked();
    assert_eq!(files.settings.static_pods().len(), 4);
    assert_eq!(files.pods.pods.len(), 8);
    assert!(files.pods.fault.is_some());
    assert_eq!(
        files.settings.manifests_fault(),
        None,
        "it may become whole any moment"
    );
    files.look(false);
    files.look(false);
    let fault = files.settings.manifests_fault().unwrap();
    assert!(fault.why.contains("manifests/"), "{fault:?}");
    assert!(
        files
            .settings
            .settings_fault()
            .unwrap()
            .why
            .contains("not a regular file")
    );
}

#[test]
fn links_within_the_node_lead_within_the_node() {
    let tree = Tree::real();
    fs::create_dir_all(tree.path("data")).unwrap();
    fs::rename(tree.path("var/log/pods"), tree.path("data/pods")).unwrap();
    tree.link("var/log/pods", "/data/pods");
    let files = tree.looked();
    assert_eq!(files.pods.pods.len(), 8);
    assert_eq!(files.pods.fault, None);
}

#[test]
fn a_file_in_place_of_a_directory_is_nothing() {
    let tree = Tree::new();
    tree.file("var/log/pods", "");
    tree.file("var/log/containers", "");
    tree.file("var/lib/kubelet", "");
    tree.file("etc/kubernetes/kubelet.conf", "");
    let files = tree.looked();
    assert!(files.pods.pods.is_empty());
    assert_eq!(files.pods.fault, None);
}

#[test]
fn a_manifest_half_written_counts_as_before_until_it_stays_so() {
    let tree = Tree::new();
    let path = "etc/kubernetes/manifests/a.yaml";
    tree.file(path, MANIFEST);
    let mut files = tree.looked();
    for (name, text) in [
        ("cut", "kind: Pod\nmetadata: {name: a,"),
        ("empty", ""),
        ("another object", "kind: Secret\nmetadata: {name: hunter2}\n"),
        ("a hostile name", "kind: Pod\nmetadata: {name: \"\\e[31m\"}\n"),
        ("no text", "\u{0}\u{1}"),
    ] {
        tree.file(path, text);
        for look in 0..3 {
            assert_eq!(
                files.settings.manifests_fault(),
                None,
                "case: {name}, look {look}"
            );
            files.look(false);
            assert_eq!(files.settings.static_pods().len(), 1, "case: {name}, look {look}");
        }
        assert!(!files.settings.is_unsettled(), "case: {name}");
        let fault = files.settings.manifests_fault().unwrap();
        assert!(
            fault.why.starts_with("/etc/kubernetes/manifests/a.yaml: it "),
            "case: {name}: {fault:?}"
        );
        assert!(!format!("{fault:?}").contains("hunter2"), "case: {name}");
        tree.file(path, MANIFEST);
        files.look(false);
        assert_eq!(files.settings.manifests_fault(), None, "case: {name}");
    }
    tree.remove(path);
    files.look(false);
    assert!(files.settings.static_pods().is_empty());
}

#[test]
fn a_giant_manifest_is_refused() {
    let tree = Tree::new();
    let padding = "#".repeat(1024 * 1024);
    tree.file("etc/kubernetes/manifests/a.yaml", format!("{MANIFEST}{padding}"));
    let mut files = tree.looked();
    files.look(false);
    files.look(false);
    assert!(files.settings.static_pods().is_empty());
    assert!(
        files
            .settings
            .manifests_fault()
            .unwrap()
            .why
            .contains("larger than 1048576 bytes")
    );
}

#[test]
fn of_two_manifests_of_one_pod_the_first_counts() {
    let tree = Tree::new();
    tree.file("etc/kubernetes/manifests/b.yaml", MANIFEST);
    tree.file("etc/kubernetes/manifests/a.yaml", MANIFEST);
    tree.file(
        "etc/kubernetes/manifests/.hidden.yaml",
        "kind: Pod\nmetadata: {name: hidden}\n",
    );
    let pods = tree.looked().settings.static_pods();
    assert_eq!(pods.len(), 1);
    assert!(pods.values().all(|pod| pod.path.ends_with("/a.yaml")));
}

#[test]
fn a_directory_that_cannot_be_read_keeps_what_was_known() {
    // A loop is unreadable for everybody, root among them.
    let tree = Tree::real();
    tree.file(
        &format!("var/lib/kubelet/pods/{WEB_UID}/etc-hosts"),
        hosts("10.244.0.7"),
    );
    let mut files = tree.looked();
    let (pods, containers) = (files.pods.pods.clone(), files.pods.containers.clone());
    for place in ["var/log/pods", "var/log/containers", "var/lib/kubelet/pods"] {
        let aside = tree.path("aside");
        fs::rename(tree.path(place), &aside).unwrap();
        tree.link(place, "loop");
        tree.link(
            &format!("{}/loop", place.rsplit_once('/').unwrap().0),
            place.rsplit_once('/').unwrap().1,
        );
        files.look(false);
        assert_eq!(files.pods.pods, pods, "case: {place}");
        assert_eq!(files.pods.containers, containers, "case: {place}");
        let fault = files.pods.fault.clone().unwrap();
        assert!(fault.why.contains(place), "case: {place}: {fault:?}");
        tree.remove(place);
        tree.remove(&format!("{}/loop", place.rsplit_once('/').unwrap().0));
        fs::rename(&aside, tree.path(place)).unwrap();
        files.look(false);
        assert_eq!(
            (&files.pods.pods, &files.pods.fault),
            (&pods, &None),
            "case: {place}"
        );
    }
}

#[test]
fn a_directory_without_permission_is_reported_and_keeps_what_was_known() {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let tree = Tree::real();
    let mut files = tree.looked();
    let path = tree.path("var/log/pods");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            // Root may read everything; this thread may not any more.
            let sets = capabilities(None).unwrap();
            let without = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            let sets = CapabilitySets {
                effective: sets.effective - without,
                ..sets
            };
            set_capabilities(None, sets).unwrap();
            files.look(false);
        });
        look.join().unwrap();
    });
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let fault = files.pods.fault.clone().unwrap();
    assert!(
        fault
            .why
            .starts_with("/var/log/pods cannot be read: Permission denied"),
        "{fault:?}"
    );
    assert_eq!(files.pods.pods.len(), 8);
    files.look(false);
    assert_eq!(files.pods.fault, None);
}

#[test]
fn more_pods_than_fit_are_counted() {
    let tree = Tree::new();
    let mut files = {
        tree.dir("var/log/pods");
        tree.files()
    };
    files.pods.pods_max = 50;
    for number in 0..80 {
        tree.dir(&format!("var/log/pods/shop_web-{number}_{number:032x}/client"));
        tree.link(
            &format!("var/log/containers/web-{number}_shop_client-{number:064x}.log"),
            &format!("/var/log/pods/shop_web-{number}_{number:032x}/client/0.log"),
        );
    }
    files.look(true);
    assert_eq!((files.pods.pods.len(), files.pods.containers.len()), (50, 50));
    let fault = files.pods.fault.clone().unwrap();
    assert!(
        fault
            .why
            .starts_with("30 entries are beyond the bound of 50 pods"),
        "{fault:?}"
    );
    for number in 0..30 {
        tree.remove(&format!("var/log/pods/shop_web-{number}_{number:032x}"));
    }
    files.look(false);
    assert_eq!((files.pods.pods.len(), &files.pods.fault), (50, &None));
}

#[test]
fn directories_that_come_and_go_during_looks_do_no_harm() {
    let tree = Tree::real();
    let mut files = tree.looked();
    let root = tree.path("var/log/pods");
    std::thread::scope(|scope| {
        let churn = scope.spawn(|| {
            for number in 0..400 {
                let pod = root.join(format!("shop_web_{number:032x}"));
                fs::create_dir_all(pod.join("client")).unwrap();
                fs::remove_dir_all(pod).unwrap();
            }
        });
        while !churn.is_finished() {
            files.look(false);
            assert!(files.pods.pods.contains_key(ETCD_UID));
        }
    });
    files.look(false);
    assert_eq!(files.pods.pods.len(), 8);
    assert_eq!(files.pods.fault, None);
}
