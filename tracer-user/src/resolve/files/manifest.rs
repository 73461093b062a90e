//! A static pod's manifest: names, labels, network, and the harmless part of the command lines. Pure.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    super::yaml::documents,
    names::{is_label, is_name},
};
use crate::{
    attribute::rules::{
        Rules,
        text::{base_name, cut},
    },
    malformed::Malformed,
    signal::inventory::StaticPodFacts,
};

/// Labels and containers kept of one manifest.
const LABELS_MAX: usize = 64;
const CONTAINERS_MAX: usize = 64;

/// Bytes of a label's key and value, as the API server allows; a program's name is held to the former.
const KEY_BYTES: usize = 317;
const VALUE_BYTES: usize = 63;

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("it is no YAML of the expected form: {0}")]
    Yaml(#[from] Malformed),
    #[error("it holds no pod with a valid name")]
    NoPod,
}

#[derive(Deserialize)]
struct RawPod {
    kind: Option<String>,
    metadata: Option<RawMeta>,
    spec: Option<RawSpec>,
}

#[derive(Deserialize)]
struct RawMeta {
    name: Option<String>,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    host_network: Option<bool>,
    containers: Option<Vec<RawContainer>>,
}

/// No environment: it may hold secrets.
#[derive(Deserialize)]
struct RawContainer {
    name: Option<String>,
    command: Option<Vec<String>>,
    args: Option<Vec<String>>,
}

/// Reads a manifest; `path` is where it was found.
pub(super) fn parse(path: String, bytes: &[u8], rules: &Rules) -> Result<StaticPodFacts, ManifestError> {
    let pods: Vec<Option<RawPod>> = documents(bytes)?;
    let pod = pods.into_iter().flatten().find(|pod| {
        pod.kind
            .as_deref()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("pod"))
    });
    let pod = pod.ok_or(ManifestError::NoPod)?;
    let meta = pod.metadata.ok_or(ManifestError::NoPod)?;
    let name = meta
        .name
        .filter(|name| is_name(name))
        .ok_or(ManifestError::NoPod)?;
    let namespace = meta
        .namespace
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| "default".to_owned());
    if !is_label(&namespace) {
        return Err(ManifestError::NoPod);
    }
    let labels = meta.labels.unwrap_or_default().into_iter();
    let labels = labels
        .map(|(key, value)| (key, value.unwrap_or_default()))
        .filter(|(key, value)| key.len() <= KEY_BYTES && value.len() <= VALUE_BYTES)
        .take(LABELS_MAX)
        .collect();
    let host_network = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.host_network == Some(true));
    let containers = pod.spec.and_then(|spec| spec.containers).unwrap_or_default();
    let flags = containers
        .first()
        .map(|first| flags(first, rules))
        .unwrap_or_default();
    Ok(StaticPodFacts {
        path,
        namespace,
        name,
        labels,
        host_network,
        containers: containers
            .into_iter()
            .take(CONTAINERS_MAX)
            .filter_map(named)
            .collect(),
        flags,
    })
}

/// A container's name, and the base name of its program where the manifest has it.
fn named(container: RawContainer) -> Option<(String, Option<String>)> {
    let name = container.name.filter(|name| is_label(name))?;
    let command = container.command.unwrap_or_default();
    let program = command.first().map(|arg0| base_name(arg0));
    // A shell's text is no name of a program.
    let program = program.filter(|base| !base.is_empty() && !base.contains(char::is_whitespace));
    Some((name, program.map(|base| cut(base, KEY_BYTES).to_owned())))
}

fn flags(container: &RawContainer, rules: &Rules) -> Vec<String> {
    let Some(command) = container.command.as_ref().filter(|command| !command.is_empty()) else {
        return Vec::new();
    };
    let line: Vec<&str> = command
        .iter()
        .chain(container.args.iter().flatten())
        .map(String::as_str)
        .collect();
    let mut kept = rules.harmless_args(None, line.join("\0").as_bytes());
    kept.retain(|arg| arg.starts_with("--"));
    kept
}
