//! The table of programs: which program of the object goes to which hook.
//!
//! To add one: its file in `tracer-ebpf/src/probes`, its row here, its backend in `plan.rs`.
#![forbid(unsafe_code)]

/// How a program is hooked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Typed raw tracepoint.
    TpBtf,
    /// Raw tracepoint.
    RawTracepoint,
    /// Classic tracepoint, of the category `sock`.
    Tracepoint,
    /// Entry of a function.
    Fentry,
    /// Exit of a function.
    Fexit,
    /// Entry (or, by the program's kind, return) of a function, by breakpoint.
    Kprobe,
    /// Iterator, run at every snapshot.
    Iterator,
    /// A hook of the root of cgroup v2.
    Cgroup,
}

/// One program and its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// What it tells of.
    pub part: Part,
    /// It does what the kernel did not let the first program of its part do.
    pub twin: bool,
    /// Name in the object.
    pub program: &'static str,
    /// How.
    pub hook: Hook,
    /// Kernel function, tracepoint, or type of iterator.
    pub hook_name: &'static str,
}

/// What a program tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Who connects.
    Connect,
    /// Who accepts.
    Accept,
    /// Changes of TCP state.
    State,
    /// Owners of sockets that close during the start.
    Closing,
    /// Programs that begin.
    Exec,
    /// Threads that end.
    Exit,
    /// cgroups that are made.
    CgroupMkdir,
    /// cgroups that are removed.
    CgroupRmdir,
    /// All sockets at once.
    Snapshot,
    /// Who accepted, by who closes; ends of connects that failed at once.
    Release,
    /// Connects that return an error.
    Failure,
    /// Errors as programs read them.
    ErrorRead,
    /// Errors that ICMP messages of this machine bring.
    Icmp,
}

impl Part {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::State => "state",
            Self::Closing => "closing",
            Self::Exec => "exec",
            Self::Exit => "exit",
            Self::CgroupMkdir => "cgroup_mkdir",
            Self::CgroupRmdir => "cgroup_rmdir",
            Self::Snapshot => "snapshot",
            Self::Release => "release",
            Self::Failure => "failure",
            Self::ErrorRead => "error_read",
            Self::Icmp => "icmp",
        }
    }
}

const fn first(part: Part, program: &'static str, hook: Hook, hook_name: &'static str) -> Probe {
    Probe {
        part,
        twin: false,
        program,
        hook,
        hook_name,
    }
}

const fn twin(part: Part, program: &'static str, hook: Hook, hook_name: &'static str) -> Probe {
    Probe {
        twin: true,
        ..first(part, program, hook, hook_name)
    }
}

const STATE: &str = "inet_sock_set_state";
const ACCEPT: &str = "inet_csk_accept";

// A twin comes after its first program in the order in which the kernel calls them. Programs of a tracepoint are called in
// the order in which they were attached, those of a function in the opposite one.

