//! Who an id was at a time, in whatever order the news came.

use super::*;
use crate::{
    attribute::Quality,
    event::{Comm, Owner, ProcessEvent},
    signal::ProcessFacts,
};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

fn table() -> ProcessTable {
    ProcessTable::new(Rules::built_in())
}

fn comm(name: &str) -> Comm {
    let mut raw = [0; 16];
    raw.iter_mut()
        .zip(name.bytes().take(15))
        .for_each(|(to, from)| *to = from);
    Comm(raw)
}

fn owner(tgid: u32, name: &str) -> Owner {
    Owner {
        tgid,
        tid: tgid,
        uid: 1000,
        cgroup_id: 5,
        comm: comm(name),
    }
}

fn exec(tgid: u32, at_ns: u64, path: &str) -> ProcessEvent {
    let name = path.rsplit('/').next().unwrap();
    ProcessEvent {
        exit: false,
        at_ns,
        tgid,
        parent_tgid: 1,
        uid: 1000,
        start_ns: 0,
        cgroup_id: 5,
        comm: comm(name),
        filename: path.into(),
        arg0: name.into(),
        exe: None,
        file_name: String::new(),
    }
}

fn exit(tgid: u32, at_ns: u64) -> ProcessEvent {
    ProcessEvent {
        exit: true,
        filename: String::new(),
        arg0: String::new(),
        ..exec(tgid, at_ns, "x")
    }
}

fn facts(tgid: u32, start_ns: u64, read_ns: u64, exe: Option<&str>) -> ProcessFacts {
    let name = exe.and_then(|path| path.rsplit('/').next()).unwrap_or("worker");
    ProcessFacts {
        tgid,
        parent_tgid: 1,
        uid: 1000,
        start_ns,
        read_ns,
        comm: name.chars().take(15).collect(),
        exe: exe.map(String::from),
        ..ProcessFacts::default()
    }
}

fn label(table: &ProcessTable, tgid: u32, at_ns: u64) -> String {
    table.who(tgid, at_ns).map_or_else(
        || "nobody".into(),
        |process| process.claim.who.label().into_owned(),
    )
}

#[test]
fn a_process_that_lived_a_millisecond_keeps_its_name() {
    let mut table = table();
    table.event(&exec(9, S, "/usr/bin/curl"));
    assert!(table.seen(&owner(9, "curl"), S + MS));
    table.event(&exit(9, S + 2 * MS));
    assert_eq!(label(&table, 9, S + MS), "curl");
    assert_eq!(label(&table, 9, 100 * S), "curl", "asked long after its exit");
    let process = table.who(9, S + MS).unwrap();
    assert_eq!(process.reference.exe.as_deref(), Some("/usr/bin/curl"));
    assert_eq!((process.reference.uid, process.reference.cgroup_id), (1000, 5));
}

#[test]
fn exec_changes_who_it_is_but_not_who_it_was() {
    let mut table = table();
    table.event(&exec(9, S, "/bin/sh"));
    table.event(&exec(9, 2 * S, "/usr/local/bin/etcd"));
    let cases: &[(&str, u64, &str)] = &[
        ("before all that is known", S / 2, "sh"),
        ("as the first program", S + MS, "sh"),
        ("as the second program", 2 * S, "etcd"),
        ("now", 0, "etcd"),
    ];
    for (name, at_ns, want) in cases {
        assert_eq!(label(&table, 9, *at_ns), *want, "case: {name}");
    }
}

#[test]
fn a_chain_of_programs_is_remembered_only_so_far() {
    let mut table = table();
    for step in 1..=100 {
        table.event(&exec(9, step * S, &format!("/bin/step{step}")));
    }
    assert_eq!(label(&table, 9, 0), "step100");
    assert_eq!(label(&table, 9, 98 * S), "step98");
    assert_eq!(label(&table, 9, S), "step97", "the oldest that is still known");
}

#[test]
fn a_reused_id_is_another_process() {
    let mut table = table();
    table.event(&exec(9, S, "/usr/bin/curl"));
    table.event(&exit(9, 2 * S));
    table.event(&exec(9, 3 * S, "/usr/bin/wget"));
    assert_eq!(label(&table, 9, S + MS), "curl");
    assert_eq!(
        label(&table, 9, 2 * S + MS),
        "curl",
        "a late question about the first"
    );
    assert_eq!(label(&table, 9, 3 * S), "wget");
}

