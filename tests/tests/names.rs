//! Every end has a name: the tracer in a cluster of real pods, with all sources of names, with few, and with none.

#![cfg(test)]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use tests::cluster::roles::Workload;
use tests::cluster::{CLIENT_TO_WEB, Cluster};
use tests::json::{list, number, text};
use tests::needs_cluster;
use tests::require::Need;
use tests::scenario::APISERVER_TO_ETCD;
use tests::scratch::Scratch;
use tests::tracer::{self, Finished, Tracer};
use tests::wait::{patience, seconds, until_true};

/// The arguments of `view` with all sources of names of the cluster.
fn with_names(cluster: &Cluster, view: &[&str]) -> Vec<String> {
    let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let names = [
        "--cri-socket".to_owned(),
        path(cluster.cri_socket()),
        "--kubeconfig".to_owned(),
        path(cluster.kubeconfig()),
        "--host-root".to_owned(),
        path(cluster.host_root()),
        "--node-name".to_owned(),
        "controlplane".to_owned(),
    ];
    view.iter().map(|word| (*word).to_owned()).chain(names).collect()
}

/// Runs the tracer in the node's network.
fn run(cluster: &Cluster, arguments: &[String]) -> Finished {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = || tracer::run(&arguments).unwrap();
    cluster.node().inside(run).unwrap()
}

fn start(cluster: &Cluster, arguments: &[String]) -> Tracer {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let start = || Tracer::start_ready(&arguments).unwrap();
    cluster.node().inside(start).unwrap()
}

/// Source, destination, port and service of every edge with an end in the cluster, and its figure `opened`.
fn edges(cluster: &Cluster, graph: &Value) -> BTreeMap<(String, String, u64, String), u64> {
    let nodes: BTreeMap<&str, &Value> = list(graph, "nodes")
        .iter()
        .map(|node| (text(node, "id"), node))
        .collect();
    let pids = cluster_pids(cluster);
    let is_ours = |id: &str| {
        let node = nodes[id];
        list(node, "pids")
            .iter()
            .any(|pid| pids.contains(&pid.as_u64().unwrap()))
    };
    list(graph, "edges")
        .iter()
        .filter(|edge| is_ours(text(edge, "source")) || is_ours(text(edge, "destination")))
        .map(|edge| {
            let key = (
                text(edge, "source").to_owned(),
                text(edge, "destination").to_owned(),
                number(edge, "port"),
                edge["via"]["service"].as_str().unwrap_or_default().to_owned(),
            );
            (key, number(edge, "opened"))
        })
        .collect()
}

fn cluster_pids(cluster: &Cluster) -> BTreeSet<u64> {
    cluster
        .pods()
        .values()
        .map(|pod| u64::from(pod.pid().unwrap()))
        .collect()
}

/// The edges of the cluster as it stands, by component and workload; the visitor is `visitor`.
fn expected(visitor: &str) -> BTreeMap<(String, String, u64, String), u64> {
    let (client, web) = (
        "namespace/shop/deployment/client",
        "namespace/default/deployment/web",
    );
    let (api, etcd) = ("host/kube-apiserver", "host/etcd");
    let kubernetes = "default/kubernetes";
    [
        (api, etcd, 2379, "", APISERVER_TO_ETCD),
        (etcd, etcd, 2379, "", 2),
        ("host/kube-controller-manager", api, 6443, "", 1),
        ("host/kube-scheduler", api, 6443, "", 1),
        ("host/kube-proxy", api, 6443, "", 1),
        ("host/kubelet", api, 6443, "", 1),
        ("namespace/kube-system/coredns", api, 6443, kubernetes, 1),
        (client, web, 8080, "default/web", CLIENT_TO_WEB as u64),
        (client, web, 8080, "", 1),
        ("host/kubelet", web, 8080, "", 1),
        (visitor, web, 8080, "default/web", 1),
    ]
    .into_iter()
    .map(|(source, destination, port, service, opened)| {
        let key = (
            source.to_owned(),
            destination.to_owned(),
            port,
            service.to_owned(),
        );
        (key, opened)
    })
    .collect()
}

/// Id of the node that the visitor is.
fn visitor(cluster: &Cluster, graph: &Value) -> String {
    let pid = Value::from(cluster.visitor_pid());
    let is_it = |node: &&Value| list(node, "pids").contains(&pid);
    let node = list(graph, "nodes").iter().find(is_it);
    text(node.expect("the visitor is in the graph"), "id").to_owned()
}

