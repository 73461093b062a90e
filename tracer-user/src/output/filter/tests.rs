//! Filters as tables of sentences.

use super::*;
use crate::output::fixture;

fn conditions(edit: impl FnOnce(&mut Conditions)) -> Conditions {
    let mut conditions = Conditions::default();
    edit(&mut conditions);
    conditions
}

fn either(edit: impl FnOnce(&mut Conditions)) -> Filter {
    Filter {
        either: conditions(edit),
        ..Filter::default()
    }
}

fn from(edit: impl FnOnce(&mut Conditions)) -> Filter {
    Filter {
        from: conditions(edit),
        ..Filter::default()
    }
}

fn to(edit: impl FnOnce(&mut Conditions)) -> Filter {
    Filter {
        to: conditions(edit),
        ..Filter::default()
    }
}

const V4: Families = Families { v4: true, v6: false };
const V6: Families = Families { v4: false, v6: true };

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_connection_matches_by_either_end_or_by_direction() {
    // kube-apiserver[1893] 127.0.0.1:47512 -> etcd[1790] 127.0.0.1:2379
    let local = fixture::connections().remove(0);
    // EVIL[66] [fd00::7]:40000 in another namespace -> kube-apiserver? 10.0.0.9:6443
    let remote = fixture::connections().remove(2);
    let cases = vec![
        ("no condition", Filter::default(), true, true),
        ("destination port", either(|c| c.ports = vec![2379]), true, false),
        ("source port", either(|c| c.ports = vec![47512]), true, false),
        (
            "ports are alternatives",
            either(|c| c.ports = vec![2379, 6443]),
            true,
            true,
        ),
        ("to a port", to(|c| c.ports = vec![2379]), true, false),
        (
            "to a port that is the source's",
            to(|c| c.ports = vec![47512]),
            false,
            false,
        ),
        ("from a port", from(|c| c.ports = vec![47512]), true, false),
        (
            "component of either end",
            either(|c| c.components = vec!["etcd".into()]),
            true,
            false,
        ),
        (
            "components are compared without case",
            either(|c| c.components = vec!["ETCD".into()]),
            true,
            false,
        ),
        (
            "a guess matches",
            to(|c| c.components = vec!["kube-apiserver".into()]),
            false,
            true,
        ),
        (
            "from a component",
            from(|c| c.components = vec!["kube-apiserver".into()]),
            true,
            false,
        ),
        (
            "a part of a name is another name",
            either(|c| c.components = vec!["etc".into()]),
            false,
            false,
        ),
        (
            "process by base name",
            either(|c| c.processes = vec!["kube-apiserver".into()]),
            true,
            false,
        ),
        (
            "process by path",
            either(|c| c.processes = vec!["/usr/local/bin/etcd".into()]),
            true,
            false,
        ),
        (
            "a hostile process name",
            from(|c| c.processes = vec![fixture::EVIL.into()]),
            false,
            true,
        ),
        ("pid", either(|c| c.pids = vec![1790]), true, false),
        (
            "pid of the other end",
            from(|c| c.pids = vec![1790]),
            false,
            false,
        ),
        (
            "conditions must all hold",
            either(|c| (c.ports, c.pids) = (vec![2379], vec![66])),
            false,
            false,
        ),
        (
            "each condition by any end",
            either(|c| (c.ports, c.pids) = (vec![2379], vec![1893])),
            true,
            false,
        ),
        (
            "IPv4",
            Filter {
                families: V4,
                ..Filter::default()
            },
            true,
            true,
        ),
        (
            "IPv6",
            Filter {
                families: V6,
                ..Filter::default()
            },
            false,
            false,
        ),
        (
            "both families",
            Filter {
                families: Families { v4: true, v6: true },
                ..Filter::default()
            },
            true,
            true,
        ),
        (
            "namespace",
            Filter {
                netns: vec![fixture::BLUE_NETNS],
                ..Filter::default()
            },
            false,
            true,
        ),
        (
            "an unknown namespace is none",
            Filter {
                netns: vec![0],
                ..Filter::default()
            },
            false,
            false,
        ),
    ];
    for (name, filter, want_local, want_remote) in cases {
        assert_eq!(filter.matches_connection(&local), want_local, "local: {name}");
        assert_eq!(filter.matches_connection(&remote), want_remote, "remote: {name}");
        let opened = fixture::happening(Happened::Opened, local.source.clone(), local.destination.clone());
        assert_eq!(filter.matches_happening(&opened), want_local, "happening: {name}");
    }
}

