//! The load: pairs of threads that open and close loopback connections in lock-step, as fast as they can.

use anyhow::{Context, Result, anyhow};
use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use tests::netns::Netns;

/// A load that runs until it is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    listeners: Vec<SocketAddr>,
    threads: Vec<JoinHandle<Result<()>>>,
    netns: Arc<Netns>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    connections: AtomicU64,
}

impl Load {
    /// Starts `pairs` servers with one client each, in a namespace of their own.
    pub(crate) fn start(pairs: usize) -> Result<Self> {
        let netns = Arc::new(Netns::new()?);
        let shared = Arc::new(Shared::default());
        let mut load = Self {
            shared,
            listeners: Vec::new(),
            threads: Vec::new(),
            netns,
        };
        for _ in 0..pairs {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let listener = load
                .netns
                .inside(|| TcpListener::bind(any))?
                .context("cannot listen")?;
            let address = listener.local_addr()?;
            load.listeners.push(address);
            load.thread(move |shared| serve(&listener, shared));
            load.thread(move |shared| dial(address, shared));
        }
        Ok(load)
    }

    /// Connections opened and closed so far. Fails where the load has ended.
    pub(crate) fn connections(&self) -> Result<u64> {
        if self.threads.iter().any(JoinHandle::is_finished) {
            return Err(anyhow!("the load ended by itself"));
        }
        Ok(self.shared.connections.load(Ordering::Relaxed))
    }

    fn thread(&mut self, work: impl FnOnce(&Shared) -> Result<()> + Send + 'static) {
        let (netns, shared) = (Arc::clone(&self.netns), Arc::clone(&self.shared));
        self.threads
            .push(thread::spawn(move || netns.inside(|| work(&shared))?));
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for address in &self.listeners {
            // One more connection for each server, blocked in accept, to notice.
            drop(self.netns.inside(|| TcpStream::connect(address)));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Closes first: the server's end keeps the `TIME_WAIT`, and the clients never run out of ports.
fn serve(listener: &TcpListener, shared: &Shared) -> Result<()> {
    while !shared.stop.load(Ordering::Relaxed) {
        let (stream, _) = listener.accept()?;
        stream.shutdown(Shutdown::Write)?;
    }
    Ok(())
}

/// Waits for the server's end of each connection before the next: no queue ever fills.
fn dial(address: SocketAddr, shared: &Shared) -> Result<()> {
    while !shared.stop.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address)?;
        stream.read_to_end(&mut Vec::new())?;
        shared.connections.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
