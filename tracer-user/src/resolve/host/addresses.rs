//! Addresses of the host's interfaces, from rtnetlink: read whole, and again whenever one comes or goes.
#![forbid(unsafe_code)]

use std::{collections::BTreeSet, io, net::IpAddr, os::fd::OwnedFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netdevice::index_to_name,
        netlink::SocketAddrNetlink,
        recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};

use super::{
    codec::{self, Address, Answer},
    tell,
};
use crate::{
    resolve::{Over, Resolver, Teller, conntrack::spaces::Here},
    signal::{Degraded, host::HostFact},
};

/// Bits of `RTNLGRP_IPV4_IFADDR` (5) and `RTNLGRP_IPV6_IFADDR` (9).
const GROUPS: u32 = 1 << 4 | 1 << 8;
/// The kernel makes dumps of at most 32 KiB at a time.
const BUFFER: usize = 64 << 10;
/// A dump is made while it is read, so an answer that takes this long will not come.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the thread sleeps at most: it notices then that the run is over.
const SLEEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// News that come so close to each other are read together: each pod that comes or goes makes some.
const TOGETHER: Duration = Duration::from_millis(50);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(10);
/// Addresses kept. A node has some tens.
const ADDRESSES_MAX: usize = 16_384;
/// Where kube-proxy binds every service's address in its mode ipvs: they are services', not the node's.
const IPVS_DEVICE: &str = "kube-ipvs0";

/// The addresses of the host's network namespace.
#[derive(Debug)]
pub(super) struct Addresses;

impl Resolver for Addresses {
    fn name(&self) -> String {
        "node addresses".to_owned()
    }

    fn run(self: Box<Self>, teller: &Teller) {
        let mut known = BTreeSet::new();
        let mut failed = false;
        loop {
            let ended = match Netlink::open() {
                Ok(mut netlink) => watch(&mut netlink, &mut known, &mut failed, teller),
                Err(error) => Ok(error),
            };
            let Ok(error) = ended else { return };
            if !failed && teller.fails(fault(&error)).is_err() {
                return;
            }
            failed = true;
            if !teller.pause(AGAIN) {
                return;
            }
        }
    }
}

fn fault(error: &io::Error) -> Degraded {
    Degraded {
        what: "addresses of this node's interfaces are not known".to_owned(),
        why: format!("the kernel did not tell them: {error}"),
        remedy: "run with CAP_SYS_ADMIN, or in the host's network (hostNetwork: true)".to_owned(),
    }
}

/// Tells what changes until that fails.
fn watch(
    netlink: &mut Netlink,
    known: &mut BTreeSet<IpAddr>,
    failed: &mut bool,
    teller: &Teller,
) -> Result<io::Error, Over> {
    let mut first = true;
    loop {
        let now = match netlink.addresses() {
            Ok(now) => now,
            Err(error) => return Ok(error),
        };
        for address in known.difference(&now) {
            tell(teller, HostFact::AddressGone(*address))?;
        }
        for address in now.difference(known) {
            tell(teller, HostFact::Address(*address))?;
        }
        *known = now;
        if std::mem::take(&mut first) || *failed {
            teller.works()?;
            *failed = false;
        }
        loop {
            if teller.is_over() {
                return Err(Over);
            }
            match netlink.wait() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => return Ok(error),
            }
        }
        if !teller.pause(TOGETHER) {
            return Err(Over);
        }
        netlink.drop_news();
    }
}

/// Sockets in the host's network namespace, wherever the thread is.
pub(super) struct Netlink {
    news: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

fn socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let (mut here, host) = Here::find()?;
        here.enter(&host)?;
        let news = socket(SocketFlags::NONBLOCK)?;
        bind(&news, &SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self {
            news,
            buffer: vec![0; BUFFER],
            sequence: 0,
        })
    }

    /// What interfaces have now.
    pub(super) fn addresses(&mut self) -> io::Result<BTreeSet<IpAddr>> {
        let asker = socket(SocketFlags::empty())?;
        set_socket_timeout(&asker, Timeout::Recv, Some(TIMEOUT))?;
        self.sequence = self.sequence.wrapping_add(1).max(1);
        send(&asker, &codec::dump(self.sequence), SendFlags::empty())?;
        let mut found: Vec<Address> = Vec::new();
        loop {
            let (_filled, length) = match recv(&asker, &mut *self.buffer, RecvFlags::TRUNC) {
                Ok(received) => received,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let datagram = self.buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
            let answer = codec::parse(datagram, self.sequence, |address| {
                if found.len() < ADDRESSES_MAX {
                    found.push(address);
                }
            })?;
            if answer == Answer::Done {
                break;
            }
        }
        let mut services = BTreeSet::new();
        for index in found
            .iter()
            .map(|address| address.interface)
            .collect::<BTreeSet<u32>>()
        {
            // An interface that is gone meanwhile has no name, and soon no address.
            if index_to_name(&asker, index).is_ok_and(|name| name == IPVS_DEVICE) {
                services.insert(index);
            }
        }
        Ok(found
            .into_iter()
            .filter(|address| !services.contains(&address.interface) && is_one(address.address))
            .map(|address| address.address)
            .collect())
    }

    /// True when an address came or went, or news were lost.
    fn wait(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.news, PollFlags::IN)];
        match poll(&mut fds, Some(&SLEEP)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What they say is read from a dump.
    fn drop_news(&mut self) {
        loop {
            match recv(&self.news, &mut *self.buffer, RecvFlags::empty()) {
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(_nothing_left) => return,
            }
        }
    }
}

/// Whether an address means one interface of one node: those of loopback and of a link are everybody's.
fn is_one(address: IpAddr) -> bool {
    let of_a_link = match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !of_a_link
}
