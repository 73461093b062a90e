//! Connections that the kernel translates on their way: one edge from the client to the backend, with what was dialled.

#![cfg(test)]

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::IpAddr;
use std::process::Command;
use tests::binaries;
use tests::json::{self, Edge, destination, name, number, pid, port, source, text};
use tests::needs;
use tests::netns::Netns;
use tests::require::Need;
use tests::standin::Standin;
use tests::tracer::{self, Tracer};
use tests::wait::{patience, seconds, until_true};

const OPENED: &str = "connection.opened";
const CLOSED: &str = "connection.closed";

/// A node that translates as kube-proxy has it done, between a pod that dials and a pod that answers.
struct Node {
    // Dropped in this order: nobody is left to dial a server that is gone.
    client: Standin,
    server: Standin,
    /// A namespace is looked into while a process lives in it.
    _resident: Standin,
    number: u8,
    client_pod: Netns,
    _server_pod: Netns,
    host: Netns,
}

impl Node {
    /// Services on 10.96.N.10: 80 goes to port 8080 of the server, 90 to 9090 and is masqueraded. Each test has a number of
    /// its own: the addresses of pods are the same to everybody on a machine.
    fn start(number: u8) -> Result<Self> {
        let (host, client_pod, server_pod) = (Netns::new()?, Netns::new()?, Netns::new()?);
        for (pod, device, side) in [(&client_pod, "client0", 1), (&server_pod, "server0", 2)] {
            let gateway = address([10, number, side, 1]);
            host.connect(device, pod, "eth0")?;
            host.add_address(device, gateway, 24)?;
            pod.add_address("eth0", address([10, number, side, 2]), 24)?;
            pod.route_via(address([0, 0, 0, 0]), 0, gateway)?;
        }
        host.sysctl("ipv4/ip_forward", "1")?;
        let node = Self {
            client: Standin::start(&client_pod, "caller")?,
            server: Standin::start(&server_pod, "answerer")?,
            _resident: Standin::start(&host, "resident")?,
            number,
            client_pod,
            _server_pod: server_pod,
            host,
        };
        let (service, server) = (node.service(), format!("10.{number}.2.2"));
        for (from, to) in [("70", "7070"), ("80", "8080"), ("90", "9090"), ("99", "9999")] {
            iptables(
                &node.host,
                &format!(
                    "-A PREROUTING -d {service}/32 -p tcp --dport {from} -j DNAT --to-destination {server}:{to}"
                ),
            )?;
        }
        iptables(
            &node.host,
            &format!("-A POSTROUTING -d {server}/32 -p tcp --dport 9090 -j MASQUERADE"),
        )?;
        Ok(node)
    }

    fn service(&self) -> String {
        format!("10.96.{}.10", self.number)
    }

    /// Edges from the one who dials to the one who answers: port, connections, address and port dialled.
    fn edges(&self, graph: &Value) -> Vec<(u64, u64, String, u64)> {
        let all = json::edges(graph, self.client_pod.inode());
        let dialled = |edge: &Edge| name(&edge.source) == "caller";
        let mut edges: Vec<_> = all
            .iter()
            .filter(|edge| dialled(edge))
            .map(|edge| {
                assert_eq!(name(&edge.destination), "answerer", "{edge:?}");
                (
                    number(&edge.edge, "port"),
                    edge.count("opened"),
                    text(&edge.edge, "via.address").to_owned(),
                    number(&edge.edge, "via.port"),
                )
            })
            .collect();
        edges.sort();
        edges
    }
}

