//! What the kernel said of the tracer's programs, put together: what was skipped and by nobody made up for.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    graph::Programs as Health,
    signal::{Degraded, program::ProgramState},
};

/// The part that tells of every connection: without it nothing is seen.
const STATE: &str = "state";

/// Names kept of programs; a recording may name as many as it likes.
const NAMES_MAX: usize = 256;

/// All that was said so far.
#[derive(Debug, Default)]
pub(super) struct Programs {
    asked: u64,
    /// By name of the first program.
    skips: BTreeMap<String, Skips>,
    detached: BTreeSet<String>,
    uncounted: BTreeSet<String>,
}

/// Skipped runs of one program.
#[derive(Debug, Default)]
struct Skips {
    skipped: u64,
    healed: u64,
    /// Not healed, at the lowest since the start. The twin may take a run for one that was skipped, rarely: what it counts
    /// too much is not set off against a later loss.
    least: i128,
    /// How far above the lowest it has been: lost.
    lost: u64,
}

impl Skips {
    /// Whether more were lost than before.
    fn told(&mut self, skipped: u64, healed: u64) -> bool {
        self.skipped = skipped;
        self.healed = healed;
        let open = i128::from(skipped) - i128::from(healed);
        self.least = self.least.min(open);
        let before = self.lost;
        self.lost = before.max(u64::try_from(open - self.least).unwrap_or(u64::MAX));
        self.lost > before
    }
}

impl Programs {
    /// Takes what the kernel says now. Whether something was lost since the last time.
    pub(super) fn told(&mut self, programs: &[ProgramState]) -> bool {
        let mut lost = false;
        self.asked += 1;
        for program in programs {
            if !program.attached && self.detached.len() < NAMES_MAX {
                self.detached.insert(program.program.clone());
            }
            if program.twin {
                continue;
            }
            match program.skipped {
                Some(skipped)
                    if self.skips.len() < NAMES_MAX || self.skips.contains_key(&program.program) =>
                {
                    let skips = self.skips.entry(program.program.clone()).or_default();
                    lost |= skips.told(skipped, program.healed);
                }
                None if program.part == STATE => {
                    self.uncounted.insert(program.program.clone());
                }
                Some(_) | None => {}
            }
        }
        lost
    }

    /// What the user can do something about.
    pub(super) fn faults(&self) -> impl Iterator<Item = Degraded> {
        let detached = self.detached.iter().map(|program| Degraded {
            what: format!("the program {program} is no longer attached"),
            why: "somebody else detached it or closed its link; what it tells of is not seen since then"
                .to_owned(),
            remedy: "find out who does that, and start the tracer anew".to_owned(),
        });
        let uncounted = self.uncounted.iter().map(|program| Degraded {
            what: format!("what the program {program} misses is not known"),
            why: "this kernel skips it where another program runs on that processor, and does not count that"
                .to_owned(),
            remedy: "a kernel from 6.7 on, or one with type information (BTF)".to_owned(),
        });
        detached.chain(uncounted)
    }

    pub(super) fn health(&self) -> Health {
        let sum = |one: fn(&Skips) -> u64| {
            self.skips
                .values()
                .fold(0_u64, |sum, skips| sum.saturating_add(one(skips)))
        };
        Health {
            asked: self.asked,
            skipped: sum(|skips| skips.lost),
            healed: sum(|skips| skips.skipped.saturating_sub(skips.lost)),
            detached: self.detached.iter().cloned().collect(),
            uncounted: self.uncounted.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(program: &str, skipped: Option<u64>, healed: u64) -> ProgramState {
        ProgramState {
            part: program.split('_').next().unwrap_or_default().to_owned(),
            program: program.to_owned(),
            twin: program.contains("twin"),
            attached: true,
            skipped,
            healed,
        }
    }

    fn after(told: &[&[ProgramState]]) -> Health {
        let mut programs = Programs::default();
        for states in told {
            programs.told(states);
        }
        programs.health()
    }

    #[test]
    fn what_a_twin_made_up_for_is_no_loss_and_the_rest_is() {
        for (name, skipped, healed, want) in [
            ("nothing skipped", 0, 0, (0, 0)),
            ("all healed", 180, 180, (0, 180)),
            ("two were not", 180, 178, (2, 178)),
            ("no twin", 34, 0, (34, 0)),
        ] {
            let health = after(&[
                &[state("state_tp_btf", Some(0), 0)],
                &[state("state_tp_btf", Some(skipped), healed)],
            ]);
            assert_eq!((health.skipped, health.healed), want, "{name}");
            assert_eq!(health.is_complete(), want.0 == 0, "{name}");
        }
    }

    #[test]
    fn skips_of_a_twin_are_no_loss() {
        let health = after(&[&[
            state("state_tp_btf", Some(0), 0),
            state("state_twin_tp_btf", Some(90), 0),
        ]]);
        assert_eq!((health.skipped, health.healed), (0, 0));
    }

    #[test]
    fn what_a_twin_counts_too_much_hides_no_later_loss() {
        let states = [(10, 12), (15, 16), (15, 16)]
            .map(|(skipped, healed)| [state("state_tp_btf", Some(skipped), healed)]);
        let told: Vec<&[ProgramState]> = states.iter().map(<[_; 1]>::as_slice).collect();
        assert_eq!(after(&told).skipped, 1, "one of the later five");
    }

    #[test]
    fn a_loss_once_told_stays() {
        let states =
            [(10, 8), (10, 10)].map(|(skipped, healed)| [state("exec_tp_btf", Some(skipped), healed)]);
        let told: Vec<&[ProgramState]> = states.iter().map(<[_; 1]>::as_slice).collect();
        assert_eq!(after(&told).skipped, 2);
    }

    #[test]
    fn a_program_that_was_gone_once_is_named_for_ever() {
        let gone = ProgramState {
            attached: false,
            ..state("exec_tp_btf", Some(0), 0)
        };
        let mut programs = Programs::default();
        programs.told(&[gone]);
        programs.told(&[state("exec_tp_btf", Some(0), 0)]);
        assert_eq!(programs.health().detached, ["exec_tp_btf"]);
        assert!(!programs.health().is_complete());
        let faults: Vec<_> = programs.faults().map(|fault| fault.what).collect();
        assert_eq!(faults, ["the program exec_tp_btf is no longer attached"]);
    }

    #[test]
    fn a_kernel_that_does_not_count_skips_of_the_state_program_proves_nothing() {
        let health = after(&[&[
            state("accept_kretprobe", None, 0),
            state("state_tracepoint", None, 0),
        ]]);
        assert_eq!(health.uncounted, ["state_tracepoint"]);
        assert!(!health.is_complete());
    }
}
