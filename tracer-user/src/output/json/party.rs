//! One end of a connection in JSON, under OpenTelemetry's names.

use std::net::IpAddr;

use serde::Serialize;

use super::{Text, identity::Identity};
use crate::{
    attribute::{Claim, Quality, Who, place::Via},
    report::{Party, ProcessRef},
};

/// `source`, `destination` or `listener`.
#[derive(Serialize)]
pub(super) struct JsonParty<'a> {
    address: Text<IpAddr>,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Component<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<JsonProcess<'a>>,
    #[serde(flatten)]
    identity: Identity<'a>,
    /// Only where it is not the namespace of the whole record.
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<Text<u32>>,
}

impl<'a> JsonParty<'a> {
    /// `netns` is the namespace that the record as a whole names.
    pub(super) fn new(party: &'a Party, netns: u32) -> Self {
        Self {
            address: Text(party.address.ip()),
            port: party.address.port(),
            component: component(&party.claim.who),
            process: JsonProcess::of(party),
            identity: Identity::from(&*party.claim),
            netns: (party.netns != 0 && party.netns != netns).then_some(Text(party.netns)),
        }
    }
}

/// Name of a component, with its role where it has one: `k3s-server(kubelet)`.
pub(super) enum Component<'a> {
    Plain(&'a str),
    Role(&'a str, &'a str),
}

impl Serialize for Component<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(name) => serializer.serialize_str(name),
            Self::Role(name, role) => serializer.collect_str(&format_args!("{name}({role})")),
        }
    }
}

/// Absent for everything the rules do not know: a guess is evidence under `attribution`, not a component.
pub(super) fn component(who: &Who) -> Option<Component<'_>> {
    match who {
        Who::Component { name, role: None } => Some(Component::Plain(name)),
        Who::Component {
            name,
            role: Some(role),
        } => Some(Component::Role(name, role)),
        Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => None,
    }
}

#[derive(Serialize)]
pub(super) struct JsonProcess<'a> {
    /// Absent, as all that differs between processes, where it is one of several that are the same program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executable: Option<Executable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linux: Option<Linux>,
}

#[derive(Serialize)]
struct Executable<'a> {
    name: &'a str,
    /// Absent where only the name of the file is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

#[derive(Serialize)]
struct User {
    id: u32,
}

#[derive(Serialize)]
struct Linux {
    cgroup_id: Text<u64>,
}

impl<'a> JsonProcess<'a> {
    /// The process of an end, or the program that several are of whom it is one.
    fn of(party: &'a Party) -> Option<Self> {
        match (&party.process, &party.claim.who) {
            (Some(process), _) => Some(process.into()),
            (None, Who::Process { name }) => Some(Self {
                pid: None,
                executable: Some(Executable { name, path: None }),
                command: None,
                user: None,
                linux: None,
            }),
            (None, _) => None,
        }
    }
}

impl<'a> From<&'a ProcessRef> for JsonProcess<'a> {
    fn from(process: &'a ProcessRef) -> Self {
        let executable = |path: &'a str| Executable {
            name: path.rsplit('/').next().unwrap_or(path),
            path: path.contains('/').then_some(path),
        };
        Self {
            pid: Some(process.tgid),
            executable: process.exe.as_deref().map(executable),
            command: Some(&process.comm),
            user: Some(User { id: process.uid }),
            linux: (process.cgroup_id != 0).then_some(Linux {
                cgroup_id: Text(process.cgroup_id),
            }),
        }
    }
}

/// The service address that was dialled, before translation.
#[derive(Serialize)]
pub(super) struct JsonVia<'a> {
    address: Text<IpAddr>,
    port: u16,
    /// `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
}

impl<'a> From<&'a Via> for JsonVia<'a> {
    fn from(via: &'a Via) -> Self {
        Self {
            address: Text(via.address.ip()),
            port: via.address.port(),
            service: via.service.as_deref(),
        }
    }
}

/// What a claim rests on.
#[derive(Serialize)]
pub(super) struct Attribution<'a> {
    quality: Quality,
    by: &'a str,
    /// What a remote end probably is, by its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    guess: Option<&'a str>,
    /// Why it could not be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> From<&'a Claim> for Attribution<'a> {
    fn from(claim: &'a Claim) -> Self {
        let (guess, reason) = match &claim.who {
            Who::External { guess, .. } | Who::Node { guess, .. } => (guess.as_deref(), None),
            Who::Unknown { reason, guess } => (guess.as_deref(), Some(reason.as_str())),
            Who::Component { .. } | Who::Process { .. } | Who::Pod(_) | Who::Service { .. } => (None, None),
        };
        Self {
            quality: claim.quality,
            by: &claim.by,
            guess,
            reason,
        }
    }
}

/// `attribution` of a record with two ends.
#[derive(Serialize)]
pub(super) struct BothAttributions<'a> {
    source: Attribution<'a>,
    destination: Attribution<'a>,
}

impl<'a> BothAttributions<'a> {
    pub(super) fn of(source: &'a Party, destination: &'a Party) -> Self {
        Self {
            source: Attribution::from(&*source.claim),
            destination: Attribution::from(&*destination.claim),
        }
    }
}
