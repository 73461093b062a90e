//! Where to find the API server, and with whose credentials; never silently with the kubelet's.
#![forbid(unsafe_code)]

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Config,
    client::Client,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::wire::chain;
use crate::signal::Degraded;

/// A service account's token, where every pod has it.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Largest kubeconfig.
const KUBECONFIG_MAX: u64 = 4 << 20;
/// For a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Kubeconfigs that administrators have on a node, by distribution.
const ADMIN: [&str; 5] = [
    "etc/kubernetes/admin.conf",
    "etc/rancher/k3s/k3s.yaml",
    "etc/rancher/rke2/rke2.yaml",
    "var/snap/microk8s/current/credentials/client.config",
    "var/lib/k0s/pki/admin.conf",
];
/// What only nodes of a cluster have.
const NODE: [&str; 6] = [
    "etc/kubernetes/manifests",
    "etc/kubernetes/kubelet.conf",
    "var/lib/kubelet/pods",
    "var/lib/rancher/k3s",
    "var/lib/rancher/rke2",
    "var/snap/microk8s",
];

/// Whose credentials are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Those of the service account of the pod that the tracer runs in.
    InCluster,
    /// Those of a kubeconfig: the paths that `KUBECONFIG` lists, of which the first that says something wins.
    Kubeconfig(Vec<PathBuf>),
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCluster => f.write_str("service account"),
            Self::Kubeconfig(paths) => {
                let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
                write!(f, "kubeconfig {}", paths.join(", "))
            }
        }
    }
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) asked: Option<PathBuf>,
    pub(super) in_cluster: bool,
    pub(super) kubeconfig: Option<std::ffi::OsString>,
    pub(super) home: Option<PathBuf>,
}

impl Environment {
    pub(super) fn of_process(asked: Option<PathBuf>) -> Self {
        let has = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            asked,
            in_cluster: has("KUBERNETES_SERVICE_HOST").is_some() && Path::new(TOKEN).exists(),
            kubeconfig: has("KUBECONFIG"),
            home: has("HOME").map(PathBuf::from),
        }
    }

    /// The first that is there. A kubeconfig that was asked for is used even if it cannot be: then it is told.
    pub(super) fn access(self) -> Option<Access> {
        if let Some(path) = self.asked {
            return Some(Access::Kubeconfig(vec![path]));
        }
        if self.in_cluster {
            return Some(Access::InCluster);
        }
        if let Some(list) = self.kubeconfig {
            let paths = std::env::split_paths(&list);
            let paths = paths.filter(|path| !path.as_os_str().is_empty());
            let paths: Vec<_> = paths.filter(|path| !is_kubelets(path)).collect();
            if !paths.is_empty() {
                return Some(Access::Kubeconfig(paths));
            }
        }
        let usual = self.home?.join(".kube/config");
        (usual.is_file() && !is_kubelets(&usual)).then(|| Access::Kubeconfig(vec![usual]))
    }
}

/// Whether it is the kubelet's own, be it by a link: using it would look like the kubelet to the API server's audit.
fn is_kubelets(path: &Path) -> bool {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real.ends_with("kubernetes/kubelet.conf") || real.starts_with("/var/lib/kubelet")
}

/// What to say where nothing may be asked; nothing where there is no Kubernetes.
pub(super) fn hint(host_root: &Path) -> Option<Degraded> {
    let is_here = |path: &&&str| host_root.join(path).exists();
    let admin = ADMIN.iter().find(is_here);
    if admin.is_none() && !NODE.iter().any(|path| is_here(&path)) {
        return None;
    }
    let admin = host_root.join(admin.unwrap_or(&"etc/kubernetes/admin.conf"));
    Some(Degraded {
        what: "services and remote pods are not named: the API server is not asked".to_owned(),
        why: "this is a Kubernetes node, but there is no kubeconfig or service account to use".to_owned(),
        remedy: format!(
            "--kubeconfig {}, or run with a service account that docs/deploy/rbac.yaml allows to \
             list and watch pods, services, endpointslices and nodes",
            admin.display()
        ),
    })
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoClient {
    #[error("{path} {why}")]
    File { path: PathBuf, why: String },
    #[error("what it says cannot be used: {0}")]
    Config(String),
    /// Its address may hold a password.
    #[error("it reaches the cluster through a proxy (proxy-url), which is not supported")]
    Proxy,
    /// Errors of plugins may hold tokens.
    #[error("the credentials that the kubeconfig names could not be had; is its plugin installed?")]
    Credentials,
}

/// A client, and the server's address for messages.
pub(super) async fn client(access: &Access) -> Result<(Client, String), NoClient> {
    let mut config = match access {
        Access::InCluster => Config::incluster().map_err(|error| NoClient::Config(chain(&error)))?,
        Access::Kubeconfig(paths) => from_files(paths).await?,
    };
    // HTTPS_PROXY of the shell is not meant for the node's own API server.
    config.proxy_url = None;
    config.connect_timeout = Some(CONNECT);
    // Follower has its own patience and its own retries.
    config.read_timeout = None;
    config.default_retry = false;
    let server = address(&config.cluster_url);
    let client = Client::try_from(config).map_err(|error| {
        if matches!(error, kube::Error::Auth(_)) {
            NoClient::Credentials
        } else {
            NoClient::Config(chain(&error))
        }
    })?;
    Ok((client, server))
}

/// Without user and password, which an address may hold.
fn address(url: &http::Uri) -> String {
    let host = url.host().unwrap_or_default();
    match url.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

async fn from_files(paths: &[PathBuf]) -> Result<Config, NoClient> {
    let mut merged = Kubeconfig::default();
    let (mut missing, mut found) = (None, false);
    for path in paths {
        let why = match fs::metadata(path) {
            Ok(file) if !file.is_file() => "is no file".to_owned(),
            Ok(file) if file.len() > KUBECONFIG_MAX => "is larger than 4 MiB".to_owned(),
            Ok(_) => match Kubeconfig::read_from(path).and_then(|next| merged.clone().merge(next)) {
                Ok(next) => {
                    merged = next;
                    found = true;
                    continue;
                }
                Err(error) => format!("cannot be used: {}", chain(&error)),
            },
            // As kubectl does: of several, those that are not there are passed over.
            Err(error) => {
                missing.get_or_insert((path.clone(), format!("cannot be read: {error}")));
                continue;
            }
        };
        return Err(NoClient::File {
            path: path.clone(),
            why,
        });
    }
    if let (false, Some((path, why))) = (found, missing) {
        return Err(NoClient::File { path, why });
    }
    if has_proxy(&merged) {
        return Err(NoClient::Proxy);
    }
    Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default())
        .await
        .map_err(|error| NoClient::Config(chain(&error)))
}

/// Whether the kubeconfig itself names a proxy for its current cluster.
fn has_proxy(kubeconfig: &Kubeconfig) -> bool {
    let url = || {
        let current = kubeconfig.current_context.as_ref()?;
        let mut contexts = kubeconfig.contexts.iter();
        let context = contexts.find(|context| context.name == *current)?;
        let cluster = &context.context.as_ref()?.cluster;
        let mut clusters = kubeconfig.clusters.iter();
        let named = clusters.find(|named| named.name == *cluster)?;
        named.cluster.as_ref()?.proxy_url.as_deref()
    };
    url().is_some_and(|url| !url.is_empty())
}
