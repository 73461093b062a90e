//! Pods as a kubelet makes them: sandbox, container, cgroups and log directories.

use super::Containerd;
use super::cri::{
    CreateContainerRequest, Cri, Done, Id, PodSandboxConfig, PodSandboxStatusResponse, RunPodSandboxRequest,
    StopContainerRequest,
};
use super::kubelet::{container_config, sandbox_config};
use crate::orders::Orders;
use crate::scratch::cgroup_root;
use anyhow::{Context, Result};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A pod with one container.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Namespace and name.
    pub namespace: String,
    /// With the suffix that a workload or a node gives it.
    pub name: String,
    /// As the kubelet knows it: a static pod's is the hash of its manifest.
    pub uid: String,
    /// Labels besides the kubelet's own.
    pub labels: Vec<(String, String)>,
    /// Annotations besides the kubelet's own.
    pub annotations: Vec<(String, String)>,
    /// Whether it has the node's network instead of one of its own.
    pub host_network: bool,
    /// Its container.
    pub container: ContainerSpec,
}

/// The container of a pod.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// Its name in the pod.
    pub name: String,
    /// Its command line, the program's name first.
    pub argv: Vec<String>,
    /// The machine's file that is this program.
    pub program: PathBuf,
    /// Whether the program is a stand-in, which takes orders.
    pub standin: bool,
    /// Directories of the machine, and where it finds them.
    pub mounts: Vec<(PathBuf, String)>,
    /// Further variables of its environment.
    pub environment: Vec<(String, String)>,
}

/// A running pod.
#[derive(Debug)]
pub struct Pod {
    /// What it was asked to be.
    pub spec: PodSpec,
    /// Its sandbox.
    pub sandbox: String,
    /// Its container.
    pub container: String,
    /// Its address; none where it has the node's network.
    pub address: Option<IpAddr>,
    /// The cgroup of its container, as `/proc/PID/cgroup` shows it.
    pub cgroup: String,
    config: PodSandboxConfig,
    logs: PathBuf,
    directory: PathBuf,
    attempt: u32,
    orders: Option<Orders>,
}

impl Pod {
    /// Starts its container, and returns once that can take orders if it is to take any.
    pub fn start(&mut self, containerd: &Containerd) -> Result<()> {
        let id = self.container.clone();
        let _: Done = containerd
            .cri()?
            .call("RuntimeService/StartContainer", Id { id })?;
        if self.spec.container.standin {
            self.orders = Some(Orders::to_socket(
                &self.spec.name,
                &self.directory.join("orders"),
            )?);
        }
        Ok(())
    }

    /// The line to its stand-in.
    pub fn orders(&mut self) -> Result<&mut Orders> {
        self.orders
            .as_mut()
            .with_context(|| format!("{} takes no orders", self.spec.name))
    }

    /// The directory of its container's cgroup in the unified hierarchy.
    pub fn cgroup_directory(&self) -> PathBuf {
        let root = cgroup_root().unwrap_or_default();
        root.join(self.cgroup.trim_start_matches('/'))
    }

    /// The process id of its container's first process, on the machine.
    pub fn pid(&self) -> Result<u32> {
        let procs = self.cgroup_directory().join("cgroup.procs");
        let procs = fs::read_to_string(&procs).with_context(|| format!("cannot read {}", procs.display()))?;
        let first = procs.lines().next();
        Ok(first
            .with_context(|| format!("{} has no process", self.spec.name))?
            .parse()?)
    }

