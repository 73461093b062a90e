//! The only reads of kernel memory, and of the settings that say where things are.

use core::{arch::asm, marker::PhantomData, mem::MaybeUninit, ptr};

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_task, bpf_probe_read_kernel, bpf_skc_to_tcp_sock,
    },
};
use tracer_common::{
    settings::{ABSENT, Settings},
    wire::Owner,
};

use crate::socket::{Counters, Socket};

/// Written by the loader before the programs load; frozen, so the verifier folds every read to a constant.
#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings::UNSET;

/// Reads one setting. Volatile: the compiler must not fold the unset value.
macro_rules! setting {
    ($field:ident) => {
        $crate::kernel::read_setting(core::mem::offset_of!(tracer_common::settings::Settings, $field))
    };
}
pub(crate) use setting;

#[inline(always)]
pub(crate) fn read_setting(offset: usize) -> u32 {
    // SAFETY: `offset` is that of a field, and every field is a u32.
    unsafe { ptr::read_volatile((&raw const SETTINGS).byte_add(offset).cast()) }
}

/// `AF_INET6`.
const AF_INET6: u16 = 10;
/// `IPPROTO_TCP`.
const IPPROTO_TCP: u16 = 6;
/// `IPPROTO_MPTCP`, which 5.6 introduced together with the second byte of `sk_protocol`.
const IPPROTO_MPTCP: u16 = 262;

/// Bit of `skc_flags` that the peer's FIN sets, and nothing else:
/// <https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp_input.c#L4478>.
const SOCK_DONE: u64 = 1;

/// How kernel memory is read.
pub(crate) trait Memory {
    /// Reads a `T` at `base + offset`; `None` when it cannot be read.
    ///
    /// # Safety
    /// `base` is a kernel pointer; `T` is an integer or a pointer.
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> Option<T>;

    /// The pointer through which the fields of a TCP socket may be read; null when it is not one.
    ///
    /// # Safety
    /// `sk` is a `struct sock *` that the kernel passed to the program.
    unsafe fn tcp_sock(sk: *const u8) -> *const u8;
}

/// Plain loads through pointers whose type the verifier knows: it checks every one against BTF.
pub(crate) enum Typed {}

/// Loads by helper, for pointers that are mere numbers to the verifier.
pub(crate) enum Probed {}

impl Memory for Typed {
    #[inline(always)]
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> Option<T> {
        // SAFETY: the verifier accepts only a load of a member of the pointer's BTF type, and the kernel turns a
        // fault into zero.
        Some(unsafe { ptr::read_volatile(base.add(offset as usize).cast::<T>()) })
    }

    #[inline(always)]
    unsafe fn tcp_sock(sk: *const u8) -> *const u8 {
        // SAFETY: `sk` is a BTF pointer by this trait's contract; the helper checks family, type and protocol.
        unsafe { bpf_skc_to_tcp_sock(sk.cast_mut().cast()).cast() }
    }
}

impl Memory for Probed {
    #[inline(always)]
    unsafe fn read<T: Copy>(base: *const u8, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper checks the address itself, and writes every byte of `value`: zeros where it cannot be read. So
        // its result needs no look, which would double the paths that the verifier follows, with every read.
        unsafe {
            bpf_probe_read_kernel(
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
                base.wrapping_add(offset as usize).cast(),
            );
            Some(value.assume_init())
        }
    }

    #[inline(always)]
    unsafe fn tcp_sock(sk: *const u8) -> *const u8 {
        if is_tcp(sk, setting!(sk_protocol), setting!(sk_protocol_bytes)) {
            sk
        } else {
            ptr::null()
        }
    }
}

/// A TCP socket whose fields are read as `M` does.
pub(crate) struct TcpSock<M> {
    base: *const u8,
    memory: PhantomData<M>,
}

impl<M: Memory> TcpSock<M> {
    /// The socket behind `sk`, unless it is not TCP (SCTP, DCCP and MPTCP share the hooks).
    #[inline(always)]
    pub(crate) fn new(sk: *const u8) -> Option<Self> {
        // SAFETY: callers pass what the kernel passed to them.
        let base = unsafe { M::tcp_sock(sk) };
        if base.is_null() {
            None
        } else {
            Some(Self {
                base,
                memory: PhantomData,
            })
        }
    }

    #[inline(always)]
    fn read<T: Copy + Default>(&self, offset: u32) -> T {
        // SAFETY: `base` came from `M::tcp_sock`.
        unsafe { M::read(self.base, offset) }.unwrap_or_default()
    }

