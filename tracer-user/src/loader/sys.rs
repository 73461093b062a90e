//! Commands of bpf(2) that aya does not offer: a trial load, reading a map in batches, removing by plain key.
//!
//! The only unsafe code of the loader besides one `Pod` promise.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L913>.
const BPF_MAP_DELETE_ELEM: i32 = 3;
const BPF_PROG_LOAD: i32 = 5;
const BPF_MAP_LOOKUP_BATCH: i32 = 24;
const BPF_LINK_CREATE: i32 = 28;
/// Program and attach types of the same file.
const BPF_PROG_TYPE_CGROUP_SOCK: u32 = 9;
const BPF_CGROUP_INET_SOCK_RELEASE: u32 = 34;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_FENTRY: u32 = 24;

/// `union bpf_attr` for `BPF_PROG_LOAD`, up to the last member used here.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_prog_fd: u32,
    pad: u32,
}

/// `union bpf_attr` for `BPF_LINK_CREATE`, up to the last member used here.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// `union bpf_attr` for the commands on one element.
#[repr(C)]
#[derive(Default)]
struct Element {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` for the batch commands.
#[repr(C)]
#[derive(Default)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

fn bpf<T>(command: i32, attr: &mut T) -> io::Result<i64> {
    // SAFETY: `attr` is a prefix of `union bpf_attr` of the size passed, zero beyond what is meant; the pointers in it
    // are of buffers that the callers keep alive and sized as they say.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Loads, and drops at once, a program that does nothing on entry of the function with BTF id `function`.
///
/// # Errors
/// What the kernel said: some kernels know fentry and refuse it nevertheless.
pub(super) fn try_fentry(function: u32) -> io::Result<()> {
    // r0 = 0; exit
    let instructions: [u64; 2] = [0x0000_0000_0000_00b7, 0x0000_0000_0000_0095];
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_TRACING,
        insn_cnt: 2,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        expected_attach_type: BPF_TRACE_FENTRY,
        attach_btf_id: function,
        ..ProgLoad::default()
    };
    owned(bpf(BPF_PROG_LOAD, &mut attr)?).map(drop)
}

/// Attaches to `cgroup`, and detaches at once, a program that does nothing when a socket is released.
///
/// # Errors
/// What the kernel said: before 5.9 it has no such hook, and somebody's program may allow no other beside it.
pub(super) fn try_release(cgroup: BorrowedFd<'_>) -> io::Result<()> {
    // r0 = 1; exit
    let instructions: [u64; 2] = [0x0000_0001_0000_00b7, 0x0000_0000_0000_0095];
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_CGROUP_SOCK,
        insn_cnt: 2,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        expected_attach_type: BPF_CGROUP_INET_SOCK_RELEASE,
        ..ProgLoad::default()
    };
    let program = owned(bpf(BPF_PROG_LOAD, &mut attr)?)?;
    let mut attr = LinkCreate {
        prog_fd: number(program.as_fd())?,
        target_fd: number(cgroup)?,
        attach_type: BPF_CGROUP_INET_SOCK_RELEASE,
        flags: 0,
    };
    owned(bpf(BPF_LINK_CREATE, &mut attr)?).map(drop)
}

fn number(fd: BorrowedFd<'_>) -> io::Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(io::Error::other)
}

fn owned(fd: i64) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives memory that is no longer used back to the system: reading the kernel's types takes 20 MiB for a moment.
pub(super) fn release_memory() {
    // SAFETY: any thread may call it at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Entries read by one call of [`read_batches`].
const BATCH: usize = 4096;

/// Reads a whole hash map of `u64` keys, `BATCH` entries a system call, and passes every pair on.
///
/// Entries that come or go meanwhile may be missed or come twice, as with any walk of a hash map in use.
///
/// # Errors
/// What the kernel said; `ENOSPC` when one bucket holds more than a batch.
pub(super) fn read_batches<const VALUE: usize>(
    map: BorrowedFd<'_>,
    mut each: impl FnMut(u64, &[u8; VALUE]),
) -> io::Result<()> {
    let mut keys = vec![0_u64; BATCH];
    let mut values = vec![[0_u8; VALUE]; BATCH];
    // The cursor is opaque; the kernel writes a u32 for hash maps.
    let (mut cursor, mut next) = (0_u64, 0_u64);
    let mut first = true;
    let map_fd = u32::try_from(map.as_raw_fd()).map_err(io::Error::other)?;
    loop {
        let mut attr = Batch {
            from: if first { 0 } else { &raw mut cursor as u64 },
            next: &raw mut next as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(BATCH).map_err(io::Error::other)?,
            map_fd,
            ..Batch::default()
        };
        let end = match bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) {
            Ok(_) => false,
            // ENOENT with a count is how the last batch says so.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        for (key, value) in keys.iter().zip(&values).take(attr.count as usize) {
            each(*key, value);
        }
        if end {
            return Ok(());
        }
        cursor = next;
        first = false;
    }
}

/// Removes one entry of a hash map of `u64` keys; an absent one is no error.
///
/// # Errors
/// What the kernel said.
pub(super) fn delete(map: BorrowedFd<'_>, key: u64) -> io::Result<()> {
    let mut attr = Element {
        map_fd: u32::try_from(map.as_raw_fd()).map_err(io::Error::other)?,
        key: &raw const key as u64,
        ..Element::default()
    };
    match bpf(BPF_MAP_DELETE_ELEM, &mut attr) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}
