//! What becomes of a run when nobody reads its output: a signal ends it, and a verdict stays what it is.

#![cfg(test)]

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, pipe};
use std::process::{Child, ExitStatus, Stdio};
use tests::json::{kind, list, text};
use tests::needs;
use tests::pair::Pair;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::tracer;
use tests::wait::{boot_ns, patience, seconds, until, until_true};

/// A tracer with streams of the test's own. It is killed when this value is dropped.
struct Run(Child);

impl Run {
    fn start(arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        let mut command = tracer::command(arguments).unwrap();
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        Self(command.spawn().unwrap())
    }

    /// Waits until a thread of it hangs in a write to a pipe.
    fn hangs(&mut self) {
        let tasks = format!("/proc/{}/task", self.0.id());
        until_true("a write hangs", patience(), || {
            if let Some(status) = self.0.try_wait()? {
                anyhow::bail!("it ended: {status}");
            }
            Ok(fs::read_dir(&tasks)?.flatten().any(|task| {
                let place = fs::read_to_string(task.path().join("wchan"));
                place.is_ok_and(|place| place.contains("pipe"))
            }))
        })
        .unwrap();
    }

    fn ends(&mut self) -> ExitStatus {
        until("it ends", patience(), || Ok(self.0.try_wait()?)).unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Where it cannot be killed it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A pipe that nobody reads and that has no room left.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    loop {
        match rustix::io::write(&writer, &[b'x'; 4096]) {
            Ok(_written) => {}
            Err(Errno::AGAIN) => break,
            Err(error) => panic!("cannot fill a pipe: {error}"),
        }
    }
    // The flag is of what is open, not of the descriptor: the tracer would have it, too.
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

fn to_pipe(writer: &PipeWriter) -> Stdio {
    Stdio::from(writer.try_clone().unwrap())
}

#[test]
#[ignore = "needs root and BPF"]
fn a_signal_ends_a_run_whose_output_nobody_reads() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = directory.join("run.kcn");
    let file = file.to_str().unwrap();
    let said = directory.join("stderr");
    let mut pair = Pair::start("caller", "answerer").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.dial("127.0.0.1:5000", 3).unwrap();
    let cases: [(&[&str], bool, Signal); 5] = [
        (&["events", "-o", "json"], false, Signal::TERM),
        (&["events", "-w", file], false, Signal::INT),
        (&["graph", "--watch", "-o", "json"], false, Signal::TERM),
        (&["graph", "--duration", "100"], true, Signal::INT),
        (&["record", "-w", file], true, Signal::TERM),
    ];
    for (arguments, also_stderr, signal) in cases {
        let (_reader, writer) = full_pipe();
        let stderr = if also_stderr {
            to_pipe(&writer)
        } else {
            Stdio::from(File::create(&said).unwrap())
        };
        let mut run = Run::start(arguments, to_pipe(&writer), stderr);
        run.hangs();
        let asked_ns = boot_ns();
        kill_process(Pid::from_child(&run.0), signal).unwrap();
        let status = run.ends();
        let took_ms = (boot_ns() - asked_ns) / 1_000_000;
        println!("{arguments:?} ended {took_ms} ms after {signal:?} with {status}");
        assert!(status.code().is_some(), "it ended itself: {arguments:?} {status}");
        if !also_stderr {
            let said = fs::read_to_string(&said).unwrap();
            assert!(said.contains("nobody read it"), "{arguments:?}: {said}");
        }
        if arguments.contains(&"-w") {
            // The recording is whole: what could not be shown is no loss.
            let replayed = tracer::run(&["replay", file, "graph", "-o", "json"]).unwrap();
            let graph = replayed.json().unwrap();
            assert!(!replayed.stderr.contains("recording ends"), "{}", replayed.stderr);
            let active = tests::json::edge_counts(&graph, pair.netns.inode(), "active");
            let want = [("caller".to_owned(), "answerer".to_owned(), 5000, 3)];
            assert_eq!(active, want);
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn the_exit_code_of_verify_is_the_verdicts_whatever_becomes_of_stdout() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let (file, said) = (directory.join("run.kcn"), directory.join("stderr"));
    let mut pair = Pair::start("caller", "etcd").unwrap();
    pair.server.listen("127.0.0.1:2379").unwrap();
    pair.client.dial("127.0.0.1:2379", 1).unwrap();
    let short = seconds(1);
    let whole = tracer::run(&[
        "verify",
        "etcd-clients",
        "--duration",
        &short,
        "-w",
        file.to_str().unwrap(),
    ]);
    whole.unwrap().expect_code(1).unwrap();
    let live: &[&str] = &["verify", "etcd-clients", "--duration", &short, "-o", "json"];
    let replay: &[&str] = &["replay", file.to_str().unwrap(), "verify", "etcd-clients"];
    for arguments in [live, replay] {
        for outlet in ["a reader that has gone", "a full disk"] {
            let stdout = if outlet == "a full disk" {
                Stdio::from(File::options().write(true).open("/dev/full").unwrap())
            } else {
                // As in `verify | true`: the reader is gone before anything is written.
                let (reader, writer) = pipe().unwrap();
                drop(reader);
                Stdio::from(writer)
            };
            let mut run = Run::start(arguments, stdout, Stdio::from(File::create(&said).unwrap()));
            let status = run.ends();
            let said = fs::read_to_string(&said).unwrap();
            assert_eq!(status.code(), Some(1), "{arguments:?} to {outlet}: {said}");
            let is_told = said.contains("cannot write the output");
            assert_eq!(is_told, outlet == "a full disk", "{arguments:?}: {said}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_stream_whose_reader_goes_ends_well_and_its_recording_is_whole() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = directory.join("run.kcn");
    let file = file.to_str().unwrap();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut run = Run::start(&["events", "-w", file], Stdio::from(writer), Stdio::null());
    assert_eq!(run.ends().code(), Some(0));
    let replayed = tracer::run(&["replay", file, "events", "-o", "json"]).unwrap();
    replayed.expect_code(0).unwrap();
    let records = replayed.records().unwrap();
    let summary = records.last().unwrap();
    assert_eq!(kind(summary), "summary", "{summary}");
    let degraded = list(summary, "health.degraded");
    assert!(
        degraded
            .iter()
            .all(|one| !text(one, "what").contains("recording")),
        "{summary}"
    );
}
