//! A view while it runs: what it does with happenings, with the passing of time, and at the end.
#![forbid(unsafe_code)]

use std::io::{self, BufWriter, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

mod draw;
mod kind;
mod sources;
mod weather;

use draw::frame;
use kind::Kind;
use sources::Sources;
use weather::tell;

use super::{
    Exit, Styles,
    out::{self, Out},
};
use crate::{
    cli::View,
    output::{Loss, SinkError, health, style::Tone},
    pipeline::Pipeline,
    report::Happening,
    signal::Signal,
};

/// Between two drawings of a graph that is watched, of the run's own clock.
const REDRAW_NS: u64 = 1_000_000_000;
/// A stream that says nothing for this long says that it is alive.
const HEARTBEAT_NS: u64 = 30_000_000_000;

/// A view and where it goes.
pub(super) struct Show {
    kind: Kind,
    out: BufWriter<Out>,
    styles: Styles,
    quiet: bool,
    /// The first snapshot is over.
    begun: bool,
    sources: Sources,
}

impl Show {
    pub(super) fn new(view: &View, terminal: bool, styles: Styles, quiet: bool) -> Self {
        Self {
            kind: Kind::new(view, terminal, styles.out),
            out: BufWriter::with_capacity(1 << 16, out::stdout()),
            styles,
            quiet,
            begun: false,
            sources: Sources::default(),
        }
    }

    /// A view of nothing, for `record`.
    pub(super) fn nothing(styles: Styles, quiet: bool) -> Self {
        Self {
            kind: Kind::Nothing,
            out: BufWriter::new(out::stdout()),
            styles,
            quiet,
            begun: false,
            sources: Sources::default(),
        }
    }

    /// Tells the pipeline what the view needs of it, before its first signal.
    pub(super) fn prepare(&self, pipeline: &mut Pipeline) {
        if let Kind::Graph {
            forget_after: Some(age),
            group_by,
            ..
        } = &self.kind
        {
            pipeline.forget_after(*age, *group_by);
        }
    }

    /// Whether [`happening`](Self::happening) does anything.
    pub(super) const fn wants_happenings(&self) -> bool {
        matches!(self.kind, Kind::Events { .. } | Kind::Verify { .. })
    }

    /// Whether the view concludes from absence, so that the run must prove that it sees.
    pub(super) const fn proves(&self) -> bool {
        matches!(self.kind, Kind::Verify { .. })
    }

    /// Something happened.
    pub(super) fn happening(&mut self, happening: &Happening) -> Result<(), SinkError> {
        match &mut self.kind {
            Kind::Events {
                sink, filter, early, ..
            } if filter.matches_happening(happening) => match early {
                Some(early) => early.push(happening.clone()),
                None => sink.happening(&mut self.out, happening)?,
            },
            Kind::Verify { window, .. } => window.happening(happening),
            Kind::Events { .. }
            | Kind::Nothing
            | Kind::Graph { .. }
            | Kind::Listeners(..)
            | Kind::Connections(..)
            | Kind::Components(..)
            | Kind::Explain(..) => {}
        }
        Ok(())
    }

    /// A signal has passed the pipeline.
    pub(super) fn signal(&mut self, pipeline: &mut Pipeline, signal: &Signal<'_>) -> Result<(), SinkError> {
        match signal {
            Signal::SnapshotEnd { .. } => {
                self.begun = true;
                self.begin(pipeline)
            }
            Signal::Source(state) if self.begun && !self.tells_sources() => {
                let mut err = out::stderr();
                match self.sources.changed(&mut *err, state, self.styles.err) {
                    // stderr may be closed; the notes at the end say it too.
                    Ok(()) | Err(SinkError::Closed | SinkError::Io(_)) => Ok(()),
                }
            }
            Signal::Tick { .. } => self.round(pipeline),
            Signal::Start(_)
            | Signal::Record(_)
            | Signal::SnapshotBegin { .. }
            | Signal::Row(_)
            | Signal::Remembered(_)
            | Signal::Process(_)
            | Signal::Counters(_)
            | Signal::Programs(_)
            | Signal::Degraded(_)
            | Signal::Cgroup { .. }
            | Signal::Inventory(_)
            | Signal::Host(_)
            | Signal::Nat(_)
            | Signal::Source(_)
            | Signal::Canary { .. } => Ok(()),
        }
    }

    /// Whether the output itself says what sources of names do, or nobody wants to hear it.
    const fn tells_sources(&self) -> bool {
        let told = matches!(
            self.kind,
            Kind::Events { .. }
                | Kind::Graph {
                    watch: Some(true),
                    ..
                }
        );
        told || self.quiet
    }

    /// What was there has been seen: a stream begins.
    fn begin(&mut self, pipeline: &Pipeline) -> Result<(), SinkError> {
        let now_ns = pipeline.now_ns();
        if let Kind::Events {
            sink,
            early,
            told_ns,
            degraded,
            ..
        } = &mut self.kind
            && let Some(waiting) = early.take()
        {
            let at_unix_ns = pipeline.unix_ns(now_ns);
            sink.start(&mut self.out, pipeline.session(), at_unix_ns)?;
            tell(
                &mut **sink,
                &mut self.out,
                degraded,
                pipeline.health().degraded,
                at_unix_ns,
            )?;
            for happening in &waiting {
                sink.happening(&mut self.out, happening)?;
            }
            *told_ns = now_ns;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Time has passed.
    fn round(&mut self, pipeline: &mut Pipeline) -> Result<(), SinkError> {
        // A verdict is of use to who reads only the exit code.
        if !self.proves() && reader_has_gone() {
            return Err(SinkError::Closed);
        }
        let now_ns = pipeline.now_ns();
        match &mut self.kind {
            Kind::Events {
                sink,
                early: None,
                told_ns,
                lost,
                skipped,
                degraded,
                ..
            } => {
                let health = pipeline.health();
                let at_unix_ns = pipeline.unix_ns(now_ns);
                for (told, total, place) in [
                    (lost, health.lost, "ring"),
                    (skipped, health.programs.skipped, "skipped"),
                ] {
                    if total > *told {
                        let count = total - *told;
                        let loss = Loss { count, total, place };
                        sink.lost(&mut self.out, &loss, at_unix_ns)?;
                        *told = total;
                    }
                }
                if health.degraded != *degraded {
                    let now = health.degraded.clone();
                    tell(&mut **sink, &mut self.out, degraded, now, at_unix_ns)?;
                }
                if !self.out.buffer().is_empty() {
                    *told_ns = now_ns;
                } else if now_ns.saturating_sub(*told_ns) >= HEARTBEAT_NS {
                    *told_ns = now_ns;
                    sink.heartbeat(&mut self.out, &health, at_unix_ns)?;
                }
                self.out.flush()?;
            }
            Kind::Graph {
                watch: Some(_),
                drawn_ns,
                ..
            } if now_ns.saturating_sub(*drawn_ns) >= REDRAW_NS => {
                *drawn_ns = now_ns;
                self.draw(pipeline)?;
            }
            Kind::Events { .. }
            | Kind::Nothing
            | Kind::Graph { .. }
            | Kind::Listeners(..)
            | Kind::Connections(..)
            | Kind::Components(..)
            | Kind::Explain(..)
            | Kind::Verify { .. } => {}
        }
        Ok(())
    }

    /// The run is over. A verdict is the exit code, whatever becomes of its text.
    pub(super) fn end(&mut self, pipeline: &mut Pipeline, interrupted: bool) -> Result<Exit, SinkError> {
        let mut exit = Exit::Ok;
        let shown = self.last(pipeline, interrupted, &mut exit);
        match shown {
            Err(error) if !self.proves() => return Err(error),
            Err(SinkError::Io(error)) => {
                // stderr may be closed, too; the exit code says it.
                let _unheard = writeln!(
                    out::stderr(),
                    "{} {}",
                    self.styles.err.text(Tone::Bad, "error:"),
                    SinkError::Io(error)
                );
            }
            Ok(()) | Err(SinkError::Closed) => {}
        }
        if !self.quiet {
            let health = pipeline.health();
            let mut err = out::stderr();
            match health::write_notes(&mut *err, &frame(pipeline, &health), self.styles.err) {
                // stderr may be closed; the data has been written.
                Ok(()) | Err(SinkError::Closed | SinkError::Io(_)) => {}
            }
        }
        Ok(exit)
    }

    /// Writes what there is to say at the end. `exit` is set before anything is written.
    fn last(&mut self, pipeline: &mut Pipeline, interrupted: bool, exit: &mut Exit) -> Result<(), SinkError> {
        self.begin(pipeline)?;
        self.settle(pipeline)?;
        match &mut self.kind {
            Kind::Events { sink, degraded, .. } => {
                let at_unix_ns = pipeline.unix_ns(pipeline.now_ns());
                let health = pipeline.health();
                tell(
                    &mut **sink,
                    &mut self.out,
                    degraded,
                    health.degraded.clone(),
                    at_unix_ns,
                )?;
                sink.summary(&mut self.out, &health, at_unix_ns)?;
            }
            Kind::Verify { .. } if interrupted => *exit = Exit::Interrupted,
            Kind::Verify { .. } => self.judge(pipeline, exit)?,
            Kind::Explain(..) => *exit = self.explain(pipeline)?,
            Kind::Nothing => {}
            Kind::Graph { .. } | Kind::Listeners(..) | Kind::Connections(..) | Kind::Components(..) => {
                self.draw(pipeline)?;
            }
        }
        Ok(self.out.flush()?)
    }
}

/// Whether nobody will read what is written next: noticed without writing, so that `| head` ends at once.
fn reader_has_gone() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok() && fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR))
}
