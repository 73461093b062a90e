//! The line to a process that does as it is told: one command a line, one answer a line.

use crate::lines::Lines;
use crate::wait::{patience, until, until_true};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;

/// A stand-in's end of the line is in bin/standin/control.rs, with a list of the commands.
#[derive(Debug)]
pub struct Orders {
    name: String,
    line: File,
    answers: Lines<File>,
}

impl Orders {
    /// To a child's standard input.
    pub fn to_child(name: &str, child: &mut Child) -> Result<Self> {
        let orders = child.stdin.take().context("the process has no stdin")?;
        let answers = child.stdout.take().context("the process has no stdout")?;
        Ok(Self::new(
            name,
            OwnedFd::from(orders).into(),
            OwnedFd::from(answers).into(),
        ))
    }

    /// To the Unix socket of a process in a container, which makes it as soon as it runs.
    pub fn to_socket(name: &str, path: &Path) -> Result<Self> {
        let what = format!("{name} listens to {}", path.display());
        let stream = until(&what, patience(), || Ok(UnixStream::connect(path).ok()))?;
        let answers = stream.try_clone()?;
        Ok(Self::new(
            name,
            OwnedFd::from(stream).into(),
            OwnedFd::from(answers).into(),
        ))
    }

    fn new(name: &str, line: File, answers: File) -> Self {
        Self {
            name: name.to_owned(),
            line,
            answers: Lines::new(answers),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it one command and returns what it answers.
    pub fn ask(&mut self, command: impl Display) -> Result<String> {
        self.tell(&command)?;
        self.answer()
            .with_context(|| format!("{} was told: {command}", self.name))
    }

    /// Gives it one command without waiting for the answer, which [`Self::answer`] gets.
    pub fn tell(&mut self, command: impl Display) -> Result<()> {
        writeln!(self.line, "{command}")
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

    /// One of the figures of `counts`: `dialed`, `accepted`, `held`, `received`, `churned`, `beats`, `missed`.
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
}

fn ports(answer: &str) -> Result<Vec<u16>> {
    answer.split_whitespace().map(|port| Ok(port.parse()?)).collect()
}
