//! Names, value types and default sizes of the maps.

use crate::{assert_layout, wire::Owner};

/// The ring buffer of records.
pub const RECORDS: &str = "RECORDS";
/// Per-CPU array of one [`Counters`](crate::counters::Counters).
pub const COUNTERS: &str = "COUNTERS";
/// Hash of socket address to [`SocketEntry`].
pub const SOCKETS: &str = "SOCKETS";

/// Default size of the ring buffer: 27,000 socket records, 170 ms of churn at 40,000 connections a second. Every byte counts
/// twice in resident memory, because the ring is mapped twice in a row.
pub const RING_BYTES: u32 = 4 << 20;

/// Default room of the socket table: one entry for every socket that listens, connects or is connected.
pub const SOCKETS_MAX: u32 = 1 << 17;

/// Array of one [`SnapshotPass`].
pub const PASS: &str = "PASS";

/// Subflows of an MPTCP connection that are followed beside the first. The kernel's own path manager makes at most 8.
pub const SUBFLOWS_MAX: u32 = 16;

/// One pass of the snapshot over all file tables.
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
pub struct SnapshotPass {
    /// 0 for all TCP sockets and the first subflow of each MPTCP socket; n for what is at the n-th place of its list, unless
    /// that is the first subflow again.
    pub subflow: u32,
    /// Set to 1 by a pass that has seen an MPTCP socket with further subflows.
    pub more: u32,
}
assert_layout!(SnapshotPass, size = 8, align = 4, { subflow: u32 = 0, more: u32 = 4 });

/// Connects that may be between their beginning and `SYN_SENT` at a time; a power of two.
pub const ATTEMPTS_MAX: u32 = 4096;

/// ICMP errors kept; a power of two. A socket closes within moments of the error that it read.
pub const ICMP_ERRORS_MAX: u32 = 1024;

/// What the kernel side remembers of a socket from its opening to its end.
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
pub struct SocketEntry {
    /// `CLOCK_BOOTTIME` nanoseconds; never 0.
    pub first_seen_ns: u64,
    /// All zero but for `netns` until known.
    pub owner: Owner,
    /// Kept because the kernel zeroes it before the final transition. Host byte order; 0 until known.
    pub local_port: u16,
    /// One of [`role`](crate::wire::role).
    pub role: u8,
    /// Bits of [`flag`](crate::wire::flag): OWNER and FOUND.
    pub flags: u8,
    /// The error that ended its connect, from the moment it was set: the program may read it, and so clear it, before
    /// the socket closes. A positive errno; 0 for none.
    pub error: u32,
}
assert_layout!(SocketEntry, size = 56, align = 8, {
    first_seen_ns: u64 = 0, owner: Owner = 8, local_port: u16 = 48, role: u8 = 50, flags: u8 = 51, error: u32 = 52,
});
