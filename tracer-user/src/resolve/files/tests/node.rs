//! Static pods, expected API servers, and the node's name.

use super::*;

#[test]
fn static_pods_of_a_real_node_are_read() {
    let tree = Tree::real();
    let pods = tree.looked().settings.static_pods();
    assert_eq!(pods.len(), 4);
    let api = &pods[&("kube-system".to_owned(), "kube-apiserver".to_owned())];
    assert_eq!(api.path, "/etc/kubernetes/manifests/kube-apiserver.yaml");
    assert!(api.host_network);
    assert_eq!(
        api.containers,
        [("kube-apiserver".to_owned(), Some("kube-apiserver".to_owned()))]
    );
    assert!(
        api.labels
            .contains(&("component".to_owned(), "kube-apiserver".to_owned()))
    );
    assert!(
        api.flags
            .iter()
            .any(|flag| flag.starts_with("--etcd-servers=https://")),
        "{:?}",
        api.flags
    );
    assert!(
        api.flags
            .iter()
            .all(|flag| flag.starts_with("--") && flag.contains('='))
    );
    assert!(
        !api.flags.iter().any(|flag| flag.contains("service-account")),
        "{:?}",
        api.flags
    );
}

#[test]
fn manifests_keep_no_secret() {
    let tree = Tree::new();
    tree.file(
        "etc/kubernetes/manifests/a.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: etcd\n    \
         command: [/usr/bin/etcd, --name=n1, --password=hunter2]\n    args: [--initial-cluster-token, hunter2]\n    \
         env: [{name: TOKEN, value: hunter2}]\n  - name: sh\n    command: [sh, -c, \"curl hunter2\"]\n",
    );
    let pods = tree.looked().settings.static_pods();
    let pod = &pods[&("default".to_owned(), "a".to_owned())];
    assert_eq!(pod.flags, ["--name=n1"]);
    assert_eq!(pod.containers[1], ("sh".to_owned(), Some("sh".to_owned())));
    assert!(!pod.host_network);
    assert!(!format!("{pod:?}").contains("hunter2"));
}

#[test]
fn manifests_are_found_where_the_kubelet_looks() {
    let manifest = "kind: Pod\nmetadata: {name: a, namespace: n}\n";
    let cases: &[(&str, &str, &str)] = &[
        ("RKE2", "var/lib/rancher/rke2/agent/pod-manifests/a.yaml", ""),
        ("k3s", "var/lib/rancher/k3s/agent/pod-manifests/a.yaml", ""),
        ("as set", "srv/m/a.yaml", "staticPodPath: /srv/m\n"),
        ("a file as set", "srv/a.yaml", "staticPodPath: /srv/a.yaml\n"),
        ("any ending", "etc/kubernetes/manifests/a.bak", ""),
    ];
    for (name, path, config) in cases {
        let tree = Tree::new();
        tree.file(path, manifest);
        tree.file("var/lib/kubelet/config.yaml", config);
        let pods = tree.looked().settings.static_pods();
        assert_eq!(pods.len(), 1, "case: {name}");
        assert_eq!(
            pods.values().next().unwrap().path,
            format!("/{path}"),
            "case: {name}"
        );
    }
}

#[test]
fn kubeconfig_files_say_where_the_api_server_is() {
    let tree = Tree::real();
    tree.file(
        "etc/hosts",
        "127.0.0.1 localhost\n10.0.0.9 api.example cluster # api\n",
    );
    let text =
        |server: &str| format!("kind: Config\nclusters:\n- name: c\n  cluster: {{server: \"{server}\"}}\n");
    tree.file("etc/kubernetes/kubelet.conf", text("https://10.0.0.9:6443"));
    tree.file("etc/kubernetes/scheduler.conf", text("https://api.example:6443"));
    let files = tree.looked();
    let servers = files.settings.api_servers(&files.host);
    assert_eq!(servers.len(), 2);
    let address = "10.0.0.9".parse().unwrap();
    assert_eq!(
        servers["/etc/kubernetes/kubelet.conf"].servers,
        [("10.0.0.9".to_owned(), 6443, vec![address])]
    );
    assert_eq!(
        servers["/etc/kubernetes/scheduler.conf"].servers,
        [("api.example".to_owned(), 6443, vec![address])]
    );
}

#[test]
fn the_nodes_name_is_the_one_it_registers() {
    let tree = Tree::new();
    assert_eq!(node_name(&tree.0), None);
    tree.file("etc/hostname", "# set by hand\nControlPlane\n");
    assert_eq!(node_name(&tree.0).as_deref(), Some("controlplane"));
    tree.file(
        "etc/rancher/k3s/config.yaml",
        "token: hunter2\nnode-name: Edge-1\n",
    );
    assert_eq!(node_name(&tree.0).as_deref(), Some("edge-1"));
    tree.file(
        "var/lib/kubelet/kubeadm-flags.env",
        "KUBELET_KUBEADM_ARGS=\"--hostname-override=N1.example\"\n",
    );
    assert_eq!(node_name(&tree.0).as_deref(), Some("n1.example"));
    assert_eq!(node_name(&tree.path("nowhere")), None);
}

#[test]
fn a_flag_of_the_kubelet_wins_over_its_file_of_settings() {
    let tree = Tree::new();
    tree.file(
        "var/lib/kubelet/config.yaml",
        "containerRuntimeEndpoint: unix:///b.sock\nport: 1\n",
    );
    tree.file(
        "var/lib/kubelet/kubeadm-flags.env",
        "A=\"--container-runtime-endpoint=unix:///a.sock\"\n",
    );
    let kubelet = kubelet(&tree.0);
    assert_eq!(
        kubelet.container_runtime_endpoint.as_deref(),
        Some("unix:///a.sock")
    );
    assert_eq!(kubelet.port, Some(1));
}
