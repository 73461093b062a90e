//! Translated connections: two ends that call it by different addresses are one, whatever comes first; others are not.

use proptest::prelude::*;

use super::*;
use crate::signal::nat::NatFacts;

const CLIENT: &str = "10.244.0.4:40000";
const SERVICE: &str = "10.96.100.100:80";
const BACKEND: &str = "10.244.0.3:8080";
const OTHER_BACKEND: &str = "10.244.0.5:8080";
const BACKEND_NS: u32 = 4_026_532_300;

fn facts(at_ns: u64, original: (&str, &str), reply: (&str, &str)) -> NatFacts {
    NatFacts {
        at_ns,
        netns: HOST,
        gone: false,
        original_source: addr(original.0),
        original_destination: addr(original.1),
        reply_source: addr(reply.0),
        reply_destination: addr(reply.1),
    }
}

/// Pod to service to pod, as kube-proxy translates it.
fn dnat(at_ns: u64) -> NatFacts {
    facts(at_ns, (CLIENT, SERVICE), (BACKEND, CLIENT))
}

fn gone(of: NatFacts, at_ns: u64) -> NatFacts {
    NatFacts {
        at_ns,
        gone: true,
        ..of
    }
}

/// The ends of a translated connection, the client's connect being at `since_ns`.
fn ends(number: u64, since_ns: u64, nat: &NatFacts) -> (Socket, Socket) {
    let near = Socket {
        netns: POD,
        local: nat.original_source,
        remote: nat.original_destination,
        ..client(number, since_ns, CLIENT, SERVICE)
    };
    let far = Socket {
        netns: BACKEND_NS,
        local: nat.reply_source,
        remote: nat.reply_destination,
        since_ns: since_ns + MS / 2,
        ..server(&near)
    };
    (near, far)
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum News {
    Near,
    Far,
    Nat,
}

const ORDERS: [[News; 3]; 6] = [
    [News::Near, News::Far, News::Nat],
    [News::Near, News::Nat, News::Far],
    [News::Far, News::Near, News::Nat],
    [News::Far, News::Nat, News::Near],
    [News::Nat, News::Near, News::Far],
    [News::Nat, News::Far, News::Near],
];

#[test]
fn in_whatever_order_the_news_come_a_translated_connection_is_one() {
    let masqueraded = facts(
        10 * MS + 1,
        (CLIENT, "192.168.59.150:31000"),
        (BACKEND, "10.244.0.1:61000"),
    );
    let six = facts(
        10 * MS + 1,
        ("[fd00::4]:40000", "[fd96::10]:80"),
        ("[fd00::3]:8080", "[fd00::4]:40000"),
    );
    let hairpin = facts(10 * MS + 1, (CLIENT, SERVICE), ("10.244.0.4:8080", CLIENT));
    let outside = facts(
        10 * MS + 1,
        (CLIENT, "192.168.7.7:443"),
        ("192.168.7.7:443", "192.168.59.150:40000"),
    );
    let cases = [
        ("a service", dnat(10 * MS + 1), BACKEND_NS),
        ("a node port, masqueraded", masqueraded, BACKEND_NS),
        ("IPv6", six, BACKEND_NS),
        ("a pod that reaches itself by a service", hairpin, POD),
        ("masqueraded only", outside, BACKEND_NS),
    ];
    for (case, nat, far_ns) in cases {
        let (near, far) = ends(1, 10 * MS, &nat);
        let far = Socket { netns: far_ns, ..far };
        for order in ORDERS {
            let mut run = Run::begun();
            for news in order {
                match news {
                    News::Near => run.event(&near.opened(11 * MS)),
                    News::Far => run.event(&far.opened(11 * MS)),
                    News::Nat => run.tracker.nat(&nat),
                }
            }
            run.take();
            assert_eq!(run.told(), ["opened"], "{case}: {order:?}");
            let one = run.only();
            assert!(one.is_joined(), "{case}: {order:?}");
            assert_eq!(one.source_addr, nat.original_source, "{case}: {order:?}");
            assert_eq!(one.destination_addr, nat.reply_source, "{case}: {order:?}");
            let via = Some(nat.original_destination).filter(|dialled| *dialled != nat.reply_source);
            assert_eq!(one.via, via, "{case}: {order:?}");
            run.event(&near.closed(12 * MS));
            run.event(&far.closed(12 * MS));
            assert_eq!(run.told(), ["opened", "closed", "finished"], "{case}: {order:?}");
            assert!(run.tracker.by_tuple.is_empty(), "{case}: {order:?}");
            assert!(run.tracker.by_socket.is_empty(), "{case}: {order:?}");
            assert_eq!(run.tracker.audit().ghosts, 0, "{case}: {order:?}");
        }
    }
}

#[test]
fn a_redirect_inside_a_pod_joins_there_and_nowhere_else() {
    let nat = NatFacts {
        netns: POD,
        ..facts(10 * MS + 1, (CLIENT, SERVICE), ("127.0.0.1:15001", CLIENT))
    };
    for (case, far_ns, joins) in [("the pod's", POD, true), ("another pod's", BACKEND_NS, false)] {
        let (near, far) = ends(1, 10 * MS, &nat);
        let far = Socket { netns: far_ns, ..far };
        for order in ORDERS {
            let mut run = Run::begun();
            for news in order {
                match news {
                    News::Near => run.event(&near.opened(11 * MS)),
                    News::Far => run.event(&far.opened(11 * MS)),
                    News::Nat => run.tracker.nat(&nat),
                }
            }
            assert_eq!(
                run.tracker.connections().any(|one| one.is_joined()),
                joins,
                "{case}: {order:?}"
            );
        }
    }
}

#[test]
fn one_end_alone_tells_what_the_translation_knows_of_the_other() {
    let nat = facts(
        10 * MS + 1,
        (CLIENT, "192.168.59.150:31000"),
        (BACKEND, "10.244.0.1:61000"),
    );
    let (near, far) = ends(1, 10 * MS, &nat);
    for (case, end) in [("the client", near), ("the server", far)] {
        for nat_first in [true, false] {
            let mut run = Run::begun();
            if nat_first {
                run.tracker.nat(&nat);
            }
            run.event(&end.opened(11 * MS));
            if !nat_first {
                run.tracker.nat(&nat);
            }
            if nat_first {
                run.tick(300 * MS);
                assert_eq!(
                    run.told(),
                    Vec::<&str>::new(),
                    "{case}: the other end may be told late"
                );
            }
            run.tick(700 * MS);
            let one = run.only();
            assert_eq!(run.told(), ["opened"], "{case}");
            assert_eq!(one.source_addr, nat.original_source, "{case}");
            assert_eq!(one.destination_addr, nat.reply_source, "{case}");
            assert_eq!(one.via, Some(nat.original_destination), "{case}");
            run.event(&end.closed(800 * MS));
            run.tick(1500 * MS);
            assert_eq!(run.told(), ["opened", "closed", "finished"], "{case}");
            assert!(run.tracker.by_tuple.is_empty(), "{case}");
        }
    }
}

#[test]
fn news_after_both_ends_were_told_alone_make_them_one_that_ends_once() {
    let nat = dnat(10 * MS + 1);
    let (near, far) = ends(1, 10 * MS, &nat);
    let mut run = Run::begun();
    run.event(&near.opened(11 * MS));
    run.event(&far.opened(11 * MS));
    run.tick(700 * MS);
    assert_eq!(run.told(), ["opened", "opened"], "nobody knew better");
    run.tracker.nat(&NatFacts {
        at_ns: 700 * MS,
        ..nat
    });
    run.take();
    assert!(run.only().is_joined());
    run.event(&far.closed(800 * MS));
    run.event(&near.closed(800 * MS));
    assert_eq!(run.told(), ["opened", "opened", "closed", "finished"]);
}

#[test]
fn what_is_older_than_the_tracer_is_joined_by_what_the_table_holds() {
    let nat = dnat(5 * MS);
    let (near, far) = ends(1, 3 * MS, &nat);
    let rows = [old(near).row(4 * MS, 10), old(far).row(4 * MS, 100)];
    let web = listener(9, 3 * MS, BACKEND_NS, "0.0.0.0:8080", 100).listen_row(4 * MS, 100, true);
    for (case, nat_first) in [("the table first", true), ("the snapshot first", false)] {
        let mut run = Run::new();
        if nat_first {
            run.tracker.nat(&nat);
        }
        run.snapshot(4 * MS, &[rows[0], rows[1], web], &[]);
        if !nat_first {
            run.tracker.nat(&nat);
        }
        run.take();
        let one = run.only();
        assert!(one.is_joined() && !one.direction_guessed, "{case}");
        assert_eq!(one.via, Some(addr(SERVICE)), "{case}");
        assert_eq!(run.told(), [""; 0], "{case}: older than the tracer is no news");
        run.event(&near.closed(20 * MS));
        run.event(&far.closed(20 * MS));
        assert_eq!(run.told(), ["closed", "finished"], "{case}");
    }
}

#[test]
fn a_failed_connect_tells_the_backend_it_failed_at() {
    let nat = dnat(10 * MS + 1);
    let (near, _) = ends(1, 10 * MS, &nat);
    let mut run = Run::begun();
    run.tracker.nat(&nat);
    run.event(&near.at(11 * MS, What::Failed, TcpState::SynSent));
    let [Change::Failed(one)] = run.changes[..] else {
        panic!("{:?}", run.changes)
    };
    assert_eq!(
        (one.destination_addr, one.via),
        (addr(BACKEND), Some(addr(SERVICE)))
    );
}

#[test]
fn a_port_used_again_goes_where_its_own_translation_says() {
    let first = dnat(10 * MS + 1);
    let second = facts(20 * MS + 1, (CLIENT, SERVICE), (OTHER_BACKEND, CLIENT));
    let (near, far) = ends(1, 10 * MS, &first);
    let (near_again, far_again) = ends(2, 20 * MS, &second);
    // Whether the end of the first translation is told, and whether both translations are known before any record.
    for (told, early) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut run = Run::begun();
        let second_nat = |run: &mut Run| {
            if told {
                run.tracker.nat(&gone(first, 20 * MS));
            }
            run.tracker.nat(&second);
        };
        run.tracker.nat(&first);
        if early {
            second_nat(&mut run);
        }
        for end in [near, far] {
            run.event(&end.opened(11 * MS));
        }
        let one = run.only();
        assert!(one.is_joined(), "{told} {early}");
        assert_eq!(one.destination_addr, addr(BACKEND), "{told} {early}");
        for end in [near, far] {
            run.event(&end.closed(12 * MS));
        }
        run.event(&far_again.opened(21 * MS));
        run.event(&near_again.opened(21 * MS));
        if !early {
            second_nat(&mut run);
        }
        run.take();
        let one = run.only();
        assert!(one.is_joined(), "{told} {early}");
        assert_eq!(one.destination_addr, addr(OTHER_BACKEND), "{told} {early}");
        assert_eq!(run.tracker.audit().ghosts, 0, "{told} {early}");
    }
}

