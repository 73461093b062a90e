//! HTTP/1.1 as far as clients of an API server use it: requests with limits, whole answers, chunked streams.

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Bytes of a request line and its header: more than Go's and hyper's clients send.
const MAX_HEAD: u64 = 64 << 10;

/// Bytes of a body: objects are at most 1.5 MiB in etcd, and lists come from files.
const MAX_BODY: usize = 16 << 20;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keep_alive: bool,
    /// Who asks, as the header says it; empty where it does not.
    pub(crate) authorization: String,
}

impl Request {
    /// Reads the next one; none at the end of the connection.
    pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut head = reader.take(MAX_HEAD);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (Some(method), Some(target), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return Err(invalid("this is no HTTP request"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: decode(path),
            query: query.split('&').filter_map(parameter).collect(),
            body: Vec::new(),
            keep_alive: protocol == "HTTP/1.1",
            authorization: String::new(),
        };
        let length = request.read_header(&mut head)?;
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    /// Reads up to the empty line; gives the length of the body.
    fn read_header(&mut self, head: &mut impl BufRead) -> io::Result<usize> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Err(invalid("the header is too long or cut off"));
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return Ok(length);
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    length = value
                        .parse()
                        .ok()
                        .filter(|length| *length <= MAX_BODY)
                        .ok_or_else(|| invalid("the body's length is no number or too large"))?;
                }
                "transfer-encoding" => return Err(invalid("chunked requests are not understood")),
                "authorization" => value.clone_into(&mut self.authorization),
                "connection" => self.keep_alive &= !value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
    }

    /// The value of a parameter of the query; empty where it is not given.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// Whether a parameter of the query says yes.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        matches!(self.parameter(name), "1" | "true" | "True")
    }
}

fn parameter(pair: &str) -> Option<(String, String)> {
    let (key, value) = pair.split_once('=')?;
    Some((decode(key), decode(&value.replace('+', " "))))
}

/// `%3D` to `=`. What is no escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() {
            tail.get(2..).unwrap_or_default()
        } else {
            tail
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Response {
    code: u16,
    kind: &'static str,
    body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(code: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            code,
            kind: "application/json",
            body: body.into(),
        }
    }

    pub(crate) fn text(body: &str) -> Self {
        Self {
            code: 200,
            kind: "text/plain",
            body: body.into(),
        }
    }

    pub(crate) fn write(&self, stream: &mut TcpStream, keep_alive: bool) -> io::Result<()> {
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            self.code,
            reason(self.code),
            self.kind,
            self.body.len()
        );
        // One write for what fits into one: a head alone would wait for its acknowledgement.
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes)
    }
}

/// An error as the API tells it: a `Status` object with its HTTP code.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Machine-readable cause, where there is one.
    pub(crate) cause: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            cause: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn status(&self) -> Value {
        let causes: Vec<_> = self
            .cause
            .iter()
            .map(|cause| json!({"reason": cause, "message": self.message}))
            .collect();
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": {"causes": causes},
            "code": self.code,
        })
    }

    pub(crate) fn response(&self) -> Response {
        Response::json(self.code, self.status().to_string())
    }
}

/// A chunked stream of lines.
pub(crate) struct Chunks<'a>(&'a mut TcpStream);

impl<'a> Chunks<'a> {
    pub(crate) fn begin(stream: &'a mut TcpStream) -> io::Result<Self> {
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        Ok(Self(stream))
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.0
    }

    /// One line, in a chunk of its own.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
        self.0.write_all(chunk.as_bytes())
    }

    pub(crate) fn end(self) -> io::Result<()> {
        self.0.write_all(b"0\r\n\r\n")
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

pub(crate) fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
