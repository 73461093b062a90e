//! One segment of a cgroup path: whose form it has.
#![forbid(unsafe_code)]

use super::{CgroupContainer, Qos};

/// Digits of a container's id.
const ID_LEN: usize = 64;

/// Bytes of a uid that a manifest sets: a path segment has 255 at most.
const UID_MAX: usize = 253;

/// What a segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Pod {
        uid: String,
        qos: Option<Qos>,
    },
    Container(CgroupContainer),
    /// conmon of this container.
    Conmon(&'a str),
    Unit(String),
    Session(&'a str),
    User(u32),
    Other,
}

/// `X.slice:PREFIX:ID` is a request that a runtime took literally: it stands for `X.slice/PREFIX-ID.scope`.
pub(super) fn expand(segment: &str) -> [Option<&str>; 2] {
    let colon = segment.split_once(".slice:").and_then(|(slice, request)| {
        let slice = segment.get(..slice.len() + ".slice".len())?;
        request.contains(':').then_some((slice, request))
    });
    match colon {
        Some((slice, request)) => [Some(slice), Some(request)],
        None => [Some(segment), None],
    }
}

/// What a segment is, by its form, the two before it, its place from the start, and the one that follows.
pub(super) fn classify<'a>(
    segment: &'a str,
    before: [&str; 2],
    index: usize,
    next: Option<&str>,
) -> Segment<'a> {
    if let Some((uid, qos)) = slice_pod(segment).or_else(|| plain_pod(segment, before)) {
        return Segment::Pod { uid, qos };
    }
    if let Some((prefix, id)) = container(segment) {
        if prefix.ends_with("conmon") {
            return Segment::Conmon(id);
        }
        let runtime = runtime(prefix, before[1]);
        let id = id.to_owned();
        return Segment::Container(CgroupContainer { id, runtime });
    }
    if let Some(uid) = user(segment) {
        return Segment::User(uid);
    }
    if let Some(unit) = unit(segment) {
        return if unit.starts_with("session-") && segment.ends_with(".scope") {
            Segment::Session(segment)
        } else {
            Segment::Unit(unit.to_owned())
        };
    }
    let service = |head: &str| Segment::Unit(format!("{head}/{segment}"));
    match (index, before[1], segment) {
        // Talos has no systemd: its services are directories.
        (1, head @ ("podruntime" | "system" | "openrc"), _) => service(head),
        (0, _, "init") if next.is_none() => Segment::Unit(segment.to_owned()),
        _ => Segment::Other,
    }
}

/// systemd's driver: `kubelet-kubepods-burstable-podUID.slice`, with dashes of the uid as underscores.
fn slice_pod(segment: &str) -> Option<(String, Option<Qos>)> {
    let name = segment.strip_suffix(".slice")?;
    name.match_indices("kubepods-").find_map(|(at, root)| {
        let at_start = at == 0 || name.get(..at)?.ends_with('-');
        let rest = name.get(at + root.len()..).filter(|_| at_start)?;
        let (qos, rest) = match rest.split_once('-') {
            Some(("burstable", rest)) => (Qos::Burstable, rest),
            Some(("besteffort", rest)) => (Qos::BestEffort, rest),
            Some(_) | None => (Qos::Guaranteed, rest),
        };
        let uid = rest.strip_prefix("pod")?;
        is_loose_uid(uid).then(|| (uid.replace('_', "-"), Some(qos)))
    })
}

/// cgroupfs' driver: `podUID` under `kubepods`, `burstable` or `besteffort`.
fn plain_pod(segment: &str, before: [&str; 2]) -> Option<(String, Option<Qos>)> {
    let uid = segment.strip_prefix("pod")?;
    let qos = match before[1] {
        "burstable" => Some(Qos::Burstable),
        "besteffort" => Some(Qos::BestEffort),
        parent if is_kubepods(parent) => Some(Qos::Guaranteed),
        _ => None,
    };
    if is_uid(uid) {
        return Some((uid.replace('_', "-"), qos));
    }
    // A uid that a manifest sets may be anything: then the parents must be kubelet's for certain.
    let in_kubepods = match qos? {
        Qos::Guaranteed => true,
        Qos::Burstable | Qos::BestEffort => is_kubepods(before[0]),
    };
    (in_kubepods && is_loose_uid(uid)).then(|| (uid.to_owned(), qos))
}

fn is_kubepods(segment: &str) -> bool {
    let name = segment.strip_suffix(".slice").unwrap_or(segment);
    name == "kubepods" || name.ends_with("-kubepods")
}

/// `8-4-4-4-12` hexadecimal digits, or 32 of them for a static pod.
fn is_uid(uid: &str) -> bool {
    if is_hex(uid, 32) {
        return true;
    }
    let mut groups = uid.split(['-', '_']);
    let whole = [8, 4, 4, 4, 12]
        .into_iter()
        .all(|digits| groups.next().is_some_and(|group| is_hex(group, digits)));
    whole && groups.next().is_none()
}

fn is_loose_uid(uid: &str) -> bool {
    (1..=UID_MAX).contains(&uid.len())
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Prefix without its separator, and id: `crio-ID.scope`, `ID`, `cri-containerd:ID`.
fn container(segment: &str) -> Option<(&str, &str)> {
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    let at = name.len().checked_sub(ID_LEN)?;
    let (prefix, id) = name.split_at_checked(at)?;
    if !is_hex(id, ID_LEN) {
        return None;
    }
    if prefix.is_empty() {
        return Some((prefix, id));
    }
    let prefix = prefix.strip_suffix(['-', ':', '_'])?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!prefix.is_empty() && prefix.bytes().all(plain)).then_some((prefix, id))
}

/// The runtime, by the prefix it gives; without one, by a parent that is its own.
fn runtime(prefix: &str, parent: &str) -> Option<&'static str> {
    match (prefix, parent) {
        ("cri-containerd" | "containerd" | "nerdctl", _) | ("", "k8s.io") => Some("containerd"),
        ("crio" | "cri-o", _) => Some("cri-o"),
        ("docker", _) | ("", "docker") => Some("docker"),
        ("libpod" | "libpod-payload", _) | ("", "libpod_parent") => Some("podman"),
        _ => None,
    }
}

/// The root below which kubelet keeps pods and itself inside a node container: a container around it is a node.
pub(super) fn is_kubelet(segment: &str) -> bool {
    matches!(segment, "kubelet" | "kubelet.slice" | "kubelet.service")
}

/// A systemd unit that holds processes.
fn unit(segment: &str) -> Option<&str> {
    [".service", ".scope", ".socket", ".mount", ".swap"]
        .iter()
        .any(|suffix| segment.strip_suffix(suffix).is_some_and(|name| !name.is_empty()))
        .then_some(segment)
}

/// `user-1000.slice`.
fn user(segment: &str) -> Option<u32> {
    segment
        .strip_prefix("user-")?
        .strip_suffix(".slice")?
        .parse()
        .ok()
}
