//! Programs that sources of names run: bounded in output and in time, and ended with the run.
#![forbid(unsafe_code)]

use std::{
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};

use crate::clock;

/// Between two looks at whether a program has ended, or must.
const STEP: Duration = Duration::from_millis(20);
/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes on its standard output.
    pub(super) output: usize,
    /// From start to end.
    pub(super) time: Duration,
}

/// Why a program gave nothing. Nothing of what it printed is told: it may be secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be started: {0}")]
    Start(#[source] io::Error),
    #[error("it printed more than {} KiB and was ended", .0 >> 10)]
    TooMuch(usize),
    #[error("it did not end within {} s and was ended", .0.as_secs())]
    TooLong(Duration),
    #[error("it ended with {0}")]
    Failed(ExitStatus),
    #[error("it cannot be waited for: {0}")]
    Lost(#[source] io::Error),
    #[error("the run is over")]
    Over,
}

/// The process groups of programs that run, one for each.
#[derive(Clone, Debug, Default)]
pub struct Children(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// None is reaped while it is in here, so that no number is another program's.
    groups: Vec<Pid>,
    over: bool,
}

impl Children {
    /// Ends all that run, and lets none begin.
    pub fn end(&self) {
        let mut state = self.lock();
        state.over = true;
        for group in &state.groups {
            kill(*group);
        }
    }

    /// Runs a program in a process group of its own, without input and without standard error, to its end or to one of
    /// its limits; what it printed. Waits: not for a thread that has other things to do.
    pub(super) fn run(&self, command: &mut Command, limits: Limits) -> Result<Vec<u8>, Failure> {
        let until_ns =
            clock::boot_ns().saturating_add(u64::try_from(limits.time.as_nanos()).unwrap_or(u64::MAX));
        if self.is_over() {
            return Err(Failure::Over);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut child = command.spawn().map_err(Failure::Start)?;
        let group = Pid::from_child(&child);
        let stdout = child.stdout.take();
        self.lock().groups.push(group);
        let printed = self.output(stdout, limits, until_ns);
        let ended = printed.and_then(|printed| Ok((printed, self.ended(&mut child, limits, until_ns)?)));
        if ended.is_err() {
            kill(group);
        }
        self.forget(&mut child, group);
        let (printed, status) = ended?;
        if status.success() {
            Ok(printed)
        } else {
            Err(Failure::Failed(status))
        }
    }

    /// Everything that it prints.
    fn output(&self, stdout: Option<ChildStdout>, limits: Limits, until_ns: u64) -> Result<Vec<u8>, Failure> {
        let mut printed = Vec::new();
        let Some(mut stdout) = stdout else {
            return Ok(printed);
        };
        let mut chunk = vec![0; CHUNK];
        loop {
            self.check(limits, until_ns)?;
            let step = Timespec::try_from(STEP).unwrap_or_default();
            match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&step)) {
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(Failure::Lost(error.into())),
            }
            match stdout.read(&mut chunk) {
                Ok(0) => return Ok(printed),
                Ok(count) if printed.len() + count > limits.output => {
                    return Err(Failure::TooMuch(limits.output));
                }
                Ok(count) => printed.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Lost(error)),
            }
        }
    }

    /// Its exit status, once it has one. It is reaped.
    fn ended(&self, child: &mut Child, limits: Limits, until_ns: u64) -> Result<ExitStatus, Failure> {
        loop {
            let mut state = self.lock();
            if let Some(status) = child.try_wait().map_err(Failure::Lost)? {
                let group = Pid::from_child(child);
                state.groups.retain(|one| *one != group);
                return Ok(status);
            }
            drop(state);
            self.check(limits, until_ns)?;
            thread::park_timeout(STEP);
        }
    }

    fn check(&self, limits: Limits, until_ns: u64) -> Result<(), Failure> {
        if self.is_over() {
            return Err(Failure::Over);
        }
        if clock::boot_ns() >= until_ns {
            return Err(Failure::TooLong(limits.time));
        }
        Ok(())
    }

    /// Reaps what was killed, if it was not reaped before.
    fn forget(&self, child: &mut Child, group: Pid) {
        let mut state = self.lock();
        if state.groups.contains(&group) {
            state.groups.retain(|one| *one != group);
            drop(state);
            // A process that is killed ends, unless the kernel keeps it: then this thread waits with it, and nobody else.
            let _status = child.wait();
        }
    }

    fn is_over(&self) -> bool {
        self.lock().over
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kill(group: Pid) {
    // It may have ended by itself.
    let _gone = kill_process_group(group, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use rustix::process::test_kill_process;

    use super::*;

    const QUICK: Limits = Limits {
        output: 64 << 10,
        time: Duration::from_secs(1),
    };

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// A file for a script to leave a process id in.
    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("kcn-children-{name}-{}", std::process::id()))
    }

    /// Waits until the process whose id a script left in `file` is no more.
    fn is_gone(file: &PathBuf) -> bool {
        let began_ns = clock::boot_ns();
        let text = fs::read_to_string(file).unwrap();
        let pid = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        while clock::boot_ns() - began_ns < 10_000_000_000 {
            // An orphan that nobody reaps yet is dead too.
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            if test_kill_process(pid).is_err() || stat.contains(") Z ") {
                return true;
            }
            thread::park_timeout(STEP);
        }
        false
    }

    #[test]
    fn a_program_is_bounded_in_output_and_in_time_and_tells_nothing_it_printed() {
        let cases = [
            ("it prints", "printf token", Ok("token")),
            (
                "it prints and fails",
                "printf geheim; printf geheim >&2; exit 3",
                Err("it ended with exit status: 3"),
            ),
            (
                "it prints without end",
                "exec yes geheim",
                Err("it printed more than 64 KiB and was ended"),
            ),
            (
                "it hangs",
                "exec sleep 1000",
                Err("it did not end within 1 s and was ended"),
            ),
            (
                "it closes its output and hangs",
                "exec >&-; exec sleep 1000",
                Err("it did not end within 1 s and was ended"),
            ),
            (
                "its child holds its output",
                "sleep 1000 & exit 0",
                Err("it did not end within 1 s and was ended"),
            ),
            ("it reads its input, which is empty", "cat; printf got", Ok("got")),
        ];
        for (case, script, want) in cases {
            let got = Children::default().run(&mut shell(&format!("{script} || exit 1")), QUICK);
            let got = got.map(|bytes| String::from_utf8(bytes).unwrap());
            let got = got.as_deref().map_err(ToString::to_string);
            assert_eq!(got, want.map_err(str::to_owned), "case: {case}");
        }
        let mut none = Command::new("/nonexistent/plugin");
        let failure = Children::default().run(&mut none, QUICK).unwrap_err();
        assert!(failure.to_string().contains("No such file"), "{failure}");
    }

    #[test]
    fn whatever_a_program_started_ends_with_it() {
        let file = scratch("grandchild");
        let script = format!("sleep 1000 & echo $! >{}; wait", file.display());
        let failure = Children::default().run(&mut shell(&script), QUICK).unwrap_err();
        assert!(matches!(failure, Failure::TooLong(_)), "{failure}");
        assert!(is_gone(&file));
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn what_runs_ends_with_the_run_and_nothing_begins_after_it() {
        let file = scratch("run");
        let (children, script) = (
            Children::default(),
            format!(
                "echo $$ >{0}.new; mv {0}.new {0}; exec sleep 1000",
                file.display()
            ),
        );
        let patient = Limits {
            time: Duration::from_secs(1000),
            ..QUICK
        };
        let theirs = children.clone();
        let runner = thread::spawn(move || theirs.run(&mut shell(&script), patient));
        while !file.exists() {
            thread::park_timeout(STEP);
        }
        children.end();
        assert!(matches!(
            runner.join().unwrap(),
            Err(Failure::Over | Failure::Failed(_))
        ));
        assert!(is_gone(&file));
        assert!(matches!(
            children.run(&mut shell("exit 0"), QUICK),
            Err(Failure::Over)
        ));
        fs::remove_file(&file).unwrap();
    }
}
