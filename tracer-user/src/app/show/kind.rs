//! What each view keeps while it runs.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::{
    cli::{self, EventsFormat, GraphFormat, TableFormat, View},
    graph::GroupBy,
    output::{EventSink, compact::CompactEvents, filter::Filter, json::JsonEvents, style::Paint},
    report::{Happening, Question},
    signal::Degraded,
    verify::{Check, Window},
};

pub(super) enum Kind {
    Nothing,
    Events {
        sink: Box<dyn EventSink>,
        filter: Filter,
        /// Until the stream begins: what happened while the machine was scanned.
        early: Option<Vec<Happening>>,
        told_ns: u64,
        lost: u64,
        /// Runs of programs that the stream was told the kernel skipped.
        skipped: u64,
        /// What the stream was told that does not work.
        degraded: Vec<Degraded>,
    },
    Graph {
        format: GraphFormat,
        filter: Filter,
        /// Only edges with a live connection.
        active: bool,
        /// Drawn again and again; on a terminal in place.
        watch: Option<bool>,
        /// Without what was last seen longer ago.
        forget_after: Option<Duration>,
        group_by: GroupBy,
        drawn_ns: u64,
    },
    Listeners(TableFormat, Filter),
    Connections(TableFormat, Filter, bool),
    Components(TableFormat, Filter),
    Explain(TableFormat, Question),
    Verify {
        checks: Vec<Check>,
        allow: Vec<String>,
        format: TableFormat,
        window: Window,
    },
}

impl Kind {
    pub(super) fn new(view: &View, terminal: bool, paint: Paint) -> Self {
        let events = |format: EventsFormat, filter: &Filter| Self::Events {
            sink: match format {
                EventsFormat::Compact => Box::new(CompactEvents::new(paint)),
                EventsFormat::Json => Box::new(JsonEvents::new()),
            },
            filter: filter.clone(),
            early: Some(Vec::new()),
            told_ns: 0,
            lost: 0,
            skipped: 0,
            degraded: Vec::new(),
        };
        match view {
            View::Default { filter } if terminal => Self::Graph {
                format: GraphFormat::Table,
                filter: filter.clone(),
                active: false,
                watch: Some(true),
                forget_after: None,
                group_by: GroupBy::default(),
                drawn_ns: 0,
            },
            View::Default { filter } => events(EventsFormat::Compact, filter),
            View::Events { format, filter } => events(*format, filter),
            View::Graph {
                format,
                filter,
                active,
                watch,
                forget_after,
                group_by,
            } => Self::Graph {
                format: *format,
                filter: filter.clone(),
                active: *active,
                watch: watch.then_some(terminal && *format == GraphFormat::Table),
                forget_after: *forget_after,
                group_by: grouped(*group_by),
                drawn_ns: 0,
            },
            View::Listeners { format, filter } => Self::Listeners(*format, filter.clone()),
            View::Connections {
                format,
                filter,
                count,
            } => Self::Connections(*format, filter.clone(), *count),
            View::Components { format, filter } => Self::Components(*format, filter.clone()),
            View::Explain { question, format } => Self::Explain(*format, question.clone()),
            View::Verify {
                checks,
                allow,
                format,
            } => Self::Verify {
                checks: checks
                    .iter()
                    .map(|check| match check {
                        cli::Check::ApiserverEtcd => Check::ApiserverEtcd,
                        cli::Check::EtcdClients => Check::EtcdClients,
                    })
                    .collect(),
                allow: allow.clone(),
                format: *format,
                window: Window::default(),
            },
        }
    }
}

const fn grouped(by: cli::GroupBy) -> GroupBy {
    match by {
        cli::GroupBy::Component => GroupBy::Component,
        cli::GroupBy::Workload => GroupBy::Workload,
        cli::GroupBy::Pod => GroupBy::Pod,
        cli::GroupBy::Process => GroupBy::Process,
        cli::GroupBy::Namespace => GroupBy::Namespace,
        cli::GroupBy::Node => GroupBy::Node,
    }
}