    /// Like `read`, but zero where this kernel has no such field.
    #[inline(always)]
    fn read_optional<T: Copy + Default>(&self, offset: u32) -> T {
        if offset == ABSENT {
            T::default()
        } else {
            self.read(offset)
        }
    }

    #[inline(always)]
    pub(crate) fn state(&self) -> u8 {
        self.read(setting!(sk_state))
    }

    /// Bytes acknowledged, or on their way, that are no payload: the own SYN, and later the own FIN. So before that FIN
    /// it is 1 for who sent the SYN, and 0 for who was born by it. `None` when the socket changed meanwhile.
    #[inline(always)]
    pub(crate) fn acknowledged_beyond_payload(&self) -> Option<u64> {
        let (before, after) = (self.sequence(), self.sequence());
        let [acked, next, una, sent, again] = before;
        // All at once: each comparison of its own would double the verifier's paths.
        let changed = before
            .into_iter()
            .zip(after)
            .fold(0, |changed, (one, other)| changed | (one ^ other));
        let on_their_way = u64::from((next as u32).wrapping_sub(una as u32));
        let beyond = acked
            .wrapping_add(on_their_way)
            .wrapping_sub(sent.wrapping_sub(again));
        (changed == 0).then_some(beyond)
    }

    #[inline(always)]
    fn sequence(&self) -> [u64; 5] {
        [
            self.read(setting!(tcp_bytes_acked)),
            u64::from(self.read::<u32>(setting!(tcp_snd_nxt))),
            u64::from(self.read::<u32>(setting!(tcp_snd_una))),
            self.read(setting!(tcp_bytes_sent)),
            self.read(setting!(tcp_bytes_retrans)),
        ]
    }
}

impl<M: Memory> Socket for TcpSock<M> {
    #[inline(always)]
    fn address(&self) -> u64 {
        self.base as u64
    }

    #[inline(always)]
    fn family(&self) -> u16 {
        self.read(setting!(sk_family))
    }

    #[inline(always)]
    fn netns(&self) -> u32 {
        let (net, inum) = (setting!(sk_net), setting!(net_inum));
        if net == ABSENT || inum == ABSENT {
            return 0;
        }
        // SAFETY: a live socket holds its namespace; typed loads keep the pointer's type.
        unsafe { M::read::<*const u8>(self.base, net).and_then(|net| M::read(net, inum)) }.unwrap_or_default()
    }

    /// `skc_num` while the kernel keeps it, else `inet_sport`, which outlives it.
    #[inline(always)]
    fn local_port(&self) -> u16 {
        let num: u16 = self.read(setting!(sk_num));
        if num != 0 {
            num
        } else {
            u16::from_be(self.read(setting!(inet_sport)))
        }
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        u16::from_be(self.read(setting!(sk_dport)))
    }

    #[inline(always)]
    fn addresses(&self, family: u16) -> ([u64; 2], [u64; 2]) {
        if family == AF_INET6 && setting!(sk_v6_daddr) != ABSENT {
            let local = setting!(sk_v6_rcv_saddr);
            let remote = setting!(sk_v6_daddr);
            (
                [self.read(local), self.read(local + 8)],
                [self.read(remote), self.read(remote + 8)],
            )
        } else {
            (
                mapped(self.read(setting!(sk_rcv_saddr))),
                mapped(self.read(setting!(sk_daddr))),
            )
        }
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.read_optional(setting!(sk_bound_dev_if))
    }

    #[inline(always)]
    fn mptcp(&self) -> u64 {
        if setting!(tcp_is_mptcp) == ABSENT || self.read::<u8>(setting!(tcp_is_mptcp)) == 0 {
            return 0;
        }
        let context = self.read_optional::<u64>(setting!(icsk_ulp_data)) as *const u8;
        probe(context, setting!(mptcp_subflow_conn))
    }

    #[inline(always)]
    fn first_subflow(&self) -> u64 {
        let mptcp = self.mptcp();
        if mptcp == 0 {
            return 0;
        }
        let first: u64 = probe(mptcp as *const u8, setting!(mptcp_first));
        if first == self.address() { 0 } else { first }
    }

    #[inline(always)]
    fn sent_nothing(&self) -> bool {
        setting!(tcp_segs_out) != ABSENT && self.read::<u32>(setting!(tcp_segs_out)) == 0
    }

