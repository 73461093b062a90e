//! MPTCP: a connection with several paths is one connection, from its first subflow to its last.

#![cfg(test)]

use anyhow::{Result, ensure};
use serde_json::Value;
use std::net::IpAddr;
use std::process::Command;
use tests::binaries;
use tests::json::{self, destination, kind, list, name, number, pid, source, text};
use tests::listener::has_mptcp;
use tests::netns::Netns;
use tests::require::Need;
use tests::standin::{Standin, spawn};
use tests::tracer::{self, Tracer};
use tests::wait::{patience, until};
use tests::{needs, skipped};

const SERVER: &str = "10.61.1.2:5000";

/// Two namespaces with two ways between them, and MPTCP told to use both.
fn two_ways() -> Result<(Netns, Netns)> {
    let (near, far) = (Netns::new()?, Netns::new()?);
    for way in 1..=2_u8 {
        let (here, there) = (format!("near{way}"), format!("far{way}"));
        near.connect(&here, &far, &there)?;
        near.add_address(&here, IpAddr::from([10, 61, way, 1]), 24)?;
        far.add_address(&there, IpAddr::from([10, 61, way, 2]), 24)?;
    }
    mptcp(&near, "limits set subflow 2 add_addr_accepted 2")?;
    mptcp(&far, "limits set subflow 2 add_addr_accepted 2")?;
    mptcp(&far, "endpoint add 10.61.2.2 dev far2 signal")?;
    Ok((near, far))
}

fn mptcp(netns: &Netns, words: &str) -> Result<()> {
    let program = binaries::find("ip").unwrap_or_else(|| "ip".into());
    let mut command = Command::new(program);
    command.arg("mptcp").args(words.split(' '));
    ensure!(spawn(&mut command, netns)?.wait()?.success(), "ip mptcp {words}");
    Ok(())
}

/// The connections to the server's port that a snapshot shows.
fn shown(snapshot: &str) -> Result<Vec<Value>> {
    let arguments = [
        "connections",
        "--port",
        "5000",
        "-o",
        "json",
        "--snapshot",
        snapshot,
    ];
    let document = tracer::run(&arguments)?.json()?;
    Ok(list(&document, "items").to_vec())
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_over_two_paths_is_one_connection_at_the_start_and_while_it_lives() {
    if !needs![Need::Root, Need::Bpf, Need::Veth, Need::Program("ip")] {
        return;
    }
    if !has_mptcp() {
        skipped!("the kernel has no MPTCP");
        return;
    }
    let (near, far) = two_ways().unwrap();
    let mut server = Standin::start(&far, "answerer").unwrap();
    let mut client = Standin::start(&near, "caller").unwrap();
    // The other path comes to another address of it.
    server.listen("0.0.0.0:5000").unwrap();
    let mut tracer = Tracer::start_ready(&["events", "--port", "5000", "-o", "json"]).unwrap();
    client.ask(format_args!("dial-mptcp {SERVER} 1")).unwrap();
    client.ask("send 1000").unwrap();

    let rows = until("both paths are in use", patience(), || {
        let rows = shown("iterator")?;
        let whole = rows.iter().any(|row| list(row, "network.mptcp.paths").len() == 2);
        Ok(whole.then_some(rows))
    })
    .unwrap();
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let row = &rows[0];
    assert_eq!(pid(source(row)), u64::from(client.pid()), "{row}");
    assert_eq!(pid(destination(row)), u64::from(server.pid()), "{row}");
    assert_eq!(number(row, "stats.sent_bytes"), 1000, "{row}");
    let mut to: Vec<&str> = list(row, "network.mptcp.paths")
        .iter()
        .map(|path| text(path, "destination"))
        .collect();
    to.sort_unstable();
    assert_eq!(to[0], SERVER, "{row}");
    assert!(to[1].starts_with("10.61.2.2:"), "{row}");

    client.ask("close").unwrap();
    let closed = |records: &[Value]| records.iter().any(|record| kind(record) == "connection.closed");
    tracer.wait_records("it is closed", closed).unwrap();
    let records = tracer.interrupt().unwrap().records().unwrap();
    for (what, count) in [("opened", 1), ("closed", 1), ("failed", 0)] {
        let what = format!("connection.{what}");
        let found: Vec<&Value> = records.iter().filter(|record| kind(record) == what).collect();
        assert_eq!(found.len(), count, "{found:#?}");
        for record in found {
            assert_eq!(name(source(record)), "caller", "{record}");
            assert_eq!(name(destination(record)), "answerer", "{record}");
        }
    }
    let last = records
        .iter()
        .find(|record| kind(record) == "connection.closed")
        .unwrap();
    assert_eq!(number(last, "network.mptcp.subflows"), 2, "{last}");
    assert_eq!(number(last, "stats.sent_bytes"), 1000, "{last}");
    assert_eq!(json::lost_records(&records), 0);
}
