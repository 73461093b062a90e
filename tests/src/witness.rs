//! What the kernel's own tables say about the sockets of a namespace: the witness that the tracer is compared with.

use crate::netns::Netns;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`.
pub const ESTABLISHED: u8 = 1;
/// `TCP_LISTEN`
pub const LISTEN: u8 = 10;

/// One line of /proc/net/tcp or /proc/net/tcp6. Mapped IPv4 addresses are shown as IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// This end.
    pub local: SocketAddr,
    /// The other end; port 0 while listening.
    pub remote: SocketAddr,
    /// A number of `include/net/tcp_states.h`.
    pub state: u8,
    /// The socket's inode, as `/proc/PID/fd` shows it; 0 when no process holds it.
    pub inode: u64,
}

/// All TCP sockets of a namespace.
pub fn sockets(netns: &Netns) -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for table in ["tcp", "tcp6"] {
        // Not /proc/net, which is the namespace of the process's first thread.
        let path = format!("/proc/thread-self/net/{table}");
        let text = netns
            .inside(|| fs::read_to_string(&path))?
            .with_context(|| format!("cannot read {path}"))?;
        for line in text.lines().skip(1) {
            sockets.push(parse(line).with_context(|| format!("{path} has the line: {line}"))?);
        }
    }
    Ok(sockets)
}

/// The socket inodes that each of the processes holds.
pub fn owners(pids: &[u32]) -> Result<BTreeMap<u64, u32>> {
    let mut owners = BTreeMap::new();
    for pid in pids {
        let directory = format!("/proc/{pid}/fd");
        for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))? {
            let Ok(target) = fs::read_link(entry?.path()) else {
                continue;
            };
            let target = target.to_string_lossy();
            let inode = target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode {
                owners.insert(inode.parse()?, *pid);
            }
        }
    }
    Ok(owners)
}

fn parse(line: &str) -> Result<Socket> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let field = |index: usize| {
        fields
            .get(index)
            .copied()
            .with_context(|| format!("field {index} is missing"))
    };
    Ok(Socket {
        local: address(field(1)?)?,
        remote: address(field(2)?)?,
        state: u8::from_str_radix(field(3)?, 16)?,
        inode: field(9)?.parse()?,
    })
}

/// `0100007F:0947`: the address as 32-bit words in host order, the port in hexadecimal.
fn address(text: &str) -> Result<SocketAddr> {
    let (address, port) = text.split_once(':').context("no port")?;
    let port = u16::from_str_radix(port, 16)?;
    let mut octets = Vec::with_capacity(16);
    for word in 0..address.len() / 8 {
        let word = address
            .get(word * 8..word * 8 + 8)
            .context("an address of odd length")?;
        octets.extend(u32::from_str_radix(word, 16)?.to_ne_bytes());
    }
    let address = match <[u8; 4]>::try_from(octets.as_slice()) {
        Ok(octets) => IpAddr::from(octets),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(octets.as_slice())?).to_canonical(),
    };
    Ok(SocketAddr::new(address, port))
}
