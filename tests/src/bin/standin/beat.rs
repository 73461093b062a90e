//! A client that comes back: one short connection every so often, in the background.

use crate::socket;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A running client. It ends when it is told to rest, or with the process.
pub(crate) struct Beat {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    count: AtomicU64,
    missed: AtomicU64,
    rests: AtomicBool,
}

impl Beat {
    /// Starts it; it goes on when an attempt fails, as a client of a service does.
    pub(crate) fn start(address: SocketAddr, every: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !theirs.rests.load(Ordering::Relaxed) {
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
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// No further attempt; the last one is over when this returns.
    pub(crate) fn rest(&mut self) {
        self.shared.rests.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }

    /// Connections that were opened.
    pub(crate) fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Attempts that failed.
    pub(crate) fn missed(&self) -> u64 {
        self.shared.missed.load(Ordering::Relaxed)
    }
}
