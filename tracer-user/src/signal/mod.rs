//! The one door: everything that enters the pipeline from outside is a `Signal`.
//!
//! A recording is a sequence of signals, so replaying it reproduces any run exactly.
//!
//! To add an outside input: a variant here, its frame in `record/frame.rs`, its arm in `pipeline/mod.rs`.
#![forbid(unsafe_code)]

pub mod host;
pub mod inventory;
pub mod nat;
pub mod program;

use host::HostFacts;
use inventory::{Inventory, SourceState};
use nat::NatFacts;
use program::ProgramState;
use serde::{Deserialize, Serialize};
use tracer_common::counters::Counters;

/// One thing the outside world has to tell. Borrowed: a live signal costs no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal<'a> {
    /// The first signal of every run.
    Start(&'a Session),
    /// A record exactly as the kernel wrote it.
    Record(&'a [u8]),
    /// A snapshot of all sockets begins. Records of what happened before have already been sent.
    SnapshotBegin {
        /// `CLOCK_BOOTTIME` nanoseconds.
        at_ns: u64,
    },
    /// A socket the snapshot saw, as a `SocketRecord` of kind SEEN. One socket may come several times.
    Row(&'a [u8]),
    /// Sockets the kernel side still remembers though no file holds them (orphans, not yet accepted):
    /// pairs of address and first-seen time.
    Remembered(&'a [(u64, u64)]),
    /// The snapshot is over. Records of what happened before its end have already been sent.
    SnapshotEnd {
        /// `CLOCK_BOOTTIME` nanoseconds.
        at_ns: u64,
        /// False when it could not see every socket: nothing may be concluded from absence.
        complete: bool,
    },
    /// What /proc says of a process.
    Process(&'a ProcessFacts),
    /// A directory of the cgroup v2 tree that is older than the tracer.
    Cgroup {
        /// Its inode, which is its id.
        id: u64,
        /// Path below the tree's root.
        path: &'a str,
    },
    /// A source of names told something.
    Inventory(&'a Inventory),
    /// Something of the node's own network got a name, or lost it.
    Host(&'a HostFacts),
    /// A translated connection came or went.
    Nat(&'a NatFacts),
    /// A source of names began or ceased to work.
    Source(&'a SourceState),
    /// The kernel side's counters, summed over CPUs since the start.
    Counters(&'a Counters),
    /// Every program that there should be, as the kernel has it now.
    Programs(&'a [ProgramState]),
    /// Something does not work as well as it could.
    Degraded(&'a Degraded),
    /// A connection the tracer made to itself, to prove that the programs still see connections.
    Canary {
        /// The port it connected to, on 127.0.0.1 in the tracer's own namespace.
        port: u16,
        /// `CLOCK_BOOTTIME` nanoseconds when it was made.
        at_ns: u64,
    },
    /// The clock reached this instant; what waits for time may proceed.
    Tick {
        /// `CLOCK_BOOTTIME` nanoseconds.
        at_ns: u64,
    },
}

/// Facts about a run that do not change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Version of kcn-trace.
    pub version: String,
    /// Name of the host.
    pub hostname: String,
    /// `/proc/sys/kernel/random/boot_id`: makes pids and boot times unique.
    pub boot_id: String,
    /// Kernel release.
    pub kernel: String,
    /// Unix time minus `CLOCK_BOOTTIME`, nanoseconds, measured once at the start.
    pub wall_offset_ns: i64,
    /// `CLOCK_BOOTTIME` nanoseconds when all programs were attached.
    pub attached_ns: u64,
    /// Thread group id of the tracer, whose own connections are not shown.
    pub self_tgid: u32,
    /// Network namespace inode of the tracer.
    pub self_netns: u32,
    /// Network namespace inode of pid 1: the host.
    pub host_netns: u32,
    /// Names of network namespaces by inode, from /run/netns at the start.
    pub netns_names: Vec<(u32, String)>,
    /// Cgroup of pid 1, below the root of the whole hierarchy; absent where only a part of that can be seen. The container
    /// in it, if there is one, is this node.
    #[serde(default)]
    pub first_process_cgroup: Option<String>,
    /// Name of this node in its cluster; absent where it is in none, or nobody told.
    #[serde(default)]
    pub node: Option<String>,
    /// Which backend every program got.
    pub backends: Vec<Backend>,
    /// Size of the ring buffer in bytes.
    pub ring_bytes: u32,
    /// Room of the socket table, entries.
    pub sockets_max: u32,
}

/// The backend one program got, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// connect, accept, state, process or snapshot.
    pub program: String,
    /// As in DESIGN section 3: `fentry`, `kprobe`, `tp_btf`, ...; `none` when it has none.
    pub backend: String,
    /// Why not a better one; empty for the best.
    pub why: String,
}

/// What /proc says of a process, read once when it first matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Thread group id.
    pub tgid: u32,
    /// Thread group id of the parent; 0 when unknown.
    pub parent_tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// When it was forked, `CLOCK_BOOTTIME` nanoseconds, to 10 ms (`/proc/PID/stat` counts ticks).
    pub start_ns: u64,
    /// When /proc was read, `CLOCK_BOOTTIME` nanoseconds.
    pub read_ns: u64,
    /// Name of the group leader.
    pub comm: String,
    /// Target of /proc/PID/exe, without ` (deleted)`; absent for kernel threads and unreadable ones.
    pub exe: Option<String>,
    /// `argv[0]`, a subcommand if the component rules know one, and flags on the list of harmless ones.
    /// Never the whole command line: it may hold secrets.
    pub args: Vec<String>,
    /// The most telling line of /proc/PID/cgroup: the v2 path if it says anything.
    pub cgroup: Option<String>,
    /// Network namespace inode of the process.
    pub netns: Option<u32>,
    /// Who logged in, whatever `sudo` and `su` made of the user id since; absent for daemons.
    #[serde(default)]
    pub login: Option<Login>,
    /// It has a controlling terminal: somebody may sit at it.
    #[serde(default)]
    pub terminal: bool,
}

/// The login session a process belongs to, from the kernel's audit fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// `/proc/PID/loginuid`: who logged in.
    pub uid: u32,
    /// Name of that user on this node; absent when it has none.
    pub name: Option<String>,
    /// `/proc/PID/sessionid`; absent when there is none.
    pub session: Option<u32>,
}

/// Something that does not work as well as it could, shown in every output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Degraded {
    /// What is missing, as a user would say it.
    pub what: String,
    /// The cause.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}
