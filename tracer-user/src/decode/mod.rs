//! Bytes of a record to an [`Event`]: every refusal has a reason, nothing panics, nothing is trusted.
#![forbid(unsafe_code)]

mod net;
#[cfg(test)]
mod tests;

use tracer_common::wire::{
    CgroupRecord, ProcessRecord, RecordHeader, SocketRecord, WIRE_VERSION, flag, kind, role,
};
use zerocopy::FromBytes;

use crate::event::{
    CgroupEvent, Comm, Counters, Event, Owner, ProcessEvent, Role, SocketEvent, SocketId, TcpState, What,
};

/// Why a record was refused. Counted; what was good before and after it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than its kind needs.
    #[error("a record of {got} bytes where {need} are needed")]
    Short {
        /// Bytes there.
        got: usize,
        /// Bytes needed.
        need: usize,
    },
    /// Written by another version of the programs.
    #[error("a record of wire version {0}; this program reads {WIRE_VERSION}")]
    Version(u8),
    /// Of a kind this program does not know.
    #[error("a record of the unknown kind {0}")]
    Kind(u8),
    /// A field holds a value that has no meaning.
    #[error("a record whose {field} is {value}, which means nothing")]
    Field {
        /// Name in the wire struct.
        field: &'static str,
        /// What it holds.
        value: u32,
    },
}

/// Decodes one record. Bytes after it are ignored: the ring pads.
///
/// # Errors
/// [`DecodeError`] says why it was refused.
pub fn decode(raw: &[u8]) -> Result<Event, DecodeError> {
    let header: RecordHeader = view(raw)?;
    if header.version != WIRE_VERSION {
        return Err(DecodeError::Version(header.version));
    }
    match header.kind {
        kind::OPENED..=kind::SEEN => socket(&view(raw)?).map(Event::Socket),
        kind::EXEC | kind::EXIT => Ok(Event::Process(process(&view(raw)?))),
        kind::CGROUP_MADE | kind::CGROUP_REMOVED => Ok(Event::Cgroup(cgroup(&view(raw)?))),
        unknown => Err(DecodeError::Kind(unknown)),
    }
}

/// A copy of the `T` at the start of `raw`, however it is aligned.
fn view<T: FromBytes>(raw: &[u8]) -> Result<T, DecodeError> {
    match T::read_from_prefix(raw) {
        Ok((record, _rest)) => Ok(record),
        Err(_short) => Err(DecodeError::Short {
            got: raw.len(),
            need: size_of::<T>(),
        }),
    }
}

fn socket(record: &SocketRecord) -> Result<SocketEvent, DecodeError> {
    let what = match record.header.kind {
        kind::OPENED => What::Opened,
        kind::ACCEPTED => What::Accepted,
        kind::FAILED => What::Failed,
        kind::CLOSED => What::Closed,
        kind::LISTENING => What::Listening,
        kind::UNLISTENED => What::Unlistened,
        kind::SEEN => What::Seen,
        unknown => return Err(DecodeError::Kind(unknown)),
    };
    let state = TcpState::from_kernel(record.state).ok_or(DecodeError::Field {
        field: "state",
        value: u32::from(record.state),
    })?;
    let role = match record.role {
        role::UNKNOWN => Role::Unknown,
        role::ACTIVE => Role::Active,
        role::PASSIVE => Role::Passive,
        role::LISTENER => Role::Listener,
        unknown => {
            return Err(DecodeError::Field {
                field: "role",
                value: u32::from(unknown),
            });
        }
    };
    let has = |bit: u8| record.flags & bit != 0;
    Ok(SocketEvent {
        what,
        at_ns: record.header.at_ns,
        id: SocketId {
            address: record.socket,
            first_seen_ns: record.first_seen_ns,
        },
        owner: has(flag::OWNER).then(|| owner(&record.owner)),
        owner_closed_it: has(flag::CLOSER),
        netns: record.owner.netns,
        local: net::address(record.local_addr, record.local_port),
        remote: net::address(record.remote_addr, record.remote_port),
        role,
        found: has(flag::FOUND),
        state,
        family_v6: record.family == net::AF_INET6,
        errno: has(flag::ERROR).then_some(record.error),
        counters: has(flag::COUNTERS).then(|| counters(record)),
        fd: record.fd,
        ifindex: record.ifindex,
        mptcp: record.mptcp,
    })
}

const fn owner(owner: &tracer_common::wire::Owner) -> Owner {
    Owner {
        tgid: owner.tgid,
        tid: owner.tid,
        uid: owner.uid,
        cgroup_id: owner.cgroup_id,
        comm: Comm(owner.comm),
    }
}

const fn counters(record: &SocketRecord) -> Counters {
    Counters {
        sent_bytes: record.sent_bytes,
        received_bytes: record.received_bytes,
        rtt_us: record.rtt_us,
        retransmits: record.retransmits,
    }
}

fn process(record: &ProcessRecord) -> ProcessEvent {
    ProcessEvent {
        exit: record.header.kind == kind::EXIT,
        at_ns: record.header.at_ns,
        tgid: record.tgid,
        parent_tgid: record.parent_tgid,
        uid: record.uid,
        start_ns: record.start_ns,
        cgroup_id: record.cgroup_id,
        comm: Comm(record.comm),
        filename: text(&record.filename),
        arg0: text(&record.arg0),
        exe: (record.exe_inode != 0).then_some((record.exe_dev, record.exe_inode)),
        file_name: text(&record.file_name),
    }
}

fn cgroup(record: &CgroupRecord) -> CgroupEvent {
    CgroupEvent {
        removed: record.header.kind == kind::CGROUP_REMOVED,
        at_ns: record.header.at_ns,
        id: record.cgroup_id,
        hierarchy: record.hierarchy,
        path: text(&record.path),
    }
}

/// The bytes before the first NUL, with what is not UTF-8 replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}
