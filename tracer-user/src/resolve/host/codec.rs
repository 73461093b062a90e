//! The messages of `NETLINK_ROUTE` about addresses of interfaces: the request, and what the kernel answers. Pure.
//!
//! Layouts: `include/uapi/linux/{netlink,rtnetlink,if_addr}.h`, in the machine's byte order.
#![forbid(unsafe_code)]

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct ifaddrmsg`.
const BODY: usize = 8;

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) interface: u32,
    pub(super) address: IpAddr,
}

/// Whether the answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    More,
    Done,
}

/// A request for all addresses of both families.
pub(super) fn dump(sequence: u32) -> [u8; HEADER + BODY] {
    let mut request = [0; HEADER + BODY];
    let length = u32::try_from(HEADER + BODY).unwrap_or(0).to_ne_bytes();
    let kind = RTM_GETADDR.to_ne_bytes();
    let flags = (NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes();
    let bytes = length
        .into_iter()
        .chain(kind)
        .chain(flags)
        .chain(sequence.to_ne_bytes());
    request.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    request
}

/// Passes the addresses of a datagram to `each`; messages of another `sequence` are not for us.
pub(super) fn parse(datagram: &[u8], sequence: u32, mut each: impl FnMut(Address)) -> io::Result<Answer> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let (length, kind, number) = header(rest).ok_or(io::ErrorKind::InvalidData)?;
        let message = rest.get(..length).ok_or(io::ErrorKind::InvalidData)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        if number != sequence {
            continue;
        }
        let body = message.get(HEADER..).unwrap_or_default();
        match kind {
            NLMSG_DONE => return Ok(Answer::Done),
            NLMSG_ERROR => {
                let code = u32_at(body, 0).ok_or(io::ErrorKind::InvalidData)?.cast_signed();
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            RTM_NEWADDR => {
                if let Some(address) = address(body) {
                    each(address);
                }
            }
            _ => {}
        }
    }
    Ok(Answer::More)
}

/// Length, type and sequence number.
fn header(bytes: &[u8]) -> Option<(usize, u16, u32)> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let kind = u16_at(bytes, 4)?;
    (length >= HEADER).then_some((length, kind, u32_at(bytes, 8)?))
}

/// `IFA_LOCAL` where there is one: on a point-to-point interface `IFA_ADDRESS` is the other side's.
fn address(body: &[u8]) -> Option<Address> {
    let family = *body.first()?;
    let interface = u32_at(body, 4)?;
    let (mut local, mut any) = (None, None);
    let mut rest = body.get(BODY..)?;
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let length = usize::from(length);
        let payload = rest.get(4..length)?;
        match kind {
            IFA_LOCAL => local = ip(family, payload),
            IFA_ADDRESS => any = ip(family, payload),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Address {
        interface,
        address: local.or(any)?,
    })
}

fn ip(family: u8, payload: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(payload).ok()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(payload).ok()?).into()),
        _ => None,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u16::from_ne_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_ne_bytes(*bytes))
}
