//! Connects that have begun and not yet reached `SYN_SENT`, with what they were called with: the kernel keeps nothing of one
//! that fails at once, for want of a route or of a port.

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::map,
    maps::{Array, LruHashMap},
};
use tracer_common::{
    maps::ATTEMPTS_MAX,
    settings::ABSENT,
    wire::{Owner, SocketRecord, flag, kind, role},
};

use crate::{
    emit::{count, deliver},
    kernel::{is_mptcp, mapped, now_ns, number, pointer, probe, setting},
    socket::Socket,
    sockets::{entry, fill},
};

/// `AF_INET` and `AF_INET6`.
pub(crate) const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Where a connect was to go.
#[derive(Clone, Copy, Default)]
pub(crate) struct Destination {
    /// As in a record.
    pub(crate) address: [u64; 2],
    /// Host byte order.
    pub(crate) port: u16,
    /// `AF_INET` or `AF_INET6`.
    pub(crate) family: u16,
}

impl Destination {
    /// From a `struct sockaddr` in kernel memory, <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/in.h#L257>.
    #[inline(always)]
    pub(crate) fn of(sockaddr: *const u8) -> Self {
        let family: u16 = probe(sockaddr, 0);
        let address = if family == AF_INET6 {
            [probe(sockaddr, 8), probe(sockaddr, 16)]
        } else {
            mapped(probe(sockaddr, 4))
        };
        Self {
            address,
            port: u16::from_be(probe(sockaddr, 2)),
            family,
        }
    }

    /// An IPv4 address in an IPv6 socket: the function for IPv6 calls that for IPv4, which tells.
    #[inline(always)]
    pub(crate) fn is_mapped_in_v6(&self) -> bool {
        self.family == AF_INET6 && self.address == mapped((self.address[1] >> 32) as u32)
    }
}

/// A connect that has begun.
#[derive(Clone, Copy)]
struct Attempt {
    /// Address of the socket that the caller holds; 0 for an empty slot.
    socket: u64,
    at_ns: u64,
    owner: Owner,
    to: Destination,
}

/// Slots by socket. A connect reaches `SYN_SENT` within microseconds, or fails.
#[map]
static ATTEMPTS: Array<Attempt> = Array::with_max_entries(ATTEMPTS_MAX, 0);

/// The same by thread, for a hook that sees a function's return and not its arguments.
#[map]
static CALLS: LruHashMap<u64, Call> = LruHashMap::with_max_entries(ATTEMPTS_MAX, 0);

#[derive(Clone, Copy)]
struct Call {
    socket: u64,
    to: Destination,
}

#[inline(always)]
fn slot(socket: u64) -> Option<&'static mut Attempt> {
    // Sockets are at least 64 bytes apart.
    let index = (socket >> 6 ^ socket >> 18) as u32 & (ATTEMPTS_MAX - 1);
    // SAFETY: an element of an array is there for ever.
    ATTEMPTS.get_ptr_mut(index).map(|slot| unsafe { &mut *slot })
}

/// A connect begins. What is left in its slot of the same socket has failed; of another socket it is given up, counted.
#[inline(always)]
pub(crate) fn begin(socket: u64, owner: Owner, to: Destination) {
    let Some(slot) = slot(socket) else {
        return;
    };
    if slot.socket == socket {
        tell(slot);
    } else if slot.socket != 0 {
        count!(attempts_given_up);
    }
    *slot = Attempt {
        socket,
        at_ns: now_ns(),
        owner,
        to,
    };
}

/// The connect has reached `SYN_SENT`: from now on the state program tells.
#[inline(always)]
pub(crate) fn reached(socket: u64) {
    let socket = number(socket as *const u8);
    if let Some(slot) = slot(socket)
        && slot.socket == socket
    {
        slot.socket = 0;
    }
}

/// The socket is released: a connect that is still here and has sent nothing failed at once, and nobody can say why.
#[inline(always)]
pub(crate) fn released(socket: u64) {
    if let Some(slot) = slot(socket)
        && slot.socket == socket
    {
        tell(slot);
        slot.socket = 0;
    }
}

/// A call of connect begins in this thread.
#[inline(always)]
pub(crate) fn called(socket: u64, to: Destination) {
    let call = Call { socket, to };
    let _full_is_made_room_in = CALLS.insert(bpf_get_current_pid_tgid(), call, 0);
}

/// The call of connect in this thread has returned: its socket and destination.
#[inline(always)]
pub(crate) fn returned() -> Option<(u64, Destination)> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: the value is copied at once.
    let Call { socket, to } = *unsafe { CALLS.get(thread) }?;
    let _absent = CALLS.remove(thread);
    Some((socket, to))
}

/// Tells of a connect of `sock` that failed at once.
#[inline(always)]
pub(crate) fn failed<S: Socket>(sock: &S, owner: Owner, to: &Destination, errno: u32) {
    count!(failed);
    let at_ns = now_ns();
    let entry = entry(at_ns, owner, 0, role::ACTIVE, flag::OWNER);
    let delivered = deliver::<SocketRecord>(|record| {
        fill(record, sock, kind::FAILED, at_ns, &entry, SYN_SENT);
        // SAFETY: `fill` has written the whole record.
        unsafe {
            (&raw mut (*record).remote_addr)
                .cast::<[u64; 2]>()
                .write(to.address);
            (*record).remote_port = to.port;
            (*record).error = errno;
            (*record).flags |= flag::ERROR;
        }
    });
    if !delivered {
        count!(lost_socket);
    }
}

/// The state before, as in every record of a failed connect.
const SYN_SENT: u8 = 2;

/// Tells of an attempt whose error is not known, unless its socket has sent something: then the state program was not there
/// to see `SYN_SENT`.
#[inline(always)]
fn tell(attempt: &Attempt) {
    if !has_sent_nothing(attempt.socket as *const u8) {
        return;
    }
    count!(failed);
    let delivered = deliver::<SocketRecord>(|record| {
        let entry = entry(attempt.at_ns, attempt.owner, 0, role::ACTIVE, flag::OWNER);
        fill(record, attempt, kind::FAILED, now_ns(), &entry, SYN_SENT);
    });
    if !delivered {
        count!(lost_socket);
    }
}

/// Of an MPTCP socket, its first subflow counts.
#[inline(always)]
fn has_sent_nothing(sk: *const u8) -> bool {
    let sk = if setting!(mptcp_first) != ABSENT && is_mptcp(sk) {
        pointer(sk, setting!(mptcp_first))
    } else {
        sk
    };
    probe::<u32>(sk, setting!(tcp_segs_out)) == 0
}

impl Socket for Attempt {
    #[inline(always)]
    fn address(&self) -> u64 {
        self.socket
    }

    #[inline(always)]
    fn family(&self) -> u16 {
        self.to.family
    }

    #[inline(always)]
    fn netns(&self) -> u32 {
        self.owner.netns
    }

    #[inline(always)]
    fn local_port(&self) -> u16 {
        0
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        self.to.port
    }

    #[inline(always)]
    fn addresses(&self, family: u16) -> ([u64; 2], [u64; 2]) {
        let unspecified = if family == AF_INET { mapped(0) } else { [0; 2] };
        (unspecified, self.to.address)
    }
}
