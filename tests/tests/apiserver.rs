//! The stand-in API server itself: it lists, watches and fails as a real one does.

#![cfg(test)]

use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use tests::apiserver::{ApiServer, Start};
use tests::etcd::{Addresses, Etcd};
use tests::json::{list, text};
use tests::needs;
use tests::netns::Netns;
use tests::require::Need;
use tests::wait::{patience, until_true};
use tests::witness::{self, ESTABLISHED};

const PODS: &str = "/api/v1/pods";

fn server() -> ApiServer {
    ApiServer::start(None, Start::default()).unwrap()
}

fn server_with(options: &[(&str, &str)]) -> ApiServer {
    let start = Start {
        options,
        ..Start::default()
    };
    ApiServer::start(None, start).unwrap()
}

fn pod(name: &str, app: &str) -> Value {
    json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
        "spec": {"nodeName": "controlplane", "containers": [{"name": "main", "image": "main:1"}]},
    })
}

fn get(server: &ApiServer, path: &str) -> Value {
    let (code, answer) = server.ask("GET", path, None).unwrap();
    assert_eq!(code, 200, "{path}: {answer}");
    answer
}

fn names(answer: &Value) -> Vec<&str> {
    let items = list(answer, "items").iter();
    items.map(|item| text(item, "metadata.name")).collect()
}

fn version(object: &Value) -> u64 {
    text(object, "metadata.resourceVersion").parse().unwrap()
}

/// The present version of all objects.
fn now(server: &ApiServer) -> u64 {
    version(&get(server, "/api/v1/nodes"))
}

