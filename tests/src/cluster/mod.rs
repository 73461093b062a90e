//! A cluster of one node with real pods: a kubeadm control plane around a real etcd, and two applications that talk through
//! a service's address, on a containerd of its own.
//!
//! The node is a network namespace at 192.168.59.150; the world outside is another, at 192.168.59.1. All addresses but
//! the pods' are the same in every cluster.

mod host;
mod ids;
mod objects;
mod plan;
pub mod roles;
pub mod services;
mod traffic;

use crate::containerd::{Containerd, Pod};
use crate::machine::EtcdPort;
use crate::netns::Netns;
use crate::orders::Orders;
use crate::scenario::NODE;
use crate::scratch::Cgroup;
use crate::standin::Standin;
use crate::wait::{patience, until_true};
use anyhow::{Context, Result};
use plan::Plan;
use roles::{ROLES, Role, Workload};
use services::{SERVICES, Service};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The world's address, the node's default route.
const WORLD: Ipv4Addr = Ipv4Addr::new(192, 168, 59, 1);
/// Where the API server is, to those that are on the node.
const APISERVER: &str = "192.168.59.150:6443";

/// Connections that the client holds to the web application, through its service's address.
pub const CLIENT_TO_WEB: usize = 4;

/// The cluster. All of it ends when this value is dropped.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order.
    visitor: Standin,
    kubelet: Standin,
    pods: BTreeMap<&'static str, Pod>,
    plans: Vec<Plan>,
    containerd: Containerd,
    _unit: Cgroup,
    node: Netns,
    _world: Netns,
    _port: EtcdPort,
}

impl Cluster {
    /// The cluster with all its connections.
    pub fn start() -> Result<Self> {
        let mut cluster = Self::listening()?;
        cluster.connect()?;
        Ok(cluster)
    }

    /// The cluster with everyone listening and nobody connected, etcd's own clients excepted.
    pub fn listening() -> Result<Self> {
        let port = EtcdPort::shared()?;
        let (node, world) = networks()?;
        let containerd = Containerd::start(&node)?;
        let plans = plan(&objects_of(&containerd))?;
        host::write(&containerd.host_root(), &plans, &format!("http://{APISERVER}"))?;
        let specs = plans.iter().map(|plan| plan.spec.clone()).collect();
        let made = containerd.create_all(specs)?;
        let keys = plans.iter().map(|plan| plan.role.key);
        let unit = containerd.cgroup("system.slice/kubelet.service")?;
        let mut cluster = Self {
            visitor: Standin::start_as(&world, &["curl", "http://192.168.59.150:30080/"], None)?,
            kubelet: Standin::start_as(&node, KUBELET, Some(&unit))?,
            pods: keys.zip(made).collect(),
            plans,
            containerd,
            _unit: unit,
            node,
            _world: world,
            _port: port,
        };
        cluster.node.translate(&services::rules(&cluster.services()?)?)?;
        cluster.write_objects()?;
        cluster.listen()?;
        Ok(cluster)
    }

    fn listen(&mut self) -> Result<()> {
        self.kubelet.listen("127.0.0.1:10248")?;
        self.kubelet.listen("[::]:10250")?;
        ROLES.iter().try_for_each(|role| self.begin(role))
    }

    /// Starts a pod's container and waits until it serves.
    fn begin(&mut self, role: &Role) -> Result<()> {
        let pod = self.pods.get_mut(role.key).context("a pod is missing")?;
        pod.start(&self.containerd)?;
        if pod.spec.container.standin {
            let orders = pod.orders()?;
            return role
                .listens
                .iter()
                .try_for_each(|address| orders.listen(address).map(drop));
        }
        let (says, times) = role.serves;
        until_true("the pod serves", patience(), || {
            Ok(pod.log()?.matches(says).count() >= times)
        })
    }

    /// The namespace of the node and of all that has its network.
    pub fn node(&self) -> &Netns {
        &self.node
    }

    /// What runs the pods.
    pub fn containerd(&mut self) -> &mut Containerd {
        &mut self.containerd
    }

    /// The kubelet, a process of the node.
    pub fn kubelet(&mut self) -> &mut Standin {
        &mut self.kubelet
    }

