//! Pods and containers out of directories.

use super::*;

#[test]
fn every_pod_and_container_of_a_real_node_is_named() {
    let tree = Tree::real();
    let files = tree.looked();
    assert_eq!(files.pods.pods.len(), 8);
    assert_eq!(files.pods.containers.len(), 8);
    assert_eq!(files.pods.fault, None);
    let etcd = &files.pods.pods[ETCD_UID];
    assert_eq!(
        (etcd.namespace.as_str(), etcd.name.as_str()),
        ("kube-system", "etcd-controlplane")
    );
    assert_eq!(etcd.containers, [("etcd".to_owned(), Some(ETCD_ID.to_owned()))]);
    let container = &files.pods.containers[ETCD_ID];
    assert_eq!(
        (
            container.pod_uid.as_str(),
            container.name.as_str(),
            container.ended
        ),
        (ETCD_UID, "etcd", false)
    );
}

#[test]
fn the_kubelets_hosts_file_gives_the_address() {
    let cases: &[(&str, String, Option<bool>, &[&str])] = &[
        (
            "a pod's own address",
            hosts("10.244.0.7"),
            Some(false),
            &["10.244.0.7"],
        ),
        ("one of IPv6", hosts("fd00::7"), Some(false), &["fd00::7"]),
        (
            "the host's network",
            "# Kubernetes-managed hosts file (host network).\n10.0.0.1 node\n".into(),
            Some(true),
            &[],
        ),
        (
            "a file that is not the kubelet's",
            "10.244.0.7 web\n".into(),
            None,
            &[],
        ),
        ("an address every host has", hosts("127.0.0.9"), Some(false), &[]),
        (
            "nothing that is an address",
            hosts("\u{1b}[31m"),
            Some(false),
            &[],
        ),
        ("nothing", String::new(), None, &[]),
    ];
    for (name, text, host_network, want) in cases {
        let tree = Tree::real();
        tree.file(&format!("var/lib/kubelet/pods/{WEB_UID}/etc-hosts"), text);
        let files = tree.looked();
        let pod = &files.pods.pods[WEB_UID];
        let got: Vec<_> = pod.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            (pod.host_network, got),
            (*host_network, want.iter().map(ToString::to_string).collect()),
            "case: {name}"
        );
        assert_eq!(pod.name, "web-c796d44f6-jdgtf", "case: {name}");
    }
}

#[test]
fn an_address_two_pods_claim_is_nobodys() {
    let tree = Tree::real();
    tree.file(
        &format!("var/lib/kubelet/pods/{WEB_UID}/etc-hosts"),
        hosts("10.244.0.7"),
    );
    tree.file("var/lib/kubelet/pods/liar/etc-hosts", hosts("10.244.0.7"));
    let mut files = tree.looked();
    assert!(files.pods.pods.values().all(|pod| pod.addresses.is_empty()));
    tree.remove("var/lib/kubelet/pods/liar");
    files.look(false);
    assert_eq!(files.pods.pods[WEB_UID].addresses.len(), 1);
}

#[test]
fn a_hosts_file_that_changes_is_read_again() {
    let tree = Tree::real();
    let path = format!("var/lib/kubelet/pods/{WEB_UID}/etc-hosts");
    tree.file(&path, hosts("10.244.0.7"));
    let mut files = tree.looked();
    tree.file(&path, hosts("10.244.0.17"));
    files.look(false);
    assert_eq!(files.pods.pods[WEB_UID].addresses[0].to_string(), "10.244.0.17");
}

#[test]
fn directories_of_other_distributions_count_too() {
    for root in [
        "var/lib/kubelet",
        "var/lib/k0s/kubelet",
        "var/snap/microk8s/common/var/lib/kubelet",
        "srv/kubelet",
    ] {
        let tree = Tree::real();
        tree.file(
            "etc/default/kubelet",
            "KUBELET_EXTRA_ARGS=\"--root-dir=/srv/kubelet\"\n",
        );
        tree.dir(&format!("{root}/pods/{WEB_UID}/containers/sidecar"));
        let files = tree.looked();
        let pod = &files.pods.pods[WEB_UID];
        let names: Vec<_> = pod.containers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["sidecar", "web"], "case: {root}");
        assert!(
            pod.started_unix_ns
                .is_some_and(|born| born > 1_500_000_000_000_000_000),
            "case: {root}"
        );
    }
}

#[test]
fn a_pod_the_kubelet_dropped_is_over_and_then_gone() {
    let tree = Tree::real();
    tree.file(
        &format!("var/lib/kubelet/pods/{WEB_UID}/etc-hosts"),
        hosts("10.244.0.7"),
    );
    let mut files = tree.looked();
    assert!(!files.pods.pods[WEB_UID].ended);
    assert!(
        !files.pods.pods[ETCD_UID].ended,
        "the kubelet's directory was never seen"
    );
    tree.remove(&format!("var/lib/kubelet/pods/{WEB_UID}"));
    for _look in 0..2 {
        files.look(false);
        let pod = &files.pods.pods[WEB_UID];
        assert!(pod.ended && pod.started_unix_ns.is_some());
        assert_eq!(pod.addresses.len(), 1, "its address was its own until now");
    }
    tree.remove(&format!("var/log/pods/default_web-c796d44f6-jdgtf_{WEB_UID}"));
    files.look(false);
    assert!(
        !files.pods.pods.contains_key(WEB_UID),
        "a link that is left over is no pod"
    );
    assert_eq!(files.pods.containers.len(), 7);
}

#[test]
fn of_several_restarts_the_last_may_run() {
    let tree = Tree::real();
    let new = "a".repeat(64);
    tree.link(
        &format!("var/log/containers/etcd-controlplane_kube-system_etcd-{new}.log"),
        &format!("/var/log/pods/kube-system_etcd-controlplane_{ETCD_UID}/etcd/1.log"),
    );
    let files = tree.looked();
    assert_eq!(
        files.pods.pods[ETCD_UID].containers,
        [("etcd".to_owned(), Some(new.clone()))]
    );
    assert!(files.pods.containers[ETCD_ID].ended);
    assert!(!files.pods.containers[&new].ended);
}

#[test]
fn links_alone_name_pods_when_the_directories_are_not_there() {
    let tree = Tree::real();
    tree.remove("var/log/pods");
    let files = tree.looked();
    assert_eq!((files.pods.pods.len(), files.pods.containers.len()), (8, 8));
    assert_eq!(files.pods.pods[ETCD_UID].name, "etcd-controlplane");
}

#[test]
fn a_name_that_lost_its_id_still_names_its_container() {
    let tree = Tree::new();
    let pod = "p".repeat(253);
    let uid = "0".repeat(32);
    tree.link(
        &format!(
            "var/log/containers/{}.log",
            &format!("{pod}_shop_client-0123")[..251]
        ),
        &format!("/var/log/pods/shop_web_{uid}/client/0.log"),
    );
    let files = tree.looked();
    assert_eq!(files.pods.pods[&uid].containers, [("client".to_owned(), None)]);
    assert!(files.pods.containers.is_empty());
}

#[test]
fn a_link_that_contradicts_its_name_says_nothing() {
    let tree = Tree::real();
    let id = "b".repeat(64);
    tree.link(
        &format!("var/log/containers/etcd-controlplane_kube-system_etcd-{id}.log"),
        &format!("/var/log/pods/default_web-c796d44f6-jdgtf_{WEB_UID}/web/7.log"),
    );
    assert!(!tree.looked().pods.containers.contains_key(&id));
}
