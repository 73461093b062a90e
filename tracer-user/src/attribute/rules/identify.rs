//! From what is known of a process to a claim: executable, then command line, then thread name.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{
    Component, Rules,
    text::{argv0_name, base_name, cut, is_tame, without_deleted, without_minor_version},
};
use crate::{
    attribute::{Claim, Quality, Who},
    signal::ProcessFacts,
};

/// Evidence is quoted up to this length: `PATH_MAX` would make a page of one claim.
const QUOTED_BYTES: usize = 256;

/// What is known of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// Target of /proc/PID/exe.
    pub exe: Option<&'a str>,
    /// Path given to `execve`: second to `exe`, but known of processes that lived a millisecond.
    pub exec: Option<&'a str>,
    /// `argv[0]`.
    pub arg0: Option<&'a str>,
    /// A subcommand, script or applet: `argv[1]` where a rule asks for it.
    pub word: Option<&'a str>,
    /// Name of the group leader, or of a thread when nothing else is known.
    pub comm: &'a str,
}

impl<'a> Evidence<'a> {
    /// What /proc told, with the path given to `execve` if that was seen.
    pub fn of(facts: &'a ProcessFacts, exec: Option<&'a str>) -> Self {
        let arg0 = facts.args.first().map(String::as_str);
        // Kept flags always hold a `=`, words never do.
        let word = facts
            .args
            .get(1)
            .map(String::as_str)
            .filter(|word| !word.contains('='));
        Self {
            exe: facts.exe.as_deref(),
            exec,
            arg0,
            word,
            comm: &facts.comm,
        }
    }
}

impl Rules {
    /// The best claim that the evidence allows.
    pub fn identify(&self, evidence: &Evidence<'_>) -> Claim {
        let arg0 = evidence.arg0.map(argv0_name).filter(|name| !name.is_empty());
        let claim = match (program(evidence), arg0) {
            (Some((path, how)), arg0) => self.by_program(path, how, arg0, evidence),
            (None, Some(arg0)) => self.by_argv(arg0, evidence),
            (None, None) => return self.by_comm(evidence.comm),
        };
        self.with_contradiction(claim, evidence.comm)
    }

    fn by_program(&self, path: &str, how: &str, arg0: Option<&str>, evidence: &Evidence<'_>) -> Claim {
        let by = format!("{how} {}", cut(path, QUOTED_BYTES));
        if let Some(name) = path.strip_prefix("/memfd:") {
            // A program without a file: its name is what its maker called it, never a component.
            let name = name.split('/').next().unwrap_or_default();
            return process(format!("memfd:{name}"), Quality::Exe, by);
        }
        let base = base_name(path);
        if self.applets.contains(base) {
            let applet = arg0
                .filter(|name| *name != base)
                .or(evidence.word)
                .filter(|name| is_tame(name));
            return match applet {
                Some(applet) => self.applet(base, applet, evidence.word, by),
                None => process(base.into(), Quality::Exe, by),
            };
        }
        // Of a script the kernel reports the script's path, and an `argv[0]` that is the interpreter's.
        if how == "exec"
            && let Some(interpreter) = arg0.filter(|name| *name != base && self.interpreter(name).is_some())
            && self.interpreter(base).is_none()
        {
            return self.script(interpreter, Some(base), by);
        }
        if let Some(component) = self.by_exe(base) {
            return self.component(component, base, arg0, evidence, Quality::Exe, by);
        }
        if self.interpreter(base).is_some() {
            let name = arg0
                .filter(|name| self.interpreter(name).is_some())
                .unwrap_or(base);
            return self.script(name, evidence.word, by);
        }
        process(base.into(), Quality::Exe, by)
    }

    fn by_argv(&self, arg0: &str, evidence: &Evidence<'_>) -> Claim {
        let by = format!("argv[0] {}", cut(arg0, QUOTED_BYTES));
        if let Some(component) = self.argv0s.get(arg0).or_else(|| self.by_prefix(arg0)) {
            return self.component(component, arg0, None, evidence, Quality::Argv, by);
        }
        if self.interpreter(arg0).is_some() {
            return Claim {
                quality: Quality::Argv,
                ..self.script(arg0, evidence.word, by)
            };
        }
        process(arg0.into(), Quality::Argv, by)
    }

    fn by_comm(&self, comm: &str) -> Claim {
        let by = format!("comm {comm}");
        let sharing = self.comms.get(comm).map_or(&[] as &[_], Vec::as_slice);
        let who = match sharing {
            [] if comm.is_empty() => Who::Unknown {
                reason: "no name could be read".into(),
            },
            [] => Who::Process { name: comm.into() },
            [component] => Who::Component {
                name: component.name.clone(),
                role: None,
            },
            several => {
                let names: Vec<&str> = several.iter().map(|component| component.name.as_str()).collect();
                let reason = format!(
                    "thread name {comm} fits {}; neither executable nor arguments could be read",
                    names.join(" and ")
                );
                Who::Unknown { reason }
            }
        };
        Claim {
            who,
            quality: Quality::Comm,
            by,
            place: crate::attribute::place::Place::default(),
        }
    }

