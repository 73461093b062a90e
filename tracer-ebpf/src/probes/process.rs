//! Processes and cgroups that come and go: who a pid was, even when it lived for two milliseconds.

use core::ptr;

use aya_ebpf::{
    helpers::{
        bpf_get_current_uid_gid, bpf_probe_read_kernel_str_bytes, bpf_probe_read_user_str_bytes,
        generated::bpf_get_current_cgroup_id,
    },
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use tracer_common::{
    settings::ABSENT,
    wire::{CgroupRecord, ProcessRecord, kind},
};

use crate::{
    emit::{count, deliver, header},
    kernel::{current_owner, current_task, now_ns, pointer, probe, setting},
    once::{First, event, first, ran},
};

/// An attach stub for each backend, of the program and of its twin; all pass the tracepoint's arguments on as they are.
/// An event is known by its task: each happens in the context of who causes it.
macro_rules! tracepoint {
    ($tracepoint:literal, $event:ident, $healed:ident, [$btf:ident, $raw:ident, $twin_btf:ident, $twin_raw:ident],
     $handler:ident($($arg:literal),+)) => {
        #[btf_tracepoint(function = $tracepoint)]
        fn $btf(ctx: BtfTracePointContext) -> i32 {
            ran(current_task(), event::$event);
            $handler($(ctx.arg($arg)),+);
            0
        }

        #[raw_tracepoint(tracepoint = $tracepoint)]
        fn $raw(ctx: RawTracePointContext) -> i32 {
            ran(current_task(), event::$event);
            $handler($(ctx.arg($arg)),+);
            0
        }

        #[btf_tracepoint(function = $tracepoint)]
        fn $twin_btf(ctx: BtfTracePointContext) -> i32 {
            if is_twin_needed!(event::$event, $healed) {
                $handler($(ctx.arg($arg)),+);
            }
            0
        }

        #[raw_tracepoint(tracepoint = $tracepoint)]
        fn $twin_raw(ctx: RawTracePointContext) -> i32 {
            if is_twin_needed!(event::$event, $healed) {
                $handler($(ctx.arg($arg)),+);
            }
            0
        }
    };
}

macro_rules! is_twin_needed {
    ($event:expr, $healed:ident) => {{
        let first = first(current_task(), $event);
        if first == First::Skipped {
            count!($healed);
        }
        first != First::Ran
    }};
}

tracepoint!(
    "sched_process_exec",
    EXEC,
    healed_exec,
    [exec_tp_btf, exec_raw, exec_twin_tp_btf, exec_twin_raw],
    executed(0, 2)
);
tracepoint!(
    "sched_process_exit",
    EXIT,
    healed_exit,
    [exit_tp_btf, exit_raw, exit_twin_tp_btf, exit_twin_raw],
    exited(0)
);
tracepoint!(
    "cgroup_mkdir",
    CGROUP_MADE,
    healed_cgroup_mkdir,
    [
        cgroup_mkdir_tp_btf,
        cgroup_mkdir_raw,
        cgroup_mkdir_twin_tp_btf,
        cgroup_mkdir_twin_raw
    ],
    cgroup_made(0, 1)
);
tracepoint!(
    "cgroup_rmdir",
    CGROUP_REMOVED,
    healed_cgroup_rmdir,
    [
        cgroup_rmdir_tp_btf,
        cgroup_rmdir_raw,
        cgroup_rmdir_twin_tp_btf,
        cgroup_rmdir_twin_raw
    ],
    cgroup_removed(0, 1)
);

/// `task` is the current task; its new memory map and credentials are in place.
#[inline(always)]
fn executed(task: *const u8, bprm: *const u8) {
    count!(exec);
    process(task, kind::EXEC, |record| {
        let filename = pointer(bprm, setting!(bprm_filename));
        let arg0: u64 = probe(pointer(task, setting!(task_mm)), setting!(mm_arg_start));
        let file = pointer(bprm, setting!(bprm_file));
        let inode = pointer(file, setting!(file_inode));
        let own_name = pointer(pointer(file, setting!(file_dentry)), setting!(dentry_name));
        // SAFETY: `record` is a whole record; a string that cannot be read stays empty.
        unsafe {
            let _unreadable_stays_empty = bpf_probe_read_kernel_str_bytes(filename, &mut (*record).filename);
            let _unreadable_stays_empty =
                bpf_probe_read_user_str_bytes(arg0 as *const u8, &mut (*record).arg0);
            (*record).exe_inode = probe(inode, setting!(inode_ino));
            (*record).exe_dev = probe(pointer(inode, setting!(inode_sb)), setting!(super_block_dev));
            let _unreadable_stays_empty = bpf_probe_read_kernel_str_bytes(own_name, &mut (*record).file_name);
        }
    });
}

/// Fires for every thread; the process ends with the last one.
#[inline(always)]
fn exited(task: *const u8) {
    let live: i32 = probe(pointer(task, setting!(task_signal)), setting!(signal_live));
    if live != 0 {
        return;
    }
    count!(exit);
    process(task, kind::EXIT, |_record| {});
}

#[inline(always)]
fn process(task: *const u8, kind: u8, more: impl FnOnce(*mut ProcessRecord)) {
    let owner = current_owner(0);
    let delivered = deliver::<ProcessRecord>(|record| {
        // SAFETY: `record` is a whole record in the ring; zeroed first, so that no old bytes leave.
        unsafe {
            ptr::write_bytes(record, 0, 1);
            (*record).header = header::<ProcessRecord>(kind, now_ns());
            (*record).cgroup_id = bpf_get_current_cgroup_id();
            (*record).start_ns = probe(task, setting!(task_start_boottime));
            (*record).tgid = owner.tgid;
            (*record).parent_tgid = probe(pointer(task, setting!(task_real_parent)), setting!(task_tgid));
            (*record).uid = bpf_get_current_uid_gid() as u32;
            (*record).comm = owner.comm;
        }
        more(record);
    });
    if !delivered {
        count!(lost_process);
    }
}

#[inline(always)]
fn cgroup_made(cgroup: *const u8, path: *const u8) {
    cgroup_changed(cgroup, path, kind::CGROUP_MADE);
}

#[inline(always)]
fn cgroup_removed(cgroup: *const u8, path: *const u8) {
    cgroup_changed(cgroup, path, kind::CGROUP_REMOVED);
}

#[inline(always)]
fn cgroup_changed(cgroup: *const u8, path: *const u8, kind: u8) {
    if setting!(cgroup_kn) == ABSENT {
        return;
    }
    count!(cgroup);
    let delivered = deliver::<CgroupRecord>(|record| {
        // SAFETY: as in `process`.
        unsafe {
            ptr::write_bytes(record, 0, 1);
            (*record).header = header::<CgroupRecord>(kind, now_ns());
            (*record).cgroup_id = probe(pointer(cgroup, setting!(cgroup_kn)), setting!(kernfs_node_id));
            (*record).hierarchy = probe(
                pointer(cgroup, setting!(cgroup_root)),
                setting!(cgroup_root_hierarchy_id),
            );
            let _unreadable_stays_empty = bpf_probe_read_kernel_str_bytes(path, &mut (*record).path);
        }
    });
    if !delivered {
        count!(lost_process);
    }
}
