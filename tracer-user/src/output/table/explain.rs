//! `explain` for people: each end with its witnesses, best first.
#![forbid(unsafe_code)]

use std::io::Write;

use super::{Align, Cell, Table};
use crate::{
    attribute::{Claim, place::Container},
    output::{
        SinkError,
        escape::{Shown, Word},
        name::{HumanName, Marks, Name, PodName, SPOOFED},
        style::{Paint, Tone},
    },
    report::{ExplainedEnd, Explanation, Outcome, Testimony},
};

/// Writes explanations for people.
pub fn write_explanations(
    out: &mut dyn Write,
    explanations: &[Explanation],
    paint: Paint,
) -> Result<(), SinkError> {
    for (index, explanation) in explanations.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", paint.text(Tone::Strong, Shown(&explanation.about)))?;
        let roles: &[&str] = match explanation.ends.len() {
            2 => &["source: ", "destination: "],
            _ => &[],
        };
        for (index, end) in explanation.ends.iter().enumerate() {
            write_end(out, end, roles.get(index).copied().unwrap_or_default(), paint)?;
        }
    }
    Ok(())
}

fn write_end(out: &mut dyn Write, end: &ExplainedEnd, role: &str, paint: Paint) -> Result<(), SinkError> {
    let pid = end.process.as_ref().map(|process| format!("[{}]", process.tgid));
    let name = format!(
        "{}{}{}",
        Name(&end.claim),
        pid.unwrap_or_default(),
        Marks(&end.claim)
    );
    writeln!(
        out,
        "  {role}{}, in the graph {}",
        paint.text(Tone::Strong, name),
        Word(&end.node)
    )?;
    for line in place(&end.claim) {
        writeln!(out, "    {line}")?;
    }
    let mut table = Table::new([
        ("RANK", Align::Right),
        ("SOURCE", Align::Left),
        ("SAYS", Align::Left),
        ("BY", Align::Left),
        ("OUTCOME", Align::Left),
    ]);
    for Testimony {
        rank,
        source,
        says,
        by,
        outcome,
    } in &end.testimonies
    {
        table.row([
            rank.into(),
            Cell::new(*source, Tone::Plain),
            Cell::new(Shown(says).to_string(), Tone::Plain),
            Cell::new(Shown(by).to_string(), Tone::Quiet),
            outcome_cell(outcome),
        ]);
    }
    let mut text = Vec::new();
    table.write(&mut text, paint)?;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.write_all(b"    ")?;
        out.write_all(line)?;
    }
    for remedy in &end.improve {
        writeln!(
            out,
            "    {} {}",
            paint.text(Tone::Doubt, "to know more:"),
            Shown(remedy)
        )?;
    }
    Ok(())
}

/// `decides`, `lost: the executable is another`.
fn outcome_cell(outcome: &Outcome) -> Cell {
    let with = |word: &str, why: &str| format!("{word}: {}", Shown(why));
    match outcome {
        Outcome::Decides => Cell::new("decides", Tone::Good),
        Outcome::Agrees => Cell::new("agrees", Tone::Good),
        Outcome::Adds => Cell::new("adds", Tone::Plain),
        Outcome::Lost(why) => Cell::new(with("lost", why), Tone::Doubt),
        Outcome::Silent(why) => Cell::new(with("silent", why), Tone::Quiet),
    }
}

/// Where it lives, one line for each fact.
fn place(claim: &Claim) -> Vec<String> {
    let mut lines = Vec::new();
    let place = &claim.place;
    if let Some(pod) = claim.pod() {
        let workload = pod.workload.as_ref();
        let workload =
            workload.map(|workload| format!(", {} {}", Shown(&workload.kind), Word(&workload.name)));
        lines.push(format!("pod {}{}", PodName(pod), workload.unwrap_or_default()));
    }
    if let Some(container) = &place.container {
        let Container {
            name, id, runtime, ..
        } = &**container;
        let name = name.as_deref().map(|name| format!("{} ", Word(name)));
        let runtime = runtime.as_deref().map(|runtime| format!(" of {}", Word(runtime)));
        lines.push(format!(
            "container {}{}{}",
            name.unwrap_or_default(),
            Word(id),
            runtime.unwrap_or_default()
        ));
    }
    lines.extend(place.unit.as_ref().map(|unit| format!("unit {}", Word(unit))));
    lines.extend(claim.node().map(|node| format!("node {}", Word(node))));
    if !place.services.is_empty() {
        let services: Vec<String> = place
            .services
            .iter()
            .map(|service| Word(service).to_string())
            .collect();
        lines.push(format!("serves {}", services.join(" ")));
    }
    lines.extend(place.human.as_ref().map(|human| match &human.session {
        Some(session) => format!("run {}, session {}", HumanName(human), Word(session)),
        None => format!("run {}", HumanName(human)),
    }));
    lines.extend(
        place
            .spoofed
            .as_ref()
            .map(|spoofed| format!("{SPOOFED}: {}", Shown(spoofed))),
    );
    lines
}
