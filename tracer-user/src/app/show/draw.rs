//! Documents: a view's whole state as text, once or again and again; and verdicts.
#![forbid(unsafe_code)]

use std::io::Write;

use super::{Kind, Show};
use crate::{
    app::{Exit, out},
    cli::{GraphFormat, TableFormat},
    output::{
        Frame, SinkError, count, dot, explain, health,
        json::{self, Layout},
        table,
    },
    pipeline::Pipeline,
    verify::{self, Scene, Verdict},
};

impl Show {
    /// What ended just now is part of the run.
    pub(super) fn settle(&mut self, pipeline: &mut Pipeline) -> Result<(), SinkError> {
        let mut result = Ok(());
        pipeline.settle(&mut |happening| {
            if result.is_ok() {
                result = self.happening(happening);
            }
        });
        result
    }

    /// Writes the document as it is now.
    pub(super) fn draw(&mut self, pipeline: &mut Pipeline) -> Result<(), SinkError> {
        let paint = self.styles.out;
        let out = &mut self.out;
        let health = pipeline.health();
        match &self.kind {
            Kind::Graph {
                format,
                filter,
                active,
                watch,
                group_by,
                ..
            } => {
                let mut graph = filter.apply(&pipeline.fine_graph()).fold(*group_by);
                if *active {
                    graph.keep_active();
                }
                if *watch == Some(true) {
                    // Home, then clear to the end: no flicker.
                    out.write_all(b"\x1b[H\x1b[J")?;
                }
                match format {
                    GraphFormat::Table => table::write_graph(out, &graph, paint)?,
                    GraphFormat::Dot => dot::write_graph(out, &graph, &pipeline.session().version)?,
                    GraphFormat::Json if watch.is_some() => json::write_graph(out, &graph, Layout::Line)?,
                    GraphFormat::Json => json::write_graph(out, &graph, Layout::Pretty)?,
                }
                if *watch == Some(true) {
                    health::write_notes(out, &frame(pipeline, &health), paint)?;
                }
            }
            Kind::Listeners(format, filter) => {
                let mut rows = pipeline.listeners();
                rows.retain(|row| filter.matches_listener(row));
                match format {
                    TableFormat::Table => table::write_listeners(out, &rows, paint)?,
                    TableFormat::Json => json::write_listeners(out, &frame(pipeline, &health), &rows)?,
                }
            }
            Kind::Connections(format, filter, counted) => {
                let mut rows = pipeline.connections();
                rows.retain(|row| filter.matches_connection(row));
                match (format, counted) {
                    (TableFormat::Table, true) => table::write_counts(out, &count::count(&rows), paint)?,
                    (TableFormat::Table, false) => {
                        table::write_connections(out, &frame(pipeline, &health), &rows, paint)?;
                    }
                    (TableFormat::Json, true) => {
                        json::write_counts(out, &frame(pipeline, &health), &count::count(&rows))?;
                    }
                    (TableFormat::Json, false) => {
                        json::write_connections(out, &frame(pipeline, &health), &rows)?;
                    }
                }
            }
            Kind::Components(format, filter) => {
                let mut rows = pipeline.components();
                rows.retain(|row| filter.matches_component(row));
                match format {
                    TableFormat::Table => table::write_components(out, &rows, paint)?,
                    TableFormat::Json => json::write_components(out, &frame(pipeline, &health), &rows)?,
                }
            }
            Kind::Nothing | Kind::Events { .. } | Kind::Explain(..) | Kind::Verify { .. } => {}
        }
        Ok(out.flush()?)
    }

    /// Every witness of what was asked about; nothing found is inconclusive, and said with what to try.
    pub(super) fn explain(&mut self, pipeline: &mut Pipeline) -> Result<Exit, SinkError> {
        let Kind::Explain(format, question) = &self.kind else {
            return Ok(Exit::Ok);
        };
        let explanations = pipeline.explain(question);
        let health = pipeline.health();
        let frame = frame(pipeline, &health);
        match format {
            TableFormat::Table => table::write_explanations(&mut self.out, &explanations, self.styles.out)?,
            TableFormat::Json => json::write_explanations(&mut self.out, &frame, &explanations)?,
        }
        if !explanations.is_empty() {
            return Ok(Exit::Ok);
        }
        let mut err = out::stderr();
        match explain::write_nothing(&mut *err, question, self.styles.err) {
            // stderr may be closed; the exit code says it too.
            Ok(()) | Err(SinkError::Closed | SinkError::Io(_)) => {}
        }
        Ok(Exit::Inconclusive)
    }

    /// Verdicts of the window. `exit` is the verdict's before anything is written.
    pub(super) fn judge(&mut self, pipeline: &mut Pipeline, exit: &mut Exit) -> Result<(), SinkError> {
        let Kind::Verify {
            checks,
            allow,
            format,
            window,
        } = &mut self.kind
        else {
            return Ok(());
        };
        let connections = pipeline.connections();
        for row in &connections {
            window.connection(row);
        }
        window.rename(|party, used| pipeline.name_again(party, used));
        let components = pipeline.components();
        let listeners = pipeline.listeners();
        let health = pipeline.health();
        let scene = Scene {
            window,
            components: &components,
            connections: &connections,
            listeners: &listeners,
            health: &health,
            allow,
        };
        let report = verify::run(checks, &scene);
        *exit = match report.verdict() {
            Verdict::Pass => Exit::Ok,
            Verdict::Fail => Exit::Unmet,
            Verdict::Inconclusive => Exit::Inconclusive,
        };
        let frame = frame(pipeline, &health);
        match format {
            TableFormat::Table => table::write_verdicts(&mut self.out, &report, self.styles.out),
            TableFormat::Json => json::write_verdicts(&mut self.out, &frame, &report),
        }
    }
}

pub(super) fn frame<'a>(pipeline: &'a Pipeline, health: &'a crate::graph::Health) -> Frame<'a> {
    Frame {
        hostname: &pipeline.session().hostname,
        window_unix_ns: pipeline.window_unix_ns(),
        health,
    }
}
