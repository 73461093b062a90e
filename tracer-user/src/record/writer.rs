//! Writes recordings: signals gather in a block, blocks go to the file whole.
#![forbid(unsafe_code)]

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use tracer_common::wire::WIRE_VERSION;
use zstd::{bulk::Compressor, zstd_safe::CParameter};

use super::{BLOCK_BYTES, BLOCK_HEADER, End, FORMAT, Limit, MAGIC, ORDER, RecordError, block_check, frame};
use crate::signal::Signal;

/// The fastest of zstd's usual levels: recording must not slow tracing down.
const LEVEL: i32 = 1;

/// A block is written at the latest when the clock has moved this far since the last one.
const FLUSH_NS: u64 = 1_000_000_000;

/// The block of the end marker alone, about.
const END_ROOM: u64 = 64;

/// Recordings hold process names and addresses: only their owner may read them.
const MODE: u32 = 0o600;

/// What opening a symbolic link gives with NOFOLLOW: root must not be led to another file.
const LOOP: i32 = rustix::io::Errno::LOOP.raw_os_error();

/// When a recording is to end. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Size of the file. The block that reaches it is still written, and what comes until the recorder is finished.
    pub bytes: Option<u64>,
    /// Nanoseconds from the start of the session.
    pub duration_ns: Option<u64>,
}

/// Whether the recording goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// The signal was taken.
    Recording,
    /// A limit was reached: the recorder is to be finished. What comes until then is taken, so that what the run says of
    /// itself at its end (counters, a snapshot, a test connection) is in the recording.
    Ended(Limit),
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Size of the file.
    pub bytes: u64,
    /// Number of signals in it.
    pub signals: u64,
    /// How it ended.
    pub end: End,
}

/// Writes one recording. Without [`Recorder::finish`] the file reads as cut off.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: File,
    limits: Limits,
    compressor: Block,
    /// The block being filled.
    plain: Vec<u8>,
    blocks: u64,
    bytes: u64,
    signals: u64,
    /// When the session began, once known.
    start_ns: Option<u64>,
    /// When the last block was written, or the first time seen.
    flushed_ns: Option<u64>,
    limit: Option<Limit>,
    /// A write failed: the file may end inside a block, where nothing may follow.
    stopped: bool,
}

impl Recorder {
    /// Makes the file `path`, or takes over one that is empty or a recording.
    pub fn create(path: &Path, limits: Limits) -> Result<Self, RecordError> {
        let path = path.to_owned();
        let failed = |source| RecordError::Create {
            path: path.clone(),
            source,
        };
        // NONBLOCK: a pipe is refused below instead of waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .custom_flags(flags.bits().cast_signed())
            .open(&path)
            .map_err(|source| match source.raw_os_error() {
                Some(LOOP) => RecordError::Occupied { path: path.clone() },
                _ => failed(source),
            })?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(RecordError::Occupied { path });
        }
        // A file system without locks only loses the check.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(RecordError::Busy { path });
        }
        let mut begin = Vec::with_capacity(MAGIC.len());
        Read::by_ref(&mut file)
            .take(MAGIC.len() as u64)
            .read_to_end(&mut begin)
            .map_err(failed)?;
        if !begin.is_empty() && begin != MAGIC {
            return Err(RecordError::Occupied { path });
        }
        file.set_permissions(Permissions::from_mode(MODE))
            .map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let compressor = Block::new().map_err(failed)?;
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&FORMAT.to_le_bytes());
        header.extend_from_slice(&[WIRE_VERSION, ORDER]);
        let mut recorder = Self {
            path,
            file,
            limits,
            compressor,
            plain: Vec::with_capacity(2 * BLOCK_BYTES),
            blocks: 0,
            bytes: 0,
            signals: 0,
            start_ns: None,
            flushed_ns: None,
            limit: None,
            stopped: false,
        };
        recorder.write(&header)?;
        Ok(recorder)
    }

    /// Takes `signal`. Usually one append to a buffer; now and then a block is compressed and written.
    pub fn record(&mut self, signal: &Signal<'_>) -> Result<Progress, RecordError> {
        self.alive()?;
        frame::encode(signal, &mut self.plain)
            .map_err(|frame::TooLong(bytes)| RecordError::TooLong { bytes })?;
        self.signals = self.signals.saturating_add(1);
        let mut due = self.plain.len() >= BLOCK_BYTES;
        if let Some(now_ns) = time_of(signal) {
            let start_ns = *self.start_ns.get_or_insert(now_ns);
            let flushed_ns = *self.flushed_ns.get_or_insert(now_ns);
            if self
                .limits
                .duration_ns
                .is_some_and(|limit| now_ns.saturating_sub(start_ns) >= limit)
            {
                self.limit.get_or_insert(Limit::Time);
            }
            if now_ns.saturating_sub(flushed_ns) >= FLUSH_NS {
                due = true;
            }
            if due {
                self.flushed_ns = Some(now_ns);
            }
        }
        if due {
            self.flush()?;
            if self
                .limits
                .bytes
                .is_some_and(|limit| self.bytes.saturating_add(END_ROOM) >= limit)
            {
                self.limit.get_or_insert(Limit::Size);
            }
        }
        Ok(self.limit.map_or(Progress::Recording, Progress::Ended))
    }

    /// Bytes in the file so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the recording and makes sure that it is on the disk.
    pub fn finish(mut self) -> Result<Summary, RecordError> {
        self.alive()?;
        let end = self.limit.map_or(End::Finished, End::Limit);
        // In a block of its own: a file that lost its last bytes keeps every signal.
        self.flush()?;
        frame::encode_end(end, self.signals, &mut self.plain);
        self.flush()?;
        self.file.sync_all().map_err(|source| self.failed(source))?;
        Ok(Summary {
            bytes: self.bytes,
            signals: self.signals,
            end,
        })
    }

    #[cfg(test)]
    pub(super) fn replace_file(&mut self, file: File) {
        self.file = file;
    }

    fn alive(&self) -> Result<(), RecordError> {
        if self.stopped {
            return Err(RecordError::Stopped {
                path: self.path.clone(),
                bytes: self.bytes,
            });
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        if self.plain.is_empty() {
            return Ok(());
        }
        let block = self.compressor.make(&self.plain, self.blocks);
        // Dropped even when it could not be written, so that a full disk does not fill the memory.
        self.plain.clear();
        let bytes = block.map_err(|source| self.failed(source))?;
        self.blocks = self.blocks.saturating_add(1);
        let block = std::mem::take(&mut self.compressor.out);
        let written = self.write(block.get(..bytes).unwrap_or_default());
        self.compressor.out = block;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        if let Err(source) = self.file.write_all(bytes) {
            self.stopped = true;
            return Err(self.failed(source));
        }
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }

    fn failed(&self, source: io::Error) -> RecordError {
        RecordError::Write {
            path: self.path.clone(),
            bytes: self.bytes,
            source,
        }
    }
}

