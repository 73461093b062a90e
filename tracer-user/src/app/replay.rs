//! Runs on a recording, as fast as it reads.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::{AppError, Exit, Styles, feed::Feed, rules, show::Show};
use crate::{
    cli::View,
    pipeline::{CONNECTIONS_MAX, Pipeline},
    record::Recording,
    signal::Signal,
};

/// Shows `view` of what `file` holds. What comes before any damage is used; then the damage is the result.
pub(super) fn run(
    file: &Path,
    view: &View,
    rules_file: Option<&PathBuf>,
    styles: Styles,
    quiet: bool,
) -> Result<Exit, AppError> {
    let rules = rules(rules_file)?;
    let mut recording = Recording::open(file)?;
    let show = Show::new(view, false, styles, quiet);
    let mut feed = Feed::new(Pipeline::new(&rules, CONNECTIONS_MAX), show, None);
    let mut last = Last::Other;
    let damage = loop {
        match recording.next() {
            Ok(Some(signal)) => {
                last = last.then(&signal);
                feed.take(&signal);
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        feed.shown()?;
    };
    let Feed { pipeline, show, .. } = &mut feed;
    if damage.is_some() || last != Last::Tick {
        pipeline.cut_off();
    }
    let exit = show.end(pipeline, false)?;
    damage.map_or(Ok(exit), |error| Err(error.into()))
}

/// How far the end of a run has been read: the last counters, what became of the programs, then the last tick. A file without them does not know
/// what was lost, whatever its end mark says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Other,
    Counters,
    Programs,
    Tick,
}

impl Last {
    const fn then(self, signal: &Signal<'_>) -> Self {
        match (self, signal) {
            (_, Signal::Counters(_)) => Self::Counters,
            (Self::Counters, Signal::Programs(_)) => Self::Programs,
            (Self::Programs, Signal::Tick { .. }) => Self::Tick,
            _ => Self::Other,
        }
    }
}
