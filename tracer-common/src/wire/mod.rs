//! Records as they cross from the kernel: the common header, the kinds, the wire version.

mod cgroup;
mod process;
mod socket;

pub use cgroup::{CGROUP_PATH_LEN, CgroupRecord};
pub use process::{ARG0_LEN, FILE_NAME_LEN, FILENAME_LEN, ProcessRecord};
pub use socket::{Owner, SocketRecord, flag, role};

use crate::assert_layout;

/// Version of every layout in this module; a recording of another version is refused.
pub const WIRE_VERSION: u8 = 2;

/// Length of a task's `comm`, with its terminating NUL (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;

/// What a record tells. The numbers are part of recordings: they are never reused.
pub mod kind {
    /// A socket reached ESTABLISHED, by `connect` or from a listening socket. [`SocketRecord`](super::SocketRecord).
    pub const OPENED: u8 = 1;
    /// A task took an established socket from a listening socket's queue. [`SocketRecord`](super::SocketRecord).
    pub const ACCEPTED: u8 = 2;
    /// A `connect` ended without reaching ESTABLISHED. [`SocketRecord`](super::SocketRecord).
    pub const FAILED: u8 = 3;
    /// A socket that had been established reached CLOSE. [`SocketRecord`](super::SocketRecord).
    pub const CLOSED: u8 = 4;
    /// A socket entered LISTEN. [`SocketRecord`](super::SocketRecord).
    pub const LISTENING: u8 = 5;
    /// A socket left LISTEN. [`SocketRecord`](super::SocketRecord).
    pub const UNLISTENED: u8 = 6;
    /// A socket that exists, seen by a snapshot. [`SocketRecord`](super::SocketRecord).
    pub const SEEN: u8 = 7;
    /// A task called `execve` with success. [`ProcessRecord`](super::ProcessRecord).
    pub const EXEC: u8 = 16;
    /// The last thread of a process ended. [`ProcessRecord`](super::ProcessRecord).
    pub const EXIT: u8 = 17;
    /// A cgroup directory was made. [`CgroupRecord`](super::CgroupRecord).
    pub const CGROUP_MADE: u8 = 24;
    /// A cgroup directory was removed. [`CgroupRecord`](super::CgroupRecord).
    pub const CGROUP_REMOVED: u8 = 25;
}

/// The first 16 bytes of every record.
///
/// `kind` is an integer, not an enum: the writer may be newer than the reader.
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
pub struct RecordHeader {
    /// One of [`kind`].
    pub kind: u8,
    /// [`WIRE_VERSION`] of the writer.
    pub version: u8,
    /// Length of the record in bytes, header included.
    pub len: u16,
    /// Explicit padding, zero.
    pub pad: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub at_ns: u64,
}
assert_layout!(RecordHeader, size = 16, align = 8, {
    kind: u8 = 0, version: u8 = 1, len: u16 = 2, pad: u32 = 4, at_ns: u64 = 8,
});
