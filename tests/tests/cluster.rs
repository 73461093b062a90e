//! The cluster of real pods is what it says, by the kernel's own tables and by what its processes have counted.

#![cfg(test)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tests::cluster::services::{API, WEB};
use tests::cluster::{CLIENT_TO_WEB, Cluster};
use tests::containerd::Pod;
use tests::needs_cluster;
use tests::netns::Netns;
use tests::scenario::APISERVER_TO_ETCD;
use tests::wait::{patience, until_true};
use tests::witness::{self, ESTABLISHED};

/// Set in a test's own child process, which is killed.
const VICTIM: &str = "KCN_TESTS_VICTIM";

#[test]
#[ignore = "needs root"]
fn every_pod_has_its_cgroup_its_network_and_its_name() {
    if !needs_cluster![] {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    let node = fs::metadata(cluster.node().path()).unwrap().ino();
    let subnet = cluster.containerd().subnet();
    let mut namespaces = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for (key, pod) in cluster.pods() {
        let pid = pod.pid().unwrap();
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let cgroups = fs::read_to_string(proc.join("cgroup")).unwrap();
        let own = format!("0::{}", pod.cgroup);
        assert!(cgroups.lines().any(|line| line == own), "{key}: {cgroups}");
        let below = format!("/kubepods/burstable/pod{}/{}", pod.spec.uid, pod.container);
        assert!(pod.cgroup.ends_with(&below), "{key}: {}", pod.cgroup);

        let netns = fs::metadata(proc.join("ns/net")).unwrap().ino();
        assert_eq!(netns == node, pod.spec.host_network, "{key}");
        if let Some(address) = pod.address {
            assert!(
                address.to_string().starts_with(&format!("10.244.{subnet}.")),
                "{key}: {address}"
            );
            assert!(namespaces.insert(netns) && addresses.insert(address), "{key}");
        }
        let executable = fs::read_link(proc.join("exe")).unwrap();
        let name = &pod.spec.container.name;
        assert_eq!(executable, Path::new("/usr/local/bin").join(name), "{key}");
    }
    assert_eq!(addresses.len(), 4, "{addresses:?}");
}

#[test]
#[ignore = "needs root"]
fn the_client_reaches_both_web_pods_through_the_address_of_their_service() {
    if !needs_cluster![] {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    let web = cluster.address("web-0", 8080).unwrap().parse().unwrap();
    // What the client's sockets say of the other end, and what those of the web pods say.
    let mut expected = vec![WEB; CLIENT_TO_WEB];
    expected.push(web);
    expected.sort();
    assert_eq!(remotes(cluster.pod("client").unwrap()), expected);
    let client = cluster.pod("client").unwrap().address.unwrap();
    let clients = ["web-0", "web-1"].map(|key| remotes(cluster.pod(key).unwrap()));
    let clients = clients.iter().flatten().filter(|remote| remote.ip() == client);
    assert_eq!(clients.count(), CLIENT_TO_WEB + 1);

    // 64 throws of a coin are not all the same.
    let before = ["web-0", "web-1"].map(|key| cluster.orders(key).unwrap().count("accepted").unwrap());
    cluster
        .orders("client")
        .unwrap()
        .dial_close(&WEB.to_string(), 64)
        .unwrap();
    let total: u64 = before.iter().sum::<u64>() + 64;
    until_true("all were accepted", patience(), || {
        let now = cluster.orders("web-0")?.count("accepted")? + cluster.orders("web-1")?.count("accepted")?;
        Ok(now == total)
    })
    .unwrap();
    for (key, before) in ["web-0", "web-1"].into_iter().zip(before) {
        assert!(
            cluster.orders(key).unwrap().count("accepted").unwrap() > before,
            "{key}"
        );
    }
}

#[test]
#[ignore = "needs root"]
fn addresses_are_translated_on_the_node_for_pods_for_the_node_and_for_the_world() {
    if !needs_cluster![] {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    // coredns has dialled the API server's service, and is that server's only client from a pod.
    assert_eq!(remotes(cluster.pod("coredns").unwrap()), [API]);
    let dns = cluster.pod("coredns").unwrap().address.unwrap();
    let seen = established(cluster.node(), |socket| socket.local.port() == 6443);
    assert_eq!(
        seen.iter().filter(|socket| socket.remote.ip() == dns).count(),
        1,
        "{seen:?}"
    );

    // A process of the node gets through as well, as one of its addresses.
    let accepted = web_accepted(&mut cluster);
    cluster.kubelet().dial_close(&WEB.to_string(), 3).unwrap();
    // And a visitor through the node's port: the pods do not see who it is.
    let world = "192.168.59.1:0".parse::<SocketAddr>().unwrap().ip();
    cluster.visitor().dial("192.168.59.150:30080", 3).unwrap();
    until_true("all were accepted", patience(), || {
        Ok(web_accepted(&mut cluster) == accepted + 6)
    })
    .unwrap();
    for key in ["web-0", "web-1"] {
        let seen = remotes(cluster.pod(key).unwrap());
        assert!(seen.iter().all(|remote| remote.ip() != world), "{key}: {seen:?}");
    }
}

#[test]
#[ignore = "needs root"]
fn pods_and_their_connections_outlive_containerd() {
    if !needs_cluster![] {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    let before: Vec<_> = cluster.pods().values().map(|pod| pod.pid().unwrap()).collect();
    let first = cluster.containerd().pid().unwrap();
    cluster.visit_every(5).unwrap();
    cluster.containerd().stop().unwrap();
    assert!(cluster.containerd().cri().is_err(), "containerd still answers");
    let visits = cluster.orders("client").unwrap().count("beats").unwrap();
    cluster
        .orders("client")
        .unwrap()
        .wait_count("beats", visits + 10)
        .unwrap();
    cluster.containerd().resume().unwrap();
    cluster.rest().unwrap();
    assert_ne!(cluster.containerd().pid().unwrap(), first);
    let after: Vec<_> = cluster.pods().values().map(|pod| pod.pid().unwrap()).collect();
    assert_eq!(after, before);
    assert_eq!(remotes(cluster.pod("client").unwrap()).len(), CLIENT_TO_WEB + 1);

    assert_eq!(cluster.orders("client").unwrap().count("missed").unwrap(), 0);

    // The new one knows the pods of the old: it can end one, and use its address again.
    let client = cluster.take("client").unwrap();
    let (spec, address) = (client.spec.clone(), client.address);
    client.remove(cluster.containerd()).unwrap();
    let again = cluster.containerd().run(spec).unwrap();
    assert_ne!(again.address, address, "addresses are given out in turn");
    assert!(again.pid().unwrap() > 0);
}

#[test]
#[ignore = "needs root"]
fn the_api_server_can_go_away_and_return() {
    if !needs_cluster![] {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    let to_etcd = |cluster: &Cluster| {
        let etcd = established(cluster.node(), |socket| socket.remote.port() == 2379);
        u64::try_from(etcd.len()).unwrap()
    };
    // Two are etcd's own.
    assert_eq!(to_etcd(&cluster), APISERVER_TO_ETCD + 2);
    let first = cluster.pod("kube-apiserver").unwrap().container.clone();
    cluster.stop_apiserver().unwrap();
    until_true("its connections are gone", patience(), || {
        Ok(to_etcd(&cluster) == 2)
    })
    .unwrap();
    cluster.resume_apiserver().unwrap();
    let apiserver = cluster.pod("kube-apiserver").unwrap();
    assert_ne!(apiserver.container, first);
    assert!(apiserver.pid().unwrap() > 0);
    assert_eq!(to_etcd(&cluster), APISERVER_TO_ETCD + 2);
}

#[test]
#[ignore = "needs root"]
fn objects_and_files_are_those_of_the_pods() {
    if !needs_cluster![] {
        return;
    }
    let cluster = Cluster::listening().unwrap();
    let read = |file: &str| -> Vec<Value> {
        let text = fs::read_to_string(cluster.objects().join(file)).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        list["items"].as_array().unwrap().clone()
    };
    let pods = read("pods.json");
    assert_eq!(pods.len(), cluster.pods().len());
    for (key, pod) in cluster.pods() {
        let listed = pods
            .iter()
            .find(|listed| listed["metadata"]["name"] == pod.spec.name.as_str());
        let listed = listed.unwrap_or_else(|| panic!("{key} is not listed"));
        let id = format!("containerd://{}", pod.container);
        assert_eq!(
            listed["status"]["containerStatuses"][0]["containerID"],
            id.as_str(),
            "{key}"
        );
        let address = cluster.address(key, 1).unwrap();
        assert_eq!(listed["status"]["podIP"], address.trim_end_matches(":1"), "{key}");
        // A mirror pod has a uid of its own; the node's is in an annotation.
        let hash = &listed["metadata"]["annotations"]["kubernetes.io/config.hash"];
        let uid = &listed["metadata"]["uid"];
        assert_eq!(
            hash.as_str().or(uid.as_str()),
            Some(pod.spec.uid.as_str()),
            "{key}"
        );

        let (namespace, name, uid) = (&pod.spec.namespace, &pod.spec.name, &pod.spec.uid);
        let host = cluster.host_root();
        let container = &pod.spec.container.name;
        assert!(
            host.join(format!("var/log/pods/{namespace}_{name}_{uid}/{container}/0.log"))
                .is_file(),
            "{key}"
        );
        let link = format!(
            "var/log/containers/{name}_{namespace}_{container}-{}.log",
            pod.container
        );
        assert!(host.join(link).is_symlink(), "{key}");
    }
    let slices = read("endpointslices.json");
    let web = slices
        .iter()
        .find(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "web");
    let web: BTreeSet<_> = web.unwrap()["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["addresses"][0].as_str().unwrap())
        .collect();
    let own = ["web-0", "web-1"].map(|key| cluster.pod(key).unwrap().address.unwrap().to_string());
    assert_eq!(web, own.iter().map(String::as_str).collect());
    for manifest in [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ] {
        assert!(
            cluster
                .host_root()
                .join(format!("etc/kubernetes/manifests/{manifest}.yaml"))
                .is_file(),
            "{manifest}"
        );
    }
}

#[test]
#[ignore = "needs root"]
fn two_clusters_run_beside_each_other() {
    if !needs_cluster![] {
        return;
    }
    let (mut one, mut other) = (Cluster::start().unwrap(), Cluster::start().unwrap());
    assert_ne!(one.containerd().subnet(), other.containerd().subnet());
    let before = web_accepted(&mut other);
    one.orders("client")
        .unwrap()
        .dial_close(&WEB.to_string(), 8)
        .unwrap();
    drop(one);
    assert_eq!(web_accepted(&mut other), before);
    other
        .orders("client")
        .unwrap()
        .dial_close(&WEB.to_string(), 8)
        .unwrap();
}

#[test]
#[ignore = "needs root"]
fn a_killed_test_leaves_no_process_no_cgroup_and_no_directory() {
    if !needs_cluster![] {
        return;
    }
    if std::env::var_os(VICTIM).is_some() {
        let cluster = Cluster::start().unwrap();
        let pids = cluster.pods().values().map(|pod| pod.pid().unwrap().to_string());
        let pids: Vec<_> = pids.collect();
        let lab = cluster.host_root();
        println!("\nvictim {} {}", lab.parent().unwrap().display(), pids.join(" "));
        // Until it is killed.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--include-ignored", "--nocapture"])
        .arg("a_killed_test_leaves_no_process_no_cgroup_and_no_directory")
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let line = lines
        .find_map(|line| line.unwrap().strip_prefix("victim ").map(str::to_owned))
        .expect("the victim has no cluster");
    let mut words = line.split(' ');
    let lab = PathBuf::from(words.next().unwrap());
    let name = lab.file_name().unwrap();
    let pods: Vec<_> = words.map(|pid| Path::new("/proc").join(pid)).collect();
    assert!(
        pods.len() > 8 && pods.iter().all(|pod| pod.exists()) && lab.exists(),
        "{line}"
    );
    let cgroups = || {
        let all = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
        all.filter(|hierarchy| hierarchy.path().join(name).exists())
            .count()
    };
    assert!(cgroups() > 0 || Path::new("/sys/fs/cgroup").join(name).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    until_true("all is gone", patience(), || {
        let alone = !Path::new("/sys/fs/cgroup").join(name).exists();
        Ok(!lab.exists() && alone && cgroups() == 0 && pods.iter().all(|pod| !pod.exists()))
    })
    .unwrap();
}

/// Connections that the web pods have accepted.
fn web_accepted(cluster: &mut Cluster) -> u64 {
    ["web-0", "web-1"]
        .map(|key| cluster.orders(key).unwrap().count("accepted").unwrap())
        .iter()
        .sum()
}

/// The other ends of a pod's connections by its own sockets, sorted.
fn remotes(pod: &Pod) -> Vec<SocketAddr> {
    let netns = Netns::of_process(pod.pid().unwrap()).unwrap();
    let mut remotes: Vec<_> = established(&netns, |_| true)
        .iter()
        .map(|socket| socket.remote)
        .collect();
    remotes.sort();
    remotes
}

fn established(netns: &Netns, which: impl Fn(&witness::Socket) -> bool) -> Vec<witness::Socket> {
    let mut sockets = witness::sockets(netns).unwrap();
    sockets.retain(|socket| socket.state == ESTABLISHED && which(socket));
    sockets
}
