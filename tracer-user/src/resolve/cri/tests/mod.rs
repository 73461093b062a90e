//! The whole resolver against a stand-in runtime, in good weather and in bad.

mod fake;
mod node;
mod pure;
mod world;

use std::time::Duration;

use prost::Message;

use super::{
    Cri, Socket,
    wire::{List, PodSandbox},
};
use fake::{Fake, Mode};
use node::{add, made, real, remove};
use world::{World, asked};

const HASTE: Duration = Duration::from_millis(200);

fn running(state: fake::State) -> (Fake, World) {
    let mut fake = Fake::new(state);
    fake.start();
    let world = World::of(Cri::new(asked(fake.socket())));
    (fake, world)
}

/// With little patience, so that a test need not wait for seconds.
fn hasty(fake: &Fake) -> World {
    World::of(Cri {
        patience: HASTE,
        ..Cri::new(asked(fake.socket()))
    })
}

#[test]
fn a_real_node_is_told_whole() {
    let (_fake, mut world) = running(real());
    world.works();
    assert_eq!((world.pods.len(), world.containers.len()), (8, 8));

    let apiserver = world.pod("kube-apiserver-controlplane");
    assert_eq!(apiserver.uid, "98358bfda3e31aafe299bb95eea525d3");
    assert_eq!(
        apiserver.config_hash.as_deref(),
        Some("98358bfda3e31aafe299bb95eea525d3")
    );
    assert_eq!(
        (apiserver.host_network, apiserver.addresses.len()),
        (Some(true), 0)
    );
    assert_eq!(
        (apiserver.ports.as_slice(), apiserver.host_ports.len()),
        ([6443].as_slice(), 0)
    );
    assert_eq!(apiserver.started_unix_ns, Some(1_795_197_828_461_029_573));
    let labels = [("component", "kube-apiserver"), ("tier", "control-plane")];
    assert_eq!(
        apiserver.labels,
        labels.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
    assert_eq!(apiserver.workload, None);

    let mut web: Vec<_> = world
        .pods
        .values()
        .filter(|pod| pod.name.starts_with("web-"))
        .collect();
    web.sort_by_key(|pod| pod.addresses.clone());
    let addresses: Vec<_> = web
        .iter()
        .map(|pod| (format!("{:?}", pod.addresses), pod.ended))
        .collect();
    let wanted = [("[]", true), ("[10.244.0.2]", false), ("[10.244.0.3]", false)];
    assert_eq!(
        addresses,
        wanted.map(|(addresses, ended)| (addresses.to_owned(), ended))
    );
    for pod in web {
        let workload = pod.workload.as_ref().unwrap();
        assert_eq!(
            (workload.kind.as_str(), workload.name.as_str()),
            ("Deployment", "web")
        );
        assert_eq!(
            (pod.ports.as_slice(), pod.host_network),
            ([8080].as_slice(), Some(false))
        );
        assert_eq!(
            (pod.namespace.as_str(), pod.config_hash.as_deref()),
            ("default", None)
        );
    }

    let etcd = world.container("etcd");
    assert_eq!((etcd.pid, etcd.ended), (Some(8818), false));
    assert_eq!(etcd.pod_uid, world.pod("etcd-controlplane").uid);
    assert_eq!(etcd.sandbox_id, world.pod("etcd-controlplane").sandbox_id);
    assert_eq!(etcd.runtime.as_deref(), Some("containerd"));
    assert_eq!(etcd.image.as_deref(), Some("registry.k8s.io/etcd:3.6.8-0"));
    assert_eq!(
        world.pod("etcd-controlplane").containers,
        [("etcd".to_owned(), Some(etcd.id.clone()))]
    );
    let mut pids: Vec<_> = world
        .containers
        .values()
        .map(|container| (container.pid, container.ended))
        .collect();
    pids.sort_unstable();
    let ran = [8761, 8790, 8818, 8819, 9157, 9164, 9988].map(|pid| (Some(pid), false));
    assert_eq!(pids, [&[(None, true)], ran.as_slice()].concat());
    let source = &world.states[0].0;
    assert!(
        source.starts_with("CRI /") && source.ends_with("/cri.sock"),
        "{source}"
    );
    assert_eq!(world.states.len(), 1);
}

#[test]
fn a_runtime_that_starts_later_is_heard_then() {
    let mut fake = Fake::new(made(2));
    let mut world = World::of(Cri::new(asked(fake.socket())));
    let fault = world.fails();
    assert!(fault.why.contains("no such socket"), "{fault:?}");
    assert!(fault.remedy.contains("--cri-socket"), "{fault:?}");
    fake.start();
    world.works();
    assert_eq!(
        (world.pods.len(), world.containers.len(), world.states.len()),
        (2, 2, 2)
    );
}

#[test]
fn a_socket_nobody_listens_on_says_so() {
    let mut fake = Fake::new(made(1));
    fake.start();
    fake.stop();
    let fault = World::of(Cri::new(asked(fake.socket()))).fails();
    assert!(fault.why.contains("refused"), "{fault:?}");
}

#[test]
fn a_hung_runtime_is_told_and_heard_when_it_wakes() {
    let mut fake = Fake::new(made(2));
    fake.mode("Version", Mode::Hang);
    fake.start();
    let mut world = World::of(Cri::new(asked(fake.socket())));
    let fault = world.fails();
    assert!(
        fault.why.contains("Version was not answered within 2 s"),
        "{fault:?}"
    );
    assert!(fault.remedy.contains("crictl"), "{fault:?}");
    fake.mode("Version", Mode::Answer);
    world.works();
    assert_eq!((world.pods.len(), world.facts > 0), (2, true));
}

#[test]
fn a_runtime_that_hangs_later_keeps_its_names() {
    let fake = &mut Fake::new(made(2));
    fake.start();
    let mut world = hasty(fake);
    world.works();
    fake.mode("ListContainers", Mode::Hang);
    let fault = world.fails();
    assert!(fault.why.contains("ListContainers"), "{fault:?}");
    assert_eq!((world.pods.len(), world.containers.len(), world.gone), (2, 2, 0));
    fake.mode("ListContainers", Mode::Answer);
    world.works();
    assert_eq!(world.gone, 0);
}

#[test]
fn a_slow_runtime_is_heard_with_more_patience() {
    let fake = &mut Fake::new(made(2));
    for call in ["Version", "ListContainers", "ListPodSandbox"] {
        fake.mode(call, Mode::Slow(HASTE * 3 / 2));
    }
    fake.start();
    let mut world = hasty(fake);
    let fault = world.fails();
    assert!(fault.why.contains("was not answered"), "{fault:?}");
    world.works();
    assert_eq!((world.pods.len(), world.containers.len()), (2, 2));
}

#[test]
fn a_restart_takes_no_name_away_but_what_is_gone_afterwards() {
    let (mut fake, mut world) = running(made(3));
    world.works();
    fake.stop();
    world.fails();
    assert_eq!((world.pods.len(), world.containers.len(), world.gone), (3, 3, 0));
    fake.with(|state| remove(state, 1));
    fake.start();
    world.works();
    assert_eq!((world.pods.len(), world.containers.len(), world.gone), (2, 2, 0));
    let pids: Vec<_> = world.containers.values().map(|container| container.pid).collect();
    assert_eq!(pids, [Some(1000), Some(1002)]);
    let asked = fake.calls("ContainerStatus");
    assert_eq!(asked, 3, "what was known before was asked again");
    let told: Vec<_> = world.states.iter().map(|(_, fault)| fault.is_none()).collect();
    assert_eq!((told.first(), told.last()), (Some(&true), Some(&true)));
}

#[test]
fn without_events_lists_are_compared_and_only_changes_are_told() {
    let (fake, mut world) = running(made(3));
    world.works();
    let before = world.facts;
    let polled = fake.calls("ListPodSandbox");
    world.until("two quiet polls", |_| fake.calls("ListPodSandbox") >= polled + 2);
    assert_eq!(world.facts, before);
    fake.with(|state| {
        add(state, 7);
        remove(state, 0);
        state.sandboxes[0].state = 1;
        state.containers[0].state = 2;
    });
    world.until("the change", |world| {
        world
            .containers
            .get("container-7")
            .is_some_and(|it| it.pid.is_some())
    });
    world.until("its address", |world| !world.pods["uid-7"].addresses.is_empty());
    assert_eq!(world.gone, 2);
    assert!(!world.pods.contains_key("uid-0") && !world.containers.contains_key("container-0"));
    let ended = &world.pods["uid-1"];
    assert!(ended.ended);
    assert_eq!(
        ended.addresses,
        ["10.0.0.2".parse::<std::net::IpAddr>().unwrap()],
        "old edges keep the old name"
    );
    assert_eq!(
        (
            world.containers["container-1"].ended,
            world.containers["container-1"].pid
        ),
        (true, None)
    );
    assert_eq!(
        (fake.calls("GetContainerEvents"), fake.calls("ContainerStatus")),
        (0, 4)
    );
}

#[test]
fn an_event_is_heard_at_once() {
    let mut state = made(1);
    "2.1.9+unknown".clone_into(&mut state.version.runtime_version);
    let (fake, mut world) = running(state);
    world.works();
    world.until("the subscription", |_| fake.calls("GetContainerEvents") == 1);
    fake.with(|state| {
        add(state, 1);
        state.events += 1;
    });
    world.until("the new pod", |world| world.pods.contains_key("uid-1"));
    assert_eq!(
        fake.calls("ListPodSandbox"),
        2,
        "it polled though there are events"
    );
}

#[test]
fn events_are_subscribed_to_again_after_a_restart() {
    let mut state = made(1);
    "2.1.9+unknown".clone_into(&mut state.version.runtime_version);
    let (mut fake, mut world) = running(state);
    world.works();
    world.until("the subscription", |_| fake.calls("GetContainerEvents") == 1);
    fake.stop();
    fake.with(|state| add(state, 1));
    fake.start();
    world.until("the new pod", |world| world.pods.contains_key("uid-1"));
    world.until("another", |_| fake.calls("GetContainerEvents") == 2);
    assert_eq!((fake.calls("Version"), world.gone), (2, 0));
}

#[test]
fn a_runtime_that_refuses_events_is_polled() {
    let mut state = made(1);
    "2.1.9+unknown".clone_into(&mut state.version.runtime_version);
    state
        .modes
        .insert("GetContainerEvents".to_owned(), Mode::Status(12));
    let (fake, mut world) = running(state);
    world.works();
    fake.with(|state| add(state, 1));
    world.until("the new pod", |world| world.pods.contains_key("uid-1"));
    assert_eq!((fake.calls("GetContainerEvents"), world.states.len()), (1, 1));
}

#[test]
fn malformed_lists_are_a_fault_and_a_malformed_entry_costs_itself_only() {
    let (fake, mut world) = running(made(2));
    world.works();
    fake.mode("ListPodSandbox", Mode::Garbage);
    let fault = world.fails();
    assert!(fault.why.contains("ListPodSandbox"), "{fault:?}");
    assert_eq!((world.pods.len(), world.gone), (2, 0));
    // Field 1 with three bytes that are no entry, and field 9 which CRI may have one day.
    let garbage = [&[10, 3, 255, 255, 255], [74, 2, 1, 2].as_slice()].concat();
    fake.with(|state| state.garbage.insert("ListPodSandbox".to_owned(), garbage));
    fake.mode("ListPodSandbox", Mode::Answer);
    world.until(
        "the gap",
        |world| matches!(world.states.last(), Some((source, Some(_))) if source.ends_with(" entries")),
    );
    let fault = world.fails();
    assert!(fault.why.contains("1 entries made no sense"), "{fault:?}");
    assert_eq!(world.pods.len(), 2);
    fake.with(|state| state.garbage.clear());
    world.works();
    assert!(world.states.last().unwrap().0.ends_with(" entries"));
}

#[test]
fn a_hung_shim_costs_its_own_container_only() {
    let fake = &mut Fake::new(made(20));
    fake.mode("ContainerStatus container-3", Mode::Hang);
    fake.mode("PodSandboxStatus sandbox-4", Mode::Status(14));
    fake.start();
    let mut world = hasty(fake);
    world.until(
        "the gap",
        |world| matches!(world.states.last(), Some((source, Some(_))) if source.ends_with(" entries")),
    );
    assert_eq!(world.states[0].1, None, "the runtime itself works");
    assert!(
        world.states[1].1.as_ref().unwrap().why.contains("2 statuses"),
        "{:?}",
        world.states
    );
    let without_pid = world
        .containers
        .values()
        .filter(|container| container.pid.is_none())
        .count();
    let without_address = world.pods.values().filter(|pod| pod.addresses.is_empty()).count();
    assert_eq!((world.containers.len(), without_pid, without_address), (20, 1, 1));
}

#[test]
fn when_no_status_is_answered_the_names_come_all_the_same() {
    let fake = &mut Fake::new(made(500));
    fake.mode("ContainerStatus", Mode::Hang);
    fake.mode("PodSandboxStatus", Mode::Hang);
    fake.start();
    let mut world = hasty(fake);
    world.until("names", |world| {
        world.pods.len() == 500 && world.containers.len() == 500
    });
    world.until("the runtime itself works", |world| {
        matches!(world.states.first(), Some((_, None)))
    });
    let asked = fake.calls("PodSandboxStatus") + fake.calls("ContainerStatus");
    assert!(asked < 100, "asked {asked} times in vain");
}

#[test]
fn ten_thousand_containers_are_told_with_pid_and_address() {
    let (_fake, mut world) = running(made(10_000));
    world.works();
    assert_eq!((world.pods.len(), world.containers.len()), (10_000, 10_000));
    assert!(world.containers.values().all(|container| container.pid.is_some()));
    assert!(world.pods.values().all(|pod| pod.addresses.len() == 1));
}

#[test]
fn no_cri_is_a_fault_only_where_somebody_said_that_there_is_one() {
    let mut fake = Fake::new(made(1));
    fake.mode("Version", Mode::Status(12));
    fake.start();
    let fault = World::of(Cri::new(asked(fake.socket()))).fails();
    assert!(fault.why.contains("does not serve CRI v1"), "{fault:?}");
    let guessed = Socket {
        guessed: true,
        ..asked(fake.socket())
    };
    let mut world = World::of(Cri::new(guessed));
    world.works();
    assert_eq!((world.states.len(), world.facts), (1, 0));
}

#[test]
fn a_runtime_that_closes_every_connection_is_asked_again() {
    let (fake, mut world) = running(made(1));
    world.works();
    fake.mode("ListContainers", Mode::Close);
    world.fails();
    fake.mode("ListContainers", Mode::Answer);
    world.works();
    assert_eq!((world.pods.len(), world.gone), (1, 0));
}

#[test]
fn messages_are_read_by_the_numbers_of_cri() {
    // After api.proto: id = 1, metadata = 2 {name = 1, uid = 2, namespace = 3}, state = 3, created_at = 4, labels = 5,
    // annotations = 6 {key = 1, value = 2}, runtime_handler = 7.
    let entry: &[u8] = b"\x0a\x02id\x12\x13\x0a\x04name\x12\x03uid\x1a\x06spaces\x18\x01\x20\x07\
        \x2a\x06\x0a\x01k\x12\x01v\x32\x06\x0a\x01a\x12\x01b\x3a\x02rh";
    let list = [&[10, u8::try_from(entry.len()).unwrap()], entry].concat();
    let list = List::<PodSandbox>::decode(&*list).unwrap();
    let [sandbox] = list.items.as_slice() else {
        panic!("{list:?}")
    };
    let metadata = sandbox.metadata.as_ref().unwrap();
    assert_eq!(
        (sandbox.id.as_str(), sandbox.state, sandbox.created_at),
        ("id", 1, 7)
    );
    assert_eq!((metadata.name.as_str(), metadata.uid.as_str()), ("name", "uid"));
    assert_eq!(metadata.namespace, "spaces");
    assert_eq!((&*sandbox.labels["k"], &*sandbox.annotations["a"]), ("v", "b"));
}
