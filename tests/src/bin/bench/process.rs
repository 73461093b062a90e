//! A contestant's process: started, known to be attached, measured, ended.

use crate::contest::Kind;
use anyhow::{Context, Result, bail};
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Stdio};
use tests::binaries::{self, Setting};
use tests::bpf;
use tests::scratch::Scratch;
use tests::tracer;
use tests::wait::{patience, until_true};

/// A contestant that runs, or none for the untraced machine.
pub(crate) struct Running {
    child: Option<Child>,
    interrupt: bool,
    directory: Scratch,
}

/// What a contestant's process came to.
pub(crate) struct Finished {
    /// User and system time of its whole life, microseconds.
    pub(crate) cpu_us: u64,
    /// What it printed.
    pub(crate) stdout: String,
}

impl Running {
    /// Starts it and waits until it is attached. Nothing where it is not installed.
    pub(crate) fn start(kind: Kind, seconds: u64) -> Result<Option<Self>> {
        let directory = Scratch::new()?;
        let seconds = seconds.to_string();
        let (mut command, interrupt) = match kind {
            Kind::Untraced => {
                return Ok(Some(Self {
                    child: None,
                    interrupt: false,
                    directory,
                }));
            }
            Kind::Graph => (
                tracer::command(&["graph", "--duration", &seconds, "-o", "json"])?,
                false,
            ),
            Kind::Events => (tracer::command(&["events", "-o", "json"])?, true),
            Kind::Tcplife => {
                let Some(program) = binaries::find("tcplife") else {
                    return Ok(None);
                };
                // It finds its tracepoint there, and not every machine has it mounted.
                let mount = Some(("tracefs", Path::new("/sys/kernel/tracing")));
                (
                    binaries::launch(
                        "tcplife",
                        &program,
                        Setting {
                            mount,
                            ..Setting::default()
                        },
                    )?,
                    true,
                )
            }
        };
        let file = |name: &str| File::create(directory.join(name));
        let stdout = if kind == Kind::Graph {
            file("stdout")?.into()
        } else {
            Stdio::null()
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(file("stderr")?)
            .spawn()?;
        let mut running = Self {
            child: Some(child),
            interrupt,
            directory,
        };
        until_true("the contestant is attached", patience(), || {
            running.is_attached(kind)
        })?;
        Ok(Some(running))
    }

    fn is_attached(&mut self, kind: Kind) -> Result<bool> {
        let said = fs::read_to_string(self.directory.join("stderr"))?;
        let Some(child) = &mut self.child else {
            return Ok(true);
        };
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}: {said}");
        }
        if kind == Kind::Tcplife {
            return Ok(bpf::held(child.id())?.iter().any(|(kind, _)| *kind == "link"));
        }
        Ok(said.contains("tracing"))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Its resident memory.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// Waits until it has ended, after an interrupt where it does not end by itself.
    pub(crate) fn finish(mut self) -> Result<Finished> {
        let mut child = self.child.take().context("nothing runs")?;
        let pid = Pid::from_child(&child);
        if self.interrupt {
            kill_process(pid, Signal::INT)?;
        }
        // Without reaping it: a process that nobody has waited for still shows its times.
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
        child.wait()?;
        let path = self.directory.join("stdout");
        let stdout = if path.exists() {
            fs::read_to_string(path)?
        } else {
            String::new()
        };
        Ok(Finished {
            cpu_us: cpu_us(&stat).context("/proc/PID/stat has another form")?,
            stdout,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Where it cannot be killed it has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Fields 14 and 15 of proc(5)'s stat, counted after the name, which may hold anything.
fn cpu_us(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * 1_000_000 / clock_ticks_per_second())
}
