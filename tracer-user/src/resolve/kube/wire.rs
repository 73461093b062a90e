//! Requests and answers of the API server, all with a limit of size and of time.
#![forbid(unsafe_code)]

use std::{error::Error, time::Duration};

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::{Body, Client};

use super::objects::Status;

/// Largest page of a list. 500 pods of a real node are 4 MiB; objects are at most 1.5 MiB each, so that a page that is
/// too large becomes a smaller one.
pub(super) const PAGE_MAX: usize = 32 << 20;
/// Largest line of a watch. etcd refuses objects above 1.5 MiB by default.
pub(super) const LINE_MAX: usize = 8 << 20;
/// Bytes of a line above [`LINE_MAX`] that are read to find its end.
const SKIPPED_MAX: usize = 8 * LINE_MAX;
/// Largest explanation of a refusal.
const REFUSAL_MAX: usize = 64 << 10;
/// How much longer than its longest silence an answer may take.
const SLOW: u32 = 4;
/// Longest text of an error that is shown, bytes.
const WHY_MAX: usize = 300;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// Credentials could not be had. Their errors may hold tokens, so they are not shown.
    #[error("no credentials: the plugin, token file or provider that the kubeconfig names failed")]
    Credentials,
    /// Nothing came for so long.
    #[error("it has been silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// Refused. Its message is not told: it may repeat what it was asked with, a token among it.
    #[error("it answered {code} ({reason})")]
    Refused {
        /// HTTP status.
        code: u16,
        /// The reason, one of Kubernetes' or of HTTP's own words.
        reason: &'static str,
    },
    /// The resource version is too old, or newer than the server: list again.
    #[error("the resource version is not known any more")]
    Gone,
    /// The answer is larger than the limit.
    #[error("its answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    /// The answer is not what was asked for.
    #[error("its answer makes no sense: {0}")]
    Garbage(String),
    /// It keeps answering, and does not end.
    #[error("{0}")]
    Endless(&'static str),
}

/// Asks for `path`; the body is still to be read.
pub(super) async fn get(client: &Client, path: &str, patience: Duration) -> Result<Response<Body>, Trouble> {
    let request = Request::get(path)
        .header("accept", "application/json")
        .body(Body::empty())
        .map_err(|_path| Trouble::Garbage("the way to its next page is no path".to_owned()))?;
    let answer = tokio::time::timeout(patience, client.send(request)).await;
    let response = answer
        .map_err(|_elapsed| Trouble::Silent(patience))?
        .map_err(|error| trouble(&error))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let body = whole(response.into_body(), REFUSAL_MAX, patience).await;
    Err(refusal(status, &body.unwrap_or_default()))
}

/// A whole body of at most `max` bytes; as a whole it may take [`SLOW`] times as long as its parts.
pub(super) async fn whole(body: Body, max: usize, patience: Duration) -> Result<Vec<u8>, Trouble> {
    let all = patience.saturating_mul(SLOW);
    tokio::time::timeout(all, parts(body, max, patience))
        .await
        .unwrap_or(Err(Trouble::Endless(
            "its answer came too slowly, and did not end",
        )))
}

async fn parts(mut body: Body, max: usize, patience: Duration) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(more) = chunk(&mut body, patience).await? {
        if bytes.len() + more.len() > max {
            return Err(Trouble::TooLarge(max));
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes)
}

/// The next part of a body; none at its end.
async fn chunk(body: &mut Body, patience: Duration) -> Result<Option<Vec<u8>>, Trouble> {
    let part = tokio::time::timeout(patience, frame(body)).await;
    part.unwrap_or(Err(Trouble::Silent(patience)))
}

async fn frame(body: &mut Body) -> Result<Option<Vec<u8>>, Trouble> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(error)) => return Err(Trouble::Connection(chain(&error))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data.to_vec()));
                }
            }
        }
    }
}

/// What a refusal says.
fn refusal(status: StatusCode, body: &[u8]) -> Trouble {
    // Proxies answer with pages, not with a Status: then the number is all there is.
    let told: Status = serde_json::from_slice(body).unwrap_or_default();
    refused(&Status {
        code: Some(status.as_u16()),
        ..told
    })
}

