//! Names, hosts files and settings as text.

use proptest::prelude::*;

use super::super::{
    config::Config,
    names::{container_log, is_name, log_target, pod_directory},
};
use super::*;

/// Namespace and pod, uid.
type Parts = ((String, String), String);

/// Container and restart.
type Log<'a> = (&'a str, u32);

/// Host and port.
type Server<'a> = (&'a str, u16);

#[test]
fn directories_of_pods_are_taken_apart() {
    let uuid = "65472c8a-e055-4910-811c-e315a2840737";
    let named = |name: &str| pod_directory(name).map(|pod| (pod.named.unwrap_or_default(), pod.uid));
    let of = |namespace: &str, pod: &str, uid: &str| Some(((namespace.into(), pod.into()), uid.into()));
    let cases: &[(&str, String, Option<Parts>)] = &[
        (
            "as it is",
            format!("default_web_{uuid}"),
            of("default", "web", uuid),
        ),
        (
            "a dot in the pod's name",
            format!("default_web.a_{uuid}"),
            of("default", "web.a", uuid),
        ),
        (
            "a uid that a manifest chose",
            "default_web_my_own".into(),
            of("default", "web", "my_own"),
        ),
        ("a very old kubelet's", uuid.into(), of("", "", uuid)),
        (
            "a very old kubelet's static pod",
            "a".repeat(32),
            of("", "", &"a".repeat(32)),
        ),
        ("some other directory", "lost+found".into(), None),
        ("two parts", "default_web".into(), None),
        ("no uid", "default_web_".into(), None),
        ("a uid that is a path", "default_web_..".into(), None),
        (
            "an escape sequence",
            format!("default_\u{1b}[31mweb_{uuid}"),
            None,
        ),
        ("a dot in the namespace", format!("de.fault_web_{uuid}"), None),
        ("upper case", format!("Default_web_{uuid}"), None),
        ("nothing", String::new(), None),
    ];
    for (name, directory, want) in cases {
        assert_eq!(named(directory), *want, "case: {name}");
    }
}

#[test]
fn logs_of_containers_are_taken_apart() {
    let id = "0123456789abcdef".repeat(4);
    let log = container_log(&format!("web-1-x_shop_side-car-{id}.log")).unwrap();
    assert_eq!(
        (
            log.pod.as_str(),
            log.namespace.as_str(),
            log.container.as_str(),
            log.id.as_str()
        ),
        ("web-1-x", "shop", "side-car", id.as_str())
    );
    let cases = [
        ("a cut id", format!("web_shop_c-{}.log", &id[1..])),
        ("no hexadecimal", format!("web_shop_c-{}.log", "g".repeat(64))),
        ("no namespace", format!("web_c-{id}.log")),
        ("too many parts", format!("web_shop_c_d-{id}.log")),
        ("another ending", format!("web_shop_c-{id}.txt")),
    ];
    for (name, log) in cases {
        assert_eq!(container_log(&log), None, "case: {name}");
    }
}

