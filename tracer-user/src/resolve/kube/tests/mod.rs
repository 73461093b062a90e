//! The resolver against a stand-in API server with faults.

mod bounds;
mod secrets;
mod standin;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use self::standin::{Ask, Reply, Server, list, nothing, status};
use super::*;
use crate::{
    clock,
    resolve::{Resolvers, Told},
    signal::inventory::{Fact, Kind, Origin},
};

const PODS: &str = include_str!("../fixtures/api/pods.json");
const POD_CHANGES: &str = include_str!("../fixtures/watch/pods.jsonl");
const SERVICE_CHANGES: &str = include_str!("../fixtures/watch/services.jsonl");
const SLICE_CHANGES: &str = include_str!("../fixtures/watch/endpointslices.jsonl");
const NODE_CHANGES: &str = include_str!("../fixtures/watch/nodes.jsonl");
const NODES: &str = include_str!("../fixtures/api/nodes.json");

const QUICK: Timing = Timing {
    answer: Duration::from_secs(2),
    list: Duration::from_secs(20),
    quiet: Duration::from_millis(1500),
    watch: Duration::from_mins(1),
    retry: Duration::from_millis(20),
    retry_max: Duration::from_millis(200),
};

/// A run against a server, and all that was told so far.
struct Run {
    resolvers: Resolvers,
    told: Vec<Told>,
    _server: Server,
}

