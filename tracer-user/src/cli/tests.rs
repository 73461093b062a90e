//! Command lines as tables of sentences.

use std::{path::PathBuf, time::Duration};

use clap::error::ErrorKind;

use super::*;
use crate::{
    output::{
        filter::{Conditions, Families, Filter},
        style::Choice,
    },
    report::Question,
};

fn read(line: &str) -> Result<Request, clap::Error> {
    parse(
        std::iter::once("kcn-trace")
            .chain(line.split_whitespace())
            .map(OsString::from),
    )
}

fn live(view: View, duration: Option<u64>) -> Action {
    Action::Live {
        view,
        capture: Capture::default(),
        duration: duration.map(Duration::from_secs),
    }
}

fn with(edit: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    edit(&mut filter);
    filter
}

#[test]
fn no_error_repeats_a_hostile_word_as_it_is() {
    const EVIL: &[u8] = b"\x1b[31m\nerror: forged\xe2\x80\xae\xc2\x9b2J";
    let cases: &[(&str, &str)] = &[
        ("a command", "@"),
        ("a flag", "--@"),
        ("a value", "graph --probe @"),
        ("our own check of a value", "graph --duration @"),
        ("a selector", "listeners -l @"),
        ("a number", "events --from-port @"),
        ("an argument too many", "replay file @"),
        ("one of several checks", "verify @"),
        ("what is refused together", "replay --ring-size 4096 @ graph"),
        ("help", "@ --help"),
    ];
    for tail in [&b""[..], b"\xff"] {
        for (case, line) in cases {
            let words = std::iter::once("kcn-trace").chain(line.split(' '));
            let args = words.map(|word| {
                let parts: Vec<&[u8]> = word.as_bytes().split(|byte| *byte == b'@').collect();
                OsString::from_vec(parts.join(&[EVIL, tail].concat()[..]))
            });
            let error = parse(args).unwrap_err();
            let said = error.render().to_string();
            assert!(!said.contains("\nerror: forged"), "case: {case}: {said:?}");
            let odd = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            // In colours, too: these are clap's, and none of them is red text.
            assert!(!said.contains(odd), "case: {case}: {said:?}");
            assert!(
                !error.render().ansi().to_string().contains("\u{1b}[31m\n"),
                "case: {case}"
            );
        }
    }
    // What is plain is repeated as it was typed.
    let said = read("graph --probe caf\u{e9}").unwrap_err().to_string();
    assert!(said.contains("'caf\u{e9}'"), "{said}");
}

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn command_lines_are_understood() {
    let all = Filter::default;
    let table = TableFormat::Table;
    let etcd = || Conditions {
        components: vec!["etcd".to_owned()],
        ..Conditions::default()
    };
    let cases: Vec<(&str, Action)> = vec![
        ("", live(View::Default { filter: all() }, None)),
        (
            "--port 2379",
            live(
                View::Default {
                    filter: with(|f| f.either.ports = vec![2379]),
                },
                None,
            ),
        ),
        (
            "events",
            live(
                View::Events {
                    format: EventsFormat::Compact,
                    filter: all(),
                },
                None,
            ),
        ),
        (
            "events -o json --from-port 1,2 --from-port 3 -6",
            live(
                View::Events {
                    format: EventsFormat::Json,
                    filter: with(|f| {
                        f.from.ports = vec![1, 2, 3];
                        f.families = Families { v4: false, v6: true };
                    }),
                },
                None,
            ),
        ),
        (
            "events -n shop,web -l app=a,b!=c -l x --to-pod shop/a --from-workload ds/b --node w --to-service c",
            live(
                View::Events {
                    format: EventsFormat::Compact,
                    filter: with(|f| {
                        f.either.places.namespaces = vec!["shop".into(), "web".into()];
                        f.either.places.selectors = vec!["app=a,b!=c".parse().unwrap(), "x".parse().unwrap()];
                        f.to.places.pods = vec!["shop/a".parse().unwrap()];
                        f.from.places.workloads = vec!["daemonset/b".parse().unwrap()];
                        f.either.places.nodes = vec!["w".into()];
                        f.to.places.services = vec!["c".parse().unwrap()];
                    }),
                },
                None,
            ),
        ),
        (
            "components --pod a --workload b --service c/d",
            live(
                View::Components {
                    format: table,
                    filter: with(|f| {
                        f.either.places.pods = vec!["a".parse().unwrap()];
                        f.either.places.workloads = vec!["b".parse().unwrap()];
                        f.either.places.services = vec!["c/d".parse().unwrap()];
                    }),
                },
                Some(0),
            ),
        ),
        (
            "graph",
            live(
                View::Graph {
                    format: GraphFormat::Table,
                    filter: all(),
                    active: false,
                    watch: false,
                    forget_after: None,
                    group_by: GroupBy::Component,
                },
                Some(10),
            ),
        ),
        (
            "graph --duration 5 -o dot",
            live(
                View::Graph {
                    format: GraphFormat::Dot,
                    filter: all(),
                    active: false,
                    watch: false,
                    forget_after: None,
                    group_by: GroupBy::Component,
                },
                Some(5),
            ),
        ),
        (
            "graph --duration 0 -o json --to-component etcd --from-pid 7",
            live(
                View::Graph {
                    format: GraphFormat::Json,
                    filter: with(|f| {
                        f.to = etcd();
                        f.from.pids = vec![7];
                    }),
                    active: false,
                    watch: false,
                    forget_after: None,
                    group_by: GroupBy::Component,
                },
                Some(0),
            ),
        ),
        (
            "graph --watch",
            live(
                View::Graph {
                    format: GraphFormat::Table,
                    filter: all(),
                    active: false,
                    watch: true,
                    forget_after: None,
                    group_by: GroupBy::Component,
                },
                None,
            ),
        ),
        (
            "graph --group-by namespace -o json",
            live(
                View::Graph {
                    format: GraphFormat::Json,
                    filter: all(),
                    active: false,
                    watch: false,
                    forget_after: None,
                    group_by: GroupBy::Namespace,
                },
                Some(10),
            ),
        ),
        (
            "graph --watch --active --forget-after 5m --duration 7",
            live(
                View::Graph {
                    format: GraphFormat::Table,
                    filter: all(),
                    active: true,
                    watch: true,
                    forget_after: Some(Duration::from_mins(5)),
                    group_by: GroupBy::Component,
                },
                Some(7),
            ),
        ),
        (
            "explain kube-apiserver->etcd:2379",
            live(
                View::Explain {
                    question: Question::Edge {
                        source: "kube-apiserver".into(),
                        destination: "etcd".into(),
                        port: Some(2379),
                    },
                    format: table,
                },
                Some(3),
            ),
        ),
        (
            "explain 4242 -o json --duration 0",
            live(
                View::Explain {
                    question: Question::Pid(4242),
                    format: TableFormat::Json,
                },
                Some(0),
            ),
        ),
        (
            "replay f explain 10.0.0.9:2379",
            Action::Replay {
                file: "f".into(),
                view: View::Explain {
                    question: Question::Address("10.0.0.9:2379".parse().unwrap()),
                    format: table,
                },
                rules: None,
            },
        ),
        (
            "listeners etcd",
            live(
                View::Listeners {
                    format: table,
                    filter: with(|f| f.either = etcd()),
                },
                Some(0),
            ),
        ),
        (
            "listeners -nltp",
            live(
                View::Listeners {
                    format: table,
                    filter: all(),
                },
                Some(0),
            ),
        ),
        (
            "connections --to-port 2379 --count --netns 12",
            live(
                View::Connections {
                    format: table,
                    filter: with(|f| {
                        f.to.ports = vec![2379];
                        f.netns = vec![12];
                    }),
                    count: true,
                },
                Some(0),
            ),
        ),
        (
            "components -o json --process k3s",
            live(
                View::Components {
                    format: TableFormat::Json,
                    filter: with(|f| f.either.processes = vec!["k3s".to_owned()]),
                },
                Some(0),
            ),
        ),
        (
            "verify --duration 3 --allow backup,etcdctl",
            live(
                View::Verify {
                    checks: vec![Check::ApiserverEtcd, Check::EtcdClients],
                    allow: vec!["backup".to_owned(), "etcdctl".to_owned()],
                    format: table,
                },
                Some(3),
            ),
        ),
        (
            "verify etcd-clients etcd-clients",
            live(
                View::Verify {
                    checks: vec![Check::EtcdClients],
                    allow: vec![],
                    format: table,
                },
                Some(10),
            ),
        ),
        (
            "doctor -o json",
            Action::Doctor {
                format: TableFormat::Json,
                capture: Capture::default(),
            },
        ),
        (
            "record -w f",
            Action::Record {
                file: "f".into(),
                capture: Capture::default(),
                duration: None,
                max_bytes: Some(1 << 30),
            },
        ),
        (
            "record -w f --duration 1m --max-size 0",
            Action::Record {
                file: "f".into(),
                capture: Capture::default(),
                duration: Some(Duration::from_mins(1)),
                max_bytes: None,
            },
        ),
        (
            "replay f graph -o json",
            Action::Replay {
                file: "f".into(),
                view: View::Graph {
                    format: GraphFormat::Json,
                    filter: all(),
                    active: false,
                    watch: false,
                    forget_after: None,
                    group_by: GroupBy::Component,
                },
                rules: None,
            },
        ),
        (
            "replay f --rules r connections -anp",
            Action::Replay {
                file: "f".into(),
                view: View::Connections {
                    format: table,
                    filter: all(),
                    count: false,
                },
                rules: Some("r".into()),
            },
        ),
        ("version", Action::Version),
    ];
    for (line, want) in cases {
        let got = read(line).unwrap_or_else(|error| panic!("case: {line}: {error}"));
        assert_eq!(got.action, want, "case: {line}");
    }
}

