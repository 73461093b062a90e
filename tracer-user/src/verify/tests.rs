//! Verdicts by what was seen: a pass needs complete evidence, a reason names who is meant.

use std::sync::Arc;

use std::net::SocketAddr;

use super::{window::CLIENTS_MAX, *};
use crate::{
    attribute::{
        Claim, Quality, Who,
        place::{Place, Pod},
    },
    event::TcpState,
    graph::Programs,
    report::{ClosedBy, Happened, Happening, ProcessRef, Side},
};

const LOCAL_ETCD: &str = "127.0.0.1:2379";

fn well() -> Health {
    Health {
        delivered: 100,
        snapshots: 2,
        canaries: (2, 2),
        programs: Programs {
            asked: 2,
            healed: 9,
            ..Programs::default()
        },
        ..Health::default()
    }
}

fn party(who: Who, quality: Quality, tgid: u32, address: &str) -> Party {
    let comm: Arc<str> = who.label().into();
    Party {
        address: address.parse().unwrap(),
        netns: u32::from(tgid != 0),
        claim: Arc::new(Claim {
            who,
            quality,
            by: "test".to_owned(),
            place: Place::default(),
        }),
        process: (tgid != 0).then_some(ProcessRef {
            tgid,
            instance: tgid.into(),
            program: tgid.into(),
            uid: 0,
            cgroup_id: 0,
            comm,
            exe: None,
            exe_known: false,
        }),
    }
}

fn component(name: &str, tgid: u32, address: &str) -> Party {
    let who = Who::Component {
        name: name.to_owned(),
        role: None,
    };
    party(who, Quality::Exe, tgid, address)
}

fn process(name: &str, tgid: u32) -> Party {
    let who = Who::Process {
        name: name.to_owned(),
    };
    party(who, Quality::Exe, tgid, "127.0.0.1:50000")
}

fn unnamed(tgid: u32) -> Party {
    let who = Who::Unknown {
        reason: "nobody knows".to_owned(),
        guess: None,
    };
    party(who, Quality::Address, tgid, "127.0.0.1:50001")
}

fn external(address: &str) -> Party {
    let socket: SocketAddr = address.parse().unwrap();
    let who = Who::External {
        address: socket.ip(),
        guess: None,
    };
    party(who, Quality::Address, 0, address)
}

fn apiserver() -> Party {
    component("kube-apiserver", 200, "127.0.0.1:40000")
}

fn etcd() -> Party {
    component("etcd", 100, LOCAL_ETCD)
}

fn k3s() -> Party {
    component("k3s-server", 9, "127.0.0.1:1")
}

fn other_etcd() -> Party {
    component("etcd", 101, "10.0.0.1:3")
}

fn row(source: Party, destination: Party) -> ConnectionRow {
    ConnectionRow {
        source,
        destination,
        via: None,
        side: Side::Both,
        state: TcpState::Established,
        counters: None,
        since_unix_ns: Some(5),
        direction_guessed: false,
        paths: Vec::new(),
    }
}

fn known(party: &Party) -> ComponentRow {
    ComponentRow {
        name: party.claim.who.label().into_owned(),
        process: party.process.clone().unwrap(),
        claim: Arc::clone(&party.claim),
        group: "host".to_owned(),
        listening: Vec::new(),
    }
}

/// What listens where a party is, as an etcd called with the ports of this file is.
fn listening(party: &Party) -> ListenerRow {
    ListenerRow {
        party: party.clone(),
        family_v6: false,
        group: "host".to_owned(),
        connections: 0,
        args: Arc::from([
            "etcd".to_owned(),
            "--listen-client-urls=http://127.0.0.1:12379".to_owned(),
        ]),
    }
}

fn happening(what: Happened, source: Party, destination: Party) -> Happening {
    Happening {
        what,
        at_unix_ns: 7,
        source,
        destination,
        via: None,
        netns_name: None,
        side: Side::Both,
        family_v6: false,
        counters: None,
        duration_ns: None,
        direction_guessed: false,
        subflows: 0,
    }
}

