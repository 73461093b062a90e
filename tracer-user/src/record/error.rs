//! What can go wrong while recording, and while reading a recording.
#![forbid(unsafe_code)]

use std::{io, path::PathBuf};

use tracer_common::wire::WIRE_VERSION;

use super::{Damage, FORMAT};

/// Why something was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be made or opened.
    #[error("cannot create the recording {path}: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else is there, and is left alone.
    #[error(
        "{path} exists and is not a file with a recording, so it is not overwritten: choose another or remove it"
    )]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// Another recorder holds the file.
    #[error("{path} is being written by another kcn-trace: choose another file")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written; it ends with the last complete block.
    #[error(
        "cannot write the recording {path} after {bytes} bytes: {source}; what was written before can be replayed"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Size until then.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier error ended the recording.
    #[error("the recording {path} ended after {bytes} bytes because it could not be written")]
    Stopped {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A signal is longer than any recorder writes. It is left out; the recording goes on.
    #[error("a signal of {bytes} bytes is too long to be recorded and was left out")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why a recording cannot be read, or not further. What came before has been delivered and may be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the recording {path} at byte {at}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a recording of kcn-trace: make one with `kcn-trace record -w FILE`")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Made by a kcn-trace with another format.
    #[error(
        "{path} has recording format {found}, this kcn-trace reads {FORMAT}: replay it with the version that recorded it, or a newer one"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u16,
    },
    /// Made by a kcn-trace whose kernel programs write other records.
    #[error(
        "{path} holds records of layout {found}, this kcn-trace knows {WIRE_VERSION}: replay it with the version that recorded it"
    )]
    Wire {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u8,
    },
    /// Made on a machine of the other byte order.
    #[error("{path} was recorded on a machine with another byte order: replay it on one like that")]
    ByteOrder {
        /// The file.
        path: PathBuf,
    },
    /// The file ends before the recording does.
    #[error(
        "{path} is truncated in block {block} at byte {at}, after {signals} signals: kcn-trace was killed while it \
         recorded, the disk was full, or the copy is incomplete"
    )]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Number of the block that is missing or incomplete, from 0.
        block: u64,
        /// Where it begins.
        at: u64,
        /// Signals delivered before.
        signals: u64,
    },
    /// Something in the file was changed after it was written.
    #[error(
        "{path} is damaged in block {block} at byte {at}, after {signals} signals: {damage}; copy it again or use what comes before"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Number of the block, from 0.
        block: u64,
        /// Where the block begins.
        at: u64,
        /// Signals delivered before.
        signals: u64,
        /// What is wrong.
        damage: Damage,
    },
}
