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
    config::{
        AuthInfo, Cluster, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError,
    },
};

use super::credentials::{self, NoCredentials};
use crate::{malformed::Malformed, regular_file, resolve::children::Children, signal::Degraded};

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

/// Why there is no client. Nothing of a file's text is in it: a damaged kubeconfig has tokens in odd places.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoClient {
    #[error("{path} {why}")]
    File { path: PathBuf, why: String },
    #[error("it cannot be used: {0}")]
    Config(String),
    /// Its address may hold a password.
    #[error("it reaches the cluster through a proxy (proxy-url), which is not supported")]
    Proxy,
    #[error("its credentials could not be had: {0}")]
    Credentials(#[from] NoCredentials),
    /// Errors of providers may hold tokens.
    #[error("its credentials cannot be used: see the user's certificate, key, token and auth-provider")]
    Unusable,
}

/// A way to the API server.
pub(super) struct Connection {
    pub(super) client: Client,
    /// The server's address, for messages.
    pub(super) server: String,
    /// After this time it is to be made again, since the credentials grow old.
    pub(super) renew: Option<Duration>,
}

/// Reads what leads to the server and makes a client of it.
pub(super) async fn connect(access: &Access, children: &Children) -> Result<Connection, NoClient> {
    let mut config = match access {
        Access::InCluster => Config::incluster().map_err(|error| NoClient::Config(in_cluster(&error)))?,
        Access::Kubeconfig(paths) => from_files(paths).await?,
    };
    let renew = credentials::settle(&mut config.auth_info, children).await?;
    // HTTPS_PROXY of the shell is not meant for the node's own API server.
    config.proxy_url = None;
    config.connect_timeout = Some(CONNECT);
    // Follower has its own patience and its own retries.
    config.read_timeout = None;
    config.default_retry = false;
    let server = address(&config.cluster_url)?;
    let client = Client::try_from(config).map_err(|_secret| NoClient::Unusable)?;
    Ok(Connection {
        client,
        server,
        renew,
    })
}

/// Without user and password, which an address may hold.
fn address(url: &http::Uri) -> Result<String, NoClient> {
    // Without a scheme it is anything: not for a message.
    match (url.scheme(), url.host(), url.port_u16()) {
        (Some(_), Some(host), Some(port)) => Ok(format!("{host}:{port}")),
        (Some(_), Some(host), None) => Ok(host.to_owned()),
        _ => Err(NoClient::Config(SERVER.to_owned())),
    }
}

const SERVER: &str = "its cluster's server is no URL (https://host:port)";

async fn from_files(paths: &[PathBuf]) -> Result<Config, NoClient> {
    let mut merged = Kubeconfig::default();
    let (mut missing, mut found) = (None, false);
    for path in paths {
        let why = match regular_file::open(path).and_then(|file| file.metadata()) {
            Ok(file) if file.len() > KUBECONFIG_MAX => "is larger than 4 MiB".to_owned(),
            Ok(_) => match Kubeconfig::read_from(path).and_then(|next| merged.clone().merge(next)) {
                Ok(next) => {
                    merged = next;
                    found = true;
                    continue;
                }
                Err(error) => format!("cannot be used: {}", words(&error)),
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
    let (cluster, user) = current(&mut merged);
    let proxy = cluster.as_ref().and_then(|cluster| cluster.proxy_url.as_deref());
    if proxy.is_some_and(|url| !url.is_empty()) {
        return Err(NoClient::Proxy);
    }
    credentials::read_files(cluster, user)?;
    Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default())
        .await
        .map_err(|error| NoClient::Config(words(&error)))
}

/// The cluster and the user of the current context.
fn current(kubeconfig: &mut Kubeconfig) -> (Option<&mut Cluster>, Option<&mut AuthInfo>) {
    let Kubeconfig {
        current_context,
        contexts,
        clusters,
        auth_infos,
        ..
    } = kubeconfig;
    let named = contexts
        .iter()
        .find(|one| Some(&one.name) == current_context.as_ref());
    let Some(context) = named.and_then(|one| one.context.as_ref()) else {
        return (None, None);
    };
    let cluster = clusters.iter_mut().find(|one| one.name == context.cluster);
    let user = auth_infos
        .iter_mut()
        .find(|one| Some(&one.name) == context.user.as_ref());
    (
        cluster.and_then(|one| one.cluster.as_mut()),
        user.and_then(|one| one.auth_info.as_mut()),
    )
}

/// What is wrong with a kubeconfig: the place and the kind.
fn words(error: &KubeconfigError) -> String {
    let said = match error {
        KubeconfigError::Parse(error) => return Malformed::from(&**error).to_string(),
        KubeconfigError::ReadConfig(error, _path) => return error.to_string(),
        KubeconfigError::CurrentContextNotSet => "it has no current-context",
        KubeconfigError::LoadContext(_) => "its current-context is none of its contexts",
        KubeconfigError::LoadClusterOfContext(_) => {
            "the cluster of its current context is none of its clusters"
        }
        KubeconfigError::MissingClusterUrl => "its cluster has no server",
        KubeconfigError::ParseClusterUrl(_) => SERVER,
        KubeconfigError::ParseProxyUrl(_) => "a proxy's address is no URL",
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "its kind or version is not that of the files before it"
        }
        KubeconfigError::LoadCertificateAuthority(error) => return data("certificate-authority", error),
        KubeconfigError::LoadClientCertificate(error) => return data("client-certificate", error),
        KubeconfigError::LoadClientKey(error) => return data("client-key", error),
        KubeconfigError::ParseCertificates(_) => "its certificate-authority is no PEM",
        KubeconfigError::FindPath => "there is no home directory",
    };
    said.to_owned()
}

fn data(field: &str, error: &LoadDataError) -> String {
    let what = match error {
        LoadDataError::DecodeBase64(_) => "is no base64",
        LoadDataError::ReadFile(..) => "cannot be read",
        LoadDataError::NoBase64DataOrFile => "is missing",
    };
    format!("its {field} {what}")
}

fn in_cluster(error: &InClusterError) -> String {
    let said = match error {
        InClusterError::ReadDefaultNamespace(error) => {
            return format!("its namespace cannot be read: {error}");
        }
        InClusterError::ReadCertificateBundle(error) => return format!("its ca.crt cannot be read: {error}"),
        InClusterError::ReadEnvironmentVariable(_)
        | InClusterError::ParseClusterPort(_)
        | InClusterError::ParseClusterUrl(_) => {
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no host and port"
        }
        InClusterError::ParseCertificates(_) => "its ca.crt is no PEM",
    };
    said.to_owned()
}
