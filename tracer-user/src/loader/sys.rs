//! Commands of bpf(2) that aya does not offer: a trial load, reading a map in batches, removing by plain key, links whose
//! descriptor is ours, and what the kernel says of links and programs.
//!
//! The only unsafe code of the loader besides one `Pod` promise.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h#L913>.
const BPF_MAP_DELETE_ELEM: i32 = 3;
const BPF_PROG_LOAD: i32 = 5;
const BPF_OBJ_GET_INFO_BY_FD: i32 = 15;
const BPF_RAW_TRACEPOINT_OPEN: i32 = 17;
const BPF_MAP_LOOKUP_BATCH: i32 = 24;
const BPF_LINK_CREATE: i32 = 28;
/// Program and attach types of the same file.
const BPF_PROG_TYPE_CGROUP_SOCK: u32 = 9;
pub(super) const BPF_CGROUP_INET4_CONNECT: u32 = 10;
pub(super) const BPF_CGROUP_INET6_CONNECT: u32 = 11;
pub(super) const BPF_CGROUP_INET_SOCK_RELEASE: u32 = 34;
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
    attach_to_cgroup(program.as_fd(), cgroup, BPF_CGROUP_INET_SOCK_RELEASE).map(drop)
}

/// Attaches a program to `cgroup` as one of `kind`, beside those of others. Gives the link.
///
/// # Errors
/// What the kernel said.
pub(super) fn attach_to_cgroup(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    kind: u32,
) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate {
        prog_fd: number(program)?,
        target_fd: number(cgroup)?,
        attach_type: kind,
        flags: 0,
    };
    owned(bpf(BPF_LINK_CREATE, &mut attr)?)
}

fn number(fd: BorrowedFd<'_>) -> io::Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(io::Error::other)
}

/// The descriptor that a command has just given us.
fn owned(result: i64) -> io::Result<OwnedFd> {
    let fd = i32::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `union bpf_attr` for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
#[derive(Default)]
struct RawTracepointOpen {
    name: u64,
    prog_fd: u32,
    pad: u32,
}

/// Attaches a loaded program to a raw tracepoint, or, without a name, to what it was loaded for. Gives the link.
///
/// # Errors
/// What the kernel said.
pub(super) fn attach(program: BorrowedFd<'_>, raw_tracepoint: Option<&CStr>) -> io::Result<OwnedFd> {
    let mut attr = RawTracepointOpen {
        name: raw_tracepoint.map_or(0, |name| name.as_ptr() as u64),
        prog_fd: number(program)?,
        ..RawTracepointOpen::default()
    };
    owned(bpf(BPF_RAW_TRACEPOINT_OPEN, &mut attr)?)
}

/// `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
#[derive(Default)]
struct Info {
    fd: u32,
    len: u32,
    buffer: u64,
}

/// What the kernel tells of the object behind `fd`, and how many bytes of it.
fn info<const WORDS: usize>(fd: BorrowedFd<'_>) -> io::Result<([u64; WORDS], usize)> {
    // Aligned as the structs are.
    let mut words = [0_u64; WORDS];
    let mut attr = Info {
        fd: number(fd)?,
        len: u32::try_from(size_of_val(&words)).map_err(io::Error::other)?,
        buffer: words.as_mut_ptr() as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok((words, attr.len as usize))
}

/// The two halves of a word in the order of their addresses.
fn halves(word: u64) -> [u32; 2] {
    let bytes = word.to_ne_bytes();
    let (first, second) = bytes.split_at(4);
    [first, second].map(|half| half.try_into().map_or(0, u32::from_ne_bytes))
}

/// What the kernel says of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProgramInfo {
    pub(super) id: u32,
    /// How often it was skipped; absent before 5.12.
    pub(super) recursion_misses: Option<u64>,
}

/// `struct bpf_prog_info`: type, id; `recursion_misses` at byte 208.
const RECURSION_MISSES: usize = 208 / 8;

/// # Errors
/// What the kernel said, as when the descriptor is of something else.
pub(super) fn program_info(fd: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let (words, len) = info::<{ RECURSION_MISSES + 1 }>(fd)?;
    let [_kind, id] = halves(words[0]);
    Ok(ProgramInfo {
        id,
        recursion_misses: (len >= size_of_val(&words)).then_some(words[RECURSION_MISSES]),
    })
}

/// What the kernel says of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkInfo {
    pub(super) id: u32,
    pub(super) program: u32,
    /// It is a cgroup's and has been detached from it.
    pub(super) severed: bool,
}

/// `BPF_LINK_TYPE_CGROUP`; such a link names its cgroup at byte 16 of `struct bpf_link_info`, 0 once it is detached.
const LINK_CGROUP: u32 = 3;

/// # Errors
/// What the kernel said, as when the descriptor is of something else.
pub(super) fn link_info(fd: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let (words, _len) = info::<8>(fd)?;
    let [kind, id] = halves(words[0]);
    let [program, _pad] = halves(words[1]);
    Ok(LinkInfo {
        id,
        program,
        severed: kind == LINK_CGROUP && words[2] == 0,
    })
}

/// `PERF_EVENT_IOC_QUERY_BPF`, `_IOWR('$', 10, pointer)`; a pointer has 8 bytes on all that the tracer runs on.
const PERF_EVENT_IOC_QUERY_BPF: libc::Ioctl = 0xC008_240A_u32 as libc::Ioctl;

/// `struct perf_event_query_bpf` with room for what one event may have (`BPF_TRACE_MAX_PROGS`).
#[repr(C)]
struct PerfPrograms {
    room: u32,
    count: u32,
    ids: [u32; 64],
}

/// Whether the perf event behind the descriptor `fd` has the program. An event of a kprobe does not say: it is there, and
/// nobody else can take its program away.
pub(super) fn perf_event_has(fd: RawFd, program: u32) -> bool {
    let mut query = PerfPrograms {
        room: 64,
        count: 0,
        ids: [0; 64],
    };
    // SAFETY: the request writes at most `room` ids; a descriptor of something else refuses it.
    let result = unsafe { libc::ioctl(fd, PERF_EVENT_IOC_QUERY_BPF, &raw mut query) };
    if result < 0 {
        return io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
    }
    query
        .ids
        .iter()
        .take(query.count as usize)
        .any(|id| *id == program)
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
