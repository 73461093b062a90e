//! Reads recordings: block by block, each checked whole before the first of its signals is delivered.
#![forbid(unsafe_code)]

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use tracer_common::wire::WIRE_VERSION;
use zstd::bulk::Decompressor;

use super::{
    BLOCK_BYTES, BLOCK_HEADER, Damage, End, FILE_HEADER, FORMAT, MAGIC, ORDER, PLAIN_MAX, ReadError,
    STORED_MAX, block_check,
    frame::{self, Slots},
};
use crate::{regular_file, signal::Signal};

/// A recording being read. Memory is bounded by the longest block, whatever the file says.
pub struct Recording<R> {
    source: R,
    path: PathBuf,
    zstd: Decompressor<'static>,
    stored: Vec<u8>,
    plain: Vec<u8>,
    /// Bytes of `plain` already delivered.
    done: usize,
    slots: Slots,
    place: Place,
    end: Option<End>,
    /// Nothing more comes, after an end or an error.
    over: bool,
}

/// Where the reader is, for messages.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Number of the current block.
    block: u64,
    /// Where it begins.
    block_at: u64,
    /// Where the next one begins.
    next_at: u64,
    signals: u64,
}

impl Recording<File> {
    /// Opens `path` and checks its header.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let failed = |source| ReadError::Read {
            path: path.to_owned(),
            at: 0,
            source,
        };
        Self::from_reader(regular_file::open(path).map_err(failed)?, path)
    }
}

impl<R: Read> Recording<R> {
    /// Reads a recording from `source`; `path` is its name in messages.
    pub fn from_reader(mut source: R, path: &Path) -> Result<Self, ReadError> {
        let path = path.to_owned();
        let failed = |source| ReadError::Read {
            path: path.clone(),
            at: 0,
            source,
        };
        let zstd = Decompressor::new().map_err(failed)?;
        let mut header = Vec::with_capacity(FILE_HEADER);
        Read::by_ref(&mut source)
            .take(FILE_HEADER as u64)
            .read_to_end(&mut header)
            .map_err(failed)?;
        check_header(&header, &path)?;
        let place = Place {
            next_at: FILE_HEADER as u64,
            block_at: FILE_HEADER as u64,
            ..Place::default()
        };
        Ok(Self {
            source,
            path,
            zstd,
            stored: Vec::new(),
            plain: Vec::new(),
            done: 0,
            slots: Slots::default(),
            place,
            end: None,
            over: false,
        })
    }

