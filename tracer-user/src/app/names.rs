//! Which sources of names are asked: found, or as told on the command line.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    attribute::rules::Rules,
    cli::{Conntrack, Names, Whence},
    clock,
    resolve::{Resolver, Resolvers, Told, conntrack, cri, files, host, kube},
    signal::Degraded,
};

/// How long a run waits for the first answers before it begins without them. A list takes some tens of milliseconds; who
/// takes longer is heard later.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks at whether somebody asked to stop.
const STEP: Duration = Duration::from_millis(50);

/// Sources of names that were started, and what they have told so far.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) resolvers: Resolvers,
    pub(super) told: Vec<Told>,
    /// Sources that there should be and are not.
    pub(super) missing: Vec<Degraded>,
    /// Name of this node in its cluster; absent where there is no sign of one.
    pub(super) node: Option<String>,
}

impl Sources {
    /// Starts them and waits for their first answers.
    pub(super) fn start(names: &Names, rules: &Arc<Rules>, stop: &AtomicBool) -> Self {
        let root: &Path = &names.host_root;
        let mut all: Vec<Box<dyn Resolver>> = host::discover();
        let mut missing = Vec::new();
        let files = files::discover(root, Arc::clone(rules));
        let node = node_name(names, files.is_some());
        all.extend(files);
        let socket = match &names.cri {
            Whence::Found => Some(None),
            Whence::File(path) => Some(Some(path.as_path())),
            Whence::None => None,
        };
        if let Some(asked) = socket
            && let cri::Discovery::Found(sockets) = cri::discover(root, asked)
        {
            for socket in sockets {
                all.push(Box::new(cri::Cri::new(socket)));
            }
        }
        let kubeconfig = match &names.kubeconfig {
            Whence::Found => Some(None),
            Whence::File(path) => Some(Some(path.clone())),
            Whence::None => None,
        };
        if let Some(kubeconfig) = kubeconfig {
            let options = kube::Options {
                kubeconfig,
                node: node.clone(),
                cluster_pods: names.cluster_pods,
                host_root: root.to_owned(),
            };
            match kube::discover(options) {
                kube::Discovery::Use(resolver) => all.push(resolver),
                kube::Discovery::Hint(degraded) => missing.push(degraded),
                kube::Discovery::Absent => {}
            }
        }
        if names.conntrack == Conntrack::Auto {
            all.extend(conntrack::discover());
        }
        let mut resolvers = Resolvers::start(all);
        let mut told = Vec::new();
        let until_ns =
            clock::boot_ns().saturating_add(u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX));
        while !resolvers.are_ready() && !stop.load(Ordering::Relaxed) {
            let left = Duration::from_nanos(until_ns.saturating_sub(clock::boot_ns()));
            if left.is_zero() {
                break;
            }
            resolvers.wait(left.min(STEP), |one| told.push(one));
        }
        told.extend(resolvers.silent().map(Told::Source));
        tracing::info!(
            facts = told.len(),
            ready = resolvers.are_ready(),
            "sources of names"
        );
        Self {
            resolvers,
            told,
            missing,
            node,
        }
    }
}

/// What the cluster calls this node, if there is a sign of a cluster.
fn node_name(names: &Names, has_files: bool) -> Option<String> {
    let asked = names.node_name.clone();
    let by_environment = || std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty());
    let by_files = || has_files.then(|| files::node_name(&names.host_root)).flatten();
    asked.or_else(by_environment).or_else(by_files)
}
