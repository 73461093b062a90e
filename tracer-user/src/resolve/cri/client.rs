//! Calls of CRI v1 on one connection: every answer is waited for and measured against limits.
#![forbid(unsafe_code)]

use std::{error::Error as _, io, path::Path, time::Duration};

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{
    events::Events,
    wire::{
        Container, ContainerStatusResponse, Everything, List, PodSandbox, SandboxStatusResponse,
        StatusRequest, Version,
    },
};

/// A list: four times what kubelet takes, so whatever kubelet lives with can be read.
const LIST_MAX: usize = 64 << 20;
/// The status of one sandbox or container, and one event.
const STATUS_MAX: usize = 4 << 20;
/// A message of the runtime in a fault, characters.
const MESSAGE_MAX: usize = 200;

/// Why the runtime could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// The socket takes no connection.
    #[error("no connection: {message}")]
    Connect { kind: io::ErrorKind, message: String },
    /// No answer in time.
    #[error("{call} was not answered within {} s", .patience.as_secs())]
    Silent { call: &'static str, patience: Duration },
    /// The other end does not know the call.
    #[error("{call} is not known there: {message}")]
    Unknown { call: &'static str, message: String },
    /// The thing asked for is not there.
    #[error("{call}: not found")]
    Missing { call: &'static str },
    /// The connection ended.
    #[error("{call}: {message}")]
    Lost { call: &'static str, message: String },
    /// Refused, malformed, or too long.
    #[error("{call}: {message}")]
    Refused { call: &'static str, message: String },
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Client {
    grpc: Grpc<Channel>,
    patience: Duration,
}

impl Client {
    /// Connects; `patience` is how long each answer may take.
    pub(super) async fn connect(socket: &Path, patience: Duration) -> Result<Self, Trouble> {
        let refused = |kind, message: &str| Trouble::Connect {
            kind,
            message: capped(message),
        };
        let path = socket
            .to_str()
            .ok_or_else(|| refused(io::ErrorKind::InvalidInput, "the path is not UTF-8"))?;
        let endpoint = Endpoint::from_shared(format!("unix://{path}"))
            .map_err(|error| refused(io::ErrorKind::InvalidInput, &error.to_string()))?;
        let connected = timeout(patience, endpoint.connect())
            .await
            .map_err(|_elapsed| Trouble::Silent {
                call: "the connection",
                patience,
            })?;
        let channel = connected.map_err(|error| {
            let cause = root_io(&error);
            let kind = cause.map_or(io::ErrorKind::Other, io::Error::kind);
            let message = cause.map_or_else(|| error.to_string(), ToString::to_string);
            refused(kind, &message)
        })?;
        Ok(Self {
            grpc: Grpc::new(channel),
            patience,
        })
    }

    pub(super) async fn version(&self) -> Result<Version, Trouble> {
        self.call(
            "Version",
            "/runtime.v1.RuntimeService/Version",
            Everything {},
            STATUS_MAX,
        )
        .await
    }

    pub(super) async fn sandboxes(&self) -> Result<List<PodSandbox>, Trouble> {
        let path = "/runtime.v1.RuntimeService/ListPodSandbox";
        self.call("ListPodSandbox", path, Everything {}, LIST_MAX).await
    }

    pub(super) async fn containers(&self) -> Result<List<Container>, Trouble> {
        let path = "/runtime.v1.RuntimeService/ListContainers";
        self.call("ListContainers", path, Everything {}, LIST_MAX).await
    }

    pub(super) async fn sandbox_status(&self, id: String) -> Result<SandboxStatusResponse, Trouble> {
        let path = "/runtime.v1.RuntimeService/PodSandboxStatus";
        let request = StatusRequest { id, verbose: false };
        self.call("PodSandboxStatus", path, request, STATUS_MAX).await
    }

    /// Verbose: only there the pid is told.
    pub(super) async fn container_status(&self, id: String) -> Result<ContainerStatusResponse, Trouble> {
        let path = "/runtime.v1.RuntimeService/ContainerStatus";
        let request = StatusRequest { id, verbose: true };
        self.call("ContainerStatus", path, request, STATUS_MAX).await
    }

    /// Subscribes to events; they arrive while the runtime runs.
    pub(super) fn events(&self) -> Events {
        Events::of(self.grpc.clone().max_decoding_message_size(STATUS_MAX))
    }

    async fn call<Q, A>(
        &self,
        call: &'static str,
        path: &'static str,
        request: Q,
        max: usize,
    ) -> Result<A, Trouble>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone().max_decoding_message_size(max);
        let patience = self.patience;
        let asked = async {
            grpc.ready().await.map_err(|error| Trouble::Lost {
                call,
                message: capped(&error.to_string()),
            })?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc
                .unary(Request::new(request), PathAndQuery::from_static(path), codec)
                .await;
            Ok(answer
                .map_err(|status| trouble(call, &status, patience))?
                .into_inner())
        };
        timeout(patience, asked)
            .await
            .unwrap_or(Err(Trouble::Silent { call, patience }))
    }
}

fn trouble(call: &'static str, status: &Status, patience: Duration) -> Trouble {
    let message = told(status);
    if status.source().is_some() {
        return Trouble::Lost { call, message };
    }
    match status.code() {
        Code::Unimplemented => Trouble::Unknown { call, message },
        Code::NotFound => Trouble::Missing { call },
        Code::DeadlineExceeded => Trouble::Silent { call, patience },
        // Unavailable is also what containerd says of one container whose shim is dead.
        Code::Unavailable
        | Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => Trouble::Refused { call, message },
    }
}

/// What kind of answer it is, and below it the system's own error. Its message is not told: it may repeat what a container
/// or a registry was asked with, a token among it.
pub(super) fn told(status: &Status) -> String {
    // The client's own words, before any of the answer's.
    let kind = if status.code() == Code::OutOfRange && status.message().starts_with(TOO_LARGE) {
        "its answer is larger than any may be"
    } else {
        status.code().description()
    };
    match root_io(status) {
        Some(cause) => format!("{kind}: {}", capped(&cause.to_string())),
        None => kind.to_owned(),
    }
}

/// How tonic begins what it says of a message above the limit.
const TOO_LARGE: &str = "Error, decoded message length too large";

/// The system's own error below a chain of others.
fn root_io<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

pub(super) fn capped(message: &str) -> String {
    message.chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_says_of_a_refusal_is_not_told() {
        let says = |code| Status::new(code, "token S3CRET was refused");
        let cases = [
            (says(Code::Unauthenticated), "ListPodSandbox: ", "authentication"),
            (says(Code::Unknown), "ListPodSandbox: ", "Unknown error"),
            (
                says(Code::Unimplemented),
                "ListPodSandbox is not known there: ",
                "not",
            ),
            (says(Code::NotFound), "ListPodSandbox: not found", ""),
            (
                Status::new(Code::OutOfRange, format!("{TOO_LARGE}: found 9 bytes")),
                "ListPodSandbox: ",
                "larger than any may be",
            ),
            (
                Status::from_error(Box::new(io::Error::from_raw_os_error(104))),
                "ListPodSandbox: ",
                "Connection reset by peer",
            ),
        ];
        for (status, begin, holds) in cases {
            let said = trouble("ListPodSandbox", &status, Duration::from_secs(1)).to_string();
            assert!(said.starts_with(begin) && said.contains(holds), "{said}");
            assert!(!said.contains("S3CRET"), "{said}");
        }
    }
}
