//! Plays a component: run under the component's own name, it listens and dials as its standard input says.
//!
//! One command a line, one answer a line: `ok ...` or `err ...`. The end of input ends it, and so does its parent's
//! death. With `KCN_STANDIN_SCRIPT` set, it runs that (commands between semicolons) instead and exits.
//! Its arguments are only for show. The exception is `standin launch`: see launch.rs.

mod churn;
mod control;
mod dial;
mod launch;
mod listen;
mod socket;

use control::{Control, Reply};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::ffi::OsStr;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let launches = Path::new(&name).file_name() == Some(OsStr::new("standin"))
        && arguments.next().as_deref() == Some(OsStr::new("launch"));
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return fail(&format!("cannot tie this process to its parent: {error}"));
    }
    if launches {
        return fail(&launch::launch(arguments));
    }
    match std::env::var("KCN_STANDIN_SCRIPT") {
        Ok(script) => run_script(&script),
        Err(_) => run_lines(),
    }
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

fn run_lines() -> ExitCode {
    let mut control = Control::default();
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
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