#[test]
fn lists_are_those_of_the_real_node() {
    let server = server();
    let web = ["web-c796d44f6-jdgtf", "web-c796d44f6-v5ngw"];
    let table: &[(&str, &str, &[&str])] = &[
        ("a namespace's pods", "/api/v1/namespaces/default/pods", &web),
        ("an empty namespace has none", "/api/v1/namespaces/none/pods", &[]),
        ("by label", "/api/v1/pods?labelSelector=app%3Dweb", &web),
        (
            "by another label's lack",
            "/api/v1/pods?labelSelector=app!%3Dweb,!component",
            &["client-59fbd48878-bsrxc"],
        ),
        (
            "by name",
            "/api/v1/pods?fieldSelector=metadata.name%3Detcd-controlplane",
            &["etcd-controlplane"],
        ),
        (
            "by a node without pods",
            "/api/v1/pods?fieldSelector=spec.nodeName%3Dother",
            &[],
        ),
        (
            "by node and label",
            "/api/v1/pods?fieldSelector=spec.nodeName=controlplane&labelSelector=app==web",
            &web,
        ),
        ("nodes", "/api/v1/nodes", &["controlplane"]),
        ("services", "/api/v1/services", &["kubernetes", "web"]),
        (
            "endpoint slices",
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            &["kubernetes", "web-l7gw7"],
        ),
        (
            "replica sets",
            "/apis/apps/v1/replicasets",
            &["web-c796d44f6", "client-59fbd48878"],
        ),
    ];
    for (sentence, path, expected) in table {
        assert_eq!(names(&get(&server, path)), *expected, "{sentence}");
    }
    let pods = get(&server, PODS);
    assert_eq!((text(&pods, "kind"), list(&pods, "items").len()), ("PodList", 7));
    assert_eq!(version(&pods), 579, "the version of the real list");
    assert!(
        list(&pods, "items")[0].get("kind").is_none(),
        "items of a real list have no kind"
    );
    let one = get(&server, "/api/v1/namespaces/kube-system/pods/etcd-controlplane");
    assert_eq!((text(&one, "kind"), text(&one, "apiVersion")), ("Pod", "v1"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_cannot_be_answered_is_refused_as_the_api_refuses() {
    let server = server();
    let made = pod("web-c796d44f6-jdgtf", "web");
    let mut stale = made.clone();
    stale["metadata"]["resourceVersion"] = "1".into();
    let own = "/api/v1/namespaces/default/pods/web-c796d44f6-jdgtf";
    let all = "/api/v1/namespaces/default/pods";
    let table = [
        ("an unknown path", "GET", "/openapi/v3", None, 404, "NotFound"),
        (
            "an unknown object",
            "GET",
            "/api/v1/namespaces/default/pods/none",
            None,
            404,
            "NotFound",
        ),
        (
            "an unknown field",
            "GET",
            "/api/v1/pods?fieldSelector=spec.x%3D1",
            None,
            400,
            "BadRequest",
        ),
        (
            "a version that is no number",
            "GET",
            "/api/v1/pods?resourceVersion=x",
            None,
            400,
            "BadRequest",
        ),
        (
            "a version of the future",
            "GET",
            "/api/v1/pods?resourceVersion=99999",
            None,
            504,
            "Timeout",
        ),
        (
            "a token that is none",
            "GET",
            "/api/v1/pods?continue=x",
            None,
            400,
            "BadRequest",
        ),
        (
            "a second object of a name",
            "POST",
            all,
            Some(&made),
            409,
            "AlreadyExists",
        ),
        (
            "a change of an old version",
            "PUT",
            own,
            Some(&stale),
            409,
            "Conflict",
        ),
        (
            "a pod as a node",
            "POST",
            "/api/v1/nodes",
            Some(&made),
            400,
            "BadRequest",
        ),
        (
            "a method without meaning",
            "DELETE",
            all,
            None,
            405,
            "MethodNotAllowed",
        ),
    ];
    for (sentence, method, path, body, code, reason) in table {
        let (given, answer) = server.ask(method, path, body).unwrap();
        assert_eq!((given, text(&answer, "reason")), (code, reason), "{sentence}");
        assert_eq!(text(&answer, "kind"), "Status", "{sentence}");
    }
}

#[test]
fn all_pages_of_a_list_show_the_same_moment() {
    let server = server();
    let whole = get(&server, PODS);
    let mut seen = Vec::new();
    let mut page = get(&server, "/api/v1/pods?limit=3");
    server
        .delete("/api/v1/namespaces/shop/pods/client-59fbd48878-bsrxc")
        .unwrap();
    server.put(&pod("made", "web")).unwrap();
    loop {
        assert_eq!(version(&page), version(&whole));
        seen.extend(names(&page).into_iter().map(str::to_owned));
        let token = text(&page, "metadata.continue").to_owned();
        if token.is_empty() {
            break;
        }
        page = get(&server, &format!("/api/v1/pods?limit=3&continue={token}"));
    }
    let mut expected = names(&whole);
    expected.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, expected);

    let page = get(&server, "/api/v1/pods?limit=3");
    assert_eq!(tests::json::number(&page, "metadata.remainingItemCount"), 4);
    server.faults(&json!({"compact": true})).unwrap();
    let token = text(&page, "metadata.continue");
    let (code, answer) = server
        .ask("GET", &format!("/api/v1/pods?limit=3&continue={token}"), None)
        .unwrap();
    assert_eq!((code, text(&answer, "reason")), (410, "Expired"));
}

#[test]
fn a_watch_tells_every_change_after_its_version() {
    let server = server();
    let own = "/api/v1/namespaces/default/pods/made";
    let begun = now(&server);
    server.put(&pod("made", "web")).unwrap();
    let path = format!("{PODS}?resourceVersion={begun}");
    let mut watch = server.watch(&path).unwrap();
    let mut selective = server
        .watch(&format!("{path}&labelSelector=app%3Dother"))
        .unwrap();
    server.put(&pod("made", "other")).unwrap();
    let (code, _) = server
        .ask(
            "PATCH",
            own,
            Some(&json!({"metadata": {"labels": {"app": "third"}}})),
        )
        .unwrap();
    assert_eq!(code, 200);
    server.delete(own).unwrap();

    let mut last = begun;
    for expected in ["ADDED", "MODIFIED", "MODIFIED", "DELETED"] {
        let (kind, object) = watch.event().unwrap();
        assert_eq!((kind.as_str(), text(&object, "kind")), (expected, "Pod"));
        assert!(version(&object) > last);
        last = version(&object);
    }
    for (expected, app) in [("ADDED", "other"), ("DELETED", "other")] {
        let (kind, object) = selective.event().unwrap();
        assert_eq!(
            (kind.as_str(), text(&object, "metadata.labels.app")),
            (expected, app),
            "an object comes and goes with its label"
        );
    }
}

#[test]
fn a_watch_without_version_begins_with_all_objects() {
    let server = server();
    let mut plain = server.watch("/api/v1/services").unwrap();
    let streamed = "/api/v1/services?sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let mut streamed = server
        .watch(&format!("{streamed}&allowWatchBookmarks=true"))
        .unwrap();
    for watch in [&mut plain, &mut streamed] {
        for name in ["kubernetes", "web"] {
            let (kind, object) = watch.event().unwrap();
            assert_eq!((kind.as_str(), text(&object, "metadata.name")), ("ADDED", name));
        }
    }
    let (kind, object) = streamed.event().unwrap();
    assert_eq!((kind.as_str(), version(&object)), ("BOOKMARK", now(&server)));
    assert_eq!(
        object.pointer("/metadata/annotations/k8s.io~1initial-events-end"),
        Some(&json!("true"))
    );
}

#[test]
fn bookmarks_carry_the_version_of_changes_elsewhere() {
    let server = server_with(&[("--bookmark-ms", "20")]);
    let begun = now(&server);
    let path = format!("/api/v1/nodes?resourceVersion={begun}&allowWatchBookmarks=true&timeoutSeconds=1");
    let mut watch = server.watch(&path).unwrap();
    server.put(&pod("made", "web")).unwrap();
    until_true("a bookmark carries the pod's version", patience(), || {
        let (kind, object) = watch.event()?;
        assert_eq!((kind.as_str(), text(&object, "kind")), ("BOOKMARK", "Node"));
        Ok(version(&object) > begun)
    })
    .unwrap();
    while watch.line().unwrap().is_some() {}
    assert_eq!(server.count("watch nodes").unwrap(), 1);
}

#[test]
fn a_version_that_the_history_lacks_is_gone() {
    let server = server_with(&[("--history", "2")]);
    let begun = now(&server);
    let path = format!("{PODS}?resourceVersion={begun}");
    for name in ["one", "two", "three"] {
        server.put(&pod(name, "web")).unwrap();
    }
    let mut watch = server.watch(&path).unwrap();
    let (kind, status) = watch.event().unwrap();
    assert_eq!((kind.as_str(), text(&status, "reason")), ("ERROR", "Expired"));
    assert_eq!(tests::json::number(&status, "code"), 410);
    assert_eq!(watch.line().unwrap(), None);

    let path = format!("{PODS}?resourceVersion={}", begun + 1);
    assert_eq!(server.watch(&path).unwrap().event().unwrap().0, "ADDED");
    server.faults(&json!({"gone": 1, "gone_status": 1})).unwrap();
    let refused = server.watch(&path).unwrap_err().to_string();
    assert!(refused.ends_with("410"), "{refused}");
    assert_eq!(server.watch(&path).unwrap().event().unwrap().0, "ERROR");
    assert_eq!(server.watch(&path).unwrap().event().unwrap().0, "ADDED");
}

#[test]
fn faults_come_and_go() {
    let server = server_with(&[("--faults", r#"{"forbidden": ["pods"]}"#)]);
    let code = |path| server.ask("GET", path, None).unwrap().0;
    assert_eq!((code(PODS), code("/api/v1/nodes")), (403, 200));
    server.faults(&json!({"forbidden": [], "error": true})).unwrap();
    assert_eq!((code(PODS), code("/version")), (500, 500));
    for held_up in [
        json!({"error": false, "hang": true}),
        json!({"hang": false, "slow_ms": 400}),
    ] {
        server.faults(&held_up).unwrap();
        let answer = server.ask_within(Duration::from_millis(100), "GET", PODS, None);
        assert!(answer.is_err(), "{held_up}");
    }
    server.faults(&json!({"slow_ms": 0})).unwrap();
    assert_eq!(code(PODS), 200);
    assert_eq!(server.count("list pods").unwrap(), 5);
    assert!(server.faults(&json!({"hung": true})).is_err());
}

#[test]
fn a_watch_can_be_disturbed() {
    let server = server();
    let begun = now(&server);
    let path = format!("{PODS}?resourceVersion={begun}");
    let mut watch = server.watch(&path).unwrap();
    server.wait_count("watches", 1).unwrap();
    server.faults(&json!({"garbage": true})).unwrap();
    let line = watch.line().unwrap().unwrap();
    assert!(serde_json::from_str::<Value>(&line).is_err(), "{line}");

    server.faults(&json!({"giant_mib": 2})).unwrap();
    assert!(watch.line().unwrap().unwrap().len() > 2 << 20);
    server.faults(&json!({"flood_pods": 300})).unwrap();
    for _ in 0..300 {
        assert_eq!(watch.event().unwrap().0, "ADDED");
    }

    server.faults(&json!({"hang": true})).unwrap();
    server.faults(&json!({"flood_pods": 1, "hang": false})).unwrap();
    assert_eq!(watch.event().unwrap().0, "MODIFIED", "nothing is lost by a hang");
    server.faults(&json!({"drop_watches": true})).unwrap();
    assert!(watch.line().is_err(), "cut, without the end of a stream");
    until_true("nobody watches", patience(), || Ok(server.count("watches")? == 0)).unwrap();
}

#[test]
fn after_a_restart_from_a_backup_versions_are_lower() {
    let server = server();
    let path = format!("{PODS}?resourceVersion={}", now(&server));
    let mut watch = server.watch(&path).unwrap();
    server.faults(&json!({"restart_at": 10})).unwrap();
    assert!(watch.line().is_err());
    assert_eq!(now(&server), 10);
    assert_eq!(version(&list(&get(&server, PODS), "items")[0]), 10);
    assert_eq!(
        server.ask("GET", &path, None).unwrap().0,
        504,
        "its version is of the future now"
    );
}

#[test]
fn it_starts_again_on_its_port_under_its_name() {
    let start = Start {
        argv: &["kube-apiserver", "--secure-port=6443"],
        ..Start::default()
    };
    let mut server = ApiServer::start(None, start).unwrap();
    let address = server.address();
    let line = fs::read_to_string(format!("/proc/{}/cmdline", server.pid())).unwrap();
    assert_eq!(line, "kube-apiserver\0--secure-port=6443\0");
    let name = fs::read_to_string(format!("/proc/{}/comm", server.pid())).unwrap();
    assert_eq!(name, "kube-apiserver\n");
    server.stop().unwrap();
    assert!(server.ask("GET", "/version", None).is_err());
    server.start_again().unwrap();
    assert_eq!(server.address(), address);
    assert_eq!(text(&get(&server, "/version"), "minor"), "36");
}

#[test]
fn kubectl_reads_and_changes_the_same_objects() {
    if !needs![Need::Program("kubectl")] {
        return;
    }
    let server = server();
    let all = "get pods --all-namespaces --chunk-size=3 -o name";
    let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
    let pods = server.kubectl(&words(all)).unwrap();
    let expected: Vec<_> = names(&get(&server, PODS))
        .iter()
        .map(|name| format!("pod/{name}"))
        .collect();
    assert_eq!(pods.lines().collect::<Vec<_>>(), expected);
    let slices = server
        .kubectl(&words("get endpointslices,rs -A -o name"))
        .unwrap();
    assert!(
        slices.contains("endpointslice.discovery.k8s.io/web-l7gw7"),
        "{slices}"
    );
    assert!(slices.contains("replicaset.apps/web-c796d44f6"), "{slices}");

    server
        .kubectl(&words("label pod web-c796d44f6-jdgtf app=other --overwrite"))
        .unwrap();
    server.kubectl(&words("delete pod web-c796d44f6-v5ngw")).unwrap();
    let left = get(&server, "/api/v1/namespaces/default/pods?labelSelector=app=other");
    assert_eq!(names(&left), ["web-c796d44f6-jdgtf"]);
    server.faults(&json!({"forbidden": ["pods"]})).unwrap();
    let refused = server.kubectl(&words(all)).unwrap_err().to_string();
    assert!(refused.contains("Forbidden"), "{refused}");
}

#[test]
#[ignore = "needs root"]
fn objects_in_a_real_etcd_outlive_the_server() {
    if !needs![Need::Root, Need::Program("etcd"), Need::Program("etcdctl")] {
        return;
    }
    let netns = Netns::new().unwrap();
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let addresses = Addresses {
        client: &[at(12379)],
        peer: at(12380),
        metrics: at(12381),
    };
    let etcd = Etcd::start(&netns, addresses, None).unwrap();
    let start = Start {
        etcd: Some(at(12379)),
        etcd_connections: 20,
        ..Start::default()
    };
    let mut server = ApiServer::start(Some(&netns), start).unwrap();
    let owners = witness::owners(&[server.pid()]).unwrap();
    let held = witness::sockets(&netns).unwrap().into_iter().filter(|socket| {
        socket.state == ESTABLISHED && socket.remote == at(12379) && owners.contains_key(&socket.inode)
    });
    assert_eq!(held.count(), 20, "connections to etcd stay open");

    server.put(&pod("made", "web")).unwrap();
    server
        .delete("/api/v1/namespaces/shop/pods/client-59fbd48878-bsrxc")
        .unwrap();
    let before = get(&server, PODS);
    let stored = etcd
        .ctl(&netns, &["get", "/registry/pods/", "--prefix", "--keys-only"])
        .unwrap();
    let keys: Vec<_> = stored.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(keys.len(), list(&before, "items").len());
    assert!(keys.contains(&"/registry/pods/default/made"), "{keys:?}");

    server.start_again().unwrap();
    assert_eq!(get(&server, PODS), before);
    let path = format!("{PODS}?resourceVersion={}", version(&before));
    let mut watch = server.watch(&path).unwrap();
    server.faults(&json!({"giant_mib": 2})).unwrap();
    server.delete("/api/v1/namespaces/default/pods/giant").unwrap();
    server.put(&pod("made", "other")).unwrap();
    for expected in ["ADDED", "DELETED", "MODIFIED"] {
        assert_eq!(watch.event().unwrap().0, expected);
    }
}