#[test]
fn a_reused_id_is_another_process_even_if_the_exit_was_lost() {
    let mut table = table();
    table.event(&ProcessEvent {
        start_ns: S,
        ..exec(9, S + MS, "/usr/bin/curl")
    });
    table.event(&ProcessEvent {
        start_ns: 5 * S,
        ..exec(9, 6 * S, "/usr/bin/wget")
    });
    assert_eq!(label(&table, 9, 4 * S), "curl");
    assert_eq!(
        label(&table, 9, 5 * S + 500 * MS),
        "wget",
        "between its fork and its exec"
    );
    assert_eq!(table.living().len(), 1);
}

#[test]
fn a_task_that_acts_after_its_exit_is_another_task() {
    let mut table = table();
    table.event(&exec(9, S, "/usr/bin/curl"));
    table.event(&exit(9, 2 * S));
    assert!(
        !table.seen(&owner(9, "curl"), 2 * S - MS),
        "an old record that came late"
    );
    assert!(table.seen(&owner(9, "nc"), 3 * S));
    assert_eq!(label(&table, 9, 3 * S), "nc");
    assert_eq!(label(&table, 9, S), "curl");
}

#[test]
fn proc_is_asked_once_for_each_program() {
    let mut table = table();
    assert!(table.seen(&owner(9, "sh"), S));
    assert!(!table.seen(&owner(9, "sh"), S + MS));
    table.event(&exec(9, 2 * S, "/usr/bin/curl"));
    assert!(table.seen(&owner(9, "curl"), 2 * S + MS));
    assert!(!table.seen(&owner(9, "curl"), 2 * S + 2 * MS));
    table.facts(&facts(8, S, 2 * S, Some("/usr/bin/etcd")));
    assert!(
        !table.seen(&owner(8, "etcd"), 3 * S),
        "known from the scan at the start"
    );
}

#[test]
fn facts_improve_the_program_they_were_read_of() {
    let mut table = table();
    assert!(table.seen(&owner(9, "kube-controller"), 2 * S));
    assert_eq!(label(&table, 9, 2 * S), "unknown", "an ambiguous thread name");
    table.facts(&facts(
        9,
        S,
        2 * S + MS,
        Some("/usr/local/bin/kube-controller-manager"),
    ));
    assert_eq!(label(&table, 9, 2 * S), "kube-controller-manager");
    let process = table.who(9, 2 * S).unwrap();
    assert_eq!(process.claim.quality, Quality::Exe);
    assert_eq!(process.reference.cgroup_id, 5, "what only the hook knew is kept");
    table.event(&exec(9, 3 * S, "/usr/bin/curl"));
    table.facts(&facts(
        9,
        S,
        2 * S + 2 * MS,
        Some("/usr/local/bin/kube-controller-manager"),
    ));
    assert_eq!(
        label(&table, 9, 0),
        "curl",
        "facts read before an exec say nothing about it"
    );
}

#[test]
fn facts_that_arrive_after_the_exit_are_used() {
    let mut table = table();
    table.seen(&owner(9, "a"), 2 * S);
    table.event(&exit(9, 3 * S));
    table.facts(&facts(9, S, 2 * S + MS, Some("/usr/bin/etcdctl")));
    assert_eq!(label(&table, 9, 2 * S), "etcdctl");
    assert!(table.living().is_empty(), "it stays ended");
}

#[test]
fn facts_of_a_reused_id_are_refused_for_the_process_before() {
    let mut table = table();
    table.seen(&owner(9, "curl"), 2 * S);
    table.facts(&facts(9, 5 * S, 6 * S, Some("/usr/local/bin/etcd")));
    assert_eq!(label(&table, 9, 2 * S), "curl");
    assert_eq!(label(&table, 9, 6 * S), "etcd");
    table.facts(&facts(9, S, 2 * S + MS, Some("/usr/bin/curl")));
    assert_eq!(label(&table, 9, 6 * S), "etcd", "facts about the first, late");
    assert_eq!(table.who(9, 2 * S).unwrap().claim.quality, Quality::Exe);
}

#[test]
fn a_connection_older_than_a_process_is_not_its_own() {
    let mut table = table();
    table.facts(&facts(9, 5 * S, 6 * S, Some("/usr/local/bin/etcd")));
    assert_eq!(label(&table, 9, 4 * S), "nobody");
    assert_eq!(label(&table, 9, 5 * S), "etcd");
    assert_eq!(label(&table, 8, S), "nobody");
}