#[test]
fn names_match_by_role_and_by_cut_task_name() {
    let role = fixture::far("10.0.0.1:1", fixture::component("k3s-server", Some("kubelet")));
    let mut cut = fixture::party("10.0.0.1:1", fixture::unknown(), 5, "kube-controller-manager");
    if let Some(process) = cut.process.as_mut() {
        process.exe = None;
    }
    let cases = [
        (
            "the component",
            &role,
            either(|c| c.components = vec!["k3s-server".into()]),
            true,
        ),
        (
            "the role",
            &role,
            either(|c| c.components = vec!["kubelet".into()]),
            true,
        ),
        (
            "both as printed",
            &role,
            either(|c| c.components = vec!["k3s-server(kubelet)".into()]),
            true,
        ),
        (
            "another role",
            &role,
            either(|c| c.components = vec!["k3s-server(etcd)".into()]),
            false,
        ),
        (
            "a name the kernel cut",
            &cut,
            either(|c| c.processes = vec!["kube-controller-manager".into()]),
            true,
        ),
        (
            "the cut name itself",
            &cut,
            either(|c| c.processes = vec!["kube-controller".into()]),
            true,
        ),
        (
            "a shorter name is another",
            &cut,
            either(|c| c.processes = vec!["kube".into()]),
            false,
        ),
    ];
    for (name, party, filter, want) in cases {
        let happening = fixture::happening(Happened::Opened, party.clone(), fixture::etcd());
        assert_eq!(filter.matches_happening(&happening), want, "case: {name}");
    }
}

#[test]
fn what_listens_has_no_connecting_end() {
    let row = fixture::listeners().remove(0);
    let cases = [
        ("port", either(|c| c.ports = vec![2379]), true),
        ("to a port", to(|c| c.ports = vec![2379]), true),
        ("from a port", from(|c| c.ports = vec![2379]), false),
        ("component", either(|c| c.components = vec!["etcd".into()]), true),
        (
            "another component",
            either(|c| c.components = vec!["kubelet".into()]),
            false,
        ),
        (
            "IPv6",
            Filter {
                families: V6,
                ..Filter::default()
            },
            false,
        ),
        (
            "namespace",
            Filter {
                netns: vec![fixture::HOST_NETNS],
                ..Filter::default()
            },
            true,
        ),
    ];
    for (name, filter, want) in cases {
        assert_eq!(filter.matches_listener(&row), want, "listener: {name}");
        let opened = fixture::happening(Happened::ListenerOpened, row.party.clone(), row.party.clone());
        assert_eq!(filter.matches_happening(&opened), want, "happening: {name}");
    }
    let etcd = fixture::components().remove(0);
    assert!(either(|c| c.ports = vec![2380]).matches_component(&etcd));
    assert!(!either(|c| c.ports = vec![2381]).matches_component(&etcd));
    assert!(
        !Filter {
            families: V6,
            ..Filter::default()
        }
        .matches_component(&etcd)
    );
}

