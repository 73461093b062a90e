//! Objects in a real etcd, through its JSON gateway, over connections that stay open as an API server's do.

use crate::base64;
use crate::http::invalid;
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Everything the stand-in stores is below this, as in a real cluster.
const PREFIX: &str = "/registry/";

/// First key after all that begin with [`PREFIX`].
const PREFIX_END: &str = "/registry0";

/// Key whose only use is that writing it raises the revision.
const PASSED: &str = "/standin/passed";

/// Objects read at once: etcd's answers stay at some megabytes.
const PAGE: u32 = 500;

/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 20;

/// How long etcd may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An object as etcd holds it: its JSON and its revision.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) revision: u64,
}

/// Connections to etcd, used in turn.
#[derive(Debug)]
pub(crate) struct Etcd {
    address: SocketAddr,
    connections: Vec<BufReader<TcpStream>>,
    next: usize,
}

impl Etcd {
    /// Opens `count` connections and asks something on each: etcd tells HTTP/1 by the first bytes.
    pub(crate) fn connect(address: SocketAddr, count: usize) -> io::Result<Self> {
        let connections = (0..count)
            .map(|_| dial(address))
            .collect::<io::Result<Vec<_>>>()?;
        let mut etcd = Self {
            address,
            connections,
            next: 0,
        };
        for _ in 0..count {
            etcd.range(PREFIX, 1)?;
        }
        Ok(etcd)
    }

    /// All stored objects and the present revision.
    pub(crate) fn load(&mut self) -> io::Result<(Vec<Stored>, u64)> {
        let mut all = Vec::new();
        let mut start = PREFIX.to_owned();
        loop {
            let answer = self.range(&start, PAGE)?;
            let pairs = answer.get("kvs").and_then(Value::as_array);
            for pair in pairs.into_iter().flatten() {
                let value = bytes(pair, "value")?;
                all.push(Stored {
                    value: serde_json::from_slice(&value)?,
                    revision: number(pair, "mod_revision")?,
                });
                start = format!("{}\0", String::from_utf8_lossy(&bytes(pair, "key")?));
            }
            if answer.get("more") != Some(&Value::Bool(true)) {
                return Ok((all, revision(&answer)?));
            }
        }
    }

    /// Stores a value; gives the revision.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> io::Result<u64> {
        let body = json!({"key": base64::encode(key.as_bytes()), "value": base64::encode(value.as_bytes())});
        revision(&self.ask("/v3/kv/put", &body)?)
    }

    /// Stores nothing of a value that is too large; gives a revision for it all the same.
    pub(crate) fn pass(&mut self, key: &str) -> io::Result<u64> {
        self.put(PASSED, key)
    }

    /// Deletes a key; gives the revision.
    pub(crate) fn delete(&mut self, key: &str) -> io::Result<u64> {
        let body = json!({"key": base64::encode(key.as_bytes())});
        let answer = self.ask("/v3/kv/deleterange", &body)?;
        // What was never stored leaves the revision as it is.
        if answer.get("deleted").is_none() {
            return self.pass(key);
        }
        revision(&answer)
    }

    fn range(&mut self, start: &str, limit: u32) -> io::Result<Value> {
        let body = json!({
            "key": base64::encode(start.as_bytes()),
            "range_end": base64::encode(PREFIX_END.as_bytes()),
            "limit": limit,
        });
        self.ask("/v3/kv/range", &body)
    }

    /// Asks on the next connection, which is opened anew where etcd has closed it. All requests here may be repeated.
    fn ask(&mut self, path: &str, body: &Value) -> io::Result<Value> {
        self.next = (self.next + 1) % self.connections.len().max(1);
        let connection = self
            .connections
            .get_mut(self.next)
            .ok_or_else(|| invalid("there is no connection to etcd"))?;
        let address = self.address;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.to_string().len()
        );
        let answer = match exchange(connection, &request) {
            Ok(answer) => answer,
            Err(_closed) => {
                *connection = dial(address)?;
                exchange(connection, &request)?
            }
        };
        Ok(serde_json::from_slice(&answer)?)
    }
}

fn dial(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn exchange(connection: &mut BufReader<TcpStream>, request: &str) -> io::Result<Vec<u8>> {
    connection.get_mut().write_all(request.as_bytes())?;
    let status = line(connection)?;
    let mut length = None;
    loop {
        let line = line(connection)?.to_ascii_lowercase();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name == "content-length" {
            length = value.trim().parse().ok();
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) => read(connection, length, &mut body)?,
        None => loop {
            let length = usize::from_str_radix(&line(connection)?, 16).map_err(io::Error::other)?;
            read(connection, length, &mut body)?;
            line(connection)?;
            if length == 0 {
                break;
            }
        },
    }
    if status.split(' ').nth(1) == Some("200") {
        Ok(body)
    } else {
        Err(invalid(&format!(
            "etcd answered {status}: {}",
            String::from_utf8_lossy(&body)
        )))
    }
}

fn read(connection: &mut impl Read, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let before = body.len();
    if length > MAX_ANSWER - before {
        return Err(invalid("etcd's answer is too large"));
    }
    body.resize(before + length, 0);
    connection.read_exact(body.get_mut(before..).unwrap_or_default())
}

fn line(connection: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if connection.take(1 << 14).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn revision(answer: &Value) -> io::Result<u64> {
    number(answer.get("header").unwrap_or(&Value::Null), "revision")
}

/// The gateway writes 64-bit numbers as strings.
fn number(value: &Value, field: &str) -> io::Result<u64> {
    value
        .get(field)
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| invalid(&format!("etcd's answer has no {field}")))
}

fn bytes(value: &Value, field: &str) -> io::Result<Vec<u8>> {
    value
        .get(field)
        .and_then(Value::as_str)
        .and_then(base64::decode)
        .ok_or_else(|| invalid(&format!("etcd's answer has no {field}")))
}
