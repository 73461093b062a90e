//! The read-only globals the loader writes: offsets of this kernel's structs, and switches.
//!
//! Read-only and frozen before the programs load, so the verifier sees constants and removes what is off.

/// Name of the global in the object file.
pub const SETTINGS: &str = "SETTINGS";

/// An offset that this kernel does not have, or that could not be found.
pub const ABSENT: u32 = u32::MAX;

/// The struct and its unset value, from one list.
macro_rules! settings {
    ($($(#[$doc:meta])+ $name:ident = $unset:expr;)+) => {
        /// Offsets in bytes into this kernel's structs, and switches (0 or 1).
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Settings {
            $($(#[$doc])+ pub $name: u32,)+
        }

        impl Settings {
            /// Every offset absent, every switch off: what the object file holds until the loader writes it.
            pub const UNSET: Self = Self { $($name: $unset,)+ };
        }

        // Nothing but u32, and so no padding: the loader copies it as bytes.
        const _: () = assert!(size_of::<Settings>() == 4 * [$(stringify!($name)),+].len());
    };
}

settings! {
    /// `struct sock`: `skc_family`, u16.
    sk_family = ABSENT;
    /// `struct sock`: `skc_rcv_saddr`, be32.
    sk_rcv_saddr = ABSENT;
    /// `struct sock`: `skc_daddr`, be32.
    sk_daddr = ABSENT;
    /// `struct sock`: `skc_v6_rcv_saddr`, 16 bytes; absent without IPv6.
    sk_v6_rcv_saddr = ABSENT;
    /// `struct sock`: `skc_v6_daddr`, 16 bytes; absent without IPv6.
    sk_v6_daddr = ABSENT;
    /// `struct sock`: `skc_dport`, be16.
    sk_dport = ABSENT;
    /// `struct sock`: `skc_num`, u16 host order.
    sk_num = ABSENT;
    /// `struct sock`: `skc_state`, u8.
    sk_state = ABSENT;
    /// `struct sock`: `skc_net.net`, pointer.
    sk_net = ABSENT;
    /// `struct sock`: `sk_protocol`.
    sk_protocol = ABSENT;
    /// Width of `sk_protocol` in bytes: 2 since 5.6.
    sk_protocol_bytes = ABSENT;
    /// `struct sock`: `sk_err`, int.
    sk_err = ABSENT;
    /// `struct sock`: `sk_err_soft`, int: why a connect has not been answered yet.
    sk_err_soft = ABSENT;
    /// `struct sock`: `skc_flags`, unsigned long; bit `SOCK_DONE` is set by the peer's FIN.
    sk_flags = ABSENT;
    /// `struct sock`: `skc_bound_dev_if`, int: the device the socket is bound to.
    sk_bound_dev_if = ABSENT;
    /// `struct net`: `ns.inum`, u32.
    net_inum = ABSENT;
    /// `struct socket`: `sk`, pointer.
    socket_sk = ABSENT;
    /// `struct inet_sock`: `inet_sport`, be16; outlives `skc_num`.
    inet_sport = ABSENT;
    /// `struct inet_connection_sock`: `icsk_ulp_data`, pointer: of an MPTCP subflow its `mptcp_subflow_context`.
    icsk_ulp_data = ABSENT;
    /// `struct tcp_sock`: `bytes_sent`, u64.
    tcp_bytes_sent = ABSENT;
    /// `struct tcp_sock`: `bytes_retrans`, u64.
    tcp_bytes_retrans = ABSENT;
    /// `struct tcp_sock`: `bytes_received`, u64.
    tcp_bytes_received = ABSENT;
    /// `struct tcp_sock`: `srtt_us`, u32, eight times the smoothed value.
    tcp_srtt_us = ABSENT;
    /// `struct tcp_sock`: `total_retrans`, u32.
    tcp_total_retrans = ABSENT;
    /// `struct tcp_sock`: `bytes_acked`, u64; counts the own SYN.
    tcp_bytes_acked = ABSENT;
    /// `struct tcp_sock`: `segs_out`, u32.
    tcp_segs_out = ABSENT;
    /// `struct tcp_sock`: `snd_nxt`, u32.
    tcp_snd_nxt = ABSENT;
    /// `struct tcp_sock`: `snd_una`, u32.
    tcp_snd_una = ABSENT;
    /// `struct tcp_sock`: `is_mptcp`, bool; absent without MPTCP.
    tcp_is_mptcp = ABSENT;
    /// `struct mptcp_sock`: `conn_list`, list of `mptcp_subflow_context`; absent without MPTCP.
    mptcp_conn_list = ABSENT;
    /// `struct mptcp_sock`: `first`, pointer to the socket of its first subflow, which is the one that listens.
    mptcp_first = ABSENT;
    /// `struct mptcp_subflow_context`: `node`, its place in `conn_list`.
    mptcp_subflow_node = ABSENT;
    /// `struct mptcp_subflow_context`: `conn`, pointer to the MPTCP socket.
    mptcp_subflow_conn = ABSENT;
    /// `struct mptcp_subflow_context`: `tcp_sock`, pointer to the TCP socket.
    mptcp_subflow_tcp_sock = ABSENT;
    /// `struct task_struct`: `tgid`, int.
    task_tgid = ABSENT;
    /// `struct task_struct`: `pid`, int.
    task_pid = ABSENT;
    /// `struct task_struct`: `comm`, 16 bytes.
    task_comm = ABSENT;
    /// `struct task_struct`: `start_boottime`, u64 nanoseconds.
    task_start_boottime = ABSENT;
    /// `struct task_struct`: `real_parent`, pointer.
    task_real_parent = ABSENT;
    /// `struct task_struct`: `cred`, pointer.
    task_cred = ABSENT;
    /// `struct task_struct`: `cgroups`, pointer to `css_set`.
    task_cgroups = ABSENT;
    /// `struct task_struct`: `signal`, pointer.
    task_signal = ABSENT;
    /// `struct task_struct`: `mm`, pointer.
    task_mm = ABSENT;
    /// `struct cred`: `uid.val`, u32.
    cred_uid = ABSENT;
    /// `struct css_set`: `dfl_cgrp`, pointer.
    css_set_dfl_cgrp = ABSENT;
    /// `struct cgroup`: `kn`, pointer.
    cgroup_kn = ABSENT;
    /// `struct cgroup`: `root`, pointer.
    cgroup_root = ABSENT;
    /// `struct cgroup_root`: `hierarchy_id`, int.
    cgroup_root_hierarchy_id = ABSENT;
    /// `struct kernfs_node`: `id`, u64.
    kernfs_node_id = ABSENT;
    /// `struct signal_struct`: `live.counter`, int.
    signal_live = ABSENT;
    /// `struct mm_struct`: `arg_start`, unsigned long.
    mm_arg_start = ABSENT;
    /// `struct linux_binprm`: `filename`, pointer.
    bprm_filename = ABSENT;
    /// `struct linux_binprm`: `file`, pointer: what runs, of a script the interpreter.
    bprm_file = ABSENT;
    /// `struct file`: `f_inode`, pointer.
    file_inode = ABSENT;
    /// `struct file`: `f_path.dentry`, pointer.
    file_dentry = ABSENT;
    /// `struct inode`: `i_ino`, unsigned long.
    inode_ino = ABSENT;
    /// `struct inode`: `i_sb`, pointer.
    inode_sb = ABSENT;
    /// `struct super_block`: `s_dev`, u32.
    super_block_dev = ABSENT;
    /// `struct dentry`: `d_name.name`, pointer to text.
    dentry_name = ABSENT;
    /// 1: another program tells of connects that return an error.
    connect_result = 0;
    /// 1: a program of the root cgroup keeps connects that have not reached `SYN_SENT` yet.
    attempts = 0;
    /// 1: a program keeps the ICMP errors made on this machine.
    icmp_errors = 0;
    /// `struct sk_buff`: `head`, pointer.
    skb_head = ABSENT;
    /// `struct sk_buff`: `network_header`, u16.
    skb_network_header = ABSENT;
    /// Bytes in the ring at which the consumer is woken before its timer.
    wake_bytes = ABSENT;
    /// Record of the classic tracepoint `sock/inet_sock_set_state`: `skaddr`, pointer.
    trace_skaddr = ABSENT;
    /// The same record: `oldstate`, int.
    trace_oldstate = ABSENT;
    /// The same record: `newstate`, int.
    trace_newstate = ABSENT;
    /// The same record: `sport`, u16 host order.
    trace_sport = ABSENT;
    /// The same record: `dport`, u16 host order.
    trace_dport = ABSENT;
    /// The same record: `family`, u16.
    trace_family = ABSENT;
    /// The same record: `protocol`.
    trace_protocol = ABSENT;
    /// Width of `protocol` in bytes: 2 since 5.6.
    trace_protocol_bytes = ABSENT;
    /// The same record: `saddr_v6`, 16 bytes; IPv4 is mapped there by the kernel.
    trace_saddr_v6 = ABSENT;
    /// The same record: `daddr_v6`, 16 bytes.
    trace_daddr_v6 = ABSENT;
}
