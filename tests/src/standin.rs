//! Processes that play a component: started under its name, told what to listen on and dial.
//!
//! The commands are listed in bin/standin/control.rs.

use crate::binaries::{self, Setting};
use crate::lines::Lines;
use crate::netns::Netns;
use crate::scratch::{Cgroup, Scratch};
use crate::wait::{patience, until_true};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A running stand-in. It ends when this value is dropped.
#[derive(Debug)]
pub struct Standin {
    name: String,
    child: Child,
    orders: ChildStdin,
    answers: Lines<ChildStdout>,
    program: Program,
}

impl Standin {
    /// Starts one called `name`, without arguments.
    pub fn start(netns: &Netns, name: &str) -> Result<Self> {
        Self::start_as(netns, &[name], None)
    }

    /// Starts one with a whole command line, its name first, in a cgroup where one is given.
    pub fn start_as(netns: &Netns, argv: &[&str], cgroup: Option<&Cgroup>) -> Result<Self> {
        let (name, arguments) = argv.split_first().context("a stand-in needs a name")?;
        let program = Program::new(name)?;
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
        let orders = child.stdin.take().context("the stand-in has no stdin")?;
        let answers = Lines::new(child.stdout.take().context("the stand-in has no stdout")?);
        let mut standin = Self {
            name: (*name).to_owned(),
            child,
            orders,
            answers,
            program,
        };
        // The first answer proves that it is itself by now, and no longer a fork of this process or the launcher.
        standin.ask("counts")?;
        Ok(standin)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file it runs from.
    pub fn executable(&self) -> &Path {
        self.program.path()
    }

    /// Gives it one command and returns what it answers.
    pub fn ask(&mut self, command: impl Display) -> Result<String> {
        self.tell(&command)?;
        self.answer()
            .with_context(|| format!("{} was told: {command}", self.name))
    }

    /// Gives it one command without waiting for the answer, which [`Self::answer`] gets.
    pub fn tell(&mut self, command: impl Display) -> Result<()> {
        writeln!(self.orders, "{command}")
            .with_context(|| format!("{} does not listen to: {command}", self.name))
    }

    /// Waits for the answer to the oldest command that has none.
    pub fn answer(&mut self) -> Result<String> {
        let line = self.answers.next(patience())?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ok", answer) => Ok(answer.to_owned()),
            (_, reason) => bail!("{reason}"),
        }
    }

    /// Listens on `address`, accepting and holding; gives the port.
    pub fn listen(&mut self, address: &str) -> Result<u16> {
        Ok(self.ask(format_args!("listen {address}"))?.parse()?)
    }

    /// Opens and holds connections; gives their local ports.
    pub fn dial(&mut self, address: &str, count: usize) -> Result<Vec<u16>> {
        ports(&self.ask(format_args!("dial {address} {count}"))?)
    }

    /// Opens and closes connections one after another; gives their local ports.
    pub fn dial_close(&mut self, address: &str, count: usize) -> Result<Vec<u16>> {
        ports(&self.ask(format_args!("dial-close {address} {count}"))?)
    }

    /// One of the figures of `counts`: `dialed`, `accepted`, `held`, `received`, `churned`.
    pub fn count(&mut self, figure: &str) -> Result<u64> {
        let answer = self.ask("counts")?;
        let counts: BTreeMap<_, _> = answer
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .collect();
        let count = counts
            .get(figure)
            .ok_or_else(|| anyhow!("{figure} is not among {answer}"))?;
        Ok(count.parse()?)
    }

    /// Waits until a figure of `counts` has reached `value`.
    pub fn wait_count(&mut self, figure: &str, value: u64) -> Result<()> {
        let what = format!("{} has {figure}={value}", self.name);
        until_true(&what, patience(), || Ok(self.count(figure)? >= value))
    }

    /// Waits until a figure of `counts` is down to `value`.
    pub fn wait_count_down(&mut self, figure: &str, value: u64) -> Result<()> {
        let what = format!("{} is down to {figure}={value}", self.name);
        until_true(&what, patience(), || Ok(self.count(figure)? <= value))
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

fn ports(answer: &str) -> Result<Vec<u16>> {
    answer.split_whitespace().map(|port| Ok(port.parse()?)).collect()
}
