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
    /// Name in the object.
    pub program: &'static str,
    /// How.
    pub hook: Hook,
    /// Kernel function, tracepoint, or type of iterator.
    pub hook_name: &'static str,
}

const fn probe(program: &'static str, hook: Hook, hook_name: &'static str) -> Probe {
    Probe {
        program,
        hook,
        hook_name,
    }
}

/// connect, by fentry.
pub const CONNECT_FENTRY: &[Probe] = &[probe("connect_fentry", Hook::Fentry, "tcp_connect")];
/// connect, by kprobe.
pub const CONNECT_KPROBE: &[Probe] = &[probe("connect_kprobe", Hook::Kprobe, "tcp_connect")];
/// accept, by fexit, where `inet_csk_accept` has two parameters.
pub const ACCEPT_FEXIT_2: &[Probe] = &[probe("accept_fexit_2", Hook::Fexit, "inet_csk_accept")];
/// accept, by fexit, where `inet_csk_accept` has four parameters.
pub const ACCEPT_FEXIT_4: &[Probe] = &[probe("accept_fexit_4", Hook::Fexit, "inet_csk_accept")];
/// accept, by kretprobe.
pub const ACCEPT_KRETPROBE: &[Probe] = &[probe("accept_kretprobe", Hook::Kprobe, "inet_csk_accept")];
/// state, by typed tracepoint.
pub const STATE_TP_BTF: &[Probe] = &[probe("state_tp_btf", Hook::TpBtf, "inet_sock_set_state")];
/// state, by raw tracepoint.
pub const STATE_RAW: &[Probe] = &[probe("state_raw", Hook::RawTracepoint, "inet_sock_set_state")];
/// state, by the classic tracepoint, for kernels without type information.
pub const STATE_TRACEPOINT: &[Probe] = &[probe("state_tracepoint", Hook::Tracepoint, "inet_sock_set_state")];
/// Until the first snapshot, beside state by typed tracepoint.
pub const CLOSING_TP_BTF: &[Probe] = &[probe("closing_tp_btf", Hook::TpBtf, "inet_sock_set_state")];
/// Until the first snapshot, beside state by raw tracepoint.
pub const CLOSING_RAW: &[Probe] = &[probe("closing_raw", Hook::RawTracepoint, "inet_sock_set_state")];
/// process, by typed tracepoints.
pub const PROCESS_TP_BTF: &[Probe] = &[
    probe("exec_tp_btf", Hook::TpBtf, "sched_process_exec"),
    probe("exit_tp_btf", Hook::TpBtf, "sched_process_exit"),
    probe("cgroup_mkdir_tp_btf", Hook::TpBtf, "cgroup_mkdir"),
    probe("cgroup_rmdir_tp_btf", Hook::TpBtf, "cgroup_rmdir"),
];
/// process, by raw tracepoints.
pub const PROCESS_RAW: &[Probe] = &[
    probe("exec_raw", Hook::RawTracepoint, "sched_process_exec"),
    probe("exit_raw", Hook::RawTracepoint, "sched_process_exit"),
    probe("cgroup_mkdir_raw", Hook::RawTracepoint, "cgroup_mkdir"),
    probe("cgroup_rmdir_raw", Hook::RawTracepoint, "cgroup_rmdir"),
];
/// snapshot, by iterator.
pub const SNAPSHOT_ITERATOR: &[Probe] = &[probe("snapshot_iter", Hook::Iterator, "task_file")];
/// accept, by who closes; also ends connects that failed at once.
pub const RELEASE: &[Probe] = &[probe("release_cgroup", Hook::Cgroup, "sock_release")];
/// Connects that return an error, by fexit.
pub const FAILURE_FEXIT: &[Probe] = &[
    probe("connect_v4_fexit", Hook::Fexit, "tcp_v4_connect"),
    probe("connect_v6_fexit", Hook::Fexit, "tcp_v6_connect"),
];
/// Connects that return an error, by kprobe and kretprobe.
pub const FAILURE_KRETPROBE: &[Probe] = &[
    probe("connect_v4_kretprobe", Hook::Kprobe, "tcp_v4_connect"),
    probe("connect_v6_kretprobe", Hook::Kprobe, "tcp_v6_connect"),
    probe("connect_v4_kprobe", Hook::Kprobe, "tcp_v4_connect"),
    probe("connect_v6_kprobe", Hook::Kprobe, "tcp_v6_connect"),
];
/// Connects that begin, by cgroup.
pub const FAILURE_CGROUP: &[Probe] = &[
    probe("connect4_cgroup", Hook::Cgroup, "connect4"),
    probe("connect6_cgroup", Hook::Cgroup, "connect6"),
];
/// Errors as they are read, by fentry, since 6.1.
pub const ERROR_READ_FENTRY: &[Probe] = &[probe("error_read_fentry", Hook::Fentry, "sk_getsockopt")];
/// The same before 6.1.
pub const ERROR_READ_SOCKET_FENTRY: &[Probe] =
    &[probe("error_read_socket_fentry", Hook::Fentry, "sock_getsockopt")];
/// Errors as they are read, by kprobe, since 6.1.
pub const ERROR_READ_KPROBE: &[Probe] = &[probe("error_read_kprobe", Hook::Kprobe, "sk_getsockopt")];
/// The same before 6.1.
pub const ERROR_READ_SOCKET_KPROBE: &[Probe] =
    &[probe("error_read_socket_kprobe", Hook::Kprobe, "sock_getsockopt")];
/// Errors that ICMP messages of this machine bring, by typed tracepoint.
pub const ICMP_TP_BTF: &[Probe] = &[probe("icmp_tp_btf", Hook::TpBtf, "icmp_send")];
