//! `/proc/PID/net/tcp` and `tcp6`: sockets without counters, for namespaces that cannot be entered. Pure.
//!
//! Format: `Documentation/networking/proc_net_tcp.rst`.
#![forbid(unsafe_code)]

use super::netlink::{AF_INET, AF_INET6, Socket, mapped};

/// The state numbers that are not full sockets: a request, one waiting out its time, none.
const SYN_RECEIVED: u8 = 3;
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;

/// The socket that `line` describes; absent for headings, malformed lines and what is not a full socket.
pub(super) fn parse(line: &str) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace();
    let (local, remote) = (fields.nth(1)?, fields.next()?);
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    // After the state: queues, timer, retransmits, uid, timeout, inode.
    let inode = fields.nth(5)?.parse().ok()?;
    let (family, local_addr, local_port) = end(local)?;
    let (_family, remote_addr, remote_port) = end(remote)?;
    if matches!(state, SYN_RECEIVED | TIME_WAIT | CLOSE) {
        return None;
    }
    Some(Socket {
        family,
        state,
        local_addr,
        remote_addr,
        local_port,
        remote_port,
        inode,
        ifindex: 0,
        counters: None,
    })
}

/// `0100007F:0CEA`: words of the address as the machine prints them, then the port.
fn end(text: &str) -> Option<(u8, [u8; 16], u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |nth: usize| {
        let digits = address.get(nth * 8..nth * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match address.len() {
        8 => Some((AF_INET, mapped(word(0)?), port)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut out = [0; 16];
            for (room, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                *room = word;
            }
            Some((AF_INET6, out, port))
        }
        _ => None,
    }
}
