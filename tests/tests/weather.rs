//! Names in bad weather: sources that hang, processes that lie, people behind processes.

#![cfg(test)]

use serde_json::{Value, json};
use std::os::unix::net::UnixListener;
use tests::apiserver::{ApiServer, Start};
use tests::json::{list, number, text};
use tests::needs;
use tests::pair::Pair;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::tracer::{self, Tracer};
use tests::wait::seconds;

/// A pair with some held connections to port 5000.
fn connected(client: &str, count: usize) -> Pair {
    let mut pair = Pair::start(client, "server").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.dial("127.0.0.1:5000", count).unwrap();
    pair
}

/// The rows of `connections` in the pair's namespace.
fn connections(pair: &Pair, options: &[&str]) -> (Vec<Value>, Value) {
    let arguments: Vec<&str> = ["connections", "-o", "json"]
        .iter()
        .chain(options)
        .copied()
        .collect();
    let document = tracer::run(&arguments).unwrap().json().unwrap();
    let rows = tests::json::items(&document, pair.netns.inode());
    (rows.into_iter().cloned().collect(), document["meta"].clone())
}

#[test]
#[ignore = "needs root and BPF"]
fn sources_that_accept_and_never_answer_delay_no_connection_and_are_named() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let pair = connected("client", 5);
    let directory = Scratch::new().unwrap();
    // Its backlog takes connections; nobody ever reads from them.
    let socket = directory.join("cri.sock");
    let _hangs = UnixListener::bind(&socket).unwrap();
    let api = ApiServer::start(
        None,
        Start {
            argv: &["kube-apiserver"],
            ..Start::default()
        },
    )
    .unwrap();
    api.faults(&json!({"hang": true})).unwrap();
    let kubeconfig = api.kubeconfig();
    let options = [
        "--cri-socket",
        socket.to_str().unwrap(),
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ];
    let (rows, _) = connections(&pair, &options);
    assert_eq!(rows.len(), 5, "{rows:#?}");

    // Given time, it says which.
    let view = ["graph", "--watch", "--duration", &seconds(120), "-o", "json"];
    let arguments: Vec<&str> = view.iter().chain(&options).copied().collect();
    let mut tracer = Tracer::start_ready(&arguments).unwrap();
    tracer
        .wait_records("both sources are said to hang", |graphs| {
            let Some(last) = graphs.last() else { return false };
            let whats: Vec<&str> = list(last, "meta.health.degraded")
                .iter()
                .map(|one| text(one, "what"))
                .collect();
            let says = |word: &str| whats.iter().any(|what| what.contains(word));
            says("API server") && says("CRI")
        })
        .unwrap();
    let graph = tracer.interrupt().unwrap();
    assert_eq!(graph.code, Some(0));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_calls_itself_a_component_is_marked_in_every_view() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("liar", "server").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.ask("call etcd".to_owned()).unwrap();
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    let pid = u64::from(pair.client.pid());
    let (rows, _) = connections(&pair, &[]);
    let [row] = &rows[..] else { panic!("{rows:#?}") };
    assert_eq!(number(row, "source.process.pid"), pid);
    let says = text(row, "source.spoofed");
    assert!(says.contains("etcd") && says.contains("liar"), "{says}");
    assert_eq!(row["source"]["component"], Value::Null, "it is not what it says");
    assert_eq!(row["destination"]["spoofed"], Value::Null);
    let pid = pid.to_string();
    for arguments in [
        &["connections", "--pid", &pid][..],
        &["graph", "--pid", &pid, "--duration", "0"],
    ] {
        let shown = tracer::run(arguments).unwrap().stdout;
        assert!(shown.contains("SPOOFED"), "{arguments:?}: {shown}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn whoever_logged_in_is_behind_what_they_started() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut pair = Pair::start("etcdctl", "server").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.ask("login 0".to_owned()).unwrap();
    pair.client.dial("127.0.0.1:5000", 1).unwrap();
    let (rows, _) = connections(&pair, &[]);
    let [row] = &rows[..] else { panic!("{rows:#?}") };
    assert_eq!(text(row, "source.human.name"), "root", "{row:#}");
    assert_eq!(row["destination"]["human"], Value::Null, "a daemon has nobody");
    let arguments = [
        "explain",
        &pair.client.pid().to_string(),
        "--duration",
        "0",
        "-o",
        "json",
    ];
    let document = tracer::run(&arguments).unwrap().json().unwrap();
    let testimonies = list(&list(&list(&document, "items")[0], "ends")[0], "testimonies");
    let login = testimonies.iter().find(|one| text(one, "source") == "login");
    assert_eq!(login.map(|one| text(one, "says")), Some("root"), "{document:#}");
}
