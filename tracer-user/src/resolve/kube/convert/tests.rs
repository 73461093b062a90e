//! Objects of a real cluster, and hostile ones.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::signal::inventory::{PodFacts, ServicePort, Workload};

const PODS: &str = include_str!("../fixtures/api/pods.json");
const KUBELET_PODS: &str = include_str!("../fixtures/api/kubelet-pods.json");
const SERVICES: &str = include_str!("../fixtures/api/services.json");
const SLICES: &str = include_str!("../fixtures/api/endpointslices.json");
const NODES: &str = include_str!("../fixtures/api/nodes.json");

/// Every item of a list.
fn all(resource: Resource, list: &str) -> Vec<Fact> {
    let list: Value = serde_json::from_str(list).unwrap();
    let items = list["items"].as_array().unwrap();
    let read = |object: &Value| item(resource, &object.to_string()).unwrap().fact;
    items.iter().map(read).collect()
}

fn pods(list: &str) -> Vec<PodFacts> {
    let facts = all(Resource::Pods, list).into_iter();
    facts.map(pod_of).collect()
}

fn pod_of(fact: Fact) -> PodFacts {
    let Fact::Pod(pod) = fact else {
        panic!("{fact:?} is no pod")
    };
    *pod
}

fn pod(object: &Value) -> PodFacts {
    pod_of(item(Resource::Pods, &object.to_string()).unwrap().fact)
}

