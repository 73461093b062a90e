//! The choice of backends, kernel by kernel.

use super::*;
use crate::loader::features::{Capabilities, Capability, Fact, Facts, Getsockopt, TypeFacts};

/// A kernel on which everything works.
fn newest() -> Facts {
    Facts {
        release: "6.18.0".into(),
        version: Some((6, 18)),
        btf: Fact::Yes,
        types: Some(TypeFacts {
            connect_parameters: Some(1),
            accept_parameters: Some(2),
            typed_tracepoints: true,
            socket_iterator: true,
            ipv6: true,
            getsockopt: Some(Getsockopt::Sk),
            icmp_send: true,
        }),
        kprobes: Fact::Yes,
        fentry_refused: None,
        release_refused: None,
        tracefs: Some("/sys/kernel/tracing".into()),
        bpf: Fact::Yes,
        capabilities: Capabilities(u64::MAX),
        initial_pid_ns: Fact::Yes,
        cgroup2: Some("/sys/fs/cgroup".into()),
        memlock: Fact::Yes,
    }
}

fn with(edit: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = newest();
    edit(&mut facts);
    facts
}

fn types(edit: impl FnOnce(&mut TypeFacts)) -> Facts {
    with(|facts| edit(facts.types.as_mut().unwrap()))
}

fn no_btf(facts: &mut Facts) {
    facts.btf = Fact::No("built without it".into());
    facts.types = None;
}

fn no_kprobes(facts: &mut Facts) {
    facts.kprobes = Fact::No("kprobes are not built in".into());
}

fn no_fentry(facts: &mut Facts) {
    facts.fentry_refused = Some("Operation not permitted".into());
}

/// connect accept failure state process snapshot.
fn names(plan: &Plan) -> String {
    let names: Vec<String> = plan
        .backends()
        .into_iter()
        .map(|backend| backend.backend)
        .collect();
    names.join(" ")
}

/// Names, then the number of degradations; or the error.
fn outcome(facts: &Facts, probes: Probes, snapshots: Snapshots) -> String {
    match plan(facts, probes, snapshots) {
        Ok(plan) => format!("{} /{}", names(&plan), plan.degraded.len()),
        Err(error) => format!("error: {error}"),
    }
}

fn automatic(cases: &[(&str, Facts, &str)]) {
    for (name, facts, want) in cases {
        let got = outcome(facts, Probes::Auto, Snapshots::Auto);
        assert!(got.starts_with(want), "case: {name}: {got}");
    }
}

/// What is forced, the kernel, both options, the beginning of the outcome.
type Forced<'a> = (&'a str, Facts, Probes, Snapshots, &'a str);

