//! Messages of CRI v1, `runtime.v1` of kubernetes/cri-api, trimmed to the fields that are used.
//!
//! Written by hand so that building needs no protoc. Fields left out are skipped when decoding.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut, Bytes},
    encoding::{self, DecodeContext, WireType},
};

/// Entries of one list; a node runs some hundred pods.
const ITEMS_MAX: usize = 50_000;

/// `SANDBOX_READY`.
pub(super) const SANDBOX_READY: i32 = 0;
/// `CONTAINER_CREATED`: not started yet.
pub(super) const CONTAINER_CREATED: i32 = 0;
/// `CONTAINER_EXITED`.
pub(super) const CONTAINER_EXITED: i32 = 2;
/// `NamespaceMode.NODE`: the node's own.
pub(super) const NAMESPACE_NODE: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Version {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(super) runtime_version: String,
}

/// A request without fields: an unfiltered list, `Version` and `GetContainerEvents`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Everything {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StatusRequest {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(bool, tag = "2")]
    pub(super) verbose: bool,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SandboxMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) uid: String,
    #[prost(string, tag = "3")]
    pub(super) namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) metadata: Option<SandboxMetadata>,
    #[prost(int32, tag = "3")]
    pub(super) state: i32,
    #[prost(int64, tag = "4")]
    pub(super) created_at: i64,
    #[prost(map = "string, string", tag = "5")]
    pub(super) labels: HashMap<String, String>,
    #[prost(map = "string, string", tag = "6")]
    pub(super) annotations: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct ImageSpec {
    #[prost(string, tag = "1")]
    pub(super) image: String,
    #[prost(string, tag = "18")]
    pub(super) user_specified_image: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    pub(super) image: Option<ImageSpec>,
    #[prost(int32, tag = "6")]
    pub(super) state: i32,
    #[prost(map = "string, string", tag = "8")]
    pub(super) labels: HashMap<String, String>,
    #[prost(map = "string, string", tag = "9")]
    pub(super) annotations: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SandboxStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<SandboxStatus>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct SandboxStatus {
    #[prost(message, optional, tag = "5")]
    pub(super) network: Option<Network>,
    #[prost(message, optional, tag = "6")]
    pub(super) linux: Option<LinuxStatus>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Network {
    #[prost(string, tag = "1")]
    pub(super) ip: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) additional_ips: Vec<PodIp>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct PodIp {
    #[prost(string, tag = "1")]
    pub(super) ip: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct LinuxStatus {
    #[prost(message, optional, tag = "1")]
    pub(super) namespaces: Option<Namespaces>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Namespaces {
    #[prost(message, optional, tag = "2")]
    pub(super) options: Option<NamespaceOptions>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct NamespaceOptions {
    #[prost(int32, tag = "1")]
    pub(super) network: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerStatusResponse {
    #[prost(map = "string, string", tag = "2")]
    pub(super) info: HashMap<String, String>,
}

/// Something happened; what it was is asked by listing, so that a stale or repeated event does no harm.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Event {
    #[prost(string, tag = "1")]
    pub(super) container_id: String,
}

/// A response that is one repeated field, number 1. An entry that does not decode costs itself only, and what is more
/// than [`ITEMS_MAX`] is counted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// Entries left out.
    pub(super) refused: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            refused: 0,
        }
    }
}

impl<T: Message + Default> Message for List<T> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        encoding::message::encode_repeated(1, &self.items, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != 1 {
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        let mut entry = Bytes::new();
        encoding::bytes::merge(wire_type, &mut entry, buf, ctx)?;
        match T::decode(entry) {
            Ok(item) if self.items.len() < ITEMS_MAX => self.items.push(item),
            Ok(_) | Err(_) => self.refused += 1,
        }
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        encoding::message::encoded_len_repeated(1, &self.items)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