/// What a Status says, be it of a request or inside a watch.
pub(super) fn refused(status: &Status) -> Trouble {
    let code = status.code.unwrap_or(0);
    let message = status.message.as_deref().unwrap_or_default();
    let is_old = code == 410 || matches!(status.reason.as_deref(), Some("Expired" | "Gone"));
    if is_old || message.starts_with("Too large resource version") {
        return Trouble::Gone;
    }
    let said = REASONS
        .iter()
        .find(|known| status.reason.as_deref() == Some(**known));
    let usual = || StatusCode::from_u16(code).ok()?.canonical_reason();
    Trouble::Refused {
        code,
        reason: said.copied().or_else(usual).unwrap_or("no reason is given"),
    }
}

fn trouble(error: &kube::Error) -> Trouble {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let is_auth = error.is::<kube::client::AuthError>()
            || matches!(error.downcast_ref::<kube::Error>(), Some(kube::Error::Auth(_)));
        if is_auth {
            return Trouble::Credentials;
        }
        cause = error.source();
    }
    Trouble::Connection(chain(error))
}

/// The innermost cause says most: `Connection refused`, `invalid peer certificate`.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut inmost = error;
    while let Some(cause) = inmost.source() {
        inmost = cause;
    }
    short(&inmost.to_string())
}

fn short(text: &str) -> String {
    let end = text.floor_char_boundary(WHY_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

/// `metav1.StatusReason`.
const REASONS: [&str; 19] = [
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "RequestEntityTooLarge",
    "ServerTimeout",
    "ServiceUnavailable",
    "StorageReadError",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
];

const LINE: &str = "a line of its watch does not end";

/// One line of a watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Text(Vec<u8>),
    /// Longer than [`LINE_MAX`]; it was thrown away.
    TooLong,
    /// The server ended the watch.
    End,
}

/// Lines of a watch.
pub(super) struct Lines {
    body: Body,
    buffer: Vec<u8>,
    /// Bytes of the buffer that hold no line end.
    searched: usize,
    /// Bytes thrown away of a line that is too long.
    skipped: usize,
}

impl Lines {
    pub(super) const fn new(body: Body) -> Self {
        Self {
            body,
            buffer: Vec::new(),
            searched: 0,
            skipped: 0,
        }
    }

    /// The next line; [`Trouble::Silent`] when none comes for `patience`, [`Trouble::Endless`] when one began and does
    /// not end.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Line, Trouble> {
        let line = tokio::time::timeout(patience, self.line()).await;
        let has_begun = !self.buffer.is_empty() || self.skipped > 0;
        line.unwrap_or(Err(if has_begun {
            Trouble::Endless(LINE)
        } else {
            Trouble::Silent(patience)
        }))
    }

    async fn line(&mut self) -> Result<Line, Trouble> {
        loop {
            let fresh = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                line.pop();
                if std::mem::take(&mut self.skipped) > 0 {
                    return Ok(Line::TooLong);
                }
                return Ok(Line::Text(line));
            }
            self.searched = self.buffer.len();
            if self.skipped > 0 || self.buffer.len() > LINE_MAX {
                self.skipped += self.buffer.len();
                self.buffer = Vec::new();
                self.searched = 0;
            }
            if self.skipped > SKIPPED_MAX {
                return Err(Trouble::Endless(LINE));
            }
            match frame(&mut self.body).await? {
                // What has no end was cut off: the watch is resumed before it.
                None => return Ok(Line::End),
                Some(more) => self.buffer.extend_from_slice(&more),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_of_a_refusal_is_told_by_its_kind() {
        let cases = [
            (
                401,
                r#"{"reason":"Unauthorized","message":"S3CRET"}"#,
                "it answered 401 (Unauthorized)",
            ),
            (
                403,
                r#"{"reason":"Forbidden","message":"pods is forbidden: User S3CRET"}"#,
                "it answered 403 (Forbidden)",
            ),
            (
                403,
                r#"{"reason":"S3CRET","message":"S3CRET"}"#,
                "it answered 403 (Forbidden)",
            ),
            (
                500,
                "<html>S3CRET</html>",
                "it answered 500 (Internal Server Error)",
            ),
            (
                599,
                r#"{"message":"S3CRET"}"#,
                "it answered 599 (no reason is given)",
            ),
            (
                410,
                r#"{"message":"S3CRET"}"#,
                "the resource version is not known any more",
            ),
            (
                504,
                r#"{"message":"Too large resource version: 5, current: 4"}"#,
                "the resource version is not known any more",
            ),
        ];
        for (code, body, want) in cases {
            let trouble = refusal(StatusCode::from_u16(code).unwrap(), body.as_bytes());
            assert_eq!(trouble.to_string(), want, "{body}");
        }
    }
}
