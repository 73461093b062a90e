//! Standard output and standard error, which somebody may not read: a thread of its own writes to each, so that a signal
//! ends the run whatever they do. The flag that signals set is here too.
#![forbid(unsafe_code)]

use std::{
    fmt,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use crate::clock;

/// Between two looks at the flag while a write hangs.
const STEP: Duration = Duration::from_millis(50);
/// Bytes handed over at once, and bytes written at once: each of these is a sign of life of the reader.
const PIECE: usize = 64 << 10;
const BITE: usize = 4 << 10;
/// Once somebody asked to stop: how long a reader may read nothing, and how long it may take for all.
const STDOUT_PATIENCE_NS: u64 = 400_000_000;
const STDERR_PATIENCE_NS: u64 = 100_000_000;
const ALL_NS: u64 = 5_000_000_000;

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static STDERR: LazyLock<Mutex<Out>> =
    LazyLock::new(|| Mutex::new(Out::new(io::stderr(), Arc::clone(&STOP), STDERR_PATIENCE_NS)));

/// Whether somebody asked to stop.
pub(super) fn stop() -> Arc<AtomicBool> {
    Arc::clone(&STOP)
}

/// From now on SIGINT, SIGTERM and SIGHUP ask to stop instead of ending the process, and a file that reaches a limit of
/// size (`ulimit -f`) is an error.
pub(super) fn handle_signals() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, stop())?;
    }
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    Ok(())
}

/// Standard error, for whole lines.
pub(super) fn stderr() -> MutexGuard<'static, Out> {
    STDERR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error as logs take it.
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        stderr().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output.
pub(super) fn stdout() -> Out {
    Out::new(io::stdout(), stop(), STDOUT_PATIENCE_NS)
}

/// A file descriptor written by a thread of its own. Writes wait until all is written; not after somebody asked to stop
/// and nobody reads.
#[derive(Debug)]
pub(super) struct Out {
    writer: Result<Writer, Direct>,
    stop: Arc<AtomicBool>,
    patience_ns: u64,
}

/// Where neither a thread nor a descriptor can be had it is written to directly, and may hang.
struct Direct(Box<dyn Write + Send>);

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Writer {
    pieces: SyncSender<Vec<u8>>,
    written: Receiver<(Vec<u8>, io::Result<()>)>,
    /// Bites written so far.
    bites: Arc<AtomicU64>,
    /// The buffer, while nothing is written.
    piece: Option<Vec<u8>>,
}

impl Out {
    fn new(to: impl AsFd + Write + Send + 'static, stop: Arc<AtomicBool>, patience_ns: u64) -> Self {
        let file = to.as_fd().try_clone_to_owned().map(File::from);
        let writer = file
            .and_then(Writer::start)
            .map_err(|_no_thread| Direct(Box::new(to)));
        Self {
            writer,
            stop,
            patience_ns,
        }
    }
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let bytes = buf.get(..PIECE).unwrap_or(buf);
        match &mut self.writer {
            Ok(writer) => {
                writer.write(bytes, &self.stop, self.patience_ns)?;
                Ok(bytes.len())
            }
            Err(Direct(to)) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Ok(_thread) => Ok(()),
            Err(Direct(to)) => to.flush(),
        }
    }
}

impl Writer {
    fn start(mut file: File) -> io::Result<Self> {
        let (pieces, to_write) = sync_channel::<Vec<u8>>(1);
        let (done, written) = sync_channel(1);
        let bites = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&bites);
        thread::Builder::new().name("writer".to_owned()).spawn(move || {
            while let Ok(piece) = to_write.recv() {
                let result = piece.chunks(BITE).try_for_each(|bite| {
                    file.write_all(bite)?;
                    counter.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                if done.send((piece, result)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self {
            pieces,
            written,
            bites,
            piece: Some(Vec::new()),
        })
    }

    fn write(&mut self, bytes: &[u8], stop: &AtomicBool, patience_ns: u64) -> io::Result<()> {
        // Gone with a write that hangs: nothing more is written.
        let mut piece = self.piece.take().ok_or_else(unread)?;
        piece.clear();
        piece.extend_from_slice(bytes);
        self.pieces
            .send(piece)
            .map_err(|_gone| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let mut stopped_ns = None;
        let mut alive = (0, self.bites.load(Ordering::Relaxed));
        loop {
            match self.written.recv_timeout(STEP) {
                Ok((piece, result)) => {
                    self.piece = Some(piece);
                    return result;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Relaxed) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let now_ns = clock::boot_ns();
                    let since_ns = *stopped_ns.get_or_insert(now_ns);
                    let so_far = self.bites.load(Ordering::Relaxed);
                    if so_far != alive.1 || alive.0 == 0 {
                        alive = (now_ns, so_far);
                    }
                    if now_ns - alive.0 >= patience_ns || now_ns - since_ns >= ALL_NS {
                        return Err(unread());
                    }
                }
            }
        }
    }
}

fn unread() -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        "nobody read it after the run was told to end",
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn pair() -> (io::PipeReader, Out, Arc<AtomicBool>) {
        let (reader, writer) = io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let out = Out::new(writer, Arc::clone(&stop), 100_000_000);
        (reader, out, stop)
    }

    #[test]
    fn what_is_read_arrives_whole_also_after_the_stop() {
        let (mut reader, mut out, stop) = pair();
        stop.store(true, Ordering::Relaxed);
        let text: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_ne_bytes).collect();
        let want = text.clone();
        let reading = thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).map(|_length| got)
        });
        out.write_all(&text).unwrap();
        drop(out);
        assert!(reading.join().unwrap().unwrap() == want);
    }

    #[test]
    fn a_reader_that_reads_nothing_holds_nobody_up_once_somebody_asked_to_stop() {
        let (reader, mut out, stop) = pair();
        let asks = Arc::clone(&stop);
        let asking = thread::spawn(move || {
            thread::park_timeout(Duration::from_millis(200));
            asks.store(true, Ordering::Relaxed);
        });
        let began_ns = clock::boot_ns();
        let error = out.write_all(&vec![b'x'; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(stop.load(Ordering::Relaxed), "it was waited for before");
        assert_eq!(out.write(b"more").unwrap_err().kind(), io::ErrorKind::TimedOut);
        let took_ns = clock::boot_ns() - began_ns;
        assert!(took_ns < 5_000_000_000, "{took_ns}");
        asking.join().unwrap();
        drop(reader);
    }

    #[test]
    fn a_reader_that_has_gone_is_an_error_at_once() {
        let (reader, mut out, _stop) = pair();
        drop(reader);
        assert_eq!(out.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
