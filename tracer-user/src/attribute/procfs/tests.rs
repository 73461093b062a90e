//! A /proc tree made of a real node's processes, and trees that break every rule.

use std::os::unix::fs::symlink;

use super::*;
use crate::attribute::{Quality, rules::Evidence};
use proptest::prelude::*;

/// A /proc tree in a directory of its own, removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("kcn-trace-proc-{}-{name}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn stat(&self, tgid: u32, comm: &str, parent: u32, ticks: u64) {
        let zeros = "0 ".repeat(17);
        self.file(
            &format!("{tgid}/stat"),
            format!("{tgid} ({comm}) S {parent} {zeros}{ticks} 1 2 3\n"),
        );
    }

    fn read(&self, tgid: u32) -> Option<ProcessFacts> {
        Procfs::new(self.0.clone()).read(tgid, 77, &Rules::built_in())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A process of a real v1.36 node, as captured: comm, exe, command line with spaces for NULs, namespace, parent, cgroups.
fn real(tree: &Tree, tgid: u32, captured: &str) {
    let value = |key: &str| {
        captured
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap()
            .trim()
    };
    tree.stat(tgid, value("comm: "), value("ppid: ").parse().unwrap(), 4200);
    tree.file(
        &format!("{tgid}/status"),
        format!("Name:\tx\nTgid:\t{tgid}\nUid:\t0\t0\t0\t0\n"),
    );
    tree.file(
        &format!("{tgid}/cmdline"),
        value("cmdline: ").replace(' ', "\0") + "\0",
    );
    tree.file(
        &format!("{tgid}/cgroup"),
        captured.split_once("cgroup:\n").unwrap().1,
    );
    tree.link(&format!("{tgid}/exe"), value("exe: "));
    tree.link(&format!("{tgid}/ns/net"), value("netns: "));
}

macro_rules! captured {
    ($name:literal) => {
        include_str!(concat!("../fixtures/real-node/", $name, ".txt"))
    };
}

type Real = (u32, &'static str, &'static str, Quality, &'static str);

#[rustfmt::skip]
const REAL: &[Real] = &[
    (8535, captured!("kubelet.8535"), "kubelet", Quality::Exe, "/process_api/"),
    (8818, captured!("etcd.8818"), "etcd", Quality::Exe, "/kubepods/burstable/pod40fd1c883492798a973420b1590f1fa1/"),
    (8790, captured!("kube-apiserver.8790"), "kube-apiserver", Quality::Exe, "/kubepods/burstable/pod"),
    (8819, captured!("kube-controller.8819"), "kube-controller-manager", Quality::Exe, "/kubepods/burstable/pod"),
    (8761, captured!("kube-scheduler.8761"), "kube-scheduler", Quality::Exe, "/kubepods/burstable/pod"),
    (9281, captured!("kube-proxy.9281"), "kube-proxy", Quality::Exe, "/process_api/"),
    (9434, captured!("kubectl.9434"), "kubectl(proxy)", Quality::Exe, "/process_api/"),
    (8440, captured!("containerd.8440"), "containerd", Quality::Exe, "/process_api/"),
    (8593, captured!("containerd-shim.8593"), "containerd-shim", Quality::Exe, "/process_api/"),
    (9157, captured!("sh.9157"), "sh", Quality::Argv, "/kubepods/besteffort/pod"),
    (10_680, captured!("nc.10680"), "nc", Quality::Argv, "/kubepods/besteffort/pod"),
    (8691, captured!("sleep.8691"), "sleep", Quality::Argv, "/kubepods/burstable/pod"),
];

#[test]
fn every_process_of_a_real_node_has_its_name() {
    let tree = Tree::new("real");
    for (tgid, text, ..) in REAL {
        real(&tree, *tgid, text);
    }
    let rules = Rules::built_in();
    let procfs = Procfs::new(tree.0.clone());
    let mut tgids: Vec<u32> = REAL.iter().map(|case| case.0).collect();
    tgids.sort_unstable();
    assert_eq!(procfs.tgids(), tgids);
    for (tgid, _, label, quality, cgroup) in REAL {
        let facts = procfs.read(*tgid, 77, &rules).unwrap();
        let claim = rules.identify(&Evidence::of(&facts));
        assert_eq!(
            (&*claim.who.label(), claim.quality),
            (*label, *quality),
            "{facts:?}"
        );
        assert!(facts.cgroup.as_ref().unwrap().starts_with(cgroup), "{facts:?}");
        assert_eq!(
            (facts.start_ns, facts.read_ns, facts.uid),
            (42_000_000_000, 77, 0),
            "{facts:?}"
        );
    }
    let etcd = procfs.read(8818, 77, &rules).unwrap();
    assert_eq!(etcd.netns, Some(4_026_532_177));
    assert_eq!(etcd.parent_tgid, 8593);
    assert_eq!(
        etcd.args,
        [
            "etcd",
            "--advertise-client-urls=https://192.168.59.150:2379",
            "--initial-cluster=controlplane=https://192.168.59.150:2380",
            "--listen-client-urls=https://127.0.0.1:2379,https://192.168.59.150:2379",
            "--listen-metrics-urls=http://127.0.0.1:2381",
            "--listen-peer-urls=https://192.168.59.150:2380",
            "--name=controlplane",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_absent_and_the_rest_is_there() {
    let tree = Tree::new("bare");
    tree.stat(7, "kworker/0:1", 2, 0);
    let facts = tree.read(7).unwrap();
    assert_eq!(
        facts,
        ProcessFacts {
            tgid: 7,
            parent_tgid: 2,
            uid: u32::MAX,
            read_ns: 77,
            comm: "kworker/0:1".into(),
            ..ProcessFacts::default()
        }
    );
    assert_eq!(tree.read(8), None, "a process that is gone");
}

/// Name, `loginuid`, `sessionid`, what is told.
type Audit = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    Option<Login>,
);

#[test]
fn who_logged_in_is_told_and_a_daemon_is_nobodys() {
    let passwd = Tree::new("passwd");
    passwd.file("passwd", "root:x:0:0\nalice:x:1000:1000\n");
    let cases: &[Audit] = &[
        ("a daemon", Some("4294967295"), Some("4294967295"), None),
        ("a kernel without audit", None, None, None),
        ("no number", Some("abc\n"), Some("7"), None),
        (
            "a login",
            Some("1000"),
            Some("12\n"),
            Some(login(1000, Some("alice"), Some(12))),
        ),
        (
            "root at the console",
            Some("0"),
            Some("1"),
            Some(login(0, Some("root"), Some(1))),
        ),
        (
            "a user without name",
            Some("1001"),
            Some("4294967295"),
            Some(login(1001, None, None)),
        ),
    ];
    for (name, uid, session, want) in cases {
        let tree = Tree::new("login");
        tree.stat(7, "x", 1, 5);
        if let Some(uid) = uid {
            tree.file("7/loginuid", uid);
        }
        if let Some(session) = session {
            tree.file("7/sessionid", session);
        }
        let users = Users::read(&[&passwd.0.join("passwd")]);
        let procfs = Procfs::new(tree.0.clone()).with_users(users);
        let facts = procfs.read(7, 77, &Rules::built_in()).unwrap();
        assert_eq!(facts.login, *want, "case: {name}");
    }
}

fn login(uid: u32, name: Option<&str>, session: Option<u32>) -> Login {
    Login {
        uid,
        name: name.map(String::from),
        session,
    }
}

#[test]
fn a_thread_is_not_a_process() {
    let tree = Tree::new("thread");
    tree.stat(8, "worker", 1, 5);
    tree.file("8/status", "Name:\tworker\nTgid:\t7\nUid:\t0\t0\t0\t0\n");
    assert_eq!(tree.read(8), None);
}

#[test]
fn a_replaced_executable_keeps_its_path() {
    let tree = Tree::new("deleted");
    tree.stat(7, "etcd", 1, 5);
    tree.link("7/exe", "/usr/local/bin/etcd (deleted)");
    assert_eq!(tree.read(7).unwrap().exe.as_deref(), Some("/usr/local/bin/etcd"));
}

#[test]
fn an_argument_that_was_cut_off_is_dropped() {
    let tree = Tree::new("long");
    tree.stat(7, "etcd", 1, 5);
    tree.link("7/exe", "/usr/local/bin/etcd");
    let filler = "x".repeat(usize::try_from(FILE_BYTES).unwrap() - 30);
    tree.file(
        "7/cmdline",
        format!("etcd\0{filler}\0--name=https://user:SECRET@host\0"),
    );
    assert_eq!(tree.read(7).unwrap().args, ["etcd"]);
}

type Name = (&'static str, &'static str, Option<(&'static str, u32, u64)>);

#[rustfmt::skip]
const NAMES: &[Name] = &[
    ("a plain name", "(cat)", Some(("cat", 9, 33))),
    ("spaces", "(tmux: server)", Some(("tmux: server", 9, 33))),
    ("parentheses", "((sd-pam))", Some(("(sd-pam)", 9, 33))),
    ("an imitation of the rest", "(a) R 1 2 3 (b)", Some(("a) R 1 2 3 (b", 9, 33))),
    ("nothing between", "()", Some(("", 9, 33))),
    ("no parentheses", "cat", None),
    ("the wrong way round", ")cat(", None),
];

#[test]
fn names_may_hold_spaces_and_parentheses() {
    let rest = format!(" S 9 {}33 0 0\n", "0 ".repeat(17));
    for (name, comm, want) in NAMES {
        let found = text::stat(format!("1234 {comm}{rest}").as_bytes());
        let found = found
            .as_ref()
            .map(|stat| (stat.comm.as_str(), stat.parent, stat.start_ticks));
        assert_eq!(found, *want, "case: {name}");
    }
    assert_eq!(text::stat(b"1 (a) S 9 0 0"), None, "cut off");
}

#[test]
fn the_most_telling_cgroup_is_chosen() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        (
            "the unified hierarchy",
            "0::/system.slice/kubelet.service\n",
            Some("/system.slice/kubelet.service"),
        ),
        ("unified over systemd", "1:name=systemd:/a\n0::/b\n", Some("/b")),
        (
            "systemd where unified is the root",
            "5:cpu,cpuacct:/c\n1:name=systemd:/a\n0::/\n",
            Some("/a"),
        ),
        (
            "a controller where both are",
            "5:memory:/m\n4:cpu,cpuacct:/c\n1:name=systemd:/\n0::/\n",
            Some("/c"),
        ),
        (
            "a pod over the unit that holds it",
            "4:memory:/kubepods/podx/y\n0::/system.slice/x.service\n",
            Some("/kubepods/podx/y"),
        ),
        ("the root of everything", "1:name=systemd:/\n0::/\n", Some("/")),
        (
            "a path with colons",
            "0::/x.slice:cri-containerd:ab\n",
            Some("/x.slice:cri-containerd:ab"),
        ),
        ("nothing", "", None),
        ("no lines of the format", "a\n:::\n0::relative\n", None),
    ];
    for (name, file, want) in cases {
        assert_eq!(text::cgroup(file.as_bytes()).as_deref(), *want, "case: {name}");
    }
}

#[test]
fn clock_ticks_come_from_the_auxiliary_vector() {
    let words = |words: &[usize]| {
        words
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect::<Vec<u8>>()
    };
    assert_eq!(text::clock_ticks(&words(&[6, 4096, 17, 250, 0, 0])), Some(250));
    assert_eq!(text::clock_ticks(&words(&[6, 17, 0, 0])), None);
    assert_eq!(
        text::clock_ticks(&words(&[17, 0])),
        None,
        "a clock that stands still"
    );
    let tree = Tree::new("ticks");
    tree.file("self/auxv", words(&[17, 250]));
    tree.stat(7, "x", 1, 250);
    assert_eq!(tree.read(7).unwrap().start_ns, 1_000_000_000);
}

#[test]
fn named_namespaces_are_listed_in_order() {
    let tree = Tree::new("netns");
    tree.file("self/ns/net", "");
    tree.file("names/b", "");
    tree.file("names/a", "");
    let procfs = Procfs::new(tree.0.clone());
    let names: Vec<String> = procfs
        .named_netns(&tree.0.join("names"))
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert!(procfs.named_netns(&tree.0.join("none")).is_empty());
}

#[test]
fn the_tests_own_process_is_read_from_the_real_proc() {
    let facts = Procfs::new("/proc".into())
        .read(std::process::id(), 1, &Rules::built_in())
        .unwrap();
    let own = std::env::current_exe().unwrap();
    assert_eq!(facts.exe.as_deref(), own.to_str());
    assert!(
        facts.netns.is_some() && facts.start_ns > 0 && facts.args.len() == 1,
        "{facts:?}"
    );
}

proptest! {
    #[test]
    fn no_bytes_break_the_readers(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _stat = text::stat(&bytes);
        let _status = text::status(&bytes);
        let _cgroup = text::cgroup(&bytes);
        let _ticks = text::clock_ticks(&bytes);
        let _inode = text::namespace_inode(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_beginning_of_a_line_breaks_the_readers(comm in ".{0,20}", cut in 0_usize..200) {
        let line = format!("12 ({comm}) S 9 {}33 0 0\n4:cpu:/{comm}\n0::/{comm}\n", "0 ".repeat(17));
        let bytes = &line.as_bytes()[..cut.min(line.len())];
        let _stat = text::stat(bytes);
        let _cgroup = text::cgroup(bytes);
        let _status = text::status(bytes);
    }
}
