//! Reads a child's answers line by line with a deadline, so that a silent child fails a test instead of hanging it.

use crate::wait::Deadline;
use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

/// Lines of a pipe.
#[derive(Debug)]
pub struct Lines<R> {
    pipe: R,
    pending: Vec<u8>,
}

impl<R: Read + AsFd> Lines<R> {
    /// Reads from `pipe`.
    pub fn new(pipe: R) -> Self {
        Self {
            pipe,
            pending: Vec::new(),
        }
    }

    /// The next line without its end. Fails when none is complete within `patience`, or at the end of the pipe.
    pub fn next(&mut self, patience: Duration) -> Result<String> {
        let deadline = Deadline::after(patience);
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.pending.drain(..=end).collect();
                line.pop();
                return String::from_utf8(line).context("the answer is not UTF-8");
            }
            self.fill(deadline.left())?;
        }
    }

    fn fill(&mut self, left: Duration) -> Result<()> {
        let timeout = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        if poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&timeout))? == 0 {
            bail!("no answer in time");
        }
        let mut space = [0; 1 << 14];
        let length = self.pipe.read(&mut space)?;
        if length == 0 {
            bail!("it ended without an answer");
        }
        self.pending.extend(space.get(..length).unwrap_or_default());
        Ok(())
    }
}