fn forced(cases: &[Forced<'_>]) {
    for (name, facts, probes, snapshots, want) in cases {
        let got = outcome(facts, *probes, *snapshots);
        assert!(got.starts_with(want), "case: {name}: {got}");
    }
}

#[test]
fn every_kernel_gets_the_best_it_has() {
    let cases: &[(&str, Facts, &str)] = &[
        (
            "6.18 with everything",
            newest(),
            "fentry fexit fexit tp_btf tp_btf iterator /0",
        ),
        (
            "6.1, whose accept has four parameters",
            types(|types| types.accept_parameters = Some(4)),
            "fentry fexit fexit tp_btf tp_btf iterator /0",
        ),
        (
            "a future accept with three parameters",
            types(|types| types.accept_parameters = Some(3)),
            "fentry kretprobe fexit tp_btf tp_btf iterator /0",
        ),
        (
            "5.10, without bpf_sock_from_file",
            types(|types| types.socket_iterator = false),
            "fentry fexit fexit tp_btf tp_btf procfs /1",
        ),
        (
            "arm64 before 6.4: typed tracepoints but no fentry",
            with(no_fentry),
            "kprobe kretprobe kretprobe tp_btf tp_btf iterator /0",
        ),
        (
            "fentry refused and no kprobes, as in small virtual machines",
            with(|facts| (no_fentry(facts), no_kprobes(facts)).1),
            "state release cgroup tp_btf tp_btf iterator /2",
        ),
        (
            "the same before 5.9, or where somebody's program allows no other at the root of cgroup v2",
            with(|facts| {
                no_fentry(facts);
                no_kprobes(facts);
                facts.release_refused = Some("Invalid argument".into());
            }),
            "state listener state tp_btf tp_btf iterator /2",
        ),
        (
            "kprobes that cannot be found out are tried",
            with(|facts| {
                no_fentry(facts);
                facts.kprobes = Fact::Unknown("no sysfs".into());
            }),
            "kprobe kretprobe kretprobe tp_btf tp_btf iterator /0",
        ),
        (
            "5.4: types, but neither fentry nor typed tracepoints",
            with(|facts| {
                no_fentry(facts);
                let types = facts.types.as_mut().unwrap();
                (types.typed_tracepoints, types.socket_iterator) = (false, false);
            }),
            "kprobe kretprobe kretprobe raw_tracepoint raw_tracepoint procfs /1",
        ),
        (
            "no type information: only the stable tracepoint format is left",
            with(no_btf),
            "state listener state tracepoint none procfs /5",
        ),
        (
            "neither type information nor tracefs",
            with(|facts| {
                no_btf(facts);
                facts.tracefs = None;
            }),
            "error: changes of TCP state cannot be observed: built without it, and tracefs is not mounted",
        ),
    ];
    automatic(cases);
}

#[test]
fn what_this_process_may_do_decides_too() {
    let unprivileged = Capabilities(1 << Capability::Bpf as u8 | 1 << Capability::Perfmon as u8);
    let cases: &[(&str, Facts, &str)] = &[
        (
            "bpf() refused",
            with(|facts| facts.bpf = Fact::No("CAP_BPF missing".into())),
            "error: this kernel does not let kcn-trace load programs: CAP_BPF missing",
        ),
        (
            "bpf() not tried",
            with(|facts| facts.bpf = Fact::Unknown("it was not tried".into())),
            "fentry fexit fexit tp_btf tp_btf iterator /0",
        ),
        (
            "only the capabilities that loading needs",
            with(|facts| facts.capabilities = unprivileged),
            "fentry fexit fexit tp_btf tp_btf iterator /1",
        ),
        (
            "the same where sockets are read from /proc",
            with(|facts| {
                facts.capabilities = unprivileged;
                facts.types.as_mut().unwrap().socket_iterator = false;
            }),
            "fentry fexit fexit tp_btf tp_btf procfs /3",
        ),
        (
            "a container with its own pids and without the cgroup tree",
            with(|facts| {
                facts.initial_pid_ns = Fact::No("in a namespace".into());
                facts.cgroup2 = None;
            }),
            "fentry fexit fexit tp_btf tp_btf iterator /2",
        ),
    ];
    automatic(cases);
}

#[test]
fn a_forced_choice_is_taken_where_it_works() {
    use Snapshots::{Auto, Iterator, Procfs};
    forced(&[
        (
            "fentry",
            newest(),
            Probes::Fentry,
            Auto,
            "fentry fexit fexit tp_btf tp_btf iterator /0",
        ),
        (
            "kprobes come with raw tracepoints",
            newest(),
            Probes::Kprobe,
            Auto,
            "kprobe kretprobe kretprobe raw_tracepoint raw_tracepoint iterator /0",
        ),
        (
            "tracepoints alone",
            newest(),
            Probes::Tracepoint,
            Auto,
            "state release cgroup tp_btf tp_btf iterator /2",
        ),
        (
            "tracepoints without type information",
            with(no_btf),
            Probes::Tracepoint,
            Auto,
            "state listener state tracepoint none procfs /5",
        ),
        (
            "sockets from /proc",
            newest(),
            Probes::Auto,
            Procfs,
            "fentry fexit fexit tp_btf tp_btf procfs /1",
        ),
        (
            "the iterator",
            newest(),
            Probes::Auto,
            Iterator,
            "fentry fexit fexit tp_btf tp_btf iterator /0",
        ),
    ]);
}

#[test]
fn a_forced_choice_that_cannot_work_is_refused_by_name() {
    use Snapshots::{Auto, Iterator};
    forced(&[
        (
            "fentry where it is refused",
            with(no_fentry),
            Probes::Fentry,
            Auto,
            "error: --probe fentry cannot work here, connect has no fentry: the kernel refuses fentry: Operation",
        ),
        (
            "fentry with an unknown accept",
            types(|types| types.accept_parameters = None),
            Probes::Fentry,
            Auto,
            "error: --probe fentry cannot work here, accept has no fexit: the kernel has no function",
        ),
        (
            "kprobe where there are none",
            with(no_kprobes),
            Probes::Kprobe,
            Auto,
            "error: --probe kprobe cannot work here, connect has no kprobe: kprobes are not built in",
        ),
        (
            "kprobe without offsets",
            with(no_btf),
            Probes::Kprobe,
            Auto,
            "error: --probe kprobe cannot work here, connect has no kprobe: built without it",
        ),
        (
            "the iterator where there is none",
            types(|types| types.socket_iterator = false),
            Probes::Auto,
            Iterator,
            "error: --snapshot iterator cannot work here, snapshot has no iterator: the kernel has no bpf_sock",
        ),
    ]);
}

#[test]
fn the_slot_of_the_returned_value_follows_the_prototype() {
    for (parameters, want) in [(4, Accept::Fexit4), (2, Accept::Fexit2)] {
        let facts = types(|types| types.accept_parameters = Some(parameters));
        assert_eq!(
            plan(&facts, Probes::Auto, Snapshots::Auto)
                .unwrap()
                .accept
                .backend,
            want
        );
    }
}

#[test]
fn only_what_is_not_the_best_has_a_reason() {
    let best = plan(&newest(), Probes::Auto, Snapshots::Auto).unwrap();
    assert!(
        best.backends().iter().all(|backend| backend.why.is_empty()),
        "{best:?}"
    );
    let facts = with(|facts| (no_fentry(facts), no_kprobes(facts)).1);
    let poor = plan(&facts, Probes::Auto, Snapshots::Auto).unwrap();
    let why = "the kernel refuses fentry: Operation not permitted; kprobes are not built in";
    assert_eq!(
        (
            poor.connect.why.as_str(),
            poor.accept.why.as_str(),
            poor.state.why.as_str()
        ),
        (why, why, "")
    );
    let forced = plan(&newest(), Probes::Kprobe, Snapshots::Procfs).unwrap();
    assert_eq!(forced.accept.why, "--probe kprobe was given");
    assert_eq!(forced.snapshot.why, "--snapshot procfs was given");
}

#[test]
fn every_degradation_names_cause_and_remedy() {
    let facts = with(|facts| {
        no_btf(facts);
        facts.capabilities = Capabilities(0);
        facts.initial_pid_ns = Fact::No("in a namespace".into());
        facts.cgroup2 = None;
    });
    let plan = plan(&facts, Probes::Auto, Snapshots::Auto).unwrap();
    assert_eq!(plan.degraded.len(), 9);
    for Degraded { what, why, remedy } in &plan.degraded {
        assert!(
            !what.is_empty() && !why.is_empty() && !remedy.is_empty(),
            "{what}: {why}: {remedy}"
        );
    }
}