#[test]
fn targets_of_links_are_taken_apart() {
    let uid = "a".repeat(32);
    let cases: &[(&str, String, Option<Log<'_>>)] = &[
        (
            "as it is",
            format!("/var/log/pods/shop_web_{uid}/client/3.log"),
            Some(("client", 3)),
        ),
        (
            "elsewhere",
            format!("/data/pods/shop_web_{uid}/client/0.log"),
            Some(("client", 0)),
        ),
        (
            "a very old kubelet's",
            format!("/var/log/pods/{uid}/client_2.log"),
            Some(("client", 2)),
        ),
        (
            "docker's own",
            "/var/lib/docker/containers/abc/abc-json.log".into(),
            None,
        ),
        (
            "no number",
            format!("/var/log/pods/shop_web_{uid}/client/x.log"),
            None,
        ),
        ("nothing", String::new(), None),
    ];
    for (name, path, want) in cases {
        let got = log_target(Path::new(path));
        assert_eq!(
            got.as_ref()
                .map(|target| (target.container.as_str(), target.restart)),
            *want,
            "case: {name}"
        );
    }
}

#[test]
fn a_kubeconfig_says_where_the_server_is_and_nothing_else() {
    let cases: &[(&str, &str, Option<Server<'_>>)] = &[
        ("an address", "https://10.0.0.9:6443", Some(("10.0.0.9", 6443))),
        ("IPv6", "https://[fd00::9]:6443/", Some(("fd00::9", 6443))),
        (
            "a name",
            "https://Cluster.Example:443",
            Some(("cluster.example", 443)),
        ),
        ("the usual port", "https://10.0.0.9", Some(("10.0.0.9", 443))),
        (
            "a path",
            "https://rancher.example/k8s/clusters/c-1",
            Some(("rancher.example", 443)),
        ),
        (
            "a password",
            "https://user:pass@10.0.0.9:6443",
            Some(("10.0.0.9", 6443)),
        ),
        ("no address at all", "hello", None),
        ("another protocol", "file:///etc/passwd", None),
        ("no port", "https://10.0.0.9:x", None),
        ("port 0", "https://10.0.0.9:0", None),
        ("an escape sequence", "https://\\e[31m:6443", None),
    ];
    for (name, server, want) in cases {
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    certificate-authority-data: QUJD\n    \
             server: \"{server}\"\nusers:\n- name: u\n  user:\n    token: hunter2\n    client-key-data: QUJD\n"
        );
        let config = config::parse(text.as_bytes()).unwrap();
        let got = config.servers.first().map(|(host, port)| (host.as_str(), *port));
        assert_eq!(got, *want, "case: {name}");
        assert!(!format!("{config:?}").contains("hunter2") && !format!("{config:?}").contains("QUJD"));
    }
}

#[test]
fn settings_of_the_kubelet_are_read() {
    let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\naddress: 0.0.0.0\n\
                staticPodPath: /etc/kubernetes/manifests\nclusterDNS:\n- 10.96.0.10\n- nonsense\nport: 10250\n\
                readOnlyPort: 0\ncontainerRuntimeEndpoint: unix:///run/crio/crio.sock\nauthentication: null\n";
    let want = Kubelet {
        static_pod_path: Some("/etc/kubernetes/manifests".into()),
        container_runtime_endpoint: Some("unix:///run/crio/crio.sock".into()),
        cluster_dns: vec!["10.96.0.10".parse().unwrap()],
        port: Some(10250),
        read_only_port: Some(0),
        address: Some("0.0.0.0".parse().unwrap()),
        ..Kubelet::default()
    };
    assert_eq!(config::parse(text.as_bytes()).unwrap().kubelet, want);
    assert_eq!(config::parse(b"").unwrap(), Config::default());
    assert_eq!(config::parse(b"# nothing\n---\n").unwrap(), Config::default());
}

#[test]
fn flags_of_the_kubelet_are_read_and_no_others() {
    let text = "# --hostname-override=comment\nKUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///a.sock \
                --hostname-override Node-A --token=hunter2 --root-dir=/srv/kubelet\"\n--pod-manifest-path=/m\n";
    let kubelet = config::flags(text.as_bytes());
    assert_eq!(
        kubelet.container_runtime_endpoint.as_deref(),
        Some("unix:///a.sock")
    );
    assert_eq!(kubelet.hostname_override.as_deref(), Some("node-a"));
    assert_eq!(kubelet.root_dir.as_deref(), Some("/srv/kubelet"));
    assert_eq!(kubelet.static_pod_path.as_deref(), Some("/m"));
    assert!(!format!("{kubelet:?}").contains("hunter2"));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let row = vec![format!("*a{}", level - 1); 10].join(", ");
        text.extend([format!("a{level}: &a{level} [{row}]\n")]);
    }
    text += "metadata: {name: bomb}\nkind: Pod\n";
    assert!(crate::resolve::yaml::documents::<serde_json::Value>(text.as_bytes()).is_err());
    let deep = "[".repeat(100_000);
    assert!(crate::resolve::yaml::documents::<serde_json::Value>(deep.as_bytes()).is_err());
}

#[test]
fn errors_tell_nothing_of_the_content() {
    let error = config::parse(b"kind: Config\nclusters: hunter2\n").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    assert_eq!(error.line(), 2);
}

proptest! {
    #[test]
    fn no_name_panics_and_every_kept_one_is_harmless(name in ".{0,300}", path in "[ -~/]{0,300}") {
        if let Some(pod) = pod_directory(&name) {
            prop_assert!(pod.uid.bytes().all(|b| b.is_ascii_graphic() && b != b'/'));
        }
        if let Some(log) = container_log(&name) {
            prop_assert_eq!(log.id.len(), 64);
        }
        if let Some(target) = log_target(Path::new(&path)) {
            prop_assert!(!target.container.contains('/') && !target.pod.uid.contains('/'));
        }
    }

    #[test]
    fn a_directory_made_of_parts_gives_the_parts_back(
        namespace in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", pod in "[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?",
        container in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?", uid in "[0-9a-f]{32}", id in "[0-9a-f]{64}",
        restart in 0_u32..100,
    ) {
        let directory = pod_directory(&format!("{namespace}_{pod}_{uid}")).unwrap();
        prop_assert_eq!(directory.named, Some((namespace.clone(), pod.clone())));
        prop_assert_eq!(&directory.uid, &uid);
        let log = container_log(&format!("{pod}_{namespace}_{container}-{id}.log")).unwrap();
        let path = format!("/var/log/pods/{namespace}_{pod}_{uid}/{container}/{restart}.log");
        let target = log_target(Path::new(&path)).unwrap();
        prop_assert!(log.agrees(&target));
        prop_assert_eq!((log.id, target.restart), (id, restart));
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let rules = Rules::built_in();
        let whole = manifest::parse("/m".into(), &bytes, &rules);
        prop_assert!(whole.is_err() || whole.is_ok_and(|facts| !facts.name.is_empty()));
        let refused = config::parse(&bytes).is_err();
        prop_assert!(refused || config::parse(&bytes).is_ok());
        prop_assert!(hosts::of_pod(&bytes).addresses.len() <= 2);
        prop_assert!(hosts::look_up(&bytes, "a").len() <= 16);
        prop_assert!(config::flags(&bytes).cluster_dns.len() <= 16);
    }

    #[test]
    fn text_like_yaml_is_read_or_refused(text in "(kind: Pod\n|metadata:\n|  name: [a-z\\[{&*!|>-]{0,4}\n|spec:\n|  containers:\n|  - name: a\n|    command: \\[[a-z, \"'-]{0,12}\\]\n|[ \t:&*{}\\[\\]!|>-]{0,6}\n){0,12}") {
        let rules = Rules::built_in();
        if let Ok(facts) = manifest::parse("/m".into(), text.as_bytes(), &rules) {
            prop_assert!(is_name(&facts.name));
        }
    }
}
