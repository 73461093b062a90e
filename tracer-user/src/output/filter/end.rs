//! What a condition asks of one end, for everything that can be one.

use std::net::SocketAddr;

use super::place::Dwelling;
use crate::{
    attribute::{Claim, Who, place::Via},
    graph::Node,
    report::{Party, ProcessRef},
};

/// Length of the kernel's task name without its NUL: a longer wanted name is compared cut.
const COMM_BYTES: usize = 15;

/// Something a condition can be asked of.
pub(super) trait End {
    /// Whether it has the port.
    fn has_port(&self, port: u16) -> bool;
    /// Whether it is the component, plays the role, or is guessed to be it.
    fn is_component(&self, name: &str) -> bool;
    /// Whether a process of it has the name, base name or path.
    fn is_process(&self, name: &str) -> bool;
    /// Whether a process of it has the id.
    fn has_pid(&self, pid: u32) -> bool;
    /// Where it lives.
    fn dwelling(&self) -> Dwelling<'_>;
}

/// Who holds a socket.
pub(super) struct Holder<'a> {
    pub(super) claim: &'a Claim,
    pub(super) process: Option<&'a ProcessRef>,
    pub(super) listening: &'a [SocketAddr],
}

impl End for Holder<'_> {
    fn has_port(&self, port: u16) -> bool {
        self.listening.iter().any(|at| at.port() == port)
    }
    fn is_component(&self, name: &str) -> bool {
        is_component(&self.claim.who, name)
    }
    fn is_process(&self, name: &str) -> bool {
        is_process(&self.claim.who, name) || self.process.is_some_and(|process| runs(process, name))
    }
    fn has_pid(&self, pid: u32) -> bool {
        self.process.is_some_and(|process| process.tgid == pid)
    }
    fn dwelling(&self) -> Dwelling<'_> {
        Dwelling {
            claim: self.claim,
            via: None,
        }
    }
}

impl Party {
    fn holder(&self) -> Holder<'_> {
        Holder {
            claim: &self.claim,
            process: self.process.as_ref(),
            listening: &[],
        }
    }
}

impl End for Party {
    fn has_port(&self, port: u16) -> bool {
        self.address.port() == port
    }
    fn is_component(&self, name: &str) -> bool {
        self.holder().is_component(name)
    }
    fn is_process(&self, name: &str) -> bool {
        self.holder().is_process(name)
    }
    fn has_pid(&self, pid: u32) -> bool {
        self.holder().has_pid(pid)
    }
    fn dwelling(&self) -> Dwelling<'_> {
        Dwelling {
            claim: &self.claim,
            via: None,
        }
    }
}

/// The end that accepted, with the service address it was dialled by.
pub(super) struct Destination<'a> {
    pub(super) party: &'a Party,
    pub(super) via: Option<&'a Via>,
}

impl End for Destination<'_> {
    fn has_port(&self, port: u16) -> bool {
        self.party.has_port(port)
    }
    fn is_component(&self, name: &str) -> bool {
        self.party.is_component(name)
    }
    fn is_process(&self, name: &str) -> bool {
        self.party.is_process(name)
    }
    fn has_pid(&self, pid: u32) -> bool {
        self.party.has_pid(pid)
    }
    fn dwelling(&self) -> Dwelling<'_> {
        Dwelling {
            claim: &self.party.claim,
            via: self.via,
        }
    }
}

/// A node as one end of an edge, or alone.
pub(super) struct GraphEnd<'a> {
    pub(super) node: &'a Node,
    /// The edge's port for its destination; empty for a source, whose ports a graph does not keep.
    pub(super) ports: &'a [u16],
    /// The service address of the edge, for its destination.
    pub(super) via: Option<&'a Via>,
}

impl End for GraphEnd<'_> {
    fn has_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }
    fn is_component(&self, name: &str) -> bool {
        is_component(&self.node.claim.who, name)
            || self
                .node
                .component
                .as_deref()
                .is_some_and(|component| component.eq_ignore_ascii_case(name))
    }
    fn is_process(&self, name: &str) -> bool {
        is_process(&self.node.claim.who, name) || self.node.label == name && self.node.process_count > 0
    }
    fn has_pid(&self, pid: u32) -> bool {
        self.node.pids.contains(&pid)
    }
    fn dwelling(&self) -> Dwelling<'_> {
        Dwelling {
            claim: &self.node.claim,
            via: self.via,
        }
    }
}

fn is_component(who: &Who, wanted: &str) -> bool {
    match who {
        Who::Component { name, role } => {
            name.eq_ignore_ascii_case(wanted)
                || role.as_deref().is_some_and(|role| {
                    role.eq_ignore_ascii_case(wanted)
                        || wanted
                            .strip_prefix(name.as_str())
                            .and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'))
                            .is_some_and(|rest| rest.eq_ignore_ascii_case(role))
                })
        }
        Who::External { guess, .. } | Who::Node { guess, .. } | Who::Unknown { guess, .. } => guess
            .as_deref()
            .is_some_and(|guess| guess.eq_ignore_ascii_case(wanted)),
        Who::Process { .. } | Who::Pod(_) | Who::Service { .. } => false,
    }
}

fn is_process(who: &Who, wanted: &str) -> bool {
    match who {
        Who::Process { name } => name == wanted,
        Who::Component { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => false,
    }
}

fn runs(process: &ProcessRef, wanted: &str) -> bool {
    let comm: &str = &process.comm;
    let cut = comm.len() == COMM_BYTES && wanted.starts_with(comm);
    match process.exe.as_deref() {
        Some(exe) => comm == wanted || exe == wanted || exe.rsplit('/').next() == Some(wanted),
        None => comm == wanted || cut,
    }
}
