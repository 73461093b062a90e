//! The kernel's own measurement of BPF programs.

use anyhow::{Context, Result};
use std::fs;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The measurement, switched on; back to what it was on drop.
pub(crate) struct Stats(String);

impl Stats {
    pub(crate) fn enable() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self(before))
    }
}

impl Drop for Stats {
    fn drop(&mut self) {
        // A switch that cannot be put back costs some speed until the next boot, nothing else.
        drop(fs::write(SWITCH, &self.0));
    }
}
