//! One node in DOT: shape by what it is, words for the rest.

use std::{fmt::Write as _, net::SocketAddr};

use crate::{
    attribute::{Quality, Who, reserved::is_ours},
    graph::{Node, NodeKind},
    output::{
        escape::{Dot, Shown},
        name::{HumanName, Part, SPOOFED, is_nameless},
    },
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

/// Whether what it is called, or its role, rests on nothing but a port.
pub(super) fn is_guess(node: &Node) -> bool {
    matches!(node.claim.quality, Quality::Port | Quality::Outdated)
        || matches!(node.claim.who, Who::Node { guess: Some(_), .. })
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
    // Orange and doubled, besides the word: it must not be overlooked.
    let (border, outlines) = match node.claim.place.spoofed {
        Some(_) => ("#D55E00", "peripheries=2, "),
        None => (border, ""),
    };
    write!(
        text,
        "{indent}  shape={shape}, color=\"{border}\", fillcolor=\"{fill}\", penwidth={width}, {outlines}"
    )?;
    writeln!(text, "tooltip=\"{}\"];", tooltip(node))
}

/// Name; kind and processes; what is odd; listening sockets. Lines end in `\n`.
fn label(node: &Node) -> String {
    let name = match &node.claim.who {
        // Outside of its namespace's box.
        Who::Service { namespace, name, .. }
            if *name == node.label && !node.group.starts_with("namespace/") =>
        {
            format!("{namespace}/{name}")
        }
        Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => node.label.clone(),
    };
    let mut lines = vec![if is_ours(&name) && !is_nameless(node) {
        Dot(Part(&name)).to_string()
    } else {
        Dot(Shown(&name)).to_string()
    }];
    let kind = kind(node);
    lines.push(match (node.kind, node.process_count, node.pids.as_slice()) {
        (NodeKind::External, ..) | (_, 0, _) => kind,
        (_, 1, [pid]) => format!("{kind}, pid {pid}"),
        (NodeKind::Process, count, _) => format!("{count} processes"),
        (_, count, _) => format!("{kind}, {count} processes"),
    });
    if node.claim.place.spoofed.is_some() {
        lines.push(SPOOFED.to_owned());
    }
    lines.extend(human(node));
    let (shown, rest) = node.listening.split_at(node.listening.len().min(LISTENING_SHOWN));
    lines.extend(shown.iter().map(|at| format!("listens {at}")));
    if !rest.is_empty() {
        lines.push(format!("and {} more", rest.len()));
    }
    lines.join("\\n")
}

/// What it is, in a word or two: the controller's kind for pods, with a guess by the port for what is elsewhere.
fn kind(node: &Node) -> String {
    let guess = match &node.claim.who {
        Who::External { guess, .. } | Who::Node { guess, .. } => guess.as_deref(),
        // Its label is the guess.
        Who::Unknown { .. }
        | Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. } => None,
    };
    let workload = node
        .claim
        .pod()
        .and_then(|pod| pod.workload.as_ref())
        .filter(|workload| workload.name == node.label);
    match (node.kind, workload, guess) {
        (NodeKind::Workload, Some(workload), _) => Dot(Shown(&workload.kind)).to_string(),
        (NodeKind::External | NodeKind::Node, _, Some(guess)) => {
            format!("{}, {}?", node.kind.name(), Dot(Shown(guess)))
        }
        (kind, ..) => kind.name().to_owned(),
    }
}

/// The person behind it, where it is one process.
fn human(node: &Node) -> Option<String> {
    let human = node
        .claim
        .place
        .human
        .as_ref()
        .filter(|_| node.process_count <= 1)?;
    Some(Dot(HumanName(human)).to_string())
}

fn tooltip(node: &Node) -> String {
    let pids: Vec<String> = node.pids.iter().map(u32::to_string).collect();
    let listening: Vec<String> = node.listening.iter().map(SocketAddr::to_string).collect();
    let mut lines = vec![format!(
        "{} by {}",
        Dot(Shown(&node.id)),
        Dot(Shown(&node.claim.by))
    )];
    if let Some(spoofed) = &node.claim.place.spoofed {
        lines.push(format!("{SPOOFED}: {}", Dot(Shown(spoofed))));
    }
    if !pids.is_empty() {
        lines.push(format!("pids {}", pids.join(" ")));
    }
    if !listening.is_empty() {
        lines.push(format!("listens {}", listening.join(" ")));
    }
    lines.join("\\n")
}