/// Adds a rule that translates.
fn iptables(netns: &Netns, rule: &str) -> Result<()> {
    let program = binaries::find("iptables").context("no iptables")?;
    // The lock is a file of the machine's, which others may hold.
    let mut command = Command::new(program);
    command.args(["-w", "20", "-t", "nat"]).args(rule.split(' '));
    let output = netns.inside(|| command.output())??;
    if !output.status.success() {
        bail!("iptables {rule}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn address(octets: [u8; 4]) -> IpAddr {
    octets.into()
}

#[test]
#[ignore = "needs root and BPF"]
fn a_service_is_one_edge_to_its_backend_with_what_was_dialled() {
    if !needs![Need::Root, Need::Bpf, Need::Veth, Need::Program("iptables")] {
        return;
    }
    let mut node = Node::start(71).unwrap();
    for port in [8080, 9090] {
        node.server.listen(&format!("0.0.0.0:{port}")).unwrap();
    }
    let service = node.service();
    node.client.dial(&format!("{service}:80"), 3).unwrap();
    node.client.dial(&format!("{service}:90"), 2).unwrap();
    node.client.dial("10.71.2.2:8080", 1).unwrap();
    let graph = tracer::run(&["graph", "--duration", &seconds(2), "-o", "json"])
        .unwrap()
        .json()
        .unwrap();
    let want = [
        (8080, 1, String::new(), 0),
        (8080, 3, service.clone(), 80),
        (9090, 2, service, 90),
    ];
    assert_eq!(node.edges(&graph), want, "older than the tracer: {graph}");
}

#[test]
#[ignore = "needs root and BPF"]
fn translated_connections_are_joined_as_they_come() {
    if !needs![Need::Root, Need::Bpf, Need::Veth, Need::Program("iptables")] {
        return;
    }
    let mut node = Node::start(72).unwrap();
    for port in [7070, 8080, 9090] {
        node.server.listen(&format!("0.0.0.0:{port}")).unwrap();
    }
    let service = node.service();
    node.client.dial(&format!("{service}:70"), 1).unwrap();
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    let (caller, answerer) = (u64::from(node.client.pid()), u64::from(node.server.pid()));
    let both = |record: &Value| pid(source(record)) == caller && pid(destination(record)) == answerer;
    let own = |records: &[Value], kind: &str| -> Vec<Value> {
        let of_either =
            |record: &&Value| pid(source(record)) == caller || pid(destination(record)) == answerer;
        let all = records.iter().filter(|record| json::kind(record) == kind);
        all.filter(of_either)
            .filter(|record| ![70, 7070].contains(&port(destination(record))))
            .cloned()
            .collect()
    };
    // Until the first is told with both its ends, the table may not be watched yet.
    until_true("a joined connection", patience(), || {
        node.client.dial_close(&format!("{service}:70"), 1)?;
        let records = tracer.records()?;
        Ok(records
            .iter()
            .any(|record| json::kind(record) == CLOSED && both(record)))
    })
    .unwrap();
    for (from, count) in [(80, 20), (90, 20)] {
        node.client
            .dial_close(&format!("{service}:{from}"), count)
            .unwrap();
    }
    let records = tracer
        .wait_records("40 closed", |records| own(records, CLOSED).len() >= 40)
        .unwrap();
    for kind in [OPENED, CLOSED] {
        let all = own(&records, kind);
        assert_eq!(all.len(), 40, "{kind}: each once");
        for record in &all {
            assert!(both(record), "{kind}: {record}");
            assert_eq!(text(destination(record), "address"), "10.72.2.2", "{kind}");
            assert_eq!(text(source(record), "address"), "10.72.1.2", "{kind}");
        }
    }
    // Nobody listens behind this one.
    node.client.ask(format!("try {service}:99 1")).unwrap();
    let records = tracer
        .wait_records("a failed connect", |records| {
            !own(records, "connection.failed").is_empty()
        })
        .unwrap();
    let failed = own(&records, "connection.failed");
    assert_eq!(text(&failed[0], "error.type"), "refused");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_redirect_in_a_pod_is_joined_from_its_first_connection_on() {
    if !needs![Need::Root, Need::Bpf, Need::Veth, Need::Program("iptables")] {
        return;
    }
    // A pod with a sidecar: what it sends to a service is redirected to the sidecar's port, within the pod.
    let (pod, gateway) = (Netns::new().unwrap(), Netns::new().unwrap());
    gateway.connect("pod0", &pod, "eth0").unwrap();
    gateway.add_address("pod0", address([10, 75, 1, 1]), 24).unwrap();
    pod.add_address("eth0", address([10, 75, 1, 2]), 24).unwrap();
    pod.route_via(address([0, 0, 0, 0]), 0, address([10, 75, 1, 1]))
        .unwrap();
    iptables(
        &pod,
        "-A OUTPUT -p tcp -d 10.96.75.9/32 --dport 80 -j REDIRECT --to-ports 15001",
    )
    .unwrap();
    let mut sidecar = Standin::start(&pod, "sidecar").unwrap();
    let mut app = Standin::start(&pod, "app").unwrap();
    sidecar.listen("0.0.0.0:15001").unwrap();
    // Nothing has passed its table so far.
    let mut tracer = Tracer::start_ready(&["events", "-o", "json"]).unwrap();
    app.dial_close("10.96.75.9:80", 5).unwrap();
    let records = tracer
        .wait_records("all are closed", |records| {
            json::records(records, CLOSED, pod.inode()).len() >= 5
        })
        .unwrap();
    for kind in [OPENED, CLOSED] {
        let own = json::records(&records, kind, pod.inode());
        assert_eq!(own.len(), 5, "{kind}: each once, {own:#?}");
        for record in own {
            let ends = (pid(source(record)), pid(destination(record)));
            assert_eq!(ends, (app.pid().into(), sidecar.pid().into()), "{kind}: {record}");
            assert_eq!(port(destination(record)), 15001, "{kind}: {record}");
        }
    }
}