    /// A component whose executable is known; its arguments may choose another inside the same executable.
    fn component(
        &self,
        component: &Arc<Component>,
        base: &str,
        arg0: Option<&str>,
        evidence: &Evidence<'_>,
        quality: Quality,
        by: String,
    ) -> Claim {
        let named = |component: &Component, role: Option<&str>, quality, by| {
            let role = role.map(String::from);
            Claim {
                who: Who::Component {
                    name: component.name.clone(),
                    role,
                },
                quality,
                by,
                place: crate::attribute::place::Place::default(),
            }
        };
        let inside = self.commands.get(base);
        if component.multicall
            && let Some(arg0) = arg0.filter(|name| *name != base)
            && let Some(other) = self.argv0s.get(arg0)
        {
            return named(other, None, Quality::Argv, format!("{by}, argv[0] {arg0}"));
        }
        let Some(word) = evidence.word else {
            return named(component, None, quality, by);
        };
        if let Some(other) = inside.and_then(|words| words.get(word)) {
            let by = format!("{by}, argument {word}");
            // Some k3s releases call a server `k3s agent`: two names from one executable are no answer.
            if let Some([says]) = self.comms.get(evidence.comm).map(Vec::as_slice)
                && says.name != other.name
                && inside.is_some_and(|words| words.values().any(|sibling| sibling.name == says.name))
            {
                let by = format!("{by}; but comm {} is {}", evidence.comm, says.name);
                return named(component, None, quality, by);
            }
            return named(other, None, Quality::Argv, by);
        }
        if component.subcommands.contains(word) {
            let role = word.trim_start_matches('-');
            return named(component, Some(role), quality, format!("{by}, argument {word}"));
        }
        named(component, None, quality, by)
    }

    /// A program inside a multi-call executable such as busybox: never a component, whatever it is called.
    fn applet(&self, base: &str, applet: &str, word: Option<&str>, by: String) -> Claim {
        if self.interpreter(applet).is_some() {
            return self.script(applet, word.filter(|word| *word != applet), by);
        }
        let by = format!("{by}, applet {applet}");
        let name = if self.argv0s.contains_key(applet) {
            base
        } else {
            applet
        };
        process(name.into(), Quality::Argv, by)
    }

    /// A script, named by its file: a component only if the rules list it as a script.
    fn script(&self, interpreter: &str, script: Option<&str>, by: String) -> Claim {
        let interpreter = without_minor_version(interpreter);
        let Some(script) = script.map(base_name).filter(|name| is_tame(name)) else {
            return process(interpreter.into(), Quality::Exe, by);
        };
        let by = format!("{by}, script {script}");
        if let Some(component) = self.scripts.get(script) {
            let who = Who::Component {
                name: component.name.clone(),
                role: None,
            };
            return Claim {
                who,
                quality: Quality::Argv,
                by,
                place: crate::attribute::place::Place::default(),
            };
        }
        let name = if self.argv0s.contains_key(script) {
            interpreter
        } else {
            script
        };
        process(name.into(), Quality::Argv, by)
    }

    /// Says so when the thread name claims another component than stronger evidence shows.
    fn with_contradiction(&self, mut claim: Claim, comm: &str) -> Claim {
        let Some(sharing) = self.comms.get(comm) else {
            return claim;
        };
        let fits = claim
            .who
            .component()
            .is_some_and(|name| sharing.iter().any(|c| c.name == name));
        if !fits && !claim.by.contains("; but comm") {
            claim.by.push_str("; but comm says ");
            claim.by.push_str(comm);
        }
        claim
    }
}

fn process(name: String, quality: Quality, by: String) -> Claim {
    Claim {
        who: Who::Process { name },
        quality,
        by,
        place: crate::attribute::place::Place::default(),
    }
}

/// The program's path and where it comes from; absent when neither exec nor /proc told.
fn program<'a>(evidence: &Evidence<'a>) -> Option<(&'a str, &'static str)> {
    if let Some(exe) = evidence
        .exe
        .map(without_deleted)
        .filter(|path| !base_name(path).is_empty())
    {
        return Some((exe, "exe"));
    }
    // Paths that name whatever the caller had open: the program's name is not among them.
    let indirect =
        |path: &str| path.starts_with("/proc/") || path.starts_with("/dev/fd/") || base_name(path).is_empty();
    evidence
        .exec
        .filter(|path| !indirect(path))
        .map(|path| (path, "exec"))
}