impl Run {
    fn start(node: Option<&str>, script: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> Self {
        let server = Server::start(script);
        let resolver = ApiServer {
            access: Access::Kubeconfig(vec![server.kubeconfig.clone()]),
            node: node.map(str::to_owned),
            timing: QUICK,
        };
        Self {
            resolvers: Resolvers::start(vec![Box::new(resolver)]),
            told: Vec::new(),
            _server: server,
        }
    }

    /// Takes what is told until it is enough.
    fn until(&mut self, what: &str, is_enough: impl Fn(&[Told]) -> bool) {
        let patience_ns = 30_000_000_000;
        let began_ns = clock::boot_ns();
        while !is_enough(&self.told) {
            let told = &mut self.told;
            if self.resolvers.drain(1000, |more| told.push(more.clone())) == 0 {
                thread::park_timeout(Duration::from_millis(5));
            }
            let waited_ns = clock::boot_ns() - began_ns;
            assert!(waited_ns < patience_ns, "never {what}: {:#?}", brief(&self.told));
        }
    }
}

/// The facts in short.
fn brief(told: &[Told]) -> Vec<String> {
    told.iter()
        .map(|told| match told {
            Told::Inventory(inventory) => {
                assert_eq!(inventory.origin, Origin::Kube);
                match &inventory.fact {
                    Fact::Pod(pod) if pod.ended => format!("pod {} ended", pod.name),
                    Fact::Pod(pod) => format!("pod {}", pod.name),
                    Fact::PodGone(uid) => format!("pod gone {uid}"),
                    Fact::Service(service) => format!("service {}", service.name),
                    Fact::ServiceGone(_, name) => format!("service gone {name}"),
                    Fact::Node(node) => format!("node {}", node.name),
                    Fact::Listing(kind) => format!("listing {kind:?}"),
                    Fact::Listed(kind) => format!("listed {kind:?}"),
                    Fact::Endpoints(slice) => format!("endpoints {}", slice.name),
                    Fact::EndpointsGone(_, name) => format!("endpoints gone {name}"),
                    Fact::NodeGone(name) => format!("node gone {name}"),
                    Fact::Container(_)
                    | Fact::ContainerGone(_)
                    | Fact::StaticPod(_)
                    | Fact::StaticPodGone(..)
                    | Fact::ApiServer(_)
                    | Fact::ApiServerGone(_) => panic!("not the API server's to tell"),
                }
            }
            Told::Source(state) => match &state.fault {
                None => format!("{} works", state.source),
                Some(fault) => format!("{}: {} ({})", state.source, fault.why, fault.remedy),
            },
            Told::Host(facts) => format!("{facts:?}"),
            Told::Nat(nat) => format!("{nat:?}"),
        })
        .collect()
}

fn has(told: &[Told], text: &str) -> bool {
    brief(told).iter().any(|line| line == text)
}

fn contains(told: &[Told], text: &str) -> bool {
    brief(told).iter().any(|line| line.contains(text))
}

fn count(told: &[Told], text: &str) -> usize {
    brief(told).iter().filter(|line| *line == text).count()
}

fn pod(number: usize, version: u64) -> String {
    format!(
        r#"{{"metadata":{{"name":"p{number}","namespace":"n","uid":"u{number}","resourceVersion":"{version}"}},"spec":{{}},"status":{{"podIP":"10.1.1.1"}}}}"#
    )
}

fn change(kind: &str, object: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

#[test]
fn a_real_list_and_real_changes_are_told_in_order() {
    let mut run = Run::start(Some("controlplane"), |ask| {
        if ask.is("/nodes") && !ask.is_watch() {
            return Reply::Json(200, NODES.to_owned());
        }
        let changes = if ask.is("/pods") {
            assert_eq!(ask.value("fieldSelector"), Some("spec.nodeName%3Dcontrolplane"));
            POD_CHANGES
        } else if ask.is("/services") {
            SERVICE_CHANGES
        } else {
            return nothing(ask);
        };
        match (ask.is_watch(), ask.is("/pods")) {
            (true, _) => Reply::Lines(changes.lines().map(str::to_owned).collect()),
            (false, true) => Reply::Json(200, PODS.to_owned()),
            (false, false) => nothing(ask),
        }
    });
    run.until("the client's pod gone and the service gone", |told| {
        has(told, "pod gone eb91bb18-f83e-437c-babc-697e9c8e528e")
            && has(told, "service gone extra")
            && has(told, "API server works")
    });
    let lines = brief(&run.told);
    let at = |text: &str| lines.iter().position(|line| line == text).unwrap();
    assert!(at("listing Pods") < at("pod etcd-controlplane"));
    assert!(at("pod etcd-controlplane") < at("listed Pods"));
    assert!(at("pod client-59fbd48878-bsrxc") < at("pod client-59fbd48878-bsrxc ended"));
    assert!(at("pod client-59fbd48878-nwsdl") < at("pod client-59fbd48878-bsrxc ended"));
    assert!(at("service extra") < at("service gone extra"));
    assert!(
        !lines
            .iter()
            .any(|line| line.starts_with("API server ") && line != "API server works")
    );
}

#[test]
fn real_changes_of_endpoints_and_nodes_are_told_in_order() {
    let mut run = Run::start(None, |ask| {
        let changes = if ask.is("/endpointslices") {
            SLICE_CHANGES
        } else if ask.is("/nodes") {
            NODE_CHANGES
        } else {
            return nothing(ask);
        };
        if ask.is_watch() {
            Reply::Lines(changes.lines().map(str::to_owned).collect())
        } else {
            nothing(ask)
        }
    });
    let servers = |told: &[Told]| -> Vec<Vec<(String, bool)>> {
        told.iter()
            .filter_map(|one| match one {
                Told::Inventory(inventory) => Some(&inventory.fact),
                Told::Source(_) | Told::Host(_) | Told::Nat(_) => None,
            })
            .filter_map(|fact| {
                let Fact::Endpoints(slice) = fact else { return None };
                let ends = slice.endpoints.iter();
                (slice.service == "web").then(|| {
                    ends.map(|end| (end.addresses[0].to_string(), end.ready))
                        .collect()
                })
            })
            .collect()
    };
    run.until("all that was recorded", |told| {
        servers(told).len() >= 4 && has(told, "endpoints gone extra-cfcnh") && has(told, "node controlplane")
    });
    let end = |last: u8, ready: bool| (format!("10.244.0.{last}"), ready);
    let both = vec![end(3, true), end(2, true)];
    let third = |ready| [both.clone(), vec![end(5, ready)]].concat();
    assert_eq!(
        servers(&run.told)[..4],
        [both.clone(), third(true), third(false), both],
        "scaled to three and back to two"
    );
}

#[test]
fn a_resource_that_is_forbidden_turns_off_nothing_else_and_names_its_rule() {
    let allowed = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&allowed);
    let mut run = Run::start(None, move |ask| {
        if ask.is("/endpointslices") && !may.load(Ordering::SeqCst) {
            return status(403, "endpointslices is forbidden");
        }
        if ask.is("/pods") && !ask.is_watch() {
            return list(5, &pod(1, 5));
        }
        nothing(ask)
    });
    run.until("one refused, the others working", |told| {
        has(told, "pod p1") && contains(told, "API server endpointslices:") && has(told, "API server works")
    });
    let lines = brief(&run.told);
    let fault = lines
        .iter()
        .find(|line| line.contains("endpointslices:"))
        .unwrap();
    assert!(
        fault.contains(
            r#"apiGroups ["discovery.k8s.io"], resources ["endpointslices"], verbs ["list", "watch"]"#
        ),
        "{fault}"
    );
    assert!(!contains(&run.told, "API server pods"));
    allowed.store(true, Ordering::SeqCst);
    run.until("allowed", |told| has(told, "API server endpointslices works"));
    assert_eq!(count(&run.told, "API server works"), 1);
}

#[test]
fn a_server_that_refuses_everything_is_one_line() {
    let mut run = Run::start(None, |_| status(403, "no"));
    run.until("refused", |told| contains(told, "docs/deploy/rbac.yaml"));
    assert_eq!(brief(&run.told).len(), 1, "{:?}", brief(&run.told));
    assert!(!contains(&run.told, "geheim"));
}

#[test]
fn an_outdated_version_is_listed_again() {
    let mut run = Run::start(None, |ask| {
        if !ask.is("/pods") {
            return nothing(ask);
        }
        match (ask.is_watch(), ask.before) {
            (false, 0) => list(5, &pod(1, 5)),
            (false, _) => list(9, &pod(2, 9)),
            (true, 0) => Reply::Ended(vec![change(
                "ERROR",
                r#"{"code":410,"reason":"Expired","message":"too old"}"#,
            )]),
            (true, _) => {
                assert_eq!(ask.value("resourceVersion"), Some("9"));
                Reply::Lines(vec![change("ADDED", &pod(3, 10))])
            }
        }
    });
    run.until("listed again and watched on", |told| has(told, "pod p3"));
    assert_eq!(count(&run.told, "listing Pods"), 2);
    assert!(has(&run.told, "pod p2"));
    assert!(!contains(&run.told, "API server pods"));
}

#[test]
fn garbage_in_a_watch_is_skipped_and_counted() {
    let mut run = Run::start(None, |ask| match (ask.is("/pods"), ask.is_watch()) {
        (true, true) if ask.before == 0 => Reply::Lines(vec![
            "garbage".to_owned(),
            change("ADDED", r#"{"metadata":{"name":7}}"#),
            change("ODD", "{}"),
            change("ADDED", &"[".repeat(100_000)),
            "x".repeat(wire::LINE_MAX + 5),
            String::new(),
            change("BOOKMARK", r#"{"metadata":{"resourceVersion":"77"}}"#),
            change("ADDED", &pod(3, 78)),
        ]),
        _ => nothing(ask),
    });
    run.until("the pod after the garbage", |told| has(told, "pod p3"));
    run.until("counted", |told| contains(told, "4 or more could not be read"));
}

#[test]
fn a_server_that_falls_silent_is_asked_again_where_it_stopped_and_nothing_is_taken_back() {
    let mut run = Run::start(None, |ask| match (ask.is("/pods"), ask.is_watch(), ask.before) {
        (true, false, 0) => list(5, &pod(1, 5)),
        (true, false, _) => list(6, &pod(1, 5)),
        (true, true, 0) => Reply::Lines(vec![change("ADDED", &pod(2, 6))]),
        (true, true, 1) => Reply::Silence,
        (true, true, 2) => Reply::Cut,
        (true, true, _) => {
            assert_eq!(ask.value("resourceVersion"), Some("6"));
            Reply::Lines(vec![change("MODIFIED", &pod(4, 7))])
        }
        _ => nothing(ask),
    });
    run.until("watched on", |told| has(told, "pod p4"));
    assert_eq!(count(&run.told, "listing Pods"), 1);
    assert!(!contains(&run.told, "gone"));
}

#[test]
fn a_server_that_is_away_is_one_line_and_what_it_lost_is_found_out() {
    // 0: before; 1: away; 2: back, restored from a backup with lower versions.
    let phase = Arc::new(AtomicU64::new(0));
    let now = Arc::clone(&phase);
    let mut run = Run::start(None, move |ask| {
        match (now.load(Ordering::SeqCst), ask.is("/pods"), ask.is_watch()) {
            (1, _, _) => Reply::Cut,
            (0, true, false) => list(500, &pod(1, 499)),
            (_, true, false) => list(20, &pod(2, 19)),
            // Ends by itself, so that the change of phase is noticed.
            (0, _, true) => Reply::Ended(Vec::new()),
            (_, _, true) => Reply::Lines(Vec::new()),
            (_, false, false) => list(if now.load(Ordering::SeqCst) == 0 { 500 } else { 20 }, ""),
        }
    });
    run.until("working", |told| {
        has(told, "API server works") && has(told, "pod p1")
    });
    phase.store(1, Ordering::SeqCst);
    run.until("away", |told| contains(told, "API server: 127.0.0.1:"));
    phase.store(2, Ordering::SeqCst);
    run.until("back", |told| {
        count(told, "API server works") == 2 && has(told, "pod p2")
    });
    assert_eq!(count(&run.told, "listing Pods"), 2);
    assert!(!contains(&run.told, "gone"));
}

#[test]
fn twenty_thousand_pods_come_in_pages() {
    let mut run = Run::start(None, |ask| {
        if !ask.is("/pods") || ask.is_watch() {
            return nothing(ask);
        }
        assert_eq!(ask.value("limit"), Some("500"));
        let from: usize = ask.value("continue").map_or(0, |next| next.parse().unwrap());
        let items: Vec<_> = (from..from + 500).map(|number| pod(number, 3)).collect();
        let next = from + 500;
        let next = if next < 20_000 {
            next.to_string()
        } else {
            String::new()
        };
        Reply::Json(
            200,
            format!(
                r#"{{"metadata":{{"resourceVersion":"9","continue":"{next}"}},"items":[{}]}}"#,
                items.join(",")
            ),
        )
    });
    let listed = |told: &Told| matches!(told, Told::Inventory(all) if all.fact == Fact::Listed(Kind::Pods));
    run.until("all of them", |told| told.iter().rev().take(1200).any(listed));
    let pods = run
        .told
        .iter()
        .filter(|told| matches!(told, Told::Inventory(all) if matches!(all.fact, Fact::Pod(_))));
    assert_eq!(pods.count(), 20_000);
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones() {
    let mut run = Run::start(None, |ask| match (ask.is("/pods"), ask.value("limit")) {
        (true, Some("500")) => Reply::Json(200, " ".repeat(wire::PAGE_MAX + 1)),
        (true, Some("250")) => list(5, &pod(1, 5)),
        _ => nothing(ask),
    });
    run.until("smaller", |told| has(told, "listed Pods"));
    assert_eq!(count(&run.told, "pod p1"), 1);
}

#[test]
fn a_list_that_fails_halfway_begins_anew_and_a_page_that_is_no_list_is_told() {
    let mut run = Run::start(None, |ask| {
        if ask.is("/services") && !ask.is_watch() {
            return Reply::Json(200, "<html>".to_owned());
        }
        match (ask.is("/pods"), ask.value("continue"), ask.before) {
            (true, Some(_), 1) => status(410, "The provided continue parameter is too old"),
            (true, None, 0) => Reply::Json(
                200,
                format!(r#"{{"metadata":{{"continue":"a/+"}},"items":[{}]}}"#, pod(1, 5)),
            ),
            (true, None, 2) => list(5, &pod(2, 5)),
            _ => nothing(ask),
        }
    });
    run.until("anew", |told| {
        has(told, "listed Pods") && contains(told, "API server services:")
    });
    assert_eq!(count(&run.told, "listing Pods"), 2);
    assert_eq!(count(&run.told, "listed Pods"), 1);
    assert!(has(&run.told, "pod p2"));
}

#[test]
fn a_node_that_the_cluster_does_not_have_is_told() {
    let mut run = Run::start(Some("elsewhere"), |ask| {
        if ask.is("/nodes") && !ask.is_watch() {
            return Reply::Json(200, NODES.to_owned());
        }
        nothing(ask)
    });
    run.until("no such node", |told| contains(told, "no node called elsewhere"));
}

#[test]
fn a_kubeconfig_that_was_asked_for_and_cannot_be_used_is_told() {
    let resolver = ApiServer {
        access: Access::Kubeconfig(vec!["/nonexistent/kubeconfig".into()]),
        node: None,
        timing: QUICK,
    };
    let server = Server::start(nothing);
    let mut run = Run {
        resolvers: Resolvers::start(vec![Box::new(resolver)]),
        told: Vec::new(),
        _server: server,
    };
    run.until("no file", |told| {
        contains(told, "/nonexistent/kubeconfig cannot be read: No such file")
    });
}

#[test]
fn credentials_are_looked_for_in_order_and_never_the_kubelets() {
    let file = |path: &str| Some(Access::Kubeconfig(vec![path.into()]));
    let all = Environment {
        asked: Some("/a".into()),
        in_cluster: true,
        kubeconfig: Some("/b".into()),
        home: None,
    };
    let unasked = Environment {
        asked: None,
        ..all.clone()
    };
    let outside = Environment {
        in_cluster: false,
        ..unasked.clone()
    };
    let kubelets = Environment {
        kubeconfig: Some("/etc/kubernetes/kubelet.conf".into()),
        ..outside.clone()
    };
    let table = [
        ("asked for", all, file("/a")),
        ("in a pod", unasked, Some(Access::InCluster)),
        ("by the environment", outside, file("/b")),
        ("the kubelet's", kubelets, None),
        ("nothing", Environment::default(), None),
    ];
    for (what, environment, access) in table {
        assert_eq!(environment.access(), access, "{what}");
    }
}

#[test]
fn a_machine_without_kubernetes_is_no_hint_and_a_node_names_its_admin_kubeconfig() {
    let root = std::env::temp_dir().join(format!("kcn-root-{}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    assert_eq!(discover::hint(&root), None);
    std::fs::create_dir_all(root.join("etc/rancher/k3s")).unwrap();
    std::fs::write(root.join("etc/rancher/k3s/k3s.yaml"), "").unwrap();
    let hint = discover::hint(&root).unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    assert!(hint.remedy.contains("/etc/rancher/k3s/k3s.yaml"), "{hint:?}");
}
