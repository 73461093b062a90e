//! Component rules, compiled: every question is a hash look-up, whatever the number of rules.
//!
//! The data is in `components.toml` and `ports.toml`, embedded; a file of the user's is merged over them by name.
#![forbid(unsafe_code)]

mod argv;
mod compile;
mod identify;
mod load;
mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::Arc,
};

pub use identify::Evidence;
pub use load::RulesError;
pub use schema::{PortRule, Tls};

use load::Merged;
use schema::Interpreter;
use text::without_version;

/// How an end of a connection has to do with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortUse {
    /// It listens there, or accepted the connection there: its own port.
    Serves(u16),
    /// It connected to that port of the other end.
    Dials(u16),
}

/// Kinds of executables, by how much their name says of what runs in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A component's, and nothing else.
    Component,
    /// A component's that holds others as well: k3s, hyperkube.
    Multicall,
    /// Runs scripts.
    Interpreter,
    /// Holds small programs: busybox.
    Applets,
    /// Nothing the rules know.
    Other,
}

/// Rules for components, interpreters and ports.
#[derive(Debug)]
pub struct Rules {
    /// By base name of the executable.
    exes: HashMap<String, Arc<Component>>,
    /// By what an executable's base name begins with, up to and including a dash.
    prefixes: HashMap<String, Arc<Component>>,
    /// By base name of `argv[0]`: all of `exes` and more.
    argv0s: HashMap<String, Arc<Component>>,
    /// By executable, then by first argument.
    commands: HashMap<String, HashMap<String, Arc<Component>>>,
    /// By name of a script.
    scripts: HashMap<String, Arc<Component>>,
    /// By thread name, cut as the kernel cuts it; several components may share one. Sorted by name.
    comms: HashMap<String, Vec<Arc<Component>>>,
    /// By name, for roles.
    by_name: HashMap<String, Arc<Component>>,
    /// By base name without version.
    interpreters: HashMap<String, Arc<Interpreter>>,
    /// Executables whose `argv[0]` is the program's name.
    applets: HashSet<String>,
    /// Single ports.
    ports: BTreeMap<u16, PortRule>,
    /// Ranges of ports: a handful.
    ranges: Vec<PortRule>,
}

#[derive(Debug)]
struct Component {
    name: String,
    multicall: bool,
    subcommands: HashSet<String>,
    flags: HashSet<String>,
    switches: HashSet<String>,
    serves: HashMap<u16, String>,
    dials: HashMap<u16, String>,
}

impl Rules {
    /// The built-in rules, with the user's file merged over them.
    pub fn load(file: Option<&Path>) -> Result<Self, RulesError> {
        let mut merged = Merged::default();
        merged.add(
            "components.toml (built in)".into(),
            include_str!("components.toml"),
        )?;
        merged.add("ports.toml (built in)".into(), include_str!("ports.toml"))?;
        if let Some(path) = file {
            merged.add(path.display().to_string(), &load::read(path)?)?;
        }
        Self::compile(&merged)
    }

    /// The built-in rules, loaded once for all tests.
    #[cfg(test)]
    pub(crate) fn built_in() -> Arc<Self> {
        static RULES: std::sync::LazyLock<Arc<Rules>> =
            std::sync::LazyLock::new(|| Arc::new(Rules::load(None).unwrap()));
        Arc::clone(&RULES)
    }

    /// The usual server of a TCP port.
    pub fn port(&self, port: u16) -> Option<&PortRule> {
        let in_range = |rule: &&PortRule| (rule.port..=rule.to.unwrap_or(rule.port)).contains(&port);
        self.ports
            .get(&port)
            .or_else(|| self.ranges.iter().find(in_range))
    }

    /// All ports, in order; ranges last.
    pub fn ports(&self) -> impl Iterator<Item = &PortRule> {
        self.ports.values().chain(&self.ranges)
    }

    /// Whether the rules know a component of this name.
    pub fn knows(&self, component: &str) -> bool {
        self.by_name.contains_key(component)
    }

    /// Whether the component plays different parts on different ports.
    pub fn has_roles(&self, component: &str) -> bool {
        self.by_name
            .get(component)
            .is_some_and(|c| !c.serves.is_empty() || !c.dials.is_empty())
    }

    /// The part a single-binary distribution plays on a port.
    pub fn role(&self, component: &str, used: PortUse) -> Option<&str> {
        let component = self.by_name.get(component)?;
        let role = match used {
            PortUse::Serves(port) => component.serves.get(&port),
            PortUse::Dials(port) => component.dials.get(&port),
        };
        role.map(String::as_str)
    }

    /// Components whose processes the kernel may call so, in order of their names.
    pub fn components_by_comm(&self, comm: &str) -> impl Iterator<Item = &str> {
        let sharing = self.comms.get(comm).into_iter().flatten();
        sharing.map(|component| component.name.as_str())
    }

    /// What an executable of this base name may be.
    pub fn program(&self, base: &str) -> Program {
        if self.applets.contains(base) {
            return Program::Applets;
        }
        match self.by_exe(base) {
            Some(component) if component.multicall => Program::Multicall,
            Some(_) => Program::Component,
            None if self.interpreter(base).is_some() => Program::Interpreter,
            None => Program::Other,
        }
    }

    fn by_exe(&self, base: &str) -> Option<&Arc<Component>> {
        self.exes.get(base).or_else(|| self.by_prefix(base))
    }

    /// Shortens the name dash by dash, at most 8 times: `containerd-shim-runc-v2` is under `containerd-shim-`.
    fn by_prefix(&self, base: &str) -> Option<&Arc<Component>> {
        let dashes = base.rmatch_indices('-').take(8);
        dashes
            .filter_map(|(at, _)| base.get(..=at))
            .find_map(|prefix| self.prefixes.get(prefix))
    }

    fn interpreter(&self, base: &str) -> Option<&Arc<Interpreter>> {
        self.interpreters
            .get(base)
            .or_else(|| self.interpreters.get(without_version(base)))
    }
}
