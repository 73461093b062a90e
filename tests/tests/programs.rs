//! The tracer's programs themselves: what the kernel does not let them see, and who takes them away.

#![cfg(test)]

use serde_json::Value;
use std::collections::BTreeMap;
use tests::bpf;
use tests::json::{self, kind, list, number, text};
use tests::netns::Netns;
use tests::require::Need;
use tests::scenario::Scenario;
use tests::standin::Standin;
use tests::tracer::{self, Tracer};
use tests::wait::{patience, seconds};
use tests::{needs, skipped};

/// A burst is so many connections, on so many ports each; so many bursts are seen by one tracer.
const COUNT: u64 = 3000;
const AT_ONCE: u16 = 3;
const BURSTS: u16 = 4;
/// Bursts in which the kernel skipped a program.
const WITH_SKIPS: u64 = 20;
/// Runs of the tracer: on some kernels hardly any burst has skips.
const RUNS_MAX: u32 = 40;
/// The same where everything is slow.
const SHORT_COUNT: u64 = 500;
const SHORT_RUNS: u32 = 2;

/// What bursts came to.
#[derive(Debug, Default)]
struct Sum {
    /// Runs of programs that the kernel skipped.
    skipped: u64,
    healed: u64,
    lost: u64,
    /// Bursts during which programs were skipped, with a graph that is exact.
    exact: u64,
}

#[test]
#[ignore = "needs root and BPF"]
fn what_the_kernel_skips_in_a_burst_is_healed_or_told() {
    if !needs![Need::Root, Need::Bpf, Need::Program("bpftool")] {
        return;
    }
    let mut sum = Sum::default();
    for _run in 0..RUNS_MAX {
        if sum.exact >= WITH_SKIPS {
            break;
        }
        bursts(&mut sum, "auto", COUNT, BURSTS);
    }
    println!("{sum:?}");
    if sum.skipped == 0 {
        return skipped!("this kernel skipped no program in {RUNS_MAX} runs");
    }
    assert!(sum.healed > 0 && sum.exact > 0, "{sum:?}");
    if sum.exact < WITH_SKIPS {
        skipped!("only {} bursts had skips and exact graphs: {sum:?}", sum.exact);
    }
}

/// Made for virtual machines: needs no other program.
#[test]
#[ignore = "needs root and BPF"]
fn with_each_backend_a_burst_is_exact_or_told() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    for probe in ["fentry", "kprobe", "tracepoint"] {
        if tracer::run(&["listeners", "--probe", probe]).unwrap().code == Some(4) {
            skipped!("{probe}: this kernel refuses it");
            continue;
        }
        let mut sum = Sum::default();
        for _run in 0..SHORT_RUNS {
            bursts(&mut sum, probe, SHORT_COUNT, 1);
        }
        println!("{probe}: {sum:?}");
    }
}

