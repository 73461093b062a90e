//! One signal to bytes and back.
#![forbid(unsafe_code)]

use serde::{Serialize, de::DeserializeOwned};
use tracer_common::counters::Counters;
use zerocopy::{FromBytes, IntoBytes};

use super::{End, Limit, SIGNAL_MAX};
use crate::signal::{
    Degraded, ProcessFacts, Session, Signal,
    host::HostFacts,
    inventory::{Inventory, SourceState},
    nat::NatFacts,
    program::ProgramState,
};

/// Tag and length.
pub(super) const PREFIX: usize = 5;

/// Never reused: the numbers are in recordings.
mod tag {
    pub(super) const START: u8 = 1;
    pub(super) const RECORD: u8 = 2;
    pub(super) const SNAPSHOT_BEGIN: u8 = 3;
    pub(super) const ROW: u8 = 4;
    pub(super) const REMEMBERED: u8 = 5;
    pub(super) const SNAPSHOT_END: u8 = 6;
    pub(super) const PROCESS: u8 = 7;
    pub(super) const COUNTERS: u8 = 8;
    pub(super) const DEGRADED: u8 = 9;
    pub(super) const CANARY: u8 = 10;
    pub(super) const TICK: u8 = 11;
    pub(super) const CGROUP: u8 = 12;
    pub(super) const INVENTORY: u8 = 13;
    pub(super) const NAT: u8 = 14;
    pub(super) const SOURCE: u8 = 15;
    pub(super) const HOST: u8 = 16;
    pub(super) const PROGRAMS: u8 = 17;
    pub(super) const END: u8 = 255;
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The block's header does not match its own checksum, or its place.
    #[error("its header does not match its checksum")]
    Header,
    /// The header names sizes that no recorder writes.
    #[error("its header names a size that no recorder writes")]
    Size,
    /// zstd refuses the content, checksum included.
    #[error("its content does not decompress or does not match its checksum")]
    Content,
    /// A signal reaches past the end of its block.
    #[error("a signal reaches past its end")]
    Length,
    /// A tag that this format version does not have.
    #[error("it holds a signal with the unknown tag {0}")]
    Tag(u8),
    /// The payload is not what the tag says.
    #[error("the payload of a signal with tag {0} is malformed")]
    Payload(u8),
    /// Something follows the end marker.
    #[error("something follows the end of the recording")]
    AfterEnd,
    /// The end marker counts another number of signals.
    #[error("the end of the recording counts {counted} signals, but {found} were found")]
    Count {
        /// By the end marker.
        counted: u64,
        /// Read until there.
        found: u64,
    },
}

/// A signal too long to be recorded; its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) usize);

/// Appends `signal` to `out`; leaves `out` as it was when that fails.
pub(super) fn encode(signal: &Signal<'_>, out: &mut Vec<u8>) -> Result<(), TooLong> {
    match *signal {
        Signal::Start(session) => json(tag::START, session, out),
        Signal::Record(bytes) => put(tag::RECORD, &[bytes], out),
        Signal::SnapshotBegin { at_ns } => put(tag::SNAPSHOT_BEGIN, &[&at_ns.to_le_bytes()], out),
        Signal::Row(bytes) => put(tag::ROW, &[bytes], out),
        Signal::Remembered(pairs) => {
            let length = pairs.len().saturating_mul(16);
            prefix(tag::REMEMBERED, length, out)?;
            for (address, first_seen_ns) in pairs {
                out.extend_from_slice(&address.to_le_bytes());
                out.extend_from_slice(&first_seen_ns.to_le_bytes());
            }
            Ok(())
        }
        Signal::SnapshotEnd { at_ns, complete } => put(
            tag::SNAPSHOT_END,
            &[&at_ns.to_le_bytes(), &[u8::from(complete)]],
            out,
        ),
        Signal::Process(facts) => json(tag::PROCESS, facts, out),
        Signal::Counters(counters) => put(tag::COUNTERS, &[counters.as_bytes()], out),
        Signal::Degraded(degraded) => json(tag::DEGRADED, degraded, out),
        Signal::Canary { port, at_ns } => put(tag::CANARY, &[&port.to_le_bytes(), &at_ns.to_le_bytes()], out),
        Signal::Tick { at_ns } => put(tag::TICK, &[&at_ns.to_le_bytes()], out),
        Signal::Cgroup { id, path } => put(tag::CGROUP, &[&id.to_le_bytes(), path.as_bytes()], out),
        Signal::Inventory(inventory) => json(tag::INVENTORY, inventory, out),
        Signal::Nat(nat) => json(tag::NAT, nat, out),
        Signal::Source(state) => json(tag::SOURCE, state, out),
        Signal::Host(facts) => json(tag::HOST, facts, out),
        Signal::Programs(programs) => json(tag::PROGRAMS, &programs, out),
    }
}

