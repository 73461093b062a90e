//! The record of a process that began a program or ended.

use super::{COMM_LEN, RecordHeader};
use crate::assert_layout;

/// Room for the path given to `execve`, with its NUL; longer paths are cut.
pub const FILENAME_LEN: usize = 128;

/// Room for the name of the file that runs, with its NUL; longer names are cut.
pub const FILE_NAME_LEN: usize = 64;

/// Room for `argv[0]`, with its NUL. Later arguments may hold secrets and never leave the process.
pub const ARG0_LEN: usize = 32;

/// A process called `execve`, or ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "user",
    derive(
        zerocopy::FromBytes,
        zerocopy::IntoBytes,
        zerocopy::KnownLayout,
        zerocopy::Immutable
    )
)]
pub struct ProcessRecord {
    /// Kind EXEC or EXIT.
    pub header: RecordHeader,
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// `CLOCK_BOOTTIME` nanoseconds when the process was forked; 0 when not readable.
    pub start_ns: u64,
    /// Thread group id.
    pub tgid: u32,
    /// Thread group id of the parent; 0 when not readable.
    pub parent_tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// Device of the file system that holds the file which runs (`s_dev`, as in /proc/PID/maps); 0 for EXIT or when
    /// not readable.
    pub exe_dev: u32,
    /// Name of the thread that called, which `execve` has just set.
    pub comm: [u8; COMM_LEN],
    /// Path given to `execve`, NUL-terminated; empty for EXIT.
    pub filename: [u8; FILENAME_LEN],
    /// `argv[0]`, NUL-terminated; empty for EXIT or when not readable.
    pub arg0: [u8; ARG0_LEN],
    /// Inode of the file that runs, of a script its interpreter's; 0 for EXIT or when not readable. With `exe_dev` it
    /// names the program, whatever path, link or descriptor it was called by.
    pub exe_inode: u64,
    /// Name of that file in its own directory, NUL-terminated, `memfd:NAME` for one in memory; empty for EXIT or when
    /// not readable.
    pub file_name: [u8; FILE_NAME_LEN],
}
assert_layout!(ProcessRecord, size = 296, align = 8, {
    header: RecordHeader = 0, cgroup_id: u64 = 16, start_ns: u64 = 24, tgid: u32 = 32, parent_tgid: u32 = 36,
    uid: u32 = 40, exe_dev: u32 = 44, comm: [u8; COMM_LEN] = 48, filename: [u8; FILENAME_LEN] = 64,
    arg0: [u8; ARG0_LEN] = 192, exe_inode: u64 = 224, file_name: [u8; FILE_NAME_LEN] = 232,
});
