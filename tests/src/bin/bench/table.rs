//! The result as a Markdown table: the median of the rounds, ratios within each round.

use crate::Plan;
use crate::contest::{CONTESTANTS, Lap};
use anyhow::Result;
use std::io::Write;

/// Prints it.
pub(crate) fn print(
    out: &mut impl Write,
    plan: &Plan,
    laps: &[Vec<Lap>],
    costs: &[Option<f64>],
) -> Result<()> {
    let kernel = rustix::system::uname();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    writeln!(
        out,
        "Linux {}, {processors} processors, {} client and {} server threads; medians of {} rounds of {} s.",
        kernel.release().to_string_lossy(),
        plan.threads,
        plan.threads,
        plan.rounds,
        plan.window.as_secs()
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "| | connections/s | of untraced | kernel ns/connection | CPU us/connection | CPU us/record | resident MiB | lost |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let untraced = laps.first().map(Vec::as_slice).unwrap_or_default();
    for ((contestant, laps), cost) in CONTESTANTS.iter().zip(laps).zip(costs) {
        if laps.is_empty() {
            writeln!(out, "| {} | not installed | | | | | | |", contestant.name)?;
            continue;
        }
        let of = |figure: fn(&Lap) -> Option<f64>| median(laps.iter().filter_map(figure).collect());
        let ratios = laps
            .iter()
            .zip(untraced)
            .map(|(lap, untraced)| lap.rate / untraced.rate)
            .collect();
        let lost: u64 = laps.iter().filter_map(|lap| lap.lost).sum();
        let knows_loss = laps.iter().any(|lap| lap.lost.is_some());
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            contestant.name,
            shown(of(|lap| Some(lap.rate)), 0),
            shown(median(ratios), 3),
            shown(*cost, 0),
            shown(of(|lap| lap.cpu_us_per_connection), 2),
            shown(of(|lap| lap.cpu_us_per_record), 2),
            shown(of(|lap| lap.resident_kib.map(mebibytes)), 1),
            if knows_loss {
                lost.to_string()
            } else {
                String::new()
            },
        )?;
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a figure for a table with three digits"
)]
fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn shown(value: Option<f64>, digits: usize) -> String {
    value.map(|value| format!("{value:.digits$}")).unwrap_or_default()
}
