//! The command line, and the kubeconfig that leads here.

use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where options are, one a line, when the arguments are only for show.
const VARIABLE: &str = "KCN_APISERVER";

/// What the stand-in is told at its start.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) objects: Option<PathBuf>,
    pub(crate) etcd: Option<SocketAddr>,
    pub(crate) etcd_connections: usize,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) faults: Option<String>,
    /// Changes that are remembered for watches.
    pub(crate) history: usize,
    pub(crate) bookmark: Duration,
}

impl Options {
    /// Those of the environment where it has any, so that the arguments can be those of a real API server; else those
    /// of the command line.
    pub(crate) fn read() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(lines) => Self::parse(lines.lines().map(str::to_owned)),
            Err(_) => Self::parse(std::env::args().skip(1)),
        }
    }

    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            objects: None,
            etcd: None,
            etcd_connections: 0,
            kubeconfig: None,
            faults: None,
            history: 1024,
            // As often as a real one sends them.
            bookmark: Duration::from_mins(1),
        };
        while let Some(option) = words.next() {
            let value = words.next().ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--listen" => options.listen = parse(&option, &value)?,
                "--objects" => options.objects = Some(value.into()),
                "--etcd" => options.etcd = Some(parse(&option, &value)?),
                "--etcd-connections" => options.etcd_connections = parse(&option, &value)?,
                "--kubeconfig-out" => options.kubeconfig = Some(value.into()),
                "--faults" => options.faults = Some(value),
                "--history" => options.history = parse(&option, &value)?,
                "--bookmark-ms" => options.bookmark = Duration::from_millis(parse(&option, &value)?),
                _ => return Err(format!("there is no option {option}")),
            }
        }
        Ok(options)
    }
}

fn parse<T: std::str::FromStr>(option: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_unspecific| format!("{option} cannot be {value}"))
}

/// A kubeconfig for clients on this machine. JSON, which is YAML as well.
pub(crate) fn kubeconfig(address: SocketAddr) -> Value {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "standin", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "standin", "user": {}}],
        "contexts": [{"name": "standin", "context": {"cluster": "standin", "user": "standin"}}],
        "current-context": "standin",
    })
}
