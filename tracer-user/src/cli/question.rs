//! What `explain` is asked about, from what was typed.

use std::net::{IpAddr, SocketAddr};

use crate::report::Question;

/// `A -> B`, `A -> B:PORT`, `ADDRESS:PORT`, a number, or a name.
pub(super) fn question(text: &str) -> Result<Question, String> {
    let text = text.trim();
    if let Some((source, destination)) = text.split_once("->") {
        let (source, (destination, port)) = (source.trim(), with_port(destination.trim()));
        if source.is_empty() || destination.is_empty() || destination.contains("->") {
            return Err(format!(
                "`{text}` is not an edge: write it as 'SOURCE -> DESTINATION' or 'SOURCE -> DESTINATION:PORT'"
            ));
        }
        return Ok(Question::Edge {
            source: source.to_owned(),
            destination,
            port,
        });
    }
    if text.is_empty() {
        return Err(
            "write an ADDRESS:PORT, a process id, a name, or an edge as 'SOURCE -> DESTINATION'".to_owned(),
        );
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Question::Address(address));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse() {
            Ok(pid) if pid > 0 => Ok(Question::Pid(pid)),
            Ok(_) | Err(_) => Err(format!("`{text}` is not a process id")),
        };
    }
    Ok(Question::Name(text.to_owned()))
}

/// `NAME`, `NAME:PORT`, `NAME tcp/PORT` as edges are printed, or an address with or without a port.
fn with_port(text: &str) -> (String, Option<u16>) {
    if text.parse::<IpAddr>().is_ok() {
        return (text.to_owned(), None);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.ip().to_string(), Some(address.port()));
    }
    let parts = text.rsplit_once(" tcp/").or_else(|| text.rsplit_once(':'));
    match parts.and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name.trim_end().to_owned(), Some(port)),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn questions_are_told_apart() {
        let edge = |source: &str, destination: &str, port| Question::Edge {
            source: source.into(),
            destination: destination.into(),
            port,
        };
        let address = |text: &str| Question::Address(text.parse().unwrap());
        let name = |text: &str| Question::Name(text.into());
        let cases = [
            (
                "an address with its port",
                "127.0.0.1:2379",
                address("127.0.0.1:2379"),
            ),
            ("IPv6", "[fd00::1]:2379", address("[fd00::1]:2379")),
            ("a process", "4242", Question::Pid(4242)),
            ("a component", "kube-apiserver", name("kube-apiserver")),
            ("a role", "k3s-server(kubelet)", name("k3s-server(kubelet)")),
            ("a pod", "shop/client-6d5f7", name("shop/client-6d5f7")),
            ("an address alone", "10.0.0.9", name("10.0.0.9")),
            (
                "an edge",
                "kube-apiserver->etcd",
                edge("kube-apiserver", "etcd", None),
            ),
            (
                "an edge with blanks",
                " kube-apiserver -> etcd ",
                edge("kube-apiserver", "etcd", None),
            ),
            (
                "an edge with a port",
                "kube-apiserver->etcd:2379",
                edge("kube-apiserver", "etcd", Some(2379)),
            ),
            (
                "an edge as it is printed",
                "kube-apiserver -> etcd tcp/2379",
                edge("kube-apiserver", "etcd", Some(2379)),
            ),
            (
                "an edge to an address",
                "curl -> 10.0.0.9:443",
                edge("curl", "10.0.0.9", Some(443)),
            ),
            (
                "an edge to an IPv6 address",
                "curl -> fd00::9",
                edge("curl", "fd00::9", None),
            ),
            (
                "an edge to an IPv6 address with its port",
                "curl -> [fd00::9]:443",
                edge("curl", "fd00::9", Some(443)),
            ),
            ("no port", "a -> b:c", edge("a", "b:c", None)),
        ];
        for (case, text, want) in cases {
            assert_eq!(question(text), Ok(want), "case: {case}");
        }
    }

    #[test]
    fn what_asks_nothing_is_refused() {
        for (text, says) in [
            ("", "ADDRESS:PORT"),
            ("  ", "ADDRESS:PORT"),
            ("->", "'SOURCE -> DESTINATION'"),
            ("a ->", "'SOURCE -> DESTINATION'"),
            ("-> b", "'SOURCE -> DESTINATION'"),
            ("a -> b -> c", "'SOURCE -> DESTINATION'"),
            ("0", "not a process id"),
            ("99999999999", "not a process id"),
        ] {
            let error = question(text).expect_err(text);
            assert!(error.contains(says), "case: {text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "\\PC{0,40}|[a-f0-9:.>\\[\\] -]{0,40}") {
            if let Ok(Question::Name(name)) = question(&text) {
                prop_assert!(!name.is_empty());
            }
        }
    }
}
