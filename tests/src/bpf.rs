//! What of a process is loaded into the kernel, by the process's descriptors and by bpftool.
//!
//! bpftool can name the processes behind a program itself, but not in Debian's build.

use crate::binaries;
use crate::json::{number, text};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// A kind of object, and the kernel's number for one of it.
pub type Object = (&'static str, u64);

/// The programs, maps and links that a process holds: `prog`, `map` or `link` with the number.
pub fn held(pid: u32) -> Result<BTreeSet<Object>> {
    let mut held = BTreeSet::new();
    let directory = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&directory)
        .with_context(|| format!("cannot read {directory}"))?
        .flatten()
    {
        // A descriptor may be closed meanwhile.
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for (field, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let kind = match field {
                "prog_id" => "prog",
                "map_id" => "map",
                "link_id" => "link",
                _ => continue,
            };
            held.insert((kind, value.trim().parse()?));
        }
    }
    Ok(held)
}

/// Those of the objects that the kernel still has.
pub fn remaining(held: &BTreeSet<Object>) -> Result<BTreeSet<Object>> {
    let mut remaining = BTreeSet::new();
    for kind in ["prog", "map", "link"] {
        let ids: BTreeSet<_> = show(kind)?.iter().map(|object| number(object, "id")).collect();
        remaining.extend(held.iter().filter(|(held, id)| *held == kind && ids.contains(id)));
    }
    Ok(remaining)
}

/// Room and memory in bytes of the hash table of a process, as the kernel accounts it.
pub fn table(pid: u32) -> Result<(u64, u64)> {
    /// `BPF_MAP_TYPE_HASH` (linux/bpf.h).
    const HASH: &str = "1";
    let directory = format!("/proc/{pid}/fdinfo");
    fs::read_dir(&directory)
        .with_context(|| format!("cannot read {directory}"))?
        .flatten()
        .find_map(|entry| {
            // A descriptor may be closed meanwhile.
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let field = |name: &str| {
                let mut lines = text.lines().filter_map(|line| line.split_once(':'));
                lines.find_map(|(field, value)| (field == name).then(|| value.trim().to_owned()))
            };
            let number = |name: &str| field(name)?.parse().ok();
            (field("map_type")? == HASH).then_some((number("max_entries")?, number("memlock")?))
        })
        .with_context(|| format!("process {pid} has no hash table"))
}

/// Time that all programs of a process have run so far, in nanoseconds. 0 unless the kernel was told to measure.
pub fn run_time_ns(pid: u32) -> Result<u64> {
    let own = held(pid)?;
    let programs = show("prog")?;
    let programs = programs
        .iter()
        .filter(|program| own.contains(&("prog", number(program, "id"))));
    Ok(programs.map(|program| number(program, "run_time_ns")).sum())
}

/// How often the kernel has skipped programs of a process so far, each with its name.
pub fn skipped(pid: u32) -> Result<BTreeMap<String, u64>> {
    let own = held(pid)?;
    let programs = show("prog")?;
    let programs = programs
        .iter()
        .filter(|program| own.contains(&("prog", number(program, "id"))));
    Ok(programs
        .map(|program| {
            let name = text(program, "name").to_owned();
            (name, number(program, "recursion_misses"))
        })
        .collect())
}

/// The link by which a process has a program attached: its number and the process's descriptor of it.
pub fn link(pid: u32, program: &str) -> Result<(u64, u32)> {
    let programs = show("prog")?;
    let own = held(pid)?;
    let id = programs
        .iter()
        .map(|program| (text(program, "name"), number(program, "id")))
        .find(|(name, id)| *name == program && own.contains(&("prog", *id)))
        .map(|(_name, id)| id)
        .with_context(|| format!("process {pid} has no program {program}"))?;
    let found = fields(pid)?.find_map(|(descriptor, text)| {
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(field, value)| (field == name).then(|| value.trim().parse::<u64>().ok())?)
        };
        let link = field("link_id")?;
        (field("prog_id")? == id).then_some((link, descriptor))
    });
    found.with_context(|| format!("process {pid} has no link of {program}"))
}

/// Detaches a link, whoever has it, as the kernel allows for those of cgroups.
pub fn detach(link: u64) -> Result<()> {
    bpftool(&["link", "detach", "id", &link.to_string()]).map(drop)
}

/// Takes a descriptor away from another process: it is standard input from then on. Closed, the process might trip over it
/// when it closes it itself.
pub fn replace(pid: u32, descriptor: u32) -> Result<()> {
    let program = binaries::find("gdb").context("gdb is not installed")?;
    let output = Command::new(program)
        .args(["-nx", "--batch", "-p", &pid.to_string()])
        .args(["-ex", "set language c", "-ex"])
        .arg(format!("print ((int(*)(int, int))__dup2)(0, {descriptor})"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains(&format!("$1 = {descriptor}")) {
        bail!("gdb: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// What the kernel says of each descriptor of a process.
fn fields(pid: u32) -> Result<impl Iterator<Item = (u32, String)>> {
    let directory = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))?;
    Ok(entries.flatten().filter_map(|entry| {
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        // It may be closed meanwhile.
        Some((descriptor, fs::read_to_string(entry.path()).ok()?))
    }))
}

/// Entries in all of a process's maps that have as many entries as were put in: hashes, but no socket storage.
pub fn entries(pid: u32) -> Result<usize> {
    let own = held(pid)?;
    let mut entries = 0;
    for map in show("map")? {
        let id = number(&map, "id");
        if own.contains(&("map", id)) && text(&map, "type").contains("hash") {
            let dump = bpftool(&["map", "dump", "id", &id.to_string()])?;
            entries += dump.as_array().map_or(0, Vec::len);
        }
    }
    Ok(entries)
}

fn show(kind: &str) -> Result<Vec<Value>> {
    let listed = bpftool(&[kind, "show"])?;
    listed
        .as_array()
        .cloned()
        .with_context(|| format!("bpftool {kind} show gives {listed}"))
}

fn bpftool(arguments: &[&str]) -> Result<Value> {
    let program = binaries::find("bpftool").context("bpftool is not installed")?;
    let output = Command::new(program).arg("-j").args(arguments).output()?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("bpftool {arguments:?} gives no JSON"))
}
