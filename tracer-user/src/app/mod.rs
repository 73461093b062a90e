//! Composition root: the only place that knows all rooms. A request in, an exit code out.

mod doctor;
mod feed;
mod limits;
mod live;
mod names;
mod out;
mod replay;
mod show;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
};

pub use limits::{LimitError, Room};
use tracing_subscriber::{Layer as _, filter::Targets, layer::SubscriberExt as _};

use crate::{
    attribute::rules::{Rules, RulesError},
    cli::{Action, Request},
    loader::LoadError,
    output::{
        SinkError,
        escape::Shown,
        style::{Choice, Paint, Surroundings, Tone},
    },
    record::{ReadError, RecordError},
};

/// How the program ended: the exit codes of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or verified.
    Ok,
    /// What was checked is not as it should be.
    Unmet,
    /// The command line or a file named on it cannot be used.
    Usage,
    /// Nothing to judge, or incomplete evidence.
    Inconclusive,
    /// This kernel or these rights allow no look.
    CannotObserve,
    /// Anything else that failed.
    Error,
    /// `verify` was interrupted.
    Interrupted,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unmet => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::CannotObserve => 4,
            Self::Error => 5,
            Self::Interrupted => 130,
        }
    }
}

/// Why a run ended early. The text says what failed, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Component rules given by the user.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// What the process may use.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The kernel.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The recording being written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The recording being read; what came before the damage has been used.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An output.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Signal handlers.
    #[error("cannot handle SIGINT and SIGTERM: {0}; the run would not end cleanly")]
    Signals(#[source] io::Error),
}

impl AppError {
    const fn exit(&self) -> Exit {
        match self {
            Self::Rules(_) => Exit::Usage,
            Self::Load(_) | Self::Limit(_) => Exit::CannotObserve,
            Self::Sink(SinkError::Closed) => Exit::Ok,
            Self::Record(_) | Self::Read(_) | Self::Sink(SinkError::Io(_)) | Self::Signals(_) => Exit::Error,
        }
    }
}

/// Runs a request to its end; errors are told on stderr.
pub fn run(request: &Request) -> Exit {
    let styles = Styles::new(request.color);
    log(request.verbosity, styles);
    let mut stderr = out::stderr();
    for hint in &request.hints {
        // stderr may be closed; there is nowhere left to say so.
        let _unheard = writeln!(stderr, "{} {hint}", styles.err.text(Tone::Quiet, "hint:"));
    }
    drop(stderr);
    match dispatch(request, styles) {
        Ok(exit) => exit,
        Err(AppError::Sink(SinkError::Closed)) => Exit::Ok,
        Err(error) => {
            let mut stderr = out::stderr();
            let _unheard = writeln!(
                stderr,
                "{} {}",
                styles.err.text(Tone::Bad, "error:"),
                // It may repeat a path, or what a file or the kernel said.
                Shown(&error.to_string())
            );
            error.exit()
        }
    }
}

/// Sends the rooms' own words to stderr: with `-v` what was found and chosen, with `-vv` every step. Other crates say
/// nothing: what matters of theirs is told as a degradation, once, and their steps may show what is secret.
fn log(verbosity: i8, styles: Styles) {
    let level = match verbosity {
        i8::MIN..=-1 => tracing::Level::ERROR,
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        3.. => tracing::Level::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| out::Log)
        .with_ansi(styles.err != Paint::PLAIN)
        .with_target(false);
    let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(own));
    // Only a second run in one process could have set one before.
    let _first = tracing::subscriber::set_global_default(subscriber);
}

fn dispatch(request: &Request, styles: Styles) -> Result<Exit, AppError> {
    let quiet = request.verbosity < 0;
    match &request.action {
        Action::Live { .. } | Action::Record { .. } | Action::Doctor { .. } => limits::check_live()?,
        Action::Replay { .. } => limits::check_replay()?,
        Action::Version => {}
    }
    match &request.action {
        Action::Live {
            view,
            capture,
            duration,
        } => live::run(view, capture, *duration, styles, quiet),
        Action::Record {
            file,
            capture,
            duration,
            max_bytes,
        } => live::record(file, capture, *duration, *max_bytes, styles, quiet),
        Action::Replay { file, view, rules } => replay::run(file, view, rules.as_ref(), styles, quiet),
        Action::Doctor { format, capture } => doctor::run(*format, capture, styles),
        Action::Version => {
            let mut out = io::stdout().lock();
            writeln!(out, "kcn-trace {}", env!("CARGO_PKG_VERSION")).map_err(SinkError::from)?;
            Ok(Exit::Ok)
        }
    }
}

fn rules(file: Option<&PathBuf>) -> Result<Arc<Rules>, AppError> {
    Ok(Arc::new(Rules::load(file.map(PathBuf::as_path))?))
}

/// Colour for both streams.
#[derive(Clone, Copy, Debug)]
struct Styles {
    out: Paint,
    err: Paint,
}

impl Styles {
    fn new(choice: Choice) -> Self {
        let value = |name: &str| std::env::var(name).ok();
        let (no_color, clicolor_force, term) = (value("NO_COLOR"), value("CLICOLOR_FORCE"), value("TERM"));
        let paint = |terminal: bool| {
            let around = Surroundings {
                terminal,
                no_color: no_color.as_deref(),
                clicolor_force: clicolor_force.as_deref(),
                term: term.as_deref(),
            };
            Paint::choose(choice, &around)
        };
        Self {
            out: paint(io::stdout().is_terminal()),
            err: paint(io::stderr().is_terminal()),
        }
    }
}
