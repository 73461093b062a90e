//! The connections a stand-in has opened.

use crate::control::{invalid, port_of};
use crate::socket;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tests::listener::Transport;

/// Longest wait for a FIN's acknowledgement on loopback.
const LINGER: Duration = Duration::from_secs(10);

/// Held connections, in the order in which they were opened.
#[derive(Default)]
pub(crate) struct Dialed(Vec<TcpStream>);

impl Dialed {
    pub(crate) fn dial(
        &mut self,
        by: Transport,
        to: SocketAddr,
        count: usize,
        from: Option<SocketAddr>,
    ) -> io::Result<String> {
        let mut ports = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = socket::dial_by(by, to, from)?;
            ports.push(port_of(stream.local_addr())?);
            self.0.push(stream);
        }
        Ok(ports.join(" "))
    }

    pub(crate) fn dial_close(to: SocketAddr, count: usize, from: Option<SocketAddr>) -> io::Result<String> {
        let mut ports = Vec::with_capacity(count);
        for _ in 0..count {
            ports.push(port_of(socket::dial(to, from)?.local_addr())?);
        }
        Ok(ports.join(" "))
    }

    pub(crate) fn redial(to: SocketAddr, count: usize, from: SocketAddr) -> io::Result<String> {
        for length in 1..=count {
            let mut stream = socket::dial(to, Some(from))?;
            stream.write_all(&vec![b'x'; length])?;
            // The other side closes first, so that its end keeps the TIME_WAIT and this port is free again: once our FIN
            // is acknowledged, for which a lingering close waits.
            stream.read_to_end(&mut Vec::new())?;
            sockopt::set_socket_linger(&stream, Some(LINGER))?;
        }
        Ok(count.to_string())
    }

    pub(crate) fn attempt(to: SocketAddr, count: usize, patience: Duration) -> io::Result<String> {
        let first = socket::attempt(to, patience)?;
        for _ in 1..count {
            let errno = socket::attempt(to, patience)?;
            if errno != first {
                return Err(invalid(&format!("errno {errno} after {first}")));
            }
        }
        Ok(first.to_string())
    }

    pub(crate) fn send(&mut self, bytes: usize) -> io::Result<String> {
        let chunk = vec![b'x'; bytes.min(1 << 20)];
        for stream in &mut self.0 {
            let mut left = bytes;
            while left > 0 {
                left -= stream.write(chunk.get(..left).unwrap_or(&chunk))?;
            }
        }
        Ok((bytes * self.0.len()).to_string())
    }

    /// What is run instead of this program inherits the connections.
    pub(crate) fn bequeath(&self) -> io::Result<()> {
        for stream in &self.0 {
            fcntl_setfd(stream, FdFlags::empty())?;
        }
        Ok(())
    }

    /// The held connections, which are the caller's now.
    pub(crate) fn take(&mut self) -> Vec<TcpStream> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn close(&mut self) -> usize {
        let count = self.0.len();
        self.0.clear();
        count
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// A child that dials as this program and then runs another, which inherits the connection.
pub(crate) fn fork_dial_become(to: SocketAddr, path: &str) -> io::Result<Child> {
    let mut command = Command::new(path);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let dial = move || {
        let stream = socket::dial(to, None)?;
        fcntl_setfd(&stream, FdFlags::empty())?;
        // Held until the process ends.
        let _held = stream.into_raw_fd();
        Ok(())
    };
    // SAFETY: between fork and exec nothing is called but socket(), connect() and fcntl(), which are safe there; no other
    // thread of this process holds a lock that they take.
    unsafe { command.pre_exec(dial) };
    command.spawn()
}