fn workload(kind: &str, name: &str) -> Workload {
    Workload {
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn a_deployments_pod_is_named_with_address_port_and_container() {
    let pods = pods(PODS);
    let web = pods.iter().find(|pod| pod.name == "web-c796d44f6-jdgtf");
    let web = web.unwrap();
    assert_eq!(web.uid, "65472c8a-e055-4910-811c-e315a2840737");
    assert_eq!(web.workload, Some(workload("Deployment", "web")));
    assert_eq!(web.namespace, "default");
    assert_eq!(web.node.as_deref(), Some("controlplane"));
    assert_eq!(web.addresses, ["10.244.0.3".parse::<IpAddr>().unwrap()]);
    assert_eq!(web.host_network, Some(false));
    assert_eq!(web.ports, [8080]);
    assert_eq!(web.config_hash, None);
    assert_eq!(web.started_unix_ns, Some(1_795_197_882_000_000_000));
    assert_eq!(web.labels[0], ("app".to_owned(), "web".to_owned()));
    let (name, id) = &web.containers[0];
    assert_eq!(name, "web");
    assert_eq!(id.as_ref().map(String::len), Some(64));
    assert!(!web.ended);
}

#[test]
fn a_mirror_pod_has_another_uid_than_the_kubelets_static_pod_and_its_hash_as_annotation() {
    let of = |list| {
        let all = pods(list);
        let etcd = all.into_iter().find(|pod| pod.name == "etcd-controlplane");
        etcd.unwrap()
    };
    let (mirror, kubelets) = (of(PODS), of(KUBELET_PODS));
    assert_eq!(mirror.uid, "f875f949-49c5-40ac-9adb-2d14e0c02026");
    assert_eq!(kubelets.uid, "40fd1c883492798a973420b1590f1fa1");
    assert_eq!(mirror.config_hash.as_deref(), Some(kubelets.uid.as_str()));
    for pod in [mirror, kubelets] {
        assert_eq!(pod.workload, Some(workload("StaticPod", "etcd")));
        assert_eq!(pod.host_network, Some(true));
        assert_eq!(pod.addresses, Vec::<IpAddr>::new());
    }
}

#[test]
fn services_slices_and_nodes_of_a_real_cluster_are_read() {
    let services = all(Resource::Services, SERVICES);
    let Fact::Service(web) = &services[1] else {
        panic!("{services:?}")
    };
    assert_eq!((web.name.as_str(), web.kind.as_str()), ("web", "ClusterIP"));
    assert_eq!(web.cluster_ips, ["10.96.100.100".parse::<IpAddr>().unwrap()]);
    let port = ServicePort {
        name: String::new(),
        port: 80,
        node_port: 0,
    };
    assert_eq!(web.ports, [port]);

    let slices = all(Resource::Endpoints, SLICES);
    let Fact::Endpoints(web) = &slices[1] else {
        panic!("{slices:?}")
    };
    assert_eq!((web.name.as_str(), web.service.as_str()), ("web-l7gw7", "web"));
    assert_eq!(web.ports, [(String::new(), 8080)]);
    let endpoint = &web.endpoints[0];
    assert!(endpoint.ready);
    assert_eq!(endpoint.node.as_deref(), Some("controlplane"));
    let (namespace, name, uid) = endpoint.pod.as_ref().unwrap();
    assert_eq!(namespace, "default");
    assert_eq!(name, "web-c796d44f6-jdgtf");
    assert_eq!(uid, "65472c8a-e055-4910-811c-e315a2840737");

    let nodes = all(Resource::Nodes, NODES);
    let Fact::Node(node) = &nodes[0] else {
        panic!("{nodes:?}")
    };
    assert_eq!(node.name, "controlplane");
    assert_eq!(node.addresses, ["192.168.59.150".parse::<IpAddr>().unwrap()]);
    assert_eq!(node.pod_cidrs, ["10.244.0.0/24"]);
    assert_eq!(node.hostname, None);
}

/// A pod of an owner, with labels.
fn owned(name: &str, owner: &Value, labels: &Value) -> PodFacts {
    pod(&json!({
        "metadata": {"uid": "u", "name": name, "namespace": "ns", "labels": labels,
            "creationTimestamp": "2026-11-20T18:04:42Z",
            "ownerReferences": if owner.is_null() { json!([]) } else { json!([owner]) }},
        "spec": {"nodeName": "node-1"}, "status": {}
    }))
}

fn owner(api: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": api, "kind": kind, "name": name, "uid": "o", "controller": true})
}

fn check(table: &[(&str, Value, Value, (&str, &str))]) {
    for (what, owner, labels, (kind, name)) in table {
        let facts = owned("p-node-1", owner, labels);
        assert_eq!(facts.workload, Some(workload(kind, name)), "{what}");
    }
}

#[test]
fn a_deployment_or_cron_job_is_claimed_only_where_owner_and_labels_prove_it() {
    let job = |name: &str| json!({"batch.kubernetes.io/job-name": name, "job-name": name});
    check(&[
        ("no owner", Value::Null, json!({}), ("Pod", "p-node-1")),
        (
            "a replica set whose hash the label proves",
            owner("apps/v1", "ReplicaSet", "a-b-59fbd48878"),
            json!({"pod-template-hash": "59fbd48878"}),
            ("Deployment", "a-b"),
        ),
        (
            "a replica set without the label",
            owner("apps/v1", "ReplicaSet", "a-59fbd48878"),
            json!({}),
            ("ReplicaSet", "a-59fbd48878"),
        ),
        (
            "a replica set with the hash of another",
            owner("apps/v1", "ReplicaSet", "a-59fbd48878"),
            json!({"pod-template-hash": "c796d44f6"}),
            ("ReplicaSet", "a-59fbd48878"),
        ),
        (
            "a replica set that is nothing but the hash",
            owner("apps/v1", "ReplicaSet", "-59fbd48878"),
            json!({"pod-template-hash": "59fbd48878"}),
            ("ReplicaSet", "-59fbd48878"),
        ),
        (
            "a job that was due just before the pod was made",
            owner("batch/v1", "Job", "backup-29919964"),
            job("backup-29919964"),
            ("CronJob", "backup"),
        ),
        (
            "a job called after a time that had not come yet",
            owner("batch/v1", "Job", "backup-49919964"),
            job("backup-49919964"),
            ("Job", "backup-49919964"),
        ),
        (
            "a job called after a number",
            owner("batch/v1", "Job", "load-10000000"),
            job("load-10000000"),
            ("Job", "load-10000000"),
        ),
        (
            "a job without the label",
            owner("batch/v1", "Job", "backup-29919964"),
            json!({}),
            ("Job", "backup-29919964"),
        ),
    ]);
}

#[test]
fn other_controllers_are_named_as_they_are_and_static_pods_without_the_node() {
    check(&[
        (
            "a node, whose name the kubelet appends",
            owner("v1", "Node", "node-1"),
            json!({}),
            ("StaticPod", "p"),
        ),
        (
            "a daemon set",
            owner("apps/v1", "DaemonSet", "proxy"),
            json!({}),
            ("DaemonSet", "proxy"),
        ),
        (
            "a stateful set",
            owner("apps/v1", "StatefulSet", "db"),
            json!({}),
            ("StatefulSet", "db"),
        ),
        (
            "a replica set of another group",
            owner("example.com/v1", "ReplicaSet", "x-1"),
            json!({"pod-template-hash": "1"}),
            ("ReplicaSet", "x-1"),
        ),
        (
            "any other controller",
            owner("argoproj.io/v1", "Workflow", "w"),
            json!({}),
            ("Workflow", "w"),
        ),
        (
            "an owner that does not control it",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "c"}),
            json!({}),
            ("Pod", "p-node-1"),
        ),
    ]);
}

#[test]
fn a_pod_has_ended_when_it_will_never_run_again() {
    let table = [
        ("pending", json!({"phase": "Pending"}), false, false),
        ("succeeded", json!({"phase": "Succeeded"}), false, true),
        ("failed", json!({"phase": "Failed"}), false, true),
        (
            "being deleted while it runs",
            json!({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"running": {"startedAt": "x"}}}]}),
            true,
            false,
        ),
        (
            "being deleted, all containers over",
            json!({"phase": "Running", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 1}}}]}),
            true,
            true,
        ),
    ];
    for (what, status, deleted, ended) in table {
        let mut object = json!({"metadata": {"uid": "u", "name": "p", "namespace": "n"}, "status": status});
        if deleted {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-20T18:04:42Z");
        }
        assert_eq!(pod(&object).ended, ended, "{what}");
    }
}

