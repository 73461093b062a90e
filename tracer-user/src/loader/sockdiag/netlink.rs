//! The messages of `NETLINK_SOCK_DIAG`: the request for all TCP sockets of a family, and its answers. Pure.
//!
//! Layouts: `include/uapi/linux/{netlink,sock_diag,inet_diag,tcp}.h`. Netlink speaks the machine's byte order, ports and
//! addresses the network's.
#![forbid(unsafe_code)]

use tracer_common::wire::role;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const FLAGS: u16 = 0x301;
/// The kernel lost its place because the table changed.
const DUMP_INTERRUPTED: u16 = 0x10;
const INET_DIAG_INFO: u16 = 2;
const IPPROTO_TCP: u8 = 6;
pub(super) const AF_INET: u8 = 2;
pub(super) const AF_INET6: u8 = 10;

/// Bits of the states 1 to 11 without `TIME_WAIT` (6) and CLOSE (7). Later numbers are not full sockets:
/// `NEW_SYN_RECV` (12) is a request, `BOUND_INACTIVE` (13) has no peer.
const STATES: u32 = 0b1111_0011_1110;

/// `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;

const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
const REQUEST: usize = HEADER + 56;

/// One socket as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) family: u8,
    pub(super) state: u8,
    /// IPv4 as `::ffff:a.b.c.d`.
    pub(super) local_addr: [u8; 16],
    pub(super) remote_addr: [u8; 16],
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    /// Of sockfs, unique over all namespaces; 0 when no file refers to the socket.
    pub(super) inode: u32,
    /// Device it is bound to; 0 for none, and where the kernel does not tell.
    pub(super) ifindex: u32,
    /// Absent where the kernel does not tell, and for listening sockets.
    pub(super) counters: Option<Counters>,
}

/// From `struct tcp_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) rtt_us: u32,
    pub(super) retransmits: u32,
    pub(super) received_bytes: u64,
    /// Without what was sent again.
    pub(super) sent_bytes: u64,
    /// How it came to its connection, by the SYN among the bytes acknowledged.
    pub(super) role: u8,
}

/// Why an answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("malformed netlink message at byte {at}: {what}")]
    Malformed { at: usize, what: &'static str },
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Refused(i32),
    #[error("the list changed while it was read")]
    Interrupted,
}

/// Whether the answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    More,
    Done,
}

/// Asks for all TCP sockets of `family`, with their `tcp_info`.
pub(super) fn request(family: u8, sequence: u32) -> [u8; REQUEST] {
    let mut out = [0; REQUEST];
    let mut header = Vec::with_capacity(HEADER + 8);
    #[expect(clippy::cast_possible_truncation, reason = "72")]
    header.extend((REQUEST as u32).to_ne_bytes());
    header.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    header.extend(FLAGS.to_ne_bytes());
    header.extend(sequence.to_ne_bytes());
    header.extend(0_u32.to_ne_bytes());
    header.extend([family, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    header.extend(STATES.to_ne_bytes());
    for (room, byte) in out.iter_mut().zip(header) {
        *room = byte;
    }
    out
}

/// Passes every socket in `datagram`, part of the answer to request `sequence`, to `each`.
pub(super) fn parse(
    datagram: &[u8],
    sequence: u32,
    mut each: impl FnMut(Socket),
) -> Result<Answer, AnswerError> {
    let mut at = 0_usize;
    while at < datagram.len() {
        let begin = at;
        let malformed = |what| AnswerError::Malformed { at: begin, what };
        let rest = datagram.get(at..).unwrap_or_default();
        let head = (u32_at(rest, 0), u16_at(rest, 4), u16_at(rest, 6), u32_at(rest, 8));
        let (Some(length), Some(kind), Some(flags), Some(found)) = head else {
            return Err(malformed("a cut header"));
        };
        let length = length as usize;
        let body = rest
            .get(HEADER..length)
            .ok_or_else(|| malformed("a length outside the datagram"))?;
        // A length below the header's would give no body; what follows is aligned to 4.
        at = at.saturating_add(length.next_multiple_of(4));
        if found != sequence {
            continue;
        }
        if flags & DUMP_INTERRUPTED != 0 {
            return Err(AnswerError::Interrupted);
        }
        match kind {
            NLMSG_DONE | NLMSG_ERROR => {
                let errno = u32_at(body, 0).map_or(0, u32::cast_signed);
                return if errno < 0 {
                    Err(AnswerError::Refused(errno.saturating_neg()))
                } else {
                    Ok(Answer::Done)
                };
            }
            SOCK_DIAG_BY_FAMILY => each(socket(body).ok_or_else(|| malformed("a cut socket"))?),
            // No-operations, and what later kernels may add.
            _ => {}
        }
    }
    Ok(Answer::More)
}

fn socket(body: &[u8]) -> Option<Socket> {
    let attributes = body.get(MESSAGE..)?;
    let (family, state) = (*body.first()?, *body.get(1)?);
    let info = attribute(attributes, INET_DIAG_INFO);
    Some(Socket {
        family,
        state,
        local_port: u16::from_be_bytes(*body.get(4..)?.first_chunk()?),
        remote_port: u16::from_be_bytes(*body.get(6..)?.first_chunk()?),
        local_addr: address(family, body.get(8..)?)?,
        remote_addr: address(family, body.get(24..)?)?,
        inode: u32_at(body, 68)?,
        ifindex: u32_at(body, 40)?,
        counters: if state == super::LISTEN {
            None
        } else {
            info.and_then(|info| counters(info, state))
        },
    })
}

/// The payload of the first attribute of `kind`. Malformed attributes end the search: they are extras.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let payload = attributes.get(4..length)?;
        if u16_at(attributes, 2)? == kind {
            return Some(payload);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// Absent before 4.19, whose `tcp_info` ends before `tcpi_bytes_sent`.
fn counters(info: &[u8], state: u8) -> Option<Counters> {
    let (sent, again) = (u64_at(info, 200)?, u64_at(info, 208)?);
    let (acked, received) = (u64_at(info, 120)?, u64_at(info, 128)?);
    let sent_bytes = sent.wrapping_sub(again);
    let settled = u32_at(info, 24)? == 0 && matches!(state, ESTABLISHED | CLOSE_WAIT);
    Some(Counters {
        rtt_us: u32_at(info, 68)?,
        retransmits: u32_at(info, 100)?,
        // The kernel counts the peer's FIN as a byte; a socket in FIN-WAIT-2 still waits for it.
        received_bytes: received.saturating_sub(u64::from(matches!(state, CLOSE_WAIT | LAST_ACK | CLOSING))),
        sent_bytes,
        // Who sent the SYN has one byte more acknowledged than sent, until its own FIN.
        role: match acked.wrapping_sub(sent_bytes) {
            1 if settled => role::ACTIVE,
            0 if settled => role::PASSIVE,
            _ => role::UNKNOWN,
        },
    })
}

fn address(family: u8, bytes: &[u8]) -> Option<[u8; 16]> {
    let whole: [u8; 16] = *bytes.first_chunk()?;
    if family == AF_INET6 {
        return Some(whole);
    }
    let [a, b, c, d, ..] = whole;
    Some(mapped([a, b, c, d]))
}

/// `::ffff:a.b.c.d`.
pub(super) const fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}