/// Makes the translation another's.
type Spoil = fn(&mut Socket, &mut Socket, &mut NatFacts);

#[test]
fn a_translation_that_is_not_theirs_joins_nobody() {
    let nat = dnat(10 * MS);
    let cases: [(&str, Spoil); 6] = [
        ("learnt before the client connected", |near, far, _| {
            near.since_ns = 11 * MS;
            far.since_ns = 11 * MS + 1;
        }),
        ("of another service", |_, _, nat| {
            nat.original_destination = addr("10.96.0.1:80");
        }),
        ("of another backend", |_, _, nat| {
            nat.reply_source = addr(OTHER_BACKEND);
        }),
        ("of another client", |_, _, nat| {
            nat.original_source = addr("10.244.0.6:40000");
        }),
        ("masqueraded as somebody else", |_, _, nat| {
            nat.reply_destination = addr("10.244.0.1:40000");
        }),
        ("who accepted was there before who connected", |near, far, nat| {
            (far.since_ns, near.since_ns, nat.at_ns) = (5 * MS, 10 * MS, 11 * MS);
        }),
    ];
    for (case, change) in cases {
        let mut nat = nat;
        let (mut near, mut far) = ends(1, 9 * MS, &nat);
        change(&mut near, &mut far, &mut nat);
        for order in ORDERS {
            let mut run = Run::begun();
            for news in order {
                match news {
                    News::Near => run.event(&near.opened(12 * MS)),
                    News::Far => run.event(&far.opened(12 * MS)),
                    News::Nat => run.tracker.nat(&nat),
                }
            }
            run.tick(700 * MS);
            assert_eq!(run.count("opened"), 2, "{case}: {order:?}");
            assert!(
                !run.tracker.connections().any(|one| one.is_joined()),
                "{case}: {order:?}"
            );
        }
    }
}