#[test]
#[ignore = "needs root and BPF"]
fn every_edge_names_pod_and_workload_at_both_ends_and_a_service_is_on_the_way() {
    if !needs_cluster![Need::Bpf] {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let directory = Scratch::new().unwrap();
    let recording = directory.join("run.kcn");
    let recording = recording.to_str().unwrap();
    let view = ["graph", "--duration", "1", "-o", "json", "-w", recording];
    let live = run(&cluster, &with_names(&cluster, &view));
    let graph = live.json().unwrap();
    assert_eq!(edges(&cluster, &graph), expected(&visitor(&cluster, &graph)));

    // What sources of names told is in the recording, too.
    let replayed = tracer::run(&["replay", recording, "graph", "-o", "json"]).unwrap();
    assert_eq!(replayed.stdout, live.stdout);

    // The same pod by pod: every one by name, with what keeps it running, its node, and the services it serves.
    let view = ["graph", "--duration", "1", "-o", "json", "--group-by", "pod"];
    let graph = run(&cluster, &with_names(&cluster, &view)).json().unwrap();
    let mut seen = BTreeSet::new();
    let pids = cluster_pids(&cluster);
    let is_ours = |node: &&Value| {
        list(node, "pids")
            .iter()
            .any(|pid| pids.contains(&pid.as_u64().unwrap()))
    };
    for node in list(&graph, "nodes").iter().filter(is_ours) {
        let name = text(node, "k8s.pod.name");
        let found = cluster.pods().iter().find(|(_, pod)| pod.spec.name == name);
        let (key, pod) = found.unwrap_or_else(|| panic!("{node}"));
        assert_eq!(text(node, "k8s.namespace.name"), pod.spec.namespace, "{node}");
        assert_eq!(text(node, "k8s.pod.uid"), pod.spec.uid, "{node}");
        assert_eq!(text(node, "k8s.node.name"), "controlplane", "{node}");
        assert_eq!(
            text(node, "k8s.container.name"),
            pod.spec.container.name,
            "{node}"
        );
        assert_eq!(text(node, "container.id"), pod.container, "{node}");
        match cluster.workload(key).unwrap() {
            Workload::Static => {
                assert_eq!(text(node, "k8s.workload.kind"), "StaticPod", "{node}");
                assert_eq!(text(node, "k8s.workload.name"), *key, "{node}");
            }
            Workload::DaemonSet(name) => assert_eq!(text(node, "k8s.daemonset.name"), name, "{node}"),
            Workload::Deployment(name) => assert_eq!(text(node, "k8s.deployment.name"), name, "{node}"),
        }
        seen.insert(*key);
    }
    let all: BTreeSet<&str> = cluster.pods().keys().copied().collect();
    assert_eq!(seen, all, "every pod is in the graph");
}

#[test]
#[ignore = "needs root and BPF"]
fn filters_and_rows_carry_the_same_names() {
    if !needs_cluster![Need::Bpf] {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let web: BTreeSet<u64> = ["web-0", "web-1"]
        .map(|key| u64::from(cluster.pod(key).unwrap().pid().unwrap()))
        .into();
    let pids = cluster_pids(&cluster);
    // Others may have a cluster on this machine too.
    let is_ours = |row: &Value| {
        ["/process/pid", "/source/process/pid", "/destination/process/pid"]
            .iter()
            .filter_map(|pid| row.pointer(pid)?.as_u64())
            .any(|pid| pids.contains(&pid))
    };
    let rows = |view: &[&str]| -> Vec<Value> {
        let document = run(&cluster, &with_names(&cluster, view)).json().unwrap();
        let ours = list(&document, "items").iter().filter(|row| is_ours(row));
        ours.cloned().collect()
    };
    let served = rows(&["connections", "-o", "json", "--to-service", "default/web"]);
    assert_eq!(served.len(), CLIENT_TO_WEB + 3, "{served:#?}");
    let dialled = |row: &&Value| row["via"]["service"] == "default/web";
    assert_eq!(served.iter().filter(dialled).count(), CLIENT_TO_WEB + 1);
    let from_shop = rows(&["connections", "-o", "json", "--from-namespace", "shop"]);
    assert_eq!(from_shop.len(), CLIENT_TO_WEB + 1);
    assert!(
        from_shop
            .iter()
            .all(|row| row["source"]["k8s"]["deployment"]["name"] == "client")
    );
    let to_web = rows(&[
        "connections",
        "-o",
        "json",
        "--from-workload",
        "deployment/client",
        "-l",
        "app=web",
    ]);
    assert_eq!(to_web.len(), CLIENT_TO_WEB + 1);
    let listening = rows(&["listeners", "-o", "json", "-n", "default"]);
    let pids: BTreeSet<u64> = listening.iter().map(|row| number(row, "process.pid")).collect();
    assert_eq!(pids, web);
    let components = rows(&["components", "-o", "json", "-n", "kube-system"]);
    assert_eq!(components.len(), 6, "{components:#?}");
    assert!(
        components
            .iter()
            .all(|row| row["k8s"]["node"]["name"] == "controlplane")
    );
    assert_eq!(
        rows(&["connections", "-o", "json", "--node", "elsewhere"]),
        Vec::<Value>::new()
    );
}

#[test]
#[ignore = "needs root and BPF"]
fn without_any_source_of_names_the_components_are_named_and_what_is_missing_is_said() {
    if !needs_cluster![Need::Bpf] {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let directory = Scratch::new().unwrap();
    let kubeconfig = directory.join("kubeconfig");
    let text_of = fs::read_to_string(cluster.kubeconfig()).unwrap();
    fs::write(&kubeconfig, text_of.replace(":6443", ":1")).unwrap();
    let nowhere = directory.join("nowhere");
    let refused: Vec<String> = [
        "components",
        "-o",
        "json",
        "--cri-socket",
        nowhere.to_str().unwrap(),
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--host-root",
        nowhere.to_str().unwrap(),
        "--conntrack",
        "none",
    ]
    .map(String::from)
    .into();
    let finished = run(&cluster, &refused);
    let document = finished.json().unwrap();
    let pids = cluster_pids(&cluster);
    let names: BTreeSet<&str> = list(&document, "items")
        .iter()
        .filter(|row| pids.contains(&number(row, "process.pid")))
        .map(|row| text(row, "name"))
        .collect();
    let control_plane = [
        "coredns",
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
    ];
    assert_eq!(names, control_plane.into());
    let degraded: Vec<&str> = list(&document, "meta.health.degraded")
        .iter()
        .map(|one| text(one, "what"))
        .collect();
    let says = |word: &str| degraded.iter().any(|what| what.to_lowercase().contains(word));
    assert!(says("api server"), "{degraded:#?}");
    assert!(says("container"), "{degraded:#?}");
    assert!(finished.stderr.contains("Remedy"), "{}", finished.stderr);

    let mut view: Vec<String> = ["graph", "--duration", "1"].map(String::from).into();
    view.extend_from_slice(&refused[1..]);
    let graph = run(&cluster, &view).json().unwrap();
    let edge = |source: &str, destination: &str| {
        list(&graph, "edges")
            .iter()
            .find(|edge| text(edge, "source") == source && text(edge, "destination") == destination)
            .map(|edge| number(edge, "opened"))
    };
    assert_eq!(edge("host/kube-apiserver", "host/etcd"), Some(APISERVER_TO_ETCD));
    for client in [
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "kubelet",
    ] {
        assert_eq!(
            edge(&format!("host/{client}"), "host/kube-apiserver"),
            Some(1),
            "{client}"
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn explain_shows_the_witnesses_of_the_api_servers_edge_to_etcd() {
    if !needs_cluster![Need::Bpf] {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let view = [
        "explain",
        "kube-apiserver->etcd:2379",
        "--duration",
        "0",
        "-o",
        "json",
    ];
    let document = run(&cluster, &with_names(&cluster, &view)).json().unwrap();
    let pids = cluster_pids(&cluster);
    let ours = list(&document, "items").iter().find(|item| {
        list(item, "ends").iter().all(|end| {
            end["process"]["pid"]
                .as_u64()
                .is_some_and(|pid| pids.contains(&pid))
        })
    });
    let ours = ours.unwrap_or_else(|| panic!("{document:#}"));
    for end in list(ours, "ends") {
        let outcome = |wanted: &str| {
            let testimonies = list(end, "testimonies");
            let sources = testimonies.iter().filter(|one| text(one, "outcome") == wanted);
            sources
                .map(|one| text(one, "source").to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(outcome("decides"), ["exe".to_owned()].into(), "{end:#}");
        let agree = outcome("agrees");
        for source in ["CRI", "static pod manifest", "argv", "comm", "listening port"] {
            assert!(agree.contains(source), "{source}: {end:#}");
        }
        let adds = outcome("adds");
        assert!(adds.contains("cgroup") && adds.contains("API server"), "{end:#}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn no_edge_and_no_name_is_lost_while_containerd_and_the_api_server_go_and_return() {
    if !needs_cluster![Need::Bpf] {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    let view = ["graph", "--duration", &seconds(120), "-o", "json"];
    let mut tracer = start(&cluster, &with_names(&cluster, &view));
    cluster.visit_every(5).unwrap();
    let visits = |cluster: &mut Cluster, more: u64| {
        let client = cluster.orders("client").unwrap();
        let before = client.count("beats").unwrap();
        client.wait_count("beats", before + more).unwrap();
    };
    cluster.containerd().stop().unwrap();
    visits(&mut cluster, 20);
    cluster.containerd().resume().unwrap();
    visits(&mut cluster, 20);
    cluster.stop_apiserver().unwrap();
    visits(&mut cluster, 20);
    cluster.resume_apiserver().unwrap();
    visits(&mut cluster, 20);
    cluster.rest().unwrap();
    let client = cluster.orders("client").unwrap();
    let (beats, missed) = (client.count("beats").unwrap(), client.count("missed").unwrap());
    assert_eq!(missed, 0);
    assert!(tracer.runs().unwrap());
    let graph = tracer.interrupt().unwrap().json().unwrap();
    assert_eq!(tests::json::lost(&graph), 0);

    let mut expected = expected(&visitor(&cluster, &graph));
    let found = edges(&cluster, &graph);
    let visited = (
        "namespace/shop/deployment/client",
        "namespace/default/deployment/web",
        "default/web",
    );
    let key = (
        visited.0.to_owned(),
        visited.1.to_owned(),
        8080,
        visited.2.to_owned(),
    );
    assert_eq!(
        found.get(&key),
        Some(&(CLIENT_TO_WEB as u64 + beats)),
        "{found:#?}"
    );
    // Those that talk to the API server connected again.
    let again = |key: &(String, String, u64, String)| {
        key.1 == "host/kube-apiserver" || key.0 == "host/kube-apiserver"
    };
    for (key, opened) in &mut expected {
        *opened = found
            .get(key)
            .copied()
            .filter(|_| again(key) || key.2 == 8080)
            .unwrap_or(*opened);
    }
    assert_eq!(found, expected);
}

#[test]
#[ignore = "needs root and BPF"]
fn an_api_server_that_comes_later_names_what_was_seen_before() {
    if !needs_cluster![Need::Bpf] {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    cluster.stop_apiserver().unwrap();
    let view = ["graph", "--watch", "--duration", &seconds(120), "-o", "json"];
    let mut tracer = start(&cluster, &with_names(&cluster, &view));
    let services = |graph: &Value| -> BTreeSet<String> {
        list(graph, "edges")
            .iter()
            .filter(|edge| edge["via"].is_object() && number(edge, "port") == 8080)
            .map(|edge| edge["via"]["service"].as_str().unwrap_or("nameless").to_owned())
            .collect()
    };
    let seen = tracer
        .wait_records("the service address without a name", |graphs| {
            graphs
                .last()
                .is_some_and(|graph| services(graph).contains("nameless"))
        })
        .unwrap();
    let degraded = list(seen.last().unwrap(), "meta.health.degraded").to_vec();
    assert!(
        degraded
            .iter()
            .any(|one| text(one, "what").contains("API server")),
        "{degraded:#?}"
    );
    cluster.resume_apiserver().unwrap();
    let seen = tracer
        .wait_records("the service's name", |graphs| {
            graphs
                .last()
                .is_some_and(|graph| services(graph) == ["default/web".to_owned()].into())
        })
        .unwrap();
    let mut last = seen.last().unwrap().clone();
    until_true("the API server is no longer said to be away", patience(), || {
        last = tracer.records()?.last().unwrap().clone();
        let degraded = list(&last, "meta.health.degraded");
        Ok(!degraded
            .iter()
            .any(|one| text(one, "what").contains("API server")))
    })
    .unwrap();
}
