//! Plays a component: run under the component's own name, it listens and dials as its standard input says.
//!
//! One command a line, one answer a line: `ok ...` or `err ...`. The end of input ends it, and so does its parent's
//! death. With `KCN_STANDIN_SCRIPT` set, it runs that (commands between semicolons) instead and exits.
//! With `KCN_STANDIN_SOCKET` set, it makes that Unix socket and takes its commands from whoever connects: a process in
//! a container has no other line to the test.
//! Its arguments are only for show. The exceptions are `standin launch` and `standin guard`: see launch.rs and guard.rs.

mod beat;
mod burst;
mod churn;
mod control;
mod dial;
mod guard;
mod launch;
mod listen;
mod socket;
mod stow;

use control::{Control, Reply};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new("standin")) {
        match arguments.next().as_deref().and_then(OsStr::to_str) {
            Some("launch") => return tied(|| fail(&launch::launch(arguments))),
            Some("guard") => {
                return match guard::guard(arguments) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => fail(&format!("cannot guard: {error}")),
                };
            }
            _ => {}
        }
    }
    if let Some(path) = std::env::var_os("KCN_STANDIN_SOCKET") {
        // Its parent is a container's shim, which ends with the lab.
        return serve(Path::new(&path)).map_or_else(|error| fail(&error.to_string()), |()| ExitCode::SUCCESS);
    }
    tied(|| match std::env::var("KCN_STANDIN_SCRIPT") {
        Ok(script) => run_script(&script),
        Err(_) => run_lines(&mut Control::default(), io::stdin().lock(), io::stdout().lock()),
    })
}

/// Does `work` as a process that dies with its parent.
fn tied(work: impl FnOnce() -> ExitCode) -> ExitCode {
    match set_parent_process_death_signal(Some(Signal::KILL)) {
        Ok(()) => work(),
        Err(error) => fail(&format!("cannot tie this process to its parent: {error}")),
    }
}

/// Obeys one client after another; what one has made is there for the next.
fn serve(path: &Path) -> io::Result<()> {
    let mut control = Control::default();
    for client in UnixListener::bind(path)?.incoming() {
        let client = client?;
        run_lines(&mut control, BufReader::new(client.try_clone()?), client);
    }
    Ok(())
}

fn run_script(script: &str) -> ExitCode {
    let mut control = Control::default();
    for command in script.split(';') {
        match control.obey(command) {
            Reply::Ok(_) => {}
            Reply::Err(reason) => return fail(&format!("{command}: {reason}")),
            Reply::Exit => break,
        }
    }
    ExitCode::SUCCESS
}

fn run_lines(control: &mut Control, orders: impl BufRead, mut answers: impl Write) -> ExitCode {
    for line in orders.lines() {
        let Ok(line) = line else { return ExitCode::FAILURE };
        let reply = control.obey(&line);
        let written = match &reply {
            Reply::Ok(text) => writeln!(answers, "ok {text}"),
            Reply::Err(reason) => writeln!(answers, "err {reason}"),
            Reply::Exit => writeln!(answers, "ok"),
        };
        if written.and_then(|()| answers.flush()).is_err() {
            return ExitCode::FAILURE;
        }
        if matches!(reply, Reply::Exit) {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn fail(reason: &str) -> ExitCode {
    // Where stderr is closed as well, the exit code has to do.
    drop(writeln!(io::stderr(), "standin: {reason}"));
    ExitCode::FAILURE
}