#[test]
fn capture_flags_count_before_and_after_the_command() {
    let want = Capture {
        probe: Probe::Tracepoint,
        snapshot: SnapshotMode::Procfs,
        btf: Btf::None,
        ring_bytes: 65_536,
        sockets_max: Some(1000),
        interval: Duration::from_secs(1),
        rules: Some("r".into()),
        record: Some("f".into()),
        names: Names::default(),
    };
    let flags = "--probe tracepoint --snapshot procfs --btf none --ring-size 64K --max-sockets 1000 --interval 1s \
        --rules r -w f";
    for line in [
        format!("{flags} events"),
        format!("events {flags}"),
        format!("{flags} events --interval 1s"),
        flags.into(),
    ] {
        let Action::Live { capture, .. } = read(&line).unwrap().action else {
            panic!("case: {line}")
        };
        assert_eq!(capture, want, "case: {line}");
    }
    let Action::Live { capture, .. } = read("--interval 1s events --interval 2s --btf ./none")
        .unwrap()
        .action
    else {
        panic!("not live")
    };
    assert_eq!(
        (capture.interval, capture.btf),
        (Duration::from_secs(2), Btf::File(PathBuf::from("./none")))
    );
}

#[test]
fn global_flags_work_anywhere() {
    for (line, color, verbosity) in [
        ("-vv --color always graph", Choice::Always, 2),
        ("graph -q --color never", Choice::Never, -1),
        ("replay f events -v", Choice::Auto, 1),
    ] {
        let request = read(line).unwrap();
        assert_eq!(
            (request.color, request.verbosity),
            (color, verbosity),
            "case: {line}"
        );
    }
    assert_eq!(read("listeners -nltp").unwrap().hints.len(), 1);
}

