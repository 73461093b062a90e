//! Answers of `explain`: who is meant by a question, what each witness says, and what becomes of it.

use super::*;
use crate::{
    report::{ExplainedEnd, Outcome, Question},
    signal::{
        ProcessFacts,
        inventory::{Fact, Inventory, Origin, PodFacts, ServiceFacts, ServicePort, StaticPodFacts, Workload},
    },
};

const UID: &str = "40fd1c883492798a973420b1590f1fa1";

/// A kubeadm node: etcd and its API server, by executable, arguments and name.
fn node() -> Run {
    let (mut world, mut run) = (World::new(5), Run::new());
    world.names = [(100, "etcd"), (200, "kube-apiserver"), (300, "etcd")].into();
    for (tgid, exe, uid) in [
        (100, "/usr/local/bin/etcd", Some(UID)),
        (200, "/usr/local/bin/kube-apiserver", None),
        (300, "/tmp/x", None),
    ] {
        run.feed(&Signal::Process(&ProcessFacts {
            tgid,
            comm: world.names[&tgid].to_owned(),
            exe: Some(exe.to_owned()),
            args: vec![world.names[&tgid].to_owned()],
            cgroup: uid.map(|uid| format!("/kubepods/burstable/pod{uid}/{}", "c".repeat(64))),
            ..ProcessFacts::default()
        }));
    }
    world.listen(100, HOST, "127.0.0.1:2379".parse().unwrap());
    world.attach();
    world.snapshot();
    for (port, tgid) in [(40_000, 200), (40_001, 300)] {
        let id = world.connect(plan(tgid, &format!("127.0.0.1:{port}"), "127.0.0.1:2379"));
        world.accept(id, 100);
    }
    let mut away = plan(200, "192.168.59.150:40002", "10.9.9.9:10250");
    away.destination.0 = None;
    world.connect(away);
    world.snapshot();
    run.watch(&mut world);
    run
}

fn told(end: &ExplainedEnd, source: &str) -> (String, Outcome) {
    let found = end
        .testimonies
        .iter()
        .find(|testimony| testimony.source == source);
    let Some(testimony) = found else {
        panic!("no {source} in {:#?}", end.testimonies)
    };
    (testimony.says.clone(), testimony.outcome.clone())
}

fn edge(source: &str, destination: &str, port: Option<u16>) -> Question {
    Question::Edge {
        source: source.into(),
        destination: destination.into(),
        port,
    }
}

#[test]
fn the_edge_of_the_api_server_to_etcd_has_witnesses_that_agree() {
    let mut run = node();
    let answers = run.pipeline.explain(&edge("kube-apiserver", "etcd", Some(2379)));
    let [answer] = &answers[..] else {
        panic!("{answers:#?}")
    };
    assert_eq!(answer.about, "host/kube-apiserver -> host/etcd tcp/2379");
    let [source, destination] = &answer.ends[..] else {
        panic!("{answer:#?}")
    };
    assert_eq!(told(source, "exe"), ("kube-apiserver".into(), Outcome::Decides));
    assert_eq!(told(source, "argv").1, Outcome::Agrees);
    assert_eq!(told(source, "comm").1, Outcome::Agrees);
    assert_eq!(told(destination, "exe").1, Outcome::Decides);
    assert_eq!(
        told(destination, "listening port"),
        ("etcd".into(), Outcome::Agrees)
    );
    assert!(told(destination, "cgroup").0.contains(UID));
    assert!(matches!(told(destination, "inventory").1, Outcome::Silent(_)));
    assert!(
        answer
            .ends
            .iter()
            .all(|end| end.testimonies.is_sorted_by_key(|one| one.rank))
    );
}

#[test]
fn who_told_of_the_pod_and_its_manifest_agree_and_a_label_does_not_outweigh_an_executable() {
    let mut run = node();
    let mut tell = |origin, fact| {
        run.feed(&Signal::Inventory(&Inventory {
            origin,
            at_ns: 1,
            fact,
        }));
    };
    let pod = PodFacts {
        uid: UID.into(),
        namespace: "kube-system".into(),
        name: "etcd-cp".into(),
        host_network: Some(true),
        labels: vec![
            ("component".into(), "etcd".into()),
            ("k8s-app".into(), "kube-scheduler".into()),
        ],
        workload: Some(Workload {
            kind: "StaticPod".into(),
            name: "etcd".into(),
        }),
        ..PodFacts::default()
    };
    tell(Origin::Cri, Fact::Pod(Box::new(pod.clone())));
    tell(Origin::Kube, Fact::Pod(Box::new(pod)));
    let manifest = StaticPodFacts {
        path: "/etc/kubernetes/manifests/etcd.yaml".into(),
        namespace: "kube-system".into(),
        name: "etcd".into(),
        containers: vec![("etcd".into(), Some("etcd".into()))],
        ..StaticPodFacts::default()
    };
    tell(Origin::Files, Fact::StaticPod(Box::new(manifest)));
    let answers = run
        .pipeline
        .explain(&Question::Address("127.0.0.1:2379".parse().unwrap()));
    let end = &answers[0].ends[0];
    assert_eq!(end.node, "host/etcd");
    assert_eq!(told(end, "CRI").0, "pod kube-system/etcd-cp of StaticPod etcd");
    assert_eq!(
        told(end, "API server").0,
        "pod kube-system/etcd-cp of StaticPod etcd"
    );
    assert_eq!(told(end, "static pod manifest"), ("etcd".into(), Outcome::Agrees));
    let labels: Vec<_> = end
        .testimonies
        .iter()
        .filter(|one| one.source == "pod label")
        .map(|one| (one.says.as_str(), matches!(one.outcome, Outcome::Lost(_))))
        .collect();
    assert_eq!(labels, [("etcd", false), ("kube-scheduler", true)]);
    assert!(end.improve.is_empty(), "nothing is unknown");
    let by_pod = run
        .pipeline
        .explain(&Question::Name("kube-system/etcd-cp".into()));
    assert_eq!(by_pod.len(), 1);
    assert_eq!(by_pod[0].about, "host/etcd");
}

