//! Connections that one of several took: the program they all are, or nobody; and a socket that is both its ends.

use super::*;
use crate::signal::ProcessFacts;

const WORKERS: [u32; 3] = [100, 101, 102];

/// Three processes share a port; where each runs from, and in which pod.
fn shared(exes: [Option<&str>; 3], pods: [&str; 3]) -> Vec<String> {
    let (mut world, mut run) = (World::new(11), Run::new());
    world.accept_hook = false;
    world.names = WORKERS.map(|tgid| (tgid, "web")).into();
    for ((tgid, exe), pod) in WORKERS.into_iter().zip(exes).zip(pods) {
        run.feed(&Signal::Process(&ProcessFacts {
            tgid,
            comm: "web".to_owned(),
            exe: exe.map(str::to_owned),
            cgroup: Some(format!("/kubepods/pod{pod}/{}", pod.repeat(8))),
            ..ProcessFacts::default()
        }));
        world.listen(tgid, HOST, "0.0.0.0:8000".parse().unwrap());
    }
    world.attach();
    world.snapshot();
    world.connect(plan(10, "127.0.0.1:40000", "127.0.0.1:8000"));
    world.drain();
    world.wait(2_000_000_000);
    world.tick();
    run.watch(&mut world);
    let opened = run.told.iter().filter(|one| matches!(one.what, Happened::Opened));
    opened
        .map(|one| {
            let Party { claim, process, .. } = &one.destination;
            assert_eq!(process, &None, "which of them is not known");
            let pod = claim.place.pod.as_ref().map_or("", |pod| &pod.uid);
            format!("{} {pod}", claim.who.label())
        })
        .collect()
}

#[test]
fn it_is_the_program_that_all_are_who_may_have_taken_it() {
    let (one, other) = (Some("/usr/bin/web"), Some("/tmp/web"));
    let (a, b) = (
        "0f38c12e255a11e98cd90007cb0b2cc8",
        "1f38c12e255a11e98cd90007cb0b2cc8",
    );
    for (case, exes, pods, want) in [
        ("workers of one program", [one; 3], [a; 3], format!("web {a}")),
        ("in two pods", [one; 3], [a, a, b], "web ".to_owned()),
        (
            "another program of that name",
            [one, one, other],
            [a; 3],
            "unknown ".to_owned(),
        ),
        (
            "known by name alone",
            [one, one, None],
            [a; 3],
            "unknown ".to_owned(),
        ),
    ] {
        assert_eq!(shared(exes, pods), [want], "{case}");
    }
}

#[test]
fn a_socket_connected_to_itself_is_both_its_ends() {
    let mut world = World::watched();
    world.names = [(10, "loner")].into();
    let mut alone = plan(10, "127.0.0.1:40000", "127.0.0.1:40000");
    alone.destination.0 = None;
    world.connect(alone);
    world.drain();
    world.wait(2_000_000_000);
    world.tick();
    let mut run = Run::new();
    run.watch(&mut world);
    let ends: Vec<_> = run
        .told
        .iter()
        .flat_map(|one| [&one.source, &one.destination])
        .map(|party| {
            (
                party.claim.who.label().into_owned(),
                party.process.as_ref().map(|one| one.tgid),
            )
        })
        .collect();
    assert_eq!(ends, [(); 2].map(|()| ("loner".to_owned(), Some(10))));
}