#[test]
fn only_tcp_ports_count_and_host_ports_lead_to_container_ports() {
    let facts = pod(&json!({
        "metadata": {"uid": "u", "name": "p", "namespace": "n"},
        "spec": {"containers": [{"name": "c", "ports": [
            {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80, "hostPort": 8080},
            {"containerPort": 443, "protocol": "TCP"}, {"containerPort": 70000}, {"containerPort": -1}]}]},
        "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "junk"}]}
    }));
    assert_eq!(facts.ports, [80, 443]);
    assert_eq!(facts.host_ports, [(8080, 80)]);
    let expected: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
    assert_eq!(facts.addresses, expected);
}

#[test]
fn a_load_balancer_has_external_addresses_and_node_ports_and_a_headless_service_none() {
    let read = |object: Value| item(Resource::Services, &object.to_string()).unwrap().fact;
    let fact = read(json!({"metadata": {"name": "lb", "namespace": "n"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.9", "externalIPs": ["192.0.2.1"],
            "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "u", "port": 53, "protocol": "UDP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "x.example"}]}}}));
    let Fact::Service(service) = fact else {
        panic!("no service")
    };
    assert_eq!(service.cluster_ips.len(), 1);
    assert_eq!(service.external_ips.len(), 2);
    assert_eq!(service.ports.len(), 1);
    assert_eq!(service.ports[0].node_port, 30080);
    let fact = read(json!({"metadata": {"name": "h", "namespace": "n"},
        "spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "ports": null}}));
    let Fact::Service(service) = fact else {
        panic!("no service")
    };
    assert_eq!(service.cluster_ips, Vec::<IpAddr>::new());
}

#[test]
fn what_is_too_long_is_cut_and_what_has_no_name_is_refused() {
    let long = "ä".repeat(10_000);
    let many: serde_json::Map<_, _> = (0..1000).map(|at| (format!("k{at}"), json!(long))).collect();
    let facts = pod(&json!({"metadata": {"uid": long, "name": long, "namespace": "n", "labels": many}}));
    assert!(facts.uid.len() <= TEXT_MAX);
    assert_eq!(facts.labels.len(), LIST_MAX);
    assert!(facts.labels.iter().all(|(_, value)| value.len() <= TEXT_MAX));
    for (what, object) in [
        ("no uid", r#"{"metadata":{"name":"p","namespace":"n"}}"#),
        (
            "empty uid",
            r#"{"metadata":{"uid":"","name":"p","namespace":"n"}}"#,
        ),
        ("no name", r#"{"metadata":{"uid":"u","namespace":"n"}}"#),
        ("no object", "[]7"),
        (
            "labels that are numbers",
            r#"{"metadata":{"uid":"u","name":"p","namespace":"n","labels":{"a":1}}}"#,
        ),
    ] {
        assert!(item(Resource::Pods, object).is_err(), "{what}");
    }
}

/// Bytes that the facts of a pod hold: the struct itself, and what its strings and lists point to.
fn held(pod: &PodFacts) -> usize {
    let pair = |(one, two): &(String, String)| one.capacity() + two.capacity();
    let labels =
        pod.labels.capacity() * size_of::<(String, String)>() + pod.labels.iter().map(pair).sum::<usize>();
    let containers = pod.containers.iter().map(|(name, id)| {
        size_of::<(String, Option<String>)>() + name.capacity() + id.as_ref().map_or(0, String::capacity)
    });
    let workload = pod.workload.as_ref();
    size_of::<PodFacts>()
        + labels
        + containers.sum::<usize>()
        + pod.uid.capacity()
        + pod.name.capacity()
        + pod.namespace.capacity()
        + pod.node.as_ref().map_or(0, String::capacity)
        + workload.map_or(0, |workload| workload.kind.capacity() + workload.name.capacity())
        + pod.addresses.capacity() * size_of::<IpAddr>()
        + pod.ports.capacity() * size_of::<u16>()
}

#[test]
fn a_pod_costs_less_than_a_fifth_of_its_object() {
    let list: Value = serde_json::from_str(PODS).unwrap();
    let objects = list["items"].as_array().unwrap();
    let told: usize = pods(PODS).iter().map(held).sum();
    let whole: usize = objects.iter().map(|object| object.to_string().len()).sum();
    println!(
        "{} bytes of {} a pod",
        told / objects.len(),
        whole / objects.len()
    );
    assert!(told * 5 < whole, "{told} of {whole}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,400}") {
        for resource in Resource::ALL {
            prop_assert!(item(resource, &text).is_err());
        }
    }

    #[test]
    fn a_real_object_with_a_hole_is_read_or_refused(at in 0usize..4000, length in 1usize..200) {
        let list: Value = serde_json::from_str(PODS).unwrap();
        let mut text = list["items"][0].to_string();
        let end = (at + length).min(text.len());
        if at < end {
            text.replace_range(at..end, "");
        }
        if let Ok(read) = item(Resource::Pods, &text) {
            prop_assert!(matches!(read.gone, Fact::PodGone(uid) if !uid.is_empty()));
        }
    }
}
