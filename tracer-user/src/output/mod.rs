//! Views as text: every sink writes to the `Write` it is given, and none decides what is true.
//!
//! Documents (`graph`, `listeners`, ...) are functions; streams (`events`) are [`EventSink`]s, since they keep a buffer.
//! Data goes to stdout, health and remedies to stderr through [`health::write_notes`].
//!
//! To add an output format: one file here, one value of the format in `cli/format.rs`, one arm where views are chosen.
#![forbid(unsafe_code)]

use std::io::{self, Write};

use crate::{
    graph::{Graph, Health},
    report::Happening,
    signal::{Degraded, Session},
};

pub mod checkup;
pub mod compact;
pub mod count;
pub mod dot;
pub mod escape;
pub mod explain;
pub mod filter;
#[cfg(test)]
mod fixture;
pub mod health;
pub mod json;
mod letters;
pub mod name;
pub mod style;
pub mod table;
pub mod units;

/// Why an output ended.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The reader went away, as in `| head`: a quiet, successful end.
    #[error("the reader of the output has gone")]
    Closed,
    /// Anything else: full disk, bad terminal.
    #[error("cannot write the output: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for SinkError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::Closed
        } else {
            Self::Io(error)
        }
    }
}

/// What every document says about itself: where, when, and how far it can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Host the document is of. Hostile.
    pub hostname: &'a str,
    /// Start and end of the window, Unix nanoseconds.
    pub window_unix_ns: (i64, i64),
    /// How far it can be trusted.
    pub health: &'a Health,
}

impl<'a> From<&'a Graph> for Frame<'a> {
    fn from(graph: &'a Graph) -> Self {
        Self {
            hostname: &graph.hostname,
            window_unix_ns: graph.window_unix_ns,
            health: &graph.health,
        }
    }
}

/// Records that did not arrive, told in the stream where they are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss<'a> {
    /// Since the last time it was told.
    pub count: u64,
    /// Since the start.
    pub total: u64,
    /// Where: `ring`, `sockets`, `decode`.
    pub place: &'a str,
}

/// A stream of events in one format. Writes whole lines; flushing is up to the caller.
pub trait EventSink {
    /// The run begins.
    fn start(&mut self, out: &mut dyn Write, session: &Session, at_unix_ns: i64) -> Result<(), SinkError>;
    /// Something happened.
    fn happening(&mut self, out: &mut dyn Write, happening: &Happening) -> Result<(), SinkError>;
    /// Something was lost.
    fn lost(&mut self, out: &mut dyn Write, loss: &Loss<'_>, at_unix_ns: i64) -> Result<(), SinkError>;
    /// Something does not work as well as it could, from now on.
    fn degraded(&mut self, out: &mut dyn Write, what: &Degraded, at_unix_ns: i64) -> Result<(), SinkError>;
    /// It works again.
    fn recovered(&mut self, out: &mut dyn Write, what: &Degraded, at_unix_ns: i64) -> Result<(), SinkError>;
    /// Nothing happened for a while, and the tracer is alive.
    fn heartbeat(&mut self, out: &mut dyn Write, health: &Health, at_unix_ns: i64) -> Result<(), SinkError>;
    /// The run ends.
    fn summary(&mut self, out: &mut dyn Write, health: &Health, at_unix_ns: i64) -> Result<(), SinkError>;
}
