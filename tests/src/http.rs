//! A small HTTP/1.1 client for the stand-in API server: one request a connection, and chunked streams of lines.

use crate::lines::Lines;
use crate::wait::patience;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends one request and gives the code and the body of its answer, which must come within `patience`.
pub fn ask(
    stream: TcpStream,
    patience: Duration,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Vec<u8>)> {
    let mut stream = stream;
    stream.set_read_timeout(Some(patience))?;
    let body = body.map(ToString::to_string).unwrap_or_default();
    let kind = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: standin\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .with_context(|| format!("no answer to {method} {path}"))?;
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .with_context(|| format!("the answer to {method} {path} has no header"))?;
    let body = answer.split_off(end + 4);
    Ok((code(&String::from_utf8_lossy(&answer))?, body))
}

/// A stream of JSON lines, one a chunk.
#[derive(Debug)]
pub struct Stream(Lines<TcpStream>);

impl Stream {
    /// Begins one. Fails with the code where the answer is another than 200.
    pub fn begin(address: SocketAddr, stream: TcpStream, path: &str) -> Result<Self> {
        let mut stream = stream;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        let mut lines = Lines::new(stream);
        let code = code(&lines.next(patience())?)?;
        while lines.next(patience())?.trim_end() != "" {}
        if code != 200 {
            bail!("{path} was answered {code}");
        }
        Ok(Self(lines))
    }

    /// The next line; none at the proper end of the stream. Fails where the stream is cut.
    pub fn line(&mut self) -> Result<Option<String>> {
        let length = self.0.next(patience())?;
        let length = usize::from_str_radix(length.trim_end(), 16)
            .with_context(|| format!("{length:?} is no length of a chunk"))?;
        let line = if length == 0 {
            None
        } else {
            Some(self.0.next(patience())?)
        };
        if let Some(line) = line.as_ref().filter(|line| line.len() + 1 != length) {
            bail!("a chunk of {length} bytes has {}: {line}", line.len() + 1);
        }
        self.0.next(patience())?;
        Ok(line)
    }

    /// The next event of a watch: its type and its object.
    pub fn event(&mut self) -> Result<(String, Value)> {
        let line = self.line()?.context("the watch has ended")?;
        let mut event: Value =
            serde_json::from_str(&line).with_context(|| format!("this is no event: {line}"))?;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let kind = kind.to_owned();
        let object = event.get_mut("object").map(Value::take);
        Ok((kind, object.unwrap_or_default()))
    }
}

fn code(head: &str) -> Result<u16> {
    head.split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("this is no HTTP answer: {head}"))
}
