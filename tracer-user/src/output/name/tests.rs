//! What an end is called, and that nobody can be taken for another.

use std::sync::Arc;

use super::*;
use crate::output::fixture;

#[test]
fn every_kind_of_end_has_a_name_of_its_own() {
    let pod = |claim: Claim| fixture::in_pod(claim, "shop", "client-6d5f7", Some("client"));
    let unnamed = Pod {
        uid: "0b7f".into(),
        ..Pod::default()
    };
    let with = |who| Claim {
        who,
        ..fixture::unknown()
    };
    let service = |name: &str| Who::Service {
        namespace: "default".into(),
        name: name.into(),
        candidates: vec![],
    };
    let node = |guess: Option<&str>| Who::Node {
        name: "worker-1".into(),
        guess: guess.map(Into::into),
    };
    let cases = [
        ("a component", fixture::component("etcd", None), "etcd"),
        (
            "a component in a pod stays what it is",
            pod(fixture::component("etcd", None)),
            "etcd",
        ),
        (
            "a role",
            fixture::component("k3s-server", Some("kubelet")),
            "k3s-server(kubelet)",
        ),
        ("a process", fixture::process("curl"), "curl"),
        (
            "a process that looks like a pod",
            fixture::process("shop/client"),
            "\"shop/client\"",
        ),
        (
            "a process that looks like a role",
            fixture::process("k3s-server(etcd)"),
            "\"k3s-server(etcd)\"",
        ),
        ("a guess is no name", fixture::process("etcd?"), "\"etcd?\""),
        (
            "a process in a pod",
            pod(fixture::process("nc")),
            "shop/client-6d5f7(nc)",
        ),
        (
            "a pod",
            fixture::pod("shop", "client-6d5f7", Some("client")),
            "shop/client-6d5f7",
        ),
        (
            "a pod of which the uid is known",
            with(Who::Pod(Arc::new(unnamed))),
            "pod/0b7f",
        ),
        ("a service", with(service("web")), "svc/default/web"),
        (
            "a hostile service",
            with(service("a b/c\x1b")),
            "svc/default/\"a b/c\\x1b\"",
        ),
        ("a node", with(node(None)), "node/worker-1"),
        (
            "a node with a guess",
            with(node(Some("kubelet"))),
            "node/worker-1(kubelet?)",
        ),
        (
            "an address with a guess",
            fixture::external("10.0.0.9", Some("etcd")),
            "etcd?",
        ),
        ("an address", fixture::external("10.0.0.9", None), "external"),
    ];
    for (case, claim, want) in cases {
        assert_eq!(Name(&claim).to_string(), want, "case: {case}");
    }
}

#[test]
fn a_process_called_as_a_word_of_ours_is_quoted() {
    let in_pod = fixture::in_pod(fixture::process("unknown"), "shop", "web", Some("web"));
    let cases = [
        (fixture::unknown(), "unknown"),
        (fixture::process("unknown"), "\"unknown\""),
        (fixture::external("10.0.0.9", None), "external"),
        (fixture::process("external"), "\"external\""),
        (fixture::process("10.0.0.9"), "\"10.0.0.9\""),
        (in_pod, "shop/web(\"unknown\")"),
    ];
    for (claim, want) in cases {
        assert_eq!(Name(&claim).to_string(), want);
    }
}

#[test]
fn nobody_is_unknown_and_at_a_telling_port_a_guess() {
    let mut claim = fixture::unknown();
    assert_eq!(Name(&claim).to_string(), "unknown");
    claim.who = Who::Unknown {
        reason: "nobody listens there".into(),
        guess: Some("etcd".into()),
    };
    assert_eq!(Name(&claim).to_string(), "etcd?");
}

#[test]
fn marks_are_words() {
    let human = |name: Option<&str>, session: Option<&str>, by: Option<&str>| Human {
        name: name.map(Into::into),
        session: session.map(Into::into),
        by: by.map(Into::into),
    };
    let cases = [
        ("a login", human(Some("alice"), Some("3"), None), " by alice"),
        (
            "sudo",
            human(Some("alice"), Some("3"), Some("sudo")),
            " by alice (sudo)",
        ),
        (
            "exec into a pod",
            human(None, None, Some("kubectl exec")),
            " by kubectl exec",
        ),
        (
            "a session alone",
            human(None, Some("session-3.scope"), None),
            " by session session-3.scope",
        ),
        ("nothing known", human(None, None, None), " by somebody"),
        (
            "a hostile name",
            human(Some("a\x1b[2J b"), None, None),
            " by \"a\\x1b[2J b\"",
        ),
    ];
    for (case, human, want) in cases {
        let mut claim = fixture::process("etcdctl");
        claim.place.human = Some(Arc::new(human));
        assert_eq!(Marks(&claim).to_string(), want, "case: {case}");
        claim.place.spoofed = Some("argv says etcd".into());
        assert_eq!(
            Marks(&claim).to_string(),
            format!(" SPOOFED{want}"),
            "case: {case}"
        );
    }
}
