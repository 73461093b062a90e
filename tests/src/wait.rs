//! Waiting for a condition with a deadline: the only place of the tests that reads a clock or pauses.

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// How much slower everything is in an emulated virtual machine. `cargo xtask vm` sets the variable there.
const VM_SLOWNESS: u32 = 6;

/// First pause between two looks at a condition, and the longest: each is twice the one before, so that what is quick
/// is noticed at once and what takes long costs little to wait for on a machine of two processors.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// A moment after which waiting is given up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `patience` from now.
    pub fn after(patience: Duration) -> Self {
        Self(now() + patience)
    }

    /// The time left; zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }
}

/// Long enough for anything local on a loaded two-core machine, short enough to fail a hung test early.
pub fn patience() -> Duration {
    Duration::from_secs(20) * slowness()
}

/// A duration for the tracer's command line: `seconds` on a usual machine, more where everything takes longer.
pub fn seconds(seconds: u32) -> String {
    (seconds * slowness()).to_string()
}

fn slowness() -> u32 {
    if std::env::var_os("KCN_TRACE_VM").is_some() {
        VM_SLOWNESS
    } else {
        1
    }
}

/// Waits until `look` gives a value, and fails naming `what` when that does not happen within `patience`.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Deadline::after(patience);
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if deadline.passed() {
            bail!("waited {patience:?} in vain: {what}");
        }
        rest(pause);
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Waits until `holds` is true, and fails naming `what` when that does not happen within `patience`.
pub fn until_true(what: &str, patience: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    until(what, patience, || Ok(holds()?.then_some(())))
}

/// Lets a stretch of time pass that is itself what is measured: a benchmark's window.
pub fn window(length: Duration) {
    rest(length);
}

/// Nanoseconds of the clock that the tracer's records use.
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "a test's deadline is real time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks, or a benchmark's window"
)]
fn rest(length: Duration) {
    std::thread::sleep(length);
}
