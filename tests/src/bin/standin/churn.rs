//! Connections opened and closed without pause in the background, with the times of each in a log.

use crate::control::{invalid, port_of};
use crate::socket;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// A running churn.
pub(crate) struct Churn {
    shared: Arc<Shared>,
    thread: JoinHandle<io::Result<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    count: AtomicU64,
}

impl Churn {
    /// Starts it: `each` connections to one address, then the next, round and round.
    pub(crate) fn start(addresses: Vec<SocketAddr>, each: usize, log: &str) -> io::Result<Self> {
        let mut log = BufWriter::new(File::create(log)?);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for address in addresses
                .iter()
                .cycle()
                .flat_map(|address| std::iter::repeat_n(*address, each))
            {
                if theirs.stop.load(Ordering::Relaxed) {
                    break;
                }
                open_and_close(address, &mut log)?;
                theirs.count.fetch_add(1, Ordering::Relaxed);
            }
            log.flush()
        });
        Ok(Self { shared, thread })
    }

    /// Connections opened and closed so far.
    pub(crate) fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Ends it and gives the number of connections. The log is complete then.
    pub(crate) fn stop(self) -> io::Result<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_panic| invalid("the churn panicked"))??;
        Ok(self.shared.count.load(Ordering::Relaxed))
    }
}

/// Logs `server port, local port, opening, open, closing, closed`, times in nanoseconds since boot.
fn open_and_close(address: SocketAddr, log: &mut impl Write) -> io::Result<()> {
    let opening = boot_ns();
    let stream = socket::dial(address, None)?;
    let open = boot_ns();
    let local = port_of(stream.local_addr())?;
    let closing = boot_ns();
    drop(stream);
    let closed = boot_ns();
    writeln!(
        log,
        "{} {local} {opening} {open} {closing} {closed}",
        address.port()
    )
}

fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
