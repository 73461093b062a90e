//! The runtime's events: a sign that something changed, and no more.
#![forbid(unsafe_code)]

use std::error::Error as _;

use http::uri::PathAndQuery;
use tokio::{sync::mpsc, task::JoinHandle};
use tonic::{Request, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use super::{
    client::{Trouble, told},
    wire::{Event, Everything},
};

/// A subscription to events. Its content is not kept: an event says that a list would be different now.
#[derive(Debug)]
pub(super) struct Events {
    receiver: mpsc::Receiver<()>,
    task: JoinHandle<Result<(), Status>>,
}

impl Events {
    /// Subscribes.
    pub(super) fn of(mut grpc: Grpc<Channel>) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        // Not under `patience`: grpc-go answers nothing at all before the first event.
        let task = tokio::spawn(async move {
            let path = PathAndQuery::from_static("/runtime.v1.RuntimeService/GetContainerEvents");
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<Everything, Event>::default();
            let mut stream = grpc
                .server_streaming(Request::new(Everything {}), path, codec)
                .await?
                .into_inner();
            while stream.message().await?.is_some() {
                if matches!(sender.try_send(()), Err(mpsc::error::TrySendError::Closed(()))) {
                    break;
                }
            }
            Ok(())
        });
        Self { receiver, task }
    }

    /// Whether something happened already.
    pub(super) fn are_waiting(&self) -> bool {
        !self.receiver.is_empty()
    }

    /// Why there will be none any more: an error when the connection is at fault and not the runtime.
    pub(super) async fn end(mut self) -> Result<(), Trouble> {
        match (&mut self.task).await {
            Ok(Err(status)) if status.source().is_some() => Err(Trouble::Lost {
                call: "GetContainerEvents",
                message: told(&status),
            }),
            // Not known there, refused, or over: lists tell as much.
            Ok(Ok(()) | Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Waits for an event. `None` when there will be none any more.
    pub(super) async fn next(&mut self) -> Option<()> {
        self.receiver.recv().await
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}
