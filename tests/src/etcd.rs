//! A real etcd in a network namespace, with its own data directory.

use crate::binaries::{self, Setting};
use crate::netns::Netns;
use crate::scratch::{Cgroup, Scratch};
use crate::standin::spawn;
use crate::wait::{patience, until_true};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

/// Where an etcd listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses<'a> {
    /// For clients. The first is the advertised one.
    pub client: &'a [SocketAddr],
    /// For other members.
    pub peer: SocketAddr,
    /// For metrics and health probes.
    pub metrics: SocketAddr,
}

/// A running etcd. It ends when this value is dropped.
#[derive(Debug)]
pub struct Etcd {
    child: Child,
    endpoint: SocketAddr,
    _directory: Scratch,
}

impl Etcd {
    /// Starts one and waits until it serves every client address. Nothing connects to it for that.
    pub fn start(netns: &Netns, addresses: Addresses<'_>, cgroup: Option<&Cgroup>) -> Result<Self> {
        let program = binaries::find("etcd").context("etcd is not installed")?;
        let advertised = addresses.client.first().context("etcd needs a client address")?;
        let clients: Vec<_> = addresses.client.iter().map(url).collect();
        let peer = url(&addresses.peer);
        let directory = Scratch::new()?;
        let log = directory.join("log");
        let setting = Setting {
            cgroup: cgroup.map(Cgroup::path),
            ..Setting::default()
        };
        let mut command = binaries::launch("etcd", &program, setting)?;
        command
            .arg("--name=controlplane")
            .arg(format!("--data-dir={}", directory.join("data").display()))
            .arg(format!("--listen-client-urls={}", clients.join(",")))
            .arg(format!("--advertise-client-urls={}", url(advertised)))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=controlplane={peer}"))
            .arg(format!("--listen-metrics-urls={}", url(&addresses.metrics)))
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let mut etcd = Self {
            child: spawn(&mut command, netns)?,
            endpoint: *advertised,
            _directory: directory,
        };
        until_true("etcd serves its clients", patience(), || {
            let said = fs::read_to_string(&log)?;
            if let Some(status) = etcd.child.try_wait()? {
                bail!("etcd ended with {status}: {said}");
            }
            Ok(said.matches("client requests on").count() >= clients.len())
        })?;
        Ok(etcd)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs etcdctl on it and gives what that prints.
    pub fn ctl(&self, netns: &Netns, arguments: &[&str]) -> Result<String> {
        let program = binaries::find("etcdctl").context("etcdctl is not installed")?;
        let mut command = binaries::launch("etcdctl", &program, Setting::default())?;
        command
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", url(&self.endpoint)))
            .args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = spawn(&mut command, netns)?.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "etcdctl {arguments:?} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        // Where it cannot be killed it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn url(address: &SocketAddr) -> String {
    format!("http://{address}")
}