/// connect, by fentry.
pub const CONNECT_FENTRY: &[Probe] = &[first(
    Part::Connect,
    "connect_fentry",
    Hook::Fentry,
    "tcp_connect",
)];
/// connect, by kprobe.
pub const CONNECT_KPROBE: &[Probe] = &[first(
    Part::Connect,
    "connect_kprobe",
    Hook::Kprobe,
    "tcp_connect",
)];
/// accept, by fexit, where `inet_csk_accept` has two parameters.
pub const ACCEPT_FEXIT_2: &[Probe] = &[
    twin(Part::Accept, "accept_twin_fexit_2", Hook::Fexit, ACCEPT),
    first(Part::Accept, "accept_fexit_2", Hook::Fexit, ACCEPT),
];
/// accept, by fexit, where `inet_csk_accept` has four parameters.
pub const ACCEPT_FEXIT_4: &[Probe] = &[
    twin(Part::Accept, "accept_twin_fexit_4", Hook::Fexit, ACCEPT),
    first(Part::Accept, "accept_fexit_4", Hook::Fexit, ACCEPT),
];
/// accept, by kretprobe.
pub const ACCEPT_KRETPROBE: &[Probe] = &[first(Part::Accept, "accept_kretprobe", Hook::Kprobe, ACCEPT)];
/// state, by typed tracepoint.
pub const STATE_TP_BTF: &[Probe] = &[
    first(Part::State, "state_tp_btf", Hook::TpBtf, STATE),
    twin(Part::State, "state_twin_tp_btf", Hook::TpBtf, STATE),
];
/// state, by raw tracepoint.
pub const STATE_RAW: &[Probe] = &[
    first(Part::State, "state_raw", Hook::RawTracepoint, STATE),
    twin(Part::State, "state_twin_raw", Hook::RawTracepoint, STATE),
];
/// state, by the classic tracepoint, for kernels without type information.
pub const STATE_TRACEPOINT: &[Probe] = &[first(Part::State, "state_tracepoint", Hook::Tracepoint, STATE)];
/// Until the first snapshot, beside state by typed tracepoint.
pub const CLOSING_TP_BTF: &[Probe] = &[first(Part::Closing, "closing_tp_btf", Hook::TpBtf, STATE)];
/// Until the first snapshot, beside state by raw tracepoint.
pub const CLOSING_RAW: &[Probe] = &[first(Part::Closing, "closing_raw", Hook::RawTracepoint, STATE)];
/// process, by typed tracepoints.
pub const PROCESS_TP_BTF: &[Probe] = &[
    first(Part::Exec, "exec_tp_btf", Hook::TpBtf, "sched_process_exec"),
    twin(Part::Exec, "exec_twin_tp_btf", Hook::TpBtf, "sched_process_exec"),
    first(Part::Exit, "exit_tp_btf", Hook::TpBtf, "sched_process_exit"),
    twin(Part::Exit, "exit_twin_tp_btf", Hook::TpBtf, "sched_process_exit"),
    first(
        Part::CgroupMkdir,
        "cgroup_mkdir_tp_btf",
        Hook::TpBtf,
        "cgroup_mkdir",
    ),
    twin(
        Part::CgroupMkdir,
        "cgroup_mkdir_twin_tp_btf",
        Hook::TpBtf,
        "cgroup_mkdir",
    ),
    first(
        Part::CgroupRmdir,
        "cgroup_rmdir_tp_btf",
        Hook::TpBtf,
        "cgroup_rmdir",
    ),
    twin(
        Part::CgroupRmdir,
        "cgroup_rmdir_twin_tp_btf",
        Hook::TpBtf,
        "cgroup_rmdir",
    ),
];
/// process, by raw tracepoints.
pub const PROCESS_RAW: &[Probe] = &[
    first(Part::Exec, "exec_raw", Hook::RawTracepoint, "sched_process_exec"),
    twin(
        Part::Exec,
        "exec_twin_raw",
        Hook::RawTracepoint,
        "sched_process_exec",
    ),
    first(Part::Exit, "exit_raw", Hook::RawTracepoint, "sched_process_exit"),
    twin(
        Part::Exit,
        "exit_twin_raw",
        Hook::RawTracepoint,
        "sched_process_exit",
    ),
    first(
        Part::CgroupMkdir,
        "cgroup_mkdir_raw",
        Hook::RawTracepoint,
        "cgroup_mkdir",
    ),
    twin(
        Part::CgroupMkdir,
        "cgroup_mkdir_twin_raw",
        Hook::RawTracepoint,
        "cgroup_mkdir",
    ),
    first(
        Part::CgroupRmdir,
        "cgroup_rmdir_raw",
        Hook::RawTracepoint,
        "cgroup_rmdir",
    ),
    twin(
        Part::CgroupRmdir,
        "cgroup_rmdir_twin_raw",
        Hook::RawTracepoint,
        "cgroup_rmdir",
    ),
];
/// snapshot, by iterator.
pub const SNAPSHOT_ITERATOR: &[Probe] = &[first(
    Part::Snapshot,
    "snapshot_iter",
    Hook::Iterator,
    "task_file",
)];
/// accept, by who closes; also ends connects that failed at once.
pub const RELEASE: &[Probe] = &[first(
    Part::Release,
    "release_cgroup",
    Hook::Cgroup,
    "sock_release",
)];
/// Connects that return an error, by fexit.
pub const FAILURE_FEXIT: &[Probe] = &[
    first(Part::Failure, "connect_v4_fexit", Hook::Fexit, "tcp_v4_connect"),
    first(Part::Failure, "connect_v6_fexit", Hook::Fexit, "tcp_v6_connect"),
];
/// Connects that return an error, by kprobe and kretprobe.
pub const FAILURE_KRETPROBE: &[Probe] = &[
    first(
        Part::Failure,
        "connect_v4_kretprobe",
        Hook::Kprobe,
        "tcp_v4_connect",
    ),
    first(
        Part::Failure,
        "connect_v6_kretprobe",
        Hook::Kprobe,
        "tcp_v6_connect",
    ),
    first(Part::Failure, "connect_v4_kprobe", Hook::Kprobe, "tcp_v4_connect"),
    first(Part::Failure, "connect_v6_kprobe", Hook::Kprobe, "tcp_v6_connect"),
];
/// Connects that begin, by cgroup.
pub const FAILURE_CGROUP: &[Probe] = &[
    first(Part::Failure, "connect4_cgroup", Hook::Cgroup, "connect4"),
    first(Part::Failure, "connect6_cgroup", Hook::Cgroup, "connect6"),
];
/// Errors as they are read, by fentry, since 6.1.
pub const ERROR_READ_FENTRY: &[Probe] = &[first(
    Part::ErrorRead,
    "error_read_fentry",
    Hook::Fentry,
    "sk_getsockopt",
)];
/// The same before 6.1.
pub const ERROR_READ_SOCKET_FENTRY: &[Probe] = &[first(
    Part::ErrorRead,
    "error_read_socket_fentry",
    Hook::Fentry,
    "sock_getsockopt",
)];
/// Errors as they are read, by kprobe, since 6.1.
pub const ERROR_READ_KPROBE: &[Probe] = &[first(
    Part::ErrorRead,
    "error_read_kprobe",
    Hook::Kprobe,
    "sk_getsockopt",
)];
/// The same before 6.1.
pub const ERROR_READ_SOCKET_KPROBE: &[Probe] = &[first(
    Part::ErrorRead,
    "error_read_socket_kprobe",
    Hook::Kprobe,
    "sock_getsockopt",
)];
/// Errors that ICMP messages of this machine bring, by typed tracepoint.
pub const ICMP_TP_BTF: &[Probe] = &[first(Part::Icmp, "icmp_tp_btf", Hook::TpBtf, "icmp_send")];