    /// The next signal; `None` when the recording has ended, see [`Recording::end`]. After an error nothing comes.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend: the signal borrows from its block"
    )]
    pub fn next(&mut self) -> Result<Option<Signal<'_>>, ReadError> {
        if self.over {
            return Ok(None);
        }
        // Lifted again on every path that goes on.
        self.over = true;
        if self.done == self.plain.len() {
            self.block()?;
        }
        let Self {
            path,
            plain,
            done,
            slots,
            place,
            end,
            over,
            ..
        } = self;
        let damaged = |place: &Place, damage| place.damaged(path, damage);
        let rest = plain.get(*done..).unwrap_or_default();
        let (tag, payload) = frame::split(rest).map_err(|damage| damaged(place, damage))?;
        *done = done.saturating_add(frame::PREFIX).saturating_add(payload.len());
        if let Some((how, counted)) =
            frame::decode_end(tag, payload).map_err(|damage| damaged(place, damage))?
        {
            let found = place.signals;
            if counted != found {
                return Err(damaged(place, Damage::Count { counted, found }));
            }
            let in_block = *done != plain.len();
            if in_block || !at_end(&mut self.source).map_err(|source| place.unreadable(path, source))? {
                return Err(damaged(place, Damage::AfterEnd));
            }
            *end = Some(how);
            return Ok(None);
        }
        let signal = frame::decode(tag, payload, slots).map_err(|damage| damaged(place, damage))?;
        place.signals = place.signals.saturating_add(1);
        *over = false;
        Ok(Some(signal))
    }

    /// How the recording ended; absent until [`Recording::next`] returned `None`, and when it was cut off or damaged.
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// Room held for blocks: stored, plain.
    #[cfg(test)]
    pub(super) const fn memory(&self) -> (usize, usize) {
        (self.stored.capacity(), self.plain.capacity())
    }

    /// Signals delivered so far.
    pub const fn signals(&self) -> u64 {
        self.place.signals
    }

    /// Reads the next block into `plain`.
    fn block(&mut self) -> Result<(), ReadError> {
        let Self {
            source,
            path,
            zstd,
            stored,
            plain,
            done,
            place,
            ..
        } = self;
        if *done != 0 {
            place.block = place.block.saturating_add(1);
        }
        place.block_at = place.next_at;
        *done = 0;
        plain.clear();
        stored.clear();
        let failed = |source| place.unreadable(path, source);
        Read::by_ref(source)
            .take(BLOCK_HEADER as u64)
            .read_to_end(stored)
            .map_err(failed)?;
        let Some(header) = stored.first_chunk::<BLOCK_HEADER>() else {
            return Err(place.cut_off(path));
        };
        let mut fields = header
            .as_chunks::<4>()
            .0
            .iter()
            .map(|field| u32::from_le_bytes(*field));
        let (Some(stored_len), Some(plain_len), Some(check)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(place.cut_off(path));
        };
        if check != block_check(stored_len, plain_len, place.block) {
            return Err(place.damaged(path, Damage::Header));
        }
        let (stored_len, plain_len) = (stored_len as usize, plain_len as usize);
        if stored_len > STORED_MAX || plain_len > PLAIN_MAX || plain_len == 0 {
            return Err(place.damaged(path, Damage::Size));
        }
        stored.clear();
        // Longer blocks grow with what the file really holds.
        stored.reserve(stored_len.min(BLOCK_BYTES));
        Read::by_ref(source)
            .take(stored_len as u64)
            .read_to_end(stored)
            .map_err(failed)?;
        if stored.len() < stored_len {
            return Err(place.cut_off(path));
        }
        plain.reserve_exact(plain_len);
        let content = zstd.decompress_to_buffer(stored, plain);
        if !content.is_ok_and(|got| got == plain_len) {
            plain.clear();
            return Err(place.damaged(path, Damage::Content));
        }
        place.next_at = place
            .block_at
            .saturating_add(BLOCK_HEADER as u64)
            .saturating_add(stored_len as u64);
        Ok(())
    }
}

impl<R> std::fmt::Debug for Recording<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("path", &self.path)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Place {
    fn damaged(&self, path: &Path, damage: Damage) -> ReadError {
        let Self {
            block,
            block_at: at,
            signals,
            ..
        } = *self;
        ReadError::Damaged {
            path: path.to_owned(),
            block,
            at,
            signals,
            damage,
        }
    }

    fn cut_off(&self, path: &Path) -> ReadError {
        let Self {
            block,
            block_at: at,
            signals,
            ..
        } = *self;
        ReadError::CutOff {
            path: path.to_owned(),
            block,
            at,
            signals,
        }
    }

    fn unreadable(&self, path: &Path, source: io::Error) -> ReadError {
        ReadError::Read {
            path: path.to_owned(),
            at: self.block_at,
            source,
        }
    }
}

fn check_header(header: &[u8], path: &Path) -> Result<(), ReadError> {
    let path = path.to_owned();
    // Compared as far as the file goes: a recorder killed at once leaves less than a header.
    if header.iter().zip(&MAGIC).any(|(found, want)| found != want) {
        return Err(ReadError::Foreign { path });
    }
    let Some([f0, f1, wire, order]) = header.get(MAGIC.len()..).and_then(|rest| rest.first_chunk()) else {
        return Err(Place::default().cut_off(&path));
    };
    let found = u16::from_le_bytes([*f0, *f1]);
    if found != FORMAT {
        return Err(ReadError::Format { path, found });
    }
    if *wire != WIRE_VERSION {
        return Err(ReadError::Wire { path, found: *wire });
    }
    if *order != ORDER {
        return Err(ReadError::ByteOrder { path });
    }
    Ok(())
}

fn at_end(source: &mut impl Read) -> io::Result<bool> {
    let mut byte = [0];
    loop {
        match source.read(&mut byte) {
            Ok(count) => return Ok(count == 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
