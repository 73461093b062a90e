//! What to call an end of a connection, in words for people. One grammar for every view:
//!
//! ```text
//! etcd  k3s-server(kubelet)       a component, with its role
//! curl                            another process of this machine
//! shop/client-6d5f7(nc)           a process in a pod, by pod and program
//! shop/client-6d5f7               a pod that is elsewhere; pod/UID when only its uid is known
//! shop/client                     a workload: only where pods are put together, as in graphs and counts
//! svc/default/web                 a service whose server is not known
//! node/worker-1  node/w(kubelet?) a node of the cluster, with a guess by the port
//! kube-apiserver?  external       an address elsewhere, with or without a guess
//! etcd?  unknown                  nobody to be named here, with or without a guess by the port
//! ```
//!
//! What a process was before records were lost is a guess, too: `env?`.
//! Then the process id `[4242]`, the word SPOOFED where it calls itself what it is not, and `by alice (sudo)` where a
//! person is behind it. `?` is a guess and nothing else is. A foreign name that could be taken for this is quoted.

#[cfg(test)]
mod tests;

use std::fmt;

use super::escape::{Shown, Word};
use crate::{
    attribute::{
        Claim, Quality, Who,
        place::{Human, Pod, Via},
        reserved::is_ours,
    },
    graph::{Node, NodeKind},
    report::Party,
};

/// A foreign name, or a part of one: quoted also when it is a word of ours or holds our own marks between parts.
pub(super) struct Part<'a>(pub(super) &'a str);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        let word = Word(text).to_string();
        if (text.contains(['/', '(', ')']) || is_ours(text)) && !word.starts_with('"') {
            return write!(f, "\"{word}\"");
        }
        f.write_str(&word)
    }
}

/// Name of a claim, escaped.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a Claim);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(claim) = self;
        WhoName(claim).fmt(f)?;
        if claim.quality == Quality::Outdated {
            f.write_str("?")?;
        }
        Ok(())
    }
}

/// The same without the mark of a guess.
struct WhoName<'a>(&'a Claim);

impl fmt::Display for WhoName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(claim) = self;
        match &claim.who {
            Who::Component { name, role: None } => Word(name).fmt(f),
            Who::Component {
                name,
                role: Some(role),
            } => write!(f, "{}({})", Word(name), Word(role)),
            Who::Process { name } => match &claim.place.pod {
                Some(pod) => write!(f, "{}({})", PodName(pod), Part(name)),
                None => Part(name).fmt(f),
            },
            Who::Pod(pod) => PodName(pod).fmt(f),
            Who::Service { namespace, name, .. } => write!(f, "svc/{}/{}", Part(namespace), Part(name)),
            Who::Node { name, guess } => {
                write!(f, "node/{}", Part(name))?;
                guess
                    .as_deref()
                    .map_or(Ok(()), |guess| write!(f, "({}?)", Word(guess)))
            }
            Who::External {
                guess: Some(guess), ..
            }
            | Who::Unknown {
                guess: Some(guess), ..
            } => write!(f, "{}?", Word(guess)),
            Who::External { guess: None, .. } => f.write_str("external"),
            Who::Unknown { guess: None, .. } => f.write_str("unknown"),
        }
    }
}

/// `shop/client-6d5f7`.
pub(crate) struct PodName<'a>(pub(crate) &'a Pod);

impl fmt::Display for PodName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(pod) = self;
        if pod.is_named() {
            write!(f, "{}/{}", Part(&pod.namespace), Part(&pod.name))
        } else {
            write!(f, "pod/{}", Part(&pod.uid))
        }
    }
}

/// ` SPOOFED by alice (sudo)`: what else is to be known of who it is; nothing for most.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a>(pub &'a Claim);

impl fmt::Display for Marks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(claim) = self;
        if claim.place.spoofed.is_some() {
            write!(f, " {SPOOFED}")?;
        }
        match &claim.place.human {
            Some(human) => write!(f, " {}", HumanName(human)),
            None => Ok(()),
        }
    }
}

/// The mark of what calls itself something that it is not.
pub(crate) const SPOOFED: &str = "SPOOFED";

/// `by alice (sudo)`, `by kubectl exec`.
pub(crate) struct HumanName<'a>(pub(crate) &'a Human);