/// What one check says of a scene whose window saw `reached`.
fn judge(
    check: Check,
    components: &[Party],
    connections: &[ConnectionRow],
    reached: &[Happening],
    health: &Health,
    allow: &[&str],
) -> Finding {
    let mut window = Window::default();
    for happening in reached {
        window.happening(happening);
    }
    for row in connections {
        window.connection(row);
    }
    let listeners: Vec<ListenerRow> = components.iter().map(listening).collect();
    let components: Vec<ComponentRow> = components.iter().map(known).collect();
    let allow: Vec<String> = allow.iter().map(|name| (*name).to_owned()).collect();
    let scene = Scene {
        window: &window,
        components: &components,
        connections,
        listeners: &listeners,
        health,
        allow: &allow,
    };
    run(&[check], &scene).findings.remove(0)
}

/// Who reached etcd, in an otherwise good scene.
fn reached_by(clients: &[Party], health: &Health, allow: &[&str]) -> Finding {
    let reached: Vec<Happening> = clients
        .iter()
        .map(|client| happening(Happened::Opened, client.clone(), etcd()))
        .collect();
    judge(
        Check::EtcdClients,
        &[etcd(), apiserver(), k3s(), other_etcd()],
        &[],
        &reached,
        health,
        allow,
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn etcd_may_be_reached_by_its_own_and_by_those_allowed() {
    use Verdict::{Fail, Inconclusive, Pass};
    type Case<'a> = (&'a str, Vec<Party>, &'a [&'a str], Verdict, &'a str);
    let thread = Who::Component {
        name: "kube-apiserver".to_owned(),
        role: None,
    };
    let curl = || process("curl", 300);
    let named = |quality| {
        let who = Who::Component {
            name: "kube-apiserver".to_owned(),
            role: None,
        };
        party(who, quality, 402, "127.0.0.1:2")
    };
    let allowed = |quality| {
        let who = Who::Process {
            name: "curl".to_owned(),
        };
        party(who, quality, 403, "127.0.0.1:2")
    };
    let cases: [Case<'_>; 24] = [
        (
            "a copy of an executable under that name",
            vec![component("kube-apiserver", 405, "127.0.0.1:2")],
            &[],
            Inconclusive,
            "kube-apiserver[405]",
        ),
        (
            "a path that may be a link's",
            vec![named(Quality::Exec)],
            &[],
            Inconclusive,
            "kube-apiserver[402]",
        ),
        (
            "an argument alone",
            vec![named(Quality::Argv)],
            &[],
            Inconclusive,
            "kube-apiserver[402]",
        ),
        (
            "what it was before a loss",
            vec![named(Quality::Outdated)],
            &[],
            Inconclusive,
            "kube-apiserver[402]",
        ),
        (
            "allowed by what it says itself",
            vec![allowed(Quality::Argv)],
            &["curl"],
            Inconclusive,
            "curl[403]",
        ),
        (
            "allowed by a link's name",
            vec![allowed(Quality::Exec)],
            &["curl"],
            Inconclusive,
            "curl[403]",
        ),
        (
            "several programs in one file",
            vec![component("hyperkube", 9, "127.0.0.1:1")],
            &[],
            Inconclusive,
            "hyperkube[9]",
        ),
        (
            "the etcd itself, whatever it is called",
            vec![unnamed(100)],
            &[],
            Pass,
            "1 connections",
        ),
        ("nobody", vec![], &[], Inconclusive, "nothing to judge"),
        ("the apiserver", vec![apiserver()], &[], Pass, "1 connections"),
        ("a single-binary apiserver", vec![k3s()], &[], Pass, "expected"),
        ("another etcd", vec![other_etcd()], &[], Pass, "expected"),
        (
            "another component",
            vec![component("kubelet", 9, "127.0.0.1:1")],
            &[],
            Fail,
            "kubelet[9]",
        ),
        ("a process", vec![curl()], &[], Fail, "curl[300]"),
        (
            "one among the expected",
            vec![apiserver(), curl()],
            &[],
            Fail,
            "curl[300]",
        ),
        ("two", vec![process("nc", 301), curl()], &[], Fail, "nc[301]"),
        (
            "an allowed process",
            vec![curl()],
            &["curl"],
            Pass,
            "1 connections",
        ),
        (
            "an allowed address",
            vec![external("10.9.9.9:1")],
            &["10.9.9.9"],
            Pass,
            "expected",
        ),
        (
            "another name is allowed",
            vec![curl()],
            &["wget"],
            Fail,
            "curl[300]",
        ),
        (
            "somebody from elsewhere",
            vec![external("10.9.9.9:1")],
            &[],
            Fail,
            "10.9.9.9",
        ),
        (
            "nobody can say who",
            vec![unnamed(400)],
            &[],
            Inconclusive,
            "unknown[400]",
        ),
        (
            "a process that is called unknown",
            vec![process("unknown", 400)],
            &[],
            Fail,
            "\"unknown\"[400]",
        ),
        (
            "a thread's name alone",
            vec![party(thread.clone(), Quality::Comm, 401, "127.0.0.1:2")],
            &[],
            Inconclusive,
            "kube-apiserver[401]",
        ),
        (
            "unnamed beside foreign",
            vec![unnamed(400), curl()],
            &[],
            Fail,
            "curl[300]",
        ),
    ];
    for (case, clients, allow, verdict, reason) in cases {
        let finding = reached_by(&clients, &well(), allow);
        assert_eq!(finding.verdict, verdict, "{case}: {}", finding.reason);
        assert!(finding.reason.contains(reason), "{case}: {}", finding.reason);
        assert_eq!(finding.evidence.is_empty(), clients.is_empty(), "{case}");
    }
}

/// Everything that makes evidence incomplete, and the word for it.
fn gaps_by_name() -> [(&'static str, Health); 13] {
    let with = |edit: fn(&mut Health)| {
        let mut health = well();
        edit(&mut health);
        health
    };
    [
        ("3 records were lost", with(|h| h.lost = 3)),
        ("could not be decoded", with(|h| h.undecodable = 1)),
        ("openings were missed", with(|h| h.missed = 1)),
        ("endings were missed", with(|h| h.ghosts = 1)),
        ("did not fit", with(|h| h.overflow = 1)),
        ("did not complete", with(|h| h.snapshots = 0)),
        ("no test connection", with(|h| h.canaries = (0, 0))),
        (
            "of 2 test connections the programs saw 1",
            with(|h| h.canaries = (2, 1)),
        ),
        ("recording", with(|h| h.cut_off = true)),
        (
            "nobody asked the kernel whether the programs stayed attached",
            with(|h| h.programs.asked = 0),
        ),
        (
            "the kernel skipped 2 runs of the programs",
            with(|h| h.programs.skipped = 2),
        ),
        (
            "programs were detached: exec_tp_btf",
            with(|h| h.programs.detached = vec!["exec_tp_btf".to_owned()]),
        ),
        (
            "does not count how often it skips: state_tracepoint",
            with(|h| h.programs.uncounted = vec!["state_tracepoint".to_owned()]),
        ),
    ]
}

#[test]
fn no_gap_lets_a_negative_pass_and_none_excuses_a_foreign_client() {
    for (word, health) in gaps_by_name() {
        let clean = reached_by(&[apiserver()], &health, &[]);
        assert_eq!(clean.verdict, Verdict::Inconclusive, "{word}");
        assert!(clean.reason.contains(word), "{word}: {}", clean.reason);
        let foreign = reached_by(&[process("curl", 300)], &health, &[]);
        assert_eq!(foreign.verdict, Verdict::Fail, "{word}: what was seen was seen");
        let without = judge(Check::ApiserverEtcd, &[apiserver()], &[], &[], &health, &[]);
        assert_eq!(without.verdict, Verdict::Inconclusive, "{word}");
        assert!(without.reason.contains(word), "{word}: {}", without.reason);
    }
}

#[test]
fn no_check_passes_on_a_recording_without_its_end() {
    let live = row(apiserver(), etcd());
    for (cut_off, verdict) in [(false, Verdict::Pass), (true, Verdict::Inconclusive)] {
        let health = Health { cut_off, ..well() };
        let all = [apiserver(), etcd()];
        for check in [Check::ApiserverEtcd, Check::EtcdClients] {
            let finding = judge(check, &all, std::slice::from_ref(&live), &[], &health, &[]);
            assert_eq!(finding.verdict, verdict, "{check:?}: {}", finding.reason);
            assert_eq!(finding.reason.contains("the recording ends"), cut_off);
        }
    }
}

#[test]
fn how_a_client_reached_etcd_does_not_matter() {
    use Verdict::{Fail, Inconclusive};
    let by = ClosedBy::Source;
    let refused = Happened::Failed {
        failure: crate::event::Failure::Refused,
        errno: Some(111),
    };
    let cases = [
        ("it opened a connection", Some(Happened::Opened), Fail),
        (
            "its connection ended, whenever it began",
            Some(Happened::Closed { by }),
            Fail,
        ),
        ("it was refused", Some(refused), Inconclusive),
        ("it holds one since before", None, Fail),
    ];
    for (case, what, verdict) in cases {
        let (curl, etcd) = (process("curl", 300), etcd());
        let all = [etcd.clone(), apiserver()];
        let finding = match what {
            Some(what) => {
                let reached = [happening(what, curl, etcd)];
                judge(Check::EtcdClients, &all, &[], &reached, &well(), &[])
            }
            None => judge(Check::EtcdClients, &all, &[row(curl, etcd)], &[], &well(), &[]),
        };
        assert_eq!(finding.verdict, verdict, "{case}");
    }
}

#[test]
fn only_the_client_port_of_an_etcd_here_is_judged() {
    use Verdict::{Fail, Inconclusive};
    let at = |address| component("etcd", 100, address);
    let far = external("10.9.9.9:2379");
    let other = party(
        Who::Process {
            name: "my-etcd".to_owned(),
        },
        Quality::Exe,
        100,
        "127.0.0.1:2379",
    );
    let cases = [
        ("the peer port", vec![etcd()], at("127.0.0.1:2380"), Inconclusive),
        ("an etcd elsewhere", vec![], far, Inconclusive),
        (
            "another port, for clients",
            vec![at("0.0.0.0:12379")],
            at("127.0.0.1:12379"),
            Fail,
        ),
        (
            "a port of which nobody knows for whom it is",
            vec![at("0.0.0.0:4001")],
            at("127.0.0.1:4001"),
            Inconclusive,
        ),
        ("whoever listens on the usual port", vec![], other, Fail),
    ];
    for (case, components, destination, verdict) in cases {
        let reached = [happening(Happened::Opened, process("curl", 300), destination)];
        let finding = judge(Check::EtcdClients, &components, &[], &reached, &well(), &[]);
        assert_eq!(finding.verdict, verdict, "{case}: {}", finding.reason);
    }
    let nobody = judge(Check::EtcdClients, &[], &[], &[], &well(), &[]);
    assert_eq!(nobody.verdict, Inconclusive);
    assert!(nobody.reason.contains("no etcd"));
}

#[test]
fn only_the_control_planes_own_pods_are_expected() {
    use Verdict::{Fail, Inconclusive, Pass};
    let within = |party: Party, uid: &str, namespace: &str, name: &str| {
        let pod = Pod {
            uid: uid.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Pod::default()
        };
        let place = Place {
            pod: Some(Arc::new(pod)),
            ..Place::default()
        };
        Party {
            claim: Arc::new(Claim {
                place,
                ..Claim::clone(&party.claim)
            }),
            ..party
        }
    };
    let hash = "40fd1c883492798a973420b1590f1fa1";
    let cases = [
        (
            "its static pod",
            within(apiserver(), hash, "kube-system", "kube-apiserver-n1"),
            etcd(),
            Pass,
        ),
        (
            "a pod nobody named",
            within(apiserver(), "7f-1", "", ""),
            etcd(),
            Inconclusive,
        ),
        (
            "somebody's pod",
            within(apiserver(), "7f-1", "team", "kube-apiserver-1"),
            etcd(),
            Fail,
        ),
        (
            "a cluster in pods",
            within(apiserver(), "7f-1", "team", "kube-apiserver-1"),
            within(etcd(), "7f-2", "team", "etcd-0"),
            Inconclusive,
        ),
    ];
    for (case, client, server, verdict) in cases {
        let reached = [happening(Happened::Opened, client.clone(), server.clone())];
        let finding = judge(Check::EtcdClients, &[server, client], &[], &reached, &well(), &[]);
        assert_eq!(finding.verdict, verdict, "{case}: {}", finding.reason);
    }
}

#[test]
fn a_process_id_that_is_used_again_and_a_process_that_becomes_another_are_two_clients() {
    let as_other = |instance, program| {
        let mut curl = process("curl", 200);
        let mut server = apiserver();
        for party in [&mut curl, &mut server] {
            party.address = "127.0.0.1:40000".parse().unwrap();
        }
        let reference = curl.process.as_mut().unwrap();
        (reference.instance, reference.program) = (instance, program);
        [server, curl]
    };
    for (case, clients) in [
        ("another process", as_other(7, 7)),
        ("another program", as_other(200, 8)),
    ] {
        let both = reached_by(&clients, &well(), &[]);
        assert_eq!(both.verdict, Verdict::Fail, "{case}");
        assert!(both.reason.contains("curl[200]"), "{case}: {}", both.reason);
        let mut turned = clients;
        turned.reverse();
        assert_eq!(
            reached_by(&turned, &well(), &[]).verdict,
            Verdict::Fail,
            "{case}, turned"
        );
    }
    let [_, other] = as_other(7, 7);
    let held = [row(other, etcd())];
    let finding = judge(Check::ApiserverEtcd, &[apiserver()], &held, &[], &well(), &[]);
    assert_eq!(finding.verdict, Verdict::Fail, "its id's other process holds one");
}

#[test]
fn names_are_made_anew_at_the_end() {
    let mut window = Window::default();
    window.happening(&happening(Happened::Opened, apiserver(), etcd()));
    let known = [etcd(), apiserver()].map(|party| listening(&party));
    let judged = |window: &Window| {
        let scene = Scene {
            window,
            components: &[],
            connections: &[],
            listeners: &known,
            health: &well(),
            allow: &[],
        };
        run(&[Check::EtcdClients], &scene).verdict()
    };
    assert_eq!(judged(&window), Verdict::Pass);
    window.rename(|party, _| (party.address.port() == 2379).then(|| Arc::clone(&party.claim)));
    assert_eq!(judged(&window), Verdict::Inconclusive, "the client was forgotten");
    window.rename(|party, _| {
        let who = if party.address.port() == 2379 {
            etcd()
        } else {
            process("bash", 1)
        };
        Some(who.claim)
    });
    assert_eq!(judged(&window), Verdict::Fail, "it was another program then");
}

#[test]
fn each_connection_is_counted_once_whenever_it_began() {
    let closed = |duration_ns| Happening {
        duration_ns,
        ..happening(
            Happened::Closed { by: ClosedBy::Source },
            process("curl", 300),
            etcd(),
        )
    };
    let opened = happening(Happened::Opened, process("curl", 300), etcd());
    let older = ConnectionRow {
        since_unix_ns: None,
        ..row(process("curl", 300), etcd())
    };
    let cases: [(&str, Vec<Happening>, Vec<ConnectionRow>, u64); 4] = [
        (
            "it opened and closed",
            vec![opened.clone(), closed(Some(5))],
            vec![],
            1,
        ),
        ("it was there and closed", vec![closed(None)], vec![], 1),
        ("it was there and stays", vec![], vec![older.clone()], 1),
        ("one of each", vec![opened, closed(None)], vec![older], 3),
    ];
    for (case, reached, rows, count) in cases {
        let finding = judge(Check::EtcdClients, &[etcd()], &rows, &reached, &well(), &[]);
        let total: u64 = finding.evidence.iter().map(|one| one.connections).sum();
        assert_eq!((finding.verdict, total), (Verdict::Fail, count), "{case}");
    }
}

#[test]
fn nothing_passes_on_a_recording_that_breaks_off() {
    let health = Health {
        cut_off: true,
        ..well()
    };
    let held = [row(apiserver(), etcd())];
    let reached = [happening(Happened::Opened, apiserver(), etcd())];
    for check in [Check::ApiserverEtcd, Check::EtcdClients] {
        let finding = judge(check, &[etcd(), apiserver()], &held, &reached, &health, &[]);
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{}", finding.reason);
        assert!(finding.reason.contains("recording"), "{}", finding.reason);
    }
}

#[test]
fn what_calls_itself_an_apiserver_or_an_etcd_proves_nothing() {
    let says = |name: &str, tgid, address| {
        let who = Who::Component {
            name: name.to_owned(),
            role: None,
        };
        party(who, Quality::Argv, tgid, address)
    };
    let liar = || says("kube-apiserver", 200, "127.0.0.1:40000");
    let cases = [
        ("an apiserver", liar(), etcd()),
        ("an etcd", apiserver(), says("etcd", 100, LOCAL_ETCD)),
    ];
    for (case, client, server) in cases {
        let held = [row(client.clone(), server.clone())];
        let finding = judge(Check::ApiserverEtcd, &[client, server], &held, &[], &well(), &[]);
        assert_eq!(
            finding.verdict,
            Verdict::Inconclusive,
            "{case}: {}",
            finding.reason
        );
    }
}

#[test]
fn clients_that_do_not_fit_the_list_are_a_gap() {
    let clients: Vec<Party> = (0..=CLIENTS_MAX)
        .map(|number| {
            component(
                "kube-apiserver",
                1000 + u32::try_from(number).unwrap(),
                "127.0.0.1:1",
            )
        })
        .collect();
    let finding = reached_by(&clients, &well(), &[]);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(
        finding.reason.contains("1 clients did not fit"),
        "{}",
        finding.reason
    );
}

#[test]
fn every_apiserver_needs_a_live_connection_to_an_etcd() {
    use Verdict::{Fail, Inconclusive, Pass};
    type Case<'a> = (&'a str, Vec<Party>, Vec<ConnectionRow>, Verdict, &'a str);
    let other = || component("kube-apiserver", 201, "127.0.0.1:40001");
    let closing = ConnectionRow {
        state: TcpState::CloseWait,
        ..row(apiserver(), etcd())
    };
    let cases: [Case<'_>; 9] = [
        (
            "no apiserver",
            vec![etcd()],
            vec![],
            Inconclusive,
            "no kube-apiserver",
        ),
        (
            "one with",
            vec![apiserver()],
            vec![row(apiserver(), etcd())],
            Pass,
            "1 of 1",
        ),
        (
            "one without",
            vec![apiserver()],
            vec![],
            Fail,
            "kube-apiserver[200]",
        ),
        (
            "one of two without",
            vec![apiserver(), other()],
            vec![row(apiserver(), etcd())],
            Fail,
            "kube-apiserver[201]",
        ),
        (
            "both with",
            vec![apiserver(), other()],
            vec![row(apiserver(), etcd()), row(other(), etcd())],
            Pass,
            "2 of 2",
        ),
        (
            "an etcd elsewhere, by its port",
            vec![apiserver()],
            vec![row(apiserver(), external("10.9.9.9:2379"))],
            Pass,
            "1 connections",
        ),
        (
            "something else elsewhere",
            vec![apiserver()],
            vec![row(apiserver(), external("10.9.9.9:443"))],
            Fail,
            "kube-apiserver[200]",
        ),
        (
            "it is closing",
            vec![apiserver()],
            vec![closing],
            Fail,
            "kube-apiserver[200]",
        ),
        (
            "the other way round",
            vec![apiserver()],
            vec![row(etcd(), apiserver())],
            Fail,
            "kube-apiserver[200]",
        ),
    ];
    for (case, components, connections, verdict, reason) in cases {
        let finding = judge(Check::ApiserverEtcd, &components, &connections, &[], &well(), &[]);
        assert_eq!(finding.verdict, verdict, "{case}: {}", finding.reason);
        assert!(finding.reason.contains(reason), "{case}: {}", finding.reason);
    }
}

#[test]
fn the_worst_finding_is_the_verdict() {
    use Verdict::{Fail, Inconclusive, Pass};
    let report = |verdicts: &[Verdict]| Report {
        findings: verdicts
            .iter()
            .map(|verdict| Finding {
                check: Check::EtcdClients,
                verdict: *verdict,
                reason: String::new(),
                evidence: Vec::new(),
            })
            .collect(),
    };
    assert_eq!(report(&[]).verdict(), Inconclusive, "nothing was checked");
    assert_eq!(report(&[Pass, Pass]).verdict(), Pass);
    assert_eq!(report(&[Pass, Inconclusive]).verdict(), Inconclusive);
    assert_eq!(report(&[Inconclusive, Fail, Pass]).verdict(), Fail);
}
