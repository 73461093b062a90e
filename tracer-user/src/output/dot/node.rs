//! One node in DOT: shape by what it is, words for the rest.

use std::{fmt::Write as _, net::SocketAddr};

use crate::{
    attribute::{Quality, Who},
    graph::{Node, NodeKind},
    output::escape::{Dot, Shown},
};

/// Listening sockets that are named in a label; the others are counted. All of them are in the JSON.
const LISTENING_SHOWN: usize = 6;

/// Shape, border and fill. Fills are the border's colour at a tenth, so that black text keeps its contrast.
struct Look {
    shape: &'static str,
    border: &'static str,
    fill: &'static str,
    width: &'static str,
}

const fn look(shape: &'static str, border: &'static str, fill: &'static str, width: &'static str) -> Look {
    Look {
        shape,
        border,
        fill,
        width,
    }
}

fn look_of(node: &Node) -> Look {
    match (node.kind, node.component.as_deref()) {
        (NodeKind::Component, Some("etcd")) => look("cylinder", "#009E73", "#E5F5F1", "1.6"),
        (NodeKind::Component, Some("kube-apiserver")) => look("box3d", "#0072B2", "#E5F1F7", "1.6"),
        (NodeKind::Component, _) => look("box", "#0072B2", "#FFFFFF", "1.4"),
        (NodeKind::Workload | NodeKind::Pod, _) => look("component", "#0072B2", "#FFFFFF", "1.4"),
        (NodeKind::Service, _) => look("hexagon", "#56B4E9", "#EEF7FD", "1.2"),
        (NodeKind::Node, _) => look("box3d", "#666666", "#F2F2F2", "1.2"),
        (NodeKind::Namespace, _) => look("folder", "#666666", "#FFFFFF", "1.2"),
        (NodeKind::Process, _) => look("ellipse", "#666666", "#FFFFFF", "1"),
        (NodeKind::External, _) => look("house", "#CC79A7", "#FAF1F6", "1.2"),
        (NodeKind::Unknown, _) => look("diamond", "#E69F00", "#FDF5E5", "1.4"),
    }
}

/// Whether what it is called rests on nothing but a port.
pub(super) fn is_guess(node: &Node) -> bool {
    node.claim.quality == Quality::Port
}

pub(super) fn write_node(text: &mut String, node: &Node, indent: &str) -> std::fmt::Result {
    let Look {
        shape,
        border,
        fill,
        width,
    } = look_of(node);
    let id = Dot(Shown(&node.id));
    writeln!(text, "{indent}\"{id}\" [label=\"{}\",", label(node))?;
    write!(
        text,
        "{indent}  shape={shape}, color=\"{border}\", fillcolor=\"{fill}\", penwidth={width}, "
    )?;
    writeln!(text, "tooltip=\"{}\"];", tooltip(node))
}

/// Name; kind and processes; listening sockets. Lines end in `\n`.
fn label(node: &Node) -> String {
    let mut lines = vec![Dot(Shown(&node.label)).to_string()];
    match (node.kind, node.process_count, node.pids.as_slice()) {
        (NodeKind::External, ..) => lines.push(match &node.claim.who {
            Who::External {
                guess: Some(guess), ..
            } => format!("external, {}?", Dot(Shown(guess))),
            Who::External { guess: None, .. }
            | Who::Component { .. }
            | Who::Process { .. }
            | Who::Pod(_)
            | Who::Service { .. }
            | Who::Node { .. }
            | Who::Unknown { .. } => "external".to_owned(),
        }),
        (kind, 0, _) => lines.push(kind.name().to_owned()),
        (kind, 1, [pid]) => lines.push(format!("{}, pid {pid}", kind.name())),
        (NodeKind::Process, count, _) => lines.push(format!("{count} processes")),
        (kind, count, _) => lines.push(format!("{}, {count} processes", kind.name())),
    }
    let (shown, rest) = node.listening.split_at(node.listening.len().min(LISTENING_SHOWN));
    lines.extend(shown.iter().map(|at| format!("listens {at}")));
    if !rest.is_empty() {
        lines.push(format!("and {} more", rest.len()));
    }
    lines.join("\\n")
}

fn tooltip(node: &Node) -> String {
    let pids: Vec<String> = node.pids.iter().map(u32::to_string).collect();
    let listening: Vec<String> = node.listening.iter().map(SocketAddr::to_string).collect();
    let mut lines = vec![format!(
        "{} by {}",
        Dot(Shown(&node.id)),
        Dot(Shown(&node.claim.by))
    )];
    if !pids.is_empty() {
        lines.push(format!("pids {}", pids.join(" ")));
    }
    if !listening.is_empty() {
        lines.push(format!("listens {}", listening.join(" ")));
    }
    lines.join("\\n")
}
