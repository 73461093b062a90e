//! The stand-in API server: objects of a real node, over plain HTTP, with faults on request.
//!
//! The faults are listed in bin/apiserver/faults.rs.

use crate::binaries::{self, Setting};
use crate::http::{self, Stream};
use crate::lines::Lines;
use crate::netns::Netns;
use crate::scratch::{Cgroup, Scratch};
use crate::standin::spawn;
use crate::wait::{patience, until_true};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a real node's API server answered. Compiled in: the tests also run where the repository is not.
const OBJECTS: &[(&str, &str)] = &[
    (
        "endpointslices.json",
        include_str!("../fixtures/real-node/api/endpointslices.json"),
    ),
    (
        "namespaces.json",
        include_str!("../fixtures/real-node/api/namespaces.json"),
    ),
    ("nodes.json", include_str!("../fixtures/real-node/api/nodes.json")),
    ("pods.json", include_str!("../fixtures/real-node/api/pods.json")),
    (
        "replicasets.json",
        include_str!("../fixtures/real-node/api/replicasets.json"),
    ),
    (
        "services.json",
        include_str!("../fixtures/real-node/api/services.json"),
    ),
];

/// How one is started.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Its command line, its name first. For show: the options below go another way.
    pub argv: &'a [&'a str],
    /// Cgroup it is in.
    pub cgroup: Option<&'a Cgroup>,
    /// Where it listens. Port 0 is any; `[::]` takes IPv4 clients too.
    pub listen: SocketAddr,
    /// Directory with the lists it begins with; none for those of the real node.
    pub objects: Option<&'a Path>,
    /// A real etcd that keeps the objects.
    pub etcd: Option<SocketAddr>,
    /// Connections it holds to that etcd, at least.
    pub etcd_connections: usize,
    /// More options, each with its value: `--bookmark-ms 50`, `--history 4`, `--faults JSON`.
    pub options: &'a [(&'a str, &'a str)],
}

impl Default for Start<'_> {
    fn default() -> Self {
        Self {
            argv: &["kube-apiserver"],
            cgroup: None,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            objects: None,
            etcd: None,
            etcd_connections: 0,
            options: &[],
        }
    }
}

impl Start<'_> {
    fn options(&self, objects: &Path) -> String {
        let objects = self.objects.unwrap_or(objects);
        let mut options = vec![
            ("--objects", objects.display().to_string()),
            ("--etcd-connections", self.etcd_connections.to_string()),
        ];
        if let Some(etcd) = self.etcd {
            options.push(("--etcd", etcd.to_string()));
        }
        let more = self.options.iter();
        options.extend(more.map(|(option, value)| (*option, (*value).to_owned())));
        let lines: Vec<_> = options
            .iter()
            .map(|(option, value)| format!("{option}\n{value}"))
            .collect();
        lines.join("\n")
    }
}

/// A running stand-in API server. It ends when this value is dropped.
#[derive(Debug)]
pub struct ApiServer {
    netns: Option<Netns>,
    argv: Vec<String>,
    cgroup: Option<PathBuf>,
    /// Those of the start, one a line; where it listens is apart.
    options: String,
    /// Where it listens, the port being known.
    address: SocketAddr,
    child: Option<Child>,
    directory: Scratch,
}

