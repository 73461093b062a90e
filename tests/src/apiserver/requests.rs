//! What tests ask of a stand-in API server: objects, watches, faults, counts, and kubectl.

use super::ApiServer;
use crate::binaries;
use crate::http::{self, Stream};
use crate::standin::spawn;
use crate::wait::{patience, until_true};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

impl ApiServer {
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
