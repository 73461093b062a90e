//! Opens the kernel: facts, trials, plan, offsets, attached programs; or says why nothing can be observed.

use std::{
    fs,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use aya::Btf as Types;
use rustix::{fs::stat, process::getpid};
use tracer_common::{maps::SUBFLOWS_MAX, wire::SocketRecord};

use super::{
    attach::{AttachError, Attached, Request},
    btf::{Btf, VMLINUX},
    features::{Facts, Getsockopt, Roots, Trials, TypeFacts, mount_of, try_bpf},
    offsets::{self, OffsetError},
    plan::{Accept, Connect, Failure, Plan, PlanError, Probes, Process, Snapshot, Snapshots, State, plan},
    probes,
    sockdiag::{self, SockDiagError, Unheld},
    sys,
    table_size::{self, TableSize},
    tracepoint_format::{self, FormatError},
};
use crate::{
    clock,
    signal::{Degraded, Session},
};

/// Why nothing can be observed, or no longer. Exit code 4.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No choice of backends works here.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// This kernel's structs are not what the programs read.
    #[error(transparent)]
    Offsets(#[from] OffsetError),
    /// The classic tracepoint's record is not what the program reads.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A map or program was refused, or cannot be read any more.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The list of all sockets cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SockDiagError),
    /// Waiting for records failed.
    #[error("cannot wait for records: {0}")]
    Wait(#[source] std::io::Error),
}

/// What the user asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--probe`.
    pub probes: Probes,
    /// `--snapshot`.
    pub snapshots: Snapshots,
    /// `--btf`: where to read type information instead of the kernel's own; `Some(None)` for none.
    pub btf: Option<Option<PathBuf>>,
    /// `--ring-size`, bytes.
    pub ring_bytes: u32,
    /// `--max-sockets`, entries; absent for what fits the node.
    pub sockets_max: Option<u32>,
}

/// An opened kernel.
pub struct Opened {
    /// The programs.
    pub attached: Attached,
    /// Facts about the run.
    pub session: Session,
    /// What does not work as well as it could.
    pub degraded: Vec<Degraded>,
    /// /proc shows the same pids as the programs tell. Without that it would lend names to strangers, and lists of
    /// file tables are not of all processes.
    pub same_pids: bool,
    cgroup2: Option<PathBuf>,
    unheld: Unheld,
}

impl Opened {
    /// Appends one row for every socket to `rows`; says what could not be seen, and so nothing when it saw them all.
    ///
    /// # Errors
    /// When neither the iterator nor /proc can be read.
    pub fn snapshot(&mut self, rows: &mut Vec<u8>) -> Result<Vec<String>, LoadError> {
        let mut unseen = if self.attached.iterates() {
            let before = rows.len();
            let whole = self.attached.snapshot(rows)?;
            let deeper =
                format!("an MPTCP connection has more than {SUBFLOWS_MAX} subflows beside its first");
            let mut unseen: Vec<String> = (!whole).then_some(deeper).into_iter().collect();
            if self.unheld.is_wanted() {
                self.unheld.begin();
                let walked = rows.get(before..).unwrap_or_default();
                for row in walked.chunks_exact(size_of::<SocketRecord>()) {
                    self.unheld.note(row);
                }
                unseen.extend(self.unheld.list(Path::new("/proc"), clock::boot_ns(), rows)?);
            }
            unseen
        } else {
            let cgroup2 = self.cgroup2.as_deref();
            sockdiag::list(Path::new("/proc"), cgroup2, clock::boot_ns(), rows)?.problems
        };
        if !self.same_pids {
            unseen.push("file tables are only those of this pid namespace".to_owned());
        }
        Ok(unseen)
    }
}

/// What this kernel can do, and what would be chosen: all that `doctor` shows, without attaching anything.
pub struct Survey {
    /// Facts.
    pub facts: Facts,
    /// The choice, or why there is none.
    pub plan: Result<Plan, PlanError>,
    /// Size of the socket table.
    pub table: TableSize,
    btf: Option<Btf>,
}

/// Looks at the kernel.
pub fn survey(options: &Options) -> Survey {
    let btf = match &options.btf {
        Some(None) => Err("--btf none was given".to_owned()),
        Some(Some(path)) => Btf::read(path).map_err(|error| error.to_string()),
        None => Btf::read(Path::new(VMLINUX)).map_err(|error| error.to_string()),
    };
    let fentry_refused = btf.as_ref().ok().and_then(|btf| {
        let function = btf.function("tcp_connect")?;
        sys::try_fentry(function).err().map(|error| error.to_string())
    });
    let release_refused = try_release().err();
    let trials = Trials {
        bpf: try_bpf(),
        fentry_refused,
        release_refused,
    };
    let types = btf.as_ref().map(TypeFacts::of).map_err(String::clone);
    let roots = Roots::default();
    let facts = Facts::gather(&roots, &trials, types);
    let table = TableSize::choose(options.sockets_max, &table_size::Node::read(&roots.proc, &facts));
    let plan = plan(&facts, options.probes, options.snapshots);
    Survey {
        facts,
        plan,
        table,
        btf: btf.ok(),
    }
}

/// Inode of the root of a cgroup hierarchy.
const CGROUP_ROOT: u64 = 1;

/// Whether the root of cgroup v2 takes a program beside those that are there.
fn try_release() -> Result<(), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let path = mount_of(&mounts, "cgroup2").ok_or("the cgroup v2 hierarchy is not mounted")?;
    let refused = |error: std::io::Error| format!("{}: {error}", path.display());
    let cgroup = fs::File::open(&path).map_err(refused)?;
    if cgroup.metadata().map_err(refused)?.ino() != CGROUP_ROOT {
        return Err(format!("{} is not the root of cgroup v2", path.display()));
    }
    sys::try_release(cgroup.as_fd()).map_err(refused)
}

