//! From flags to a [`Request`]: defaults, and the checks that clap cannot express.

use std::time::Duration;

use clap::error::ErrorKind;

use self::view::{graph, replayed, verify};
use super::{
    args::{
        capture::{AtOnceArgs, CadenceArgs, LiveArgs, ProbeArgs, RecordArgs},
        filter::GraphFilterArgs,
    },
    command::{Cli, Command, command},
    format::TableFormat,
    request::{Action, Capture, Request, View},
};

mod capture;
mod view;

/// How long `graph` and `verify` watch unless told otherwise.
const WATCH: Duration = Duration::from_secs(10);

/// How long `explain` watches unless told otherwise: long enough for sources of names to answer.
const EXPLAIN: Duration = Duration::from_secs(3);

/// Where `record` stops unless told otherwise: a forgotten recording must not fill the disk of a control-plane node.
const RECORD_BYTES_MAX: u64 = 1 << 30;

/// Checks `cli` and fills in defaults.
pub(super) fn resolve(cli: Cli, hints: Vec<String>) -> Result<Request, clap::Error> {
    let Cli {
        command,
        live: before,
        filters,
        global,
    } = cli;
    let verbosity = if global.quiet {
        -1
    } else {
        i8::try_from(global.verbose).unwrap_or(i8::MAX)
    };
    let action = match command {
        None => Action::Live {
            view: View::Default {
                filter: filters.into(),
            },
            capture: before.into(),
            duration: None,
        },
        Some(_) if filters != GraphFilterArgs::default() => {
            return Err(usage(
                "filters belong after the command, as in `kcn-trace graph --port 2379`",
            ));
        }
        Some(command) => action(command, before)?,
    };
    Ok(Request {
        color: global.color.into(),
        verbosity,
        hints,
        action,
    })
}

/// `before`: flags given before the command, which count where the same flags are taken after it.
fn action(command: Command, before: LiveArgs) -> Result<Action, clap::Error> {
    Ok(match command {
        Command::Events { view, duration, live } => watch(view.into(), live.or(before), duration),
        Command::Graph {
            view,
            duration,
            watch: true,
            forget_after,
            live,
        } => watch(graph(view, true, forget_after), live.or(before), duration),
        Command::Graph {
            view,
            duration,
            watch: false,
            forget_after: _,
            live,
        } => watch(
            graph(view, false, None),
            live.or(before),
            Some(duration.unwrap_or(WATCH)),
        ),
        Command::Verify { view, duration, live } => {
            watch(verify(view)?, live.or(before), Some(duration.unwrap_or(WATCH)))
        }
        Command::Explain { view, duration, live } => {
            watch(view.into(), live.or(before), Some(duration.unwrap_or(EXPLAIN)))
        }
        Command::Listeners { view, live } => at_once(view.into(), live, &before)?,
        Command::Connections { view, live } => at_once(view.into(), live, &before)?,
        Command::Components { view, live } => at_once(view.into(), live, &before)?,
        Command::Doctor { output, probe } => doctor(output, probe, &before)?,
        Command::Record {
            file,
            duration,
            max_size,
            live,
        } => {
            let max_bytes = Some(max_size.unwrap_or(RECORD_BYTES_MAX)).filter(|bytes| *bytes != 0);
            Action::Record {
                file,
                capture: record(live, before)?,
                duration,
                max_bytes,
            }
        }
        Command::Replay { file, rules, view } => {
            let only = AtOnceArgs {
                rules: before.at_once.rules.clone(),
                ..AtOnceArgs::default()
            };
            let before = refuse(&before, only)?;
            Action::Replay {
                file,
                view: replayed(view)?,
                rules: rules.rules.or(before.rules.rules),
            }
        }
        Command::Version => {
            refuse(&before, AtOnceArgs::default())?;
            Action::Version
        }
    })
}

/// A view of a time.
fn watch(view: View, live: LiveArgs, duration: Option<Duration>) -> Action {
    Action::Live {
        view,
        capture: live.into(),
        duration,
    }
}

/// A view of one snapshot.
fn at_once(view: View, live: AtOnceArgs, before: &LiveArgs) -> Result<Action, clap::Error> {
    let only = before.at_once.clone();
    let capture = live.or(refuse(before, only)?).into();
    Ok(Action::Live {
        view,
        capture,
        duration: Some(Duration::ZERO),
    })
}

fn doctor(format: TableFormat, probe: ProbeArgs, before: &LiveArgs) -> Result<Action, clap::Error> {
    let only = AtOnceArgs {
        probe: before.at_once.probe.clone(),
        ..AtOnceArgs::default()
    };
    let before = refuse(before, only)?;
    let at_once = AtOnceArgs {
        probe: probe.or(before.probe),
        ..AtOnceArgs::default()
    };
    Ok(Action::Doctor {
        format,
        capture: at_once.into(),
    })
}

fn record(args: RecordArgs, before: LiveArgs) -> Result<Capture, clap::Error> {
    if before.at_once.save.record.is_some() {
        return Err(usage(
            "--record belongs after `record`, as in `kcn-trace record -w run.kcn`",
        ));
    }
    let RecordArgs {
        probe,
        size,
        cadence,
        rules,
        names,
    } = args;
    let at_once = AtOnceArgs {
        probe,
        size,
        rules,
        names,
        ..AtOnceArgs::default()
    };
    Ok(LiveArgs { at_once, cadence }.or(before).into())
}

/// `allowed`, if no more than that was `given` before the command: no flag may do nothing.
fn refuse(given: &LiveArgs, allowed: AtOnceArgs) -> Result<AtOnceArgs, clap::Error> {
    if given.at_once == allowed && given.cadence == CadenceArgs::default() {
        return Ok(allowed);
    }
    Err(usage(
        "a flag before the command means nothing to it; its own --help lists those that do",
    ))
}

fn usage(message: &str) -> clap::Error {
    command().error(ErrorKind::ArgumentConflict, message)
}