impl fmt::Display for HumanName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Human { name, session, by }) = self;
        match (name, by, session) {
            (Some(name), Some(by), _) => write!(f, "by {} ({})", Part(name), Shown(by)),
            (Some(name), None, _) => write!(f, "by {}", Part(name)),
            (None, Some(by), _) => write!(f, "by {}", Shown(by)),
            (None, None, Some(session)) => write!(f, "by session {}", Word(session)),
            (None, None, None) => f.write_str("by somebody"),
        }
    }
}

/// `kube-apiserver[1893] 127.0.0.1:47512`.
#[derive(Clone, Copy, Debug)]
pub struct End<'a>(pub &'a Party);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(party) = self;
        write!(f, "{} {}", Named(party), party.address)
    }
}

/// `kube-apiserver[1893]`: an end without its address.
pub(crate) struct Named<'a>(pub(crate) &'a Party);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(party) = self;
        Name(&party.claim).fmt(f)?;
        if let Some(process) = &party.process {
            write!(f, "[{}]", process.tgid)?;
        }
        Marks(&party.claim).fmt(f)
    }
}

/// The evidence of a claim, and in what it is contradicted.
pub(crate) struct Evidence<'a>(pub(crate) &'a Claim);

impl fmt::Display for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(claim) = self;
        Shown(&claim.by).fmt(f)?;
        match &claim.place.spoofed {
            Some(spoofed) => write!(f, "; {SPOOFED}: {}", Shown(spoofed)),
            None => Ok(()),
        }
    }
}

/// Whether a node's label is a word or an address of ours, not a name.
pub(super) const fn is_nameless(node: &Node) -> bool {
    matches!(node.kind, NodeKind::External | NodeKind::Unknown)
}

/// A graph node with its box, when that is not the host's: `etcd`, `shop/client`, `netns/blue/nginx`.
pub(crate) struct Place<'a>(pub(crate) &'a Node);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(node) = self;
        let (group, label) = (node.group.as_str(), node.label.as_str());
        match (node.kind, &node.claim.who, group.split_once('/')) {
            (NodeKind::Service, who @ Who::Service { .. }, _)
            | (NodeKind::Node, who @ Who::Node { .. }, _)
                if who.label() == label =>
            {
                Name(&node.claim).fmt(f)?;
            }
            (NodeKind::Node, ..) => write!(f, "node/{}", Part(label))?,
            // The host, or a network namespace that is no cluster's.
            (NodeKind::Namespace, ..) if group == label => Word(label).fmt(f)?,
            (NodeKind::Namespace, ..) => write!(f, "namespace/{}", Part(label))?,
            (NodeKind::Unknown, Who::Unknown { guess: Some(_), .. }, inner) => {
                if inner.is_some() {
                    write!(f, "{}/", Word(group))?;
                }
                Name(&node.claim).fmt(f)?;
            }
            (_, _, Some(("namespace", namespace))) if is_nameless(node) => {
                write!(f, "{}/{}", Part(namespace), Word(label))?;
            }
            (_, _, Some(("namespace", namespace))) => write!(f, "{}/{}", Part(namespace), Part(label))?,
            (NodeKind::Process, _, None) => Part(label).fmt(f)?,
            (_, _, None) => Word(label).fmt(f)?,
            (_, _, Some(_)) if !is_nameless(node) && is_ours(label) => {
                write!(f, "{}/{}", Word(group), Part(label))?;
            }
            (_, _, Some(_)) => Word(&format!("{group}/{label}")).fmt(f)?,
        }
        if node.process_count > 1 {
            // The person is behind one of them.
            return match node.claim.place.spoofed {
                Some(_) => write!(f, " {SPOOFED}"),
                None => Ok(()),
            };
        }
        Marks(&node.claim).fmt(f)
    }
}

/// `via default/web 10.96.100.100:80`: the service that was dialled.
#[derive(Clone, Copy, Debug)]
pub struct ViaText<'a>(pub &'a Via);

impl fmt::Display for ViaText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Via { address, service }) = self;
        match service {
            Some(service) => write!(f, "via {} {address}", Word(service)),
            None => write!(f, "via {address}"),
        }
    }
}
