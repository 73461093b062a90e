//! The per-CPU counters: what happened, and what could not be delivered, by reason.
//!
//! Summed over CPUs and never reset. What happened minus what was delivered is the exact loss.

use crate::assert_layout;

/// One CPU's counters; the values of every CPU add up.
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
pub struct Counters {
    /// Sockets that reached ESTABLISHED.
    pub opened: u64,
    /// Sockets taken by `accept`; stays 0 where the accept program has no backend.
    pub accepted: u64,
    /// Connects that failed.
    pub failed: u64,
    /// Established sockets that reached CLOSE.
    pub closed: u64,
    /// Sockets that entered LISTEN.
    pub listening: u64,
    /// Sockets that left LISTEN.
    pub unlistened: u64,
    /// Processes that called `execve`.
    pub exec: u64,
    /// Processes that ended.
    pub exit: u64,
    /// cgroup directories made or removed.
    pub cgroup: u64,
    /// Not delivered: socket records for which the ring had no room.
    pub lost_socket: u64,
    /// Not delivered: process or cgroup records for which the ring had no room.
    pub lost_process: u64,
    /// Delivered without an owner: the socket table was full when the owner was known.
    pub table_full: u64,
    /// Delivered without an owner: the active end's `connect` was not seen.
    pub no_owner: u64,
    /// Not delivered: the kernel refused to let a program read its memory.
    pub unreadable: u64,
    /// Not delivered: connects that may have failed at once, whose place another one needed.
    pub attempts_given_up: u64,
    /// Changes of TCP state that the kernel did not let the first program see, seen by its twin.
    pub healed_state: u64,
    /// The same of calls of `accept`.
    pub healed_accept: u64,
    /// The same of `execve`.
    pub healed_exec: u64,
    /// The same of threads that ended.
    pub healed_exit: u64,
    /// The same of cgroup directories that were made.
    pub healed_cgroup_mkdir: u64,
    /// The same of cgroup directories that were removed.
    pub healed_cgroup_rmdir: u64,
}
assert_layout!(Counters, size = 168, align = 8, {
    opened: u64 = 0, accepted: u64 = 8, failed: u64 = 16, closed: u64 = 24, listening: u64 = 32, unlistened: u64 = 40,
    exec: u64 = 48, exit: u64 = 56, cgroup: u64 = 64, lost_socket: u64 = 72, lost_process: u64 = 80,
    table_full: u64 = 88, no_owner: u64 = 96, unreadable: u64 = 104,
    attempts_given_up: u64 = 112,
    healed_state: u64 = 120, healed_accept: u64 = 128, healed_exec: u64 = 136, healed_exit: u64 = 144,
    healed_cgroup_mkdir: u64 = 152, healed_cgroup_rmdir: u64 = 160,
});

impl Counters {
    /// Adds another CPU's counters.
    pub const fn add(&mut self, other: &Self) {
        // Destructured so that a new counter cannot be forgotten here.
        let Self {
            opened,
            accepted,
            failed,
            closed,
            listening,
            unlistened,
            exec,
            exit,
            cgroup,
            lost_socket,
            lost_process,
            table_full,
            no_owner,
            unreadable,
            attempts_given_up,
            healed_state,
            healed_accept,
            healed_exec,
            healed_exit,
            healed_cgroup_mkdir,
            healed_cgroup_rmdir,
        } = other;
        self.opened = self.opened.wrapping_add(*opened);
        self.accepted = self.accepted.wrapping_add(*accepted);
        self.failed = self.failed.wrapping_add(*failed);
        self.closed = self.closed.wrapping_add(*closed);
        self.listening = self.listening.wrapping_add(*listening);
        self.unlistened = self.unlistened.wrapping_add(*unlistened);
        self.exec = self.exec.wrapping_add(*exec);
        self.exit = self.exit.wrapping_add(*exit);
        self.cgroup = self.cgroup.wrapping_add(*cgroup);
        self.lost_socket = self.lost_socket.wrapping_add(*lost_socket);
        self.lost_process = self.lost_process.wrapping_add(*lost_process);
        self.table_full = self.table_full.wrapping_add(*table_full);
        self.no_owner = self.no_owner.wrapping_add(*no_owner);
        self.unreadable = self.unreadable.wrapping_add(*unreadable);
        self.attempts_given_up = self.attempts_given_up.wrapping_add(*attempts_given_up);
        self.healed_state = self.healed_state.wrapping_add(*healed_state);
        self.healed_accept = self.healed_accept.wrapping_add(*healed_accept);
        self.healed_exec = self.healed_exec.wrapping_add(*healed_exec);
        self.healed_exit = self.healed_exit.wrapping_add(*healed_exit);
        self.healed_cgroup_mkdir = self.healed_cgroup_mkdir.wrapping_add(*healed_cgroup_mkdir);
        self.healed_cgroup_rmdir = self.healed_cgroup_rmdir.wrapping_add(*healed_cgroup_rmdir);
    }

    /// Runs of programs that the kernel skipped and that twins made up for.
    pub const fn healed(&self) -> u64 {
        self.healed_state
            .wrapping_add(self.healed_accept)
            .wrapping_add(self.healed_exec)
            .wrapping_add(self.healed_exit)
            .wrapping_add(self.healed_cgroup_mkdir)
            .wrapping_add(self.healed_cgroup_rmdir)
    }

    /// Records of any kind that did not reach user space.
    pub const fn lost(&self) -> u64 {
        self.lost_socket
            .wrapping_add(self.lost_process)
            .wrapping_add(self.unreadable)
            .wrapping_add(self.attempts_given_up)
    }
}
