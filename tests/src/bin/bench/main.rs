//! The benchmark: what tracing costs a machine that does nothing but open and close connections.
//!
//! `bench [--seconds N] [--rounds N] [--threads N]` prints a Markdown table. In every round each contestant runs
//! once, in an order that rotates, and is compared with the untraced machine of the same round, so that a machine
//! that gets slower or faster meanwhile does not favour anybody.

mod contest;
mod kernel;
mod load;
mod process;
mod table;

use anyhow::{Context, Result, bail};
use contest::{CONTESTANTS, Lap};
use load::Load;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use tests::require::{Need, lacking};

/// What is asked for.
struct Plan {
    window: Duration,
    rounds: usize,
    threads: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let plan = plan(std::env::args().skip(1))?;
    if let Some(reason) = [Need::Root, Need::Bpf].into_iter().find_map(lacking) {
        bail!("the benchmark {reason}");
    }
    let load = Load::start(plan.threads)?;
    let mut laps: Vec<Vec<Lap>> = CONTESTANTS.iter().map(|_| Vec::new()).collect();
    for round in 0..plan.rounds {
        for turn in 0..CONTESTANTS.len() {
            let index = (round + turn) % CONTESTANTS.len();
            let (Some(contestant), Some(laps)) = (CONTESTANTS.get(index), laps.get_mut(index)) else {
                continue;
            };
            writeln!(
                io::stderr(),
                "round {} of {}: {}",
                round + 1,
                plan.rounds,
                contestant.name
            )?;
            laps.extend(contest::run(contestant, &load, plan.window)?);
        }
    }
    // Apart from the rounds: measuring a program's time makes each of its runs slower.
    let stats = kernel::Stats::enable()?;
    let mut costs = Vec::new();
    for contestant in CONTESTANTS {
        writeln!(io::stderr(), "kernel time: {}", contestant.name)?;
        costs.push(contest::kernel_ns_per_connection(contestant, &load, plan.window)?);
    }
    drop(stats);
    table::print(&mut io::stdout().lock(), &plan, &laps, &costs)
}

fn plan(mut words: impl Iterator<Item = String>) -> Result<Plan> {
    let mut plan = Plan {
        window: Duration::from_secs(10),
        rounds: 3,
        threads: 2,
    };
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a number"))?;
        let number: usize = value
            .parse()
            .with_context(|| format!("{word} cannot be {value}"))?;
        if number == 0 {
            bail!("{word} cannot be 0");
        }
        match word.as_str() {
            "--seconds" => plan.window = Duration::from_secs(u64::try_from(number)?),
            "--rounds" => plan.rounds = number,
            "--threads" => plan.threads = number,
            _ => bail!("unknown option {word}: --seconds, --rounds and --threads are known"),
        }
    }
    Ok(plan)
}
