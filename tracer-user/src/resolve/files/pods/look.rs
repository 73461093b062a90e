//! One look at the directories of pods: everything in them that may be a pod or container, within bounds.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use rustix::fs::FileType;

use super::{
    super::{
        host::{Host, Listing, link},
        hosts::{self, PodHosts},
        names::{ContainerLog, container_log, is_label, is_uid, log_target, pod_directory},
    },
    CONTAINER_LOGS, Memory, POD_LOGS,
};
use crate::signal::inventory::{ContainerFacts, PodFacts};

/// Containers kept of one pod.
const CONTAINERS_MAX: usize = 64;

/// Bytes of a pod's hosts file.
const HOSTS_BYTES: u64 = 64 * 1024;

/// By pod and name of the container: the highest restart, which is the one that may run, and its id.
type Newest = BTreeMap<(String, String), (u32, String)>;

/// One look at the directories.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) pods_max: usize,
    pub(super) pods: BTreeMap<String, PodFacts>,
    pub(super) containers: BTreeMap<String, ContainerFacts>,
    pub(super) memory: BTreeMap<String, Memory>,
    /// Uids the kubelet has a directory for.
    pub(super) kept: BTreeSet<String>,
    /// Directories that could not be read as a whole, and why.
    pub(super) unreadable: Vec<String>,
    /// Directories of single pods that could not be read.
    pub(super) unreadable_pods: u64,
    pub(super) left_out: u64,
}

impl Look {
    pub(super) fn new(pods_max: usize) -> Self {
        Self {
            pods_max,
            ..Self::default()
        }
    }

    /// Links to logs of containers that are followed.
    pub(super) const fn logs_max(&self) -> usize {
        self.pods_max.saturating_mul(2)
    }

    pub(super) fn at_pod_logs(&mut self, host: &Host) {
        let directory = Path::new(POD_LOGS);
        for name in self
            .list(host, directory, self.pods_max, may_be_a_directory)
            .names
        {
            let Some(found) = name.to_str().and_then(pod_directory) else {
                continue;
            };
            let containers = self.containers_in(host, &directory.join(&name));
            let Some(pod) = self.pod(&found.uid) else { continue };
            name_pod(pod, found.named);
            add_containers(pod, containers);
        }
    }

    pub(super) fn at_container_logs(&mut self, host: &Host) {
        let path = Path::new(CONTAINER_LOGS);
        let entries = self.list(host, path, self.logs_max(), may_be_a_link).names;
        let Some(directory) = host.directory(path) else {
            return;
        };
        // A link whose pod has no directory any more is left over, unless the directories cannot be seen.
        let known_only = !self.pods.is_empty();
        let mut newest = Newest::new();
        let mut without_uid = Vec::new();
        for entry in entries {
            let log = entry.to_str().and_then(container_log);
            let target = link(&directory, &entry).and_then(|path| log_target(&path));
            match (log, target) {
                (Some(log), Some(target)) if !log.agrees(&target) => {}
                (_, Some(target)) if known_only && !self.pods.contains_key(&target.pod.uid) => {}
                (Some(log), Some(target)) => {
                    self.container(&target.pod.uid, log, Some(target.restart), &mut newest);
                }
                // A long name had cut off its id.
                (None, Some(target)) => {
                    if let Some(pod) = self.pod(&target.pod.uid) {
                        name_pod(pod, target.pod.named);
                        add_containers(pod, vec![target.container]);
                    }
                }
                (Some(log), None) => without_uid.push(log),
                (None, None) => {}
            }
        }
        if !without_uid.is_empty() {
            let uids = self.uids();
            for log in without_uid {
                // Two pods of one name, of which one was deleted: no telling whose it is.
                if let Some(Some(uid)) = uids.get(&(log.namespace.clone(), log.pod.clone())) {
                    self.container(uid, log, None, &mut newest);
                }
            }
        }
        for ((uid, container), (_restart, id)) in newest {
            let pod = self.pods.get_mut(&uid);
            let known = pod.and_then(|pod| pod.containers.iter_mut().find(|(name, _id)| *name == container));
            if let Some((_name, known)) = known {
                *known = Some(id);
            }
        }
    }

