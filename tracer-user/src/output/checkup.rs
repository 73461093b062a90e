//! `doctor` as a table and as a document: one line for each thing looked at, with its remedy.
#![forbid(unsafe_code)]

use std::io::Write;

use serde::Serialize;

use super::{
    SinkError,
    escape::Shown,
    json::{self, Layout},
    style::{Paint, Tone},
    table::{Align, Cell, Table},
};

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As good as it can be.
    Good,
    /// It works, not as well as it could.
    Degraded,
    /// Nothing can be observed because of it.
    Bad,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What.
    pub what: String,
    /// How it stands.
    pub state: State,
    /// What was found, and why it is not better.
    pub found: String,
    /// What to do; empty when nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// Writes lines for people.
pub fn write_table(out: &mut dyn Write, lines: &[Line], paint: Paint) -> Result<(), SinkError> {
    let mut table = Table::new([
        ("CHECK", Align::Left),
        ("STATE", Align::Left),
        ("FOUND", Align::Left),
    ]);
    for line in lines {
        let (word, tone) = match line.state {
            State::Good => ("good", Tone::Good),
            State::Degraded => ("degraded", Tone::Doubt),
            State::Bad => ("bad", Tone::Bad),
        };
        table.row([
            Cell::new(Shown(&line.what).to_string(), Tone::Strong),
            Cell::new(word, tone),
            Shown(&line.found).into(),
        ]);
    }
    table.write(out, paint)?;
    for line in lines.iter().filter(|line| !line.remedy.is_empty()) {
        writeln!(
            out,
            "{} {}",
            paint.text(Tone::Quiet, "remedy:"),
            Shown(&line.remedy)
        )?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    items: &'a [Line],
}

/// Writes lines, schema `kcn-trace.doctor/v1`.
pub fn write_json(out: &mut dyn Write, lines: &[Line]) -> Result<(), SinkError> {
    json::write_document(
        out,
        &Document {
            schema: "kcn-trace.doctor/v1",
            items: lines,
        },
        Layout::Pretty,
    )
}
