//! One line on stderr when a source of names goes away while a run goes on, and one when it comes back.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, io::Write};

use crate::{
    output::{SinkError, health, style::Paint},
    signal::inventory::SourceState,
};

/// Sources that were told to be away, each with what is missing for it.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Takes a change of `state`; what it says is written once, whatever other cause is found for the same while it is away.
    pub(super) fn changed(
        &mut self,
        err: &mut dyn Write,
        state: &SourceState,
        paint: Paint,
    ) -> Result<(), SinkError> {
        match &state.fault {
            Some(fault) => {
                let told = self.0.insert(state.source.clone(), fault.what.clone());
                if told.as_ref() == Some(&fault.what) {
                    return Ok(());
                }
                health::write_degraded(err, fault, paint)
            }
            None if self.0.remove(&state.source).is_some() => {
                health::write_recovered(err, &state.source, paint)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Degraded;

    #[test]
    fn one_line_when_it_goes_and_one_when_it_comes() {
        let state = |fault: Option<&str>| SourceState {
            source: "API server".to_owned(),
            at_ns: 0,
            fault: fault.map(|why| Degraded {
                what: "no names".to_owned(),
                why: why.to_owned(),
                remedy: "start it".to_owned(),
            }),
        };
        let mut sources = Sources::default();
        let mut out = Vec::new();
        for fault in [None, Some("refused\x1b[2J"), Some("timed out"), None, None] {
            sources.changed(&mut out, &state(fault), Paint::PLAIN).unwrap();
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "degraded: no names: refused\\x1b[2J. Remedy: start it.\nrecovered: API server.\n"
        );
    }
}
