//! Liars, and everything honest that looks like one.

use super::*;
use crate::{
    attribute::{cgroup::parse, process::ProcessTable},
    event::{Comm, Owner, ProcessEvent},
    signal::ProcessFacts,
};

const POD: &str = "/kubepods/burstable/pod40fd1c883492798a973420b1590f1fa1/22efe87f90ddd7fc958347559fb107de07a2af561481dde24b678e0788ad0c71";
const HOST: &str = "/system.slice/x.service";

fn judged(facts: &ProcessFacts) -> Option<String> {
    let rules = Rules::built_in();
    let mut table = ProcessTable::new(Rules::built_in());
    table.facts(facts);
    let process = table.who(facts.tgid, facts.read_ns).unwrap();
    let place = process.cgroup.as_deref().map(parse);
    spoofed(process, place.as_ref(), &rules)
}

fn facts(comm: &str, exe: &str, argv: &[&str], cgroup: &str) -> ProcessFacts {
    ProcessFacts {
        tgid: 7,
        read_ns: 5,
        comm: comm.to_owned(),
        exe: (!exe.is_empty()).then(|| exe.to_owned()),
        args: Rules::built_in().harmless_args(Some(exe), argv.join("\0").as_bytes()),
        cgroup: Some(cgroup.to_owned()),
        ..ProcessFacts::default()
    }
}

/// Name, comm, executable, arguments, cgroup, words.
type Liar = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
);

#[test]
fn a_name_that_the_executable_belies_is_told_in_words() {
    #[rustfmt::skip]
    let cases: &[Liar] = &[
        ("etcd from /tmp", "etcd", "/tmp/x", &["etcd"], HOST, "calls itself etcd, but its executable is /tmp/x"),
        ("kubelet in a pod", "kubelet", "/tmp/x", &["x"], POD, "calls itself kubelet, but its executable is /tmp/x, in a pod"),
        ("a name cut by the kernel", "kube-controller", "/dev/shm/.m", &["kube-controller-manager"], HOST, "calls itself kube-controller, but its executable is /dev/shm/.m"),
        ("one component as another", "etcd", "/usr/bin/kubectl", &["kubectl"], HOST, "calls itself etcd, but its executable is /usr/bin/kubectl"),
        ("a script", "kubelet", "/usr/bin/python3.11", &["python3", "/tmp/m.py"], HOST, "calls itself kubelet, but its executable is /usr/bin/python3.11"),
        ("a program without a file", "kubelet", "/memfd:kubelet", &["kubelet"], HOST, "calls itself kubelet, but its executable is /memfd:kubelet"),
        ("a deleted one", "etcd", "/tmp/x (deleted)", &["etcd"], HOST, "calls itself etcd, but its executable is /tmp/x"),
    ];
    for (name, comm, exe, argv, cgroup, want) in cases {
        assert_eq!(
            judged(&facts(comm, exe, argv, cgroup)).as_deref(),
            Some(*want),
            "case: {name}"
        );
    }
}

