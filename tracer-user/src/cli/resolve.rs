//! From flags to a [`Request`]: defaults, and the checks that clap cannot express.

use std::{path::PathBuf, time::Duration};

use clap::error::ErrorKind;

use super::{
    args::{CadenceArgs, ProbeArgs},
    command::{
        AtOnceArgs, Check, Cli, Command, ComponentsArgs, ConnectionsArgs, EventsArgs, GraphArgs,
        GraphFilterArgs, ListenersArgs, LiveArgs, RecordArgs, ReplayView, TableFormat, VerifyArgs, command,
    },
    request::{Action, Btf, Capture, Request, View},
};
use crate::output::filter::Filter;

/// How long `graph` and `verify` watch unless told otherwise.
const WATCH: Duration = Duration::from_secs(10);

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
            live,
        } => watch(graph(view, true), live.or(before), duration),
        Command::Graph {
            view,
            duration,
            watch: false,
            live,
        } => watch(
            graph(view, false),
            live.or(before),
            Some(duration.unwrap_or(WATCH)),
        ),
        Command::Verify { view, duration, live } => {
            watch(verify(view)?, live.or(before), Some(duration.unwrap_or(WATCH)))
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
    } = args;
    let at_once = AtOnceArgs {
        probe,
        size,
        rules,
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

impl LiveArgs {
    /// These, and `other` where they say nothing.
    fn or(self, other: Self) -> Self {
        let interval = self.cadence.interval.or(other.cadence.interval);
        Self {
            at_once: self.at_once.or(other.at_once),
            cadence: CadenceArgs { interval },
        }
    }
}

impl AtOnceArgs {
    fn or(mut self, other: Self) -> Self {
        self.probe = self.probe.or(other.probe);
        self.size.ring_size = self.size.ring_size.or(other.size.ring_size);
        self.size.max_sockets = self.size.max_sockets.or(other.size.max_sockets);
        self.rules.rules = self.rules.rules.or(other.rules.rules);
        self.save.record = self.save.record.or(other.save.record);
        self
    }
}

impl ProbeArgs {
    fn or(self, other: Self) -> Self {
        Self {
            probe: self.probe.or(other.probe),
            snapshot: self.snapshot.or(other.snapshot),
            btf: self.btf.or(other.btf),
        }
    }
}

impl From<AtOnceArgs> for Capture {
    fn from(args: AtOnceArgs) -> Self {
        let usual = Self::default();
        Self {
            probe: args.probe.probe.unwrap_or_default(),
            snapshot: args.probe.snapshot.unwrap_or_default(),
            btf: btf(args.probe.btf),
            ring_bytes: args.size.ring_size.unwrap_or(usual.ring_bytes),
            sockets_max: args.size.max_sockets.unwrap_or(usual.sockets_max),
            rules: args.rules.rules,
            record: args.save.record,
            ..usual
        }
    }
}

impl From<LiveArgs> for Capture {
    fn from(args: LiveArgs) -> Self {
        let interval = args.cadence.interval.unwrap_or(Self::INTERVAL);
        Self {
            interval,
            ..Self::from(args.at_once)
        }
    }
}

/// A file called `none` is `./none`.
fn btf(path: Option<PathBuf>) -> Btf {
    match path {
        None => Btf::Kernel,
        Some(path) if path.as_os_str() == "none" => Btf::None,
        Some(path) => Btf::File(path),
    }
}

impl From<GraphFilterArgs> for Filter {
    fn from(args: GraphFilterArgs) -> Self {
        let mut filter = args.ends.filter();
        args.directions.add_to(&mut filter);
        args.netns.add_to(&mut filter);
        filter
    }
}

impl From<EventsArgs> for View {
    fn from(args: EventsArgs) -> Self {
        let mut filter = Filter::from(args.filters);
        args.from_port.add_to(&mut filter);
        Self::Events {
            format: args.output,
            filter,
        }
    }
}

fn graph(args: GraphArgs, watch: bool) -> View {
    View::Graph {
        format: args.output,
        filter: args.filters.into(),
        watch,
    }
}

impl From<ListenersArgs> for View {
    fn from(args: ListenersArgs) -> Self {
        let mut filter = args.ends.filter();
        args.netns.add_to(&mut filter);
        filter.either.components.extend(args.name);
        Self::Listeners {
            format: args.output,
            filter,
        }
    }
}

impl From<ConnectionsArgs> for View {
    fn from(args: ConnectionsArgs) -> Self {
        let mut filter = Filter::from(args.filters);
        args.from_port.add_to(&mut filter);
        filter.either.components.extend(args.name);
        Self::Connections {
            format: args.output,
            filter,
            count: args.count,
        }
    }
}

impl From<ComponentsArgs> for View {
    fn from(args: ComponentsArgs) -> Self {
        Self::Components {
            format: args.output,
            filter: args.ends.filter(),
        }
    }
}

fn verify(args: VerifyArgs) -> Result<View, clap::Error> {
    let VerifyArgs {
        mut checks,
        allow,
        output,
    } = args;
    if checks.is_empty() {
        checks = vec![Check::ApiserverEtcd, Check::EtcdClients];
    }
    checks.sort_unstable();
    checks.dedup();
    if !allow.is_empty() && !checks.contains(&Check::EtcdClients) {
        return Err(usage(
            "--allow is for the check etcd-clients: add it, or leave --allow out",
        ));
    }
    Ok(View::Verify {
        checks,
        allow,
        format: output,
    })
}

fn replayed(view: ReplayView) -> Result<View, clap::Error> {
    Ok(match view {
        ReplayView::Events(args) => args.into(),
        ReplayView::Graph(args) => graph(args, false),
        ReplayView::Listeners(args) => args.into(),
        ReplayView::Connections(args) => args.into(),
        ReplayView::Components(args) => args.into(),
        ReplayView::Verify(args) => verify(args)?,
    })
}