/// Attaches the best programs that `options` and the kernel allow.
///
/// # Errors
/// [`LoadError`]; nothing stays attached.
pub fn open(options: &Options) -> Result<Opened, LoadError> {
    let Survey {
        facts,
        plan,
        table,
        btf,
    } = survey(options);
    let plan = plan?;
    tracing::debug!(?facts, "kernel");
    for choice in plan.backends() {
        let (program, backend, why) = (&choice.program, &choice.backend, &choice.why);
        tracing::info!(program, backend, why, "chosen");
    }
    let mut settings = tracer_common::settings::Settings::UNSET;
    if let Some(btf) = &btf {
        settings = offsets::resolve(btf)?.settings;
    }
    if plan.state.backend == State::Tracepoint
        && let Some(tracefs) = &facts.tracefs
    {
        tracepoint_format::resolve(tracefs, &mut settings)?;
    }
    let told_by_functions = matches!(plan.failure.backend, Failure::Fexit | Failure::Kretprobe);
    settings.connect_result = u32::from(told_by_functions);
    settings.attempts = u32::from(plan.failure.backend == Failure::Cgroup);
    let icmp = facts.types.as_ref().is_some_and(|types| types.icmp_send);
    settings.icmp_errors = u32::from(icmp && plan.failure.backend == Failure::Cgroup);
    settings.wake_bytes = options.ring_bytes / 2;
    let types = match (&options.btf, &btf) {
        (_, None) => None,
        (Some(Some(path)), _) => Types::parse_file(path, aya::Endianness::default()).ok(),
        _ => Some(Types::from_sys_fs().map_err(AttachError::Btf)?),
    };
    let request = Request {
        probes: probes_of(&plan, Some(&facts)),
        cgroup: facts.cgroup2.clone(),
        settings,
        ring_bytes: options.ring_bytes,
        sockets_max: table.entries,
        counts_all_skips: facts.at_least((6, 7)),
    };
    let attached = Attached::new(&request, types.as_ref())?;
    let programs = request.probes.len();
    let (sockets, by) = (table.entries, &table.by);
    tracing::info!(programs, ring_bytes = options.ring_bytes, sockets, by, "attached");
    drop(types);
    drop(btf);
    sys::release_memory();
    let session = session(&facts, &plan, options.ring_bytes, table.entries);
    Ok(Opened {
        attached,
        session,
        degraded: plan.degraded,
        same_pids: !facts.initial_pid_ns.is_no(),
        cgroup2: facts.cgroup2,
        unheld: Unheld::default(),
    })
}

/// The programs of a plan, in the order of attaching. State after those that find owners: once it tells of a socket, its
/// owner can be told too. Closing before state for the same reason: an end that state saw opening has a caller when it
/// closes. What closing remembers of a socket that ends between the two is swept by [`Attached::started`].
fn probes_of(plan: &Plan, facts: Option<&Facts>) -> Vec<probes::Probe> {
    let connect: &[_] = match plan.connect.backend {
        Connect::Fentry => probes::CONNECT_FENTRY,
        Connect::Kprobe => probes::CONNECT_KPROBE,
        Connect::State => &[],
    };
    let accept: &[_] = match plan.accept.backend {
        Accept::Fexit2 => probes::ACCEPT_FEXIT_2,
        Accept::Fexit4 => probes::ACCEPT_FEXIT_4,
        Accept::Kretprobe => probes::ACCEPT_KRETPROBE,
        // Its program is among those below.
        Accept::Release | Accept::Listener => &[],
    };
    let release: &[_] = if plan.accept.backend == Accept::Release || plan.failure.backend == Failure::Cgroup {
        probes::RELEASE
    } else {
        &[]
    };
    let process: &[_] = match plan.process.backend {
        Process::TpBtf => probes::PROCESS_TP_BTF,
        Process::RawTracepoint => probes::PROCESS_RAW,
        Process::None => &[],
    };
    let (state, closing): (&[_], &[_]) = match plan.state.backend {
        State::TpBtf => (probes::STATE_TP_BTF, probes::CLOSING_TP_BTF),
        State::RawTracepoint => (probes::STATE_RAW, probes::CLOSING_RAW),
        State::Tracepoint => (probes::STATE_TRACEPOINT, &[]),
    };
    let snapshot: &[_] = match plan.snapshot.backend {
        Snapshot::Iterator => probes::SNAPSHOT_ITERATOR,
        Snapshot::Procfs => &[],
    };
    let failure = failure_probes(plan.failure.backend, facts);
    [
        process, connect, accept, release, &failure, closing, state, snapshot,
    ]
    .concat()
}

