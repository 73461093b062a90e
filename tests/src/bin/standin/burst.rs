//! Connections to itself, as fast as they can be made and closed: both ends change state on the same processors.

use crate::control::invalid;
use crate::socket;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::thread;
use tests::listener::{Transport, listen};

/// Room for connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Opens and closes `count` connections on `address` and each of the ports after it, `ports` in all, at once; gives how many
/// there were.
pub(crate) fn bursts(address: SocketAddr, count: usize, ports: u16) -> io::Result<usize> {
    let bursts: Vec<_> = (0..ports)
        .map(|port| SocketAddr::new(address.ip(), address.port() + port))
        .map(|address| thread::spawn(move || burst(address, count)))
        .collect();
    bursts.into_iter().try_fold(0, |sum, burst| {
        let done = burst.join().map_err(|_panic| invalid("a burst panicked"))?;
        Ok(sum + done?)
    })
}

/// Opens and closes `count` connections; gives how many were accepted and closed on the other side.
fn burst(address: SocketAddr, count: usize) -> io::Result<usize> {
    let listener = listen(address, BACKLOG, Transport::Tcp)?;
    let server = thread::spawn(move || -> io::Result<usize> {
        for _ in 0..count {
            let (mut stream, _from) = listener.accept()?;
            let _end = stream.read(&mut [0])?;
        }
        Ok(count)
    });
    for _ in 0..count {
        drop(socket::dial(address, None)?);
    }
    server
        .join()
        .map_err(|_panic| invalid("the server of the burst panicked"))?
}
