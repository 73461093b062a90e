//! What the kubelet's names of directories and log files say. Pure; whatever no kubelet would write says nothing.
#![forbid(unsafe_code)]

use std::path::Path;

/// Bytes of a pod's name, and of a namespace's or container's.
const POD_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// Bytes of a uid: a manifest may set any.
const UID_BYTES: usize = 128;

/// A directory of /var/log/pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodDirectory {
    /// Namespace and name; absent in directories of very old kubelets.
    pub(super) named: Option<(String, String)>,
    pub(super) uid: String,
}

/// A link of /var/log/containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContainerLog {
    pub(super) pod: String,
    pub(super) namespace: String,
    pub(super) container: String,
    pub(super) id: String,
}

/// What such a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogTarget {
    pub(super) pod: PodDirectory,
    pub(super) container: String,
    pub(super) restart: u32,
}

impl ContainerLog {
    /// Whether the link's own name says the same as what it leads to.
    pub(super) fn agrees(&self, target: &LogTarget) -> bool {
        let named = target.pod.named.as_ref();
        self.container == target.container
            && named.is_none_or(|(namespace, pod)| *namespace == self.namespace && *pod == self.pod)
    }
}

/// `NAMESPACE_POD_UID`, or the uid alone.
pub(super) fn pod_directory(name: &str) -> Option<PodDirectory> {
    let mut parts = name.splitn(3, '_');
    let parts = (parts.next()?, parts.next(), parts.next());
    if let (namespace, Some(pod), Some(uid)) = parts {
        let valid = is_label(namespace) && is_name(pod) && is_uid(uid);
        return valid.then(|| PodDirectory {
            named: Some((namespace.to_owned(), pod.to_owned())),
            uid: uid.to_owned(),
        });
    }
    is_generated_uid(name).then(|| PodDirectory {
        named: None,
        uid: name.to_owned(),
    })
}

/// `POD_NAMESPACE_CONTAINER-ID.log`. Absent when the name was cut off, and with it the id.
pub(super) fn container_log(name: &str) -> Option<ContainerLog> {
    let (names, id) = name.strip_suffix(".log")?.rsplit_once('-')?;
    let mut parts = names.split('_');
    let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
    let valid = parts.next().is_none()
        && is_name(pod)
        && is_label(namespace)
        && is_label(container)
        && id.len() == 64
        && is_hex(id);
    valid.then(|| ContainerLog {
        pod: pod.to_owned(),
        namespace: namespace.to_owned(),
        container: container.to_owned(),
        id: id.to_owned(),
    })
}

/// `.../NAMESPACE_POD_UID/CONTAINER/RESTART.log`, or `.../UID/CONTAINER_RESTART.log` of very old kubelets.
pub(super) fn log_target(path: &Path) -> Option<LogTarget> {
    let mut parts = path.to_str()?.rsplit('/');
    let file = parts.next()?.strip_suffix(".log")?;
    let parent = parts.next()?;
    let (container, restart, pod) = match file.rsplit_once('_') {
        Some((container, restart)) => (container, restart, parent),
        None => (parent, file, parts.next()?),
    };
    Some(LogTarget {
        pod: pod_directory(pod)?,
        container: Some(container).filter(|name| is_label(name))?.to_owned(),
        restart: restart.parse().ok()?,
    })
}

/// A container's or namespace's name: a DNS label.
pub(super) fn is_label(name: &str) -> bool {
    name.len() <= LABEL_BYTES && is_name(name) && !name.contains('.')
}

/// A pod's or node's name: a DNS subdomain.
pub(super) fn is_name(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= POD_BYTES
        && edge(name.bytes().next())
        && edge(name.bytes().last())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

/// A directory's name as a uid, also one that a manifest chose.
pub(super) fn is_uid(uid: &str) -> bool {
    (1..=UID_BYTES).contains(&uid.len())
        && !uid.starts_with('.')
        && uid
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// As the API server makes them, or the kubelet for static pods.
fn is_generated_uid(uid: &str) -> bool {
    let dashed = uid.len() == 36 && uid.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    (dashed && uid.split('-').all(is_hex)) || (uid.len() == 32 && is_hex(uid))
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
