//! From a kernel to attached programs: facts about the kernel, the choice of backends, offsets, the fallback snapshot.
//!
//! To add an offset: a field in `tracer_common::settings`, a row in `offsets.rs`. To add a program: `probes.rs`.

pub mod attach;
pub mod btf;
pub mod features;
pub mod offsets;
mod open;
pub mod plan;
mod pod;
pub mod probes;
pub mod sockdiag;
mod sys;
mod table_size;
pub mod tracepoint_format;

use std::error::Error;

pub use open::{LoadError, Opened, Options, Survey, open, survey};
pub use table_size::TableSize;

/// An error with all its causes in one line; the verifier's log, which can be long, is cut to its first and last line.
pub(crate) fn reason(error: &dyn Error) -> String {
    let mut text = first_and_last(&error.to_string());
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = first_and_last(&cause.to_string());
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn first_and_last(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{first} ... {last}"),
        (Some(only), None) => only.to_owned(),
        _ => String::new(),
    }
}
