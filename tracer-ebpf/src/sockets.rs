//! What is remembered of every socket between its opening and its end, and the records made of it.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::map, maps::HashMap};
use tracer_common::{
    maps::{SOCKETS_MAX, SocketEntry},
    wire::{Owner, SocketRecord, flag, kind},
};

use crate::{
    emit::{count, deliver, header},
    socket::{Counters, Socket},
};

/// Preallocated, so that an insert never fails for want of memory. The loader sets the size.
#[map]
static SOCKETS: HashMap<u64, SocketEntry> = HashMap::with_max_entries(SOCKETS_MAX, 0);

/// Bit of [`SocketEntry::flags`] beside those of records: that the socket is established has been told.
pub(crate) const TOLD: u8 = 0x80;

/// `E2BIG`: the table is full.
const E2BIG: i32 = -7;

/// What is known of the socket at `address`.
#[inline(always)]
pub(crate) fn lookup(address: u64) -> Option<&'static mut SocketEntry> {
    // SAFETY: a preallocated element stays valid memory; a reuse during the program can at worst mix two sockets at
    // one address, which would need the first one to be freed while the kernel passes it to us.
    SOCKETS.get_ptr_mut(address).map(|entry| unsafe { &mut *entry })
}

/// Remembers a socket; an older entry for the address is replaced.
#[inline(always)]
pub(crate) fn remember(address: u64, entry: &SocketEntry) {
    if SOCKETS.insert(address, entry, 0).is_err() {
        count!(table_full);
    }
}

/// Remembers a socket unless it is known already; true when the entry is the caller's.
#[inline(always)]
pub(crate) fn remember_new(address: u64, entry: &SocketEntry) -> bool {
    match SOCKETS.insert(address, entry, u64::from(BPF_NOEXIST)) {
        Ok(()) => true,
        Err(E2BIG) => {
            count!(table_full);
            true
        }
        Err(_) => false,
    }
}

/// Forgets a socket; nothing to do when it was not known.
#[inline(always)]
pub(crate) fn forget(address: u64) {
    let _absent = SOCKETS.remove(address);
}

/// The entry of a socket that is first seen now.
#[inline(always)]
pub(crate) fn entry(at_ns: u64, owner: Owner, local_port: u16, role: u8, flags: u8) -> SocketEntry {
    SocketEntry {
        first_seen_ns: at_ns,
        owner,
        local_port,
        role,
        flags,
        error: 0,
    }
}

/// The entry of a socket nobody has told us about.
#[inline(always)]
pub(crate) fn unknown(netns: u32) -> SocketEntry {
    SocketEntry {
        owner: Owner {
            netns,
            ..Owner::default()
        },
        flags: flag::FOUND,
        ..SocketEntry::default()
    }
}

/// Fills a record of `sock` as the kernel has it now.
#[inline(always)]
pub(crate) fn fill<S: Socket>(
    record: *mut SocketRecord,
    sock: &S,
    kind: u8,
    at_ns: u64,
    entry: &SocketEntry,
    state: u8,
) {
    let family = sock.family();
    let (local, remote) = sock.addresses(family);
    let counted = sock.is_counted();
    let mut flags = entry.flags & !TOLD;
    if counted {
        flags |= flag::COUNTERS;
    }
    if sock.has_error() {
        flags |= flag::ERROR;
    }
    // A record that opens a connection has nothing to count yet.
    let fresh = kind == kind::OPENED || kind == kind::LISTENING;
    let port = if entry.local_port != 0 {
        entry.local_port
    } else {
        sock.local_port()
    };
    // SAFETY: `record` is a whole record in the ring or on the stack; every field is written, in its order.
    unsafe {
        (&raw mut (*record).header).write(header::<SocketRecord>(kind, at_ns));
        (&raw mut (*record).socket).write(sock.address());
        (&raw mut (*record).first_seen_ns).write(entry.first_seen_ns);
        (&raw mut (*record).owner).write(entry.owner);
        (&raw mut (*record).local_addr).cast::<[u64; 2]>().write(local);
        (&raw mut (*record).remote_addr).cast::<[u64; 2]>().write(remote);
        (&raw mut (*record).local_port).write(port);
        (&raw mut (*record).remote_port).write(sock.remote_port());
        (&raw mut (*record).role).write(entry.role);
        (&raw mut (*record).flags).write(flags);
        (&raw mut (*record).state).write(state);
        (&raw mut (*record).family).write(family as u8);
        let error = sock.error(kind == kind::FAILED);
        let error = if error == 0 { entry.error } else { error };
        (&raw mut (*record).error).write(error);
        let counters = if fresh || !counted {
            Counters::default()
        } else {
            sock.counters()
        };
        (&raw mut (*record).rtt_us).write(counters.rtt_us);
        (&raw mut (*record).sent_bytes).write(counters.sent_bytes);
        (&raw mut (*record).received_bytes).write(counters.received_bytes);
        (&raw mut (*record).retransmits).write(counters.retransmits);
        (&raw mut (*record).fd).write(0);
        (&raw mut (*record).ifindex).write(sock.ifindex());
        (&raw mut (*record).pad).write(0);
        (&raw mut (*record).mptcp).write(sock.mptcp());
    }
}

/// Delivers a record of `sock`.
#[inline(always)]
pub(crate) fn report<S: Socket>(sock: &S, kind: u8, at_ns: u64, entry: &SocketEntry, state: u8) {
    if !deliver::<SocketRecord>(|record| fill(record, sock, kind, at_ns, entry, state)) {
        count!(lost_socket);
    }
}

/// Gives a remembered socket the owner that its hook has found.
#[inline(always)]
pub(crate) fn adopt(entry: &mut SocketEntry, owner: Owner) {
    entry.owner = owner;
    entry.flags |= flag::OWNER;
}