#[test]
fn two_clients_are_not_joined_by_a_translation() {
    let nat = dnat(10 * MS + 1);
    let (near, far) = ends(1, 10 * MS, &nat);
    let far = Socket {
        role: Role::Active,
        ..far
    };
    for order in ORDERS {
        let mut run = Run::begun();
        for news in order {
            match news {
                News::Near => run.event(&near.opened(11 * MS)),
                News::Far => run.event(&far.opened(11 * MS)),
                News::Nat => run.tracker.nat(&nat),
            }
        }
        run.tick(700 * MS);
        assert_eq!(run.tracker.connections().count(), 2, "{order:?}");
        assert!(!run.tracker.connections().any(|one| one.is_joined()), "{order:?}");
    }
}

#[test]
fn a_direct_connection_is_not_taken_for_a_stale_translation() {
    let stale = dnat(10 * MS);
    let near = Socket {
        netns: POD,
        ..client(1, 20 * MS, CLIENT, BACKEND)
    };
    let far = Socket {
        netns: BACKEND_NS,
        ..server(&near)
    };
    for pair in [[near, far], [far, near]] {
        let mut run = Run::begun();
        run.tracker.nat(&stale);
        for end in pair {
            run.event(&end.opened(21 * MS));
        }
        let one = run.only();
        assert!(one.is_joined());
        assert_eq!((one.source_addr, one.destination_addr), (near.local, near.remote));
        assert_eq!(one.via, None);
        run.event(&near.closed(22 * MS));
        run.event(&far.closed(22 * MS));
        assert_eq!(run.told(), ["opened", "closed", "finished"]);
        assert!(run.tracker.by_tuple.is_empty());
    }
}