#[test]
fn a_graph_keeps_matching_edges_with_their_ends() {
    let cases: Vec<(&str, Filter, &[&str], &[&str])> = vec![
        (
            "port",
            either(|c| c.ports = vec![2379]),
            &[
                "host/etcdctl -> host/etcd :2379",
                "host/kube-apiserver -> host/etcd :2379",
            ],
            &["host/etcd", "host/etcdctl", "host/kube-apiserver"],
        ),
        (
            "from one component to another",
            Filter {
                from: conditions(|c| c.components = vec!["kubelet".into()]),
                to: conditions(|c| c.components = vec!["kube-apiserver".into()]),
                ..Filter::default()
            },
            &["host/kubelet -> host/kube-apiserver :6443"],
            &["host/kube-apiserver", "host/kubelet"],
        ),
        (
            "pid",
            either(|c| c.pids = vec![8]),
            &["host/curl -> host/127.0.0.1 :81", "host/curl -> host/etcd :2381"],
            &["host/127.0.0.1", "host/curl", "host/etcd"],
        ),
        (
            "a port that is only listened on keeps its node",
            either(|c| c.ports = vec![10259]),
            &[],
            &["host/kube-scheduler"],
        ),
        ("nothing", either(|c| c.ports = vec![1]), &[], &[]),
    ];
    for (name, filter, want_edges, want_nodes) in cases {
        let graph = filter.apply(&fixture::graph());
        let edges: Vec<String> = graph
            .edges
            .iter()
            .map(|edge| format!("{} -> {} :{}", edge.source, edge.destination, edge.port))
            .collect();
        let nodes: Vec<&str> = graph.nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(edges, want_edges, "case: {name}");
        assert_eq!(nodes, want_nodes, "case: {name}");
    }
    assert_eq!(Filter::default().apply(&fixture::graph()), fixture::graph());
}

#[test]
fn a_graph_keeps_edges_of_the_families_asked_for() {
    let has = |families, source: &str| {
        let graph = Filter {
            families,
            ..Filter::default()
        }
        .apply(&fixture::graph());
        graph
            .edges
            .iter()
            .any(|edge| format!("{} -> {}", edge.source, edge.destination).starts_with(source))
    };
    let cases = [
        ("IPv6 only", "external/fd00::9", false, true),
        ("IPv4 only", "host/kube-apiserver -> host/etcd", true, false),
        ("both", "host/kubelet", true, true),
    ];
    for (name, edge, v4, v6) in cases {
        assert_eq!((has(V4, edge), has(V6, edge)), (v4, v6), "case: {name}");
    }
}

#[test]
fn a_graph_keeps_its_health() {
    let mut graph = fixture::graph();
    graph.health = fixture::sick();
    assert_eq!(
        either(|c| c.ports = vec![1]).apply(&graph).health,
        fixture::sick()
    );
}