/// Bursts while a tracer draws a graph: it is exact, or says that it is not.
fn bursts(sum: &mut Sum, probe: &str, count: u64, bursts: u16) {
    let netns = Netns::new().unwrap();
    let mut standin = Standin::start(&netns, "burst").unwrap();
    // Room for all records: the debug build is slower than the bursts.
    let run = [
        "graph",
        "--duration",
        "3600",
        "-o",
        "json",
        "--ring-size",
        "64M",
        "--probe",
        probe,
    ];
    let tracer = Tracer::start_ready(&run).unwrap();
    // Without bpftool only the sum over a run is known.
    let skips = || bpf::skipped(tracer.pid()).map_or(0, |skipped| skipped.values().sum::<u64>());
    let (before, mut with_skips) = (skips(), 0);
    let mut last_seen = before;
    for burst in 0..bursts {
        let port = 5000 + burst * AT_ONCE;
        let done = standin
            .ask(format_args!("burst 127.0.0.1:{port} {count} {AT_ONCE}"))
            .unwrap();
        assert_eq!(done, (count * u64::from(AT_ONCE)).to_string());
        let now = skips();
        with_skips += u64::from(now > last_seen);
        last_seen = now;
    }
    let graph = tracer.interrupt().unwrap().json().unwrap();
    let health = json::at(&graph, "meta.health");
    let of = |what: &str| number(health, what);
    let unhealed = of("programs.skipped");
    let healed = of("programs.healed");
    sum.skipped += (last_seen - before).max(unhealed + healed);
    sum.healed += healed;
    sum.lost += unhealed;
    // What neither of two programs was let see is told, and so are a record that found no way out (the kernel gives up on the
    // ring's lock when that takes long) and what a snapshot finds.
    let gaps = unhealed + json::lost(&graph) + of("missed") + of("ghosts");
    assert_eq!(json::at(health, "complete"), &Value::Bool(gaps == 0), "{health}");
    if gaps > 0 {
        println!("not exact, and told: {health}");
        return;
    }
    let edges = json::edges(&graph, netns.inode());
    let found: BTreeMap<_, _> = edges
        .iter()
        // Who dialled has closed all; who accepted may still be about to.
        .map(|edge| (number(&edge.edge, "port"), edge.count("opened")))
        .collect();
    let wanted: BTreeMap<_, _> = (5000..).zip((0..bursts * AT_ONCE).map(|_| count)).collect();
    assert_eq!(found, wanted, "{health} {edges:#?}");
    assert_eq!(edges.len(), wanted.len(), "{edges:?}");
    sum.exact += if bursts == 1 {
        u64::from(unhealed + healed > 0)
    } else {
        with_skips
    };
}

/// Programs that verdicts rest on, of each kind; those that this backend has are taken away.
const DETACHED: [&str; 5] = [
    "exec_tp_btf",
    "exit_tp_btf",
    "state_tp_btf",
    "state_raw",
    "release_cgroup",
];

#[test]
#[ignore = "needs root and BPF"]
fn a_program_that_somebody_takes_away_is_named_and_no_negative_passes() {
    if !needs![
        Need::Root,
        Need::Bpf,
        Need::Program("bpftool"),
        Need::Program("gdb"),
        Need::Program("etcd"),
    ] {
        return;
    }
    let _node = Scenario::start_alone().unwrap();
    let duration = seconds(8);
    let mut taken = 0;
    for program in DETACHED {
        let events = ["events", "-o", "json", "--interval", &seconds(1)];
        let verify = ["verify", "--duration", &duration, "-o", "json"];
        let mut events = Tracer::start_ready(&events).unwrap();
        let verify = Tracer::start_ready(&verify).unwrap();
        if !bpf::skipped(events.pid()).unwrap().contains_key(program) {
            continue;
        }
        taken += 1;
        for tracer in [&events, &verify] {
            let (link, descriptor) = bpf::link(tracer.pid(), program).unwrap();
            // Only links of cgroups can be detached by number; the others go with their last descriptor.
            if program.ends_with("cgroup") {
                bpf::detach(link).unwrap();
            } else {
                bpf::replace(tracer.pid(), descriptor).unwrap();
            }
        }
        let named =
            |record: &Value| kind(record) == "degraded" && text(record, "degraded.what").contains(program);
        events
            .wait_records("it is told in the stream", |records| records.iter().any(named))
            .unwrap();
        let finished = verify.finish(patience()).unwrap();
        finished.expect_code(3).unwrap();
        let document: Value = serde_json::from_str(&finished.stdout).unwrap();
        let (verdict, summary) = json::check(&document, "etcd-clients");
        assert_eq!(verdict, "inconclusive", "{program}: {document}");
        assert!(summary.contains(program), "{program}: {summary}");
        let detached = list(&document, "meta.health.programs.detached");
        assert_eq!(detached, [Value::from(program)], "{document}");
    }
    assert!(taken >= 3, "only {taken} of the programs are there");
}