    /// A container by its log; of several restarts the highest may run, and the others are over.
    fn container(&mut self, uid: &str, log: ContainerLog, restart: Option<u32>, newest: &mut Newest) {
        let Some(pod) = self.pod(uid) else { return };
        add_containers(pod, vec![log.container.clone()]);
        name_pod(pod, Some((log.namespace, log.pod)));
        let mut facts = ContainerFacts {
            id: log.id.clone(),
            pod_uid: uid.to_owned(),
            name: log.container.clone(),
            ..ContainerFacts::default()
        };
        if let Some(restart) = restart {
            let newest = newest
                .entry((uid.to_owned(), log.container))
                .or_insert_with(|| (restart, log.id.clone()));
            facts.ended = restart < newest.0;
            if restart > newest.0 {
                if let Some(older) = self.containers.get_mut(&newest.1) {
                    older.ended = true;
                }
                *newest = (restart, log.id.clone());
            }
        }
        self.containers.insert(log.id, facts);
    }

    /// Uids by namespace and name; none where several pods have the name.
    fn uids(&self) -> BTreeMap<(String, String), Option<String>> {
        let mut uids = BTreeMap::new();
        for pod in self.pods.values() {
            uids.entry((pod.namespace.clone(), pod.name.clone()))
                .and_modify(|uid| *uid = None)
                .or_insert_with(|| Some(pod.uid.clone()));
        }
        uids
    }

    pub(super) fn at_kubelet(&mut self, host: &Host, root: &Path, memory: &BTreeMap<String, Memory>) {
        let directory = root.join("pods");
        for name in self
            .list(host, &directory, self.pods_max, may_be_a_directory)
            .names
        {
            let Some(uid) = name.to_str().filter(|uid| is_uid(uid)) else {
                continue;
            };
            let own = directory.join(uid);
            let containers = self.containers_in(host, &own.join("containers"));
            let mut memory = memory.get(uid).cloned().unwrap_or_default();
            memory.was_kept = true;
            if memory.born_unix_ns.is_none() {
                memory.born_unix_ns = host.born_unix_ns(&own);
            }
            let hosts_file = own.join("etc-hosts");
            let stamp = host.stamp(&hosts_file);
            if stamp != memory.hosts_stamp {
                match host.read(&hosts_file, HOSTS_BYTES) {
                    Ok(bytes) => memory.hosts = bytes.as_deref().map(hosts::of_pod).unwrap_or_default(),
                    Err(_unreadable) => {
                        memory.hosts = PodHosts::default();
                        self.unreadable_pods += 1;
                    }
                }
                memory.hosts_stamp = stamp;
            }
            let Some(pod) = self.pod(uid) else { continue };
            add_containers(pod, containers);
            pod.started_unix_ns = memory.born_unix_ns;
            pod.host_network = memory.hosts.host_network;
            pod.addresses.clone_from(&memory.hosts.addresses);
            self.memory.insert(uid.to_owned(), memory);
            self.kept.insert(uid.to_owned());
        }
    }

    /// Its facts; absent where there are too many pods.
    pub(super) fn pod(&mut self, uid: &str) -> Option<&mut PodFacts> {
        if self.pods.len() >= self.pods_max && !self.pods.contains_key(uid) {
            self.left_out += 1;
            return None;
        }
        let pod = self.pods.entry(uid.to_owned()).or_insert_with(|| PodFacts {
            uid: uid.to_owned(),
            ..PodFacts::default()
        });
        Some(pod)
    }

    fn list(&mut self, host: &Host, path: &Path, max: usize, wanted: fn(FileType) -> bool) -> Listing {
        match host.list(path, max, wanted) {
            Ok(listing) => {
                self.left_out += listing.left_out;
                listing
            }
            Err(error) => {
                self.unreadable
                    .push(format!("{} cannot be read: {error}", path.display()));
                Listing::default()
            }
        }
    }

    fn containers_in(&mut self, host: &Host, path: &Path) -> Vec<String> {
        match host.list(path, CONTAINERS_MAX, may_be_a_directory) {
            Ok(listing) => {
                let names = listing.names.iter().filter_map(|name| name.to_str());
                names.filter(|name| is_label(name)).map(str::to_owned).collect()
            }
            Err(_unreadable) => {
                self.unreadable_pods += 1;
                Vec::new()
            }
        }
    }
}

fn name_pod(pod: &mut PodFacts, named: Option<(String, String)>) {
    if let Some((namespace, name)) = named
        && pod.name.is_empty()
    {
        pod.namespace = namespace;
        pod.name = name;
    }
}

fn add_containers(pod: &mut PodFacts, names: Vec<String>) {
    for name in names {
        if pod.containers.len() < CONTAINERS_MAX && !pod.containers.iter().any(|(known, _id)| *known == name)
        {
            pod.containers.push((name, None));
        }
    }
    pod.containers.sort();
}

fn may_be_a_directory(kind: FileType) -> bool {
    kind == FileType::Directory
}

fn may_be_a_link(kind: FileType) -> bool {
    matches!(kind, FileType::Symlink | FileType::RegularFile)
}
