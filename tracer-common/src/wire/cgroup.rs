//! The record of a cgroup directory that came or went.

use super::RecordHeader;
use crate::assert_layout;

/// Room for a cgroup path, with its NUL. A pod's container under the systemd driver takes about 200 bytes.
pub const CGROUP_PATH_LEN: usize = 256;

/// A cgroup directory was made or removed, in any hierarchy.
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
pub struct CgroupRecord {
    /// Kind `CGROUP_MADE` or `CGROUP_REMOVED`.
    pub header: RecordHeader,
    /// Inode of the directory, which in the v2 hierarchy is the cgroup id.
    pub cgroup_id: u64,
    /// Hierarchy: 0 for v2 (`cgrp->root->hierarchy_id` is 0 only there).
    pub hierarchy: u32,
    /// Explicit padding, zero.
    pub pad: u32,
    /// Path below the hierarchy's root, NUL-terminated, cut at the end when longer.
    pub path: [u8; CGROUP_PATH_LEN],
}
assert_layout!(CgroupRecord, size = 288, align = 8, {
    header: RecordHeader = 0, cgroup_id: u64 = 16, hierarchy: u32 = 24, pad: u32 = 28, path: [u8; CGROUP_PATH_LEN] = 32,
});
