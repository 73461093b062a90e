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

/// The same with the name of the file that runs.
fn runs(tgid: u32, at_ns: u64, path: &str, file: &str) -> ProcessEvent {
    ProcessEvent {
        file_name: file.into(),
        ..exec(tgid, at_ns, path)
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
        args: exe.iter().map(|_| name.to_owned()).collect(),
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
        ("before all that is known", S / 2, "nobody"),
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
    assert_eq!(
        label(&table, 9, 97 * S),
        "step97",
        "the oldest that is still known"
    );
    assert_eq!(
        label(&table, 9, 96 * S),
        "nobody",
        "what is forgotten is not the next"
    );
    table.seen(&owner(9, "step50"), 50 * S);
    assert_eq!(
        label(&table, 9, 50 * S),
        "nobody",
        "nor is it what a late record says"
    );
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
        "nobody",
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
        ("the parent's name", "worker", 5, Quality::Exec),
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
        Quality::Exec,
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
    assert!(size_of::<Process>() <= 240, "{}", size_of::<Process>());
}

/// All orders of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// What came of news about process 9 in one order: its label at the time of its connect and after its exec.
fn after(order: [usize; 3], before: &[ProcessFacts], news: [&dyn Fn(&mut ProcessTable); 3]) -> [String; 2] {
    let mut table = table();
    for facts in before {
        table.facts(facts);
    }
    for which in order {
        news[which](&mut table);
    }
    let was = table.claim(9, 2 * S, PortUse::Dials(2379));
    assert!(
        !before.is_empty() || was.is_none_or(|claim| claim.quality >= Quality::Comm),
        "{order:?}"
    );
    [label(&table, 9, 2 * S), label(&table, 9, 5 * S)]
}

#[test]
fn what_proc_says_after_an_exec_is_never_said_of_the_program_before_in_whatever_order_it_comes() {
    let connect = |table: &mut ProcessTable| {
        table.seen(&owner(9, "bash"), 2 * S);
    };
    let becomes = |table: &mut ProcessTable| {
        table.event(&ProcessEvent {
            start_ns: S,
            ..runs(9, 3 * S, "/usr/bin/etcd", "etcd")
        });
    };
    // While it began, its record was not made yet.
    for read_ns in [3 * S + MS, 3 * S - MS] {
        let read = |table: &mut ProcessTable| table.facts(&facts(9, S, read_ns, Some("/usr/bin/etcd")));
        for order in ORDERS {
            let [was, is] = after(order, &[], [&connect, &becomes, &read]);
            assert_ne!(was, "etcd", "read at {read_ns}, order {order:?}");
            assert_eq!(is, "etcd", "read at {read_ns}, order {order:?}");
            let known = facts(9, S, S + MS, Some("/bin/bash"));
            let [was, is] = after(order, &[known], [&connect, &becomes, &read]);
            assert!(
                ["bash", "unknown"].contains(&&*was),
                "read at {read_ns}, order {order:?}: {was}"
            );
            assert_eq!(is, "etcd", "read at {read_ns}, order {order:?}");
        }
    }
}

#[test]
fn what_proc_says_of_a_program_that_is_just_beginning_is_not_sure() {
    let mut table = table();
    table.seen(&owner(9, "bash"), 2 * S);
    table.facts(&ProcessFacts {
        args: Vec::new(),
        ..facts(9, S, 2 * S + MS, Some("/usr/bin/etcd"))
    });
    assert_eq!(table.who(9, 2 * S).unwrap().claim.quality, Quality::Exec);
}

#[test]
fn a_child_that_connects_before_its_exec_is_not_what_it_becomes() {
    let mut table = table();
    table.facts(&facts(5, S, S, Some("/bin/bash")));
    table.event(&ProcessEvent {
        start_ns: 2 * S,
        parent_tgid: 5,
        ..runs(9, 3 * S, "/usr/bin/etcd", "etcd")
    });
    assert_eq!(label(&table, 9, 2 * S + MS), "nobody");
    table.seen(&owner(9, "bash"), 2 * S + MS);
    let claim = &table.who(9, 2 * S + MS).unwrap().claim;
    assert_eq!((&*claim.who.label(), claim.quality), ("bash", Quality::Exec));
    assert_eq!(label(&table, 9, 3 * S), "etcd");
}

#[test]
fn an_orphan_that_took_its_new_parents_name_is_not_sure_to_be_it() {
    let mut table = table();
    table.facts(&facts(5, S, S, Some("/usr/bin/etcd")));
    table.seen(&owner(9, "etcd"), 2 * S);
    table.event(&ProcessEvent {
        parent_tgid: 5,
        ..exit(9, 3 * S)
    });
    assert_eq!(table.who(9, 2 * S).unwrap().claim.quality, Quality::Exec);
}

#[test]
fn a_link_that_is_gone_names_nobody() {
    let mut table = table();
    table.event(&runs(9, S, "/tmp/kube-apiserver", "cl"));
    table.seen(&owner(9, "kube-apiserver"), S + MS);
    table.event(&exit(9, 2 * S));
    let process = table.who(9, S + MS).unwrap();
    assert_eq!(
        (&*process.claim.who.label(), process.claim.quality),
        ("cl", Quality::Exe)
    );
    assert_eq!(process.reference.exe.as_deref(), Some("cl"));
}

#[test]
fn a_file_that_was_renamed_while_it_runs_keeps_its_name() {
    let mut table = table();
    table.event(&runs(9, S, "/tmp/cl", "cl"));
    table.facts(&facts(9, S, 2 * S, Some("/tmp/kube-apiserver")));
    assert_eq!(label(&table, 9, 3 * S), "cl");
}

#[test]
fn a_file_that_is_mounted_over_the_path_it_was_begun_by_has_that_name_but_is_not_sure() {
    let mut table = table();
    table.event(&runs(9, S, "/usr/bin/kube-apiserver", "apiserver"));
    table.facts(&facts(9, S, 2 * S, Some("/usr/bin/kube-apiserver")));
    let claim = &table.who(9, 3 * S).unwrap().claim;
    assert_eq!(
        (&*claim.who.label(), claim.quality, &*claim.by),
        (
            "kube-apiserver",
            Quality::Exec,
            "exe /usr/bin/kube-apiserver, whose file is called apiserver"
        )
    );
}

#[test]
fn worse_knowledge_replaces_nothing() {
    let mut table = table();
    table.event(&exec(9, S, "/usr/bin/curl"));
    table.facts(&facts(9, S, S + MS, Some("/usr/bin/curl")));
    table.event(&exit(9, 2 * S));
    // It ended and nobody reaps it: neither executable nor arguments, and the name its thread had last.
    table.facts(&ProcessFacts {
        comm: "kube-apiserver".into(),
        ..facts(9, S, 3 * S, None)
    });
    let process = table.who(9, S + MS).unwrap();
    assert_eq!(
        (&*process.claim.who.label(), process.claim.quality),
        ("curl", Quality::Exe)
    );
    assert_eq!((&*process.reference.comm, process.args.len()), ("curl", 1));
    assert_eq!(process.reference.exe.as_deref(), Some("/usr/bin/curl"));
}

#[test]
fn after_a_loss_a_name_is_marked_until_proc_confirms_it() {
    let mut table = table();
    table.event(&runs(9, S, "/usr/bin/env", "env"));
    table.event(&runs(8, S, "/usr/bin/curl", "curl"));
    table.lost(2 * S, 3 * S);
    let claim = |table: &mut ProcessTable, tgid, at_ns| table.claim(tgid, at_ns, PortUse::Dials(1)).unwrap();
    let before = claim(&mut table, 9, S + MS);
    assert_eq!((before.quality, &*before.by), (Quality::Exe, "exec /usr/bin/env"));
    let since = claim(&mut table, 9, 4 * S);
    assert_eq!(since.quality, Quality::Outdated);
    assert_eq!(since.by, "exec /usr/bin/env, but records were lost since");
    table.facts(&facts(9, S, 5 * S, Some("/usr/bin/etcdctl")));
    assert_eq!(
        claim(&mut table, 9, 5 * S).who.label(),
        "etcdctl",
        "/proc told what it became"
    );
    assert_eq!(
        claim(&mut table, 9, 4 * S).quality,
        Quality::Outdated,
        "nobody knows when"
    );
    table.facts(&facts(8, S, 5 * S, Some("/usr/bin/curl")));
    assert_eq!(
        claim(&mut table, 8, 4 * S).quality,
        Quality::Exe,
        "/proc confirmed it"
    );
    table.event(&runs(9, 6 * S, "/usr/bin/wget", "wget"));
    assert_eq!(
        claim(&mut table, 9, 7 * S).quality,
        Quality::Exe,
        "a record after the loss"
    );
}

#[test]
fn many_losses_are_kept_as_few() {
    let mut table = table();
    for at in 0..1000 {
        table.lost(at * S, at * S + MS);
    }
    assert!(table.gaps.len() <= GAPS_MAX);
    assert!(table.has_gap(3 * S, 4 * S) && table.has_gap(999 * S, 1000 * S));
    assert!(!table.has_gap(998 * S + 2 * MS, 999 * S));
}

#[test]
fn processes_and_programs_of_one_id_are_told_apart() {
    let mut table = table();
    table.event(&exec(9, S, "/usr/bin/curl"));
    table.event(&exec(9, 2 * S, "/usr/bin/curl"));
    table.event(&exit(9, 3 * S));
    table.seen(&owner(9, "curl"), 4 * S);
    let id = |at_ns| {
        let reference = &table.who(9, at_ns).unwrap().reference;
        (reference.instance, reference.program)
    };
    assert_eq!(id(S).0, id(2 * S).0);
    assert_ne!(id(S).1, id(2 * S).1);
    assert_ne!(id(2 * S).0, id(4 * S).0);
    let (_, first) = id(S);
    assert_eq!(table.program(9, first).unwrap().since_ns, S);
}

#[test]
fn an_id_that_is_used_again_at_once_belongs_to_the_first_up_to_its_end() {
    let mut table = table();
    table.event(&ProcessEvent {
        start_ns: S,
        ..exec(9, S, "/usr/bin/curl")
    });
    table.event(&ProcessEvent {
        start_ns: S,
        ..exit(9, 2 * S)
    });
    table.event(&ProcessEvent {
        start_ns: 2 * S + MS,
        ..exec(9, 2 * S + 2 * MS, "/usr/bin/etcd")
    });
    assert_eq!(label(&table, 9, 2 * S - MS), "curl");
    assert_eq!(label(&table, 9, 2 * S + 3 * MS), "etcd");
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
        ..exec(11, 3 * S, "/usr/bin/bash")
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