/// Appends the end marker: how it ended and how many signals came before.
pub(super) fn encode_end(end: End, signals: u64, out: &mut Vec<u8>) {
    let reason = match end {
        End::Finished => 0,
        End::Limit(Limit::Size) => 1,
        End::Limit(Limit::Time) => 2,
    };
    out.push(tag::END);
    out.extend_from_slice(&9_u32.to_le_bytes());
    out.push(reason);
    out.extend_from_slice(&signals.to_le_bytes());
}

fn prefix(tag: u8, length: usize, out: &mut Vec<u8>) -> Result<(), TooLong> {
    match u32::try_from(length) {
        Ok(short) if length <= SIGNAL_MAX => {
            out.push(tag);
            out.extend_from_slice(&short.to_le_bytes());
            Ok(())
        }
        _ => Err(TooLong(length)),
    }
}

fn put(tag: u8, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<(), TooLong> {
    prefix(tag, parts.iter().map(|part| part.len()).sum(), out)?;
    for part in parts {
        out.extend_from_slice(part);
    }
    Ok(())
}

fn json(tag: u8, value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), TooLong> {
    let begin = out.len();
    prefix(tag, 0, out)?;
    // Writing to memory cannot fail, and these structs have nothing that JSON has not.
    let written = serde_json::to_writer(&mut *out, value);
    let length = out.len().saturating_sub(begin).saturating_sub(PREFIX);
    let room = out
        .get_mut(begin.saturating_add(1)..)
        .and_then(|tail| tail.first_chunk_mut::<4>());
    match (written, u32::try_from(length), room) {
        (Ok(()), Ok(short), Some(room)) if length <= SIGNAL_MAX => {
            *room = short.to_le_bytes();
            Ok(())
        }
        _ => {
            out.truncate(begin);
            Err(TooLong(length))
        }
    }
}

/// What decoded signals borrow from, reused from signal to signal.
#[derive(Debug, Default)]
pub(super) struct Slots {
    session: Session,
    process: ProcessFacts,
    degraded: Option<Degraded>,
    counters: Counters,
    remembered: Vec<(u64, u64)>,
    inventory: Option<Inventory>,
    nat: Option<NatFacts>,
    source: Option<SourceState>,
    host: Option<HostFacts>,
    programs: Vec<ProgramState>,
}

/// Splits the next signal off `plain`: its tag and its payload.
pub(super) fn split(plain: &[u8]) -> Result<(u8, &[u8]), Damage> {
    let Some(([tag, length @ ..], rest)) = plain.split_first_chunk::<PREFIX>() else {
        return Err(Damage::Length);
    };
    let length = u32::from_le_bytes(*length) as usize;
    let payload = rest.get(..length).ok_or(Damage::Length)?;
    Ok((*tag, payload))
}

/// The end marker, if that is what `tag` says, with the number of signals it counted.
pub(super) fn decode_end(tag: u8, payload: &[u8]) -> Result<Option<(End, u64)>, Damage> {
    if tag != tag::END {
        return Ok(None);
    }
    let malformed = Damage::Payload(tag);
    let (reason, count) = payload.split_first().ok_or(malformed)?;
    let end = match reason {
        0 => End::Finished,
        1 => End::Limit(Limit::Size),
        2 => End::Limit(Limit::Time),
        _ => return Err(malformed),
    };
    Ok(Some((end, u64_of(tag, count)?)))
}

/// The signal that `tag` and `payload` hold.
pub(super) fn decode<'a>(tag: u8, payload: &'a [u8], slots: &'a mut Slots) -> Result<Signal<'a>, Damage> {
    Ok(match tag {
        tag::START => {
            slots.session = from_json(tag, payload)?;
            Signal::Start(&slots.session)
        }
        tag::RECORD => Signal::Record(payload),
        tag::SNAPSHOT_BEGIN => Signal::SnapshotBegin {
            at_ns: u64_of(tag, payload)?,
        },
        tag::ROW => Signal::Row(payload),
        tag::REMEMBERED => {
            let (pairs, []) = payload.as_chunks::<16>() else {
                return Err(Damage::Payload(tag));
            };
            slots.remembered.clear();
            slots.remembered.extend(pairs.iter().map(|pair| {
                let value = u128::from_le_bytes(*pair);
                #[expect(clippy::cast_possible_truncation, reason = "the two halves of 16 bytes")]
                (value as u64, (value >> 64) as u64)
            }));
            Signal::Remembered(&slots.remembered)
        }
        tag::SNAPSHOT_END => {
            let (complete, at) = payload.split_last().ok_or(Damage::Payload(tag))?;
            let complete = match complete {
                0 => false,
                1 => true,
                _ => return Err(Damage::Payload(tag)),
            };
            Signal::SnapshotEnd {
                at_ns: u64_of(tag, at)?,
                complete,
            }
        }
        tag::PROCESS => {
            slots.process = from_json(tag, payload)?;
            Signal::Process(&slots.process)
        }
        tag::COUNTERS => {
            // A wrong length is the only way to fail.
            slots.counters = Counters::read_from_bytes(payload).map_err(|_length| Damage::Payload(tag))?;
            Signal::Counters(&slots.counters)
        }
        tag::DEGRADED => Signal::Degraded(slots.degraded.insert(from_json(tag, payload)?)),
        tag::CANARY => {
            let (port, at) = payload.split_first_chunk().ok_or(Damage::Payload(tag))?;
            Signal::Canary {
                port: u16::from_le_bytes(*port),
                at_ns: u64_of(tag, at)?,
            }
        }
        tag::TICK => Signal::Tick {
            at_ns: u64_of(tag, payload)?,
        },
        tag::CGROUP => {
            let malformed = Damage::Payload(tag);
            let (id, path) = payload.split_first_chunk().ok_or(malformed)?;
            Signal::Cgroup {
                id: u64::from_le_bytes(*id),
                path: std::str::from_utf8(path).map_err(|_text| malformed)?,
            }
        }
        tag::INVENTORY => Signal::Inventory(slots.inventory.insert(from_json(tag, payload)?)),
        tag::NAT => Signal::Nat(slots.nat.insert(from_json(tag, payload)?)),
        tag::SOURCE => Signal::Source(slots.source.insert(from_json(tag, payload)?)),
        tag::HOST => Signal::Host(slots.host.insert(from_json(tag, payload)?)),
        tag::PROGRAMS => {
            slots.programs = from_json(tag, payload)?;
            Signal::Programs(&slots.programs)
        }
        unknown => return Err(Damage::Tag(unknown)),
    })
}

fn u64_of(tag: u8, payload: &[u8]) -> Result<u64, Damage> {
    payload
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(|_length| Damage::Payload(tag))
}

fn from_json<T: DeserializeOwned>(tag: u8, payload: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(payload).map_err(|_malformed| Damage::Payload(tag))
}
