//! Facts about this kernel and about what this process may do, each with its reason. No decisions: see `plan`.
//!
//! The roots of /proc and /sys are injected, and what must be tried is tried by others ([`Trials`]).
#![forbid(unsafe_code)]

mod capabilities;
mod refusal;
#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use capabilities::{Capabilities, Capability};
pub use refusal::{BpfTrial, try_bpf};

use super::btf::Btf;

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It is so.
    Yes,
    /// It is not, because.
    No(String),
    /// It could not be found out, because.
    Unknown(String),
}

impl Fact {
    /// Whether it is certainly so.
    pub const fn is_yes(&self) -> bool {
        matches!(self, Self::Yes)
    }

    /// Whether it is certainly not so.
    pub const fn is_no(&self) -> bool {
        matches!(self, Self::No(_))
    }

    /// Why not, or why unknown; empty for yes.
    pub const fn why(&self) -> &str {
        match self {
            Self::Yes => "",
            Self::No(why) | Self::Unknown(why) => why.as_str(),
        }
    }
}

/// Where the kernel shows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
        }
    }
}

/// What only an attempt can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trials {
    /// Loading the smallest program.
    pub bpf: BpfTrial,
    /// Why the kernel refused a fentry program that does nothing; `None` when it took it.
    pub fentry_refused: Option<String>,
    /// Why a program that does nothing could not be attached to the root of cgroup v2, where released sockets are told
    /// (since 5.9); `None` when it could.
    pub release_refused: Option<String>,
}

/// What the kernel's type information tells about its abilities.
#[expect(clippy::struct_excessive_bools, reason = "facts, each for itself")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeFacts {
    /// Parameters of `tcp_connect`; absent when there is no such function.
    pub connect_parameters: Option<usize>,
    /// Parameters of `inet_csk_accept`: 4 up to 6.9, 2 since 6.10; absent when there is no such function.
    pub accept_parameters: Option<usize>,
    /// Tracepoints have types: since 5.5.
    pub typed_tracepoints: bool,
    /// Iterators over open files with `bpf_sock_from_file`: since 5.11.
    pub socket_iterator: bool,
    /// `tcp_v6_connect` is there; `tcp_v4_connect` always is.
    pub ipv6: bool,
    /// The function through which a program reads its socket's error.
    pub getsockopt: Option<Getsockopt>,
    /// ICMP messages made here have a tracepoint: since 6.11.
    pub icmp_send: bool,
}

/// The function behind `getsockopt(SOL_SOCKET)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Getsockopt {
    /// `sk_getsockopt(sk, ..)`, since 6.1.
    Sk,
    /// `sock_getsockopt(socket, ..)`.
    Socket,
}

impl TypeFacts {
    /// Reads them from `btf`. Asked of the types, not of the version: distributions port features back.
    pub fn of(btf: &Btf) -> Self {
        Self {
            connect_parameters: btf.parameters("tcp_connect"),
            accept_parameters: btf.parameters("inet_csk_accept"),
            typed_tracepoints: btf.has_typedef("btf_trace_inet_sock_set_state"),
            socket_iterator: btf.function("bpf_iter_task_file").is_some()
                && btf.function("bpf_sock_from_file").is_some(),
            ipv6: btf.function("tcp_v6_connect").is_some(),
            getsockopt: if btf.function("sk_getsockopt").is_some() {
                Some(Getsockopt::Sk)
            } else {
                btf.function("sock_getsockopt").map(|_number| Getsockopt::Socket)
            },
            icmp_send: btf.has_typedef("btf_trace_icmp_send"),
        }
    }
}

/// Everything the plan and `doctor` want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Kernel release, as `uname -r` prints it.
    pub release: String,
    /// Its first two numbers.
    pub version: Option<(u32, u32)>,
    /// The kernel shows its type information, and it could be read.
    pub btf: Fact,
    /// What it tells; `None` without it.
    pub types: Option<TypeFacts>,
    /// kprobes can be made.
    pub kprobes: Fact,
    /// Why fentry was refused; `None` when it works.
    pub fentry_refused: Option<String>,
    /// Why released sockets are not told by the root of cgroup v2; `None` when they are.
    pub release_refused: Option<String>,
    /// Where tracefs is mounted, in one of the places in which aya looks for it.
    pub tracefs: Option<PathBuf>,
    /// Programs can be loaded.
    pub bpf: Fact,
    /// What this process may do.
    pub capabilities: Capabilities,
    /// This process sees the pids that the programs report.
    pub initial_pid_ns: Fact,
    /// Where the cgroup v2 hierarchy is mounted.
    pub cgroup2: Option<PathBuf>,
    /// Enough memory may be locked for the maps.
    pub memlock: Fact,
}

/// Inode of the initial pid namespace: `PROC_PID_INIT_INO`, fixed since Linux 3.8.
const INITIAL_PID_NS: u64 = 0xefff_fffc;

/// What the maps of the default sizes take, and some room.
const MEMLOCK_WANTED: u64 = 64 << 20;

