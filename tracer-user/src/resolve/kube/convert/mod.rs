//! From API objects to facts, purely: trimmed, capped, or refused with a reason.
#![forbid(unsafe_code)]

mod net;
mod pod;
mod workload;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::Deserialize;

use super::objects::{EndpointSlice, Meta, Node, Pod, Service};
use crate::{
    malformed::Malformed,
    signal::inventory::{Fact, Kind},
};

/// Longest name, label or other text that is kept; the API allows names of 253 bytes and label keys of 317.
const TEXT_MAX: usize = 317;
/// Most of anything that an object may list, but endpoints: labels, ports, addresses, containers.
const LIST_MAX: usize = 256;
/// Most endpoints of a slice: the API's own bound.
const ENDPOINTS_MAX: usize = 1000;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Pods,
    Services,
    Endpoints,
    Nodes,
}

impl Resource {
    pub(super) const ALL: [Self; 4] = [Self::Pods, Self::Services, Self::Endpoints, Self::Nodes];

    /// As RBAC rules and messages call it.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Services => "services",
            Self::Endpoints => "endpointslices",
            Self::Nodes => "nodes",
        }
    }

    /// Its API group, as RBAC rules write it.
    pub(super) const fn group(self) -> &'static str {
        match self {
            Self::Pods | Self::Services | Self::Nodes => "",
            Self::Endpoints => "discovery.k8s.io",
        }
    }

    /// Where all of it is, in every namespace.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Pods => "/api/v1/pods",
            Self::Services => "/api/v1/services",
            Self::Endpoints => "/apis/discovery.k8s.io/v1/endpointslices",
            Self::Nodes => "/api/v1/nodes",
        }
    }

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Pods => Kind::Pods,
            Self::Services => Kind::Services,
            Self::Endpoints => Kind::Endpoints,
            Self::Nodes => Kind::Nodes,
        }
    }
}

/// An object, read.
#[derive(Debug)]
pub(super) struct Item {
    /// `metadata.resourceVersion`.
    pub(super) version: Option<String>,
    /// When it is there.
    pub(super) fact: Fact,
    /// When it is gone.
    pub(super) gone: Fact,
}

/// An object that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("it is not such an object: {0}")]
    Json(#[from] Malformed),
    #[error("it has no {0}")]
    Lacks(&'static str),
}

/// Reads one object.
pub(super) fn item(resource: Resource, text: &str) -> Result<Item, Unreadable> {
    match resource {
        Resource::Pods => {
            let mut pod: Pod = parse(text)?;
            let version = pod.metadata.resource_version.take();
            let facts = pod::facts(pod)?;
            Ok(Item {
                version,
                gone: Fact::PodGone(facts.uid.clone()),
                fact: Fact::Pod(Box::new(facts)),
            })
        }
        Resource::Services => {
            let mut service: Service = parse(text)?;
            let version = service.metadata.resource_version.take();
            let facts = net::service(service)?;
            Ok(Item {
                version,
                gone: Fact::ServiceGone(facts.namespace.clone(), facts.name.clone()),
                fact: Fact::Service(Box::new(facts)),
            })
        }
        Resource::Endpoints => {
            let mut slice: EndpointSlice = parse(text)?;
            let version = slice.metadata.resource_version.take();
            let facts = net::endpoints(slice)?;
            Ok(Item {
                version,
                gone: Fact::EndpointsGone(facts.namespace.clone(), facts.name.clone()),
                fact: Fact::Endpoints(Box::new(facts)),
            })
        }
        Resource::Nodes => {
            let mut node: Node = parse(text)?;
            let version = node.metadata.resource_version.take();
            let facts = net::node(node)?;
            Ok(Item {
                version,
                gone: Fact::NodeGone(facts.name.clone()),
                fact: Fact::Node(Box::new(facts)),
            })
        }
    }
}

fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Unreadable> {
    Ok(serde_json::from_str(text).map_err(Malformed::from)?)
}

/// Cut where it is longer than anything valid.
fn capped(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
    }
    text.shrink_to_fit();
    text
}

fn required(text: Option<String>, what: &'static str) -> Result<String, Unreadable> {
    text.filter(|text| !text.is_empty())
        .map(capped)
        .ok_or(Unreadable::Lacks(what))
}

fn name(meta: &mut Meta) -> Result<String, Unreadable> {
    required(meta.name.take(), "name")
}

fn namespace(meta: &mut Meta) -> Result<String, Unreadable> {
    required(meta.namespace.take(), "namespace")
}

/// Addresses among the texts; `None`, host names and garbage are none.
fn addresses<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<IpAddr> {
    texts
        .into_iter()
        .filter_map(|text| text.parse().ok())
        .take(LIST_MAX)
        .collect()
}

/// A TCP port; the protocol is TCP unless it says otherwise.
fn tcp_port(protocol: Option<&str>, port: Option<i64>) -> Option<u16> {
    if protocol.is_some_and(|protocol| protocol != "TCP") {
        return None;
    }
    port.and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port != 0)
}
