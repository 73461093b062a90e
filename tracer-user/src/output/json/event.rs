//! `events -o json`: one object a line, schema `kcn-trace.event/v1`.

use std::io::Write;

use serde::Serialize;

use super::{
    network::{Network, Stats, shared_netns},
    party::{Attribution, BothAttributions, JsonParty, JsonVia},
    session::{self, Record, SCHEMA},
};
use crate::{
    event::TcpState,
    graph::Health,
    output::{EventSink, Loss, SinkError, escape::Safe, units::Rfc3339},
    report::{Happened, Happening},
    signal::{Degraded, Session},
};

/// The stream as JSON lines. Keeps one buffer, so that a line costs no allocation.
#[derive(Debug, Default)]
pub struct JsonEvents {
    line: Vec<u8>,
    /// Backend of the state program, from the session.
    backend: Option<String>,
}

impl JsonEvents {
    /// A stream that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    fn write(line: &mut Vec<u8>, out: &mut dyn Write, value: &impl Serialize) -> Result<(), SinkError> {
        line.clear();
        let mut serializer = serde_json::Serializer::with_formatter(&mut *line, Safe::line());
        value.serialize(&mut serializer).map_err(std::io::Error::from)?;
        line.push(b'\n');
        Ok(out.write_all(line)?)
    }
}

impl EventSink for JsonEvents {
    fn start(&mut self, out: &mut dyn Write, session: &Session, at_unix_ns: i64) -> Result<(), SinkError> {
        let state = session.backends.iter().find(|backend| backend.program == "state");
        self.backend = state.map(|backend| backend.backend.clone());
        Self::write(
            &mut self.line,
            out,
            &Record::new("meta", at_unix_ns, session::Start::from(session)),
        )
    }

    fn happening(&mut self, out: &mut dyn Write, happening: &Happening) -> Result<(), SinkError> {
        let observer = Observer {
            side: happening.side.name(),
            backend: self.backend.as_deref(),
        };
        let (r#type, state, listens) = kind(happening.what);
        if listens {
            let line = listener_line(happening, r#type, state, observer);
            return Self::write(&mut self.line, out, &line);
        }
        let line = connection_line(happening, r#type, state, observer);
        Self::write(&mut self.line, out, &line)
    }

    fn lost(&mut self, out: &mut dyn Write, loss: &Loss<'_>, at_unix_ns: i64) -> Result<(), SinkError> {
        Self::write(
            &mut self.line,
            out,
            &Record::new("lost", at_unix_ns, session::Lost::from(loss)),
        )
    }

    fn degraded(&mut self, out: &mut dyn Write, what: &Degraded, at_unix_ns: i64) -> Result<(), SinkError> {
        Self::write(
            &mut self.line,
            out,
            &Record::new("degraded", at_unix_ns, session::Fault { degraded: what }),
        )
    }

    fn recovered(&mut self, out: &mut dyn Write, what: &Degraded, at_unix_ns: i64) -> Result<(), SinkError> {
        Self::write(
            &mut self.line,
            out,
            &Record::new("recovered", at_unix_ns, session::Relief { recovered: what }),
        )
    }

    fn heartbeat(&mut self, out: &mut dyn Write, health: &Health, at_unix_ns: i64) -> Result<(), SinkError> {
        Self::write(
            &mut self.line,
            out,
            &Record::new("heartbeat", at_unix_ns, session::State::from(health)),
        )
    }

    fn summary(&mut self, out: &mut dyn Write, health: &Health, at_unix_ns: i64) -> Result<(), SinkError> {
        Self::write(
            &mut self.line,
            out,
            &Record::new("summary", at_unix_ns, session::State::from(health)),
        )
    }
}

/// The `type` of a line, the state its socket is in after it, and whether it is about a listening socket.
const fn kind(what: Happened) -> (&'static str, TcpState, bool) {
    match what {
        Happened::Opened => ("connection.opened", TcpState::Established, false),
        Happened::Accepted => ("connection.accepted", TcpState::Established, false),
        Happened::Failed { .. } => ("connection.failed", TcpState::Closed, false),
        Happened::Closed { .. } => ("connection.closed", TcpState::Closed, false),
        Happened::ListenerOpened => ("listener.opened", TcpState::Listen, true),
        Happened::ListenerClosed => ("listener.closed", TcpState::Closed, true),
    }
}

#[derive(Serialize)]
struct ConnectionLine<'a> {
    schema: &'static str,
    r#type: &'static str,
    timestamp: Rfc3339,
    network: Network,
    source: JsonParty<'a>,
    destination: JsonParty<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<JsonVia<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_by: Option<&'static str>,
    observer: Observer<'a>,
    attribution: BothAttributions<'a>,
}

#[derive(Serialize)]
struct Failed {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<u32>,
}

#[derive(Serialize)]
struct Observer<'a> {
    side: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
}

fn connection_line<'a>(
    happening: &'a Happening,
    r#type: &'static str,
    state: TcpState,
    observer: Observer<'a>,
) -> ConnectionLine<'a> {
    let Happening {
        source, destination, ..
    } = happening;
    let netns = shared_netns(source, destination);
    let (error, closed_by) = match happening.what {
        Happened::Failed { failure, errno } => (
            Some(Failed {
                r#type: failure.name(),
                errno,
            }),
            None,
        ),
        Happened::Closed { by } => (None, Some(by.name())),
        Happened::Opened | Happened::Accepted | Happened::ListenerOpened | Happened::ListenerClosed => {
            (None, None)
        }
    };
    ConnectionLine {
        schema: SCHEMA,
        r#type,
        timestamp: Rfc3339(happening.at_unix_ns),
        network: Network::of_happening(happening, netns, state),
        source: JsonParty::new(source, netns),
        destination: JsonParty::new(destination, netns),
        via: happening.via.as_ref().map(JsonVia::from),
        stats: Stats::of(happening.counters, happening.duration_ns),
        error,
        closed_by,
        observer,
        attribution: BothAttributions::of(source, destination),
    }
}

#[derive(Serialize)]
struct ListenerLine<'a> {
    schema: &'static str,
    r#type: &'static str,
    timestamp: Rfc3339,
    network: Network,
    listener: JsonParty<'a>,
    observer: Observer<'a>,
    attribution: ListenerAttribution<'a>,
}

#[derive(Serialize)]
struct ListenerAttribution<'a> {
    listener: Attribution<'a>,
}

fn listener_line<'a>(
    happening: &'a Happening,
    r#type: &'static str,
    state: TcpState,
    observer: Observer<'a>,
) -> ListenerLine<'a> {
    let party = &happening.destination;
    ListenerLine {
        schema: SCHEMA,
        r#type,
        timestamp: Rfc3339(happening.at_unix_ns),
        network: Network::new(party, party.netns, state),
        listener: JsonParty::new(party, party.netns),
        observer,
        attribution: ListenerAttribution {
            listener: Attribution::from(&*party.claim),
        },
    }
}
