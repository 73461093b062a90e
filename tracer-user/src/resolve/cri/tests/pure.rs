//! Hostile answers, what changes between lists, and where sockets are looked for.

use std::{
    collections::HashMap,
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use prost::Message;

use super::{
    super::{
        client::Trouble,
        discover::{Discovery, discover},
        facts,
        health::fault,
        known::{Answer, Ask, Known},
        wire::{
            Container, ContainerMetadata, ContainerStatusResponse, List, Network, PodIp, PodSandbox,
            SandboxMetadata, SandboxStatus,
        },
    },
    node::{linux, made},
};
use crate::signal::inventory::{Fact, Kind};

fn sandbox(id: &str, uid: &str, name: &str) -> PodSandbox {
    PodSandbox {
        id: id.to_owned(),
        metadata: Some(SandboxMetadata {
            name: name.to_owned(),
            uid: uid.to_owned(),
            namespace: "default".to_owned(),
        }),
        created_at: 5,
        ..PodSandbox::default()
    }
}

fn container(id: &str, name: &str) -> Container {
    Container {
        id: id.to_owned(),
        pod_sandbox_id: "s".to_owned(),
        metadata: Some(ContainerMetadata {
            name: name.to_owned(),
        }),
        state: 1,
        ..Container::default()
    }
}

fn list<T>(items: Vec<T>) -> List<T> {
    List { items, refused: 0 }
}

#[test]
fn what_is_no_id_or_name_is_no_pod_and_no_container() {
    let long = "x".repeat(10_000);
    let table = [
        ("a usual one", "s", "u", "n", true),
        ("no id", "", "u", "n", false),
        ("a long id", &long, "u", "n", false),
        ("an id with an escape", "\u{1b}[2J", "u", "n", false),
        ("an id that is a path", "../../etc", "u", "n", false),
        ("no uid", "s", "", "n", false),
        ("a uid with a new line", "s", "u\n", "n", false),
        ("no name", "s", "u", "", false),
        ("a long name", "s", "u", &long, false),
    ];
    let uids = HashMap::from([("s".to_owned(), "u".to_owned())]);
    for (why, id, uid, name, wanted) in table {
        assert_eq!(facts::pod(sandbox(id, uid, name)).is_some(), wanted, "{why}");
        if uid == "u" {
            assert_eq!(
                facts::container(container(id, name), &uids, None).is_some(),
                wanted,
                "{why}"
            );
        }
    }
    assert_eq!(facts::pod(PodSandbox::default()), None);
    assert_eq!(
        facts::container(container("c", "n"), &HashMap::new(), None),
        None,
        "it is of no pod"
    );
}

#[test]
fn labels_are_sorted_limited_and_without_kubelets_own() {
    let mut hostile = sandbox("s", "u", "n");
    hostile.labels = (0..1000)
        .map(|number| (format!("l{number:04}"), "v".to_owned()))
        .collect();
    for (key, value) in [
        ("io.kubernetes.pod.uid", "u"),
        ("a", &"v".repeat(64)),
        ("", "v"),
        (&"k".repeat(400), "v"),
    ] {
        hostile.labels.insert(key.to_owned(), value.to_owned());
    }
    let labels = facts::pod(hostile).unwrap().labels;
    assert_eq!(
        (labels.len(), labels[0].0.as_str(), labels[63].0.as_str()),
        (64, "l0000", "l0063")
    );
}

#[test]
fn only_addresses_of_its_own_are_a_pods_addresses() {
    let table: [(&str, i32, &[&str], &[&str]); 7] = [
        (
            "both families",
            0,
            &["10.244.0.2", "fd00::2"],
            &["10.244.0.2", "fd00::2"],
        ),
        ("none yet", 0, &[""], &[]),
        ("a name", 0, &["localhost", "10.244.0.2"], &["10.244.0.2"]),
        (
            "mapped, and twice",
            0,
            &["::ffff:10.244.0.2", "10.244.0.2"],
            &["10.244.0.2"],
        ),
        ("of no host", 0, &["0.0.0.0", "::", "127.0.0.1", "224.0.0.1"], &[]),
        ("the node's", 2, &["192.168.59.150"], &[]),
        ("an escape", 0, &["\u{1b}]0;x"], &[]),
    ];
    for (why, mode, told, wanted) in table {
        let more = told[1..]
            .iter()
            .map(|ip| PodIp { ip: (*ip).to_owned() })
            .collect();
        let network = facts::network(&SandboxStatus {
            network: Some(Network {
                ip: told[0].to_owned(),
                additional_ips: more,
            }),
            linux: Some(linux(mode)),
        });
        let found: Vec<_> = network.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{why}");
        assert_eq!(network.host_network, Some(mode == 2), "{why}");
    }
    assert_eq!(
        facts::network(&SandboxStatus::default()),
        facts::Network::default()
    );
}

#[test]
fn a_pid_is_told_in_several_ways() {
    let table = [
        (
            "containerd and CRI-O",
            "info",
            r#"{"sandboxID":"x","pid":8761}"#,
            Some(8761),
        ),
        ("older runtimes", "pid", "8761", Some(8761)),
        ("over", "info", r#"{"pid":0}"#, None),
        ("negative", "info", r#"{"pid":-1}"#, None),
        ("too large", "info", r#"{"pid":4294967295}"#, None),
        ("a word", "info", r#"{"pid":"init"}"#, None),
        ("no JSON", "info", "pid=8761", None),
        ("another key", "config", r#"{"pid":8761}"#, None),
    ];
    for (why, key, value, wanted) in table {
        let info = HashMap::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(facts::pid(&ContainerStatusResponse { info }), wanted, "{why}");
    }
}

#[test]
fn ports_are_those_kubelet_noted() {
    type Case<'a> = (&'a str, &'a str, &'a [(u16, Option<u16>)]);
    let table: [Case<'_>; 6] = [
        (
            "a port",
            r#"[{"containerPort":8080,"protocol":"TCP"}]"#,
            &[(8080, None)],
        ),
        (
            "of the node",
            r#"[{"hostPort":80,"containerPort":8080}]"#,
            &[(8080, Some(80))],
        ),
        ("datagrams", r#"[{"containerPort":53,"protocol":"UDP"}]"#, &[]),
        ("none", r#"[{"containerPort":0}]"#, &[]),
        ("too large", r#"[{"containerPort":65536}]"#, &[]),
        ("no JSON", "8080", &[]),
    ];
    for (why, noted, wanted) in table {
        let mut container = container("c", "n");
        let annotation = ("io.kubernetes.container.ports".to_owned(), noted.to_owned());
        container.annotations = HashMap::from([annotation]);
        assert_eq!(facts::ports(&container), wanted, "{why}");
    }
}

#[test]
fn of_a_pods_sandboxes_the_one_that_runs_counts_then_the_newest() {
    let with = |id: &str, created_at, state| PodSandbox {
        state,
        created_at,
        ..sandbox(id, "u", "n")
    };
    let table = [
        (
            "the newest of two",
            vec![with("old", 1, 0), with("new", 2, 0)],
            "new",
        ),
        (
            "the one that runs",
            vec![with("new", 1, 0), with("ended", 2, 1)],
            "new",
        ),
        ("all are over", vec![with("new", 2, 1), with("old", 1, 1)], "new"),
    ];
    for (why, sandboxes, wanted) in table {
        let mut known = Known::default();
        let told = known.update(list(Vec::new()), list(sandboxes), false);
        let [Fact::Pod(pod)] = told.as_slice() else {
            panic!("{why}: {told:?}")
        };
        assert_eq!(pod.sandbox_id.as_deref(), Some(wanted), "{why}");
    }
}

#[test]
fn a_whole_list_is_bracketed_and_the_gone_come_before_the_new() {
    let mut known = Known::default();
    let state = made(1);
    let told = known.update(list(state.containers), list(state.sandboxes), true);
    let shape: Vec<_> = told
        .iter()
        .map(|fact| format!("{fact:?}").split(['(', '{']).next().unwrap().to_owned())
        .collect();
    assert_eq!(
        shape,
        ["Listing", "Pod", "Listed", "Listing", "Container", "Listed"]
    );
    assert_eq!(
        (&told[0], &told[5]),
        (&Fact::Listing(Kind::Pods), &Fact::Listed(Kind::Containers))
    );
    let told = known.update(list(Vec::new()), list(vec![sandbox("s", "u", "n")]), false);
    assert!(
        matches!(
            told.as_slice(),
            [Fact::PodGone(_), Fact::Pod(_), Fact::ContainerGone(_)]
        ),
        "{told:?}"
    );
}

#[test]
fn what_was_asked_in_vain_is_asked_again_after_the_next_check_only() {
    let mut known = Known::default();
    let lists = || {
        (
            list(vec![container("c", "n")]),
            list(vec![sandbox("s", "u", "n")]),
        )
    };
    let listed = |known: &mut Known| {
        let (containers, sandboxes) = lists();
        known.update(containers, sandboxes, false);
        let mut asks = known.asks(10);
        asks.sort_by_key(|ask| matches!(ask, Ask::Container(_)));
        asks
    };
    let both = [
        Ask::Sandbox("s".to_owned(), "u".to_owned()),
        Ask::Container("c".to_owned()),
    ];
    assert_eq!(listed(&mut known), both);
    assert_eq!(known.learn(Answer::Nothing(both[0].clone(), true)), None);
    assert_eq!(known.learn(Answer::Container("c".to_owned(), None)), None);
    assert_eq!(known.gaps(), (0, 1));
    assert_eq!(listed(&mut known), []);
    known.retry();
    assert_eq!(listed(&mut known), both);
    let network = facts::Network {
        addresses: vec!["10.244.0.2".parse().unwrap()],
        host_network: Some(false),
    };
    assert!(matches!(
        known.learn(Answer::Sandbox("s".to_owned(), "u".to_owned(), network)),
        Some(Fact::Pod(_))
    ));
    assert!(matches!(
        known.learn(Answer::Container("c".to_owned(), Some(7))),
        Some(Fact::Container(_))
    ));
    known.retry();
    assert_eq!(listed(&mut known), []);
    assert_eq!(known.gaps(), (0, 0));
}

#[test]
fn a_fault_says_what_to_do() {
    use std::io::ErrorKind;

    let connect = |kind| Trouble::Connect {
        kind,
        message: "os error".to_owned(),
    };
    let table = [
        (connect(ErrorKind::NotFound), "no such socket", "--cri-socket"),
        (connect(ErrorKind::PermissionDenied), "permission denied", "root"),
        (connect(ErrorKind::ConnectionRefused), "refused", "start"),
        (connect(ErrorKind::InvalidInput), "os error", "--cri-socket"),
    ];
    for (trouble, why, remedy) in table {
        let fault = fault("CRI /run/x.sock", Path::new("/run/x.sock"), &trouble);
        assert!(fault.what.contains("CRI /run/x.sock"), "{fault:?}");
        assert!(
            fault.why.contains(why) && fault.remedy.contains(remedy),
            "{fault:?}"
        );
    }
}

/// A node's root in a directory of its own.
struct Root(PathBuf);

impl Root {
    fn new(name: &str, files: &[(&str, &str)], sockets: &[&str]) -> Self {
        let root = std::env::temp_dir().join(format!("kcn-root-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for path in sockets {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            drop(UnixListener::bind(path).unwrap());
        }
        Self(root)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

const YAML: &str = "var/lib/kubelet/config.yaml";
const FLAGS: &str = "var/lib/kubelet/kubeadm-flags.env";
const USUAL: &[&str] = &["run/containerd/containerd.sock", "run/crio/crio.sock"];
const BY_USE: &[(&str, bool)] = &[
    ("/run/containerd/containerd.sock", true),
    ("/run/crio/crio.sock", true),
];

/// Why, files with their text, sockets, what is found and whether it is guessed.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
    &'static [(&'static str, bool)],
);

const FOUND: &[Case] = &[
    ("nothing", &[], &[], &[]),
    ("the usual places", &[], USUAL, BY_USE),
    (
        "kubelet's configuration",
        &[(
            YAML,
            "kind: KubeletConfiguration\ncontainerRuntimeEndpoint: \"unix:///run/my.sock\" # ours\n",
        )],
        USUAL,
        &[("/run/my.sock", false)],
    ),
    (
        "kubeadm's flags",
        &[
            (YAML, "containerRuntimeEndpoint: \"\"\n"),
            (
                FLAGS,
                "KUBELET_KUBEADM_ARGS=\"--v=2 --container-runtime-endpoint=unix:///var/run/crio/crio.sock\"\n",
            ),
        ],
        USUAL,
        &[("/run/crio/crio.sock", false)],
    ),
    (
        "another node's pipe",
        &[(YAML, "containerRuntimeEndpoint: npipe:////./pipe/containerd\n")],
        USUAL,
        BY_USE,
    ),
    (
        "a comment",
        &[(FLAGS, "# --container-runtime-endpoint=/run/my.sock\n")],
        USUAL,
        BY_USE,
    ),
    (
        "a key inside another",
        &[(YAML, "old: containerRuntimeEndpoint: /run/my.sock\n")],
        USUAL,
        BY_USE,
    ),
    (
        "bytes",
        &[(YAML, "\0\u{fffd}containerRuntimeEndpoint:")],
        USUAL,
        BY_USE,
    ),
];

#[test]
fn sockets_are_found_where_kubelet_says_else_where_they_usually_are() {
    for (number, (why, files, sockets, wanted)) in FOUND.iter().enumerate() {
        let root = Root::new(&number.to_string(), files, sockets);
        let found = match discover(&root.0, None) {
            Discovery::Found(found) => found,
            Discovery::Nothing => Vec::new(),
        };
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(path, guessed)| (PathBuf::from(path), *guessed))
            .collect();
        let shown: Vec<_> = found
            .iter()
            .map(|socket| (socket.shown.clone(), socket.guessed))
            .collect();
        assert_eq!(shown, wanted, "{why}");
        assert!(
            found.iter().all(|socket| socket.path.starts_with(&root.0)),
            "{why}"
        );
    }
    for asked in ["/run/asked.sock", "unix:///run/asked.sock"] {
        let Discovery::Found(found) = discover(Path::new("/host"), Some(Path::new(asked))) else {
            panic!("{asked}")
        };
        assert_eq!(
            (found[0].path.as_path(), found[0].guessed),
            (Path::new("/run/asked.sock"), false)
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let mut known = Known::default();
        let sandboxes = List::<PodSandbox>::decode(&*bytes).unwrap_or_default();
        let containers = List::<Container>::decode(&*bytes).unwrap_or_default();
        let entries = containers.items.len() + containers.refused;
        let told = known.update(containers, sandboxes, true);
        prop_assert!(told.len() <= 4 + 2 * entries);
        let mut noted = container("c", &text);
        noted.annotations.insert("io.kubernetes.container.ports".to_owned(), text.clone());
        prop_assert!(facts::ports(&noted).len() <= 64);
        let info = HashMap::from([("info".to_owned(), text.clone()), ("pid".to_owned(), text)]);
        let pid = facts::pid(&ContainerStatusResponse { info });
        prop_assert!(pid.is_none_or(|pid| pid > 0));
    }

    #[test]
    fn what_is_sent_is_read_back(names in proptest::collection::vec("[a-z]{1,20}", 0..20)) {
        let items = names.iter().enumerate().map(|(at, name)| sandbox(&format!("s{at}"), name, name)).collect();
        let sent = list(items);
        let bytes = sent.encode_to_vec();
        prop_assert_eq!(bytes.len(), sent.encoded_len());
        prop_assert_eq!(List::<PodSandbox>::decode(&*bytes), Ok(sent));
    }
}
