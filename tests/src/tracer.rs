//! The tracer, run as its users run it: a process with arguments, two streams and an exit code.

use crate::binaries::{self, Setting};
use crate::scratch::Scratch;
use crate::wait::{patience, until_true};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// What the tracer says on stderr once it is attached and has merged the start-up scan.
const READY: &str = "tracing";

/// How a finished run ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
    /// The exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Finished {
    /// Stdout as one JSON document. Fails where the run did not end with 0.
    pub fn json(&self) -> Result<Value> {
        self.expect_code(0)?;
        serde_json::from_str(&self.stdout).with_context(|| format!("stdout is not JSON: {}", self.stdout))
    }

    /// Stdout as one JSON document a line.
    pub fn records(&self) -> Result<Vec<Value>> {
        self.stdout.lines().map(parse).collect()
    }

    /// Fails where the exit code is another, with what the run said, with the beginning of its output.
    pub fn expect_code(&self, code: i32) -> Result<()> {
        if self.code != Some(code) {
            bail!(
                "exit code {:?}, signal {:?}, not {code}: {}\n{}",
                self.code,
                self.signal,
                self.stderr,
                self.stdout.chars().take(SAID_MAX).collect::<String>()
            );
        }
        Ok(())
    }
}

/// Enough for the verdicts of a failed `verify`.
const SAID_MAX: usize = 4000;

/// A tracer that runs. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    arguments: Vec<String>,
    seen: Vec<Value>,
    read: u64,
    directory: Scratch,
}

impl Tracer {
    /// Starts it with `arguments`.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        Self::start_in(arguments, Setting::default())
    }

    /// Starts it with `arguments` in a setting.
    pub fn start_in(arguments: &[&str], setting: Setting<'_>) -> Result<Self> {
        let directory = Scratch::new()?;
        let mut program = binaries::tracer()?;
        if setting.uid.is_some() {
            // Another user may have no way to the place where it was built.
            let reachable = directory.join("kcn-trace");
            binaries::rename(&program, &reachable)?;
            program = reachable;
        }
        // Files instead of pipes: a test that does not read never holds the tracer up.
        let mut command = binaries::launch("kcn-trace", &program, setting)?;
        let arguments = with_probe(arguments);
        let child = command
            .args(&arguments)
            .stdin(Stdio::null())
            .stdout(File::create(directory.join("stdout"))?)
            .stderr(File::create(directory.join("stderr"))?)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self {
            child,
            arguments,
            seen: Vec::new(),
            read: 0,
            directory,
        })
    }

    /// Starts it and waits until it is attached and knows the sockets that were there before.
    pub fn start_ready(arguments: &[&str]) -> Result<Self> {
        let mut tracer = Self::start(arguments)?;
        tracer.wait_ready()?;
        Ok(tracer)
    }

    /// Waits until it is attached and knows the sockets that were there before. Fails where it ends instead.
    pub fn wait_ready(&mut self) -> Result<()> {
        let what = format!("{:?} is ready", self.arguments);
        until_true(&what, patience(), || {
            let said = self.stderr()?;
            let ready = said.lines().any(|line| line.contains(READY));
            if !ready && self.child.try_wait()?.is_some() {
                bail!("{:?} ended: {said}", self.arguments);
            }
            Ok(ready)
        })
    }

    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> Result<String> {
        self.file("stderr")
    }

    /// The records of stdout so far.
    pub fn records(&mut self) -> Result<&[Value]> {
        // Only what is new: a stream may have grown to tens of megabytes.
        let mut file = File::open(self.directory.join("stdout"))?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut fresh = Vec::new();
        file.read_to_end(&mut fresh)?;
        let complete = fresh
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        fresh.truncate(complete);
        for line in std::str::from_utf8(&fresh)?.lines() {
            self.seen.push(parse(line)?);
        }
        self.read += u64::try_from(complete)?;
        Ok(&self.seen)
    }

    /// Waits until the records of stdout are such that `enough` holds, and gives them.
    pub fn wait_records(&mut self, what: &str, enough: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        until_true(what, patience(), || {
            let ended = self.child.try_wait()?.is_some();
            let found = enough(self.records()?);
            if ended && !found {
                bail!("{:?} ended: {}", self.arguments, self.stderr()?);
            }
            Ok(found)
        })?;
        Ok(self.seen.clone())
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(self) -> Result<Finished> {
        self.signal(Signal::INT)?;
        self.finish(patience())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("cannot signal {:?}", self.arguments))
    }

    /// Waits until it ends by itself.
    pub fn finish(mut self, patience: Duration) -> Result<Finished> {
        let what = format!("{:?} ends", self.arguments);
        let mut status: Option<ExitStatus> = None;
        until_true(&what, patience, || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })?;
        let status = status.context("it has ended")?;
        Ok(Finished {
            stdout: self.file("stdout")?,
            stderr: self.file("stderr")?,
            code: status.code(),
            signal: status.signal(),
        })
    }

    fn file(&self, name: &str) -> Result<String> {
        let path: PathBuf = self.directory.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        String::from_utf8(bytes).with_context(|| format!("{name} of {:?} is not UTF-8", self.arguments))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Where it cannot be killed it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs it to its end, at the latest [`patience`] after the duration that its arguments ask for.
pub fn run(arguments: &[&str]) -> Result<Finished> {
    run_in(arguments, Setting::default())
}

/// Runs it to its end in a setting.
pub fn run_in(arguments: &[&str], setting: Setting<'_>) -> Result<Finished> {
    Tracer::start_in(arguments, setting)?.finish(patience())
}

/// The command for a run with streams of the caller's own.
pub fn command(arguments: &[&str]) -> Result<Command> {
    let mut command = binaries::launch("kcn-trace", &binaries::tracer()?, Setting::default())?;
    command.args(with_probe(arguments));
    Ok(command)
}

/// `KCN_TRACE_PROBE` forces a backend on all runs that do not choose one: how a virtual machine repeats tests with
/// each of them.
fn with_probe(arguments: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let live = !arguments.contains(&"replay") && !arguments.contains(&"--probe");
    if let (true, Ok(probe)) = (live, std::env::var("KCN_TRACE_PROBE")) {
        all.extend(["--probe".to_owned(), probe]);
    }
    all
}

fn parse(line: &str) -> Result<Value> {
    serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))
}
