//! What a choice, or a fact, costs the user, in the user's words.
#![forbid(unsafe_code)]

use super::{Accept, Failure, Plan, Process, Snapshot, State};
use crate::{
    loader::features::{Capability, Fact, Facts},
    signal::Degraded,
};

const BTF_REMEDY: &str = "use a kernel with CONFIG_DEBUG_INFO_BTF; distributions have it since about 2020";

pub(super) fn list(plan: &Plan, facts: &Facts) -> Vec<Degraded> {
    let mut out = Vec::new();
    let mut add = |what: &str, why: &str, remedy: &str| {
        out.push(Degraded {
            what: what.into(),
            why: why.into(),
            remedy: remedy.into(),
        });
    };
    if plan.state.backend == State::Tracepoint {
        add(
            "the end of a connection tells no bytes, round-trip time, retransmits or reason of failure; its network namespace is taken from the owner's process, or from who listens",
            &plan.state.why,
            BTF_REMEDY,
        );
    }
    if plan.accept.backend == Accept::Listener {
        add(
            "who accepted a connection is not seen; the owner of the listening socket is named instead",
            &plan.accept.why,
            "use a kernel with fentry or kprobes",
        );
    }
    if plan.accept.backend == Accept::Release {
        add(
            "who accepted a connection is seen when it is closed; until then the owner of the listening socket is named",
            &plan.accept.why,
            "use a kernel with fentry or kprobes",
        );
    }
    if let Some((what, remedy)) = of_failures(plan.failure.backend) {
        add(what, &plan.failure.why, remedy);
    }
    if plan.process.backend == Process::None {
        add(
            "processes that end at once may stay without a name",
            &plan.process.why,
            BTF_REMEDY,
        );
    }
    if plan.snapshot.backend == Snapshot::Procfs {
        add(
            "the list of all sockets is read from /proc: slower, and a socket that changes hands meanwhile may be missed",
            &plan.snapshot.why,
            "use a kernel from 5.11 on, with CONFIG_DEBUG_INFO_BTF",
        );
        if !facts.capabilities.has(Capability::SysAdmin) {
            add(
                "sockets of other network namespaces are not in the list of all sockets",
                "CAP_SYS_ADMIN is missing, which entering a namespace needs",
                "run as root, or grant CAP_SYS_ADMIN",
            );
        }
    }
    if let Fact::No(why) = &facts.initial_pid_ns {
        add(
            "processes are named only as far as the kernel names them: /proc shows other pids",
            why,
            "run in the host's pid namespace (hostPID: true, --pid=host)",
        );
    }
    if !facts.capabilities.has(Capability::SysPtrace) {
        add(
            "executables of other users' processes cannot be read",
            "CAP_SYS_PTRACE is missing",
            "run as root, or grant CAP_SYS_PTRACE",
        );
    }
    if facts.cgroup2.is_none() {
        add(
            "processes are not told apart by cgroup",
            "the cgroup v2 hierarchy is not mounted here",
            "mount it (mount -t cgroup2 none /sys/fs/cgroup/unified), or pass the host's /sys/fs/cgroup into the container",
        );
    }
    out
}

/// What is not told of connects that fail, and the remedy.
const fn of_failures(backend: Failure) -> Option<(&'static str, &'static str)> {
    match backend {
        Failure::Fexit | Failure::Kretprobe => None,
        Failure::Cgroup => Some((
            "connects that have no route are told when their socket is closed, without the reason; errors that ICMP \
             brings for IPv6 while a program connects are not seen",
            "use a kernel with fentry or kprobes",
        )),
        Failure::State => Some((
            "connects that have no route are not seen, nor errors that a program reads before it closes its socket",
            "use a kernel with fentry or kprobes, or from 5.9 on with cgroup v2 at its root",
        )),
    }
}