#[test]
fn a_name_that_a_process_gave_itself_lost_to_its_executable() {
    let mut run = node();
    let answers = run.pipeline.explain(&Question::Pid(300));
    let end = &answers[0].ends[0];
    assert_eq!(end.claim.who.label(), "x");
    let (says, outcome) = told(end, "comm");
    assert_eq!(says, "etcd");
    assert!(matches!(outcome, Outcome::Lost(_)), "{outcome:?}");
}

/// Who is said to be meant, as ids of nodes with what the answer is about.
fn asked(run: &mut Run, question: &str) -> Vec<(String, String)> {
    let question = question
        .parse()
        .map_or_else(|_| Question::Name(question.into()), Question::Address);
    let answers = run.pipeline.explain(&question).into_iter();
    answers.map(|one| (one.about, one.ends[0].node.clone())).collect()
}

/// Three namespaces in which somebody listens on every address at 8080, two of them pods with an address, and a service.
fn three_places() -> Run {
    let (mut world, mut run) = (World::new(7), Run::new());
    let places = [
        (100, HOST, "0.0.0.0"),
        (200, 77, "0.0.0.0"),
        (300, 78, "[::]"),
        (301, 78, "[::]"),
    ];
    world.names = [(100, "api"), (200, "web"), (300, "shop"), (301, "shop")].into();
    for (tgid, netns, at) in places {
        run.feed(&Signal::Process(&ProcessFacts {
            tgid,
            comm: world.names[&tgid].to_owned(),
            exe: Some(format!("/bin/{}", world.names[&tgid])),
            netns: Some(netns),
            cgroup: (tgid == 200).then(|| format!("/kubepods/burstable/pod{UID}/{}", "c".repeat(64))),
            ..ProcessFacts::default()
        }));
        world.listen(tgid, netns, format!("{at}:8080").parse().unwrap());
    }
    world.attach();
    world.snapshot();
    let id = world.connect(Plan {
        source: (Some(78), "10.244.0.3:40000".parse().unwrap()),
        destination: (None, "10.96.0.10:80".parse().unwrap()),
        client: 300,
        other_client: None,
    });
    world.close(id, Side::Source);
    world.reset(id);
    world.drain();
    world.wait(2_000_000_000);
    world.tick();
    run.watch(&mut world);
    run.feed(&Signal::Host(&crate::signal::host::HostFacts {
        at_ns: 1,
        fact: crate::signal::host::HostFact::Address("10.0.0.1".parse().unwrap()),
    }));
    let pod = PodFacts {
        uid: UID.into(),
        namespace: "default".into(),
        name: "web-1".into(),
        addresses: vec!["10.244.0.2".parse().unwrap()],
        workload: Some(Workload {
            kind: "Deployment".into(),
            name: "web".into(),
        }),
        ..PodFacts::default()
    };
    let service = ServiceFacts {
        namespace: "default".into(),
        name: "front".into(),
        cluster_ips: vec!["10.96.0.10".parse().unwrap()],
        ports: vec![ServicePort {
            port: 80,
            ..ServicePort::default()
        }],
        ..ServiceFacts::default()
    };
    for fact in [Fact::Pod(Box::new(pod)), Fact::Service(Box::new(service))] {
        run.feed(&Signal::Inventory(&Inventory {
            origin: Origin::Kube,
            at_ns: 1,
            fact,
        }));
    }
    run
}

#[test]
fn an_address_is_asked_in_the_namespaces_that_have_it_and_things_by_all_their_names() {
    let mut run = three_places();
    let web = "namespace/default/deployment/web";
    let cases: &[(&str, &[&str])] = &[
        ("10.244.0.2:8080", &[web]),
        ("10.0.0.1:8080", &["host/api"]),
        ("10.9.9.9:8080", &[]),
        ("10.96.0.10:80", &["namespace/default/service/front"]),
        ("deploy/web", &[web]),
        ("deployments/web", &[web]),
        ("ds/web", &[]),
        ("po/web-1", &[web]),
        ("svc/front", &["namespace/default/service/front"]),
        ("10.244.0.2", &[web]),
        ("the-host", &["node/the-host"]),
        ("no/the-host", &["node/the-host"]),
        ("10.0.0.1", &["node/the-host"]),
    ];
    for (question, want) in cases {
        let found: Vec<String> = asked(&mut run, question)
            .into_iter()
            .map(|(_, node)| node)
            .collect();
        assert_eq!(found, *want, "{question}");
    }
    assert_eq!(
        asked(&mut run, "shop"),
        [(
            "netns/78/shop, 2 processes alike".to_owned(),
            "netns/78/shop".to_owned()
        )],
        "equal programs are one answer"
    );
}

#[test]
fn what_is_guessed_by_port_comes_with_what_would_tell_more() {
    let mut run = node();
    let answers = run.pipeline.explain(&edge("kube-apiserver", "kubelet", None));
    let end = &answers[0].ends[1];
    assert_eq!(told(end, "port"), ("kubelet".into(), Outcome::Decides));
    assert!(
        end.improve.iter().any(|remedy| remedy.contains("--kubeconfig")),
        "{end:#?}"
    );
    assert_eq!(run.pipeline.explain(&Question::Name("nobody".into())), []);
    assert_eq!(run.pipeline.explain(&Question::Pid(9)), []);
}
