//! The messages of `NETLINK_NETFILTER` about connection tracking: requests, and what the kernel tells. Pure.
//!
//! Layouts: `include/uapi/linux/netfilter/{nfnetlink,nfnetlink_conntrack}.h`. Headers speak the machine's byte order,
//! attributes the network's.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;

/// `NFNL_SUBSYS_CTNETLINK << 8` with each `IPCTNL_MSG_CT_*`.
const CT_NEW: u16 = 0x100;
const CT_GET: u16 = 0x101;
const CT_DELETE: u16 = 0x102;
const CT_GET_STATS: u16 = 0x105;

pub(super) const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
pub(super) const CTA_STATUS: u16 = 3;
const CTA_TUPLE_IP: u16 = 1;
pub(super) const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
pub(super) const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_STATS_GLOBAL_ENTRIES: u16 = 1;

/// `IPS_SRC_NAT | IPS_DST_NAT`.
pub(super) const TRANSLATED: u32 = 0b11_0000;
pub(super) const IPPROTO_TCP: u8 = 6;
/// `NLA_F_NESTED | NLA_F_NET_BYTEORDER` are no part of an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

const HEADER: usize = 16;
/// `struct nfgenmsg`.
const FAMILY: usize = 4;
/// Where the attributes of a message that is alone in its datagram begin.
pub(super) const ATTRIBUTES: u32 = 20;
const REQUEST: usize = HEADER + FAMILY;

/// A request as bytes.
pub(super) type Request = [u8; REQUEST];

/// One translated TCP connection. A tuple is its source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) original: (SocketAddr, SocketAddr),
    pub(super) reply: (SocketAddr, SocketAddr),
}

/// What the kernel told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The entry exists.
    Here(Entry),
    /// It exists no more.
    Gone(Entry),
    /// So many entries of any kind are in the table.
    Entries(u32),
}

/// Whether the answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    More,
    Done,
}

/// Why an answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("malformed netlink message at byte {at}: {what}")]
    Malformed { at: usize, what: &'static str },
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Refused(i32),
}

/// Asks for all entries of all families.
pub(super) fn dump(sequence: u32) -> Request {
    request(CT_GET, NLM_F_REQUEST | NLM_F_DUMP, sequence)
}

/// Asks how many entries there are.
pub(super) fn count(sequence: u32) -> Request {
    request(CT_GET_STATS, NLM_F_REQUEST, sequence)
}

/// A header, and a family of 0: any.
fn request(kind: u16, flags: u16, sequence: u32) -> Request {
    let mut out = [0; REQUEST];
    #[expect(clippy::cast_possible_truncation, reason = "20")]
    let length = (REQUEST as u32).to_ne_bytes();
    let [kind, flags] = [kind.to_ne_bytes(), flags.to_ne_bytes()];
    let header = length.into_iter().chain(kind).chain(flags);
    for (room, byte) in out.iter_mut().zip(header.chain(sequence.to_ne_bytes())) {
        *room = byte;
    }
    out
}

/// Passes everything of interest in `datagram` to `each`: part of the answer to request `sequence`, or, without one, news.
/// Connections that are not TCP, or not translated, are of none.
pub(super) fn parse(
    datagram: &[u8],
    sequence: Option<u32>,
    mut each: impl FnMut(Item),
) -> Result<Answer, AnswerError> {
    let mut at = 0_usize;
    while at < datagram.len() {
        let begin = at;
        let malformed = |what| AnswerError::Malformed { at: begin, what };
        let rest = datagram.get(at..).unwrap_or_default();
        let head = (u32_at(rest, 0), u16_at(rest, 4), u32_at(rest, 8));
        let (Some(length), Some(kind), Some(found)) = head else {
            return Err(malformed("a cut header"));
        };
        let length = length as usize;
        let body = rest
            .get(HEADER..length)
            .ok_or_else(|| malformed("a length outside the datagram"))?;
        // A length below the header's would give no body; what follows is aligned to 4.
        at = at.saturating_add(length.next_multiple_of(4));
        if sequence.is_some_and(|sequence| found != sequence) {
            continue;
        }
        let attributes = body.get(FAMILY..).unwrap_or_default();
        match kind {
            NLMSG_DONE | NLMSG_ERROR => {
                let errno = u32_at(body, 0).map_or(0, u32::cast_signed);
                return if errno < 0 {
                    Err(AnswerError::Refused(errno.saturating_neg()))
                } else {
                    Ok(Answer::Done)
                };
            }
            CT_NEW => entry(attributes).map(Item::Here).into_iter().for_each(&mut each),
            CT_DELETE => entry(attributes).map(Item::Gone).into_iter().for_each(&mut each),
            CT_GET_STATS => {
                let entries = number(attributes, CTA_STATS_GLOBAL_ENTRIES)
                    .ok_or_else(|| malformed("no number of entries"))?;
                each(Item::Entries(entries));
                return Ok(Answer::Done);
            }
            // No-operations, and what later kernels may add.
            _ => {}
        }
    }
    Ok(Answer::More)
}

/// The entry if it is TCP and translated. One that cannot be read is none: what tables hold is the kernel's affair.
fn entry(attributes: &[u8]) -> Option<Entry> {
    if number(attributes, CTA_STATUS).is_some_and(|status| status & TRANSLATED == 0) {
        return None;
    }
    let original = tuple(attribute(attributes, CTA_TUPLE_ORIG)?)?;
    let reply = tuple(attribute(attributes, CTA_TUPLE_REPLY)?)?;
    (reply != (original.1, original.0)).then_some(Entry { original, reply })
}

/// Source and destination.
fn tuple(attributes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let proto = attribute(attributes, CTA_TUPLE_PROTO)?;
    if attribute(proto, CTA_PROTO_NUM)? != [IPPROTO_TCP].as_slice() {
        return None;
    }
    let port = |kind| attribute(proto, kind)?.try_into().ok().map(u16::from_be_bytes);
    let ip = attribute(attributes, CTA_TUPLE_IP)?;
    let end = |v4, v6, source_or_destination| {
        Some(SocketAddr::new(
            address(ip, v4, v6)?,
            port(source_or_destination)?,
        ))
    };
    Some((
        end(CTA_IP_V4_SRC, CTA_IP_V6_SRC, CTA_PROTO_SRC_PORT)?,
        end(CTA_IP_V4_DST, CTA_IP_V6_DST, CTA_PROTO_DST_PORT)?,
    ))
}

/// IPv4-mapped addresses are IPv4, as everywhere in the program.
fn address(attributes: &[u8], v4: u16, v6: u16) -> Option<IpAddr> {
    if let Some(bytes) = attribute(attributes, v4) {
        let octets: [u8; 4] = bytes.try_into().ok()?;
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    let octets: [u8; 16] = attribute(attributes, v6)?.try_into().ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
}

fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    attribute(attributes, kind)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}

/// The payload of the first attribute of `kind`.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        let payload = attributes.get(4..length)?;
        if u16_at(attributes, 2)? & TYPE_MASK == kind {
            return Some(payload);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}
