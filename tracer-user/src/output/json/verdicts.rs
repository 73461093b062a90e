//! `verify` with `-o json`: a document of verdicts, each with the records that decide it.

use std::io::Write;

use serde::Serialize;

use super::{
    Layout, Meta,
    party::{BothAttributions, JsonParty},
    write_document,
};
use crate::{
    output::{Frame, SinkError},
    verify::{Finding, Report},
};

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    meta: Meta<'a>,
    verdict: &'static str,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    name: &'static str,
    verdict: &'static str,
    reason: &'a str,
    records: Vec<Record<'a>>,
}

#[derive(Serialize)]
struct Record<'a> {
    source: JsonParty<'a>,
    destination: JsonParty<'a>,
    connections: u64,
    note: &'a str,
    attribution: BothAttributions<'a>,
}

/// Writes verdicts, schema `kcn-trace.verify/v1`.
pub fn write_verdicts(out: &mut dyn Write, frame: &Frame<'_>, report: &Report) -> Result<(), SinkError> {
    let document = Document {
        schema: "kcn-trace.verify/v1",
        meta: Meta::from(frame),
        verdict: report.verdict().name(),
        checks: report.findings.iter().map(Check::from).collect(),
    };
    write_document(out, &document, Layout::Pretty)
}

impl<'a> From<&'a Finding> for Check<'a> {
    fn from(finding: &'a Finding) -> Self {
        let records = finding.evidence.iter().map(|one| Record {
            source: JsonParty::new(&one.source, 0),
            destination: JsonParty::new(&one.destination, 0),
            connections: one.connections,
            note: &one.note,
            attribution: BothAttributions::of(&one.source, &one.destination),
        });
        Self {
            name: finding.check.name(),
            verdict: finding.verdict.name(),
            reason: &finding.reason,
            records: records.collect(),
        }
    }
}
