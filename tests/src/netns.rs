//! Network namespaces for tests, made with system calls alone: they work where there is neither ip nor nsenter.
//!
//! A namespace is held by a file descriptor and has no name in the file system, so nothing is left behind even by
//! a test that is killed. To look inside one by hand: `nsenter --net=/proc/PID/fd/N`, as [`Netns::path`] gives it.

use crate::binaries;
use crate::rtnetlink::Rtnetlink;
use crate::standin::spawn;
use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::fstat;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where the calling thread's own namespace is, which need not be that of the process.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace with its loopback device up. It lives as long as this value or any process in it.
#[derive(Debug)]
pub struct Netns {
    handle: File,
    inode: String,
}

impl Netns {
    /// Makes a new one.
    pub fn new() -> Result<Self> {
        let handle = std::thread::spawn(|| -> Result<File> {
            // SAFETY: only the network namespace is unshared; file descriptors stay shared between all threads.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("cannot make a network namespace")?;
            Rtnetlink::open()?.link_up("lo")?;
            File::open(OWN).with_context(|| format!("cannot open {OWN}"))
        })
        .join()
        .map_err(|_panic| anyhow!("the thread that makes a network namespace panicked"))??;
        let inode = fstat(&handle)?.st_ino.to_string();
        Ok(Self { handle, inode })
    }

    /// The one that a process is in.
    pub fn of_process(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        let handle = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let inode = fstat(&handle)?.st_ino.to_string();
        Ok(Self { handle, inode })
    }

    /// A namespace with `address` on its loopback device, next to 127.0.0.1 and `::1`.
    pub fn with_address(address: IpAddr) -> Result<Self> {
        let netns = Self::new()?;
        netns.add_address("lo", address, if address.is_ipv4() { 32 } else { 128 })?;
        Ok(netns)
    }

    /// The namespace's inode number, as the tracer's records carry it.
    pub fn inode(&self) -> &str {
        &self.inode
    }

    /// A path through which another process can enter, as long as this process lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.handle.as_raw_fd()
        ))
    }

    /// Runs `work` with the calling thread in the namespace: the sockets it opens and the processes it starts stay there.
    pub fn inside<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let _home = Home(File::open(OWN).with_context(|| format!("cannot open {OWN}"))?);
        enter(&self.handle).context("cannot enter the network namespace")?;
        Ok(work())
    }

    /// Another handle of the same namespace.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self {
            handle: self.handle.try_clone().context("cannot hold a namespace twice")?,
            inode: self.inode.clone(),
        })
    }

    /// Adds an address to a device.
    pub fn add_address(&self, device: &str, address: IpAddr, prefix: u8) -> Result<()> {
        self.inside(|| Rtnetlink::open()?.add_address(device, address, prefix))?
    }

    /// Brings a device up.
    pub fn link_up(&self, device: &str) -> Result<()> {
        self.inside(|| Rtnetlink::open()?.link_up(device))?
    }

    /// Connects this namespace with `other` by a pair of virtual Ethernet devices and brings both up.
    pub fn connect(&self, device: &str, other: &Self, other_device: &str) -> Result<()> {
        self.inside(|| Rtnetlink::open()?.add_veth(device, other.handle.as_fd(), other_device))??;
        self.link_up(device)?;
        other.link_up(other_device)
    }

    /// Routes `destination` through `gateway`.
    pub fn route_via(&self, destination: IpAddr, prefix: u8, gateway: IpAddr) -> Result<()> {
        self.inside(|| Rtnetlink::open()?.route_via(destination, prefix, gateway))?
    }

    /// Answers whatever is forwarded to `destination` with ICMP "host unreachable".
    pub fn route_unreachable(&self, destination: IpAddr, prefix: u8) -> Result<()> {
        self.inside(|| Rtnetlink::open()?.route_unreachable(destination, prefix))?
    }

    /// Answers whatever is forwarded to `destination` with ICMP "administratively prohibited".
    pub fn route_prohibit(&self, destination: IpAddr, prefix: u8) -> Result<()> {
        self.inside(|| Rtnetlink::open()?.route_prohibit(destination, prefix))?
    }

    /// Sets a `net.` sysctl of this namespace, such as `ipv4/tcp_syn_retries`.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{name}");
        self.inside(|| fs::write(&path, value).with_context(|| format!("cannot write {value} to {path}")))?
    }

    /// Sets packet filter rules, as `iptables-restore` reads them.
    pub fn translate(&self, rules: &str) -> Result<()> {
        let program = binaries::find("iptables-restore").context("iptables-restore is not installed")?;
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut restore = spawn(&mut command, self)?;
        // Its input ends here, where the pipe is dropped.
        let written = restore
            .stdin
            .take()
            .context("no stdin")?
            .write_all(rules.as_bytes());
        let output = restore.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "iptables-restore failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(written?)
    }
}

/// Takes the thread back to where it was, also when the work panicked.
struct Home(File);

impl Drop for Home {
    fn drop(&mut self) {
        if enter(&self.0).is_err() {
            // Every later test on this thread would run in the wrong namespace and might still pass.
            std::process::abort();
        }
    }
}

fn enter(namespace: &File) -> rustix::io::Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
}
