//! What the kernel says of the tracer's own programs: whether they are attached, and how often it skipped them.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// One attached program, as the kernel has it now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramState {
    /// What it tells of: `state`, `accept`, `exec`, ...; the same for a program and its twin.
    pub part: String,
    /// Name in the object.
    pub program: String,
    /// It is the second program for this part, which does what the kernel did not let the first do.
    pub twin: bool,
    /// Its link is there, is its own, and has the program.
    pub attached: bool,
    /// How often the kernel skipped it because it was running on that CPU already, since it was loaded; absent where the
    /// kernel skips and does not count.
    pub skipped: Option<u64>,
    /// Of those, what its twin has done instead.
    pub healed: u64,
}
