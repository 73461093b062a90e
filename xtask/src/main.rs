//! `cargo xtask`: everything one does with this repository, one command each.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool for people and CI logs"
)]

mod apt;
mod check;
mod cmd;
mod ebpf_toolchain;
mod rooms;
mod run;
mod setup;
mod tally;
mod test;
mod vm;

use anyhow::Result;
use std::process::ExitCode;

use crate::setup::Purpose;

const HELP: &str = "\
cargo xtask COMMAND

  setup [--for run|demo|test|bench]  install and build what is missing (default: run)
  build                              make target/release/kcn-trace
  run [-- ARGS]                      set up, build, and run the tracer as root
  check                              format, lints, documentation, rules between rooms
  test [FILTER]                      set up and run all tests: unit, replay, live, virtual machine
  vm [VERSION...] [--test FILTER]    live tests on other kernels (known: %VERSIONS%; default: %DEFAULT%)
  bench [-- ARGS]                    measure the tracer's cost
  bench names                        measure the inventory of names: memory, lookups, cost of a record; no root
  demo [-- ARGS]                     a stand-in control plane, and the tracer on it

Set-up keeps what it makes in $KCN_TRACE_CACHE, else $XDG_CACHE_HOME/kcn-trace, else ~/.cache/kcn-trace.
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Help,
    Setup(Purpose),
    Build,
    Run(Vec<String>),
    Check,
    Test(Option<String>),
    Vm(Vec<String>, Option<String>),
    Bench(Vec<String>),
    BenchNames,
    Demo(Vec<String>),
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    match parse(&args) {
        Ok(task) => perform(task).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }),
        Err(usage) => {
            eprint!("error: {usage}\n\n{}", help());
            ExitCode::from(2)
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let verdict = |good| {
        if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    };
    match task {
        Task::Help => print!("{}", help()),
        Task::Setup(purpose) => setup::setup(purpose)?,
        Task::Build => run::build()?,
        Task::Run(args) => run::run(&args)?,
        Task::Check => return Ok(verdict(check::check())),
        Task::Test(filter) => return Ok(verdict(test::test(filter.as_deref()))),
        Task::Vm(versions, filter) => return test::test_vm(&versions, filter.as_deref()).map(verdict),
        Task::Bench(args) => run::bench(&args)?,
        Task::BenchNames => run::bench_names()?,
        Task::Demo(args) => run::demo(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn help() -> String {
    HELP.replace("%VERSIONS%", &vm::versions().join(" "))
        .replace("%DEFAULT%", vm::DEFAULT_VERSION)
}

fn parse(args: &[String]) -> Result<Task, String> {
    let Some((command, rest)) = args.split_first() else {
        return Err("no command".to_owned());
    };
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    // `--` may be left out: nothing but the program's own arguments can follow.
    let passed = || rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest).to_vec();
    match (command.as_str(), words.as_slice()) {
        ("help" | "--help" | "-h", _) => Ok(Task::Help),
        ("setup", []) => Ok(Task::Setup(Purpose::Run)),
        ("setup", ["--for", purpose]) => Purpose::from_name(purpose)
            .map(Task::Setup)
            .ok_or(format!("nothing to set up for `{purpose}`")),
        ("build", []) => Ok(Task::Build),
        ("run", _) => Ok(Task::Run(passed())),
        ("check", []) => Ok(Task::Check),
        ("test", []) => Ok(Task::Test(None)),
        ("test", [filter]) if !filter.starts_with('-') => Ok(Task::Test(Some((*filter).to_owned()))),
        ("vm", [versions @ .., "--test", filter]) => machines(versions, Some((*filter).to_owned())),
        ("vm", versions) => machines(versions, None),
        ("bench", ["names"]) => Ok(Task::BenchNames),
        ("bench", _) => Ok(Task::Bench(passed())),
        ("demo", _) => Ok(Task::Demo(passed())),
        ("setup" | "build" | "check" | "test", _) => {
            Err(format!("`{command}` does not take `{}`", words.join(" ")))
        }
        _ => Err(format!("unknown command `{command}`")),
    }
}

fn machines(versions: &[&str], filter: Option<String>) -> Result<Task, String> {
    let known = vm::versions();
    if let Some(unknown) = versions.iter().find(|version| !known.contains(version)) {
        return Err(format!("no kernel `{unknown}`; known: {}", known.join(", ")));
    }
    let chosen = if versions.is_empty() {
        &[vm::DEFAULT_VERSION]
    } else {
        versions
    };
    Ok(Task::Vm(
        chosen.iter().map(|&version| version.to_owned()).collect(),
        filter,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_understood_or_refused() {
        let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<String>>();
        let cases: &[(&str, &[&str], Option<Task>)] = &[
            ("nothing", &[], None),
            ("unknown", &["fly"], None),
            ("help", &["--help"], Some(Task::Help)),
            ("set-up", &["setup"], Some(Task::Setup(Purpose::Run))),
            (
                "set-up for",
                &["setup", "--for", "test"],
                Some(Task::Setup(Purpose::Test)),
            ),
            ("set-up for what", &["setup", "--for", "fun"], None),
            (
                "run with arguments",
                &["run", "--", "graph", "--", "x"],
                Some(Task::Run(own(&["graph", "--", "x"]))),
            ),
            (
                "run without dashes",
                &["run", "graph"],
                Some(Task::Run(own(&["graph"]))),
            ),
            (
                "test with a filter",
                &["test", "late"],
                Some(Task::Test(Some("late".to_owned()))),
            ),
            ("test with a flag", &["test", "--late"], None),
            (
                "a part of the benchmark",
                &["bench", "names"],
                Some(Task::BenchNames),
            ),
            (
                "the benchmark with options",
                &["bench", "--", "--rounds", "1"],
                Some(Task::Bench(own(&["--rounds", "1"]))),
            ),
            ("default kernel", &["vm"], Some(Task::Vm(own(&["6.1"]), None))),
            (
                "kernels and a filter",
                &["vm", "5.10", "6.12", "--test", "x"],
                Some(Task::Vm(own(&["5.10", "6.12"]), Some("x".to_owned()))),
            ),
            ("no such kernel", &["vm", "2.6"], None),
            ("build takes nothing", &["build", "x"], None),
        ];
        for (name, words, want) in cases {
            assert_eq!(parse(&own(words)).ok().as_ref(), want.as_ref(), "case: {name}");
        }
    }
}
