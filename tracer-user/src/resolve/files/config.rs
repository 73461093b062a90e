//! What the kubelet's settings and kubeconfig files say of the node. Pure; keys, tokens and certificates are skipped.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use serde::Deserialize;

use super::{super::yaml::documents, names::is_name};
use crate::malformed::Malformed;

/// Clusters kept of one kubeconfig file, and name servers.
const CLUSTERS_MAX: usize = 16;

/// Bytes of a path or an endpoint.
const TEXT_BYTES: usize = 4096;

/// What the kubelet of a node is told to do, where a file says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubelet {
    /// Directory or file of static pods.
    pub static_pod_path: Option<String>,
    /// Where the container runtime listens: `unix:///run/containerd/containerd.sock`.
    pub container_runtime_endpoint: Option<String>,
    /// Addresses of the cluster's name service.
    pub cluster_dns: Vec<IpAddr>,
    /// Its own port.
    pub port: Option<u16>,
    /// Its port without TLS; 0 for none.
    pub read_only_port: Option<u16>,
    /// The address it listens on.
    pub address: Option<IpAddr>,
    /// The node's name, where it is not the host's.
    pub hostname_override: Option<String>,
    /// Its directory.
    pub root_dir: Option<String>,
}

/// What one file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Settings of the kubelet.
    pub kubelet: Kubelet,
    /// Servers of a kubeconfig file: host as written, port.
    pub servers: Vec<(String, u16)>,
}

impl Kubelet {
    /// Its own settings, and those of `other` where it has none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            static_pod_path: self.static_pod_path.or(other.static_pod_path),
            container_runtime_endpoint: self
                .container_runtime_endpoint
                .or(other.container_runtime_endpoint),
            cluster_dns: if self.cluster_dns.is_empty() {
                other.cluster_dns
            } else {
                self.cluster_dns
            },
            port: self.port.or(other.port),
            read_only_port: self.read_only_port.or(other.read_only_port),
            address: self.address.or(other.address),
            hostname_override: self.hostname_override.or(other.hostname_override),
            root_dir: self.root_dir.or(other.root_dir),
        }
    }
}

/// All that is read of a `KubeletConfiguration`, of a kubeconfig file and of a k3s or RKE2 configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    static_pod_path: Option<String>,
    container_runtime_endpoint: Option<String>,
    #[serde(rename = "clusterDNS")]
    cluster_dns: Option<Vec<String>>,
    port: Option<u16>,
    read_only_port: Option<u16>,
    address: Option<String>,
    clusters: Option<Vec<RawCluster>>,
    #[serde(rename = "node-name")]
    node_name: Option<String>,
}

#[derive(Deserialize)]
struct RawCluster {
    cluster: Option<RawServer>,
}

#[derive(Deserialize)]
struct RawServer {
    server: Option<String>,
}

/// Reads a `KubeletConfiguration`, a kubeconfig file or a k3s or RKE2 configuration, in YAML or JSON.
///
/// # Errors
/// When it is no such file.
pub fn parse(bytes: &[u8]) -> Result<Config, Malformed> {
    let mut config = Config::default();
    for raw in documents::<Option<Raw>>(bytes)?.into_iter().flatten() {
        let servers = raw.clusters.unwrap_or_default().into_iter();
        let servers = servers.filter_map(|cluster| endpoint(&cluster.cluster?.server?));
        config.servers.extend(servers);
        let dns = raw.cluster_dns.unwrap_or_default().into_iter();
        config.kubelet = config.kubelet.or(Kubelet {
            static_pod_path: raw.static_pod_path.and_then(text),
            container_runtime_endpoint: raw.container_runtime_endpoint.and_then(text),
            cluster_dns: dns
                .filter_map(|dns| dns.parse().ok())
                .take(CLUSTERS_MAX)
                .collect(),
            port: raw.port,
            read_only_port: raw.read_only_port,
            address: raw.address.and_then(|address| address.parse().ok()),
            hostname_override: raw.node_name.and_then(|name| node_name(&name)),
            root_dir: None,
        });
    }
    config.servers.truncate(CLUSTERS_MAX);
    Ok(config)
}

/// Reads the kubelet's flags of an environment file, such as kubeadm-flags.env, or of a file with one flag per line.
/// Every other flag is skipped.
pub fn flags(bytes: &[u8]) -> Kubelet {
    let text_of_file = String::from_utf8_lossy(bytes);
    let mut kubelet = Kubelet::default();
    // The last of several wins, as it does in the kubelet.
    for line in text_of_file
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let separators = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
        let mut words = line
            .split(separators)
            .filter(|word| !word.is_empty())
            .skip_while(|word| !word.starts_with("--"))
            .peekable();
        while let Some(word) = words.next() {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (word, words.next_if(|next| !next.starts_with('-'))),
            };
            let Some(value) = value.filter(|value| !value.is_empty()) else {
                continue;
            };
            match key {
                "--pod-manifest-path" => kubelet.static_pod_path = text(value.to_owned()),
                "--container-runtime-endpoint" => {
                    kubelet.container_runtime_endpoint = text(value.to_owned());
                }
                "--root-dir" => kubelet.root_dir = text(value.to_owned()),
                "--hostname-override" => kubelet.hostname_override = node_name(value),
                "--cluster-dns" => {
                    let addresses = value.split(',').filter_map(|dns| dns.parse().ok());
                    kubelet.cluster_dns = addresses.take(CLUSTERS_MAX).collect();
                }
                "--port" => kubelet.port = value.parse().ok(),
                "--read-only-port" => kubelet.read_only_port = value.parse().ok(),
                "--address" => kubelet.address = value.parse().ok(),
                _ => {}
            }
        }
    }
    kubelet
}

/// A node's name as the kubelet registers it; absent where it is none.
pub fn node_name(written: &str) -> Option<String> {
    let name = written.trim().to_lowercase();
    is_name(&name).then_some(name)
}

/// Host and port of a server's URL, without user, password and path.
fn endpoint(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.trim().split_once("://")?;
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None if port.is_empty() => usual,
        None => return None,
    };
    let host = host.to_ascii_lowercase();
    let known = host.parse::<IpAddr>().is_ok() || is_name(host.trim_end_matches('.'));
    known.then_some((host, port))
}

/// Empty counts as not set.
fn text(value: String) -> Option<String> {
    (1..=TEXT_BYTES).contains(&value.len()).then_some(value)
}
