//! The lines of an event stream that are about the stream: `meta`, `lost`, `degraded`, `recovered`, `heartbeat`, `summary`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{JsonHealth, Text};
use crate::{
    graph::Health,
    output::{Loss, units::Rfc3339},
    signal::{Backend, Degraded, Session},
};

/// Of every line.
pub(super) const SCHEMA: &str = "kcn-trace.event/v1";

/// A line that is no event.
#[derive(Serialize)]
pub(super) struct Record<B: Serialize> {
    schema: &'static str,
    r#type: &'static str,
    timestamp: Rfc3339,
    #[serde(flatten)]
    body: B,
}

impl<B: Serialize> Record<B> {
    pub(super) const fn new(r#type: &'static str, at_unix_ns: i64, body: B) -> Self {
        Self {
            schema: SCHEMA,
            r#type,
            timestamp: Rfc3339(at_unix_ns),
            body,
        }
    }
}

/// Body of `meta`.
#[derive(Serialize)]
pub(super) struct Start<'a> {
    resource: Resource<'a>,
    boot_id: &'a str,
    observer: StartObserver<'a>,
    netns: Namespaces<'a>,
}

#[derive(Serialize)]
struct Resource<'a> {
    host: Host<'a>,
    os: Os<'a>,
    service: Service<'a>,
}

#[derive(Serialize)]
struct Host<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Os<'a> {
    r#type: &'static str,
    version: &'a str,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'static str,
    version: &'a str,
}

#[derive(Serialize)]
struct StartObserver<'a> {
    /// How the kernel's times became these.
    clock: &'static str,
    backends: &'a [Backend],
}

#[derive(Serialize)]
struct Namespaces<'a> {
    host: Text<u32>,
    own: Text<u32>,
    /// By inode; numbers as keys are strings in JSON.
    names: BTreeMap<u32, &'a str>,
}

impl<'a> From<&'a Session> for Start<'a> {
    fn from(session: &'a Session) -> Self {
        Self {
            resource: Resource {
                host: Host {
                    name: &session.hostname,
                },
                os: Os {
                    r#type: "linux",
                    version: &session.kernel,
                },
                service: Service {
                    name: "kcn-trace",
                    version: &session.version,
                },
            },
            boot_id: &session.boot_id,
            observer: StartObserver {
                clock: "boottime+offset",
                backends: &session.backends,
            },
            netns: Namespaces {
                host: Text(session.host_netns),
                own: Text(session.self_netns),
                names: session
                    .netns_names
                    .iter()
                    .map(|(inode, name)| (*inode, name.as_str()))
                    .collect(),
            },
        }
    }
}

/// Body of `lost`.
#[derive(Serialize)]
pub(super) struct Lost<'a> {
    lost: LostCount<'a>,
}

#[derive(Serialize)]
struct LostCount<'a> {
    count: Text<u64>,
    total: Text<u64>,
    r#where: &'a str,
}

impl<'a> From<&Loss<'a>> for Lost<'a> {
    fn from(loss: &Loss<'a>) -> Self {
        Self {
            lost: LostCount {
                count: Text(loss.count),
                total: Text(loss.total),
                r#where: loss.place,
            },
        }
    }
}

/// Body of `degraded`.
#[derive(Serialize)]
pub(super) struct Fault<'a> {
    pub(super) degraded: &'a Degraded,
}

/// Body of `recovered`.
#[derive(Serialize)]
pub(super) struct Relief<'a> {
    pub(super) recovered: &'a Degraded,
}

/// Body of `heartbeat` and `summary`.
#[derive(Serialize)]
pub(super) struct State<'a> {
    health: JsonHealth<'a>,
}

impl<'a> From<&'a Health> for State<'a> {
    fn from(health: &'a Health) -> Self {
        Self {
            health: JsonHealth::from(health),
        }
    }
}
