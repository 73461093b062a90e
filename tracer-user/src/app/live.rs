//! Runs on the live kernel: open, start, pump until told to stop, finish.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use super::{AppError, Exit, Styles, feed::Feed, names::Sources, out, rules, show::Show};
use crate::{
    cli::{Btf, Capture, Probe, SnapshotMode, View},
    clock,
    loader::{
        self, Options,
        plan::{Probes, Snapshots},
    },
    output::escape::Shown,
    pipeline::{CONNECTIONS_MAX, Pipeline},
    record::{Limits, Recorder},
    source::live::{Live, Pumped, Setup},
};

/// Shows `view` of what happens now.
pub(super) fn run(
    view: &View,
    capture: &Capture,
    duration: Option<Duration>,
    styles: Styles,
    quiet: bool,
) -> Result<Exit, AppError> {
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let show = Show::new(view, terminal, styles, quiet);
    let limits = Limits::default();
    trace(show, capture, duration, capture.record.as_deref(), limits, quiet)
}

/// Saves what happens now, and shows nothing.
pub(super) fn record(
    file: &Path,
    capture: &Capture,
    duration: Option<Duration>,
    max_bytes: Option<u64>,
    styles: Styles,
    quiet: bool,
) -> Result<Exit, AppError> {
    let limits = Limits {
        bytes: max_bytes,
        duration_ns: None,
    };
    trace(
        Show::nothing(styles, quiet),
        capture,
        duration,
        Some(file),
        limits,
        quiet,
    )
}

/// What the loader is to do.
pub(super) fn options(capture: &Capture) -> Options {
    Options {
        probes: match capture.probe {
            Probe::Auto => Probes::Auto,
            Probe::Fentry => Probes::Fentry,
            Probe::Kprobe => Probes::Kprobe,
            Probe::Tracepoint => Probes::Tracepoint,
        },
        snapshots: match capture.snapshot {
            SnapshotMode::Auto => Snapshots::Auto,
            SnapshotMode::Iterator => Snapshots::Iterator,
            SnapshotMode::Procfs => Snapshots::Procfs,
        },
        btf: match &capture.btf {
            Btf::Kernel => None,
            Btf::None => Some(None),
            Btf::File(path) => Some(Some(path.clone())),
        },
        ring_bytes: capture.ring_bytes,
        sockets_max: capture.sockets_max,
    }
}

fn trace(
    show: Show,
    capture: &Capture,
    duration: Option<Duration>,
    file: Option<&Path>,
    limits: Limits,
    quiet: bool,
) -> Result<Exit, AppError> {
    let rules = rules(capture.rules.as_ref())?;
    out::handle_signals().map_err(AppError::Signals)?;
    let stop = out::stop();
    // First of all, so that names are there when the first connection is.
    let sources = Sources::start(&capture.names, &rules, &stop);
    let opened = loader::open(&options(capture))?;
    let recorder = file.map(|path| Recorder::create(path, limits)).transpose()?;
    let mut feed = Feed::new(Pipeline::new(&rules, CONNECTIONS_MAX), show, recorder);
    let setup = Setup {
        rules,
        interval: capture.interval,
        stop,
        resolvers: sources.resolvers,
        told: sources.told,
        missing: sources.missing,
        node: sources.node,
    };
    let mut live = Live::start(opened, setup, &mut |signal| {
        feed.take(signal);
    })?;
    feed.check()?;
    if !quiet && duration != Some(Duration::ZERO) {
        announce(&feed, file, duration);
    }
    // A recording may be verified later.
    let proves = feed.show.proves() || file.is_some();
    if proves {
        live.canary(&mut |signal| feed.take(signal))?;
    }
    let interrupted = pump(&mut live, &mut feed, duration)?;
    if feed.is_wanted() && (duration != Some(Duration::ZERO) || proves) {
        if proves {
            live.canary(&mut |signal| feed.take(signal))?;
        }
        live.finish(&mut |signal| feed.take(signal))?;
        feed.check()?;
    }
    feed.close()?;
    feed.shown()?;
    let Feed { pipeline, show, .. } = &mut feed;
    Ok(show.end(pipeline, interrupted)?)
}

/// Until the time is over, the recording is full, nobody reads the output, or somebody says stop; true for the last.
fn pump(live: &mut Live, feed: &mut Feed, duration: Option<Duration>) -> Result<bool, AppError> {
    let until_ns = duration.map(|duration| {
        clock::boot_ns().saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    });
    while until_ns.is_none_or(|until_ns| clock::boot_ns() < until_ns) && !feed.is_over() {
        let pumped = live.pump(until_ns, &mut |signal| feed.take(signal))?;
        feed.check()?;
        if pumped == Pumped::Stopped {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says on stderr that everything is attached and what was there has been seen.
fn announce(feed: &Feed, file: Option<&Path>, duration: Option<Duration>) {
    let session = feed.pipeline.session();
    let backends: Vec<String> = session
        .backends
        .iter()
        .map(|one| format!("{} {}", one.program, one.backend))
        .collect();
    let until = match duration {
        Some(duration) => format!("for {duration:?}"),
        None => "until Ctrl-C".to_owned(),
    };
    let saved = file
        .map(|path| format!(", saved to {}", Shown(&path.display().to_string())))
        .unwrap_or_default();
    let mut stderr = out::stderr();
    // stderr may be closed; there is nowhere left to say so.
    let _unheard = writeln!(
        stderr,
        "-- tracing {} (Linux {}) {until}{saved}: {}",
        Shown(&session.hostname),
        Shown(&session.kernel),
        backends.join(", ")
    );
}