#[test]
fn a_child_without_a_program_of_its_own_is_its_parents() {
    let mut table = table();
    table.facts(&facts(5, S, 2 * S, Some("/usr/sbin/worker")));
    let cases: &[(&str, &str, u32, Quality)] = &[
        ("the parent's name", "worker", 5, Quality::Exe),
        ("a name of its own", "other", 5, Quality::Comm),
        ("an unknown parent", "worker", 6, Quality::Comm),
    ];
    for (tgid, (name, comm, parent_tgid, quality)) in (10..).zip(cases) {
        let child = ProcessFacts {
            comm: (*comm).into(),
            parent_tgid: *parent_tgid,
            ..facts(tgid, 3 * S, 4 * S, None)
        };
        table.facts(&child);
        let process = table.who(tgid, 4 * S).unwrap();
        assert_eq!(
            process.claim.quality, *quality,
            "case: {name}: {:?}",
            process.claim
        );
    }
    let by = &table.who(10, 4 * S).unwrap().claim.by;
    assert_eq!(by, "forked by 5 without exec: exe /usr/sbin/worker");
    table.seen(&owner(20, "worker"), 5 * S);
    table.event(&ProcessEvent {
        parent_tgid: 5,
        ..exit(20, 6 * S)
    });
    assert_eq!(
        table.who(20, 5 * S).unwrap().claim.quality,
        Quality::Exe,
        "its exit told the parent"
    );
}

#[test]
fn a_single_binary_plays_parts_by_port() {
    let mut table = table();
    table.facts(&facts(9, S, 2 * S, Some("/data/bin/k3s-server")));
    let mut part = |used| table.claim(9, 2 * S, used).unwrap().who.label().into_owned();
    assert_eq!(part(PortUse::Serves(10_250)), "k3s-server(kubelet)");
    assert_eq!(part(PortUse::Dials(2379)), "k3s-server(kube-apiserver)");
    assert_eq!(part(PortUse::Dials(443)), "k3s-server");
    let [first, second] = [(); 2].map(|()| table.claim(9, 2 * S, PortUse::Serves(10_250)).unwrap());
    assert!(Arc::ptr_eq(&first, &second), "made once");
    assert_eq!(first.by, "exe /data/bin/k3s-server, serves 10250");
}

#[test]
fn equal_processes_share_what_is_known_of_them() {
    let mut table = table();
    for tgid in 1..=100 {
        table.event(&exec(tgid, S, "/usr/bin/curl"));
    }
    let [first, last] = [1, 100].map(|tgid| table.who(tgid, S).unwrap());
    assert!(
        Arc::ptr_eq(&first.claim, &last.claim) && Arc::ptr_eq(&first.reference.comm, &last.reference.comm)
    );
}

#[test]
fn exited_processes_are_forgotten_oldest_first_and_counted() {
    let mut table = ProcessTable::with_limit(Rules::built_in(), 10);
    for tgid in 1..=15 {
        table.event(&exec(tgid, S, "/usr/bin/curl"));
        table.event(&exit(tgid, S + u64::from(tgid)));
    }
    assert_eq!(table.evicted(), 5);
    assert!(table.who(5, 0).is_none() && table.who(6, 0).is_some());
}

#[test]
fn lost_exits_do_not_make_the_table_grow() {
    let mut table = ProcessTable::with_limit(Rules::built_in(), 10);
    for tgid in 1..=5000 {
        table.event(&exec(tgid, S, "/usr/bin/curl"));
    }
    assert_eq!((table.living().len(), table.evicted()), (10, 4990));
    for round in 1..=5000 {
        table.event(&exec(9, round * S, "/usr/bin/curl"));
        table.event(&exit(9, round * S + MS));
    }
    assert!(
        table.appeared.len() < 1100 && table.by_tgid.len() <= 20,
        "{}",
        table.appeared.len()
    );
}

#[test]
fn a_process_is_small() {
    assert!(size_of::<Process>() <= 176, "{}", size_of::<Process>());
}

/// Anything may come, in any order.
fn news() -> impl Strategy<Value = (u8, u32, u64, u64)> {
    (0..5_u8, 1..4_u32, 0..50_u64, 0..50_u64)
}

