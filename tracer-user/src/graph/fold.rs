//! From the finest grain to what one asked for: nodes that are the same component, workload, pod, namespace or node.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};

use super::{Edge, EdgeStats, Graph, GroupBy, Node, NodeKind, build::Name};
use crate::attribute::{
    Claim, Who, node_ids,
    place::{Pod, Via},
};

/// What a node becomes.
struct Coarse {
    id: String,
    label: String,
    kind: NodeKind,
    group: String,
}

impl Graph {
    /// The graph with nodes that are the same put together. The finest grain goes in.
    #[must_use]
    pub fn fold(self, by: GroupBy) -> Self {
        let mut ids: HashMap<String, String> = HashMap::new();
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        for fine in self.nodes {
            let Coarse {
                id,
                label,
                kind,
                group,
            } = coarse(&fine.claim, &fine.group, fine.netns.is_some(), by, &self.hostname);
            ids.insert(fine.id.clone(), id.clone());
            let component = fine.component.clone().filter(|_| kind == NodeKind::Component);
            let node = Node {
                id: id.clone(),
                label,
                kind,
                group,
                component,
                ..fine
            };
            match nodes.get_mut(&id) {
                Some(known) => known.merge(node),
                None => {
                    nodes.insert(id, node);
                }
            }
        }
        let mut edges: BTreeMap<(String, String, u16, Option<Via>), EdgeStats> = BTreeMap::new();
        for edge in self.edges {
            let id = |fine: &String| ids.get(fine).cloned().unwrap_or_default();
            edges
                .entry((id(&edge.source), id(&edge.destination), edge.port, edge.via))
                .and_modify(|known| known.merge(&edge.stats))
                .or_insert(edge.stats);
        }
        Self {
            nodes: nodes.into_values().collect(),
            edges: edges
                .into_iter()
                .map(|((source, destination, port, via), stats)| Edge {
                    source,
                    destination,
                    port,
                    via,
                    stats,
                })
                .collect(),
            ..self
        }
    }
}

/// Id of a node at the usual grain.
pub(crate) fn coarse_id(claim: &Claim, group: &str) -> String {
    coarse(claim, group, true, GroupBy::Component, "").id
}

impl Name {
    /// Id of its node at a grain.
    pub(crate) fn id_by(&self, by: GroupBy, hostname: &str) -> String {
        coarse(&self.claim, &self.group, self.is_here(), by, hostname).id
    }
}

/// `here`: its socket is on this machine.
fn coarse(claim: &Claim, group: &str, here: bool, by: GroupBy, hostname: &str) -> Coarse {
    let pod = claim.place.pod.as_deref().filter(|pod| pod.is_named());
    let plain = || match &claim.who {
        Who::Service { namespace, name, .. } => Coarse {
            id: format!("{}/service/{}", in_namespace(namespace), escaped(name)),
            label: name.clone(),
            kind: NodeKind::Service,
            group: format!("namespace/{namespace}"),
        },
        Who::Node { name, .. } => of_node(name),
        Who::Pod(_)
        | Who::Component { .. }
        | Who::Process { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => Coarse {
            id: node_ids::node_id(group, &claim.who),
            label: claim.who.label().into_owned(),
            kind: NodeKind::of(&claim.who),
            group: group.to_owned(),
        },
    };
    let is_component = matches!(claim.who, Who::Component { .. });
    match (by, pod) {
        (GroupBy::Component, _) if is_component => plain(),
        (GroupBy::Component | GroupBy::Workload, Some(pod)) => of_workload(pod),
        (GroupBy::Workload, None) => match &claim.place.unit {
            Some(unit) if here => Coarse {
                id: format!("{group}/unit/{}", escaped(unit)),
                label: unit.to_string(),
                kind: NodeKind::Workload,
                group: group.to_owned(),
            },
            Some(_) | None => plain(),
        },
        (GroupBy::Pod, Some(pod)) => Coarse {
            id: format!("{}/pod/{}", in_namespace(&pod.namespace), escaped(&pod.name)),
            label: pod.name.to_string(),
            kind: NodeKind::Pod,
            group: format!("namespace/{}", pod.namespace),
        },
        (GroupBy::Process, Some(pod)) => Coarse {
            id: format!(
                "{}/pod/{}/{}",
                in_namespace(&pod.namespace),
                escaped(&pod.name),
                escaped(&claim.who.label())
            ),
            ..plain()
        },
        (GroupBy::Component | GroupBy::Pod | GroupBy::Process, None) => plain(),
        (GroupBy::Namespace, Some(pod)) => of_namespace(&pod.namespace),
        (GroupBy::Namespace, None) => match &claim.who {
            Who::Service { namespace, .. } => of_namespace(namespace),
            Who::Component { .. } | Who::Process { .. } | Who::Unknown { .. } if here => Coarse {
                id: group.to_owned(),
                label: group.to_owned(),
                kind: NodeKind::Namespace,
                group: group.to_owned(),
            },
            Who::Component { .. }
            | Who::Process { .. }
            | Who::Unknown { .. }
            | Who::Pod(_)
            | Who::Node { .. }
            | Who::External { .. } => plain(),
        },
        (GroupBy::Node, _) => match (&claim.place.node, &claim.who) {
            (_, Who::Node { name, .. }) => of_node(name),
            (Some(name), _) => of_node(name),
            // Of this machine, which has no name in a cluster, or none that was told.
            (None, _) if here => of_node(hostname),
            (None, _) => plain(),
        },
    }
}

fn of_workload(pod: &Pod) -> Coarse {
    let (kind, name) = match &pod.workload {
        Some(workload) => (workload.kind.to_lowercase(), workload.name.as_str()),
        None => ("pod".to_owned(), &*pod.name),
    };
    Coarse {
        id: format!(
            "{}/{}/{}",
            in_namespace(&pod.namespace),
            escaped(&kind),
            escaped(name)
        ),
        label: name.to_owned(),
        kind: NodeKind::Workload,
        group: format!("namespace/{}", pod.namespace),
    }
}

fn of_namespace(namespace: &str) -> Coarse {
    Coarse {
        id: in_namespace(namespace),
        label: namespace.to_owned(),
        kind: NodeKind::Namespace,
        group: format!("namespace/{namespace}"),
    }
}

fn of_node(name: &str) -> Coarse {
    Coarse {
        id: format!("node/{}", escaped(name)),
        label: name.to_owned(),
        kind: NodeKind::Node,
        group: format!("node/{name}"),
    }
}

fn in_namespace(namespace: &str) -> String {
    format!("namespace/{}", escaped(namespace))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    node_ids::escape(text, &mut escaped);
    escaped
}
