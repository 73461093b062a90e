//! From what is known of a process to a claim: executable, then command line, then thread name.
#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{
    Component, Rules,
    text::{
        argv0_name, base_name, cut, in_memory, is_file, is_tame, name_of, without_deleted,
        without_minor_version, without_version,
    },
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
    /// Name of the file that runs, as the kernel told at `execve`: no link, path or descriptor changes it.
    pub file: Option<&'a str>,
    /// Target of /proc/PID/exe.
    pub exe: Option<&'a str>,
    /// Path given to `execve`: a link's, a script's or a descriptor's, for all it says.
    pub exec: Option<&'a str>,
    /// `argv[0]`.
    pub arg0: Option<&'a str>,
    /// A subcommand, script or applet: `argv[1]` where a rule asks for it.
    pub word: Option<&'a str>,
    /// Name of the group leader, or of a thread when nothing else is known.
    pub comm: &'a str,
}

impl<'a> Evidence<'a> {
    /// What /proc told.
    pub fn of(facts: &'a ProcessFacts) -> Self {
        let arg0 = facts.args.first().map(String::as_str);
        // Kept flags always hold a `=`, words never do.
        let word = facts
            .args
            .get(1)
            .map(String::as_str)
            .filter(|word| !word.contains('='));
        Self {
            exe: facts.exe.as_deref(),
            arg0,
            word,
            comm: &facts.comm,
            ..Self::default()
        }
    }

    /// Path of the executable where one is known, else the bare name of its file.
    pub fn path(&self) -> Option<&'a str> {
        program(self).map(|program| program.path)
    }
}

/// Which file runs, and how that is known.
#[derive(Clone, Copy, Debug)]
struct Program<'a> {
    /// Its path, or its bare name where only that is known.
    path: &'a str,
    /// Its name.
    base: &'a str,
    how: &'static str,
    /// `Exec` where only the path given to `execve` tells.
    quality: Quality,
    /// What `execve` was given, where that is not the file: a script, or a link.
    called: Option<&'a str>,
}

impl Rules {
    /// The best claim that the evidence allows.
    pub fn identify(&self, evidence: &Evidence<'_>) -> Claim {
        let arg0 = evidence.arg0.map(argv0_name).filter(|name| !name.is_empty());
        let claim = match (program(evidence), arg0) {
            (Some(program), arg0) => self.by_program(&program, arg0, evidence),
            (None, Some(arg0)) => self.by_argv(arg0, evidence),
            (None, None) => return self.by_comm(evidence.comm),
        };
        self.with_contradiction(claim, evidence.comm)
    }

    fn by_program(&self, program: &Program<'_>, arg0: Option<&str>, evidence: &Evidence<'_>) -> Claim {
        let Program {
            path,
            base,
            how,
            quality,
            called,
        } = *program;
        let mut by = format!("{how} {}", cut(path, QUOTED_BYTES));
        if let Some(link) = called.filter(|_| path == base) {
            by = format!("{by}, exec {}", cut(link, QUOTED_BYTES));
        }
        if let Some(file) = evidence.file.filter(|file| !is_file(path, file)) {
            by = format!("{by}, whose file is called {}", cut(file, QUOTED_BYTES));
        }
        if let Some(name) = in_memory(path) {
            // A program without a file: its name is what its maker called it, never a component.
            let name = name.split('/').next().unwrap_or_default();
            return process(format!("memfd:{name}"), quality, by);
        }
        let called = called.map(base_name).filter(|name| *name != base);
        if self.applets.contains(base) {
            let applet = arg0
                .filter(|name| *name != base)
                .or(evidence.word)
                .or(called)
                .filter(|name| is_tame(name));
            return match applet {
                Some(applet) => self.applet(base, applet, evidence.word, by),
                None => process(base.into(), quality, by),
            };
        }
        // Of a script the kernel reports the script's path, and an `argv[0]` that is the interpreter's.
        if quality == Quality::Exec
            && let Some(interpreter) = arg0.filter(|name| *name != base && self.interpreter(name).is_some())
            && self.interpreter(base).is_none()
        {
            return self.script(interpreter, Some(base), quality, by);
        }
        if let Some(component) = self.by_exe(base) {
            return self.component(component, base, arg0, evidence, quality, by);
        }
        if self.interpreter(base).is_some() {
            let name = arg0
                .filter(|name| self.interpreter(name).is_some())
                .unwrap_or(base);
            // dash as `sh`: the name is the process's own word.
            let quality = if without_version(name) == without_version(base) {
                quality
            } else {
                quality.max(Quality::Argv)
            };
            let script = called.filter(|name| self.interpreter(name).is_none());
            return self.script(name, evidence.word.or(script), quality, by);
        }
        process(base.into(), quality, by)
    }

    fn by_argv(&self, arg0: &str, evidence: &Evidence<'_>) -> Claim {
        let by = format!("argv[0] {}", cut(arg0, QUOTED_BYTES));
        if let Some(component) = self.argv0s.get(arg0).or_else(|| self.by_prefix(arg0)) {
            return self.component(component, arg0, None, evidence, Quality::Argv, by);
        }
        if self.interpreter(arg0).is_some() {
            return self.script(arg0, evidence.word, Quality::Argv, by);
        }
        process(arg0.into(), Quality::Argv, by)
    }

    fn by_comm(&self, comm: &str) -> Claim {
        let by = format!("comm {comm}");
        let sharing = self.comms.get(comm).map_or(&[] as &[_], Vec::as_slice);
        let who = match sharing {
            [] if comm.is_empty() => Who::Unknown {
                reason: "no name could be read".into(),
                guess: None,
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
                Who::Unknown { reason, guess: None }
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
            return self.script(applet, word.filter(|word| *word != applet), Quality::Argv, by);
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
    fn script(&self, interpreter: &str, script: Option<&str>, quality: Quality, by: String) -> Claim {
        let interpreter = without_minor_version(interpreter);
        let Some(script) = script.map(base_name).filter(|name| is_tame(name)) else {
            return process(interpreter.into(), quality, by);
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

/// Which file runs: the kernel's own word for it before /proc's, and last the path given to `execve`. Absent when none told.
fn program<'a>(evidence: &Evidence<'a>) -> Option<Program<'a>> {
    let exe = evidence
        .exe
        .map(without_deleted)
        .filter(|path| !base_name(path).is_empty());
    let exec = evidence.exec.filter(|path| !is_indirect(path));
    let program = |path, base, how, quality, called| Program {
        path,
        base,
        how,
        quality,
        called,
    };
    if let Some(file) = evidence.file.filter(|file| !file.is_empty()) {
        let called = exec.filter(|path| !is_file(path, file));
        return Some(match (exe, exec) {
            (Some(exe), _) if is_file(exe, file) => program(exe, name_of(exe), "exe", Quality::Exe, called),
            // Mounted over that path by itself, or renamed to it: whose word counts is not sure.
            (Some(exe), Some(exec)) if name_of(exe) == base_name(exec) => {
                program(exe, name_of(exe), "exe", Quality::Exec, None)
            }
            (_, Some(exec)) if called.is_none() => program(exec, base_name(exec), "exec", Quality::Exe, None),
            _ => program(file, file, "file", Quality::Exe, called),
        });
    }
    exe.map(|exe| program(exe, name_of(exe), "exe", Quality::Exe, exec))
        .or_else(|| exec.map(|exec| program(exec, base_name(exec), "exec", Quality::Exec, None)))
}

/// A path that names whatever the caller had open: the program's name is not in it.
fn is_indirect(path: &str) -> bool {
    path.starts_with("/proc/") || path.starts_with("/dev/fd/") || base_name(path).is_empty()
}
