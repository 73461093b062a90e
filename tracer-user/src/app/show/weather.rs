//! What a stream says of what ceases to work, and works again, while it runs.
#![forbid(unsafe_code)]

use std::io::Write;

use crate::{
    output::{EventSink, SinkError},
    signal::Degraded,
};

/// Tells a stream what ceased to work since it was `told`, and what works again.
pub(super) fn tell(
    sink: &mut dyn EventSink,
    out: &mut dyn Write,
    told: &mut Vec<Degraded>,
    now: Vec<Degraded>,
    at_unix_ns: i64,
) -> Result<(), SinkError> {
    for gone in told.iter().filter(|one| !now.contains(one)) {
        sink.recovered(out, gone, at_unix_ns)?;
    }
    for new in now.iter().filter(|one| !told.contains(one)) {
        sink.degraded(out, new, at_unix_ns)?;
    }
    *told = now;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{compact::CompactEvents, style::Paint};

    #[test]
    fn a_stream_is_told_of_each_change_once() {
        let fault = |what: &str| Degraded {
            what: what.to_owned(),
            why: "w".to_owned(),
            remedy: "r".to_owned(),
        };
        let cases: Vec<(&str, Vec<Degraded>, &[&str])> = vec![
            ("nothing", vec![], &[]),
            ("the first", vec![fault("a")], &["DEGRADED a: w. Remedy: r."]),
            ("still the same", vec![fault("a")], &[]),
            (
                "another one",
                vec![fault("a"), fault("b")],
                &["DEGRADED b: w. Remedy: r."],
            ),
            ("one is well again", vec![fault("b")], &["RECOVERED a"]),
            (
                "one for another",
                vec![fault("c")],
                &["RECOVERED b", "DEGRADED c: w. Remedy: r."],
            ),
            ("all is well", vec![], &["RECOVERED c"]),
        ];
        let mut sink = CompactEvents::new(Paint::PLAIN);
        let mut told = Vec::new();
        for (case, now, want) in cases {
            let mut out = Vec::new();
            tell(&mut sink, &mut out, &mut told, now, 0).unwrap();
            let out = String::from_utf8(out).unwrap();
            let got: Vec<&str> = out
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(_, text)| text)
                .collect();
            assert_eq!(got, want, "case: {case}");
        }
    }
}