#[test]
fn the_same_port_to_a_service_and_to_its_backend_is_two_connections() {
    // The kernel gives the second another port on its way.
    let (service, direct) = (
        dnat(10 * MS + 1),
        facts(20 * MS + 1, (CLIENT, BACKEND), (BACKEND, "10.244.0.4:1024")),
    );
    let mut run = Run::begun();
    for (number, nat) in [(1, service), (2, direct)] {
        let (near, far) = ends(number, nat.at_ns - 1, &nat);
        run.tracker.nat(&nat);
        run.event(&near.opened(nat.at_ns + MS));
        run.event(&far.opened(nat.at_ns + MS));
    }
    let vias: Vec<_> = run
        .tracker
        .connections()
        .map(|one| (one.is_joined(), one.via))
        .collect();
    assert_eq!(vias, [(true, Some(addr(SERVICE))), (true, None)]);
    assert_eq!(run.tracker.audit().ghosts, 0);
}

#[test]
fn translations_are_bounded_and_forgotten_once_gone() {
    let mut run = Run::begun();
    let many = |n: u32, at_ns: u64| NatFacts {
        original_source: SocketAddr::new(std::net::Ipv4Addr::from(0x0b00_0000 + n).into(), 40_000),
        ..dnat(at_ns)
    };
    for n in 0..70_000 {
        run.tracker.nat(&many(n, u64::from(n) + 1));
    }
    assert_eq!(run.tracker.nat.len().0, 1 << 16);
    assert_eq!(run.tracker.audit().translations_forgotten, 70_000 - (1 << 16));
    for n in 0..70_000 {
        run.tracker.nat(&gone(many(n, 1), MS));
        run.tracker.nat(&gone(many(n, 1), MS));
    }
    run.tick(10_000 * MS);
    let (clients, servers, ages, expiring) = run.tracker.nat.len();
    assert_eq!((clients, servers, expiring), (0, 0, 0));
    assert!(ages < 100, "{ages}");
}

