//! A connection of the tracer with itself on loopback: the programs must tell of it, or they no longer see.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

/// A listening socket on an address of loopback nobody else is told of.
pub(super) struct Canary {
    listener: TcpListener,
    port: u16,
}

impl Canary {
    /// Listens.
    ///
    /// # Errors
    /// Where this namespace has no loopback.
    pub(super) fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The port on 127.0.0.1.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Connects, accepts, closes.
    ///
    /// # Errors
    /// When loopback does not work.
    pub(super) fn sing(self) -> io::Result<()> {
        let Self { listener, port } = self;
        let near = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        let (far, _from) = listener.accept()?;
        drop(near);
        drop(far);
        Ok(())
    }
}
