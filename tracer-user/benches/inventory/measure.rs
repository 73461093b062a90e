//! Clock, memory, and the table that is printed.

use std::{
    fmt::Display,
    io::{self, Write},
};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// Resident memory of this process, bytes.
pub(crate) fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kibibytes = kibibytes.context("/proc/self/status has another form")?;
    Ok(kibibytes.trim().parse::<u64>()? << 10)
}

/// CPU time of this thread that the work takes, nanoseconds: what else runs on the machine hardly matters.
pub(crate) fn spent_ns(work: impl FnOnce()) -> u64 {
    let now_ns = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
    };
    let begun_ns = now_ns();
    work();
    now_ns() - begun_ns
}

/// Nanoseconds of one call, on average over all keys.
pub(crate) fn each_ns<K>(keys: &[K], mut call: impl FnMut(&K)) -> u64 {
    let all_ns = spent_ns(|| keys.iter().for_each(&mut call));
    all_ns / (keys.len() as u64).max(1)
}

/// Begins a table.
pub(crate) fn table(what: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n| {what} | |\n|---|---|")?;
    Ok(())
}

/// One row of it.
pub(crate) fn row(name: &str, figure: impl Display, unit: &str) -> Result<()> {
    writeln!(io::stdout().lock(), "| {name} | {figure} {unit} |")?;
    Ok(())
}