fn qualified(text: &str) -> Qualified {
    text.parse().unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn where_an_end_lives_is_a_condition_of_either_end_or_of_one() {
    // shop/client-6d5f7 of deployment client on cp-1 -> shop/web-1 of deployment web on worker-1, dialled as default/web;
    // the client serves default/web as well.
    let rows = fixture::connections();
    let pods = &rows[3];
    // etcdctl -> etcd, both in no pod.
    let host = &rows[6];
    // shop/client -> service default/web, whose server is not known.
    let service = &rows[5];
    let cases: Vec<(&str, Filter, [bool; 3])> = vec![
        (
            "pod",
            either(|c| c.places.pods = vec![qualified("web-1")]),
            [true, false, false],
        ),
        (
            "pod in its namespace",
            either(|c| c.places.pods = vec![qualified("shop/web-1")]),
            [true, false, false],
        ),
        (
            "pod in another namespace",
            either(|c| c.places.pods = vec![qualified("default/web-1")]),
            [false; 3],
        ),
        (
            "a part of a pod's name",
            either(|c| c.places.pods = vec![qualified("web")]),
            [false; 3],
        ),
        (
            "from a pod that accepts",
            from(|c| c.places.pods = vec![qualified("web-1")]),
            [false; 3],
        ),
        (
            "to a pod",
            to(|c| c.places.pods = vec![qualified("web-1")]),
            [true, false, false],
        ),
        (
            "namespace",
            either(|c| c.places.namespaces = vec!["shop".into()]),
            [true, false, true],
        ),
        (
            "namespace of a service",
            to(|c| c.places.namespaces = vec!["default".into()]),
            [false, false, true],
        ),
        (
            "labels",
            from(|c| c.places.selectors = vec!["app=client,tier in (front)".parse().unwrap()]),
            [true, false, true],
        ),
        (
            "labels that nobody has",
            either(|c| c.places.selectors = vec!["app=db".parse().unwrap()]),
            [false; 3],
        ),
        (
            "an absent label is not that of something without labels",
            either(|c| c.places.selectors = vec!["!nothing".parse().unwrap()]),
            [true, false, true],
        ),
        (
            "workload",
            to(|c| c.places.workloads = vec!["web".parse().unwrap()]),
            [true, false, false],
        ),
        (
            "workload with its kind as kubectl has it",
            either(|c| c.places.workloads = vec!["deploy/web".parse().unwrap()]),
            [true, false, false],
        ),
        (
            "workload of another kind",
            either(|c| c.places.workloads = vec!["daemonset/web".parse().unwrap()]),
            [false; 3],
        ),
        (
            "node",
            to(|c| c.places.nodes = vec!["worker-1".into()]),
            [true, false, false],
        ),
        (
            "service that is served, or was dialled",
            either(|c| c.places.services = vec![qualified("web")]),
            [true, false, true],
        ),
        (
            "service that was dialled",
            to(|c| c.places.services = vec![qualified("default/web")]),
            [true, false, true],
        ),
        (
            "service of another namespace",
            either(|c| c.places.services = vec![qualified("shop/web")]),
            [false; 3],
        ),
        (
            "alternatives",
            either(|c| c.places.pods = vec![qualified("nobody"), qualified("web-1")]),
            [true, false, false],
        ),
        (
            "conditions must all hold",
            either(|c| {
                c.places.namespaces = vec!["shop".into()];
                c.places.nodes = vec!["worker-1".into()];
            }),
            [true, false, false],
        ),
    ];
    for (name, filter, want) in cases {
        assert!(!filter.is_empty(), "case: {name}");
        let got = [pods, host, service].map(|row| filter.matches_connection(row));
        assert_eq!(got, want, "case: {name}");
    }
}

#[test]
fn listeners_components_and_nodes_of_a_graph_have_places_too() {
    let filter = either(|c| c.places.namespaces = vec!["shop".into()]);
    let listeners = fixture::listeners();
    let shown: Vec<bool> = listeners.iter().map(|row| filter.matches_listener(row)).collect();
    assert_eq!(shown, [false, false, false, false, false, false, true, true]);
    let system = either(|c| c.places.namespaces = vec!["kube-system".into()]);
    let components = fixture::components();
    let shown: Vec<bool> = components
        .iter()
        .map(|row| system.matches_component(row))
        .collect();
    assert_eq!(shown, [false, false, false, true, false]);
    let edges = |filter: &Filter| -> Vec<String> {
        let graph = filter.apply(&fixture::graph());
        graph
            .edges
            .iter()
            .map(|edge| format!("{} -> {} :{}", edge.source, edge.destination, edge.port))
            .collect()
    };
    let web = to(|c| c.places.services = vec![qualified("default/web")]);
    assert_eq!(
        edges(&web),
        [
            "namespace/shop/client -> external/default/web :80",
            "namespace/shop/client -> namespace/shop/web :8080"
        ]
    );
    let node = to(|c| c.places.nodes = vec!["worker-1".into()]);
    assert_eq!(edges(&node).len(), 3);
}

#[test]
fn names_with_a_part_missing_are_refused() {
    for text in ["", "/", "a/", "/a", "a/b/c"] {
        assert!(text.parse::<Qualified>().is_err(), "case: {text}");
        assert!(text.parse::<Controller>().is_err(), "case: {text}");
    }
    let sts: Controller = "STS/db".parse().unwrap();
    assert_eq!(sts.kind.as_deref(), Some("statefulset"));
}
