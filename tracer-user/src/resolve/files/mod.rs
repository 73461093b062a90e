//! Names out of files and directories that the kubelet keeps on the node: when nothing else answers.
//!
//! The directories' own modification times tell when something changed, so a node at rest costs some look-ups of
//! inodes every 2 s. Nothing of a kubeconfig file is kept but the server's address, nothing of a command line but
//! flags that the component rules call harmless.
#![forbid(unsafe_code)]

pub mod config;
mod host;
mod hosts;
mod kept;
mod manifest;
mod names;
mod places;
mod pods;
mod settings;
mod tell;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use config::Kubelet;
use host::{Host, Stamp};
use pods::Directories;
use settings::Settings;
use tell::{Facts, Told};

use super::{Over, Resolver, Teller};
use crate::attribute::rules::Rules;

/// Between two looks at modification times.
const POLL: Duration = Duration::from_secs(2);

/// Looks after which everything is read again, whatever the modification times say: a minute.
const ALL_LOOKS: u32 = 30;

/// Bytes of /etc/hostname.
const HOSTNAME_BYTES: u64 = 4096;

/// A source of names from the files of the node whose file system is at `host_root`: `/`, or where a pod has it
/// mounted. None where there is no Kubernetes.
pub fn discover(host_root: &Path, rules: Arc<Rules>) -> Option<Box<dyn Resolver>> {
    Some(Box::new(Files::discover(host_root, rules)?))
}

/// The node's name as the kubelet registers it, from its settings or the host's name.
pub fn node_name(host_root: &Path) -> Option<String> {
    let host = Host::open(host_root).ok()?;
    if let Some(name) = settings::kubelet(&host).hostname_override {
        return Some(name);
    }
    let hostname = host.read(Path::new("/etc/hostname"), HOSTNAME_BYTES).ok()??;
    let hostname = String::from_utf8_lossy(&hostname);
    let mut lines = hostname
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    config::node_name(lines.next()?)
}

/// The kubelet's settings, as the node's files have them; nothing where they cannot be read.
pub fn kubelet(host_root: &Path) -> Kubelet {
    Host::open(host_root)
        .map(|host| settings::kubelet(&host))
        .unwrap_or_default()
}

/// The files of one node.
#[derive(Debug)]
struct Files {
    host: Host,
    rules: Arc<Rules>,
    poll: Duration,
    pods: Directories,
    settings: Settings,
    told: Told,
}

impl Files {
    fn discover(host_root: &Path, rules: Arc<Rules>) -> Option<Self> {
        let host = Host::open(host_root).ok()?;
        (pods::are_there(&host) || settings::are_there(&host)).then(|| Self {
            host,
            rules,
            poll: POLL,
            pods: Directories::new(),
            settings: Settings::new(),
            told: Told::default(),
        })
    }

    /// Reads what changed, or `all`.
    fn look(&mut self, all: bool) {
        self.settings.look(&self.host, all);
        self.settings.look_at_manifests(&self.host, all, &self.rules);
        let root_dir = self.settings.kubelet.root_dir.as_deref();
        self.pods.look(&self.host, root_dir);
    }

    fn tell(&mut self, teller: &Teller) -> Result<(), Over> {
        let facts = Facts {
            pods: self.pods.pods.clone(),
            containers: self.pods.containers.clone(),
            static_pods: self.settings.static_pods(),
            api_servers: self.settings.api_servers(&self.host),
        };
        self.told.facts(facts, teller)?;
        let (manifests, settings) = (self.settings.manifests_fault(), self.settings.settings_fault());
        self.told.health("manifests", manifests, teller)?;
        self.told.health("settings", settings, teller)?;
        // Last: it says that the first answer is complete.
        self.told.health("", self.pods.fault.clone(), teller)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let watched = self.settings.watched.iter().chain(&self.pods.watched);
        watched.map(|path| self.host.stamp(path)).collect()
    }

    fn watch(&mut self, teller: &Teller) -> Result<(), Over> {
        self.look(true);
        self.tell(teller)?;
        // None yet: what changed during the first look is found by a second one.
        let mut stamps = Vec::new();
        let mut looks = 0;
        while teller.pause(self.poll) {
            looks += 1;
            let all = looks >= ALL_LOOKS;
            // Taken before the look, so that the next one finds what changes during it.
            let now = self.stamps();
            if all || now != stamps || self.settings.is_unsettled() {
                self.look(all);
                self.tell(teller)?;
                looks = if all { 0 } else { looks };
                stamps = now;
            }
        }
        Err(Over)
    }
}

impl Resolver for Files {
    fn name(&self) -> String {
        "node files".to_owned()
    }

    fn run(mut self: Box<Self>, teller: &Teller) {
        // Nobody listens any more: the only way out.
        let Err(Over) = self.watch(teller) else { return };
    }
}
