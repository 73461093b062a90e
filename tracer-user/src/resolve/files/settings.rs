//! What the kubelet is told: manifests of static pods, settings, and the servers of kubeconfig files.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::FileType;

use super::{
    super::yaml::FILE_BYTES,
    config::{self, Config, Kubelet},
    host::Host,
    hosts,
    kept::Kept,
    manifest,
    places::{CONFIGS, FLAGS, MANIFESTS},
};
use crate::{
    attribute::rules::Rules,
    signal::{
        Degraded,
        inventory::{ApiServerFacts, StaticPodFacts},
    },
};

/// Files read of one directory of manifests.
const MANIFESTS_MAX: usize = 256;

/// Whether the node has any of them.
pub(super) fn are_there(host: &Host) -> bool {
    let mut paths = FLAGS.iter().skip(3).chain(&CONFIGS).chain(&MANIFESTS);
    paths.any(|path| host.has(Path::new(path)))
}

/// The kubelet's settings, as the node's files have them right now.
pub(super) fn kubelet(host: &Host) -> Kubelet {
    let mut settings = Settings::new();
    settings.look(host, true);
    settings.kubelet
}

/// What the files say.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) kubelet: Kubelet,
    configs: Kept<Config>,
    flags: Kept<Kubelet>,
    manifests: Kept<StaticPodFacts>,
    /// Files and directories that tell by their stamps that something changed.
    pub(super) watched: Vec<PathBuf>,
    unreadable: Vec<(PathBuf, String)>,
}

