//! A client that comes back: one short connection every so often, in the background.

use crate::socket;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A running client. It ends with the process.
pub(crate) struct Beat(Arc<Shared>);

#[derive(Default)]
struct Shared {
    count: AtomicU64,
    missed: AtomicU64,
}

impl Beat {
    /// Starts it; it goes on when an attempt fails, as a client of a service does.
    pub(crate) fn start(address: SocketAddr, every: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            loop {
                let sent = socket::dial(address, None).and_then(|mut stream| stream.write_all(b"beat\n"));
                let figure = if sent.is_ok() {
                    &theirs.count
                } else {
                    &theirs.missed
                };
                figure.fetch_add(1, Ordering::Relaxed);
                #[expect(clippy::disallowed_methods, reason = "the pause between two visits")]
                thread::sleep(every);
            }
        });
        Self(shared)
    }

    /// Connections that were opened.
    pub(crate) fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Attempts that failed.
    pub(crate) fn missed(&self) -> u64 {
        self.0.missed.load(Ordering::Relaxed)
    }
}