    /// What its container has printed, as the runtime keeps it.
    pub fn log(&self) -> Result<String> {
        let file = format!("{}/{}.log", self.spec.container.name, self.attempt);
        let file = self.logs.join(file);
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Ends its container at once; its sandbox and so its address stay.
    pub fn stop(&mut self, containerd: &Containerd) -> Result<()> {
        self.orders = None;
        let id = self.container.clone();
        let cri = containerd.cri()?;
        let stop = StopContainerRequest {
            id: id.clone(),
            timeout_seconds: 0,
        };
        let _: Done = cri.call("RuntimeService/StopContainer", stop)?;
        let _: Done = cri.call("RuntimeService/RemoveContainer", Id { id })?;
        Ok(())
    }

    /// Makes a new container in the place of one that was stopped, as a kubelet does; [`Self::start`] starts it.
    pub fn renew(&mut self, containerd: &Containerd) -> Result<()> {
        self.attempt += 1;
        if self.spec.container.standin {
            fs::remove_file(self.directory.join("orders"))?;
        }
        self.create_container(containerd, &containerd.cri()?)
    }

    /// Ends it and has it forgotten: its address is free for the next.
    pub fn remove(mut self, containerd: &Containerd) -> Result<()> {
        self.stop(containerd)?;
        let cri = containerd.cri()?;
        let id = self.sandbox;
        let _: Done = cri.call("RuntimeService/StopPodSandbox", Id { id: id.clone() })?;
        let _: Done = cri.call("RuntimeService/RemovePodSandbox", Id { id })?;
        Ok(())
    }

    fn create_container(&mut self, containerd: &Containerd, cri: &Cri) -> Result<()> {
        let request = CreateContainerRequest {
            pod_sandbox_id: self.sandbox.clone(),
            config: Some(container_config(&self.spec, &self.directory, self.attempt)),
            sandbox_config: Some(self.config.clone()),
        };
        let container: Id = cri.call("RuntimeService/CreateContainer", request)?;
        self.container = container.id;
        self.cgroup = format!("{}/{}", parent(containerd, &self.spec)?, self.container);
        link_log(&containerd.host_root(), &self.spec, &self.container, self.attempt)
    }
}

/// The cgroup that a kubelet with the cgroupfs driver gives a pod that asks for less than it may use.
fn parent(containerd: &Containerd, spec: &PodSpec) -> Result<String> {
    Ok(format!(
        "/{}/kubepods/burstable/pod{}",
        containerd.name()?,
        spec.uid
    ))
}

/// Makes a pod whose container does not run yet.
pub(super) fn create(containerd: &Containerd, cri: &Cri, spec: PodSpec) -> Result<Pod> {
    let host = containerd.host_root();
    let logs = host.join(format!(
        "var/log/pods/{}_{}_{}",
        spec.namespace, spec.name, spec.uid
    ));
    fs::create_dir_all(logs.join(&spec.container.name))?;
    fs::create_dir_all(host.join("var/lib/kubelet/pods").join(&spec.uid))?;
    let config = sandbox_config(&spec, &logs, &parent(containerd, &spec)?);
    let request = RunPodSandboxRequest {
        config: Some(config.clone()),
    };
    let sandbox: Id = cri.call("RuntimeService/RunPodSandbox", request)?;
    let status: PodSandboxStatusResponse = cri.call("RuntimeService/PodSandboxStatus", sandbox.clone())?;
    let address = status.status.and_then(|status| status.network);
    let address = address.filter(|_| !spec.host_network);
    let address = address.map(|network| network.ip.parse()).transpose()?;

    let directory = containerd.directory().join(&format!("orders/{}", sandbox.id));
    fs::create_dir_all(&directory)?;
    let mut pod = Pod {
        spec,
        sandbox: sandbox.id,
        cgroup: String::new(),
        container: String::new(),
        address,
        config,
        logs,
        directory,
        attempt: 0,
        orders: None,
    };
    pod.create_container(containerd, cri)?;
    Ok(pod)
}

/// /var/log/containers, as a kubelet keeps it.
fn link_log(host: &Path, spec: &PodSpec, id: &str, attempt: u32) -> Result<()> {
    let directory = host.join("var/log/containers");
    fs::create_dir_all(&directory)?;
    let (pod, namespace, container) = (&spec.name, &spec.namespace, &spec.container.name);
    let log = format!(
        "/var/log/pods/{namespace}_{pod}_{}/{container}/{attempt}.log",
        spec.uid
    );
    symlink(
        log,
        directory.join(format!("{pod}_{namespace}_{container}-{id}.log")),
    )?;
    Ok(())
}