impl ApiServer {
    /// Starts one, in the namespace where one is given, and waits until it listens.
    pub fn start(netns: Option<&Netns>, start: Start<'_>) -> Result<Self> {
        let directory = Scratch::new()?;
        let objects = directory.join("objects");
        fs::create_dir(&objects)?;
        for (name, list) in OBJECTS {
            fs::write(objects.join(name), list)?;
        }
        let name = start.argv.first().context("an API server needs a name")?;
        binaries::rename(&binaries::apiserver()?, &directory.join(name))?;
        let mut server = Self {
            netns: netns.map(Netns::try_clone).transpose()?,
            argv: start.argv.iter().map(|word| (*word).to_owned()).collect(),
            cgroup: start.cgroup.map(|cgroup| cgroup.path().to_owned()),
            options: start.options(&objects),
            address: start.listen,
            child: None,
            directory,
        };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it where it was before: on the same port, and with etcd with the same objects.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop()?;
        let (name, arguments) = self.argv.split_first().context("an API server needs a name")?;
        let program = self.directory.join(name);
        let setting = Setting {
            cgroup: self.cgroup.as_deref(),
            ..Setting::default()
        };
        let log = self.directory.join("log");
        let options = format!(
            "--listen\n{}\n--kubeconfig-out\n{}\n{}",
            self.address,
            self.kubeconfig().display(),
            self.options
        );
        let mut command = binaries::launch(name, &program, setting)?;
        command
            .args(arguments)
            .env("KCN_APISERVER", options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        let mut child = match &self.netns {
            Some(netns) => spawn(&mut command, netns)?,
            None => command.spawn().context("cannot run the API server")?,
        };
        let answers = child.stdout.take();
        self.child = Some(child);
        let mut answers = Lines::new(answers.context("the API server has no stdout")?);
        let port = answers.next(patience()).with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("the API server does not start: {said}")
        })?;
        self.address.set_port(port.parse()?);
        Ok(())
    }

    /// Ends it, and returns once the kernel has closed its sockets.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Its process id; 0 while it is stopped.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Where clients in its namespace reach it.
    pub fn address(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }

    /// A kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// Sets faults, or does what they say.
    pub fn faults(&self, faults: &Value) -> Result<()> {
        let (code, answer) = self.ask("POST", "/standin/faults", Some(faults))?;
        if code != 200 {
            bail!("{faults} was refused: {answer}");
        }
        Ok(())
    }

    /// How often something was asked, such as `list pods` or `watch nodes`; or the gauges `watches` and `connections`.
    pub fn count(&self, what: &str) -> Result<u64> {
        let (_, answer) = self.ask("GET", "/standin/requests", None)?;
        let count = answer
            .get("requests")
            .and_then(|requests| requests.get(what))
            .or_else(|| answer.get(what));
        Ok(count.and_then(Value::as_u64).unwrap_or(0))
    }

    /// Waits until something was asked so often.
    pub fn wait_count(&self, what: &str, count: u64) -> Result<()> {
        let waited = format!("the API server has {what} {count} times");
        until_true(&waited, patience(), || Ok(self.count(what)? >= count))
    }

    /// Sends a request; gives the code and the JSON of the answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        self.ask_within(patience(), method, path, body)
    }

    /// The same, for an answer that must come within `patience`.
    pub fn ask_within(
        &self,
        patience: Duration,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let (code, answer) = http::ask(self.dial()?, patience, method, path, body)?;
        let answer = serde_json::from_slice(&answer)
            .with_context(|| format!("{method} {path} was answered {code} without JSON"))?;
        Ok((code, answer))
    }

    /// Creates an object, or puts it in the place of the one of its name.
    pub fn put(&self, object: &Value) -> Result<()> {
        let (all, own) = paths(object)?;
        let (mut code, mut answer) = self.ask("PUT", &own, Some(object))?;
        if code == 404 {
            (code, answer) = self.ask("POST", &all, Some(object))?;
        }
        if code != 200 && code != 201 {
            bail!("{own} was refused: {answer}");
        }
        Ok(())
    }

    /// Deletes the object at a path such as `/api/v1/namespaces/default/pods/web`.
    pub fn delete(&self, path: &str) -> Result<()> {
        let (code, answer) = self.ask("DELETE", path, None)?;
        if code != 200 {
            bail!("{path} was not deleted: {answer}");
        }
        Ok(())
    }

    /// Begins a watch at a path with its query, without `watch=1`.
    pub fn watch(&self, path: &str) -> Result<Stream> {
        let mark = if path.contains('?') { '&' } else { '?' };
        Stream::begin(self.address, self.dial()?, &format!("{path}{mark}watch=1"))
    }

    /// A command with the kubeconfig of this server, run in its namespace; gives what it prints.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let program = binaries::find("kubectl").context("kubectl is not installed")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            // Its cache of discovery documents is below this.
            .env("HOME", self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = match &self.netns {
            Some(netns) => spawn(&mut command, netns)?,
            None => command.spawn().context("cannot run kubectl")?,
        };
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "kubectl {arguments:?} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn dial(&self) -> Result<TcpStream> {
        let dial = || TcpStream::connect(self.address());
        let stream = match &self.netns {
            Some(netns) => netns.inside(dial)?,
            None => dial(),
        };
        stream.with_context(|| format!("nobody listens on {}", self.address()))
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // Where it cannot be killed it has ended already.
        drop(self.stop());
    }
}

/// The path of all objects of the object's kind in its namespace, and its own.
fn paths(object: &Value) -> Result<(String, String)> {
    let text = |path| object.pointer(path).and_then(Value::as_str);
    let version = text("/apiVersion").context("the object has no apiVersion")?;
    let kind = text("/kind").context("the object has no kind")?;
    let name = text("/metadata/name").context("the object has no name")?;
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = text("/metadata/namespace").map(|namespace| format!("/namespaces/{namespace}"));
    let all = format!(
        "/{root}/{version}{}/{}s",
        namespace.unwrap_or_default(),
        kind.to_ascii_lowercase()
    );
    Ok((all.clone(), format!("{all}/{name}")))
}
