//! One signal's way: into the recording, through the pipeline, to the view.
#![forbid(unsafe_code)]

use super::{AppError, show::Show};
use crate::{
    pipeline::Pipeline,
    record::{Progress, Recorder},
    report::Happening,
    signal::Signal,
};

/// Recording, pipeline and view of a run. The first error stops all and is kept.
pub(super) struct Feed {
    pub(super) pipeline: Pipeline,
    pub(super) show: Show,
    recorder: Option<Recorder>,
    error: Option<AppError>,
    /// The recording reached a limit.
    pub(super) full: bool,
}

impl Feed {
    pub(super) fn new(mut pipeline: Pipeline, show: Show, recorder: Option<Recorder>) -> Self {
        show.prepare(&mut pipeline);
        Self {
            pipeline,
            show,
            recorder,
            error: None,
            full: false,
        }
    }

    /// Takes a signal.
    pub(super) fn take(&mut self, signal: &Signal<'_>) {
        if self.error.is_none()
            && let Err(error) = self.try_take(signal)
        {
            self.error = Some(error);
        }
    }

    fn try_take(&mut self, signal: &Signal<'_>) -> Result<(), AppError> {
        if let Some(recorder) = &mut self.recorder {
            match recorder.record(signal)? {
                Progress::Recording => {}
                Progress::Ended(_limit) => self.full = true,
            }
        }
        let Self { pipeline, show, .. } = self;
        if show.wants_happenings() {
            let mut failed = None;
            pipeline.feed(
                signal,
                Some(&mut |happening: &Happening| {
                    if let Err(error) = show.happening(happening) {
                        failed.get_or_insert(error);
                    }
                }),
            );
            if let Some(error) = failed {
                return Err(error.into());
            }
        } else {
            pipeline.feed(signal, None);
        }
        Ok(show.signal(pipeline, signal)?)
    }

    /// The error that stopped it, once.
    pub(super) fn check(&mut self) -> Result<(), AppError> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// Completes the recording.
    pub(super) fn close(&mut self) -> Result<Option<crate::record::Summary>, AppError> {
        Ok(self.recorder.take().map(Recorder::finish).transpose()?)
    }
}
