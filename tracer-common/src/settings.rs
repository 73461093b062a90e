//! The read-only globals the loader writes: offsets of this kernel's structs, and switches.
//!
//! Read-only and frozen before the programs load, so the verifier sees constants and removes what is off.

use crate::assert_layout;

/// Name of the global in the object file.
pub const SETTINGS: &str = "SETTINGS";

/// An offset that this kernel does not have, or that could not be found.
pub const ABSENT: u32 = u32::MAX;

/// Offsets in bytes into this kernel's structs, and switches (0 or 1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `struct sock`: `skc_family`, u16.
    pub sk_family: u32,
    /// `struct sock`: `skc_rcv_saddr`, be32.
    pub sk_rcv_saddr: u32,
    /// `struct sock`: `skc_daddr`, be32.
    pub sk_daddr: u32,
    /// `struct sock`: `skc_v6_rcv_saddr`, 16 bytes; absent without IPv6.
    pub sk_v6_rcv_saddr: u32,
    /// `struct sock`: `skc_v6_daddr`, 16 bytes; absent without IPv6.
    pub sk_v6_daddr: u32,
    /// `struct sock`: `skc_dport`, be16.
    pub sk_dport: u32,
    /// `struct sock`: `skc_num`, u16 host order.
    pub sk_num: u32,
    /// `struct sock`: `skc_state`, u8.
    pub sk_state: u32,
    /// `struct sock`: `skc_net.net`, pointer.
    pub sk_net: u32,
    /// `struct sock`: `sk_protocol`.
    pub sk_protocol: u32,
    /// Width of `sk_protocol` in bytes: 2 since 5.6.
    pub sk_protocol_bytes: u32,
    /// `struct sock`: `sk_err`, int.
    pub sk_err: u32,
    /// `struct sock`: `sk_err_soft`, int: why a connect has not been answered yet.
    pub sk_err_soft: u32,
    /// `struct net`: `ns.inum`, u32.
    pub net_inum: u32,
    /// `struct socket`: `sk`, pointer.
    pub socket_sk: u32,
    /// `struct inet_sock`: `inet_sport`, be16; outlives `skc_num`.
    pub inet_sport: u32,
    /// `struct tcp_sock`: `bytes_sent`, u64.
    pub tcp_bytes_sent: u32,
    /// `struct tcp_sock`: `bytes_retrans`, u64.
    pub tcp_bytes_retrans: u32,
    /// `struct tcp_sock`: `bytes_received`, u64.
    pub tcp_bytes_received: u32,
    /// `struct tcp_sock`: `srtt_us`, u32, eight times the smoothed value.
    pub tcp_srtt_us: u32,
    /// `struct tcp_sock`: `total_retrans`, u32.
    pub tcp_total_retrans: u32,
    /// `struct task_struct`: `tgid`, int.
    pub task_tgid: u32,
    /// `struct task_struct`: `pid`, int.
    pub task_pid: u32,
    /// `struct task_struct`: `comm`, 16 bytes.
    pub task_comm: u32,
    /// `struct task_struct`: `start_boottime`, u64 nanoseconds.
    pub task_start_boottime: u32,
    /// `struct task_struct`: `real_parent`, pointer.
    pub task_real_parent: u32,
    /// `struct task_struct`: `cred`, pointer.
    pub task_cred: u32,
    /// `struct task_struct`: `cgroups`, pointer to `css_set`.
    pub task_cgroups: u32,
    /// `struct task_struct`: `signal`, pointer.
    pub task_signal: u32,
    /// `struct task_struct`: `mm`, pointer.
    pub task_mm: u32,
    /// `struct cred`: `uid.val`, u32.
    pub cred_uid: u32,
    /// `struct css_set`: `dfl_cgrp`, pointer.
    pub css_set_dfl_cgrp: u32,
    /// `struct cgroup`: `kn`, pointer.
    pub cgroup_kn: u32,
    /// `struct cgroup`: `root`, pointer.
    pub cgroup_root: u32,
    /// `struct cgroup_root`: `hierarchy_id`, int.
    pub cgroup_root_hierarchy_id: u32,
    /// `struct kernfs_node`: `id`, u64.
    pub kernfs_node_id: u32,
    /// `struct signal_struct`: `live.counter`, int.
    pub signal_live: u32,
    /// `struct mm_struct`: `arg_start`, unsigned long.
    pub mm_arg_start: u32,
    /// `struct linux_binprm`: `filename`, pointer.
    pub bprm_filename: u32,
    /// 1: the connect program has no other backend, so the state program takes the owner at `SYN_SENT`.
    pub owner_at_syn_sent: u32,
    /// Bytes in the ring at which the consumer is woken before its timer.
    pub wake_bytes: u32,
    /// Record of the classic tracepoint `sock/inet_sock_set_state`: `skaddr`, pointer.
    pub trace_skaddr: u32,
    /// The same record: `oldstate`, int.
    pub trace_oldstate: u32,
    /// The same record: `newstate`, int.
    pub trace_newstate: u32,
    /// The same record: `sport`, u16 host order.
    pub trace_sport: u32,
    /// The same record: `dport`, u16 host order.
    pub trace_dport: u32,
    /// The same record: `family`, u16.
    pub trace_family: u32,
    /// The same record: `protocol`.
    pub trace_protocol: u32,
    /// Width of `protocol` in bytes: 2 since 5.6.
    pub trace_protocol_bytes: u32,
    /// The same record: `saddr_v6`, 16 bytes; IPv4 is mapped there by the kernel.
    pub trace_saddr_v6: u32,
    /// The same record: `daddr_v6`, 16 bytes.
    pub trace_daddr_v6: u32,
}
assert_layout!(Settings, size = 204, align = 4, {
    sk_family: u32 = 0, sk_rcv_saddr: u32 = 4, sk_daddr: u32 = 8, sk_v6_rcv_saddr: u32 = 12,
    sk_v6_daddr: u32 = 16, sk_dport: u32 = 20, sk_num: u32 = 24, sk_state: u32 = 28, sk_net: u32 =
    32, sk_protocol: u32 = 36, sk_protocol_bytes: u32 = 40, sk_err: u32 = 44, sk_err_soft: u32 = 48,
    net_inum: u32 = 52, socket_sk: u32 = 56, inet_sport: u32 = 60, tcp_bytes_sent: u32 = 64,
    tcp_bytes_retrans: u32 = 68, tcp_bytes_received: u32 = 72, tcp_srtt_us: u32 = 76,
    tcp_total_retrans: u32 = 80, task_tgid: u32 = 84, task_pid: u32 = 88, task_comm: u32 = 92,
    task_start_boottime: u32 = 96, task_real_parent: u32 = 100, task_cred: u32 = 104, task_cgroups:
    u32 = 108, task_signal: u32 = 112, task_mm: u32 = 116, cred_uid: u32 = 120, css_set_dfl_cgrp:
    u32 = 124, cgroup_kn: u32 = 128, cgroup_root: u32 = 132, cgroup_root_hierarchy_id: u32 = 136,
    kernfs_node_id: u32 = 140, signal_live: u32 = 144, mm_arg_start: u32 = 148, bprm_filename: u32 =
    152, owner_at_syn_sent: u32 = 156, wake_bytes: u32 = 160, trace_skaddr: u32 = 164,
    trace_oldstate: u32 = 168, trace_newstate: u32 = 172, trace_sport: u32 = 176, trace_dport: u32 =
    180, trace_family: u32 = 184, trace_protocol: u32 = 188, trace_protocol_bytes: u32 = 192,
    trace_saddr_v6: u32 = 196, trace_daddr_v6: u32 = 200,
});