#[test]
fn wrong_usage_exits_2_and_says_what_to_do() {
    let cases = [
        ("what", "unrecognized subcommand"),
        ("graph -o svg", "possible values: table, dot, json"),
        ("events --port 0", "1..=65535"),
        ("events --port http", "--port"),
        ("graph --from-port 1", "--from-port"),
        ("listeners --to-port 1", "--to-port"),
        ("listeners -n", "--namespace <NAME>"),
        ("listeners --from-pod a", "--from-pod"),
        ("events --pod a/b/c", "NAMESPACE/NAME"),
        ("events --workload /b", "deployment/web"),
        ("events -l a>b", "'app in (a,b)'"),
        (
            "graph --group-by zone",
            "possible values: component, workload, pod",
        ),
        ("graph --forget-after 5m", "--watch"),
        ("graph --watch --forget-after 0", "at least 1ms"),
        ("replay f graph --watch", "--watch"),
        ("explain", "<WHAT>"),
        ("explain 0", "not a process id"),
        ("replay f --cri-socket x graph", "--cri-socket"),
        ("--cri-socket x replay f graph", "before the command"),
        ("--cluster-pods version", "before the command"),
        ("events --node-name=", "--node-name"),
        ("events --conntrack off", "possible values: auto, none"),
        ("listeners --interval 1s", "--interval"),
        ("--interval 1s listeners", "before the command"),
        ("--ring-size 8M doctor", "before the command"),
        ("--probe kprobe replay f graph", "before the command"),
        ("-w f record -w f", "record -w"),
        ("--port 1 graph", "after the command"),
        ("events --ring-size 5000", "use 4K or 8K"),
        ("events --interval 0", "at least 1ms"),
        ("events --interval soon", "500ms"),
        ("record", "--record <FILE>"),
        ("record -w f --duration 0", "at least 1ms"),
        ("replay f", "subcommand"),
        ("replay f doctor", "doctor"),
        ("verify apiserver-etcd --allow x", "etcd-clients"),
        ("verify nobody", "possible values: apiserver-etcd, etcd-clients"),
        ("events --not", "--not"),
        ("-v -q events", "cannot be used with"),
    ];
    for (line, says) in cases {
        let error = read(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "case: {line}");
        assert!(error.to_string().contains(says), "case: {line}: {error}");
    }
}

