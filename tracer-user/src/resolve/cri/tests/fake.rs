//! A stand-in container runtime: CRI v1 over a Unix socket, with switches for everything that goes wrong.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use prost::{Message, bytes::Bytes};
use tokio::{net::UnixListener, sync::watch};

use super::super::wire::{
    Container, ContainerStatusResponse, Event, List, PodSandbox, SandboxStatusResponse, StatusRequest,
    Version,
};

/// What a call is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Answer,
    /// Never.
    Hang,
    Slow(Duration),
    /// With bytes that are no message.
    Garbage,
    /// With a gRPC status.
    Status(u32),
    /// By closing the connection.
    Close,
}

/// What the runtime knows and how it behaves.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) version: Version,
    pub(super) sandboxes: Vec<PodSandbox>,
    pub(super) containers: Vec<Container>,
    pub(super) sandbox_statuses: HashMap<String, SandboxStatusResponse>,
    pub(super) container_statuses: HashMap<String, ContainerStatusResponse>,
    /// By call; for one status by call and id: `ContainerStatus ID`.
    pub(super) modes: HashMap<String, Mode>,
    /// Bytes put before a list's entries.
    pub(super) garbage: HashMap<String, Vec<u8>>,
    /// How often each was called.
    pub(super) calls: HashMap<String, usize>,
    /// Events so far.
    pub(super) events: usize,
}

/// A directory of its own and what runs in it.
pub(super) struct Fake {
    dir: PathBuf,
    state: Arc<Mutex<State>>,
    stop: Arc<watch::Sender<bool>>,
    changed: Arc<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Not running yet.
    pub(super) fn new(state: State) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "kcn-cri-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        Self {
            dir,
            state: Arc::new(Mutex::new(state)),
            stop: Arc::new(watch::Sender::new(false)),
            changed: Arc::new(watch::Sender::new(())),
            thread: None,
        }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("cri.sock")
    }

    /// Looks at or changes what it knows.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        result
    }

    pub(super) fn mode(&self, call: &str, mode: Mode) {
        self.with(|state| state.modes.insert(call.to_owned(), mode));
    }

    pub(super) fn calls(&self, call: &str) -> usize {
        self.with(|state| state.calls.get(call).copied().unwrap_or(0))
    }

    pub(super) fn start(&mut self) {
        self.stop.send_replace(false);
        let (state, socket) = (Arc::clone(&self.state), self.socket());
        let (mut stop, changed) = (self.stop.subscribe(), Arc::clone(&self.changed));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(async { listen(&socket) });
        self.thread = Some(thread::spawn(move || {
            runtime.block_on(async move {
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        let (state, changed) = (Arc::clone(&state), Arc::clone(&changed));
                        tokio::spawn(async move {
                            let Ok(mut connection) = h2::server::handshake(stream).await else {
                                return;
                            };
                            while let Some(Ok((request, respond))) = connection.accept().await {
                                let (state, changed) = (Arc::clone(&state), Arc::clone(&changed));
                                if mode_of(&state, &call_of(&request)) == Mode::Close {
                                    return;
                                }
                                tokio::spawn(answer(request, respond, state, changed));
                            }
                        });
                    }
                });
                stop.wait_for(|stop| *stop).await.unwrap();
            });
        }));
    }

    /// Ends it as a crash would: connections break, the socket file stays.
    pub(super) fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
        let _gone = fs::remove_dir_all(&self.dir);
    }
}

fn listen(socket: &Path) -> UnixListener {
    let _absent = fs::remove_file(socket);
    UnixListener::bind(socket).unwrap()
}

fn call_of<T>(request: &Request<T>) -> String {
    let path = request.uri().path();
    path.strip_prefix("/runtime.v1.RuntimeService/")
        .unwrap()
        .to_owned()
}

fn mode_of(state: &Mutex<State>, call: &str) -> Mode {
    state.lock().unwrap().modes.get(call).cloned().unwrap_or_default()
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
) {
    let call = call_of(&request);
    let mut body = request.into_body();
    let mut asked = Vec::new();
    while let Some(Ok(chunk)) = body.data().await {
        body.flow_control().release_capacity(chunk.len()).unwrap();
        asked.extend_from_slice(&chunk);
    }
    let id = StatusRequest::decode(&asked[5..]).unwrap().id;
    *state.lock().unwrap().calls.entry(call.clone()).or_default() += 1;
    let mut mode = mode_of(&state, &call);
    if mode == Mode::Answer {
        mode = mode_of(&state, &format!("{call} {id}"));
    }
    match mode {
        Mode::Answer => {}
        Mode::Slow(delay) => tokio::time::sleep(delay).await,
        Mode::Hang | Mode::Close => std::future::pending().await,
        Mode::Garbage => return send(&mut respond, &[b"\xff\xff\xff\xff not a message".to_vec()], 0),
        Mode::Status(code) => return send(&mut respond, &[], code),
    }
    if call == "GetContainerEvents" {
        return events(&mut respond, &state, &changed).await;
    }
    let (message, code) = message(&state.lock().unwrap(), &call, &id);
    send(&mut respond, &message, code);
}

fn message(state: &State, call: &str, id: &str) -> (Vec<Vec<u8>>, u32) {
    let found = match call {
        "Version" => Some(state.version.encode_to_vec()),
        "ListPodSandbox" => Some(list(state, call, &state.sandboxes)),
        "ListContainers" => Some(list(state, call, &state.containers)),
        "PodSandboxStatus" => state.sandbox_statuses.get(id).map(Message::encode_to_vec),
        "ContainerStatus" => state.container_statuses.get(id).map(Message::encode_to_vec),
        _ => return (Vec::new(), 12),
    };
    found.map_or((Vec::new(), 5), |found| (vec![found], 0))
}

fn list<T: Message + Default + Clone>(state: &State, call: &str, items: &[T]) -> Vec<u8> {
    let mut bytes = state.garbage.get(call).cloned().unwrap_or_default();
    let list = List {
        items: items.to_vec(),
        refused: 0,
    };
    bytes.extend(list.encode_to_vec());
    bytes
}

fn headers() -> Response<()> {
    Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame.into()
}

fn trailers(code: u32) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    trailers.insert("grpc-message", "as the test asked".parse().unwrap());
    trailers
}

fn send(respond: &mut SendResponse<Bytes>, messages: &[Vec<u8>], code: u32) {
    let Ok(mut stream) = respond.send_response(headers(), false) else {
        return;
    };
    for message in messages {
        let _closed = stream.send_data(frame(message), false);
    }
    let _closed = stream.send_trailers(trailers(code));
}

/// As grpc-go does it: no headers before the first event.
async fn events(respond: &mut SendResponse<Bytes>, state: &Mutex<State>, changed: &watch::Sender<()>) {
    let mut news = changed.subscribe();
    let mut sent = state.lock().unwrap().events;
    let mut stream = None;
    loop {
        let happened = state.lock().unwrap().events;
        while sent < happened {
            sent += 1;
            let stream = stream.get_or_insert_with(|| respond.send_response(headers(), false).unwrap());
            let event = Event {
                container_id: sent.to_string(),
            };
            if stream.send_data(frame(&event.encode_to_vec()), false).is_err() {
                return;
            }
        }
        if news.changed().await.is_err() {
            return;
        }
    }
}
