//! The kubeadm node: a control plane of stand-ins around a real etcd, in a network namespace of its own.
//!
//! Names, arguments, addresses and connections are those of a real single-node cluster.

use crate::etcd::{Addresses, Etcd};
use crate::listener::{self, Transport};
use crate::machine::EtcdPort;
use crate::netns::Netns;
use crate::standin::Standin;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The node's address.
pub const NODE: Ipv4Addr = Ipv4Addr::new(192, 168, 59, 150);

/// Connections that kube-apiserver holds to etcd.
pub const APISERVER_TO_ETCD: u64 = 61;

/// A stand-in of the node.
struct Role {
    argv: &'static [&'static str],
    listens: &'static [&'static str],
    dials: &'static [(&'static str, u64)],
}

const ROLES: &[Role] = &[
    Role {
        argv: &[
            "kube-apiserver",
            "--advertise-address=192.168.59.150",
            "--authorization-mode=Node,RBAC",
            "--etcd-servers=https://127.0.0.1:2379",
            "--secure-port=6443",
            "--service-cluster-ip-range=10.96.0.0/12",
        ],
        listens: &["[::]:6443"],
        dials: &[("127.0.0.1:2379", APISERVER_TO_ETCD), ("192.168.59.150:10250", 1)],
    },
    Role {
        argv: &[
            "kubelet",
            "--config=/var/lib/kubelet/config.yaml",
            "--kubeconfig=/etc/kubernetes/kubelet.conf",
            "--hostname-override=controlplane",
            "--node-ip=192.168.59.150",
        ],
        listens: &["127.0.0.1:10248", "[::]:10250"],
        dials: &[("192.168.59.150:6443", 1)],
    },
    Role {
        argv: &[
            "kube-controller-manager",
            "--allocate-node-cidrs=true",
            "--bind-address=127.0.0.1",
            "--cluster-cidr=10.244.0.0/16",
            "--kubeconfig=/etc/kubernetes/controller-manager.conf",
            "--service-cluster-ip-range=10.96.0.0/12",
        ],
        listens: &["127.0.0.1:10257"],
        dials: &[("192.168.59.150:6443", 1)],
    },
    Role {
        argv: &[
            "kube-scheduler",
            "--bind-address=127.0.0.1",
            "--kubeconfig=/etc/kubernetes/scheduler.conf",
            "--leader-elect=true",
        ],
        listens: &["127.0.0.1:10259"],
        dials: &[("192.168.59.150:6443", 1)],
    },
    Role {
        argv: &[
            "kube-proxy",
            "--kubeconfig=/etc/kubernetes/kube-proxy.conf",
            "--proxy-mode=iptables",
            "--hostname-override=controlplane",
            "--cluster-cidr=10.244.0.0/16",
        ],
        listens: &["127.0.0.1:10249", "[::]:10256"],
        dials: &[("192.168.59.150:6443", 1)],
    },
    Role {
        argv: &["kubectl", "proxy", "--port=8888", "--address=0.0.0.0"],
        listens: &["[::]:8888 tcp"],
        dials: &[],
    },
    Role {
        argv: &["containerd", "-c", "/etc/containerd/config.toml"],
        listens: &["127.0.0.1:42031 tcp"],
        dials: &[],
    },
    Role {
        argv: &["ttyd", "-p", "8080", "bash"],
        listens: &["0.0.0.0:8080 tcp"],
        dials: &[],
    },
];

/// What plays etcd where there is no real one: the same sockets, without the database behind them.
const ETCD: Role = Role {
    argv: &[
        "etcd",
        "--advertise-client-urls=https://192.168.59.150:2379",
        "--listen-client-urls=https://127.0.0.1:2379,https://192.168.59.150:2379",
        "--listen-metrics-urls=http://127.0.0.1:2381",
        "--listen-peer-urls=https://192.168.59.150:2380",
        "--name=controlplane",
    ],
    listens: &[
        "192.168.59.150:2379",
        "192.168.59.150:2380",
        "127.0.0.1:2379",
        "127.0.0.1:2381",
    ],
    dials: &[("192.168.59.150:2379", 1), ("127.0.0.1:2379", 1)],
};

/// Who listens where: name, address, port. Sorted.
pub const LISTENERS: &[(&str, &str, u64)] = &[
    ("containerd", "127.0.0.1", 42031),
    ("etcd", "127.0.0.1", 2379),
    ("etcd", "127.0.0.1", 2381),
    ("etcd", "192.168.59.150", 2379),
    ("etcd", "192.168.59.150", 2380),
    ("kube-apiserver", "::", 6443),
    ("kube-controller-manager", "127.0.0.1", 10257),
    ("kube-proxy", "127.0.0.1", 10249),
    ("kube-proxy", "::", 10256),
    ("kube-scheduler", "127.0.0.1", 10259),
    ("kubectl", "::", 8888),
    ("kubelet", "127.0.0.1", 10248),
    ("kubelet", "::", 10250),
    ("ttyd", "0.0.0.0", 8080),
];

/// The names of all components and other processes of the node.
pub const NAMES: &[&str] = &[
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "ttyd",
];

