//! The command line: what the user typed, checked, as a [`Request`]. Nothing here touches the world.
//!
//! To add a flag: its group in `args/`, its view in `views.rs` or its command in `command.rs`, its value in `request.rs`, its line in the
//! tests' table. To add a command: a variant in `command.rs`, its arm in `resolve/`.
#![forbid(unsafe_code)]

use std::ffi::OsString;

use clap::Parser as _;

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
/// 0 for `--help` and `--version`.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Request, clap::Error> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let hints = compat::take_netstat_letters(&mut args);
    resolve::resolve(command::Cli::try_parse_from(args)?, hints)
}
