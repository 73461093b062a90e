//! The one record of everything that happens to a TCP socket: owner, tuple, times, counters.

use super::{COMM_LEN, RecordHeader};
use crate::assert_layout;

/// How a socket came to its connection.
pub mod role {
    /// Not known: the socket is older than the tracer and its state does not tell.
    pub const UNKNOWN: u8 = 0;
    /// It called `connect`.
    pub const ACTIVE: u8 = 1;
    /// It was born from a listening socket.
    pub const PASSIVE: u8 = 2;
    /// It listens.
    pub const LISTENER: u8 = 3;
}

/// Bits of [`SocketRecord::flags`].
pub mod flag {
    /// `owner` was taken in the context of the owning task; without it `owner` is all zero.
    pub const OWNER: u8 = 1;
    /// The socket is older than the tracer, or its opening was missed: `first_seen_ns` is when it was found.
    pub const FOUND: u8 = 2;
    /// `sent_bytes` to `retransmits` were read; without it they are zero.
    pub const COUNTERS: u8 = 4;
    /// `error` was read; without it zero means unknown.
    pub const ERROR: u8 = 8;
    /// `owner` is who closed the socket: who accepted it, unless the socket was passed on.
    pub const CLOSER: u8 = 16;
}

/// The task behind a socket, taken only in its own context or from its own file table.
///
/// The task current at ESTABLISHED or CLOSE is whoever a soft interrupt found running, so it is never used.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(
        zerocopy::FromBytes,
        zerocopy::IntoBytes,
        zerocopy::KnownLayout,
        zerocopy::Immutable
    )
)]
pub struct Owner {
    /// cgroup v2 id: `bpf_get_current_cgroup_id`, the inode of the directory.
    pub cgroup_id: u64,
    /// Thread group id, which user space calls the pid; of the initial pid namespace.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Real user id, of the initial user namespace.
    pub uid: u32,
    /// Network namespace inode of the socket (not of the task).
    pub netns: u32,
    /// Name of the thread, NUL-terminated.
    pub comm: [u8; COMM_LEN],
}
assert_layout!(Owner, size = 40, align = 8, {
    cgroup_id: u64 = 0, tgid: u32 = 8, tid: u32 = 12, uid: u32 = 16, netns: u32 = 20, comm: [u8; COMM_LEN] = 24,
});

/// Something happened to a TCP socket. Self-contained, so that losing one record never corrupts another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(
        zerocopy::FromBytes,
        zerocopy::IntoBytes,
        zerocopy::KnownLayout,
        zerocopy::Immutable
    )
)]
pub struct SocketRecord {
    /// Kind OPENED to SEEN.
    pub header: RecordHeader,
    /// Address of the kernel's socket; with `first_seen_ns` it names the connection's local end.
    pub socket: u64,
    /// `CLOCK_BOOTTIME` nanoseconds when the tracer first saw the socket; 0 when it never had.
    pub first_seen_ns: u64,
    /// All zero but for `netns` without [`flag::OWNER`].
    pub owner: Owner,
    /// Network byte order, IPv4 as `::ffff:a.b.c.d`.
    pub local_addr: [u8; 16],
    /// Same encoding; all zero for a listening socket.
    pub remote_addr: [u8; 16],
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order; 0 for a listening socket.
    pub remote_port: u16,
    /// One of [`role`].
    pub role: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// State before, by the kernel's numbers (`TCP_ESTABLISHED` is 1); for SEEN the state now.
    pub state: u8,
    /// `sk_family`: 2 for `AF_INET`, 10 for `AF_INET6`.
    pub family: u8,
    /// `sk_err`, a positive errno; for FAILED without one `sk_err_soft`.
    pub error: u32,
    /// `srtt_us >> 3`, microseconds.
    pub rtt_us: u32,
    /// `bytes_sent - bytes_retrans`: payload put on the wire, each byte once.
    pub sent_bytes: u64,
    /// `bytes_received` without the peer's FIN: payload in order.
    pub received_bytes: u64,
    /// `total_retrans`, segments.
    pub retransmits: u32,
    /// File descriptor, for SEEN; else 0.
    pub fd: u32,
    /// `skc_bound_dev_if`: index, in its namespace, of the device the socket is bound to; 0 for none.
    pub ifindex: u32,
    /// Explicit padding, zero.
    pub pad: u32,
    /// Address of the MPTCP socket of which this one is a subflow; 0 for none.
    pub mptcp: u64,
}
assert_layout!(SocketRecord, size = 160, align = 8, {
    header: RecordHeader = 0, socket: u64 = 16, first_seen_ns: u64 = 24, owner: Owner = 32,
    local_addr: [u8; 16] = 72, remote_addr: [u8; 16] = 88, local_port: u16 = 104, remote_port: u16 = 106,
    role: u8 = 108, flags: u8 = 109, state: u8 = 110, family: u8 = 111, error: u32 = 112, rtt_us: u32 = 116,
    sent_bytes: u64 = 120, received_bytes: u64 = 128, retransmits: u32 = 136, fd: u32 = 140, ifindex: u32 = 144, pad: u32 = 148,
    mptcp: u64 = 152,
});
