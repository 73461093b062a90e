//! From merged rule files to tables that are asked by hash; what contradicts itself is refused here.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Component, Rules, RulesError,
    load::{Draft, Merged, Written},
    text::cut_to_comm,
};

impl Rules {
    pub(super) fn compile(merged: &Merged) -> Result<Self, RulesError> {
        let mut rules = Self {
            exes: HashMap::new(),
            prefixes: HashMap::new(),
            argv0s: HashMap::new(),
            commands: HashMap::new(),
            scripts: HashMap::new(),
            comms: HashMap::new(),
            by_name: HashMap::new(),
            interpreters: HashMap::new(),
            applets: merged.applets.iter().cloned().collect(),
            ports: BTreeMap::new(),
            ranges: Vec::new(),
        };
        let mut taken = Taken::default();
        for draft in &merged.components {
            rules.add(draft, merged, &mut taken)?;
        }
        for interpreter in &merged.interpreters {
            let shared = Arc::new(interpreter.clone());
            for name in &interpreter.names {
                rules.interpreters.insert(name.clone(), Arc::clone(&shared));
            }
        }
        for port in &merged.ports {
            if port.to.is_some() {
                rules.ranges.push(port.clone());
            } else {
                rules.ports.insert(port.port, port.clone());
            }
        }
        Ok(rules)
    }

    fn add(&mut self, draft: &Draft, merged: &Merged, taken: &mut Taken) -> Result<(), RulesError> {
        let component = Arc::new(Component::compile(draft, merged)?);
        let own = [draft.name.clone()];
        let exes = draft.exe.as_deref().unwrap_or(&own);
        for exe in exes {
            check(exe, merged)?;
            if let Some(prefix) = exe.text.strip_suffix('*') {
                taken.claim("executables", exe, &draft.name, merged, || {
                    self.prefixes.insert(prefix.into(), Arc::clone(&component));
                })?;
                continue;
            }
            taken.claim("executable", exe, &draft.name, merged, || {
                self.exes.insert(exe.text.clone(), Arc::clone(&component));
            })?;
        }
        let plain = || exes.iter().filter(|exe| !exe.text.ends_with('*'));
        for name in plain().chain(&draft.argv0) {
            check(name, merged)?;
            taken.claim("argv[0]", name, &draft.name, merged, || {
                self.argv0s.insert(name.text.clone(), Arc::clone(&component));
            })?;
        }
        for script in &draft.scripts {
            taken.claim("script", script, &draft.name, merged, || {
                self.scripts.insert(script.text.clone(), Arc::clone(&component));
            })?;
        }
        for command in &draft.commands {
            let Some((exe, word)) = command
                .text
                .split_once(' ')
                .filter(|(_, word)| !word.contains(' '))
            else {
                let problem = format!("command {:?} is not an executable and one argument", command.text);
                return Err(merged.invalid(command.layer, command.line, problem, "write \"EXE ARGUMENT\""));
            };
            taken.claim("command", command, &draft.name, merged, || {
                self.commands
                    .entry(exe.into())
                    .or_default()
                    .insert(word.into(), Arc::clone(&component));
            })?;
        }
        for name in plain().chain(&draft.argv0).chain(&draft.comm) {
            let sharing = self.comms.entry(cut_to_comm(&name.text).into()).or_default();
            if sharing.iter().all(|other| other.name != component.name) {
                sharing.push(Arc::clone(&component));
                sharing.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        self.by_name.insert(component.name.clone(), component);
        Ok(())
    }
}

impl Component {
    fn compile(draft: &Draft, merged: &Merged) -> Result<Self, RulesError> {
        let mut serves = HashMap::new();
        let mut dials = HashMap::new();
        for role in &draft.roles {
            let uses = [
                (&mut serves, &role.serves, "serves"),
                (&mut dials, &role.dials, "dials"),
            ];
            for (map, ports, verb) in uses {
                for port in ports {
                    if let Some(other) = map.insert(*port, role.name.clone()) {
                        let problem = format!(
                            "{} {verb} port {port} as {other} and as {}",
                            draft.name.text, role.name
                        );
                        let remedy = "leave the port to one role, or to none where both are possible";
                        return Err(merged.invalid(draft.name.layer, draft.name.line, problem, remedy));
                    }
                }
            }
        }
        Ok(Self {
            name: draft.name.text.clone(),
            multicall: draft.multicall,
            subcommands: draft.subcommands.iter().cloned().collect(),
            flags: draft.flags.iter().cloned().collect(),
            switches: draft.switches.iter().cloned().collect(),
            serves,
            dials,
        })
    }
}

/// Who has taken a name: in one file twice is an error, a later file takes it from an earlier one.
#[derive(Default)]
struct Taken(HashMap<(&'static str, String), (usize, String)>);

impl Taken {
    fn claim(
        &mut self,
        kind: &'static str,
        name: &Written,
        component: &Written,
        merged: &Merged,
        insert: impl FnOnce(),
    ) -> Result<(), RulesError> {
        let key = (kind, name.text.clone());
        match self.0.get(&key) {
            Some((layer, other)) if *layer == name.layer && *other != component.text => {
                let problem = format!(
                    "{kind} {:?} belongs to {other} and to {}",
                    name.text, component.text
                );
                return Err(merged.invalid(name.layer, name.line, problem, "leave it to one of them"));
            }
            Some((layer, _)) if *layer > name.layer => return Ok(()),
            Some(_) | None => {}
        }
        self.0.insert(key, (name.layer, component.text.clone()));
        insert();
        Ok(())
    }
}

fn check(name: &Written, merged: &Merged) -> Result<(), RulesError> {
    let plain = name.text.strip_suffix("-*").unwrap_or(&name.text);
    if plain.is_empty() || plain.contains(['/', '*', ' ']) {
        let problem = format!("{:?} is not the base name of an executable", name.text);
        return Err(merged.invalid(
            name.layer,
            name.line,
            problem,
            "give the name without directories; only \"x-*\" may hold a star",
        ));
    }
    Ok(())
}
