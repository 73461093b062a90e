//! A lab's process guard, which outlives the test for as long as it takes to clean up: see bin/standin/guard.rs.

use crate::binaries;
use crate::netns::Netns;
use crate::orders::Orders;
use crate::scratch::{Cgroup, Scratch, end_cgroups};
use crate::standin::spawn;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where container runtimes leave files whatever their configuration says: /run/containerd (shims' sockets), /run/netns,
/// /var/lib/cni (results of plugins).
const PRIVATE: [&str; 2] = ["/run", "/var/lib"];

/// A running guard. All that it guards ends when this value is dropped.
#[derive(Debug)]
pub(super) struct Guard {
    // None while it is told to end.
    orders: Option<Orders>,
    child: Child,
    directory: Scratch,
}

impl Guard {
    /// Starts one in a network namespace; what it starts is there too.
    pub(super) fn start(netns: &Netns) -> Result<Self> {
        let directory = Scratch::new()?;
        let mut command = Command::new(binaries::standin()?);
        command
            .arg("guard")
            .arg(directory.name()?)
            .arg(directory.path())
            .args(PRIVATE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(&mut command, netns)?;
        let mut orders = Orders::to_child("guard", &mut child)?;
        orders
            .answer()
            .context("the guard of the lab could not begin; see its message above")?;
        Ok(Self {
            orders: Some(orders),
            child,
            directory,
        })
    }

    /// The lab's directory.
    pub(super) fn directory(&self) -> &Scratch {
        &self.directory
    }

    /// A cgroup of the lab.
    pub(super) fn cgroup(&self, below: &str) -> Result<Cgroup> {
        Cgroup::within(self.directory.name()?, below)
    }

    /// Starts a program in a cgroup of the lab, its output in `log`; gives its process id.
    pub(super) fn spawn(
        &mut self,
        cgroup: &Cgroup,
        log: &Path,
        argv: &[&str],
        program: &Path,
    ) -> Result<Pid> {
        let (name, arguments) = argv.split_first().context("a program needs a name")?;
        let (cgroup, log, program) = (cgroup.path().display(), log.display(), program.display());
        let mut order = format!("start\t{cgroup}\t{log}\t{name}\t{program}");
        for argument in arguments {
            order.push('\t');
            order.push_str(argument);
        }
        let orders = self.orders.as_mut().context("the guard has ended")?;
        let pid: i32 = orders.ask(order)?.parse()?;
        Pid::from_raw(pid).context("the guard gave no process id")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The end of its input is the guard's order to clean up, which it does within its own patience.
        drop(self.orders.take());
        let cleaned = self.child.wait().is_ok_and(|status| status.success());
        if !cleaned && let Ok(name) = self.directory.name() {
            // The next run's sweep is left to do what fails here too.
            drop(end_cgroups(name));
        }
    }
}

/// Whether a process is there; one that has ended and is not waited for is not.
pub(super) fn runs(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid).is_ok()
}

/// Asks a process to end.
pub(super) fn terminate(pid: Pid) -> Result<()> {
    kill_process(pid, Signal::TERM).context("cannot end a process of the lab")
}
