//! The few routing-netlink requests that the tests' namespaces need. Layouts: rtnetlink(7), linux/rtnetlink.h.

use anyhow::{Context, Result, bail};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

/// `NLM_F_REQUEST | NLM_F_ACK`: every request is answered, with 0 or an errno.
const REQUEST: u16 = 0x1 | 0x4;
/// `NLM_F_CREATE | NLM_F_EXCL`
const CREATE: u16 = 0x400 | 0x200;
/// Answers of type `NLMSG_ERROR` carry the errno.
const NLMSG_ERROR: u16 = 2;
const HEADER_LENGTH: usize = 16;

const IFF_UP: u32 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Without it an IPv6 address is unusable until duplicate detection has ended, a second later.
const IFA_F_NODAD: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const RTN_UNREACHABLE: u8 = 7;
const RTN_PROHIBIT: u8 = 8;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A socket that speaks to the kernel about the namespace it was opened in.
pub(crate) struct Rtnetlink(OwnedFd);

impl Rtnetlink {
    /// Opens it in the calling thread's namespace.
    pub(crate) fn open() -> Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )
        .context("cannot open a netlink socket")?;
        Ok(Self(socket))
    }

    /// Brings a device up.
    pub(crate) fn link_up(&self, device: &str) -> Result<()> {
        let body = link_header(self.index(device)?, IFF_UP);
        self.ask(RTM_NEWLINK, REQUEST, &body)
            .with_context(|| format!("cannot bring {device} up"))
    }

    /// Adds an address to a device.
    pub(crate) fn add_address(&self, device: &str, address: IpAddr, prefix: u8) -> Result<()> {
        let flags = if address.is_ipv6() { IFA_F_NODAD } else { 0 };
        let mut body = vec![family(address), prefix, flags, 0];
        body.extend(self.index(device)?.to_ne_bytes());
        attribute(&mut body, IFA_LOCAL, &octets(address));
        attribute(&mut body, IFA_ADDRESS, &octets(address));
        self.ask(RTM_NEWADDR, REQUEST | CREATE, &body)
            .with_context(|| format!("cannot add {address}/{prefix} to {device}"))
    }

    /// Makes a pair of virtual Ethernet devices, one of them in the namespace `other`.
    pub(crate) fn add_veth(&self, device: &str, other: BorrowedFd<'_>, other_device: &str) -> Result<()> {
        let mut peer = link_header(0, 0);
        attribute(&mut peer, IFLA_IFNAME, &c_string(other_device));
        attribute(&mut peer, IFLA_NET_NS_FD, &other.as_raw_fd().to_ne_bytes());
        let mut data = Vec::new();
        attribute(&mut data, VETH_INFO_PEER, &peer);
        let mut info = Vec::new();
        attribute(&mut info, IFLA_INFO_KIND, b"veth");
        attribute(&mut info, IFLA_INFO_DATA, &data);
        let mut body = link_header(0, 0);
        attribute(&mut body, IFLA_IFNAME, &c_string(device));
        attribute(&mut body, IFLA_LINKINFO, &info);
        self.ask(RTM_NEWLINK, REQUEST | CREATE, &body)
            .with_context(|| format!("cannot make the veth pair {device}, {other_device}"))
    }

    /// Adds a route through a gateway.
    pub(crate) fn route_via(&self, destination: IpAddr, prefix: u8, gateway: IpAddr) -> Result<()> {
        let mut body = route_header(destination, prefix, RTN_UNICAST);
        attribute(&mut body, RTA_GATEWAY, &octets(gateway));
        self.ask(RTM_NEWROUTE, REQUEST | CREATE, &body)
            .with_context(|| format!("cannot route {destination}/{prefix} via {gateway}"))
    }

    /// Adds a route that answers "host unreachable".
    pub(crate) fn route_unreachable(&self, destination: IpAddr, prefix: u8) -> Result<()> {
        let body = route_header(destination, prefix, RTN_UNREACHABLE);
        self.ask(RTM_NEWROUTE, REQUEST | CREATE, &body)
            .with_context(|| format!("cannot make {destination}/{prefix} unreachable"))
    }

    /// Adds a route that answers "administratively prohibited".
    pub(crate) fn route_prohibit(&self, destination: IpAddr, prefix: u8) -> Result<()> {
        let body = route_header(destination, prefix, RTN_PROHIBIT);
        self.ask(RTM_NEWROUTE, REQUEST | CREATE, &body)
            .with_context(|| format!("cannot prohibit {destination}/{prefix}"))
    }

    fn index(&self, device: &str) -> Result<u32> {
        name_to_index(&self.0, device).with_context(|| format!("there is no device {device}"))
    }

    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> Result<()> {
        let length = u32::try_from(HEADER_LENGTH + body.len())?;
        let mut message = Vec::from(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        // Sequence number and sender: one request at a time on this socket, so neither is needed.
        message.extend([0; 8]);
        message.extend(body);
        send(&self.0, &message, SendFlags::empty())?;

        let mut answer = [0_u8; 1024];
        let (received, _) = recv(&self.0, &mut answer, RecvFlags::empty())?;
        let answer = answer.get(..received).unwrap_or_default();
        let kind = answer
            .get(4..6)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u16::from_ne_bytes);
        let errno = answer
            .get(16..20)
            .and_then(|bytes| bytes.try_into().ok())
            .map(i32::from_ne_bytes);
        match (kind, errno) {
            (Some(NLMSG_ERROR), Some(0)) => Ok(()),
            (Some(NLMSG_ERROR), Some(errno)) => Err(std::io::Error::from_raw_os_error(-errno).into()),
            _ => bail!("netlink gave an answer of kind {kind:?}, {received} bytes long"),
        }
    }
}

/// `struct ifinfomsg`
fn link_header(index: u32, up: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(index.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    header
}

/// `struct rtmsg`
fn route_header(destination: IpAddr, prefix: u8, kind: u8) -> Vec<u8> {
    let mut header = vec![
        family(destination),
        prefix,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_STATIC,
        0,
        kind,
        0,
        0,
        0,
        0,
    ];
    attribute(&mut header, RTA_DST, &octets(destination));
    header
}

/// Appends a `struct rtattr` with its payload, padded to four bytes.
fn attribute(message: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let length = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(payload);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn c_string(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}