#[test]
fn help_lists_only_what_exists() {
    let error = read("--help").expect_err("help is not a request");
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::DisplayHelp, 0));
    let help = error.to_string();
    for word in [
        "events",
        "graph",
        "verify",
        "doctor",
        "replay",
        "Exit codes",
        "Examples",
        "--ring-size",
        "--to-port",
        "explain",
        "--namespace",
        "--cri-socket",
    ] {
        assert!(help.contains(word), "{word}");
    }
    for word in ["serve", "mermaid", "--netns", "-nltp "] {
        assert!(!help.contains(&format!("  {word}")), "{word}");
    }
    assert_eq!(
        read("--version")
            .expect_err("version is not a request")
            .exit_code(),
        0
    );
}

#[test]
fn every_cluster_filter_reads_into_its_own_condition() {
    fn places(filter: &Filter, direction: &str) -> crate::output::filter::Places {
        match direction {
            "" => filter.either.places.clone(),
            "from-" => filter.from.places.clone(),
            _ => filter.to.places.clone(),
        }
    }
    for direction in ["", "from-", "to-"] {
        for (flag, count) in [
            ("pod", [1, 0, 0, 0, 0, 0]),
            ("namespace", [0, 1, 0, 0, 0, 0]),
            ("selector", [0, 0, 1, 0, 0, 0]),
            ("workload", [0, 0, 0, 1, 0, 0]),
            ("node", [0, 0, 0, 0, 1, 0]),
            ("service", [0, 0, 0, 0, 0, 1]),
        ] {
            for view in ["events", "graph", "connections", "replay f graph"] {
                let line = format!("{view} --{direction}{flag} x");
                let (Action::Live { view, .. } | Action::Replay { view, .. }) = read(&line).unwrap().action
                else {
                    panic!("case: {line}")
                };
                let (View::Events { filter, .. }
                | View::Graph { filter, .. }
                | View::Connections { filter, .. }) = view
                else {
                    panic!("case: {line}")
                };
                let got = places(&filter, direction);
                let got = [
                    got.pods.len(),
                    got.namespaces.len(),
                    got.selectors.len(),
                    got.workloads.len(),
                    got.nodes.len(),
                    got.services.len(),
                ];
                assert_eq!(got, count, "case: {line}");
            }
        }
    }
}

#[test]
fn names_come_from_where_the_flags_say_with_every_command_that_observes() {
    let with = |edit: fn(&mut Names)| {
        let mut names = Names::default();
        edit(&mut names);
        names
    };
    let cases = [
        ("", Names::default()),
        (
            "--cri-socket /s",
            with(|names| names.cri = Whence::File("/s".into())),
        ),
        ("--cri-socket none", with(|names| names.cri = Whence::None)),
        (
            "--cri-socket ./none",
            with(|names| names.cri = Whence::File("./none".into())),
        ),
        (
            "--kubeconfig /k",
            with(|names| names.kubeconfig = Whence::File("/k".into())),
        ),
        ("--kubeconfig none", with(|names| names.kubeconfig = Whence::None)),
        ("--cluster-pods", with(|names| names.cluster_pods = true)),
        (
            "--host-root /host",
            with(|names| names.host_root = "/host".into()),
        ),
        (
            "--node-name cp-1",
            with(|names| names.node_name = Some("cp-1".into())),
        ),
        (
            "--conntrack none",
            with(|names| names.conntrack = Conntrack::None),
        ),
        ("--conntrack auto", Names::default()),
    ];
    let commands = [
        "events",
        "graph",
        "graph --watch",
        "listeners",
        "connections",
        "components",
        "verify",
        "explain etcd",
        "record -w f",
    ];
    for (flags, want) in &cases {
        let mut lines = vec![(*flags).to_owned()];
        for command in commands {
            lines.push(format!("{command} {flags}"));
            lines.push(format!("{flags} {command}"));
        }
        for line in lines {
            let (Action::Live { capture, .. } | Action::Record { capture, .. }) = read(&line).unwrap().action
            else {
                panic!("case: {line}")
            };
            assert_eq!(capture.names, *want, "case: {line}");
        }
    }
}
