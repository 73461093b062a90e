//! Every TCP socket of every network namespace with its owner, state and counters, in one pass over all file tables.
//!
//! A file may be an MPTCP socket, as all listening sockets of programs built with Go 1.24 or later are: then its TCP
//! sockets are its subflows, and who holds the file owns them.
//!
//! A socket the programs have not seen yet is remembered here, so that its end carries its owner and the same
//! first-seen time: that is what joins a snapshot with the records around it.

use aya_ebpf::{
    helpers::generated::{bpf_seq_write, bpf_sock_from_file},
    macros::map,
    maps::{Array, PerCpuArray},
};
use tracer_common::{
    maps::{SUBFLOWS_MAX, SnapshotPass, SocketEntry},
    settings::ABSENT,
    wire::{Owner, SocketRecord, flag, kind, role},
};

use crate::{
    kernel::{Probed, TcpSock, is_mptcp, now_ns, pointer, probe, setting},
    socket::Socket,
    sockets::{adopt, entry, fill, forget, lookup, remember_new},
};

/// `struct bpf_iter__task_file`: every member is 8-byte aligned,
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/bpf/task_iter.c#L296>.
#[repr(C)]
pub(crate) struct TaskFile {
    meta: *const IterMeta,
    task: *const u8,
    fd: u64,
    file: *mut u8,
}

/// `struct bpf_iter_meta`.
#[repr(C)]
struct IterMeta {
    seq: *mut u8,
    session_id: u64,
    seq_num: u64,
}

/// Which subflow a pass shows; user space sets it before the pass.
#[map]
static PASS: Array<SnapshotPass> = Array::with_max_entries(1, 0);

/// The row in the making: the stack has 512 bytes. One snapshot runs at a time, and never moves to another CPU meanwhile.
#[map]
static ROW: PerCpuArray<SocketRecord> = PerCpuArray::with_max_entries(1, 0);

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const TCP_ESTABLISHED: u8 = 1;
const TCP_SYN_SENT: u8 = 2;
const TCP_CLOSE: u8 = 7;
const TCP_CLOSE_WAIT: u8 = 8;
const TCP_LISTEN: u8 = 10;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub(crate) extern "C" fn snapshot_iter(ctx: *const TaskFile) -> i32 {
    // SAFETY: the kernel passes a whole context; task and file are null once, at the end.
    let (task, file, fd, seq) = unsafe { ((*ctx).task, (*ctx).file, (*ctx).fd, (*(*ctx).meta).seq) };
    if task.is_null() || file.is_null() {
        return 0;
    }
    // SAFETY: `file` is not null.
    let socket = unsafe { bpf_sock_from_file(file.cast()) };
    if socket.is_null() {
        return 0;
    }
    let sk = pointer(socket.cast_const().cast(), setting!(socket_sk));
    let family: u16 = probe(sk, setting!(sk_family));
    if sk.is_null() || (family != AF_INET && family != AF_INET6) {
        return 0;
    }
    let shown = behind(sk as u64) as *const u8;
    if shown.is_null() {
        return 0;
    }
    let Some(sock) = TcpSock::<Probed>::new(shown) else {
        return 0;
    };
    row(&sock, task, fd as u32, seq);
    0
}

