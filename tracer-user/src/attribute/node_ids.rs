//! Ids of graph nodes: stable over restarts, and different for different things whatever a process calls itself.
#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::{Claim, Who};

/// Stable id of a node, `group/name`. Different kinds never share one: a component cannot be imitated by a process
/// that calls itself so.
pub fn node_id(group: &str, who: &Who) -> String {
    let mut id = format!("{group}/");
    match who {
        Who::Component { .. } | Who::External { .. } => id.push_str(&who.label()),
        Who::Process { name } => escape(name, &mut id),
        Who::Pod(_) | Who::Service { .. } | Who::Node { .. } => escape(&who.label(), &mut id),
        Who::Unknown {
            guess: Some(guess), ..
        } => {
            id.push('~');
            escape(guess, &mut id);
        }
        Who::Unknown { reason, guess: None } => {
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
    use crate::attribute::netns::EXTERNAL;

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
                    guess: None,
                },
                "host/~no-owner",
            ),
            (
                "an unknown with a guess",
                Who::Unknown {
                    reason: "no owner".into(),
                    guess: Some("etcd".into()),
                },
                "host/~etcd",
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
