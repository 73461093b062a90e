//! The conditions of every backend.
#![forbid(unsafe_code)]

use super::{
    Accept, Choice, Connect, Failure, Plan, PlanError, Probes, Process, Snapshot, Snapshots, State, degraded,
};
use crate::loader::features::{Fact, Facts, TypeFacts};

/// Chooses. An [`Fact::Unknown`] counts as yes: attaching tells.
pub fn plan(facts: &Facts, probes: Probes, snapshots: Snapshots) -> Result<Plan, PlanError> {
    if let Fact::No(why) = &facts.bpf {
        return Err(PlanError::Bpf { why: why.clone() });
    }
    let wanted = Wanted(probes);
    let mut plan = Plan {
        connect: wanted.connect(facts)?,
        accept: wanted.accept(facts)?,
        failure: wanted.failure(facts)?,
        state: wanted.state(facts)?,
        process: wanted.process(facts)?,
        snapshot: snapshot(facts, snapshots)?,
        degraded: Vec::new(),
    };
    plan.degraded = degraded::list(&plan, facts);
    Ok(plan)
}

/// Why a backend cannot be had; `Ok` when it can.
type Can = Result<(), String>;

fn types(facts: &Facts) -> Result<&TypeFacts, String> {
    facts.types.as_ref().ok_or_else(|| facts.btf.why().to_owned())
}

fn fentry(facts: &Facts) -> Can {
    types(facts)?;
    match &facts.fentry_refused {
        Some(why) => Err(format!("the kernel refuses fentry: {why}")),
        None => Ok(()),
    }
}

fn connect_fentry(facts: &Facts) -> Can {
    fentry(facts)?;
    let known = types(facts)?.connect_parameters;
    known
        .map(|_parameters| ())
        .ok_or_else(|| "the kernel has no function tcp_connect".into())
}

fn accept_fexit(facts: &Facts) -> Result<Accept, String> {
    fentry(facts)?;
    match types(facts)?.accept_parameters {
        Some(4) => Ok(Accept::Fexit4),
        Some(2) => Ok(Accept::Fexit2),
        Some(other) => Err(format!(
            "inet_csk_accept has {other} parameters, and only 2 and 4 are known"
        )),
        None => Err("the kernel has no function inet_csk_accept, or several".into()),
    }
}

/// kprobes read the kernel's structs too, so they need the type information for the offsets.
fn kprobe(facts: &Facts) -> Can {
    types(facts)?;
    match &facts.kprobes {
        Fact::No(why) => Err(why.clone()),
        Fact::Yes | Fact::Unknown(_) => Ok(()),
    }
}

/// Its programs read the kernel's structs too.
fn release(facts: &Facts) -> Can {
    types(facts)?;
    match &facts.release_refused {
        Some(why) => Err(format!("released sockets are not told: {why}")),
        None => Ok(()),
    }
}

fn tp_btf(facts: &Facts) -> Can {
    if types(facts)?.typed_tracepoints {
        return Ok(());
    }
    Err("the kernel's tracepoints have no types (before 5.5)".into())
}

fn raw_tracepoint(facts: &Facts) -> Can {
    types(facts).map(|_types| ())
}

fn iterator(facts: &Facts) -> Can {
    if types(facts)?.socket_iterator {
        return Ok(());
    }
    Err("the kernel has no bpf_sock_from_file for iterators (before 5.11)".into())
}

const fn best<B>(backend: B) -> Choice<B> {
    Choice {
        backend,
        why: String::new(),
    }
}

/// What `--probe` asks for.
struct Wanted(Probes);

