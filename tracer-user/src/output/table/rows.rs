//! `listeners`, `connections` and `components` as tables.

use std::{io::Write, net::IpAddr};

use super::{Align, Cell, Table};
use crate::{
    attribute::{Claim, Who, place::Via},
    output::{
        Frame, SinkError,
        count::CountRow,
        escape::Word,
        name::{Evidence, Marks, Name, Named, ViaText},
        style::{Paint, Tone},
        units::{Bytes, Span},
    },
    report::{ComponentRow, ConnectionRow, ListenerRow, Party, ProcessRef, Side},
};

/// Writes `listeners`: `netstat -nltp` with names.
pub fn write_listeners(out: &mut dyn Write, rows: &[ListenerRow], paint: Paint) -> Result<(), SinkError> {
    let mut table = Table::new([
        ("LISTENER", Align::Left),
        ("ADDRESS", Align::Left),
        ("SCOPE", Align::Left),
        ("CONNS", Align::Right),
        ("PID", Align::Right),
        ("USER", Align::Right),
        ("NETWORK", Align::Left),
        ("EVIDENCE", Align::Left),
    ]);
    for row in rows {
        let process = row.party.process.as_ref();
        table.row([
            who(&row.party.claim),
            row.party.address.into(),
            scope(row.party.address.ip(), row.family_v6).into(),
            row.connections.into(),
            process.map_or_else(Cell::none, |process| process.tgid.into()),
            process.map_or_else(Cell::none, |process| process.uid.into()),
            Word(&row.group).into(),
            Cell::new(Evidence(&row.party.claim).to_string(), Tone::Quiet),
        ]);
    }
    table.write(out, paint)
}

/// Who can reach a listening socket.
const fn scope(ip: IpAddr, family_v6: bool) -> &'static str {
    match ip {
        ip if ip.is_loopback() => "loopback",
        ip if !ip.is_unspecified() => "one address",
        // `[::]` takes IPv4 too, unless IPV6_V6ONLY is set, which the kernel does not tell here.
        IpAddr::V6(_) => "any",
        IpAddr::V4(_) if family_v6 => "any",
        IpAddr::V4(_) => "any IPv4",
    }
}

/// Writes `connections`: `netstat -anp`, each connection once. `frame` tells the time the ages are from.
pub fn write_connections(
    out: &mut dyn Write,
    frame: &Frame<'_>,
    rows: &[ConnectionRow],
    paint: Paint,
) -> Result<(), SinkError> {
    let (_, now_unix_ns) = frame.window_unix_ns;
    let mut table = Table::new([
        ("SOURCE", Align::Left),
        ("ADDRESS", Align::Left),
        ("DESTINATION", Align::Left),
        ("ADDRESS", Align::Left),
        ("STATE", Align::Left),
        ("AGE", Align::Right),
        ("SENT", Align::Right),
        ("RECEIVED", Align::Right),
        ("RTT", Align::Right),
        ("RETRANS", Align::Right),
        ("SEEN", Align::Left),
        ("VIA", Align::Left),
    ]);
    for row in rows {
        let age_ns = row
            .since_unix_ns
            .and_then(|since| u64::try_from(now_unix_ns.saturating_sub(since)).ok());
        let rtt_us = row
            .counters
            .map(|counters| counters.rtt_us)
            .filter(|rtt_us| *rtt_us != 0);
        table.row([
            end(&row.source),
            row.source.address.into(),
            end(&row.destination),
            row.destination.address.into(),
            row.state.name().into(),
            age_ns.map_or_else(|| Cell::new("before start", Tone::Quiet), |ns| Span(ns).into()),
            row.counters
                .map_or_else(Cell::none, |counters| Bytes(counters.sent_bytes).into()),
            row.counters
                .map_or_else(Cell::none, |counters| Bytes(counters.received_bytes).into()),
            rtt_us.map_or_else(Cell::none, |us| Span(u64::from(us) * 1000).into()),
            row.counters
                .map_or_else(Cell::none, |counters| counters.retransmits.into()),
            Cell::new(seen(row), Tone::Quiet),
            row.via.as_ref().map_or_else(Cell::none, via_cell),
        ]);
    }
    table.write(out, paint)
}

fn seen(row: &ConnectionRow) -> String {
    let side = match row.side {
        Side::Both => "both ends",
        Side::Source => "source end",
        Side::Destination => "destination end",
    };
    let mut words = vec![side.to_owned()];
    if row.paths.len() > 1 {
        words.push(format!("{} subflows", row.paths.len()));
    }
    if row.direction_guessed {
        words.push("direction guessed".to_owned());
    }
    words.join(", ")
}

/// Writes `connections --count`.
pub fn write_counts(out: &mut dyn Write, rows: &[CountRow], paint: Paint) -> Result<(), SinkError> {
    let mut table = Table::new([
        ("COUNT", Align::Right),
        ("SOURCE", Align::Left),
        ("DESTINATION", Align::Left),
        ("PORT", Align::Right),
        ("NETNS", Align::Right),
    ]);
    for row in rows {
        let netns = if row.netns == 0 {
            Cell::none()
        } else {
            row.netns.into()
        };
        let (source, destination) = (Word(&row.source).into(), Word(&row.destination).into());
        table.row([row.count.into(), source, destination, row.port.into(), netns]);
    }
    table.write(out, paint)
}

/// Writes `components`.
pub fn write_components(out: &mut dyn Write, rows: &[ComponentRow], paint: Paint) -> Result<(), SinkError> {
    let mut table = Table::new([
        ("COMPONENT", Align::Left),
        ("PID", Align::Right),
        ("USER", Align::Right),
        ("COMMAND", Align::Left),
        ("NETWORK", Align::Left),
        ("LISTENING", Align::Left),
        ("EVIDENCE", Align::Left),
    ]);
    for row in rows {
        let ProcessRef { tgid, uid, comm, .. } = &row.process;
        let listening: Vec<String> = row.listening.iter().map(ToString::to_string).collect();
        table.row([
            Cell::new(format!("{}{}", Word(&row.name), Marks(&row.claim)), Tone::Strong),
            tgid.into(),
            uid.into(),
            Word(comm).into(),
            Word(&row.group).into(),
            Cell::new(listening.join(","), Tone::Plain),
            Cell::new(Evidence(&row.claim).to_string(), Tone::Quiet),
        ]);
    }
    table.write(out, paint)
}

fn end(party: &Party) -> Cell {
    Cell::new(Named(party).to_string(), tone(&party.claim))
}

fn who(claim: &Claim) -> Cell {
    Cell::new(format!("{}{}", Name(claim), Marks(claim)), tone(claim))
}

fn via_cell(via: &Via) -> Cell {
    let text = ViaText(via).to_string();
    Cell::new(text.trim_start_matches("via "), Tone::Plain)
}

const fn tone(claim: &Claim) -> Tone {
    if claim.place.spoofed.is_some() {
        return Tone::Bad;
    }
    match claim.who {
        Who::Component { .. } | Who::Pod(_) => Tone::Strong,
        Who::Process { .. } | Who::Service { .. } | Who::Node { .. } | Who::External { .. } => Tone::Plain,
        Who::Unknown { .. } => Tone::Doubt,
    }
}
