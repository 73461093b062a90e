//! What to call an end of a connection, in words for people.

use std::fmt;

use super::escape::Word;
use crate::{
    attribute::{Who, place::Via},
    report::Party,
};

/// Name of a claim, escaped as one word: `etcd`, `k3s-server(kubelet)`, `curl`, `kube-apiserver?` for a guess.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a Who);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Who::Component { name, role: None } | Who::Process { name } => Word(name).fmt(f),
            Who::Component {
                name,
                role: Some(role),
            } => write!(f, "{}({})", Word(name), Word(role)),
            Who::Pod(_) | Who::Service { .. } | Who::Node { guess: None, .. } => Word(&self.0.label()).fmt(f),
            Who::External {
                guess: Some(guess), ..
            }
            | Who::Node {
                guess: Some(guess), ..
            } => write!(f, "{}?", Word(guess)),
            Who::External { guess: None, .. } => f.write_str("external"),
            Who::Unknown { .. } => f.write_str("unknown"),
        }
    }
}

/// `kube-apiserver[1893] 127.0.0.1:47512`.
#[derive(Clone, Copy, Debug)]
pub struct End<'a>(pub &'a Party);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(party) = self;
        Name(&party.claim.who).fmt(f)?;
        if let Some(process) = &party.process {
            write!(f, "[{}]", process.tgid)?;
        }
        write!(f, " {}", party.address)
    }
}

/// The label of a graph node with its box, when that is not the host's: `etcd`, `netns/blue/nginx`.
pub(crate) struct Place<'a> {
    /// Box.
    pub(crate) group: &'a str,
    /// Label.
    pub(crate) label: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            "host" | "external" | "" => Word(self.label).fmt(f),
            group => Word(&format!("{group}/{}", self.label)).fmt(f),
        }
    }
}

/// `via 10.96.0.1:443 default/kubernetes`: the service address that was dialled.
#[derive(Clone, Copy, Debug)]
pub struct ViaText<'a>(pub &'a Via);

impl fmt::Display for ViaText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Via { address, service }) = self;
        write!(f, "via {address}")?;
        match service {
            Some(service) => write!(f, " {}", Word(service)),
            None => Ok(()),
        }
    }
}
