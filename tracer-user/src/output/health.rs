//! How far an output can be trusted, in words: notes on stderr, each with its remedy.

use std::io::Write;

use super::{
    Frame, SinkError,
    escape::Shown,
    style::{Paint, Tone},
    units::{Count, Percent, Span},
};
use crate::{graph::Health, signal::Degraded};

/// What is wrong with `health`, as pairs of fact and remedy; degradations come after.
///
/// The facts are our own words and numbers; the degradations are foreign and not escaped yet.
pub fn faults(health: &Health) -> Vec<(String, &'static str)> {
    let mut faults = Vec::new();
    let mut fault = |bad: bool, fact: String, remedy: &'static str| {
        if bad {
            faults.push((fact, remedy));
        }
    };
    fault(
        health.lost > 0,
        format!("{} lost: the ring buffer was full", Count(health.lost, "record")),
        "a larger --ring-size, or less load",
    );
    fault(
        health.cut_off,
        "the recording ends before the run did".to_owned(),
        "none: what comes before the damage is shown",
    );
    fault(
        health.undecodable > 0,
        format!("{} could not be decoded", Count(health.undecodable, "record")),
        "report it with a recording: this is a bug, or the recording is damaged",
    );
    fault(
        health.missed > 0,
        format!(
            "{} missed at the opening and found by a later snapshot",
            Count(health.missed, "connection")
        ),
        "none needed, the graph has them; times and short lives around them are not exact",
    );
    fault(
        health.ghosts > 0,
        format!(
            "{} removed late: the end was missed",
            Count(health.ghosts, "connection")
        ),
        "none needed, the graph is without them; their last bytes are not counted",
    );
    fault(
        health.overflow > 0,
        format!(
            "{} not tracked: a limit was reached",
            Count(health.overflow, "connection")
        ),
        "a larger --max-sockets; for graph --watch also --forget-after",
    );
    fault(
        health.ownerless > 0,
        format!(
            "{} without an owner: the socket table was full or the connect was not seen",
            Count(health.ownerless, "record")
        ),
        "a larger --max-sockets",
    );
    fault(
        health.canaries.0 != health.canaries.1,
        format!(
            "{} of {} not seen: the programs may be blind",
            health.canaries.0.saturating_sub(health.canaries.1),
            Count(health.canaries.0, "test connection")
        ),
        "kcn-trace doctor",
    );
    fault(
        health.programs.skipped > 0,
        format!(
            "{} skipped by the kernel: the program, or another tool's, was running on that processor",
            Count(health.programs.skipped, "program run")
        ),
        "none needed if it stays rare: the next snapshot mends the graph",
    );
    faults
}

/// The window, what was counted, and every fault and degradation with its remedy. For stderr, after the data.
pub fn write_notes(out: &mut dyn Write, frame: &Frame<'_>, paint: Paint) -> Result<(), SinkError> {
    let health = frame.health;
    let (start, end) = frame.window_unix_ns;
    let window = Span(end.saturating_sub(start).try_into().unwrap_or(0));
    let lost = if health.lost == 0 { Tone::Good } else { Tone::Bad };
    write!(
        out,
        "{} window {window}, {}, {}",
        paint.text(Tone::Quiet, "--"),
        Count(health.delivered, "record"),
        paint.text(lost, format_args!("{} lost", health.lost)),
    )?;
    if let Some(recall) = health.recall_ppm {
        write!(out, ", recall {}", Percent(recall))?;
    }
    write!(out, ", {}", Count(health.snapshots, "snapshot"))?;
    if health.programs.healed > 0 {
        write!(out, ", {} healed", Count(health.programs.healed, "skipped run"))?;
    }
    writeln!(out)?;
    for (fact, remedy) in faults(health) {
        writeln!(
            out,
            "{} {fact}. Remedy: {remedy}.",
            paint.text(Tone::Bad, "incomplete:")
        )?;
    }
    for degraded in &health.degraded {
        write_degraded(out, degraded, paint)?;
    }
    Ok(())
}

/// What does not work, why, and what to do about it: one line.
pub fn write_degraded(out: &mut dyn Write, degraded: &Degraded, paint: Paint) -> Result<(), SinkError> {
    let label = paint.text(Tone::Doubt, "degraded:");
    let (what, why, remedy) = (
        Shown(&degraded.what),
        Shown(&degraded.why),
        Shown(&degraded.remedy),
    );
    Ok(writeln!(out, "{label} {what}: {why}. Remedy: {remedy}.")?)
}

/// A source of names that works again: one line.
pub fn write_recovered(out: &mut dyn Write, source: &str, paint: Paint) -> Result<(), SinkError> {
    let label = paint.text(Tone::Good, "recovered:");
    Ok(writeln!(out, "{label} {}.", Shown(source))?)
}
