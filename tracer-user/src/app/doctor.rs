//! `doctor`: what this kernel and these rights allow, and what would be chosen.

use std::io;

use super::{AppError, Exit, Styles, live::options};
use crate::{
    cli::{Capture, TableFormat},
    loader::{
        self, Survey,
        features::{Capability, Fact},
    },
    output::checkup::{self, Line, State},
};

/// Looks, tells, attaches nothing.
pub(super) fn run(format: TableFormat, capture: &Capture, styles: Styles) -> Result<Exit, AppError> {
    let lines = lines(&loader::survey(&options(capture)));
    let mut out = io::stdout().lock();
    match format {
        TableFormat::Table => checkup::write_table(&mut out, &lines, styles.out)?,
        TableFormat::Json => checkup::write_json(&mut out, &lines)?,
    }
    let blocked = lines.iter().any(|line| line.state == State::Bad);
    Ok(if blocked { Exit::CannotObserve } else { Exit::Ok })
}

fn lines(survey: &Survey) -> Vec<Line> {
    let facts = &survey.facts;
    let mut lines = vec![line("kernel", State::Good, &facts.release)];
    let mut fact = |what: &str, fact: &Fact, bad: State| {
        lines.push(match fact {
            Fact::Yes => line(what, State::Good, "yes"),
            Fact::No(why) => line(what, bad, why),
            Fact::Unknown(why) => line(what, State::Good, &format!("unknown: {why}")),
        });
    };
    fact("loading programs", &facts.bpf, State::Bad);
    fact("type information (BTF)", &facts.btf, State::Degraded);
    fact("kprobes", &facts.kprobes, State::Degraded);
    fact("host pid namespace", &facts.initial_pid_ns, State::Degraded);
    fact("locked memory", &facts.memlock, State::Degraded);
    let path = |path: &Option<std::path::PathBuf>| {
        path.as_ref()
            .map_or("not mounted".to_owned(), |path| path.display().to_string())
    };
    lines.push(line("tracefs", State::Good, &path(&facts.tracefs)));
    let cgroup2 = if facts.cgroup2.is_some() {
        State::Good
    } else {
        State::Degraded
    };
    lines.push(line("cgroup v2", cgroup2, &path(&facts.cgroup2)));
    let held: Vec<&str> = Capability::ALL
        .iter()
        .filter(|one| facts.capabilities.has(**one))
        .map(|one| one.name())
        .collect();
    lines.push(line("capabilities", State::Good, &held.join(" ")));
    let table = &survey.table;
    let (entries, mib) = (table.entries, table.bytes().div_ceil(1 << 20));
    let sockets = format!("{entries} sockets, {mib} MiB of kernel memory ({})", table.by);
    lines.push(line("socket table", State::Good, &sockets));
    match &survey.plan {
        Ok(plan) => {
            for backend in plan.backends() {
                let why = if backend.why.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", backend.why)
                };
                lines.push(line(
                    &format!("program {}", backend.program),
                    State::Good,
                    &format!("{}{why}", backend.backend),
                ));
            }
            lines.extend(plan.degraded.iter().map(|degraded| Line {
                what: "consequence".to_owned(),
                state: State::Degraded,
                found: format!("{}: {}", degraded.what, degraded.why),
                remedy: degraded.remedy.clone(),
            }));
        }
        Err(error) => lines.push(line("programs", State::Bad, &error.to_string())),
    }
    lines
}

fn line(what: &str, state: State, found: &str) -> Line {
    Line {
        what: what.to_owned(),
        state,
        found: found.to_owned(),
        remedy: String::new(),
    }
}
