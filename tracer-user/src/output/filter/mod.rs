//! Which happenings, rows and edges a view shows. Pure: a compiled [`Filter`] and what is to be judged.
//!
//! Values of one condition are alternatives, conditions must all hold. A condition without direction holds if either
//! end meets it.

use std::net::IpAddr;

use self::{
    end::{Destination, End, GraphEnd, Holder},
    place::Dwelling,
};
pub use self::{
    place::{Controller, Places, Qualified},
    selector::{Selector, SelectorError},
};
use crate::{
    attribute::place::Via,
    graph::Graph,
    report::{ComponentRow, ConnectionRow, Happened, Happening, ListenerRow, Party},
};

mod end;
mod graph;
mod place;
mod selector;

/// Conditions on one end, or on either. An empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Ports.
    pub ports: Vec<u16>,
    /// Names of components, or roles of single-binary distributions; guesses match too.
    pub components: Vec<String>,
    /// Names of processes, base names or paths of executables.
    pub processes: Vec<String>,
    /// Process ids.
    pub pids: Vec<u32>,
    /// Where it lives.
    pub places: Places,
}

/// All conditions of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// At least one end meets each.
    pub either: Conditions,
    /// The end that connects meets all.
    pub from: Conditions,
    /// The end that accepts, or listens, meets all.
    pub to: Conditions,
    /// Address families to show; both or neither is no condition.
    pub families: Families,
    /// Network namespaces by inode: one end is in one of them.
    pub netns: Vec<u32>,
}

/// Address families, after IPv4-mapped addresses have become IPv4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Families {
    const fn hold(self, ip: IpAddr) -> bool {
        self.v4 == self.v6 || self.v4 == ip.is_ipv4()
    }

    const fn is_condition(self) -> bool {
        self.v4 != self.v6
    }
}

impl Conditions {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ports.is_empty()
            && self.components.is_empty()
            && self.processes.is_empty()
            && self.pids.is_empty()
            && self.places.is_empty()
    }

    /// Whether each condition is met by one of `ends`.
    fn hold(&self, ends: &[&dyn End]) -> bool {
        fn one_of<T>(wanted: &[T], meets: impl Fn(&T) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(meets)
        }
        one_of(&self.ports, |port| ends.iter().any(|end| end.has_port(*port)))
            && one_of(&self.components, |name| {
                ends.iter().any(|end| end.is_component(name))
            })
            && one_of(&self.processes, |name| {
                ends.iter().any(|end| end.is_process(name))
            })
            && one_of(&self.pids, |pid| ends.iter().any(|end| end.has_pid(*pid)))
            && {
                let Places {
                    pods,
                    namespaces,
                    selectors,
                    workloads,
                    nodes,
                    services,
                } = &self.places;
                let any = |meets: &dyn Fn(Dwelling<'_>) -> bool| ends.iter().any(|end| meets(end.dwelling()));
                one_of(pods, |pod| any(&|end| end.is_pod(pod)))
                    && one_of(namespaces, |namespace| any(&|end| end.is_in(namespace)))
                    && one_of(selectors, |selector| any(&|end| end.is_selected(selector)))
                    && one_of(workloads, |workload| any(&|end| end.is_of(workload)))
                    && one_of(nodes, |node| any(&|end| end.is_on(node)))
                    && one_of(services, |service| any(&|end| end.serves(service)))
            }
    }
}

impl Filter {
    /// Whether it lets everything through.
    pub const fn is_empty(&self) -> bool {
        self.either.is_empty()
            && self.from.is_empty()
            && self.to.is_empty()
            && self.netns.is_empty()
            && !self.families.is_condition()
    }

    /// Whether `events` shows it.
    pub fn matches_happening(&self, happening: &Happening) -> bool {
        match happening.what {
            Happened::ListenerOpened | Happened::ListenerClosed => {
                self.matches_listening(&happening.destination)
            }
            Happened::Opened | Happened::Accepted | Happened::Failed { .. } | Happened::Closed { .. } => {
                self.matches_pair(&happening.source, &happening.destination, happening.via.as_ref())
            }
        }
    }

    /// Whether `connections` shows it.
    pub fn matches_connection(&self, row: &ConnectionRow) -> bool {
        self.matches_pair(&row.source, &row.destination, row.via.as_ref())
    }

    /// Whether `listeners` shows it. Nothing that listens meets a condition on the end that connects.
    pub fn matches_listener(&self, row: &ListenerRow) -> bool {
        self.matches_listening(&row.party)
    }

    /// Whether `components` shows it: its ports and families are those it listens on.
    pub fn matches_component(&self, row: &ComponentRow) -> bool {
        let process = Holder {
            claim: &row.claim,
            process: Some(&row.process),
            listening: &row.listening,
        };
        self.hold_alone(&process)
            && (!self.families.is_condition() || row.listening.iter().any(|at| self.families.hold(at.ip())))
    }

    /// The edges that match, with their ends, and the nodes that match without any edge.
    ///
    /// An edge does not keep its connections' addresses, so a condition on the family drops it only where an external
    /// address, a service address or the listening sockets tell; and an edge has no source port to meet a condition on.
    /// Where a node stands for several pods, conditions on pods, labels and cluster nodes are asked of the one that its
    /// claim is of: to be exact, ask [`Self::matches_pair`] before connections are added up.
    pub fn apply(&self, graph: &Graph) -> Graph {
        if self.is_empty() {
            return graph.clone();
        }
        graph::apply(self, graph)
    }

    /// Whether a connection from one to the other matches, which was dialled by the service address `via`.
    ///
    /// What adds connections up before they are shown asks this of each: a node of the graph that stands for several
    /// pods has the claim of one of them only.
    pub fn matches_pair(&self, source: &Party, destination: &Party, via: Option<&Via>) -> bool {
        let in_netns = |party: &Party| party.netns != 0 && self.netns.contains(&party.netns);
        let dialled = Destination {
            party: destination,
            via,
        };
        self.hold_pair(source, &dialled)
            && self.families.hold(destination.address.ip())
            && (self.netns.is_empty() || in_netns(source) || in_netns(destination))
    }

    fn matches_listening(&self, party: &Party) -> bool {
        self.hold_alone(party)
            && self.families.hold(party.address.ip())
            && (self.netns.is_empty() || self.netns.contains(&party.netns))
    }

    fn hold_pair(&self, source: &dyn End, destination: &dyn End) -> bool {
        self.either.hold(&[source, destination]) && self.from.hold(&[source]) && self.to.hold(&[destination])
    }

    fn hold_alone(&self, end: &dyn End) -> bool {
        self.from.is_empty() && self.either.hold(&[end]) && self.to.hold(&[end])
    }
}

#[cfg(test)]
mod tests;