/// Makes blocks; the compressor and the buffer are kept.
struct Block {
    zstd: Compressor<'static>,
    out: Vec<u8>,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").finish_non_exhaustive()
    }
}

impl Block {
    fn new() -> io::Result<Self> {
        let mut zstd = Compressor::new(LEVEL)?;
        zstd.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self {
            zstd,
            out: Vec::new(),
        })
    }

    /// Puts block `index` into `self.out` and returns its length.
    fn make(&mut self, plain: &[u8], index: u64) -> io::Result<usize> {
        let room = BLOCK_HEADER.saturating_add(zstd::zstd_safe::compress_bound(plain.len()));
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        let Some((header, body)) = self.out.split_first_chunk_mut::<BLOCK_HEADER>() else {
            return Ok(0);
        };
        let stored = self.zstd.compress_to_buffer(plain, body)?;
        let too_long = |_too_long| io::Error::from(io::ErrorKind::FileTooLarge);
        let (stored_len, plain_len) = (
            u32::try_from(stored).map_err(too_long)?,
            u32::try_from(plain.len()).map_err(too_long)?,
        );
        let fields = [stored_len, plain_len, block_check(stored_len, plain_len, index)];
        for (room, field) in header.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
            *room = field.to_le_bytes();
        }
        Ok(BLOCK_HEADER.saturating_add(stored))
    }
}

/// The time that `signal` tells, if it is one that moves the clock.
const fn time_of(signal: &Signal<'_>) -> Option<u64> {
    match signal {
        Signal::Start(session) if session.attached_ns != 0 => Some(session.attached_ns),
        Signal::Tick { at_ns }
        | Signal::SnapshotBegin { at_ns }
        | Signal::SnapshotEnd { at_ns, .. }
        | Signal::Canary { at_ns, .. } => Some(*at_ns),
        Signal::Start(_)
        | Signal::Record(_)
        | Signal::Row(_)
        | Signal::Remembered(_)
        | Signal::Process(_)
        | Signal::Counters(_)
        | Signal::Programs(_)
        | Signal::Degraded(_)
        | Signal::Cgroup { .. }
        | Signal::Inventory(_)
        | Signal::Host(_)
        | Signal::Nat(_)
        | Signal::Source(_) => None,
    }
}
