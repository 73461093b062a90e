//! What is told: everything once, changes after that.

use super::*;
use crate::{
    resolve::{Resolvers, Told},
    signal::inventory::{Fact, Kind, Origin},
};

/// Listens until `enough`; fails after half a minute.
fn listen(resolvers: &mut Resolvers, heard: &mut Vec<Told>, enough: impl Fn(&[Told]) -> bool) {
    let start = crate::clock::boot_ns();
    while !enough(heard) {
        resolvers.drain(10_000, |told| heard.push(told.clone()));
        assert!(
            crate::clock::boot_ns() - start < 30_000_000_000,
            "heard only {heard:?}"
        );
        std::thread::yield_now();
    }
}

fn start(tree: &Tree) -> Resolvers {
    let mut files = tree.files();
    files.poll = Duration::from_millis(5);
    Resolvers::start(vec![Box::new(files)])
}

fn facts(heard: &[Told]) -> Vec<&Fact> {
    let facts = heard.iter().filter_map(|told| match told {
        Told::Inventory(inventory) => Some(inventory),
        Told::Host(_) | Told::Nat(_) | Told::Source(_) => None,
    });
    facts
        .inspect(|inventory| assert_eq!(inventory.origin, Origin::Files))
        .map(|inventory| &inventory.fact)
        .collect()
}

fn states(heard: &[Told]) -> Vec<(String, bool)> {
    heard
        .iter()
        .filter_map(|told| match told {
            Told::Source(state) => Some((state.source.clone(), state.fault.is_none())),
            Told::Inventory(_) | Told::Host(_) | Told::Nat(_) => None,
        })
        .collect()
}

#[test]
fn the_whole_list_comes_first_in_frames_and_then_changes_only() {
    let tree = Tree::real();
    let mut resolvers = start(&tree);
    let mut heard = Vec::new();
    listen(&mut resolvers, &mut heard, |heard| !states(heard).is_empty());
    assert!(resolvers.are_ready());
    assert_eq!(states(&heard), [("node files".to_owned(), true)]);
    let first = facts(&heard);
    let frames: Vec<_> = first
        .iter()
        .copied()
        .filter(|fact| matches!(fact, Fact::Listing(_) | Fact::Listed(_)))
        .collect();
    let kinds = [Kind::Pods, Kind::Containers, Kind::StaticPods, Kind::ApiServers];
    let want: Vec<_> = kinds
        .iter()
        .flat_map(|kind| [Fact::Listing(*kind), Fact::Listed(*kind)])
        .collect();
    assert_eq!(frames, want.iter().collect::<Vec<_>>());
    assert_eq!(first.len(), 8 + 8 + 8 + 4);

    heard.clear();
    tree.dir("var/log/pods/shop_new_11111111111111111111111111111111/client");
    tree.file(
        "etc/kubernetes/kubelet.conf",
        "clusters: [{cluster: {server: \"https://10.0.0.9:6443\"}}]\n",
    );
    listen(&mut resolvers, &mut heard, |heard| facts(heard).len() >= 2);
    assert!(
        facts(&heard)
            .iter()
            .any(|fact| matches!(fact, Fact::Pod(pod) if pod.name == "new"))
    );
    assert!(
        facts(&heard)
            .iter()
            .any(|fact| matches!(fact, Fact::ApiServer(_)))
    );

    heard.clear();
    tree.remove("var/log/pods/shop_new_11111111111111111111111111111111");
    tree.remove("etc/kubernetes/kubelet.conf");
    tree.remove("etc/kubernetes/manifests/etcd.yaml");
    tree.remove(&format!(
        "var/log/containers/etcd-controlplane_kube-system_etcd-{ETCD_ID}.log"
    ));
    listen(&mut resolvers, &mut heard, |heard| {
        let facts = facts(heard);
        let gone = [
            Fact::PodGone("1".repeat(32)),
            Fact::ApiServerGone("/etc/kubernetes/kubelet.conf".to_owned()),
            Fact::StaticPodGone("kube-system".to_owned(), "etcd".to_owned()),
            Fact::ContainerGone(ETCD_ID.to_owned()),
        ];
        gone.iter().all(|gone| facts.contains(&gone))
    });
    assert!(!facts(&heard).iter().any(|fact| matches!(fact, Fact::Listing(_))));
}

#[test]
fn a_part_that_fails_and_recovers_is_told_once_each() {
    let tree = Tree::real();
    let path = "etc/kubernetes/manifests/broken.yaml";
    tree.file(path, "kind: Pod\nmetadata: [");
    let mut resolvers = start(&tree);
    let mut heard = Vec::new();
    listen(&mut resolvers, &mut heard, |heard| states(heard).len() >= 2);
    tree.remove(path);
    listen(&mut resolvers, &mut heard, |heard| states(heard).len() >= 3);
    let manifests = "node files manifests".to_owned();
    assert_eq!(
        states(&heard),
        [
            ("node files".to_owned(), true),
            (manifests.clone(), false),
            (manifests, true)
        ]
    );
}

#[test]
fn a_node_at_rest_says_nothing_more() {
    let tree = Tree::real();
    let mut files = tree.looked();
    let stamps = files.stamps();
    assert!(stamps.iter().flatten().count() > 5);
    files.look(true);
    assert_eq!(files.stamps(), stamps);
    assert!(!files.settings.is_unsettled());
}