#[test]
fn an_honest_difference_is_no_alarm() {
    #[rustfmt::skip]
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("itself", "etcd", "/usr/local/bin/etcd", &["etcd"]),
        ("a cut name", "kube-controller", "/usr/local/bin/kube-controller-manager", &["kube-controller-manager"]),
        ("a cut name that two share", "kube-controller", "/usr/bin/kube-controllers", &["kube-controllers"]),
        ("a shim", "containerd-shim", "/usr/bin/containerd-shim-runc-v2", &["/usr/bin/containerd-shim-runc-v2"]),
        ("an operator of a flavour", "cilium-operator", "/usr/bin/cilium-operator-generic", &["cilium-operator-generic"]),
        ("k3s by its name given to exec", "k3s-server", "/var/lib/rancher/k3s/data/ab/bin/k3s", &["/usr/local/bin/k3s", "server"]),
        ("k3s that says agent", "k3s-server", "/var/lib/rancher/k3s/data/ab/bin/k3s", &["/usr/local/bin/k3s", "agent"]),
        ("containerd inside k3s", "containerd", "/var/lib/rancher/k3s/data/ab/bin/k3s", &["containerd", "-c", "x"]),
        ("kubectl inside k3s", "kubectl", "/usr/local/bin/k3s", &["kubectl", "get"]),
        ("kubelet inside hyperkube", "kubelet", "/usr/local/bin/hyperkube", &["kubelet"]),
        ("hyperkube with an argument", "hyperkube", "/hyperkube", &["/hyperkube", "kubelet"]),
        ("rke2", "rke2", "/usr/local/bin/rke2", &["/usr/local/bin/rke2", "server"]),
        ("kubelite", "kubelite", "/snap/microk8s/6000/kubelite", &["/snap/microk8s/6000/kubelite"]),
        ("Talos' API", "apid", "/sbin/init", &["/apid"]),
        ("a versioned file behind a link", "kubelet", "/opt/bin/kubelet-v1.30.2", &["kubelet"]),
        ("a wrapped one", "kubelet", "/nix/store/ab/bin/.kubelet-wrapped", &["kubelet"]),
        ("a script called so", "etcd", "/usr/bin/bash", &["/bin/bash", "/usr/local/bin/etcd"]),
        ("a script of busybox' shell", "kubelet", "/bin/busybox", &["/bin/sh", "/opt/kubelet"]),
        ("a script by options nobody knows", "etcd", "/usr/bin/perl", &["perl", "-T", "/usr/bin/etcd"]),
        ("an applet", "nc", "/bin/busybox", &["nc", "-l"]),
        ("an applet with a component's name", "vector", "/bin/busybox", &["vector"]),
        ("another machine's program", "etcd", "/usr/bin/qemu-aarch64-static", &["/usr/bin/qemu-aarch64-static", "/usr/local/bin/etcd"]),
        ("another machine's program on a Mac", "etcd", "/run/rosetta/rosetta", &["/run/rosetta/rosetta", "/usr/local/bin/etcd"]),
        ("fluentd under ruby", "fluentd", "/usr/bin/ruby3.1", &["ruby", "/usr/bin/fluentd"]),
        ("a family in one file", "calico-typha", "/usr/bin/calico", &["calico-typha"]),
        ("runc from memory", "runc", "/memfd:runc_cloned:/proc/self/exe (deleted)", &["runc", "init"]),
        ("runc's own stages", "runc:[2:INIT]", "/usr/bin/runc", &["runc", "init"]),
        ("systemd before exec", "(kubelet)", "/usr/lib/systemd/systemd-executor", &["(kubelet)"]),
        ("replaced by a newer version", "kubelet", "/usr/bin/kubelet (deleted)", &["/usr/bin/kubelet"]),
        ("no component's name", "curl", "/tmp/x", &["x"]),
        ("an executable that cannot be read", "etcd", "", &["etcd"]),
    ];
    for (name, comm, exe, argv) in cases {
        assert_eq!(judged(&facts(comm, exe, argv, HOST)), None, "case: {name}");
    }
}

#[test]
fn without_proc_a_name_is_not_judged() {
    let rules = Rules::built_in();
    let mut comm = [0; 16];
    comm[..4].copy_from_slice(b"etcd");
    let mut table = ProcessTable::new(Rules::built_in());
    table.event(&ProcessEvent {
        exit: false,
        at_ns: 5,
        tgid: 7,
        parent_tgid: 1,
        uid: 0,
        start_ns: 0,
        cgroup_id: 1,
        comm: Comm(comm),
        filename: "/var/lib/link".into(),
        arg0: "x".into(),
        exe: None,
        file_name: String::new(),
    });
    assert_eq!(
        spoofed(table.who(7, 5).unwrap(), None, &rules),
        None,
        "the path may be a link"
    );
    table.seen(
        &Owner {
            tgid: 8,
            tid: 9,
            uid: 0,
            cgroup_id: 1,
            comm: Comm(comm),
        },
        5,
    );
    assert_eq!(
        spoofed(table.who(8, 5).unwrap(), None, &rules),
        None,
        "a thread's name"
    );
}

#[test]
fn nothing_on_a_real_node_is_an_alarm() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/attribute/fixtures/real-node");
    let mut judged_processes = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let Some(cgroups) = text.split_once("cgroup:\n").map(|(_, cgroups)| cgroups) else {
            continue;
        };
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap()
                .trim()
        };
        let argv: Vec<&str> = value("cmdline: ").split(' ').collect();
        let cgroup = cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
        let facts = facts(value("comm: "), value("exe: "), &argv, cgroup);
        assert_eq!(judged(&facts), None, "{}", path.display());
        judged_processes += 1;
    }
    assert_eq!(judged_processes, 25);
}
