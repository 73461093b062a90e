//! A stand-in API server for one test: HTTP/1.1 on a port of its own, answers by a script.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What is asked for.
pub(super) struct Ask {
    pub(super) path: String,
    /// How many lists, or watches, of this resource were asked for before.
    pub(super) before: usize,
}

impl Ask {
    pub(super) fn is(&self, plural: &str) -> bool {
        let path = self.path.split('?').next().unwrap();
        path.ends_with(plural)
    }

    pub(super) fn is_watch(&self) -> bool {
        self.path.contains("watch=true")
    }

    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let query = self.path.split_once('?')?.1;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

/// What is answered.
pub(super) enum Reply {
    Json(u16, String),
    /// Lines of a watch, which then stays open in silence.
    Lines(Vec<String>),
    /// Lines of a watch, which then ends.
    Ended(Vec<String>),
    /// A body that never ends: this text again and again, with this pause.
    Endless(&'static str, Duration),
    /// Nothing, ever.
    Silence,
    /// The connection is closed.
    Cut,
}

pub(super) fn list(version: u64, items: &str) -> Reply {
    Reply::Json(
        200,
        format!(r#"{{"metadata":{{"resourceVersion":"{version}"}},"items":[{items}]}}"#),
    )
}

pub(super) fn status(code: u16, message: &str) -> Reply {
    Reply::Json(
        code,
        format!(r#"{{"kind":"Status","code":{code},"message":"{message}"}}"#),
    )
}

/// An empty list, or a watch that stays silent.
pub(super) fn nothing(ask: &Ask) -> Reply {
    if ask.is_watch() {
        Reply::Lines(Vec::new())
    } else {
        list(1, "")
    }
}

/// Listens until the process ends, and writes the kubeconfig that leads to it.
pub(super) struct Server {
    pub(super) kubeconfig: PathBuf,
    pub(super) address: std::net::SocketAddr,
    /// What clients have shown.
    pub(super) authorizations: Arc<Mutex<Vec<String>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.kubeconfig));
    }
}

impl Server {
    pub(super) fn start(script: impl Fn(&Ask) -> Reply + Send + Sync + 'static) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script: Arc<dyn Fn(&Ask) -> Reply + Send + Sync> = Arc::new(script);
        let counts: Arc<[[AtomicUsize; 2]; 4]> = Arc::default();
        let authorizations: Arc<Mutex<Vec<String>>> = Arc::default();
        let shown = Arc::clone(&authorizations);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, counts, shown) = (Arc::clone(&script), Arc::clone(&counts), Arc::clone(&shown));
                // A client that leaves in the middle is part of the tests.
                thread::spawn(move || drop(serve(&stream, script.as_ref(), &counts, &shown)));
            }
        });
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kcn-kubeconfig-{}-{number}", std::process::id());
        let kubeconfig = std::env::temp_dir().join(name);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: t\n\
             clusters: [{{name: t, cluster: {{server: 'http://{address}'}}}}]\n\
             contexts: [{{name: t, context: {{cluster: t, user: t}}}}]\n\
             users: [{{name: t, user: {{token: geheim}}}}]\n"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        Self {
            kubeconfig,
            address,
            authorizations,
        }
    }
}

fn serve(
    stream: &TcpStream,
    script: &dyn Fn(&Ask) -> Reply,
    counts: &[[AtomicUsize; 2]; 4],
    shown: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let Some(first) = lines.next().transpose()? else {
            return Ok(());
        };
        while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
            if let Some(value) = line.strip_prefix("authorization: ") {
                shown.lock().unwrap().push(value.to_owned());
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut ask = Ask { path, before: 0 };
        let all = ["/pods", "/services", "/endpointslices", "/nodes"];
        let at = all.iter().position(|plural| ask.is(plural)).unwrap();
        ask.before = counts[at][usize::from(ask.is_watch())].fetch_add(1, Ordering::SeqCst);
        let mut out = stream;
        match script(&ask) {
            Reply::Json(code, body) => {
                let length = body.len();
                write!(out, "HTTP/1.1 {code} X\r\ncontent-length: {length}\r\n\r\n{body}")?;
            }
            Reply::Lines(lines) => {
                watch(out, &lines)?;
                return stay(stream);
            }
            Reply::Ended(lines) => {
                watch(out, &lines)?;
                write!(out, "0\r\n\r\n")?;
            }
            Reply::Endless(text, pause) => {
                write!(out, "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")?;
                stream.set_read_timeout(Some(pause.max(Duration::from_micros(1))))?;
                let mut byte = [0];
                // Until the client leaves: then there is something to read, the end.
                while std::io::Read::read(&mut &*stream, &mut byte).is_err() {
                    write!(out, "{:x}\r\n{text}\r\n", text.len())?;
                }
                return Ok(());
            }
            Reply::Silence => return stay(stream),
            Reply::Cut => return Ok(()),
        }
    }
}

fn watch(mut out: &TcpStream, lines: &[String]) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")?;
    for line in lines {
        write!(out, "{:x}\r\n{line}\n\r\n", line.len() + 1)?;
    }
    out.flush()
}

/// Until the client leaves.
fn stay(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let mut byte = [0];
    std::io::Read::read(&mut &*stream, &mut byte).map(drop)
}
