//! `listeners`, `connections` and `components` with `-o json`: documents of `items`.

use std::{io::Write, net::SocketAddr};

use serde::Serialize;

use super::{
    Document, Layout, List, Meta, Text,
    identity::Identity,
    network::{Network, Stats, shared_netns},
    party::{Attribution, BothAttributions, JsonParty, JsonProcess, JsonVia},
    write_document,
};
use crate::{
    event::TcpState,
    output::{Frame, SinkError, count::CountRow, units::Rfc3339},
    report::{ComponentRow, ConnectionRow, ListenerRow},
};

fn write<'a, R, I: Serialize>(
    out: &mut dyn Write,
    schema: &'static str,
    frame: &Frame<'_>,
    rows: &'a [R],
    item: fn(&'a R) -> I,
) -> Result<(), SinkError> {
    let document = Document {
        schema,
        meta: Meta::from(frame),
        items: List(rows.iter().map(item)),
    };
    write_document(out, &document, Layout::Pretty)
}

/// Writes `listeners`, schema `kcn-trace.listeners/v1`.
pub fn write_listeners(
    out: &mut dyn Write,
    frame: &Frame<'_>,
    rows: &[ListenerRow],
) -> Result<(), SinkError> {
    write(out, "kcn-trace.listeners/v1", frame, rows, |row| Listener {
        network: Network::new(&row.party, row.party.netns, TcpState::Listen),
        party: JsonParty::new(&row.party, row.party.netns),
        group: &row.group,
        connections: row.connections,
        attribution: Attribution::from(&*row.party.claim),
    })
}

#[derive(Serialize)]
struct Listener<'a> {
    network: Network,
    #[serde(flatten)]
    party: JsonParty<'a>,
    group: &'a str,
    connections: u64,
    attribution: Attribution<'a>,
}

/// Writes `connections`, schema `kcn-trace.connections/v1`.
pub fn write_connections(
    out: &mut dyn Write,
    frame: &Frame<'_>,
    rows: &[ConnectionRow],
) -> Result<(), SinkError> {
    write(out, "kcn-trace.connections/v1", frame, rows, |row| {
        let netns = shared_netns(&row.source, &row.destination);
        Connection {
            network: Network::of_row(row, netns),
            source: JsonParty::new(&row.source, netns),
            destination: JsonParty::new(&row.destination, netns),
            via: row.via.as_ref().map(JsonVia::from),
            since: row.since_unix_ns.map(Rfc3339),
            stats: Stats::of(row.counters, None),
            observer: Observer {
                side: row.side.name(),
            },
            attribution: BothAttributions::of(&row.source, &row.destination),
        }
    })
}

#[derive(Serialize)]
struct Connection<'a> {
    network: Network,
    source: JsonParty<'a>,
    destination: JsonParty<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<JsonVia<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Rfc3339>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
    observer: Observer,
    attribution: BothAttributions<'a>,
}

#[derive(Serialize)]
struct Observer {
    side: &'static str,
}

/// Writes `connections --count`, schema `kcn-trace.connection-counts/v1`.
pub fn write_counts(out: &mut dyn Write, frame: &Frame<'_>, rows: &[CountRow]) -> Result<(), SinkError> {
    write(out, "kcn-trace.connection-counts/v1", frame, rows, |row| {
        Counted {
            source: &row.source,
            destination: &row.destination,
            port: row.port,
            count: row.count,
            netns: (row.netns != 0).then_some(Text(row.netns)),
        }
    })
}

#[derive(Serialize)]
struct Counted<'a> {
    source: &'a str,
    destination: &'a str,
    port: u16,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<Text<u32>>,
}

/// Writes `components`, schema `kcn-trace.components/v1`.
pub fn write_components(
    out: &mut dyn Write,
    frame: &Frame<'_>,
    rows: &[ComponentRow],
) -> Result<(), SinkError> {
    write(out, "kcn-trace.components/v1", frame, rows, |row| Component {
        name: &row.name,
        group: &row.group,
        process: JsonProcess::from(&row.process),
        listening: &row.listening,
        identity: Identity::from(&*row.claim),
        attribution: Attribution::from(&*row.claim),
    })
}

#[derive(Serialize)]
struct Component<'a> {
    name: &'a str,
    group: &'a str,
    process: JsonProcess<'a>,
    listening: &'a [SocketAddr],
    #[serde(flatten)]
    identity: Identity<'a>,
    attribution: Attribution<'a>,
}
