//! One signal's way: into the recording, through the pipeline, to the view.
#![forbid(unsafe_code)]

use super::{AppError, show::Show};
use crate::{
    output::SinkError,
    pipeline::Pipeline,
    record::{Progress, RecordError, Recorder},
    report::Happening,
    signal::Signal,
};

/// Recording, pipeline and view of a run. The first error of the recording stops all. An error of the view, as when its
/// reader has gone, ends the run and keeps the recording whole.
pub(super) struct Feed {
    pub(super) pipeline: Pipeline,
    pub(super) show: Show,
    recorder: Option<Recorder>,
    error: Option<RecordError>,
    unshown: Option<SinkError>,
    /// The recording reached a limit.
    full: bool,
}

impl Feed {
    pub(super) fn new(mut pipeline: Pipeline, show: Show, recorder: Option<Recorder>) -> Self {
        show.prepare(&mut pipeline);
        Self {
            pipeline,
            show,
            recorder,
            error: None,
            unshown: None,
            full: false,
        }
    }

    /// Takes a signal.
    pub(super) fn take(&mut self, signal: &Signal<'_>) {
        if self.error.is_some() {
            return;
        }
        if let Some(recorder) = &mut self.recorder {
            match recorder.record(signal) {
                Ok(Progress::Recording) => {}
                Ok(Progress::Ended(_limit)) => self.full = true,
                Err(error) => {
                    self.error = Some(error);
                    return;
                }
            }
        }
        if self.unshown.is_some() {
            self.pipeline.feed(signal, None);
        } else if let Err(error) = self.show(signal) {
            self.unshown = Some(error);
        }
    }

    fn show(&mut self, signal: &Signal<'_>) -> Result<(), SinkError> {
        let Self { pipeline, show, .. } = self;
        if show.wants_happenings() {
            let mut failed = None;
            pipeline.feed(
                signal,
                Some(&mut |happening: &Happening| {
                    if failed.is_none()
                        && let Err(error) = show.happening(happening)
                    {
                        failed = Some(error);
                    }
                }),
            );
            if let Some(error) = failed {
                return Err(error);
            }
        } else {
            pipeline.feed(signal, None);
        }
        show.signal(pipeline, signal)
    }

    /// Whether nothing more is of use: the recording is full, or nobody reads the view.
    pub(super) const fn is_over(&self) -> bool {
        self.full || self.unshown.is_some()
    }

    /// Whether anybody gets the end of the run: a recording, or the reader of the view.
    pub(super) const fn is_wanted(&self) -> bool {
        self.recorder.is_some() || self.unshown.is_none()
    }

    /// The error of the recording, once.
    pub(super) fn check(&mut self) -> Result<(), AppError> {
        Ok(self.error.take().map_or(Ok(()), Err)?)
    }

    /// The error of the view, once.
    pub(super) fn shown(&mut self) -> Result<(), AppError> {
        Ok(self.unshown.take().map_or(Ok(()), Err)?)
    }

    /// Completes the recording.
    pub(super) fn close(&mut self) -> Result<Option<crate::record::Summary>, AppError> {
        Ok(self.recorder.take().map(Recorder::finish).transpose()?)
    }
}
