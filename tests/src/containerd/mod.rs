//! A real containerd of the test's own, with real pods on a bridge: its root, state, socket, cgroups, mounts and network
//! are a lab's own, so that labs run beside each other and beside the machine's containerd.
//!
//! The node is a network namespace: bridge and rules are in there. All processes are in the cgroup `/kcn-<pid>-<n>`, pods below
//! its `kubepods`, and end with the test: see guard.rs.

mod config;
pub mod cri;
mod guard;
mod image;
mod kubelet;
mod pod;
mod subnet;

pub(crate) use config::missing_plugin;
pub use pod::{ContainerSpec, Pod, PodSpec};

use crate::binaries;
use crate::netns::Netns;
use crate::scratch::{Cgroup, Scratch};
use crate::wait::{patience, until, until_true};
use anyhow::{Context, Result, anyhow};
use cri::{Cri, ImageSpec, ImageStatus};
use guard::Guard;
use image::output;
use rustix::process::Pid;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use subnet::Subnet;

/// What containers and sandboxes are made of.
const IMAGE: &str = "registry.k8s.io/node:1";
const PAUSE: &str = "registry.k8s.io/pause:3.10";
/// A running containerd. It and all its pods end when this value is dropped.
#[derive(Debug)]
pub struct Containerd {
    guard: Guard,
    process: Option<Pid>,
    unit: Cgroup,
    subnet: Subnet,
}

impl Containerd {
    /// Starts one whose node is `netns`, with the images it needs.
    pub fn start(netns: &Netns) -> Result<Self> {
        let guard = Guard::start(netns)?;
        let mut containerd = Self {
            unit: guard.cgroup("system.slice/containerd.service")?,
            guard,
            process: None,
            subnet: Subnet::take()?,
        };
        containerd.configure()?;
        containerd.resume()?;
        containerd.import()?;
        Ok(containerd)
    }

    /// Ends containerd alone, as an upgrade does: its pods go on under their shims.
    pub fn stop(&mut self) -> Result<()> {
        let process = self.process.take().context("containerd does not run")?;
        guard::terminate(process)?;
        until_true("containerd ends", patience(), || Ok(!guard::runs(process)))
    }

    /// Starts containerd again after [`Self::stop`], and returns once it answers.
    pub fn resume(&mut self) -> Result<()> {
        let program = binaries::find("containerd").context("containerd is not installed")?;
        let config = self.file("config.toml").display().to_string();
        let argv = ["containerd", "--config", &config];
        let process = self
            .guard
            .spawn(&self.unit, &self.file("containerd.log"), &argv, &program)?;
        self.process = Some(process);
        let answers = until("containerd answers", patience(), || {
            if !guard::runs(process) {
                return Ok(Some(Err(anyhow!("containerd has ended"))));
            }
            let status = self
                .cri()
                .and_then(|cri| cri.call::<_, cri::Done>("RuntimeService/Version", cri::Done {}));
            Ok(status.ok().map(|_| Ok(())))
        });
        answers.flatten().with_context(|| self.said())
    }

    /// Makes a pod: it has its address and its ids, and its container does not run yet.
    pub fn create(&self, spec: PodSpec) -> Result<Pod> {
        let name = spec.name.clone();
        pod::create(self, &self.cri()?, spec)
            .with_context(|| format!("cannot make the pod {name}; {}", self.said()))
    }

    /// Makes pods, as many at a time as that makes faster, in the order of their specifications.
    pub fn create_all(&self, specs: Vec<PodSpec>) -> Result<Vec<Pod>> {
        thread::scope(|scope| {
            let each = specs.into_iter().map(|spec| scope.spawn(|| self.create(spec)));
            let each: Vec<_> = each.collect();
            each.into_iter()
                .map(|pod| {
                    pod.join()
                        .map_err(|_panic| anyhow!("the thread that makes a pod panicked"))?
                })
                .collect()
        })
    }

    /// Runs a pod.
    pub fn run(&self, spec: PodSpec) -> Result<Pod> {
        let mut pod = self.create(spec)?;
        pod.start(self)?;
        Ok(pod)
    }

    /// A connection to its socket.
    pub fn cri(&self) -> Result<Cri> {
        Cri::connect(&self.socket())
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.host_root().join("run/containerd/containerd.sock")
    }

    /// The directory that is to the node what / is to a real one: /var/log/pods and others are below it.
    pub fn host_root(&self) -> PathBuf {
        self.guard.directory().join("host")
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
    }

    /// The pods' network: the third number of 10.244.N.0/24.
    pub fn subnet(&self) -> u8 {
        self.subnet.number()
    }

    /// A cgroup of the node beside the pods'.
    pub fn cgroup(&self, below: &str) -> Result<Cgroup> {
        self.guard.cgroup(below)
    }

    /// A directory that goes away with the lab.
    pub fn directory(&self) -> &Scratch {
        self.guard.directory()
    }

    /// The name of the lab's cgroup.
    pub fn name(&self) -> Result<&str> {
        self.guard.directory().name()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.guard.directory().join(&format!("containerd/{name}"))
    }

    fn import(&self) -> Result<()> {
        let directory = Scratch::new()?;
        let archive = image::archive(&directory, &[IMAGE, PAUSE])?;
        let ctr = binaries::find("ctr").context("ctr is not installed")?;
        let mut import = Command::new(ctr);
        import
            .arg("--address")
            .arg(self.socket())
            .args(["--namespace", "k8s.io", "images", "import"])
            .args(["--snapshotter", "native"])
            .arg(&archive);
        output(&mut import)?;
        let cri = self.cri()?;
        for image in [IMAGE, PAUSE] {
            // containerd hears of the import from itself, a moment later.
            until_true("containerd knows its images", patience(), || {
                let question = ImageStatus {
                    image: Some(ImageSpec {
                        image: image.to_owned(),
                    }),
                };
                let answer: ImageStatus = cri.call("ImageService/ImageStatus", question)?;
                Ok(answer.image.is_some())
            })?;
        }
        Ok(())
    }

    /// The end of its log, for the message of what failed.
    fn said(&self) -> String {
        let log = fs::read_to_string(self.file("containerd.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(8).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("containerd said at last:\n{}", lines.join("\n"))
    }
}
