//! Watches: the changes after a version as they happen, one JSON line each.

use crate::faults::Faults;
use crate::http::{Chunks, Refusal, Request};
use crate::list::{expired, version};
use crate::object::{Object, set};
use crate::selector::Selector;
use crate::server::{Server, has_left};
use crate::store::Change;
use serde_json::json;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tests::wait::{Deadline, window};

/// How often a watch in which nothing happens looks whether its client has left.
const LOOK: Duration = Duration::from_millis(250);

/// Annotation of the bookmark after which a client knows all objects there were.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How a watch goes on after a look at the state.
enum Next {
    /// These lines are due.
    Lines(Vec<String>),
    /// Time for a look at the client.
    Nothing,
    /// The connection is cut.
    Cut,
}

/// A watch from its start to its end.
pub(crate) struct Watch<'a> {
    server: &'a Server,
    selector: &'a Selector,
    bookmarks: bool,
    /// All changes up to this version have been sent.
    sent: u64,
    /// What these were when it began: see [`crate::store::State`] and [`Faults`].
    life: u64,
    drops: u64,
    garbage: u64,
}

/// What has to be refused before a watch's stream begins.
pub(crate) fn check(server: &Server, request: &Request) -> Result<u64, Refusal> {
    let wanted = version(request)?;
    if Faults::take(&mut server.faults().gone_status) {
        return Err(too_old(wanted, server.store.lock().oldest));
    }
    Ok(wanted)
}

/// Serves a watch; gives whether the connection can be used again.
pub(crate) fn serve(
    server: &Server,
    selector: &Selector,
    request: &Request,
    wanted: u64,
    stream: &mut TcpStream,
) -> io::Result<bool> {
    // Noted before the client can know of the watch: what it orders from then on has to reach it.
    let life = server.store.lock().life;
    let (drops, garbage) = {
        let faults = server.faults();
        (faults.drops, faults.garbage)
    };
    let watch = Watch {
        server,
        selector,
        bookmarks: request.is_set("allowWatchBookmarks"),
        sent: wanted,
        life,
        drops,
        garbage,
    };
    server.watches.fetch_add(1, Ordering::Relaxed);
    let outcome = Chunks::begin(stream).and_then(|chunks| watch.run(request, chunks));
    server.watches.fetch_sub(1, Ordering::Relaxed);
    outcome
}

impl Watch<'_> {
    fn run(mut self, request: &Request, mut chunks: Chunks<'_>) -> io::Result<bool> {
        match self.begin(request) {
            Ok(lines) => lines.iter().try_for_each(|line| chunks.line(line))?,
            Err(refusal) => {
                chunks.line(&line("ERROR", &refusal.status().to_string()))?;
                chunks.end()?;
                return Ok(true);
            }
        }
        // Without a time of its own a watch lasts as long as its client.
        let end = request.parameter("timeoutSeconds").parse().ok();
        let end = end.map(|seconds| Deadline::after(Duration::from_secs(seconds)));
        let mut bookmark = Deadline::after(self.server.bookmark);
        loop {
            match self.next() {
                Next::Lines(lines) => {
                    for line in lines {
                        let slow = self.server.faults().slow_ms;
                        window(Duration::from_millis(slow));
                        chunks.line(&line)?;
                    }
                }
                Next::Cut => return Ok(false),
                Next::Nothing if has_left(chunks.stream()) => return Ok(false),
                Next::Nothing => {}
            }
            let ends = end.is_some_and(Deadline::passed);
            if self.bookmarks && (ends || bookmark.passed()) && !self.server.faults().hang {
                chunks.line(&self.bookmark(false))?;
                bookmark = Deadline::after(self.server.bookmark);
            }
            if ends {
                chunks.end()?;
                return Ok(true);
            }
        }
    }

    /// The lines with which the watch begins: the objects there are where it names no version, an error where its
    /// version is too old.
    fn begin(&mut self, request: &Request) -> Result<Vec<String>, Refusal> {
        let gone = Faults::take(&mut self.server.faults().gone);
        let state = self.server.store.lock();
        let initial = request.is_set("sendInitialEvents");
        if gone || (self.sent != 0 && !initial && self.sent < state.oldest) {
            return Err(too_old(self.sent, state.oldest));
        }
        if self.sent != 0 && !initial {
            return Ok(Vec::new());
        }
        let selected = state
            .objects
            .values()
            .filter(|object| self.selector.selects(object));
        let mut lines: Vec<_> = selected.map(|object| event("ADDED", object)).collect();
        self.sent = state.version;
        if initial && self.bookmarks {
            lines.push(self.bookmark(true));
        }
        Ok(lines)
    }

    /// Waits a little for changes.
    fn next(&mut self) -> Next {
        let store = &self.server.store;
        let mut state = store.lock();
        if state.version <= self.sent && state.life == self.life && !self.is_disturbed() {
            state = store.wait(state, LOOK);
        }
        let (drops, garbage, hang) = {
            let faults = self.server.faults();
            (faults.drops, faults.garbage, faults.hang)
        };
        if state.life != self.life || drops != self.drops {
            return Next::Cut;
        }
        if hang {
            // Nothing is sent, so nothing counts as sent: it comes when the hang is over.
            drop(store.wait(state, LOOK));
            return Next::Nothing;
        }
        if state.oldest > self.sent {
            // The history has been trimmed past this watch while it was asleep or slow.
            return Next::Cut;
        }
        let start = state
            .history
            .partition_point(|change| change.version <= self.sent);
        let mut lines: Vec<_> = state
            .history
            .range(start..)
            .filter_map(|change| self.line(change))
            .collect();
        self.sent = self.sent.max(state.version);
        if garbage != self.garbage {
            self.garbage = garbage;
            lines.push(r#"{"type":"MODIFIED","object":{"metadata":]["#.to_owned());
        }
        if lines.is_empty() {
            Next::Nothing
        } else {
            Next::Lines(lines)
        }
    }

    fn is_disturbed(&self) -> bool {
        let faults = self.server.faults();
        faults.drops != self.drops || faults.garbage != self.garbage
    }

    /// What the change is for this watch: an object that begins to be selected is new to it, one that ceases is gone.
    fn line(&self, change: &Change) -> Option<String> {
        let selected = |object: &Option<Arc<Object>>| {
            object
                .as_ref()
                .filter(|object| self.selector.selects(object))
                .cloned()
        };
        match (selected(&change.before), selected(&change.after)) {
            (None, None) => None,
            (None, Some(after)) => Some(event("ADDED", &after)),
            (Some(_), Some(after)) => Some(event("MODIFIED", &after)),
            (Some(before), None) => {
                let last = Object::new(
                    before.resource,
                    before.key.clone(),
                    before.value(),
                    change.version,
                );
                Some(event("DELETED", &last))
            }
        }
    }

    fn bookmark(&self, initial_end: bool) -> String {
        let mut metadata = json!({"resourceVersion": self.sent.to_string(), "creationTimestamp": null});
        if initial_end {
            set(&mut metadata, "annotations", json!({INITIAL_EVENTS_END: "true"}));
        }
        let resource = self.selector.resource;
        let object = json!({
            "kind": resource.kind,
            "apiVersion": resource.api_version(),
            "metadata": metadata,
        });
        line("BOOKMARK", &object.to_string())
    }
}

fn event(kind: &str, object: &Object) -> String {
    line(kind, &object.whole())
}

fn line(kind: &str, object: &str) -> String {
    format!(r#"{{"type":"{kind}","object":{object}}}"#)
}

fn too_old(wanted: u64, oldest: u64) -> Refusal {
    expired(format!("too old resource version: {wanted} ({oldest})"))
}