/// `sk_getsockopt` has two structs among its arguments, which take more registers than fentry has before.
const FENTRY_OF_MANY_REGISTERS: (u32, u32) = (6, 6);

/// The programs for connects that fail at once, as far as this kernel has what they hook into.
fn failure_probes(backend: Failure, facts: Option<&Facts>) -> Vec<probes::Probe> {
    let types = facts.and_then(|facts| facts.types.as_ref());
    let getsockopt = types.and_then(|types| types.getsockopt);
    let by_fentry = facts.is_some_and(|facts| facts.at_least(FENTRY_OF_MANY_REGISTERS));
    let by_kprobe = facts.is_some_and(|facts| !facts.kprobes.is_no());
    let (connects, errors): (&[_], &[_]) = match (backend, getsockopt) {
        (Failure::Fexit, Some(Getsockopt::Sk)) if by_fentry => {
            (probes::FAILURE_FEXIT, probes::ERROR_READ_FENTRY)
        }
        (Failure::Fexit, Some(Getsockopt::Sk)) if by_kprobe => {
            (probes::FAILURE_FEXIT, probes::ERROR_READ_KPROBE)
        }
        (Failure::Fexit, Some(Getsockopt::Socket)) => {
            (probes::FAILURE_FEXIT, probes::ERROR_READ_SOCKET_FENTRY)
        }
        (Failure::Fexit, Some(Getsockopt::Sk) | None) => (probes::FAILURE_FEXIT, &[]),
        (Failure::Kretprobe, Some(Getsockopt::Sk)) => (probes::FAILURE_KRETPROBE, probes::ERROR_READ_KPROBE),
        (Failure::Kretprobe, Some(Getsockopt::Socket)) => {
            (probes::FAILURE_KRETPROBE, probes::ERROR_READ_SOCKET_KPROBE)
        }
        (Failure::Kretprobe, None) => (probes::FAILURE_KRETPROBE, &[]),
        (Failure::Cgroup, _) if types.is_some_and(|types| types.icmp_send) => {
            (probes::FAILURE_CGROUP, probes::ICMP_TP_BTF)
        }
        (Failure::Cgroup, _) => (probes::FAILURE_CGROUP, &[]),
        (Failure::State, _) => (&[], &[]),
    };
    let ipv6 = types.is_some_and(|types| types.ipv6);
    let there = |probe: &&probes::Probe| ipv6 || probe.hook_name != "tcp_v6_connect";
    connects.iter().chain(errors).filter(there).copied().collect()
}

fn session(facts: &Facts, plan: &Plan, ring_bytes: u32, sockets_max: u32) -> Session {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let inode = |path: &str| {
        stat(path)
            .ok()
            .and_then(|stat| u32::try_from(stat.st_ino).ok())
            .unwrap_or_default()
    };
    Session {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: text("/proc/sys/kernel/hostname"),
        boot_id: text("/proc/sys/kernel/random/boot_id"),
        kernel: facts.release.clone(),
        wall_offset_ns: clock::wall_offset_ns(),
        attached_ns: clock::boot_ns(),
        self_tgid: getpid().as_raw_nonzero().get().cast_unsigned(),
        self_netns: inode("/proc/self/ns/net"),
        // pid 1 may be hidden: then the tracer's own namespace is what `host` means.
        host_netns: Some(inode("/proc/1/ns/net"))
            .filter(|netns| *netns != 0)
            .unwrap_or_else(|| inode("/proc/self/ns/net")),
        netns_names: Vec::new(),
        first_process_cgroup: None,
        node: None,
        backends: plan.backends(),
        ring_bytes,
        sockets_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::plan::Choice;

    #[test]
    fn what_finds_owners_is_in_force_before_what_tells_of_sockets() {
        fn best<B>(backend: B) -> Choice<B> {
            Choice {
                backend,
                why: String::new(),
            }
        }
        for (state, connect) in [
            (State::TpBtf, Connect::Fentry),
            (State::RawTracepoint, Connect::Kprobe),
        ] {
            let plan = Plan {
                connect: best(connect),
                accept: best(Accept::Kretprobe),
                failure: best(Failure::Kretprobe),
                state: best(state),
                process: best(Process::TpBtf),
                snapshot: best(Snapshot::Iterator),
                degraded: Vec::new(),
            };
            let programs: Vec<&str> = probes_of(&plan, None).iter().map(|probe| probe.program).collect();
            let at = |start: &str| programs.iter().position(|name| name.starts_with(start)).unwrap();
            for finder in ["exec_", "connect_", "accept_", "closing_"] {
                assert!(at(finder) < at("state_"), "{finder}: {programs:?}");
            }
        }
    }
}