    /// A client of the web application from outside, through the node's port.
    pub fn visitor(&mut self) -> &mut Standin {
        &mut self.visitor
    }

    /// The visitor's process.
    pub fn visitor_pid(&self) -> u32 {
        self.visitor.pid()
    }

    /// A pod by what the tests call it: `etcd`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`, `kube-proxy`,
    /// `coredns`, `web-0`, `web-1`, `client`.
    pub fn pod(&self, key: &str) -> Result<&Pod> {
        self.pods
            .get(key)
            .with_context(|| format!("there is no pod {key}"))
    }

    /// Gives a pod away, to be removed.
    pub fn take(&mut self, key: &str) -> Result<Pod> {
        self.pods
            .remove(key)
            .with_context(|| format!("there is no pod {key}"))
    }

    /// All pods.
    pub fn pods(&self) -> &BTreeMap<&'static str, Pod> {
        &self.pods
    }

    /// The line to a pod's stand-in.
    pub fn orders(&mut self, key: &str) -> Result<&mut Orders> {
        self.pods
            .get_mut(key)
            .with_context(|| format!("there is no pod {key}"))?
            .orders()
    }

    /// What keeps a pod running.
    pub fn workload(&self, key: &str) -> Option<Workload> {
        let plan = self.plans.iter().find(|plan| plan.role.key == key);
        plan.map(|plan| plan.role.workload)
    }

    /// Where a pod, or the node for it, listens on `port`.
    pub fn address(&self, key: &str, port: u16) -> Result<String> {
        let address = self.pod(key)?.address.unwrap_or(IpAddr::V4(NODE));
        Ok(SocketAddr::new(address, port).to_string())
    }

    /// The directory with the objects as an API server lists them: `pods.json` and so on.
    pub fn objects(&self) -> PathBuf {
        objects_of(&self.containerd)
    }

    /// For `--host-root`.
    pub fn host_root(&self) -> PathBuf {
        self.containerd.host_root()
    }

    /// For `--kubeconfig`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.host_root().join("etc/kubernetes/admin.conf")
    }

    /// For `--cri-socket`.
    pub fn cri_socket(&self) -> PathBuf {
        self.containerd.socket()
    }

    fn services(&self) -> Result<Vec<(&'static Service, Vec<SocketAddr>)>> {
        let endpoints = |service: &'static Service| -> Result<_> {
            let each = service.pods.iter();
            let each = each.map(|pod| anyhow::Ok(self.address(pod, service.target_port)?.parse()?));
            Ok((service, each.collect::<Result<_>>()?))
        };
        SERVICES.iter().map(endpoints).collect()
    }

    fn write_objects(&self) -> Result<()> {
        let pods = self.plans.iter().map(|plan| Ok((plan, self.pod(plan.role.key)?)));
        let pods: Vec<_> = pods.collect::<Result<_>>()?;
        objects::write(
            &self.objects(),
            &pods,
            &self.services()?,
            self.containerd.subnet(),
        )
    }
}

fn objects_of(containerd: &Containerd) -> PathBuf {
    containerd.directory().join("objects")
}

/// The kubelet's command line.
const KUBELET: &[&str] = &[
    "kubelet",
    "--config=/var/lib/kubelet/config.yaml",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    "--hostname-override=controlplane",
    "--node-ip=192.168.59.150",
];

/// The node and what is outside, connected.
fn networks() -> Result<(Netns, Netns)> {
    let (node, world) = (Netns::new()?, Netns::new()?);
    node.connect("eth0", &world, "eth0")?;
    node.add_address("eth0", IpAddr::V4(NODE), 24)?;
    world.add_address("eth0", IpAddr::V4(WORLD), 24)?;
    node.route_via(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, IpAddr::V4(WORLD))?;
    node.sysctl("ipv4/ip_forward", "1")?;
    Ok((node, world))
}

/// Names and ids for all pods; those of one deployment are of one template.
fn plan(objects: &Path) -> Result<Vec<Plan>> {
    let mut templates = BTreeMap::new();
    let mut plans = Vec::new();
    for role in ROLES {
        let template = match templates.get(role.container()) {
            Some(template) => template,
            None => templates.entry(role.container()).or_insert(ids::suffix(9)?),
        };
        plans.push(role.plan(template, objects)?);
    }
    Ok(plans)
}