impl Settings {
    /// Every offset absent, every switch off: what the object file holds until the loader writes it.
    pub const UNSET: Self = Self {
        sk_family: ABSENT,
        sk_rcv_saddr: ABSENT,
        sk_daddr: ABSENT,
        sk_v6_rcv_saddr: ABSENT,
        sk_v6_daddr: ABSENT,
        sk_dport: ABSENT,
        sk_num: ABSENT,
        sk_state: ABSENT,
        sk_net: ABSENT,
        sk_protocol: ABSENT,
        sk_protocol_bytes: ABSENT,
        sk_err: ABSENT,
        sk_err_soft: ABSENT,
        net_inum: ABSENT,
        socket_sk: ABSENT,
        inet_sport: ABSENT,
        tcp_bytes_sent: ABSENT,
        tcp_bytes_retrans: ABSENT,
        tcp_bytes_received: ABSENT,
        tcp_srtt_us: ABSENT,
        tcp_total_retrans: ABSENT,
        task_tgid: ABSENT,
        task_pid: ABSENT,
        task_comm: ABSENT,
        task_start_boottime: ABSENT,
        task_real_parent: ABSENT,
        task_cred: ABSENT,
        task_cgroups: ABSENT,
        task_signal: ABSENT,
        task_mm: ABSENT,
        cred_uid: ABSENT,
        css_set_dfl_cgrp: ABSENT,
        cgroup_kn: ABSENT,
        cgroup_root: ABSENT,
        cgroup_root_hierarchy_id: ABSENT,
        kernfs_node_id: ABSENT,
        signal_live: ABSENT,
        mm_arg_start: ABSENT,
        bprm_filename: ABSENT,
        owner_at_syn_sent: 0,
        wake_bytes: ABSENT,
        trace_skaddr: ABSENT,
        trace_oldstate: ABSENT,
        trace_newstate: ABSENT,
        trace_sport: ABSENT,
        trace_dport: ABSENT,
        trace_family: ABSENT,
        trace_protocol: ABSENT,
        trace_protocol_bytes: ABSENT,
        trace_saddr_v6: ABSENT,
        trace_daddr_v6: ABSENT,
    };
}
