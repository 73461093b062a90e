//! Names of network namespaces and of graph nodes: stable over restarts and between runs where they can be.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    sync::Arc,
};

use super::{Claim, Who};
use crate::{hash::IdMap, signal::Session};

/// Names of unnamed namespaces remembered before all are forgotten and made again: about 64 bytes each.
const REMEMBERED_MAX: usize = 65_536;

/// Group of addresses outside this machine.
pub const EXTERNAL: &str = "external";
/// Group of the host's network namespace.
pub const HOST: &str = "host";

/// Names of network namespaces by inode.
#[derive(Debug)]
pub struct Groups {
    named: IdMap<u32, Arc<str>>,
    unnamed: IdMap<u32, Arc<str>>,
    external: Arc<str>,
    texts: HashSet<Arc<str>>,
}

impl Groups {
    /// `host` for the host's namespace, `netns/NAME` for those with a name.
    pub fn new(host_netns: u32, names: &[(u32, String)]) -> Self {
        let mut sorted: Vec<_> = names.iter().collect();
        // The same namespace under several names takes the first: the order of a directory is chance.
        sorted.sort_by(|a, b| b.1.cmp(&a.1));
        let mut groups: IdMap<u32, Arc<str>> = HashMap::default();
        for (netns, name) in sorted {
            groups.insert(*netns, format!("netns/{name}").into());
        }
        groups.insert(0, "netns/unknown".into());
        if host_netns != 0 {
            groups.insert(host_netns, HOST.into());
        }
        Self {
            named: groups,
            unnamed: HashMap::default(),
            external: EXTERNAL.into(),
            texts: HashSet::new(),
        }
    }

    /// The groups of a run.
    pub fn of(session: &Session) -> Self {
        Self::new(session.host_netns, &session.netns_names)
    }

    /// Name of a namespace's group: `host`, `netns/NAME`, `netns/INODE`.
    pub fn group(&mut self, netns: u32) -> Arc<str> {
        if let Some(name) = self.named.get(&netns).or_else(|| self.unnamed.get(&netns)) {
            return Arc::clone(name);
        }
        if self.unnamed.len() >= REMEMBERED_MAX {
            self.unnamed.clear();
        }
        let name: Arc<str> = format!("netns/{netns}").into();
        self.unnamed.insert(netns, Arc::clone(&name));
        name
    }

    /// Group of an end of this machine, whose socket is in `netns`: its namespace of the cluster where it is in a pod with
    /// a network of its own, else that of its network namespace.
    pub fn group_here(&mut self, claim: &Claim, netns: u32) -> Arc<str> {
        let own = self.group(netns);
        match &claim.place.pod {
            Some(pod) if pod.is_named() && !pod.host_network && *own != *HOST => self.cluster(&pod.namespace),
            Some(_) | None => own,
        }
    }

    /// Group of an end that is not on this machine, or whose socket nobody saw; dialled from `netns`.
    pub fn group_elsewhere(&mut self, claim: &Claim, netns: u32) -> Arc<str> {
        match &claim.who {
            Who::External { .. } => Arc::clone(&self.external),
            // It is where it was dialled.
            Who::Unknown { .. } => self.group(netns),
            Who::Service { namespace, .. } => self.cluster(namespace),
            Who::Pod(pod) if pod.is_named() => self.cluster(&pod.namespace),
            Who::Node { name, .. } => self.text(&format!("node/{name}")),
            Who::Component { .. } | Who::Process { .. } | Who::Pod(_) => match &claim.place.node {
                Some(node) => self.text(&format!("node/{node}")),
                None => Arc::clone(&self.external),
            },
        }
    }

    /// `namespace/NAME`, of the cluster's namespaces.
    fn cluster(&mut self, namespace: &str) -> Arc<str> {
        self.text(&format!("namespace/{namespace}"))
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= REMEMBERED_MAX {
            self.texts.clear();
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }
}

/// Stable id of a node, `group/name`. Different kinds never share one: a component cannot be imitated by a process
/// that calls itself so.
pub fn node_id(group: &str, who: &Who) -> String {
    let mut id = format!("{group}/");
    match who {
        Who::Component { .. } | Who::External { .. } => id.push_str(&who.label()),
        Who::Process { name } => escape(name, &mut id),
        Who::Pod(_) | Who::Service { .. } | Who::Node { .. } => escape(&who.label(), &mut id),
        Who::Unknown { reason } => {
            id.push('~');
            id.extend(reason.chars().map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            }));
        }
    }
    id
}

/// Id of a node at the finest grain: programs apart by pod, container, unit and person.
pub fn fine_id(group: &str, claim: &Claim) -> String {
    let mut id = node_id(group, &claim.who);
    let place = &claim.place;
    let parts = [
        place.pod.as_ref().map(|pod| &*pod.uid),
        place.container.as_ref().map(|container| container.id.as_str()),
        place.unit.as_deref(),
        place.human.as_ref().and_then(|human| human.name.as_deref()),
        place.human.as_ref().and_then(|human| human.by.as_deref()),
    ];
    for part in parts {
        id.push('#');
        escape(part.unwrap_or_default(), &mut id);
    }
    id
}

/// Percent-encodes what components, unknowns and paths use as marks, and what no id should hold.
pub fn escape(name: &str, into: &mut String) {
    for byte in name.bytes() {
        let plain =
            byte.is_ascii_graphic() && !matches!(byte, b'/' | b'(' | b')' | b'~' | b'%' | b'"' | b'\\');
        if plain {
            into.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _infallible = write!(into, "%{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_after_namespaces() {
        let names = [
            (7, "b".to_owned()),
            (7, "a".to_owned()),
            (5, "host-by-name".to_owned()),
        ];
        let mut groups = Groups::new(5, &names);
        let cases: &[(&str, u32, &str)] = &[
            ("the host, even if it has a name too", 5, "host"),
            ("several names: the first in order", 7, "netns/a"),
            ("no name: the inode", 4_026_532_410, "netns/4026532410"),
            ("not known", 0, "netns/unknown"),
        ];
        for (name, netns, want) in cases {
            assert_eq!(&*groups.group(*netns), *want, "case: {name}");
        }
    }

    #[test]
    fn ids_of_different_things_differ_whatever_a_process_calls_itself() {
        let component = |name: &str, role: Option<&str>| Who::Component {
            name: name.into(),
            role: role.map(String::from),
        };
        let process = |name: &str| Who::Process { name: name.into() };
        let cases: &[(&str, Who, &str)] = &[
            ("a component", component("etcd", None), "host/etcd"),
            (
                "a component with a role",
                component("kubectl", Some("proxy")),
                "host/kubectl(proxy)",
            ),
            ("a process", process("curl"), "host/curl"),
            (
                "a process that imitates a role",
                process("kubectl(proxy)"),
                "host/kubectl%28proxy%29",
            ),
            (
                "a process with control characters",
                process("a\x1b[2J\n"),
                "host/a%1b[2J%0a",
            ),
            ("a process that imitates an unknown", process("~x"), "host/%7ex"),
            (
                "an unknown",
                Who::Unknown {
                    reason: "no owner".into(),
                },
                "host/~no-owner",
            ),
        ];
        for (name, who, want) in cases {
            assert_eq!(node_id("host", who), *want, "case: {name}");
        }
        let external = Who::External {
            address: "10.0.0.9".parse().unwrap(),
            guess: Some("etcd".into()),
        };
        assert_eq!(node_id(EXTERNAL, &external), "external/10.0.0.9");
    }
}
