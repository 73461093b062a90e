//! What `explain` says when it found nothing: what was looked for, and what to try.
#![forbid(unsafe_code)]

use std::io::Write;

use super::{
    SinkError,
    escape::Shown,
    style::{Paint, Tone},
};
use crate::report::Question;

/// One sentence with its remedy. For stderr.
pub fn write_nothing(out: &mut dyn Write, question: &Question, paint: Paint) -> Result<(), SinkError> {
    let (looked, remedy) = match question {
        Question::Address(address) => (
            format!("an open connection or listening socket with the address {address}"),
            "watching or recording longer (--duration), or `kcn-trace connections` for the addresses there are",
        ),
        Question::Pid(pid) => (
            format!("a socket of process {pid}"),
            "watching or recording longer (--duration), or `kcn-trace listeners` and `kcn-trace connections` for the processes there are",
        ),
        Question::Name(name) => (
            format!(
                "a component, workload, pod, service, node or program called `{}`",
                Shown(name)
            ),
            "watching or recording longer (--duration), or `kcn-trace graph` for the names there are",
        ),
        Question::Edge {
            source,
            destination,
            port,
        } => (
            format!(
                "connections from `{}` to `{}`{}",
                Shown(source),
                Shown(destination),
                port.map(|port| format!(" on port {port}")).unwrap_or_default()
            ),
            "watching or recording longer (--duration), or `kcn-trace graph` for the edges there are",
        ),
    };
    writeln!(
        out,
        "{} looked for {looked}, and saw none. Remedy: {remedy}.",
        paint.text(Tone::Doubt, "not found:")
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fixture::EVIL;

    #[test]
    fn nothing_found_is_said_with_what_to_try() {
        let cases = [
            (
                "an address",
                Question::Address("10.0.0.9:2379".parse().unwrap()),
                "the address 10.0.0.9:2379",
            ),
            ("a process", Question::Pid(7), "a socket of process 7"),
            ("a hostile name", Question::Name(EVIL.into()), "called `e\\x1b[2J"),
            (
                "an edge",
                Question::Edge {
                    source: "a".into(),
                    destination: "b".into(),
                    port: Some(1),
                },
                "from `a` to `b` on port 1",
            ),
        ];
        for (case, question, says) in cases {
            let mut out = Vec::new();
            write_nothing(&mut out, &question, Paint::PLAIN).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.starts_with("not found: looked for "), "case: {case}: {text}");
            assert!(text.contains(says), "case: {case}: {text}");
            assert!(
                text.contains("Remedy: watching or recording longer"),
                "case: {case}: {text}"
            );
            assert_eq!(text.lines().count(), 1, "case: {case}");
        }
    }
}
