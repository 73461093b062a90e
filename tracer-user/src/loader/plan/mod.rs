//! Facts about a kernel to one backend per program, with the reason for every one that is not the best. Pure.
//!
//! To add a backend: a variant, its condition in `choose.rs`, its row in the tests, its programs in `probes.rs`.
#![forbid(unsafe_code)]

mod choose;
mod degraded;
#[cfg(test)]
mod tests;

pub use choose::plan;

use crate::signal::{Backend, Degraded};

/// What the user asked for with `--probe`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probes {
    /// The best that works, program by program.
    #[default]
    Auto,
    /// fentry and fexit, with typed tracepoints.
    Fentry,
    /// kprobe and kretprobe, with raw tracepoints: what kernels without BPF trampolines use.
    Kprobe,
    /// Tracepoints alone.
    Tracepoint,
}

/// What the user asked for with `--snapshot`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Snapshots {
    /// The best that works.
    #[default]
    Auto,
    /// The iterator over open files.
    Iterator,
    /// `sock_diag` and /proc.
    Procfs,
}

/// Where the owner of the active end comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// fentry of `tcp_connect`.
    Fentry,
    /// kprobe of `tcp_connect`.
    Kprobe,
    /// The state program alone, at CLOSE to `SYN_SENT`; the others do it a second time.
    State,
}

/// Where the owner of the passive end comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// fexit of `inet_csk_accept` with four parameters, up to 6.9: the returned value is argument 4.
    Fexit4,
    /// fexit of `inet_csk_accept` with two parameters, since 6.10: the returned value is argument 2.
    Fexit2,
    /// kretprobe of `inet_csk_accept`.
    Kretprobe,
    /// Who closes the socket, told by the root of cgroup v2; until then the owner of the listening socket.
    Release,
    /// No program: the owner of the listening socket.
    Listener,
}

/// Where connects that fail before a SYN is sent come from, and errors that are read before a socket closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// fexit of `tcp_v4_connect` and `tcp_v6_connect`, and fentry of the function that reads errors.
    Fexit,
    /// kprobe and kretprobe of the same.
    Kretprobe,
    /// Programs of the root of cgroup v2: without errno. And where ICMP errors are made on this machine, for IPv4.
    Cgroup,
    /// The state program alone: without those that had no route.
    State,
}

/// Where changes of state come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Typed tracepoint `inet_sock_set_state`.
    TpBtf,
    /// Raw tracepoint `inet_sock_set_state`, with offsets from the type information.
    RawTracepoint,
    /// Classic tracepoint `sock/inet_sock_set_state`: a stable format, without counters or namespaces.
    Tracepoint,
}

/// Where beginnings and ends of processes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// Typed tracepoints.
    TpBtf,
    /// Raw tracepoints, with offsets from the type information.
    RawTracepoint,
    /// No program: /proc alone.
    None,
}

/// Where the list of all sockets comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// `iter/task_file` with `bpf_sock_from_file`.
    Iterator,
    /// `sock_diag` in every network namespace, joined with /proc.
    Procfs,
}

/// A backend's name in outputs, as in DESIGN section 3.
pub trait Named {
    /// The name.
    fn name(&self) -> &'static str;
}

impl Named for Connect {
    fn name(&self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::State => "state",
        }
    }
}

impl Named for Accept {
    fn name(&self) -> &'static str {
        match self {
            Self::Fexit4 | Self::Fexit2 => "fexit",
            Self::Kretprobe => "kretprobe",
            Self::Release => "release",
            Self::Listener => "listener",
        }
    }
}

impl Named for Failure {
    fn name(&self) -> &'static str {
        match self {
            Self::Fexit => "fexit",
            Self::Kretprobe => "kretprobe",
            Self::Cgroup => "cgroup",
            Self::State => "state",
        }
    }
}

impl Named for State {
    fn name(&self) -> &'static str {
        match self {
            Self::TpBtf => "tp_btf",
            Self::RawTracepoint => "raw_tracepoint",
            Self::Tracepoint => "tracepoint",
        }
    }
}

impl Named for Process {
    fn name(&self) -> &'static str {
        match self {
            Self::TpBtf => "tp_btf",
            Self::RawTracepoint => "raw_tracepoint",
            Self::None => "none",
        }
    }
}

impl Named for Snapshot {
    fn name(&self) -> &'static str {
        match self {
            Self::Iterator => "iterator",
            Self::Procfs => "procfs",
        }
    }
}

/// A backend, and why it is not a better one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<B> {
    /// The backend.
    pub backend: B,
    /// Empty for the best.
    pub why: String,
}

/// One backend per program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Owner of the active end.
    pub connect: Choice<Connect>,
    /// Owner of the passive end.
    pub accept: Choice<Accept>,
    /// Connects that fail at once.
    pub failure: Choice<Failure>,
    /// Changes of state.
    pub state: Choice<State>,
    /// Processes and cgroups.
    pub process: Choice<Process>,
    /// All sockets at once.
    pub snapshot: Choice<Snapshot>,
    /// What will not work as well as it could.
    pub degraded: Vec<Degraded>,
}

impl Plan {
    /// The choices as a session shows them.
    pub fn backends(&self) -> Vec<Backend> {
        fn shown<B: Named>(program: &str, choice: &Choice<B>) -> Backend {
            let Choice { backend, why } = choice;
            Backend {
                program: program.to_owned(),
                backend: backend.name().to_owned(),
                why: why.clone(),
            }
        }
        vec![
            shown("connect", &self.connect),
            shown("accept", &self.accept),
            shown("failure", &self.failure),
            shown("state", &self.state),
            shown("process", &self.process),
            shown("snapshot", &self.snapshot),
        ]
    }
}

/// Why nothing can be observed, or not as asked. Exit code 4.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No program can be loaded at all.
    #[error("this kernel does not let kcn-trace load programs: {why}")]
    Bpf {
        /// Why, with the remedy.
        why: String,
    },
    /// Not even the classic tracepoint can be used.
    #[error(
        "changes of TCP state cannot be observed: {why}, and tracefs is not mounted for the classic tracepoint; \
         mount it with `mount -t tracefs tracefs /sys/kernel/tracing`"
    )]
    State {
        /// Why not the better backends.
        why: String,
    },
    /// A forced choice cannot work.
    #[error(
        "{option} cannot work here, {program} has no {backend}: {why}; leave {option} out to use what works"
    )]
    Forced {
        /// The option and its value.
        option: &'static str,
        /// Program.
        program: &'static str,
        /// Backend it would need.
        backend: &'static str,
        /// Why it cannot have it.
        why: String,
    },
}
