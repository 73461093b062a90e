//! Rule files: read, checked and merged by name. What they mean is decided in the files beside this one.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use toml::Spanned;

use crate::{malformed, regular_file};

use super::schema::{File, Interpreter, PortRule, RawComponent, Role};

/// Why rules could not be loaded. Fatal: the user gave the file, or the program is damaged.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("cannot read the component rules {}: {source}; give a readable TOML file, or none for the built-in rules", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something that makes no sense.
    #[error("component rules {file}:{line}: {problem}; {remedy}")]
    Invalid {
        /// Which file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A name, and where it was written: for errors.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) line: usize,
    /// Index of the file; a later file wins over an earlier one.
    pub(super) layer: usize,
}

/// A component after merging.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: Written,
    pub(super) exe: Option<Vec<Written>>,
    pub(super) argv0: Vec<Written>,
    pub(super) comm: Vec<Written>,
    pub(super) commands: Vec<Written>,
    pub(super) scripts: Vec<Written>,
    pub(super) multicall: bool,
    pub(super) subcommands: Vec<String>,
    pub(super) flags: Vec<String>,
    pub(super) switches: Vec<String>,
    pub(super) roles: Vec<Role>,
}

impl Draft {
    const fn new(name: Written) -> Self {
        Self {
            name,
            exe: None,
            argv0: Vec::new(),
            comm: Vec::new(),
            commands: Vec::new(),
            scripts: Vec::new(),
            multicall: false,
            subcommands: Vec::new(),
            flags: Vec::new(),
            switches: Vec::new(),
            roles: Vec::new(),
        }
    }
}

/// All rules of all files, merged, not yet compiled.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Names of the files, by layer.
    files: Vec<String>,
    pub(super) components: Vec<Draft>,
    pub(super) interpreters: Vec<Interpreter>,
    pub(super) applets: Vec<String>,
    pub(super) ports: Vec<PortRule>,
    by_name: HashMap<String, usize>,
}

impl Merged {
    /// Adds a file whose rules win over those of files added before.
    pub(super) fn add(&mut self, file: String, text: &str) -> Result<(), RulesError> {
        let layer = self.files.len();
        self.files.push(file);
        let parsed: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let problem = malformed::toml_problem(&error);
            self.invalid(
                layer,
                line,
                problem,
                "the format is described at the top of the built-in file",
            )
        })?;
        let File {
            component,
            interpreter,
            applets,
            port,
        } = parsed;
        for raw in component {
            self.add_component(raw, layer, text)?;
        }
        // A later file's interpreter replaces the names it lists: the last one compiled wins.
        self.interpreters.extend(interpreter);
        self.applets.extend(applets);
        for rule in port {
            let line = line_of(text, rule.span().start);
            self.add_port(rule.into_inner(), layer, line)?;
        }
        Ok(())
    }

    /// An error at a place in a file.
    pub(super) fn invalid(
        &self,
        layer: usize,
        line: usize,
        problem: String,
        remedy: &'static str,
    ) -> RulesError {
        let file = self.files.get(layer).cloned().unwrap_or_default();
        RulesError::Invalid {
            file,
            line,
            problem,
            remedy,
        }
    }

    fn add_component(&mut self, raw: RawComponent, layer: usize, text: &str) -> Result<(), RulesError> {
        let written = |value: Spanned<String>| {
            let line = line_of(text, value.span().start);
            Written {
                text: value.into_inner(),
                line,
                layer,
            }
        };
        let list = |values: Vec<Spanned<String>>| values.into_iter().map(written).collect::<Vec<_>>();
        let name = written(raw.name);
        check_name(self, &name)?;
        let index = *self
            .by_name
            .entry(name.text.clone())
            .or_insert(self.components.len());
        if index == self.components.len() {
            self.components.push(Draft::new(name.clone()));
        }
        let Some(draft) = self.components.get_mut(index) else {
            return Ok(());
        };
        if draft.name.layer == layer && draft.name.line != name.line {
            let problem = format!("component {:?} is described twice", name.text);
            return Err(self.invalid(layer, name.line, problem, "join the two blocks"));
        }
        draft.name = name;
        if let Some(exe) = raw.exe {
            draft.exe = Some(list(exe));
        }
        replace(&mut draft.argv0, raw.argv0.map(list));
        replace(&mut draft.comm, raw.comm.map(list));
        replace(&mut draft.commands, raw.commands.map(list));
        replace(&mut draft.scripts, raw.scripts.map(list));
        replace(&mut draft.multicall, raw.multicall);
        replace(&mut draft.subcommands, raw.subcommands);
        replace(&mut draft.flags, raw.flags);
        replace(&mut draft.switches, raw.switches);
        replace(&mut draft.roles, raw.roles);
        Ok(())
    }

    fn add_port(&mut self, rule: PortRule, layer: usize, line: usize) -> Result<(), RulesError> {
        if rule.to.is_some_and(|to| to < rule.port) {
            let problem = format!(
                "port range {} to {} is empty",
                rule.port,
                rule.to.unwrap_or_default()
            );
            return Err(self.invalid(layer, line, problem, "give the larger number as `to`"));
        }
        let same = |known: &&mut PortRule| known.port == rule.port && known.to == rule.to;
        if let Some(known) = self.ports.iter_mut().find(same) {
            *known = rule;
        } else {
            self.ports.push(rule);
        }
        Ok(())
    }
}

fn replace<T>(old: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *old = new;
    }
}

fn check_name(merged: &Merged, name: &Written) -> Result<(), RulesError> {
    let tame = super::text::is_tame(&name.text);
    if tame {
        return Ok(());
    }
    let problem = format!("{:?} cannot be the name of a component", name.text);
    Err(merged.invalid(
        name.layer,
        name.line,
        problem,
        "use 1 to 64 letters, digits and any of . _ - + @",
    ))
}

/// Line of a byte offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.split(|byte| *byte == b'\n').count()
}

/// Largest file of rules.
const FILE_MAX: u64 = 4 << 20;

/// Reads a rule file.
pub(super) fn read(path: &Path) -> Result<String, RulesError> {
    regular_file::read_text(path, FILE_MAX).map_err(|source| RulesError::Read {
        file: path.to_path_buf(),
        source,
    })
}