impl Settings {
    pub(super) const fn new() -> Self {
        Self {
            kubelet: Kubelet {
                static_pod_path: None,
                container_runtime_endpoint: None,
                cluster_dns: Vec::new(),
                port: None,
                read_only_port: None,
                address: None,
                hostname_override: None,
                root_dir: None,
            },
            configs: Kept::new(),
            flags: Kept::new(),
            manifests: Kept::new(),
            watched: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// Reads the settings that changed.
    pub(super) fn look(&mut self, host: &Host, all: bool) {
        let [configs, flags] =
            [&CONFIGS[..], &FLAGS[..]].map(|paths| paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        self.configs.look(host, &configs, all, |_path, bytes| {
            config::parse(bytes).map_err(|error| format!("it is no YAML of the expected form: {error}"))
        });
        self.flags
            .look(host, &flags, all, |_path, bytes| Ok(config::flags(bytes)));
        let from_flags = self.flags.values().map(|(_path, kubelet)| kubelet.clone());
        // A flag wins over a file of settings.
        self.kubelet = from_flags
            .chain(
                self.configs
                    .values()
                    .map(|(_path, config)| config.kubelet.clone()),
            )
            .fold(Kubelet::default(), Kubelet::or);
        self.watched = configs;
        self.watched.extend(flags);
    }

    /// Reads the manifests that changed.
    pub(super) fn look_at_manifests(&mut self, host: &Host, all: bool, rules: &Arc<Rules>) {
        let set = self.kubelet.static_pod_path.iter().map(PathBuf::from);
        let mut directories: Vec<PathBuf> = MANIFESTS.iter().map(PathBuf::from).chain(set).collect();
        directories.sort();
        directories.dedup();
        self.unreadable.clear();
        let mut files = Vec::new();
        for directory in &directories {
            // A setting may also name a single file.
            if host.is_file(directory) {
                files.push(directory.clone());
                continue;
            }
            match host.list(directory, MANIFESTS_MAX, may_be_a_file) {
                Ok(listing) => {
                    if listing.left_out > 0 {
                        let why = format!("{} entries beyond {MANIFESTS_MAX}", listing.left_out);
                        self.unreadable.push((directory.clone(), why));
                    }
                    // As the kubelet does.
                    let visible = listing
                        .names
                        .iter()
                        .filter(|name| !name.as_encoded_bytes().starts_with(b"."));
                    let found = visible.map(|name| directory.join(name));
                    files.extend(found.filter(|path| is_a_manifest(host, path)));
                }
                Err(error) => {
                    let known = self.manifests.values().map(|(path, _facts)| path);
                    let kept = known
                        .filter(|path| path.parent() == Some(directory))
                        .map(Path::to_owned);
                    files.extend(kept);
                    self.unreadable.push((directory.clone(), error.to_string()));
                }
            }
        }
        files.sort();
        self.manifests.look(host, &files, all, |path, bytes| {
            manifest::parse(path.to_string_lossy().into_owned(), bytes, rules)
                .map_err(|error| error.to_string())
        });
        self.watched.extend(directories);
        self.watched.extend(files);
    }

    /// Static pods by namespace and name; of two manifests of one pod the first counts.
    pub(super) fn static_pods(&self) -> BTreeMap<(String, String), StaticPodFacts> {
        let mut pods = BTreeMap::new();
        for (_path, facts) in self.manifests.values() {
            pods.entry((facts.namespace.clone(), facts.name.clone()))
                .or_insert_with(|| facts.clone());
        }
        pods
    }

    /// Expected API servers, by the file that names them.
    pub(super) fn api_servers(&self, host: &Host) -> BTreeMap<String, ApiServerFacts> {
        let mut node_hosts: Option<Vec<u8>> = None;
        let mut addresses = |name: &str| -> Vec<IpAddr> {
            if let Ok(address) = name.parse() {
                return vec![address];
            }
            let bytes = node_hosts.get_or_insert_with(|| {
                // Without the file the name has no address: nothing else is lost.
                let read = host.read(Path::new("/etc/hosts"), FILE_BYTES);
                read.ok().flatten().unwrap_or_default()
            });
            hosts::look_up(bytes, name)
        };
        let mut found = BTreeMap::new();
        for (path, config) in self.configs.values() {
            if config.servers.is_empty() {
                continue;
            }
            let path = path.to_string_lossy().into_owned();
            let servers = config.servers.iter();
            let servers = servers.map(|(name, port)| (name.clone(), *port, addresses(name)));
            let facts = ApiServerFacts {
                path: path.clone(),
                servers: servers.collect(),
            };
            found.insert(path, facts);
        }
        found
    }

    /// Whether a file may become whole any moment.
    pub(super) fn is_unsettled(&self) -> bool {
        self.configs.is_unsettled() || self.manifests.is_unsettled() || self.flags.is_unsettled()
    }

    /// What is wrong with the manifests.
    pub(super) fn manifests_fault(&self) -> Option<Degraded> {
        let unreadable = self
            .unreadable
            .iter()
            .map(|(path, why)| (path.as_path(), why.as_str()));
        fault(
            unreadable.chain(self.manifests.broken()),
            "static pods are not known from their manifests",
            "let kcn-trace read the directory, and keep only whole manifests of pods in it",
        )
    }

    /// What is wrong with the settings.
    pub(super) fn settings_fault(&self) -> Option<Degraded> {
        fault(
            self.configs.broken().chain(self.flags.broken()),
            "settings of the kubelet and the expected API server are not known",
            "run kcn-trace as root, and repair the file if the kubelet cannot read it either",
        )
    }
}

fn fault<'a>(
    mut broken: impl Iterator<Item = (&'a Path, &'a str)>,
    what: &str,
    remedy: &str,
) -> Option<Degraded> {
    let (path, why) = broken.next()?;
    let more = match broken.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(Degraded {
        what: what.to_owned(),
        why: format!("{}: {why}{more}", path.display()),
        remedy: remedy.to_owned(),
    })
}

fn may_be_a_file(kind: FileType) -> bool {
    kind != FileType::Directory
}

/// A link may lead to a directory, which the kubelet skips too; what is a pipe or a device is reported.
fn is_a_manifest(host: &Host, path: &Path) -> bool {
    host.directory(path).is_none()
}