impl Facts {
    /// Gathers them. `types` is what was read of the kernel's type information, or why it was not.
    pub fn gather(roots: &Roots, trials: &Trials, types: Result<TypeFacts, String>) -> Self {
        let release = read(&roots.proc, "sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .to_owned();
        let version = version(&release);
        let status = read(&roots.proc, "self/status").unwrap_or_default();
        let capabilities = Capabilities::from_status(&status);
        let memlock = memlock(
            &read(&roots.proc, "self/limits").unwrap_or_default(),
            version,
            capabilities,
        );
        let mounts = read(&roots.proc, "self/mounts").unwrap_or_default();
        let context = refusal::Context {
            capabilities,
            seccomp_filter: field(&status, "Seccomp").is_some_and(|mode| mode == "2"),
            user_ns: read(&roots.proc, "self/uid_map").is_some_and(|map| !is_identity(&map)),
            lockdown: lockdown(roots),
            memlock: memlock.clone(),
        };
        let (btf, types) = match types {
            Ok(types) => (Fact::Yes, Some(types)),
            Err(why) => (Fact::No(why), None),
        };
        Self {
            btf,
            types,
            kprobes: kprobes(roots, context.lockdown),
            fentry_refused: trials.fentry_refused.clone(),
            release_refused: trials.release_refused.clone(),
            tracefs: tracefs(roots),
            bpf: refusal::explain(trials.bpf, &context),
            capabilities,
            initial_pid_ns: initial_pid_ns(roots),
            cgroup2: mount_of(&mounts, "cgroup2"),
            memlock,
            release,
            version,
        }
    }

    /// Whether the kernel is certainly as new as `wanted`.
    pub fn at_least(&self, wanted: (u32, u32)) -> bool {
        self.version.is_some_and(|version| version >= wanted)
    }
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

/// The first two numbers of a release: `6.1` of `6.1.0-28-cloud-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((major.parse().ok()?, rest.get(..digits)?.parse().ok()?))
}

/// The value of `name` in a file of `name:<tab>value` lines.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// All user ids map to themselves: the initial user namespace, or one that makes no difference.
fn is_identity(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether the kernel's lockdown forbids reading its memory.
fn lockdown(roots: &Roots) -> bool {
    read(&roots.sys, "kernel/security/lockdown").is_some_and(|modes| modes.contains("[confidentiality]"))
}

fn kprobes(roots: &Roots, lockdown: bool) -> Fact {
    if lockdown {
        return Fact::No("the kernel is locked down for confidentiality".into());
    }
    let devices = roots.sys.join("bus/event_source/devices");
    if devices.join("kprobe/type").exists() {
        Fact::Yes
    } else if devices.exists() {
        Fact::No("the kernel was built without kprobe events (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS)".into())
    } else {
        Fact::Unknown(format!("{} cannot be seen: is sysfs mounted?", devices.display()))
    }
}

/// Looked at rather than searched among the mounts: a mount may be covered by another, and debugfs mounts it on the
/// first look.
fn tracefs(roots: &Roots) -> Option<PathBuf> {
    ["kernel/tracing", "kernel/debug/tracing"]
        .map(|place| roots.sys.join(place))
        .into_iter()
        .find(|place| place.join("events").is_dir())
}

/// The first mount point of a file system of type `kind`.
pub(super) fn mount_of(mounts: &str, kind: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (point, found) = (fields.nth(1)?, fields.next()?);
        (found == kind).then(|| unescape(point))
    })
}

/// Mount points have blanks and the like as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let byte = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(byte.map_or('\\', char::from));
        rest = if byte.is_some() {
            after.get(3..).unwrap_or_default()
        } else {
            after
        };
    }
    out.push_str(rest);
    out.into()
}

fn initial_pid_ns(roots: &Roots) -> Fact {
    let path = roots.proc.join("self/ns/pid");
    match fs::read_link(&path) {
        Ok(target) if target.to_string_lossy() == format!("pid:[{INITIAL_PID_NS}]") => Fact::Yes,
        Ok(_) => Fact::No("this process runs in a pid namespace of its own".into()),
        Err(error) => Fact::Unknown(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Since 5.11 the memory of maps counts against the cgroup, not against this limit.
fn memlock(limits: &str, version: Option<(u32, u32)>, capabilities: Capabilities) -> Fact {
    if version.is_some_and(|version| version >= (5, 11)) || capabilities.has(Capability::SysResource) {
        return Fact::Yes;
    }
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"));
    match line.and_then(|line| line.split_whitespace().next()) {
        Some("unlimited") => Fact::Yes,
        Some(soft) => match soft.parse::<u64>() {
            Ok(bytes) if bytes >= MEMLOCK_WANTED => Fact::Yes,
            Ok(bytes) => Fact::No(format!(
                "only {bytes} bytes of memory may be locked and {MEMLOCK_WANTED} are wanted (`ulimit -l unlimited`)"
            )),
            Err(_not_a_number) => Fact::Unknown("the limit of locked memory is not a number".into()),
        },
        None => Fact::Unknown("the limit of locked memory cannot be read".into()),
    }
}
