//! The stand-in API server: objects of a real node, over plain HTTP, with faults on request.
//!
//! The faults are listed in bin/apiserver/faults.rs.

mod requests;
mod start;

pub use start::Start;

use crate::binaries::{self, Setting};
use crate::lines::Lines;
use crate::netns::Netns;
use crate::scratch::Scratch;
use crate::standin::spawn;
use crate::wait::patience;
use anyhow::{Context, Result};
use start::OBJECTS;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// A running stand-in API server. It ends when this value is dropped.
#[derive(Debug)]
pub struct ApiServer {
    netns: Option<Netns>,
    argv: Vec<String>,
    cgroup: Option<PathBuf>,
    /// Those of the start, one a line; where it listens is apart.
    options: String,
    /// Where it listens, the port being known.
    address: SocketAddr,
    child: Option<Child>,
    directory: Scratch,
}

impl ApiServer {
    /// Starts one, in the namespace where one is given, and waits until it listens.
    pub fn start(netns: Option<&Netns>, start: Start<'_>) -> Result<Self> {
        let directory = Scratch::new()?;
        let objects = directory.join("objects");
        fs::create_dir(&objects)?;
        for (name, list) in OBJECTS {
            fs::write(objects.join(name), list)?;
        }
        let name = start.argv.first().context("an API server needs a name")?;
        binaries::rename(&binaries::apiserver()?, &directory.join(name))?;
        let mut server = Self {
            netns: netns.map(Netns::try_clone).transpose()?,
            argv: start.argv.iter().map(|word| (*word).to_owned()).collect(),
            cgroup: start.cgroup.map(|cgroup| cgroup.path().to_owned()),
            options: start.options(&objects),
            address: start.listen,
            child: None,
            directory,
        };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it where it was before: on the same port, and with etcd with the same objects.
    pub fn start_again(&mut self) -> Result<()> {
        self.stop()?;
        let (name, arguments) = self.argv.split_first().context("an API server needs a name")?;
        let program = self.directory.join(name);
        let setting = Setting {
            cgroup: self.cgroup.as_deref(),
            ..Setting::default()
        };
        let log = self.directory.join("log");
        let options = format!(
            "--listen\n{}\n--kubeconfig-out\n{}\n{}",
            self.address,
            self.kubeconfig().display(),
            self.options
        );
        let mut command = binaries::launch(name, &program, setting)?;
        command
            .args(arguments)
            .env("KCN_APISERVER", options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        let mut child = match &self.netns {
            Some(netns) => spawn(&mut command, netns)?,
            None => command.spawn().context("cannot run the API server")?,
        };
        let answers = child.stdout.take();
        self.child = Some(child);
        let mut answers = Lines::new(answers.context("the API server has no stdout")?);
        let port = answers.next(patience()).with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("the API server does not start: {said}")
        })?;
        self.address.set_port(port.parse()?);
        Ok(())
    }

    /// Ends it, and returns once the kernel has closed its sockets.
    pub fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Its process id; 0 while it is stopped.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Where clients in its namespace reach it.
    pub fn address(&self) -> SocketAddr {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        address
    }

    /// A kubeconfig that leads to it.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // Where it cannot be killed it has ended already.
        drop(self.stop());
    }
}
