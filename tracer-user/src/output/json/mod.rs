//! JSON: one schema per kind of document, named `kcn-trace.NAME/vMAJOR` in every record.
//!
//! Absent means unknown; ids of 64 bits and nanoseconds are strings, since numbers beyond 2^53 do not survive jq or
//! JavaScript; times are RFC 3339 in UTC. Adding a key keeps the version, any other change raises it. Values borrow
//! from what they describe and are written straight into one buffer.

use std::{fmt, io::Write};

use serde::{Serialize, Serializer, ser::SerializeSeq as _};

use super::{Frame, SinkError, escape::Safe, units::Rfc3339};
use crate::{
    graph::{Health, Programs},
    signal::Degraded,
};

mod event;
mod explain;
mod graph;
mod identity;
mod k8s;
mod network;
mod party;
mod rows;
mod session;
mod verdicts;

pub use self::{
    event::JsonEvents,
    explain::write_explanations,
    graph::write_graph,
    rows::{write_components, write_connections, write_counts, write_listeners},
    verdicts::write_verdicts,
};

/// How a document is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// On one line, for streams of documents.
    Line,
    /// Indented, for single documents.
    Pretty,
}

/// Writes `value` with its line break. For documents of other rooms too: strings come out harmless.
pub fn write_document(out: &mut dyn Write, value: &impl Serialize, layout: Layout) -> Result<(), SinkError> {
    let mut buffer = Vec::new();
    let done = match layout {
        Layout::Line => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut buffer,
            Safe::line(),
        )),
        Layout::Pretty => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut buffer,
            Safe::pretty(),
        )),
    };
    done.map_err(std::io::Error::from)?;
    buffer.push(b'\n');
    Ok(out.write_all(&buffer)?)
}

/// A value as a JSON string of what it displays, with no allocation.
pub(super) struct Text<T>(pub(super) T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Items of an iterator as a JSON array, with no allocation.
pub(super) struct List<I>(pub(super) I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for List<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        for item in self.0.clone() {
            sequence.serialize_element(&item)?;
        }
        sequence.end()
    }
}

/// `{"schema","meta","items"}`: the frame of every table in JSON.
#[derive(Serialize)]
struct Document<'a, I: Serialize> {
    schema: &'static str,
    meta: Meta<'a>,
    items: I,
}

#[derive(Serialize)]
struct Meta<'a> {
    hostname: &'a str,
    window: Window,
    health: JsonHealth<'a>,
}

#[derive(Serialize)]
struct Window {
    start: Rfc3339,
    end: Rfc3339,
}

impl<'a> From<&Frame<'a>> for Meta<'a> {
    fn from(frame: &Frame<'a>) -> Self {
        let (start, end) = frame.window_unix_ns;
        Self {
            hostname: frame.hostname,
            window: Window {
                start: Rfc3339(start),
                end: Rfc3339(end),
            },
            health: JsonHealth::from(frame.health),
        }
    }
}

/// [`Health`] in JSON, in documents and in heartbeats.
#[derive(Serialize)]
struct JsonHealth<'a> {
    complete: bool,
    lost: Text<u64>,
    delivered: u64,
    undecodable: u64,
    ownerless: u64,
    missed: u64,
    ghosts: u64,
    overflow: u64,
    snapshots: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recall: Option<f64>,
    canaries: Canaries,
    programs: JsonPrograms<'a>,
    degraded: &'a [Degraded],
}

/// What the kernel says of the programs, in JSON.
#[derive(Serialize)]
struct JsonPrograms<'a> {
    skipped: u64,
    healed: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    detached: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    uncounted: &'a [String],
}

impl<'a> From<&'a Programs> for JsonPrograms<'a> {
    fn from(programs: &'a Programs) -> Self {
        Self {
            skipped: programs.skipped,
            healed: programs.healed,
            detached: &programs.detached,
            uncounted: &programs.uncounted,
        }
    }
}

#[derive(Serialize)]
struct Canaries {
    made: u64,
    seen: u64,
}

impl<'a> From<&'a Health> for JsonHealth<'a> {
    fn from(health: &'a Health) -> Self {
        let (made, seen) = health.canaries;
        Self {
            complete: health.is_complete(),
            lost: Text(health.lost),
            delivered: health.delivered,
            undecodable: health.undecodable,
            ownerless: health.ownerless,
            missed: health.missed,
            ghosts: health.ghosts,
            overflow: health.overflow,
            snapshots: health.snapshots,
            recall: health.recall_ppm.map(|ppm| f64::from(ppm) / 1e6),
            canaries: Canaries { made, seen },
            programs: JsonPrograms::from(&health.programs),
            degraded: &health.degraded,
        }
    }
}

#[cfg(test)]
mod tests;
