//! Processes that play a component: started under its name, told what to listen on and dial.
//!
//! The commands are listed in bin/standin/control.rs.

use crate::binaries::{self, Setting};
use crate::netns::Netns;
use crate::orders::Orders;
use crate::scratch::{Cgroup, Scratch};
use anyhow::{Context, Result, bail};
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

/// A running stand-in. It ends when this value is dropped.
#[derive(Debug)]
pub struct Standin {
    child: Child,
    orders: Orders,
    program: Rc<Program>,
}

impl Standin {
    /// Starts one called `name`, without arguments.
    pub fn start(netns: &Netns, name: &str) -> Result<Self> {
        Self::start_as(netns, &[name], None)
    }

    /// Starts one with a whole command line, its name first, in a cgroup where one is given.
    pub fn start_as(netns: &Netns, argv: &[&str], cgroup: Option<&Cgroup>) -> Result<Self> {
        let name = argv.first().context("a stand-in needs a name")?;
        Self::of(Rc::new(Program::new(name)?), netns, argv, cgroup)
    }

    /// Starts the same program file once more.
    pub fn again(&self, netns: &Netns) -> Result<Self> {
        Self::of(Rc::clone(&self.program), netns, &[&self.program.name], None)
    }

    fn of(program: Rc<Program>, netns: &Netns, argv: &[&str], cgroup: Option<&Cgroup>) -> Result<Self> {
        let (name, arguments) = argv.split_first().context("a stand-in needs a name")?;
        let mut command = if let Some(cgroup) = cgroup {
            let setting = Setting {
                cgroup: Some(cgroup.path()),
                ..Setting::default()
            };
            binaries::launch(name, program.path(), setting)?
        } else {
            program.command()
        };
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child =
            spawn(&mut command, netns).with_context(|| format!("cannot start a stand-in {name}"))?;
        let orders = Orders::to_child(name, &mut child)?;
        let mut standin = Self {
            child,
            orders,
            program,
        };
        // The first answer proves that it is itself by now, and no longer a fork of this process or the launcher.
        standin.ask("counts")?;
        Ok(standin)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file it runs from.
    pub fn executable(&self) -> &Path {
        self.program.path()
    }

    /// Ends it, and returns once the kernel has closed its sockets.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        // Where it cannot be killed it has ended already.
        drop(self.end());
    }
}

impl Deref for Standin {
    type Target = Orders;

    fn deref(&self) -> &Orders {
        &self.orders
    }
}

impl DerefMut for Standin {
    fn deref_mut(&mut self) -> &mut Orders {
        &mut self.orders
    }
}

/// The stand-in's program under another name, for processes that run one script and end.
#[derive(Debug)]
pub struct Program {
    name: String,
    path: PathBuf,
    _directory: Scratch,
}

impl Program {
    /// Gives the stand-in's program the name `name`.
    pub fn new(name: &str) -> Result<Self> {
        let directory = Scratch::new()?;
        let path = directory.join(name);
        binaries::rename(&binaries::standin()?, &path)?;
        Ok(Self {
            name: name.to_owned(),
            path,
            _directory: directory,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `script` (commands between semicolons) in its own process; gives that process's id once it has ended.
    pub fn run(&self, netns: &Netns, script: &str) -> Result<u32> {
        let mut command = self.command();
        command.env("KCN_STANDIN_SCRIPT", script).stdin(Stdio::null());
        let mut child = spawn(&mut command, netns)?;
        let status = child.wait()?;
        if !status.success() {
            bail!("{} failed on: {script}", self.name);
        }
        Ok(child.id())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).env_remove("KCN_STANDIN_SCRIPT");
        command
    }
}

/// Starts a process in a namespace. A program that is still open for writing somewhere is tried again: see
/// [`binaries::rename`].
pub fn spawn(command: &mut Command, netns: &Netns) -> Result<Child> {
    let patience = Duration::from_secs(2);
    crate::wait::until("the program can be executed", patience, || {
        match netns.inside(|| command.spawn())? {
            Ok(child) => Ok(Some(child)),
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => Ok(None),
            Err(error) => Err(error).context(format!("cannot run {}", command.get_program().display())),
        }
    })
}
