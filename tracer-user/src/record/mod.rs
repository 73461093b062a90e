//! Recordings of the Signal door: written while tracing, read back for `replay`.
//!
//! ```text
//! file   = "KCNTRACE" format:u16 wire:u8 order:u8 block*          (integers little-endian)
//! block  = stored:u32 plain:u32 check:u32 zstd-frame              (`stored` bytes holding `plain` bytes)
//! plain  = signal+                                                (the last one of the last block is the end marker)
//! signal = tag:u8 length:u32 payload
//! ```
//!
//! A block is written whole, at the latest a second after its first signal: a crash loses no more than that,
//! and leaves at worst an incomplete last block. The content is checked by the zstd frame's checksum.
//!
//! To add a signal: a tag and two arms in `frame.rs`, and the next [`FORMAT`].
#![forbid(unsafe_code)]

mod error;
mod frame;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{ReadError, RecordError};
pub use frame::Damage;
pub use reader::Recording;
pub use writer::{Limits, Progress, Recorder, Summary};

/// The first bytes of every recording.
const MAGIC: [u8; 8] = *b"KCNTRACE";

/// Version of everything here but the records' own layouts, which have `WIRE_VERSION`.
pub const FORMAT: u16 = 3;

/// Records are recorded as the kernel wrote them: in the byte order of the machine.
const ORDER: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };

const FILE_HEADER: usize = 12;
const BLOCK_HEADER: usize = 12;

/// Uncompressed size at which a block is written: 1,700 socket records, and the best zstd makes of them.
const BLOCK_BYTES: usize = 256 << 10;

/// The longest signal: `Remembered` with a million sockets.
const SIGNAL_MAX: usize = 16 << 20;

/// The longest block: a signal that comes when the block is nearly full. A reader never holds more.
const PLAIN_MAX: usize = BLOCK_BYTES + SIGNAL_MAX + 64;

/// What zstd may make of [`PLAIN_MAX`] at worst (`ZSTD_COMPRESSBOUND`: 1/256 more).
const STORED_MAX: usize = PLAIN_MAX + PLAIN_MAX / 256 + 64;

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The recorder was told to finish.
    Finished,
    /// A limit given by the user was reached.
    Limit(Limit),
}

/// Which limit ended a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The size of the file.
    Size,
    /// The time recorded.
    Time,
}

/// The checksum of a block's header, which also fixes the block's place: CRC-32 (IEEE 802.3).
fn block_check(stored: u32, plain: u32, index: u64) -> u32 {
    let bytes = stored
        .to_le_bytes()
        .into_iter()
        .chain(plain.to_le_bytes())
        .chain(index.to_le_bytes());
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _bit in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
        }
    }
    !crc
}
