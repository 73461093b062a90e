//! Paths of every runtime and distribution, those of a real node, and paths made of parts.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::event::CgroupEvent;

type Sample = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// Name, path, pod, container, runtime; `-` for none, `?` for a runtime that the path does not tell. From the tests of
/// coroot and beyla and the documents of Talos; the ids are theirs.
#[rustfmt::skip]
const SAMPLES: &[Sample] = &[
    ("1 static pod", "/kubepods/burstable/pod9729a196c4723b60ab401eaff722982d/d166c6190614efc91956b78e96d74c3fbc96ca8e91948c36de3bc5b0e7b27d48", "9729a196c4723b60ab401eaff722982d", "d166c6190614", "?"),
    ("2 a child of the container", "/kubepods/besteffort/pod0d08203e-255a-11e9-8cd9-0007cb0b2cc8/671a50f5d60566556912f61511d0ec9e4d5c78d53fbc4676727180438bbbbc55/kube-proxy", "0d08203e-255a-11e9-8cd9-0007cb0b2cc8", "671a50f5d605", "?"),
    ("3 guaranteed", "/kubepods/poda38c12e8-255a-11e9-8cd9-0007cb0b2cc8/32c562ed81a2622b37b80cb216859820ba51bd694f60ee4cf10d07a4011266f8", "a38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "32c562ed81a2", "?"),
    ("4 CRI-O, cgroupfs", "/kubepods/poda48c12e8-255a-11e9-8cd9-0007cb0b2cc8/crio-63425c4a8b4291744a79dd9011fddc7a1f8ffda61f65d72196aa01d00cae2e2e", "a48c12e8-255a-11e9-8cd9-0007cb0b2cc8", "63425c4a8b42", "cri-o"),
    ("5 CRI-O, systemd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2942c55e_c9cb_428a_93f4_eaf89c1f3ce0.slice/crio-49f9e8e5395d57c1083996c09e2e6f042d5fe1ec0310facab32f94912b35ce59.scope", "2942c55e-c9cb-428a-93f4-eaf89c1f3ce0", "49f9e8e5395d", "cri-o"),
    ("7 containerd without .scope", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod3e61c214bc3ed9ff81e21474dd6cba17.slice/cri-containerd-c74b0f5062f0bc726cae1e9369ad4a95deed6b298d247f0407475adb23fa3190", "3e61c214bc3ed9ff81e21474dd6cba17", "c74b0f5062f0", "containerd"),
    ("9 docker, systemd", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod8712f785_1a3e_41ec_a00b_e2dcc77431cb.slice/docker-73051af271105c07e1f493b34856a77e665e3b0b4fc72f76c807dfbffeb881bd.scope", "8712f785-1a3e-41ec-a00b-e2dcc77431cb", "73051af27110", "docker"),
    ("10 GKE", "/kubepods/burstable/pod4a163a05-439d-484b-8e53-2968bc15824f/cde6dfaf5007ed65aad2d6aed72af91b0f3d95813492f773286e29ae145d20f4", "4a163a05-439d-484b-8e53-2968bc15824f", "cde6dfaf5007", "?"),
    ("11 GKE static pod", "/kubepods/burstable/podb53dfa9e2dc9b890f7fadb2770857b03/bb959773d06ad1a07d469bced637bbc49b6f8573c493fd0548d7f5810eb3e5a8", "b53dfa9e2dc9b890f7fadb2770857b03", "bb959773d06a", "?"),
    ("12 EKS", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poddde1244b_5bb5_4297_b544_85f3bc0d80bf.slice/cri-containerd-acb62391578595ec849d87d8556369cee7f935f0425097fd5f870df0e8aabd3c.scope", "dde1244b-5bb5-4297-b544-85f3bc0d80bf", "acb623915785", "containerd"),
    ("15 static pod, systemd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7260904bbd08e72e4dff95d9fccd2ee8.slice/cri-containerd-d36686f9785534531160dc936aec9d711a26eb37f4fc7752a2ae27d0a24345c1.scope", "7260904bbd08e72e4dff95d9fccd2ee8", "d36686f97855", "containerd"),
    ("17 a sibling seen from a private namespace", "/../cri-containerd-0f76e495864f2ec6f05be687d1375e2754b1ffc6265b4f7fae497aad46952205.scope", "-", "0f76e495864f", "containerd"),
    ("a pod seen from a private namespace", "/../../pod4a163a05-439d-484b-8e53-2968bc15824f/cde6dfaf5007ed65aad2d6aed72af91b0f3d95813492f773286e29ae145d20f4", "4a163a05-439d-484b-8e53-2968bc15824f", "cde6dfaf5007", "?"),
    ("18 docker alone", "/docker/b43d92bf1e5c6f78bb9b7bc6f40721280299855ba692092716e3a1b6c0b86f3f", "-", "b43d92bf1e5c", "docker"),
    ("19 docker alone, systemd", "/system.slice/docker-cf87ba651579c9231db817909e7865e5747bd7abcac0c57ce23cf4abbaee046b.scope", "-", "cf87ba651579", "docker"),
    ("22 containerd alone", "/system.slice/cri-containerd-69e8ded3c33c9d5e2b93acd74787b17a8629f74d6707bc5bb9b2e095337d0263.scope", "-", "69e8ded3c33c", "containerd"),
    ("ctr in namespace k8s.io", "/k8s.io/69e8ded3c33c9d5e2b93acd74787b17a8629f74d6707bc5bb9b2e095337d0263", "-", "69e8ded3c33c", "containerd"),
    ("rootless podman with crun", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-69e8ded3c33c9d5e2b93acd74787b17a8629f74d6707bc5bb9b2e095337d0263.scope/container", "-", "69e8ded3c33c", "podman"),
    ("podman in a pod of its own", "/machine.slice/machine-libpod_pod_73051af271105c07e1f493b34856a77e665e3b0b4fc72f76c807dfbffeb881bd.slice/libpod-69e8ded3c33c9d5e2b93acd74787b17a8629f74d6707bc5bb9b2e095337d0263.scope", "-", "69e8ded3c33c", "podman"),
    ("a request taken literally", "/system.slice/containerd.service/kubepods-burstable-pod2942c55e_c9cb_428a_93f4_eaf89c1f3ce0.slice:cri-containerd:acb62391578595ec849d87d8556369cee7f935f0425097fd5f870df0e8aabd3c", "2942c55e-c9cb-428a-93f4-eaf89c1f3ce0", "acb623915785", "containerd"),
    ("systemd inside the container", "/kubepods/poda38c12e8-255a-11e9-8cd9-0007cb0b2cc8/32c562ed81a2622b37b80cb216859820ba51bd694f60ee4cf10d07a4011266f8/system.slice/nginx.service", "a38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "32c562ed81a2", "?"),
    ("docker inside the container", "/kubepods/poda38c12e8-255a-11e9-8cd9-0007cb0b2cc8/32c562ed81a2622b37b80cb216859820ba51bd694f60ee4cf10d07a4011266f8/docker/b43d92bf1e5c6f78bb9b7bc6f40721280299855ba692092716e3a1b6c0b86f3f", "a38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "32c562ed81a2", "?"),
    ("a runtime nobody heard of", "/kubepods/poda38c12e8-255a-11e9-8cd9-0007cb0b2cc8/newrt-32c562ed81a2622b37b80cb216859820ba51bd694f60ee4cf10d07a4011266f8", "a38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "32c562ed81a2", "?"),
    ("the pod's own cgroup", "/kubepods/poda38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "a38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "-", "-"),
    ("a uid that a manifest sets", "/kubepods/burstable/podmy-own.uid/32c562ed81a2622b37b80cb216859820ba51bd694f60ee4cf10d07a4011266f8", "my-own.uid", "32c562ed81a2", "?"),
    ("the same, systemd", "/kubepods.slice/kubepods-podmy_uid.slice/crio-49f9e8e5395d57c1083996c09e2e6f042d5fe1ec0310facab32f94912b35ce59.scope", "my-uid", "49f9e8e5395d", "cri-o"),
    ("a directory that only begins like a pod", "/burstable/podracer/x", "-", "-", "-"),
    ("pod as a service's name", "/system.slice/podman.service", "-", "-", "-"),
    ("kubepods in somebody's name", "/system.slice/my-kubepods-tool.service", "-", "-", "-"),
    ("32 LXC", "/lxc.payload.first", "-", "-", "-"),
    ("a path without the leading slash", "kubepods/poda38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "a38c12e8-255a-11e9-8cd9-0007cb0b2cc8", "-", "-"),
    ("the root", "/", "-", "-", "-"),
    ("nothing", "", "-", "-", "-"),
];

#[test]
fn every_sample_gives_pod_container_and_runtime() {
    for (name, path, pod, container, runtime) in SAMPLES {
        let place = parse(path);
        let uid = place.pod().map_or("-", |pod| &pod.uid);
        let found = place.container();
        let id = found.map_or("-", |container| &container.id[..12]);
        let by = found.map_or("-", |container| container.runtime.unwrap_or("?"));
        assert_eq!((uid, id, by), (*pod, *container, *runtime), "case: {name}");
        assert_eq!(place.relative, path.contains(".."), "case: {name}");
        assert!(!place.is_conmon() && place.node.is_none(), "case: {name}");
    }
}

#[rustfmt::skip]
const UNITS: &[(&str, &str, Option<&str>)] = &[
    ("23 Bottlerocket", "/runtime.slice/kubelet.service", Some("kubelet.service")),
    ("24 podruntime as a slice", "/podruntime.slice/kubelet.service", Some("kubelet.service")),
    ("25 Talos", "/podruntime/kubelet", Some("podruntime/kubelet")),
    ("26 Talos' etcd", "/podruntime/etcd", Some("podruntime/etcd")),
    ("27 Talos' containerd", "/podruntime/runtime", Some("podruntime/runtime")),
    ("28 Talos' dashboard", "/system/dashboard", Some("system/dashboard")),
    ("Talos' API", "/system/apid", Some("system/apid")),
    ("29 Talos' machined", "/init", Some("init")),
    ("30 containerd and its shims", "/system.slice/containerd.service", Some("containerd.service")),
    ("31 a slice of Azure's", "/azure.slice/walinuxagent.service", Some("walinuxagent.service")),
    ("a snap", "/system.slice/snap.microk8s.daemon-kubelite.service", Some("snap.microk8s.daemon-kubelite.service")),
    ("an instance", "/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
    ("systemd itself", "/init.scope", Some("init.scope")),
    ("a user's systemd", "/user.slice/user-1000.slice/user@1000.service/init.scope", Some("user@1000.service")),
    ("a user's service", "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", Some("x.service")),
    ("a login", "/user.slice/user-1000.slice/session-12.scope", None),
    ("a service with cgroups of its own", "/system.slice/docker.service/payload", Some("docker.service")),
    ("podman split below its unit", "/system.slice/web.service/libpod-payload-69e8ded3c33c9d5e2b93acd74787b17a8629f74d6707bc5bb9b2e095337d0263", Some("web.service")),
    ("docker is not its scope", "/system.slice/docker-cf87ba651579c9231db817909e7865e5747bd7abcac0c57ce23cf4abbaee046b.scope", None),
    ("a unit inside a bare container", "/docker/cf87ba651579c9231db817909e7865e5747bd7abcac0c57ce23cf4abbaee046b/system.slice/ssh.service", Some("ssh.service")),
    ("OpenRC", "/openrc/k3s", Some("openrc/k3s")),
    ("a slice alone", "/system.slice", None),
    ("only a suffix", "/.service", None),
    ("init with children is not Talos'", "/init/x", None),
    ("the pod has no unit", "/system.slice/containerd.service/kubepods-pod3e61c214bc3ed9ff81e21474dd6cba17.slice:cri-containerd:c74b0f5062f0bc726cae1e9369ad4a95deed6b298d247f0407475adb23fa3190", None),
];

#[test]
fn host_processes_have_the_unit_they_run_in() {
    for (name, path, unit) in UNITS {
        assert_eq!(parse(path).unit.as_deref(), *unit, "case: {name}");
    }
}

#[test]
fn a_login_session_is_told_with_its_user() {
    let place = parse("/user.slice/user-1000.slice/session-c2.scope");
    assert_eq!(
        (place.session.as_deref(), place.user),
        (Some("session-c2.scope"), Some(1000))
    );
    let place = parse("/user.slice/user-x.slice/user@1000.service/app.slice/vte-spawn-1.scope");
    assert_eq!((place.session, place.user), (None, None));
}

const OUTER: &str = "32c562ed81a2622b37b80cb216859820ba51bd694f60ee4cf10d07a4011266f8";
const INNER: &str = "cde6dfaf5007ed65aad2d6aed72af91b0f3d95813492f773286e29ae145d20f4";
const UID: &str = "a38c12e8-255a-11e9-8cd9-0007cb0b2cc8";
const UID_INNER: &str = "4a163a05-439d-484b-8e53-2968bc15824f";

#[test]
fn the_container_around_a_kubelet_is_a_node() {
    let escaped = UID.replace('-', "_");
    let cases = [
        (
            "kind, cgroupfs",
            format!("/docker/{OUTER}/kubelet/kubepods/burstable/pod{UID}/{INNER}"),
            true,
        ),
        (
            "kind, systemd",
            format!(
                "/system.slice/docker-{OUTER}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/\
                 kubelet-kubepods-burstable-pod{escaped}.slice/cri-containerd-{INNER}.scope"
            ),
            true,
        ),
        (
            "minikube",
            format!("/docker/{OUTER}/kubepods/burstable/pod{UID}/{INNER}"),
            true,
        ),
        (
            "the node's kubelet",
            format!("/docker/{OUTER}/kubelet.slice/kubelet.service"),
            false,
        ),
    ];
    for (name, path, in_pod) in cases {
        let place = parse(&path);
        assert_eq!(
            place.node.as_ref().map(|node| node.id.as_str()),
            Some(OUTER),
            "case: {name}"
        );
        assert_eq!(
            place.container().map(|found| found.id.as_str()),
            in_pod.then_some(INNER),
            "case: {name}"
        );
        assert_eq!(
            place.pod().map(|pod| pod.uid.as_str()),
            in_pod.then_some(UID),
            "case: {name}"
        );
    }
    let kubelet = parse(&format!("/docker/{OUTER}/kubelet.slice/kubelet.service"));
    assert_eq!(kubelet.unit.as_deref(), Some("kubelet.service"));
}

#[test]
fn of_pods_in_pods_the_outermost_known_is_chosen() {
    let place = parse(&format!(
        "/kubepods/burstable/pod{UID}/{OUTER}/kubelet/kubepods/besteffort/pod{UID_INNER}/{INNER}"
    ));
    let uids: Vec<&str> = place.pods.iter().map(|pod| pod.uid.as_str()).collect();
    assert_eq!(uids, [UID, UID_INNER]);
    let container = |known: &str| {
        let pod = place.pod_known(|uid| uid == known).unwrap();
        pod.container.as_ref().unwrap().id.clone()
    };
    assert_eq!(container(UID), OUTER);
    assert_eq!(container(UID_INNER), INNER, "the inner cluster's own node looks");
    assert_eq!(container("nobody"), OUTER);
    assert_eq!(place.pods[1].qos, Some(Qos::BestEffort));
}

/// A table of a node whose first process is at `first`, with these directories.
fn node(first: &str, directories: &[&str]) -> CgroupTable {
    let mut table = CgroupTable::default();
    table.first_process(first);
    for (id, path) in (1..).zip(directories) {
        table.found(id, path);
    }
    table
}

#[test]
fn a_cgroup_that_a_container_made_below_its_own_is_the_containers() {
    let own = format!("/kubepods/burstable/pod{UID}/{OUTER}");
    let slices = format!(
        "/kubepods.slice/kubepods-pod{}.slice/cri-containerd-{OUTER}.scope",
        UID.replace('-', "_")
    );
    let inner = format!("kubepods-pod{}.slice", UID_INNER.replace('-', "_"));
    let cases = [
        (
            "as cgroupfs has it",
            format!("{own}/kubepods/pod{UID_INNER}/{INNER}"),
        ),
        (
            "of another class",
            format!("{own}/kubepods/besteffort/pod{UID_INNER}/{INNER}"),
        ),
        ("without kubepods", format!("{own}/pod{UID_INNER}/{INNER}")),
        (
            "as systemd has it",
            format!("{slices}/kubepods.slice/{inner}/crio-{INNER}.scope"),
        ),
        ("another container", format!("{own}/{INNER}")),
        (
            "a kubelet's",
            format!("{own}/kubelet/kubepods/pod{UID_INNER}/{INNER}"),
        ),
        (
            "conmon",
            format!("{own}/kubepods/pod{UID_INNER}/crio-conmon-{INNER}"),
        ),
        (
            "a session",
            format!("{own}/user.slice/user-0.slice/session-1.scope/pod{UID_INNER}/{INNER}"),
        ),
    ];
    for (case, path) in cases {
        let mut table = node("/init.scope", &[&own]);
        for path in [&path, &format!("{path}/deeper")] {
            let place = table.place(path);
            let pod = place.pod_known(|uid| uid == UID_INNER).unwrap();
            assert_eq!((pod.uid.as_str(), place.pods.len()), (UID, 1), "case: {case}");
            assert_eq!(pod.container.as_ref().unwrap().id, OUTER, "case: {case}");
            assert_eq!((place.user, place.is_conmon()), (None, false), "case: {case}");
        }
    }
}

#[test]
fn a_node_that_is_a_container_has_the_pods_below_it_and_no_others() {
    let inner = format!("kubelet/kubepods/burstable/pod{UID_INNER}/{INNER}");
    let heads = [
        ("kind", format!("/docker/{OUTER}")),
        ("in a pod", format!("/kubepods/pod{UID}/{OUTER}")),
        ("in a scope", format!("/system.slice/docker-{OUTER}.scope")),
    ];
    for (case, head) in heads {
        let mut table = node(&format!("{head}/init.scope"), &[]);
        let uid = |place: &CgroupPlace| place.pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>();
        assert_eq!(
            uid(&table.place(&format!("{head}/{inner}"))),
            [UID_INNER],
            "case: {case}"
        );
        assert_eq!(
            uid(&table.place(&format!("/{inner}"))),
            [UID_INNER],
            "case: {case}, from inside"
        );
        let forged = format!("{head}/{inner}/kubepods/pod{UID}/{OUTER}");
        assert_eq!(uid(&table.place(&forged)), [UID_INNER], "case: {case}, forged");
    }
}

#[test]
fn where_the_kubelet_has_pods_of_its_own_nobody_else_can_make_one() {
    let own = format!("/kubepods/burstable/pod{UID}/{OUTER}");
    let user = "/user.slice/user-1000.slice/user@1000.service";
    let forged = format!("kubepods/burstable/pod{UID_INNER}/{INNER}");
    let cases = [
        ("a user", format!("{user}/{forged}"), None),
        ("a unit", format!("/system.slice/batch.service/{forged}"), None),
        ("a container", format!("/docker/{OUTER}/{forged}"), Some(OUTER)),
        (
            "a node in a container",
            format!("/docker/{OUTER}/kubelet/{forged}"),
            Some(OUTER),
        ),
    ];
    for (case, path, container) in cases {
        let pod = |table: &mut CgroupTable| table.place(&path).pod().map(|pod| pod.uid.clone());
        let mut table = node("/init.scope", &[]);
        assert_eq!(
            pod(&mut table).as_deref(),
            Some(UID_INNER),
            "case: {case}: rootless, kind"
        );
        table.found(7, &own);
        assert_eq!(pod(&mut table), None, "case: {case}");
        let place = table.place(&path);
        assert_eq!(
            place.container().map(|found| found.id.as_str()),
            container,
            "case: {case}"
        );
    }
    let mut table = node("/", &[&own]);
    let place = table.place(&format!("{user}/{forged}"));
    assert_eq!(
        (place.user, place.unit.as_deref()),
        (Some(1000), Some("user@1000.service"))
    );
}

#[test]
fn a_path_without_its_head_does_not_make_a_pod_of_what_a_container_made() {
    let mut table = CgroupTable::default();
    let relative = format!("/../{OUTER}/kubepods/pod{UID_INNER}/{INNER}");
    let place = table.place(&relative);
    assert_eq!((place.pod(), &place.container().unwrap().id[..]), (None, OUTER));
    table.found(5, &format!("/kubepods/pod{UID}/{OUTER}"));
    let place = table
        .place_of(5, 9, Some(&format!("/../pod{UID_INNER}/{INNER}")))
        .unwrap();
    assert_eq!(place.pod().unwrap().uid, UID, "the whole path counts");
}

#[test]
fn conmon_is_never_of_the_pod_it_sits_in() {
    let slice = format!("kubepods-burstable-pod{}.slice", UID.replace('-', "_"));
    let cases = [
        (
            "in the pod's slice",
            format!("/kubepods.slice/kubepods-burstable.slice/{slice}/crio-conmon-{INNER}.scope"),
        ),
        (
            "cgroupfs",
            format!("/kubepods/burstable/pod{UID}/crio-conmon-{INNER}"),
        ),
        (
            "in the system's slice",
            format!("/system.slice/crio-conmon-{INNER}.scope"),
        ),
        ("podman's", format!("/machine.slice/libpod-conmon-{INNER}.scope")),
    ];
    for (name, path) in cases {
        let place = parse(&path);
        assert_eq!(place.conmon_of.as_deref(), Some(INNER), "case: {name}");
        assert_eq!((place.pod(), place.container()), (None, None), "case: {name}");
    }
    let inside = parse(&format!(
        "/kubepods/pod{UID}/{OUTER}/machine.slice/libpod-conmon-{INNER}.scope"
    ));
    assert_eq!(
        inside.pod().unwrap().uid,
        UID,
        "podman inside a container is the pod's"
    );
    assert!(!inside.is_conmon());
    let nested = parse(&format!(
        "/kubepods/pod{UID}/{OUTER}/kubepods/pod{UID_INNER}/crio-conmon-{INNER}"
    ));
    assert_eq!(
        (nested.pods.len(), nested.is_conmon()),
        (1, false),
        "a node's conmon in a pod is the pod's"
    );
}

#[test]
fn the_class_of_service_is_in_the_path() {
    let cases = [
        ("guaranteed", format!("/kubepods/pod{UID}"), Some(Qos::Guaranteed)),
        (
            "burstable",
            format!("/kubepods/burstable/pod{UID}"),
            Some(Qos::Burstable),
        ),
        (
            "best effort",
            format!(
                "/a.slice/a-kubepods-besteffort-pod{}.slice",
                UID.replace('-', "_")
            ),
            Some(Qos::BestEffort),
        ),
        (
            "guaranteed, systemd",
            format!("/kubepods.slice/kubepods-pod{}.slice", UID.replace('-', "_")),
            Some(Qos::Guaranteed),
        ),
        ("a head that was lost", format!("/../pod{UID}"), None),
    ];
    for (name, path, qos) in cases {
        assert_eq!(parse(&path).pod().unwrap().qos, qos, "case: {name}");
    }
}

#[test]
fn the_tree_of_a_real_node_is_read_whole() {
    let tree = include_str!("../fixtures/real-node/cgroup2-tree.txt");
    let mut table = CgroupTable::default();
    let (mut pods, mut containers) = (0, 0);
    for line in tree.lines() {
        let (id, path) = line.split_once(' ').unwrap();
        let path = format!("/kubepods/{path}");
        table.found(id.parse().unwrap(), &path);
        let place = table.place(&path);
        let depth = path.trim_end_matches('/').matches('/').count();
        let Some(pod) = place.pod() else {
            assert!(depth <= 2, "no pod in {path}");
            continue;
        };
        assert!(path.contains(&pod.uid), "{path}");
        assert_eq!(pod.container.is_some(), depth == 4, "{path}");
        pods += u32::from(pod.container.is_none());
        containers += u32::from(pod.container.is_some());
    }
    assert_eq!((pods, containers), (6, 11));
    let place = table.place_of(386, 77, None).unwrap();
    assert_eq!(place.pod().unwrap().uid, "40fd1c883492798a973420b1590f1fa1");
}

fn made(id: u64, at_ns: u64, path: &str) -> CgroupEvent {
    CgroupEvent {
        removed: false,
        at_ns,
        id,
        hierarchy: 0,
        path: path.into(),
    }
}

fn removed(id: u64, at_ns: u64, path: &str) -> CgroupEvent {
    CgroupEvent {
        removed: true,
        ..made(id, at_ns, path)
    }
}

#[test]
fn an_id_that_is_used_again_was_another_cgroup_before() {
    let mut table = CgroupTable::default();
    table.found(7, "/kubepods/a");
    table.event(&removed(7, 100, "/kubepods/a"));
    table.event(&made(7, 200, "/kubepods/b"));
    let at = |at_ns| table.path(7, at_ns).map(|path| path.to_string());
    assert_eq!(at(50).as_deref(), Some("/kubepods/a"));
    assert_eq!(at(100).as_deref(), Some("/kubepods/a"));
    assert_eq!(at(150), None, "nobody had it");
    assert_eq!(at(200).as_deref(), Some("/kubepods/b"));
    assert_eq!(at(0).as_deref(), Some("/kubepods/b"), "the latest");
    assert_eq!(table.path(8, 0), None);
}

#[test]
fn records_that_come_late_do_not_undo_what_the_walk_saw() {
    let mut table = CgroupTable::default();
    table.found(7, "/b");
    table.event(&removed(7, 90, "/a"));
    assert_eq!(
        table.path(7, 150).as_deref(),
        Some("/b"),
        "the end of what had the id before"
    );
    table.event(&made(7, 100, "/b"));
    assert_eq!(table.path(7, 150).as_deref(), Some("/b"));
    assert_eq!(table.path(7, 99), None, "its beginning is known now");
    table.event(&made(7, 300, "/c"));
    assert_eq!(table.path(7, 299).as_deref(), Some("/b"), "its end was missed");
    assert_eq!(table.path(7, 301).as_deref(), Some("/c"));
}

#[test]
fn directories_of_other_hierarchies_have_other_ids() {
    let mut table = CgroupTable::default();
    table.event(&CgroupEvent {
        hierarchy: 4,
        ..made(7, 1, "/memory")
    });
    assert_eq!(table.path(7, 0), None);
    table.found(7, "/unified");
    table.event(&CgroupEvent {
        hierarchy: 4,
        ..removed(7, 2, "/unified")
    });
    assert_eq!(table.path(7, 3).as_deref(), Some("/unified"));
}

#[test]
fn of_id_and_proc_the_one_that_tells_more_is_believed() {
    let mut table = CgroupTable::default();
    table.found(1, "/");
    table.found(2, "/system.slice/containerd.service");
    let path = format!("/kubepods/pod{UID}/{INNER}");
    let pod = |place: Option<Arc<CgroupPlace>>| place.and_then(|place| Some(place.pod()?.uid.clone()));
    assert_eq!(
        pod(table.place_of(1, 5, Some(&path))).as_deref(),
        Some(UID),
        "hybrid: the root says nothing"
    );
    assert_eq!(
        pod(table.place_of(9, 5, Some(&path))).as_deref(),
        Some(UID),
        "an id nobody knows"
    );
    assert_eq!(table.place_of(9, 5, None), None);
    let by_id = table.place_of(2, 5, Some("/system.slice/other.service")).unwrap();
    assert_eq!(
        by_id.unit.as_deref(),
        Some("containerd.service"),
        "else the id is right"
    );
}

fn hex(digits: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[0-9a-f]{{{digits}}}")).unwrap()
}

fn uid() -> impl Strategy<Value = String> {
    let random = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    prop_oneof![random.prop_map(String::from), hex(32), "[a-z][a-z0-9]{0,20}"]
}

proptest! {
    #[test]
    fn a_path_made_of_parts_gives_the_parts(
        uid in uid(),
        id in hex(64),
        node in hex(64),
        qos in prop::sample::select(vec![Qos::Guaranteed, Qos::Burstable, Qos::BestEffort]),
        (prefix, runtime) in prop::sample::select(vec![
            ("", None), ("cri-containerd-", Some("containerd")), ("crio-", Some("cri-o")), ("docker-", Some("docker")),
            ("libpod-", Some("podman")),
        ]),
        head in prop::sample::select(vec!["", "kind", "kind.slice", "custom"]),
        systemd in any::<bool>(),
        colon in any::<bool>(),
        tail in prop::sample::select(vec!["", "/container", "/init.scope", "/system.slice/x.service", "/a/b"]),
    ) {
        let class = match qos { Qos::Guaranteed => None, Qos::Burstable => Some("burstable"), Qos::BestEffort => Some("besteffort") };
        let (root, names) = match head {
            "" => (String::new(), ""),
            "kind" => (format!("/docker/{node}/kubelet"), "kubelet-"),
            "kind.slice" => (format!("/system.slice/docker-{node}.scope/kubelet.slice"), "kubelet-"),
            _ => ("/own".to_owned(), "own-"),
        };
        let colon = colon && systemd && !prefix.is_empty();
        let path = if systemd {
            let class_slice = class.map(|class| format!("/{names}kubepods-{class}.slice")).unwrap_or_default();
            let class = class.map(|class| format!("{class}-")).unwrap_or_default();
            let container = if colon {
                format!(":{}:{id}", prefix.trim_end_matches('-'))
            } else {
                format!("/{prefix}{id}.scope")
            };
            format!("{root}/{names}kubepods.slice{class_slice}/{names}kubepods-{class}pod{}.slice{container}{tail}", uid.replace('-', "_"))
        } else {
            let class = class.map(|class| format!("/{class}")).unwrap_or_default();
            format!("{root}/kubepods{class}/pod{uid}/{prefix}{id}{tail}")
        };
        let place = parse(&path);
        let container = Some(CgroupContainer { id, runtime });
        prop_assert_eq!(&place.pods, &vec![CgroupPod { uid, qos: Some(qos), container }], "{}", path);
        prop_assert_eq!(place.node.is_some(), head.starts_with("kind"), "{}", path);
        prop_assert!(place.unit.is_none() && place.session.is_none() && !place.is_conmon(), "{}", path);
    }

    #[test]
    fn any_string_is_answered(path in ".{0,300}") {
        let place = parse(&path);
        prop_assert!(place.pods.len() <= path.len());
    }

    #[test]
    fn any_arrangement_of_segments_is_answered(parts in prop::collection::vec(prop::sample::select(vec![
        "/", "..", "pod", "kubepods", "kubepods-", ".slice", "burstable", "-", "_", ":", ".scope", ".service", "crio-conmon-",
        "crio", OUTER, UID, "kubelet", "user-", "session-", "system", "init", "é", "\0",
    ]), 0..40)) {
        let path = parts.concat();
        let place = parse(&path);
        for pod in &place.pods {
            prop_assert!(!pod.uid.is_empty() && !pod.uid.contains('/'), "{path}");
        }
    }
}
