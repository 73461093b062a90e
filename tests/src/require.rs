//! What a live test needs from the machine. Where something is lacking the test says so and counts as skipped.

use crate::binaries;
use crate::netns::Netns;
use anyhow::Result;
use rustix::process::geteuid;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// User id 0.
    Root,
    /// The `bpf()` system call and the right to use it.
    Bpf,
    /// A program of this name.
    Program(&'static str),
    /// A unified cgroup hierarchy.
    Cgroup,
    /// Virtual Ethernet devices, a module of their own in many kernels.
    Veth,
    /// Two processors.
    TwoProcessors,
    /// containerd, what it needs to run pods on a bridge, and a way to end all of a cgroup.
    Containerd,
    /// Translation of addresses in a network namespace: iptables and the kernel's part of it.
    Nat,
}

/// Number of `CAP_BPF` and of `CAP_SYS_ADMIN`, linux/capability.h; either will do.
const BPF_CAPABILITIES: u64 = 1 << 39 | 1 << 21;

/// Whether the machine has all that the test around it needs. If not, prints `SKIPPED: test: reason`, which the test
/// runner counts.
#[macro_export]
macro_rules! needs {
    ($($need:expr),+ $(,)?) => {{
        fn here() {}
        $crate::require::met($crate::require::around(here), &[$($need),+])
    }};
}

/// What a cluster of real pods needs, and what else is named.
#[macro_export]
macro_rules! needs_cluster {
    ($($need:expr),* $(,)?) => {
        $crate::needs![
            $crate::require::Need::Root,
            $($need,)*
            $crate::require::Need::Containerd,
            $crate::require::Need::Nat,
            $crate::require::Need::Veth,
            $crate::require::Need::Program("etcd"),
        ]
    };
}

/// Says that the test around it is skipped, and why.
#[macro_export]
macro_rules! skipped {
    ($($reason:tt)+) => {{
        fn here() {}
        $crate::require::skip($crate::require::around(here), &format!($($reason)+));
    }};
}

/// The name of the function in which `_here` is declared. Not the thread's name, which is `main` when tests run one
/// after another.
pub fn around<T>(_here: T) -> &'static str {
    let path = std::any::type_name::<T>();
    let path = path
        .strip_suffix("::here")
        .unwrap_or(path)
        .trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_crate, name)| name)
}

/// The work of [`needs!`].
pub fn met(test: &str, needs: &[Need]) -> bool {
    let Some(reason) = needs.iter().find_map(|need| lacking(*need)) else {
        return true;
    };
    skip(test, &reason);
    false
}

/// The work of [`skipped!`].
pub fn skip(test: &str, reason: &str) {
    // Written past the test runner's capture, which keeps what a passing test prints to itself; with a line end
    // before it, because the runner may have begun a line; at once, because other tests write too.
    let line = format!("\nSKIPPED: {test}: {reason}\n");
    drop(io::stderr().write_all(line.as_bytes()));
}

/// Why the machine does not have it; none where it has.
pub fn lacking(need: Need) -> Option<String> {
    match need {
        Need::Root => (!geteuid().is_root()).then(|| "needs root".to_owned()),
        Need::Bpf => lacking_bpf(),
        Need::Program(name) => binaries::find(name)
            .is_none()
            .then(|| format!("needs {name}, which is not installed")),
        Need::Cgroup => crate::scratch::cgroup_root()
            .is_none()
            .then(|| "needs a unified cgroup hierarchy".to_owned()),
        Need::Veth => make_veth()
            .err()
            .map(|error| format!("needs virtual Ethernet devices: {error:#}")),
        Need::Containerd => lacking_containerd(),
        Need::Nat => translate()
            .err()
            .map(|error| format!("needs iptables with address translation: {error:#}")),
        Need::TwoProcessors => {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            (processors < 2).then(|| "needs two processors".to_owned())
        }
    }
}

fn make_veth() -> Result<()> {
    Netns::new()?.connect("probe0", &Netns::new()?, "probe1")
}

fn lacking_containerd() -> Option<String> {
    let programs = ["containerd", "ctr", "runc", "busybox", "sha256sum", "tar"];
    if let Some(missing) = programs.into_iter().find(|name| binaries::find(name).is_none()) {
        return Some(format!("needs {missing}, which is not installed"));
    }
    if let Some(plugin) = crate::containerd::missing_plugin() {
        return Some(format!("needs {}, which is not installed", plugin.display()));
    }
    let Some(root) = crate::scratch::cgroup_root() else {
        return Some("needs a unified cgroup hierarchy".to_owned());
    };
    // The root has no such file; any cgroup below it shows whether this kernel makes them.
    let cgroup = crate::scratch::Cgroup::new("kill").ok()?;
    let kill = cgroup.path().join("cgroup.kill");
    (!kill.exists()).then(|| format!("needs cgroup.kill below {}: Linux 5.14 or later", root.display()))
}

fn translate() -> Result<()> {
    let rules = "*nat\n-A OUTPUT -p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.1:1\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n";
    Netns::new()?.translate(rules)
}

fn lacking_bpf() -> Option<String> {
    if !Path::new("/proc/sys/kernel/unprivileged_bpf_disabled").exists() {
        return Some("needs bpf(), which this kernel lacks".to_owned());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .unwrap_or_default();
    let effective = u64::from_str_radix(effective.trim(), 16).unwrap_or(0);
    (effective & BPF_CAPABILITIES == 0).then(|| "needs CAP_BPF or CAP_SYS_ADMIN".to_owned())
}
