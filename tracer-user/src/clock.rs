//! The only reader of clocks: boot time, and how far wall time is from it.
#![forbid(unsafe_code)]

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// `CLOCK_BOOTTIME`, nanoseconds: the clock of every record.
pub fn boot_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// Unix time minus `CLOCK_BOOTTIME`, nanoseconds.
///
/// Two clocks cannot be read at once; the wall clock is read between two readings of the other.
pub fn wall_offset_ns() -> i64 {
    let before = boot_ns();
    let wall = nanoseconds(ClockId::Realtime);
    let after = boot_ns();
    let boot = before + (after - before) / 2;
    i64::try_from(wall)
        .unwrap_or(i64::MAX)
        .saturating_sub(i64::try_from(boot).unwrap_or(i64::MAX))
}

fn nanoseconds(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let since = Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    );
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