    #[inline(always)]
    fn has_error(&self) -> bool {
        setting!(sk_err) != ABSENT
    }

    #[inline(always)]
    fn error(&self, failed: bool) -> u32 {
        let hard = self.read_optional(setting!(sk_err));
        // Not answered and given up: why there has been no answer so far.
        if failed && hard == 0 {
            self.read_optional(setting!(sk_err_soft))
        } else {
            hard
        }
    }

    #[inline(always)]
    fn is_counted(&self) -> bool {
        setting!(tcp_bytes_sent) != ABSENT
    }

    #[inline(always)]
    fn counters(&self) -> Counters {
        let sent: u64 = self.read(setting!(tcp_bytes_sent));
        let again: u64 = self.read(setting!(tcp_bytes_retrans));
        let srtt_us: u32 = self.read(setting!(tcp_srtt_us));
        let received: u64 = self.read(setting!(tcp_bytes_received));
        // The kernel counts the peer's FIN as a byte.
        let fin = self.read_optional::<u64>(setting!(sk_flags)) >> SOCK_DONE & 1;
        Counters {
            rtt_us: srtt_us >> 3,
            sent_bytes: sent.wrapping_sub(again),
            received_bytes: received.wrapping_sub(fin),
            retransmits: self.read(setting!(tcp_total_retrans)),
        }
    }
}

/// `::ffff:a.b.c.d` of an IPv4 address that is in network byte order in memory.
#[inline(always)]
pub(crate) fn mapped(address: u32) -> [u64; 2] {
    let low = if cfg!(target_endian = "little") {
        0xffff_0000 | u64::from(address) << 32
    } else {
        0xffff_0000_0000 | u64::from(address)
    };
    [0, low]
}

/// Reads an integer or byte array at `base + offset` by helper; zero when it cannot be read or this kernel has no such
/// field.
#[inline(always)]
pub(crate) fn probe<T: Copy + Default>(base: *const u8, offset: u32) -> T {
    if offset == ABSENT {
        return T::default();
    }
    // SAFETY: the helper checks the address itself.
    unsafe { Probed::read(base, offset) }.unwrap_or_default()
}

/// Whether the protocol at `base + offset`, an integer of 1 or 2 bytes, is TCP.
#[inline(always)]
pub(crate) fn is_tcp(base: *const u8, offset: u32, bytes: u32) -> bool {
    protocol(base, offset, bytes) == IPPROTO_TCP
}

/// Whether a socket of the families IPv4 or IPv6 is an MPTCP socket.
#[inline(always)]
pub(crate) fn is_mptcp(sk: *const u8) -> bool {
    protocol(sk, setting!(sk_protocol), setting!(sk_protocol_bytes)) == IPPROTO_MPTCP
}

#[inline(always)]
fn protocol(base: *const u8, offset: u32, bytes: u32) -> u16 {
    if bytes == 2 {
        probe::<u16>(base, offset)
    } else {
        u16::from(probe::<u8>(base, offset))
    }
}

/// Reads a pointer; null when it cannot be read or this kernel has no such field.
#[inline(always)]
pub(crate) fn pointer(base: *const u8, offset: u32) -> *const u8 {
    probe::<u64>(base, offset) as *const u8
}

/// The address that a typed pointer holds, as a number: the verifier lets nothing be computed from a pointer itself, and takes
/// a negation for a number's.
#[inline(always)]
pub(crate) fn number(pointer: *const u8) -> u64 {
    let mut number = pointer as u64;
    // SAFETY: two negations are none. Written as the instructions themselves, because the compiler would leave them out.
    unsafe {
        asm!("{number} = -{number}", "{number} = -{number}", number = inout(reg) number, options(pure, nomem, nostack));
    }
    number
}

/// The current task as the owner of a socket in `netns`. Only for hooks that run in the owner's context.
#[inline(always)]
pub(crate) fn current_owner(netns: u32) -> Owner {
    let pid_tgid = bpf_get_current_pid_tgid();
    Owner {
        // SAFETY: the helper takes nothing.
        cgroup_id: unsafe { bpf_get_current_cgroup_id() },
        tgid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
        uid: bpf_get_current_uid_gid() as u32,
        netns,
        comm: bpf_get_current_comm().unwrap_or_default(),
    }
}

/// Address of the current task.
#[inline(always)]
pub(crate) fn current_task() -> *const u8 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_get_current_task() as *const u8 }
}

/// `CLOCK_BOOTTIME`, nanoseconds.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_boot_ns() }
}
