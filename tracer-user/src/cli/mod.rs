//! The command line: what the user typed, checked, as a [`Request`]. Nothing here touches the world.
//!
//! To add a flag: its group in `args/`, its view in `views.rs` or its command in `command.rs`, its value in `request.rs`, its line in the
//! tests' table. To add a command: a variant in `command.rs`, its arm in `resolve/`.
#![forbid(unsafe_code)]

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

use clap::Parser as _;

use crate::output::escape::Shown;

mod args;
mod command;
mod compat;
mod format;
mod question;
mod request;
mod resolve;
#[cfg(test)]
mod tests;
mod value;
mod views;

pub use self::{
    args::capture::{Probe, SnapshotMode},
    command::command,
    format::{Check, Conntrack, EventsFormat, GraphFormat, GroupBy, TableFormat},
    request::{Action, Btf, Capture, Names, Request, View, Whence},
};

/// Reads a command line, the program's name first. The error holds its own text and exit code: 2 for a usage error,
/// 0 for `--help` and `--version`. What the error repeats of the command line is escaped.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    read(args.clone()).map_err(|error| {
        let shown: Vec<OsString> = args.iter().map(|word| shown(word)).collect();
        if shown == args {
            return error;
        }
        // Its text was made by clap, in colours, of what was typed: the same of what may be shown.
        match read(shown) {
            Err(error) => error,
            Ok(_only_escaped) => {
                let text = error.render().to_string();
                let text = text.trim_start_matches("error: ").trim_end();
                command().error(error.kind(), Shown(text))
            }
        }
    })
}

fn read(mut args: Vec<OsString>) -> Result<Request, clap::Error> {
    let hints = compat::take_netstat_letters(&mut args);
    resolve::resolve(command::Cli::try_parse_from(args)?, hints)
}

fn shown(word: &OsStr) -> OsString {
    let mut bytes = Vec::new();
    for chunk in word.as_bytes().utf8_chunks() {
        bytes.extend_from_slice(Shown(chunk.valid()).to_string().as_bytes());
        // What is no text may be refused for that.
        bytes.extend_from_slice(chunk.invalid());
    }
    OsString::from_vec(bytes)
}