/// A line of `/proc/net/nf_conntrack`, if it is translated.
fn from_text(line: &str, at_ns: u64) -> Option<NatFacts> {
    let value = |key: &str, nth: usize| {
        let mut found = line.split(' ').filter_map(|word| word.strip_prefix(key));
        found.nth(nth)?.strip_prefix('=').map(str::to_owned)
    };
    let end = |ip: &str, port: &str, nth| {
        let ip = value(ip, nth)?.parse().ok()?;
        Some(SocketAddr::new(ip, value(port, nth)?.parse().ok()?))
    };
    let facts = NatFacts {
        at_ns,
        netns: HOST,
        gone: false,
        original_source: end("src", "sport", 0)?,
        original_destination: end("dst", "dport", 0)?,
        reply_source: end("src", "sport", 1)?,
        reply_destination: end("dst", "dport", 1)?,
    };
    let plain =
        facts.reply_source == facts.original_destination && facts.reply_destination == facts.original_source;
    (!plain).then_some(facts)
}

#[test]
fn every_translated_connection_of_a_real_node_is_one_with_its_service() {
    let lines = include_str!("fixtures/nf_conntrack.txt").lines();
    let all: Vec<NatFacts> = lines
        .zip(1..)
        .filter_map(|(line, n)| from_text(line, n * 10 * MS + 1))
        .filter(|facts| facts.original_destination != facts.reply_source)
        .collect();
    assert_eq!(all.len(), 147);
    let mut run = Run::begun();
    for (number, nat) in (1..).zip(&all) {
        let (near, far) = ends(number, nat.at_ns - 1, nat);
        run.tracker.nat(nat);
        run.event(&far.opened(nat.at_ns + MS));
        run.event(&near.opened(nat.at_ns + MS));
    }
    assert_eq!(run.count("opened"), all.len());
    assert_eq!(run.tracker.connections().count(), all.len());
    for one in run.tracker.connections() {
        assert!(one.is_joined());
        assert_eq!(one.via, Some(addr(SERVICE)));
        assert!([80, 8080].contains(&one.destination_addr.port()), "{one:?}");
    }
}