/// Who is connected to whom: client, server, port, how often. Sorted.
///
/// etcd's REST gateway is a client of its own: one connection to each client address.
pub const CONNECTIONS: &[(&str, &str, u64, u64)] = &[
    ("etcd", "etcd", 2379, 2),
    ("kube-apiserver", "etcd", 2379, APISERVER_TO_ETCD),
    ("kube-apiserver", "kubelet", 10250, 1),
    ("kube-controller-manager", "kube-apiserver", 6443, 1),
    ("kube-proxy", "kube-apiserver", 6443, 1),
    ("kube-scheduler", "kube-apiserver", 6443, 1),
    ("kubelet", "kube-apiserver", 6443, 1),
];

/// The node, or as much of it as was started.
#[derive(Debug)]
pub struct Scenario {
    // Dropped in this order: clients and servers, then etcd, then what they are in.
    standins: BTreeMap<&'static str, Standin>,
    etcd: Option<Etcd>,
    netns: Netns,
    _port: EtcdPort,
}

impl Scenario {
    /// The whole node around a real etcd, with all its connections.
    pub fn start() -> Result<Self> {
        Self::whole(EtcdPort::shared()?)
    }

    /// The same, and no other etcd of these tests on the machine.
    pub fn start_alone() -> Result<Self> {
        Self::whole(EtcdPort::alone()?)
    }

    /// The same with a stand-in for etcd, for machines where there is no etcd.
    pub fn start_without_etcd() -> Result<Self> {
        Self::of_standins(EtcdPort::shared()?, Transport::Mptcp)
    }

    /// The same, whose components listen by `transport`.
    pub fn of_standins(port: EtcdPort, transport: Transport) -> Result<Self> {
        let mut scenario = Self::empty(port)?;
        if transport == Transport::Tcp && listener::has_mptcp() {
            scenario.netns.sysctl("mptcp/enabled", "0")?;
        }
        scenario.start_role(&ETCD)?;
        scenario.dial(&ETCD)?;
        scenario.start_roles()?;
        scenario.connect()?;
        scenario
            .standin("etcd")?
            .wait_count("accepted", APISERVER_TO_ETCD + 2)?;
        Ok(scenario)
    }

    fn whole(port: EtcdPort) -> Result<Self> {
        let mut scenario = Self::empty(port)?;
        scenario.listen()?;
        scenario.connect()?;
        Ok(scenario)
    }

    /// The node's namespace without any process.
    pub fn empty(port: EtcdPort) -> Result<Self> {
        let netns = Netns::with_address(IpAddr::V4(NODE))?;
        Ok(Self {
            standins: BTreeMap::new(),
            etcd: None,
            netns,
            _port: port,
        })
    }

    /// Starts all components; they listen and nobody dials, etcd's own gateway excepted.
    pub fn listen(&mut self) -> Result<()> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let node = IpAddr::V4(NODE);
        let addresses = Addresses {
            client: &[SocketAddr::new(node, 2379), SocketAddr::new(loopback, 2379)],
            peer: SocketAddr::new(node, 2380),
            metrics: SocketAddr::new(loopback, 2381),
        };
        self.etcd = Some(Etcd::start(&self.netns, addresses, None)?);
        self.start_roles()
    }

    /// Opens all connections, and returns once every stand-in that is dialled has accepted.
    pub fn connect(&mut self) -> Result<()> {
        for role in ROLES {
            self.dial(role)?;
        }
        self.standin("kube-apiserver")?.wait_count("accepted", 4)?;
        self.standin("kubelet")?.wait_count("accepted", 1)
    }

    fn start_roles(&mut self) -> Result<()> {
        ROLES.iter().try_for_each(|role| self.start_role(role))
    }

    fn start_role(&mut self, role: &Role) -> Result<()> {
        let mut standin = Standin::start_as(&self.netns, role.argv, None)?;
        for address in role.listens {
            standin.listen(address)?;
        }
        self.standins.insert(role.name(), standin);
        Ok(())
    }

    fn dial(&mut self, role: &Role) -> Result<()> {
        for (address, count) in role.dials {
            self.standin(role.name())?
                .dial(address, usize::try_from(*count)?)?;
        }
        Ok(())
    }

    /// The namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The stand-in of this name.
    pub fn standin(&mut self, name: &str) -> Result<&mut Standin> {
        self.standins
            .get_mut(name)
            .with_context(|| format!("{name} is not part of the scenario"))
    }

    /// The real etcd.
    pub fn etcd(&self) -> Result<&Etcd> {
        self.etcd.as_ref().context("etcd has not been started")
    }

    /// Every process of the node, by name.
    pub fn pids(&self) -> BTreeMap<&'static str, u32> {
        let etcd = self.etcd.iter().map(|etcd| ("etcd", etcd.pid()));
        self.standins
            .iter()
            .map(|(name, standin)| (*name, standin.pid()))
            .chain(etcd)
            .collect()
    }
}

/// [`LISTENERS`] as [`crate::json::listeners`] gives them.
pub fn listeners() -> Vec<(String, String, u64)> {
    LISTENERS
        .iter()
        .map(|(name, address, port)| ((*name).to_owned(), (*address).to_owned(), *port))
        .collect()
}

/// [`CONNECTIONS`] as [`crate::json::connection_counts`] and [`crate::json::edge_counts`] give them.
pub fn connections() -> Vec<(String, String, u64, u64)> {
    CONNECTIONS
        .iter()
        .map(|(client, server, port, count)| ((*client).to_owned(), (*server).to_owned(), *port, *count))
        .collect()
}

impl Role {
    fn name(&self) -> &'static str {
        self.argv.first().copied().unwrap_or_default()
    }
}