impl Wanted {
    const fn option(&self) -> &'static str {
        match self.0 {
            Probes::Auto => "--probe auto",
            Probes::Fentry => "--probe fentry",
            Probes::Kprobe => "--probe kprobe",
            Probes::Tracepoint => "--probe tracepoint",
        }
    }

    fn forced<B>(
        &self,
        program: &'static str,
        backend: &'static str,
        can: Result<B, String>,
        not_best: bool,
    ) -> Result<Choice<B>, PlanError> {
        let option = self.option();
        let why = if not_best {
            format!("{option} was given")
        } else {
            String::new()
        };
        can.map(|backend| Choice { backend, why })
            .map_err(|why| PlanError::Forced {
                option,
                program,
                backend,
                why,
            })
    }

    fn connect(&self, facts: &Facts) -> Result<Choice<Connect>, PlanError> {
        let given = format!("{} was given", self.option());
        Ok(match self.0 {
            Probes::Fentry => {
                return self.forced(
                    "connect",
                    "fentry",
                    connect_fentry(facts).map(|()| Connect::Fentry),
                    false,
                );
            }
            Probes::Kprobe => {
                return self.forced("connect", "kprobe", kprobe(facts).map(|()| Connect::Kprobe), true);
            }
            Probes::Tracepoint => Choice {
                backend: Connect::State,
                why: given,
            },
            Probes::Auto => match (connect_fentry(facts), kprobe(facts)) {
                (Ok(()), _) => best(Connect::Fentry),
                (Err(why), Ok(())) => Choice {
                    backend: Connect::Kprobe,
                    why,
                },
                (Err(why), Err(kprobe)) => Choice {
                    backend: Connect::State,
                    why: joined(why, &kprobe),
                },
            },
        })
    }

    fn accept(&self, facts: &Facts) -> Result<Choice<Accept>, PlanError> {
        let given = format!("{} was given", self.option());
        Ok(match self.0 {
            Probes::Fentry => return self.forced("accept", "fexit", accept_fexit(facts), false),
            Probes::Kprobe => {
                return self.forced(
                    "accept",
                    "kretprobe",
                    kprobe(facts).map(|()| Accept::Kretprobe),
                    true,
                );
            }
            Probes::Tracepoint => passive(facts, given),
            Probes::Auto => match (accept_fexit(facts), kprobe(facts)) {
                (Ok(fexit), _) => best(fexit),
                (Err(why), Ok(())) => Choice {
                    backend: Accept::Kretprobe,
                    why,
                },
                (Err(why), Err(kprobe)) => passive(facts, joined(why, &kprobe)),
            },
        })
    }

    fn failure(&self, facts: &Facts) -> Result<Choice<Failure>, PlanError> {
        Ok(match self.0 {
            Probes::Fentry => {
                return self.forced("failure", "fexit", fentry(facts).map(|()| Failure::Fexit), false);
            }
            Probes::Kprobe => {
                let can = kprobe(facts).map(|()| Failure::Kretprobe);
                return self.forced("failure", "kretprobe", can, true);
            }
            Probes::Tracepoint => refused(facts, format!("{} was given", self.option())),
            Probes::Auto => match (fentry(facts), kprobe(facts)) {
                (Ok(()), _) => best(Failure::Fexit),
                (Err(why), Ok(())) => Choice {
                    backend: Failure::Kretprobe,
                    why,
                },
                (Err(why), Err(kprobe)) => refused(facts, joined(why, &kprobe)),
            },
        })
    }

    fn state(&self, facts: &Facts) -> Result<Choice<State>, PlanError> {
        match self.0 {
            Probes::Fentry => {
                return self.forced("state", "tp_btf", tp_btf(facts).map(|()| State::TpBtf), false);
            }
            Probes::Kprobe => {
                let can = raw_tracepoint(facts).map(|()| State::RawTracepoint);
                return self.forced("state", "raw tracepoint", can, true);
            }
            Probes::Tracepoint | Probes::Auto => {}
        }
        match (tp_btf(facts), raw_tracepoint(facts)) {
            (Ok(()), _) => Ok(best(State::TpBtf)),
            (Err(why), Ok(())) => Ok(Choice {
                backend: State::RawTracepoint,
                why,
            }),
            (Err(why), Err(_same)) if facts.tracefs.is_some() => Ok(Choice {
                backend: State::Tracepoint,
                why,
            }),
            (Err(why), Err(_same)) => Err(PlanError::State { why }),
        }
    }

    fn process(&self, facts: &Facts) -> Result<Choice<Process>, PlanError> {
        match self.0 {
            Probes::Fentry => {
                return self.forced("process", "tp_btf", tp_btf(facts).map(|()| Process::TpBtf), false);
            }
            Probes::Kprobe => {
                let can = raw_tracepoint(facts).map(|()| Process::RawTracepoint);
                return self.forced("process", "raw tracepoint", can, true);
            }
            Probes::Tracepoint | Probes::Auto => {}
        }
        Ok(match (tp_btf(facts), raw_tracepoint(facts)) {
            (Ok(()), _) => best(Process::TpBtf),
            (Err(why), Ok(())) => Choice {
                backend: Process::RawTracepoint,
                why,
            },
            (Err(why), Err(_same)) => Choice {
                backend: Process::None,
                why,
            },
        })
    }
}

/// Who accepted, where neither fexit nor kretprobe tells, because of `why`.
fn passive(facts: &Facts, why: String) -> Choice<Accept> {
    match release(facts) {
        Ok(()) => Choice {
            backend: Accept::Release,
            why,
        },
        Err(release) => Choice {
            backend: Accept::Listener,
            why: joined(why, &release),
        },
    }
}

/// Connects that fail at once, where neither fexit nor kretprobe tells, because of `why`.
fn refused(facts: &Facts, why: String) -> Choice<Failure> {
    match release(facts) {
        Ok(()) => Choice {
            backend: Failure::Cgroup,
            why,
        },
        Err(release) => Choice {
            backend: Failure::State,
            why: joined(why, &release),
        },
    }
}

fn snapshot(facts: &Facts, snapshots: Snapshots) -> Result<Choice<Snapshot>, PlanError> {
    match (snapshots, iterator(facts)) {
        (Snapshots::Auto | Snapshots::Iterator, Ok(())) => Ok(best(Snapshot::Iterator)),
        (Snapshots::Auto, Err(why)) => Ok(Choice {
            backend: Snapshot::Procfs,
            why,
        }),
        (Snapshots::Iterator, Err(why)) => Err(PlanError::Forced {
            option: "--snapshot iterator",
            program: "snapshot",
            backend: "iterator",
            why,
        }),
        (Snapshots::Procfs, _) => Ok(Choice {
            backend: Snapshot::Procfs,
            why: "--snapshot procfs was given".into(),
        }),
    }
}

/// Both reasons, once when they are the same.
fn joined(first: String, second: &str) -> String {
    if first == second {
        first
    } else {
        format!("{first}; {second}")
    }
}