proptest! {
    #[test]
    fn no_order_of_news_breaks_the_table(all in proptest::collection::vec(news(), 0..200)) {
        let mut table = ProcessTable::with_limit(Rules::built_in(), 3);
        for (kind, tgid, at, start) in all {
            let (at_ns, start_ns) = (at * 50 * MS, start * 50 * MS);
            match kind {
                0 => table.event(&ProcessEvent { start_ns, ..exec(tgid, at_ns, "/usr/bin/curl") }),
                1 => table.event(&ProcessEvent { start_ns, ..exit(tgid, at_ns) }),
                2 => table.facts(&facts(tgid, start_ns, at_ns, Some("/usr/local/bin/etcd"))),
                3 => { table.seen(&owner(tgid, "kubelet"), at_ns); }
                _ => { table.claim(tgid, at_ns, PortUse::Serves(10_250)); }
            }
            let living = table.by_tgid.values().flatten().filter(|life| life.exit_ns.is_none()).count();
            prop_assert_eq!(living, table.alive);
            prop_assert!(table.alive <= 3 && table.exited.len() <= 3);
            prop_assert!(table.by_tgid.values().all(|lives| !lives.is_empty() && lives.len() <= 4));
        }
    }

    #[test]
    fn no_claim_is_made_of_what_was_never_seen(tgid in 1..1000_u32, at in 0..1000_u64) {
        prop_assert!(table().who(tgid, at).is_none());
        prop_assert!(table().claim(tgid, at, PortUse::Dials(1)).is_none());
    }
}

fn child(tgid: u32, parent_tgid: u32, read_ns: u64) -> ProcessFacts {
    ProcessFacts {
        parent_tgid,
        ..facts(tgid, 0, read_ns, Some("/usr/bin/bash"))
    }
}

fn ancestors(table: &ProcessTable, tgid: u32, at_ns: u64) -> Vec<u32> {
    let ancestors = table.ancestors(tgid, at_ns);
    ancestors.iter().map(|process| process.reference.tgid).collect()
}

#[test]
fn ancestors_are_told_nearest_first_as_far_as_they_are_known() {
    let mut table = table();
    for (tgid, parent) in [(1, 0), (10, 1), (20, 10), (30, 20), (50, 40)] {
        table.facts(&child(tgid, parent, S));
    }
    assert_eq!(ancestors(&table, 30, S), [20, 10, 1]);
    assert_eq!(ancestors(&table, 1, S), [0_u32; 0]);
    assert_eq!(ancestors(&table, 50, S), [0_u32; 0], "its parent is not known");
    assert_eq!(ancestors(&table, 99, S), [0_u32; 0], "nobody");
}

#[test]
fn ancestors_are_those_of_the_time_asked_about() {
    let mut table = table();
    table.facts(&child(20, 10, S));
    table.facts(&facts(10, S / 2, S, Some("/usr/bin/sudo")));
    table.event(&exit(10, 2 * S));
    table.facts(&facts(10, 3 * S, 3 * S, Some("/usr/bin/curl")));
    let parent = |at_ns| table.ancestors(20, at_ns)[0].claim.who.label().into_owned();
    assert_eq!(parent(S), "sudo");
    assert_eq!(parent(4 * S), "curl");
}

#[test]
fn a_circle_of_parents_ends_and_so_does_a_long_line() {
    let mut table = table();
    table.facts(&child(10, 20, S));
    table.facts(&child(20, 30, S));
    table.facts(&child(30, 20, S));
    assert_eq!(ancestors(&table, 10, S), [20, 30]);
    for tgid in 100..200 {
        table.facts(&child(tgid, tgid - 1, S));
    }
    assert_eq!(ancestors(&table, 199, S).len(), ANCESTORS_MAX);
}

#[test]
fn a_login_is_kept_by_exec_and_handed_to_children() {
    let mut table = table();
    let alice = crate::signal::Login {
        uid: 1000,
        ..crate::signal::Login::default()
    };
    table.facts(&ProcessFacts {
        login: Some(alice),
        ..child(10, 1, S)
    });
    let has_login = |table: &ProcessTable, tgid, at_ns| table.who(tgid, at_ns).unwrap().login.is_some();
    table.event(&exec(10, 2 * S, "/usr/bin/kubectl"));
    assert!(
        has_login(&table, 10, 3 * S),
        "the same process as another program"
    );
    table.event(&ProcessEvent {
        parent_tgid: 10,
        ..exec(11, 3 * S, "/usr/bin/curl")
    });
    assert!(has_login(&table, 11, 3 * S), "a child");
    table.seen(&owner(12, "bash"), 4 * S);
    assert!(!has_login(&table, 12, 4 * S), "its parent is not known yet");
    table.event(&ProcessEvent {
        parent_tgid: 10,
        ..exit(12, 5 * S)
    });
    assert!(
        has_login(&table, 12, 4 * S),
        "a child that never did exec, known by its end"
    );
    table.facts(&child(11, 10, 6 * S));
    assert!(!has_login(&table, 11, 6 * S), "what /proc says counts");
}
