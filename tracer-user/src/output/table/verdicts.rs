//! `verify` as text: verdicts first, then the records that decide them.
#![forbid(unsafe_code)]

use std::io::Write;

use crate::{
    output::{
        SinkError,
        escape::Shown,
        name::End,
        style::{Paint, Tone},
    },
    verify::{Evidence, Report, Verdict},
};

/// Evidence shown of one check in a table; documents hold all of it.
const SHOWN_MAX: usize = 20;

/// Writes verdicts for people.
pub fn write_verdicts(out: &mut dyn Write, report: &Report, paint: Paint) -> Result<(), SinkError> {
    for finding in &report.findings {
        let (word, tone) = match finding.verdict {
            Verdict::Pass => ("PASS", Tone::Good),
            Verdict::Inconclusive => ("INCONCLUSIVE", Tone::Doubt),
            Verdict::Fail => ("FAIL", Tone::Bad),
        };
        writeln!(
            out,
            "{}  {}: {}",
            paint.text(tone, word),
            finding.check.name(),
            Shown(&finding.reason)
        )?;
        for one in finding.evidence.iter().take(SHOWN_MAX) {
            write_evidence(out, one)?;
        }
        if let Some(more) = finding
            .evidence
            .len()
            .checked_sub(SHOWN_MAX)
            .filter(|more| *more > 0)
        {
            writeln!(out, "      and {more} more, all of them with -o json")?;
        }
    }
    Ok(())
}

fn write_evidence(out: &mut dyn Write, one: &Evidence) -> Result<(), SinkError> {
    writeln!(
        out,
        "      {} -> {}  {} connection(s), {}  [{}]",
        End(&one.source),
        End(&one.destination),
        one.connections,
        Shown(&one.note),
        Shown(&one.source.claim.by),
    )?;
    Ok(())
}
