//! Facts from trees of files made for each case, and from this machine.

use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;
use crate::loader::btf::VMLINUX;

/// A /proc and a /sys of its own, removed afterwards.
struct Tree(PathBuf);

/// Paths and contents.
type Files<'a> = &'a [(&'a str, &'a str)];

impl Tree {
    /// Files as path and content; a content that begins with `->` makes a link.
    fn new(files: Files<'_>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("kcn-trace-features-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        for (path, content) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.strip_prefix("->") {
                Some(target) => symlink(target, path).unwrap(),
                None => fs::write(path, content).unwrap(),
            }
        }
        Self(dir)
    }

    fn facts(&self, bpf: BpfTrial) -> Facts {
        let roots = Roots {
            proc: self.0.join("proc"),
            sys: self.0.join("sys"),
        };
        Facts::gather(
            &roots,
            &Trials {
                bpf,
                fentry_refused: None,
                release_refused: None,
            },
            Err("no type information".into()),
        )
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

const OLD: &str = "5.10.0-32-amd64\n";
const ALL: &str = "CapEff:\t000001ffffffffff\nSeccomp:\t0\n";
const NONE: &str = "CapEff:\t0000000000000000\nSeccomp:\t0\n";
const FILTERED: &str = "CapEff:\t000001ffffffffff\nSeccomp:\t2\n";
const PERFMON: &str = "CapEff:\t0000004000000000\nSeccomp:\t2\n";
const NO_RESOURCE: &str = "CapEff:\t000001fffeffffff\nSeccomp:\t0\n";
const LIMIT: &str =
    "Limit Soft Hard Units\nMax locked memory         65536                65536                bytes\n";
const IDENTITY: &str = "         0          0 4294967295\n";
const EPERM: BpfTrial = BpfTrial::Refused(1);

/// What happens, the files, how the trial went, part of the explanation.
const REFUSALS: &[(&str, Files<'_>, BpfTrial, &str)] = &[
    (
        "nothing held",
        &[("proc/self/status", NONE)],
        EPERM,
        "CAP_BPF and CAP_PERFMON missing: run as root",
    ),
    (
        "one of two held",
        &[("proc/self/status", PERFMON)],
        EPERM,
        "CAP_BPF missing (and a seccomp filter",
    ),
    (
        "a filter, with all capabilities",
        &[("proc/self/status", FILTERED)],
        EPERM,
        "a seccomp filter refuses bpf()",
    ),
    (
        "a filter that says there is no such call",
        &[("proc/self/status", FILTERED)],
        BpfTrial::Refused(38),
        "hides bpf()",
    ),
    (
        "no such call",
        &[("proc/self/status", ALL)],
        BpfTrial::Refused(38),
        "CONFIG_BPF_SYSCALL",
    ),
    (
        "root of a user namespace",
        &[("proc/self/status", ALL), ("proc/self/uid_map", "0 1000 1\n")],
        EPERM,
        "only inside its user namespace",
    ),
    (
        "locked down",
        &[
            ("proc/self/status", ALL),
            (
                "sys/kernel/security/lockdown",
                "none integrity [confidentiality]\n",
            ),
        ],
        EPERM,
        "locked down",
    ),
    (
        "little memory to lock on an old kernel",
        &[
            ("proc/self/status", NO_RESOURCE),
            ("proc/self/limits", LIMIT),
            ("proc/sys/kernel/osrelease", OLD),
        ],
        EPERM,
        "only 65536 bytes of memory may be locked",
    ),
    (
        "nothing to be seen",
        &[("proc/self/status", ALL), ("proc/self/uid_map", IDENTITY)],
        BpfTrial::Refused(13),
        "a security module may forbid it",
    ),
    (
        "another errno",
        &[("proc/self/status", ALL)],
        BpfTrial::Refused(22),
        "Invalid argument",
    ),
    (
        "a kernel without raw tracepoints",
        &[("proc/self/status", ALL)],
        BpfTrial::Unsupported,
        "older than 4.17",
    ),
    ("not tried", &[], BpfTrial::Untried, "not tried"),
];

#[test]
fn a_refusal_of_bpf_is_explained() {
    for (name, files, trial, want) in REFUSALS {
        let fact = Tree::new(files).facts(*trial).bpf;
        assert!(
            !fact.is_yes() && fact.why().contains(want),
            "case: {name}: {fact:?}"
        );
    }
    assert_eq!(Tree::new(&[]).facts(BpfTrial::Works).bpf, Fact::Yes);
}

#[test]
fn kprobes_are_seen_by_their_event_source() {
    let cases: &[(&str, Files<'_>, &str)] = &[
        (
            "there",
            &[("sys/bus/event_source/devices/kprobe/type", "6\n")],
            "",
        ),
        (
            "not built in",
            &[("sys/bus/event_source/devices/software/type", "1\n")],
            "CONFIG_KPROBES",
        ),
        ("no sysfs", &[], "is sysfs mounted?"),
        (
            "locked down",
            &[
                ("sys/bus/event_source/devices/kprobe/type", "6\n"),
                (
                    "sys/kernel/security/lockdown",
                    "none integrity [confidentiality]\n",
                ),
            ],
            "locked down",
        ),
    ];
    for (name, files, want) in cases {
        let fact = Tree::new(files).facts(BpfTrial::Works).kprobes;
        assert_eq!(fact.is_yes(), want.is_empty(), "case: {name}: {fact:?}");
        assert!(fact.why().contains(want), "case: {name}: {fact:?}");
    }
}

#[test]
fn mounts_are_found_by_type_and_unescaped() {
    let mounts = "proc /proc proc rw 0 0\n\
                  cgroup2 /sys/fs/cgroup/uni\\040fied cgroup2 rw 0 0\n";
    let facts = Tree::new(&[("proc/self/mounts", mounts)]).facts(BpfTrial::Works);
    assert_eq!(facts.cgroup2.unwrap(), Path::new("/sys/fs/cgroup/uni fied"));
    let bare = Tree::new(&[("proc/self/mounts", "broken\n")]).facts(BpfTrial::Works);
    assert_eq!(bare.cgroup2, None);
}

#[test]
fn tracefs_is_where_its_events_are() {
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        (
            "its own place",
            &["kernel/tracing/events/enable"],
            Some("kernel/tracing"),
        ),
        (
            "inside debugfs",
            &["kernel/debug/tracing/events/enable"],
            Some("kernel/debug/tracing"),
        ),
        (
            "an empty directory, and inside debugfs",
            &["kernel/tracing/cover", "kernel/debug/tracing/events/enable"],
            Some("kernel/debug/tracing"),
        ),
        ("an empty directory", &["kernel/tracing/cover"], None),
        ("nothing", &[], None),
    ];
    for (case, files, wanted) in cases {
        let files: Vec<_> = files.iter().map(|file| format!("sys/{file}")).collect();
        let files: Vec<_> = files.iter().map(|file| (file.as_str(), "")).collect();
        let tree = Tree::new(&files);
        let found = tree.facts(BpfTrial::Works).tracefs;
        assert_eq!(
            found,
            wanted.map(|place| tree.0.join("sys").join(place)),
            "{case}"
        );
    }
}

#[test]
fn the_pid_namespace_is_known_by_its_fixed_inode() {
    let link = |target: &str| {
        Tree::new(&[("proc/self/ns/pid", target)])
            .facts(BpfTrial::Works)
            .initial_pid_ns
    };
    assert_eq!(link("->pid:[4026531836]"), Fact::Yes);
    assert!(link("->pid:[4026532999]").is_no());
    assert!(matches!(
        Tree::new(&[]).facts(BpfTrial::Works).initial_pid_ns,
        Fact::Unknown(_)
    ));
}

#[test]
fn versions_are_read_from_releases() {
    let cases: &[(&str, Option<(u32, u32)>)] = &[
        ("6.1.0-28-cloud-amd64", Some((6, 1))),
        ("5.10", Some((5, 10))),
        ("6.18-rc3", Some((6, 18))),
        ("6", None),
        ("", None),
        ("x.y", None),
    ];
    for (release, want) in cases {
        assert_eq!(version(release), *want, "{release}");
    }
}

#[test]
fn locked_memory_matters_only_before_5_11() {
    let fact = |release: &str, status: &str| {
        let files = [
            ("proc/sys/kernel/osrelease", release),
            ("proc/self/limits", LIMIT),
            ("proc/self/status", status),
        ];
        Tree::new(&files).facts(BpfTrial::Works).memlock
    };
    assert!(fact("5.10.0", NO_RESOURCE).is_no());
    assert_eq!(fact("5.11.0", NO_RESOURCE), Fact::Yes);
    assert_eq!(fact("5.10.0", ALL), Fact::Yes, "the limit can be raised");
}

#[test]
fn what_the_types_say_agrees_with_the_version() {
    let types = Btf::read(Path::new(VMLINUX))
        .map(|btf| TypeFacts::of(&btf))
        .map_err(|error| error.to_string());
    let facts = Facts::gather(&Roots::default(), &Trials::default(), types);
    assert!(facts.at_least((3, 0)), "{facts:?}");
    assert!(!matches!(facts.initial_pid_ns, Fact::Unknown(_)), "{facts:?}");
    let Some(types) = &facts.types else {
        eprintln!("skipped: {}", facts.btf.why());
        return;
    };
    assert_eq!(types.connect_parameters, Some(1));
    assert_eq!(
        types.accept_parameters,
        Some(if facts.at_least((6, 10)) { 2 } else { 4 })
    );
    assert_eq!(types.typed_tracepoints, facts.at_least((5, 5)), "{facts:?}");
    assert_eq!(types.socket_iterator, facts.at_least((5, 11)), "{facts:?}");
}