/// What is told of one connection: the order of client, server, translation and its delay; whether each is lost.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "chances, each on its own")]
struct Plan {
    port: u16,
    backend: u8,
    masquerade: bool,
    nat_late_ms: u64,
    nat_lost: bool,
    far_first: bool,
    has_near: bool,
    has_far: bool,
    lasts_ms: u64,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (
        (0..3_u16, 0..3_u8, any::<bool>(), 0..300_u64),
        (
            proptest::bool::weighted(0.1),
            any::<bool>(),
            proptest::bool::weighted(0.8),
        ),
        (proptest::bool::weighted(0.8), 1..400_u64),
    );
    let plan = plan.prop_map(
        |((port, backend, masquerade, late), (lost, far_first, near), (far, lasts))| Plan {
            port,
            backend,
            masquerade,
            nat_late_ms: if late < 150 { late % 3 } else { late },
            nat_lost: lost,
            far_first,
            has_near: near || !far,
            has_far: far,
            lasts_ms: lasts,
        },
    );
    proptest::collection::vec(plan, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Connections one after the other by few ports to few backends, so that every pair of addresses is used again;
    /// translations come late or never, and are gone when the next of the same client begins.
    #[test]
    fn translated_connections_are_told_once_and_never_mixed(plans in plans()) {
        enum Step { Event(SocketEvent), Nat(NatFacts) }
        let mut steps: Vec<(u64, u8, Step)> = Vec::new();
        let mut now = 10 * MS;
        let (mut expected, mut joined) = (0, 0);
        for (number, plan) in (1..).zip(&plans) {
            let near_addr = format!("10.244.0.4:{}", 40_000 + plan.port);
            let far_addr = format!("10.244.0.{}:8080", 10 + plan.backend);
            let seen = if plan.masquerade {
                format!("10.244.0.1:{}", 40_000 + plan.port)
            } else {
                near_addr.clone()
            };
            let nat = facts(now + 1000, (&near_addr, SERVICE), (&far_addr, &seen));
            let (near, far) = ends(number, now, &nat);
            let (opened, closed) = (now + MS, now + MS + plan.lasts_ms * MS);
            let first = u8::from(plan.far_first);
            if plan.has_near {
                steps.push((opened, 1 - first, Step::Event(near.opened(opened))));
                steps.push((closed, 1 - first, Step::Event(near.closed(closed))));
            }
            if plan.has_far {
                steps.push((opened, first, Step::Event(far.opened(opened))));
                steps.push((closed, first, Step::Event(far.closed(closed))));
            }
            // What is learnt after the end is of no use, and must do no harm.
            let learnt = NatFacts { at_ns: nat.at_ns + plan.nat_late_ms * MS, ..nat };
            if !plan.nat_lost {
                steps.push((learnt.at_ns, 2, Step::Nat(learnt)));
            }
            expected += u64::from(plan.has_near) + u64::from(plan.has_far);
            let in_time = learnt.at_ns < closed && !plan.nat_lost && plan.nat_late_ms < 90;
            if plan.has_near && plan.has_far && in_time {
                joined += 1;
            }
            now = closed.max(learnt.at_ns) + 2 * MS;
            if !plan.nat_lost {
                steps.push((now, 3, Step::Nat(gone(learnt, now))));
            }
            now += MS;
        }
        steps.sort_by_key(|(at_ns, order, _)| (*at_ns, *order));
        let mut run = Run::begun();
        for (_, _, step) in &steps {
            match step {
                Step::Event(event) => run.event(event),
                Step::Nat(nat) => { run.tracker.nat(nat); run.take(); }
            }
        }
        run.tick(now + 1000 * MS);
        prop_assert_eq!(run.tracker.connections().count(), 0);
        prop_assert!(run.tracker.by_tuple.is_empty(), "{:?}", run.tracker.by_tuple);
        prop_assert!(run.tracker.by_socket.is_empty());
        let finished: Vec<&Connection> = run
            .changes
            .iter()
            .filter_map(|change| {
                let Change::Finished(one) = change else { return None };
                Some(one)
            })
            .collect();
        let all: u64 = finished.iter().map(|one| one.ends().count() as u64).sum();
        prop_assert_eq!(all, expected, "every end is of one connection");
        prop_assert!(finished.iter().filter(|one| one.is_joined()).count() >= joined);
        prop_assert_eq!(run.count("closed"), finished.len());
        for one in finished {
            let (Some(near), Some(far)) = (one.source, one.destination) else { continue };
            prop_assert_eq!(near.id.address + 0x800, far.id.address, "only ends of one connection");
        }
        prop_assert_eq!(run.tracker.audit().ghosts, 0);
        run.tick(now + 100_000 * MS);
        prop_assert_eq!(run.tracker.nat.len().0, 0);
    }
}