/// The TCP socket that this pass shows of a file's socket; null for none. A pass shows one subflow of each MPTCP socket,
/// because the verifier would have to follow every path through a row for every subflow of a loop over them. A function of
/// its own, and addresses as numbers, so that the verifier of older kernels forgets the paths through the loop behind it.
#[inline(never)]
extern "C" fn behind(sk: u64) -> u64 {
    let sk = sk as *const u8;
    let Some(pass) = PASS.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the map holds one element for ever.
    let pass = unsafe { &mut *pass };
    if setting!(mptcp_conn_list) == ABSENT || !is_mptcp(sk) {
        return if pass.subflow == 0 { sk as u64 } else { 0 };
    }
    let first = pointer(sk, setting!(mptcp_first));
    let head = sk.wrapping_add(setting!(mptcp_conn_list) as usize);
    let mut node = pointer(head, 0);
    let wanted = pass.subflow;
    // The place in the list is the number of the pass, whether or not the first subflow is at it: a count of what was
    // passed by would multiply the paths.
    for place in 1..=SUBFLOWS_MAX + 1 {
        if node.is_null() || node == head {
            break;
        }
        let next = pointer(node, 0);
        if place == 1 && wanted == 0 {
            pass.more |= u32::from(next != head || subflow(node) != first);
            break;
        }
        if place == wanted {
            pass.more |= u32::from(next != head);
            let sock = subflow(node);
            return if sock == first { 0 } else { sock as u64 };
        }
        node = next;
    }
    if wanted == 0 { first as u64 } else { 0 }
}

/// The TCP socket of a subflow, by its node in the list of the connection's.
#[inline(always)]
fn subflow(node: *const u8) -> *const u8 {
    let context = node.wrapping_sub(setting!(mptcp_subflow_node) as usize);
    pointer(context, setting!(mptcp_subflow_tcp_sock))
}

/// One row: a socket, by one of its holders.
#[inline(always)]
fn row(sock: &TcpSock<Probed>, task: *const u8, fd: u32, seq: *mut u8) {
    let state = sock.state();
    if state == TCP_CLOSE {
        return;
    }
    let owner = task_owner(task, sock.netns());
    let known = known(sock, state, owner);
    // The row names the task that holds the descriptor; several may, and the reader chooses.
    let row = SocketEntry {
        owner,
        flags: known.flags | flag::OWNER,
        ..known
    };
    let Some(record) = ROW.get_ptr_mut(0) else {
        return;
    };
    fill(record, sock, kind::SEEN, now_ns(), &row, state);
    // SAFETY: `fill` has written the record; `seq` is the kernel's.
    unsafe {
        (*record).fd = fd;
        bpf_seq_write(seq.cast(), record.cast(), size_of::<SocketRecord>() as u32);
    }
}

/// What is remembered of the socket; from now on also if nothing was.
#[inline(always)]
fn known(sock: &TcpSock<Probed>, state: u8, owner: Owner) -> SocketEntry {
    if let Some(known) = lookup(sock.address()) {
        if known.flags & flag::OWNER == 0 {
            adopt(known, owner);
        }
        return *known;
    }
    let flags = flag::OWNER | flag::FOUND;
    let found = entry(now_ns(), owner, sock.local_port(), role_of(sock, state), flags);
    remember_new(sock.address(), &found);
    if sock.state() == TCP_CLOSE {
        // It closed in between, so that no program will ever remove the entry.
        forget(sock.address());
    }
    found
}

/// The holder of a descriptor as the owner of its socket.
#[inline(always)]
fn task_owner(task: *const u8, netns: u32) -> Owner {
    let cgroup = pointer(pointer(task, setting!(task_cgroups)), setting!(css_set_dfl_cgrp));
    Owner {
        cgroup_id: probe(pointer(cgroup, setting!(cgroup_kn)), setting!(kernfs_node_id)),
        tgid: probe(task, setting!(task_tgid)),
        tid: probe(task, setting!(task_pid)),
        uid: probe(pointer(task, setting!(task_cred)), setting!(cred_uid)),
        netns,
        comm: probe(task, setting!(task_comm)),
    }
}

/// Role of a socket that is not remembered.
#[inline(always)]
fn role_of(sock: &TcpSock<Probed>, state: u8) -> u8 {
    match state {
        TCP_LISTEN => role::LISTENER,
        TCP_SYN_SENT => role::ACTIVE,
        TCP_ESTABLISHED | TCP_CLOSE_WAIT => match sock.acknowledged_beyond_payload() {
            Some(1) => role::ACTIVE,
            Some(0) => role::PASSIVE,
            _ => role::UNKNOWN,
        },
        _ => role::UNKNOWN,
    }
}
