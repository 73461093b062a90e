//! Connections: requests one after another, each counted, held up or refused as the faults say, and answered.

use crate::api::{self, Answer};
use crate::faults::{self, Faults};
use crate::http::{Refusal, Request, Response};
use crate::list::Lists;
use crate::route::{Route, Target};
use crate::store::Store;
use crate::watch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tests::wait::window;

/// Connections at once; a thread each.
const MAX_CONNECTIONS: usize = 4096;

/// How often a hanging request looks whether the hang is over or its client has left.
const LOOK: Duration = Duration::from_millis(100);

/// What all connections share.
pub(crate) struct Server {
    pub(crate) store: Store,
    /// How often a watch gets a bookmark.
    pub(crate) bookmark: Duration,
    /// Watches now open.
    pub(crate) watches: AtomicUsize,
    connections: AtomicUsize,
    faults: Mutex<Faults>,
    lists: Mutex<Lists>,
    /// Requests so far by verb and resource.
    requests: Mutex<BTreeMap<String, u64>>,
}

impl Server {
    pub(crate) fn new(store: Store, bookmark: Duration) -> Self {
        Self {
            store,
            bookmark,
            watches: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            faults: Mutex::default(),
            lists: Mutex::default(),
            requests: Mutex::default(),
        }
    }

    /// The faults in force. Taken after the store's lock by those who need both.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    /// The lists that are read page by page. Taken after the store's lock by those who need both.
    pub(crate) fn lists(&self) -> MutexGuard<'_, Lists> {
        lock(&self.lists)
    }

    /// Forgets all versions but the present one.
    pub(crate) fn compact(&self) {
        self.store.compact();
        self.lists().forget();
    }

    /// Accepts clients for ever.
    pub(crate) fn run(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            // What has failed is the client's connection; the next one may succeed.
            let Ok(stream) = stream else { continue };
            if self.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                self.connections.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let server = Arc::clone(self);
            thread::spawn(move || {
                // A client that leaves or writes no HTTP is nobody's loss but its own.
                drop(server.converse(stream));
                server.connections.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = Request::read(&mut reader)? {
            let again = if request.path.starts_with("/standin/") {
                self.control(&request).write(&mut stream, request.keep_alive)?;
                true
            } else {
                self.serve(&request, &mut stream)?
            };
            if !again || !request.keep_alive {
                break;
            }
        }
        Ok(())
    }

    /// Answers one request of a client; gives whether the connection can be used again.
    fn serve(&self, request: &Request, stream: &mut TcpStream) -> io::Result<bool> {
        let route = Route::of(request);
        *lock(&self.requests).entry(route.to_string()).or_default() += 1;
        if self.faults().hang {
            self.hang(stream);
            return Ok(false);
        }
        let slow = self.faults().slow_ms;
        window(Duration::from_millis(slow));
        let outcome = self.gate(&route, request).and_then(|()| {
            Ok(match api::answer(self, &route, request)? {
                Answer::Whole(response) => (Some(response), None),
                Answer::Watch(selector) => (None, Some((watch::check(self, request)?, selector))),
            })
        });
        match outcome {
            Ok((_, Some((wanted, selector)))) => watch::serve(self, &selector, request, wanted, stream),
            Ok((Some(response), None)) => response.write(stream, request.keep_alive).map(|()| true),
            Ok((None, None)) => Ok(false),
            Err(refusal) => refusal
                .response()
                .write(stream, request.keep_alive)
                .map(|()| true),
        }
    }

    fn gate(&self, route: &Route, request: &Request) -> Result<(), Refusal> {
        let faults = self.faults();
        if faults.echo {
            let message = format!("nobody is known by `{}`", request.authorization);
            return Err(Refusal::new(401, "Unauthorized", message));
        }
        if faults.error {
            return Err(Refusal::new(
                500,
                "InternalError",
                "the stand-in was told to fail",
            ));
        }
        let Route::Objects(Target { verb, resource, .. }) = route else {
            return Ok(());
        };
        let (plural, group) = (resource.plural, resource.group);
        if faults.forbidden.iter().any(|forbidden| forbidden == plural) {
            let message = format!(
                r#"{plural} is forbidden: User "standin" cannot {verb} resource "{plural}" in API group "{group}" at the cluster scope"#
            );
            return Err(Refusal::new(403, "Forbidden", message));
        }
        Ok(())
    }

    fn hang(&self, stream: &TcpStream) {
        while self.faults().hang && !has_left(stream) {
            drop(self.store.wait(self.store.lock(), LOOK));
        }
    }

    fn control(&self, request: &Request) -> Response {
        let outcome = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/standin/faults") => faults::obey(self, &request.body).map(|()| self.faults().shown()),
            ("GET", "/standin/faults") => Ok(self.faults().shown()),
            ("GET", "/standin/requests") => Ok(json!({
                "requests": *lock(&self.requests),
                "watches": self.watches.load(Ordering::Relaxed),
                "connections": self.connections.load(Ordering::Relaxed),
            })),
            (method, path) => Err(Refusal::bad_request(format!("{method} {path} is no order"))),
        };
        match outcome {
            Ok(value) => Response::json(200, value.to_string()),
            Err(refusal) => refusal.response(),
        }
    }
}

/// Whether the other end has closed its connection.
pub(crate) fn has_left(stream: &TcpStream) -> bool {
    let mut ends = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // Where it cannot be told the next write will tell.
    poll(&mut ends, Some(&at_once)).is_ok_and(|found| found > 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
