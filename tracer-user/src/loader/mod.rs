//! From a kernel to attached programs: facts about the kernel, the choice of backends, offsets, the fallback snapshot.
//!
//! To add an offset: a field in `tracer_common::settings`, a row in `offsets.rs`. To add a program: `probes.rs`.

pub mod attach;
pub mod btf;
pub mod features;
mod links;
pub mod offsets;
mod open;
pub mod plan;
mod pod;
pub mod probes;
pub mod sockdiag;
mod sys;
mod table_size;
pub mod tracepoint_format;

use std::{error::Error, io};

pub use open::{LoadError, Opened, Options, Survey, open, survey};
use rustix::io::Errno;
pub use table_size::TableSize;

/// An error with all its causes in one line, and what to do where a limit is the cause; the verifier's log, which can be
/// long, is cut to its first and last line.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut text = first_and_last(&error.to_string());
    let mut remedy = remedy(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = first_and_last(&cause.to_string());
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        remedy = remedy.or_else(|| self::remedy(cause));
        source = cause.source();
    }
    if let Some(remedy) = remedy {
        text.push_str("; ");
        text.push_str(remedy);
    }
    text
}

/// What to do about a limit that was reached.
fn remedy(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let error: &io::Error = error.downcast_ref()?;
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some("raise the limit of open files with `ulimit -n 1024`"),
        Errno::NFILE => Some("raise the node's limit of open files with `sysctl fs.file-max`"),
        Errno::NOMEM => Some("give the tracer's cgroup more memory, or lower --ring-size and --max-sockets"),
        _ => None,
    }
}

fn first_and_last(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{first} ... {last}"),
        (Some(only), None) => only.to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use aya::maps::MapError;

    use super::*;

    #[test]
    fn a_refused_map_is_told_with_its_cause_and_what_to_do() {
        let refused = |errno: Errno| {
            let error = MapError::CreateError {
                name: "RECORDS".to_owned(),
                io_error: errno.into(),
            };
            attach::AttachError::Maps(Box::new(error.into())).to_string()
        };
        let cases = [
            (Errno::MFILE, "Too many open files (os error 24); raise the limit"),
            (Errno::NFILE, "(os error 23); raise the node's limit"),
            (
                Errno::NOMEM,
                "(os error 12); give the tracer's cgroup more memory",
            ),
            (
                Errno::INVAL,
                "failed to create map `RECORDS`: Invalid argument (os error 22)",
            ),
        ];
        for (errno, want) in cases {
            let said = refused(errno);
            assert!(said.contains(want), "{said}");
            assert!(said.contains("RECORDS"), "{said}");
        }
    }
}
