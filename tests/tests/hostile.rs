//! Hostile input at the program's edge: words and paths that move the cursor, pipes for files, limits that are too small.

#![cfg(test)]

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output, Stdio};
use tests::binaries;
use tests::json::{list, text};
use tests::needs;
use tests::pair::Pair;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::tracer::{self, Tracer};

/// Clears the screen, begins a line of its own, turns the rest of it around.
const EVIL: &str = "e\x1b[2J\n-- forged\u{202e}\u{9b}31m";

/// Whether nothing but lines of plain characters was written, none of them the forged one.
fn is_harmless(said: &str) -> bool {
    let plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    said.chars().all(plain) && !said.lines().any(|line| line.starts_with("-- forged"))
}

#[test]
#[ignore = "needs root and BPF"]
fn no_path_or_word_of_the_command_line_reaches_the_terminal_as_it_is() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let evil = path(EVIL);
    fs::write(&evil, "neither TOML nor a recording nor anything else, but long").unwrap();
    let (missing, whole) = (path(&format!("missing{EVIL}")), path(&format!("whole{EVIL}")));
    let once = ["graph", "--duration", "0"];
    let cases: [&[&str]; 14] = [
        &["record", "-w", &whole, "--duration", "1"],
        &["replay", &whole, "graph"],
        &["replay", &evil, "graph"],
        &["replay", &missing, "graph"],
        &["record", "-w", &evil],
        &["graph", "-w", "/nowhere/\x1b[2J"],
        &[once[0], once[1], once[2], "--rules", &evil],
        &[once[0], once[1], once[2], "--rules", &missing],
        &[once[0], once[1], once[2], "--btf", &missing],
        &[once[0], once[1], once[2], "--kubeconfig", &evil],
        &[
            once[0],
            once[1],
            once[2],
            "--cri-socket",
            &evil,
            "--host-root",
            &missing,
        ],
        &["doctor", "--btf", &missing],
        &["explain", EVIL, "--duration", "0"],
        &["graph", "--probe", EVIL],
    ];
    for arguments in cases {
        let finished = tracer::run(arguments).unwrap();
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(is_harmless(&said), "{arguments:?}: {said:?}");
        // It was repeated, and can be read; not where it is of use, or only asked for sockets below it.
        let is_silent = arguments[..2] == ["replay", whole.as_str()] || arguments.contains(&"--host-root");
        assert!(is_silent || said.contains("\\x1b[2J"), "{arguments:?}: {said:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_called_as_our_words_is_quoted_in_every_format() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = directory.join("run.kcn");
    let file = file.to_str().unwrap();
    let mut pair = Pair::start("unknown", "external").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    let tracer = Tracer::start_ready(&["record", "-w", file]).unwrap();
    pair.client.dial("127.0.0.1:5000", 2).unwrap();
    tracer.interrupt().unwrap().expect_code(0).unwrap();
    let replay = |view: &[&str]| {
        let finished = tracer::run(&[&["replay", file], view].concat()).unwrap();
        finished.expect_code(0).unwrap();
        finished.stdout
    };
    let (client, server) = (pair.client.pid(), pair.server.pid());
    let said = |view: &[&str], line: &str| {
        let all = replay(view);
        assert!(
            all.lines().any(|one| one.contains(line)),
            "{view:?} without {line}: {all}"
        );
    };
    said(&["graph"], &format!("{}/\"unknown\"", netns_of(&pair)));
    said(&["graph"], &format!("{}/\"external\"", netns_of(&pair)));
    said(
        &["graph", "-o", "dot"],
        &format!("label=\"\\\"unknown\\\"\\nprocess, pid {client}"),
    );
    said(&["events"], &format!("\"unknown\"[{client}] 127.0.0.1:"));
    said(
        &["events"],
        &format!("-> \"external\"[{server}] 127.0.0.1:5000 opened"),
    );
    said(&["connections", "--count"], "\"process external\"");
    said(&["listeners"], "\"external\"");
    // There it is the kind that tells.
    let graph: Value = serde_json::from_str(&replay(&["graph", "-o", "json"])).unwrap();
    let kinds: Vec<&str> = list(&graph, "nodes")
        .iter()
        .filter(|node| matches!(text(node, "label"), "unknown" | "external"))
        .filter(|node| text(node, "group").ends_with(&netns_of(&pair)))
        .map(|node| text(node, "kind"))
        .collect();
    assert_eq!(kinds, ["process", "process"]);
}

/// The group of a namespace without a name.
fn netns_of(pair: &Pair) -> String {
    format!("netns/{}", pair.netns.inode())
}

#[test]
#[ignore = "needs root and BPF"]
fn letters_that_imitate_others_are_escaped_in_every_format() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    // The first letter of the client's name is Cyrillic, and so is all of the server's, which imitates nothing.
    let mut pair = Pair::start("\u{435}tcd", "\u{436}\u{443}\u{43a}").unwrap();
    pair.server.listen("127.0.0.1:5000").unwrap();
    pair.client.dial("127.0.0.1:5000", 2).unwrap();
    for (view, shown) in [
        (&["graph", "--duration", "0"][..], "\\u{435}tcd"),
        (&["graph", "--duration", "0", "-o", "dot"], "\\\\u{435}tcd"),
        (&["connections"], "\\u{435}tcd"),
        (&["connections", "-o", "json"], "\\u0435tcd"),
    ] {
        let said = tracer::run(view).unwrap().stdout;
        assert!(said.contains(shown), "{view:?}: {said}");
        assert!(!said.contains("\u{435}tcd"), "{view:?}: {said}");
        assert!(said.contains("\u{436}\u{443}\u{43a}"), "{view:?}: {said}");
    }
}

/// Runs the tracer with a limit of its process set as `ulimit` does.
fn limited(ulimit: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {ulimit} && exec \"$@\""), "sh"])
        .arg(binaries::tracer().unwrap())
        .args(arguments)
        .stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
#[ignore = "needs root and BPF"]
fn limits_that_are_too_low_are_told_with_their_remedy() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let file = directory.join("run.kcn");
    let file = file.to_str().unwrap();
    let recorded = tracer::run(&["record", "-w", file, "--duration", "1"]).unwrap();
    recorded.expect_code(0).unwrap();
    let live: &[&str] = &["graph", "--duration", "0"];
    let replay: &[&str] = &["replay", file, "graph"];
    let files = "raise the limit of open files with `ulimit -n 1024`";
    let memory = "lift it with `ulimit -v unlimited`";
    for (ulimit, arguments, want) in [
        ("-n 4", live, Some(files)),
        ("-n 10", live, Some(files)),
        ("-n 60", live, Some(files)),
        ("-n 10", &["doctor"], Some(files)),
        ("-n 256", live, None),
        ("-n 10", replay, None),
        ("-v 200000", live, Some(memory)),
        ("-v 400000", live, Some(memory)),
        ("-d 400000", live, Some("lift it with `ulimit -d unlimited`")),
        ("-v 2000000", live, None),
        ("-v 100000", replay, Some(memory)),
        ("-v 400000", replay, None),
    ] {
        let output = limited(ulimit, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        let code = output.status.code();
        if let Some(want) = want {
            assert_eq!(code, Some(4), "ulimit {ulimit}, {arguments:?}: {said}");
            assert!(said.contains(want), "ulimit {ulimit}, {arguments:?}: {said}");
            assert_eq!(said.lines().count(), 1, "ulimit {ulimit}, {arguments:?}: {said}");
        } else {
            assert_eq!(code, Some(0), "ulimit {ulimit}, {arguments:?}: {said}");
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_pipe_where_a_file_is_named_is_refused_and_never_waited_for() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let pipe = |name: &str| {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mkfifoat(CWD, &path, Mode::from(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let fifo = pipe("pipe");
    // A node whose kubelet and runtime have pipes for files.
    for name in [
        "var/lib/kubelet/config.yaml",
        "var/lib/kubelet/kubeadm-flags.env",
        "etc/default/kubelet",
        "etc/kubernetes/manifests/etcd.yaml",
        "etc/kubernetes/admin.conf",
        "etc/hostname",
    ] {
        pipe(&format!("node/{name}"));
    }
    let node = directory.join("node");
    let token = directory.join("token.kubeconfig");
    let authority = directory.join("authority.kubeconfig");
    let config = |cluster: &str, user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1', {cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        )
    };
    fs::write(
        &token,
        config("insecure-skip-tls-verify: true", &format!("tokenFile: {fifo}")),
    )
    .unwrap();
    fs::write(
        &authority,
        config(&format!("certificate-authority: {fifo}"), "token: t"),
    )
    .unwrap();
    let (node, token, authority) = (
        node.to_str().unwrap(),
        token.to_str().unwrap(),
        authority.to_str().unwrap(),
    );
    let refused = "it is a pipe, not a regular file";
    let cases: [(&[&str], Option<i32>, &str); 11] = [
        (&["replay", &fifo, "graph"], Some(5), refused),
        (&["replay", &fifo, "verify"], Some(5), refused),
        (
            &["record", "-w", &fifo],
            Some(5),
            "is not a file with a recording",
        ),
        (&["graph", "-w", &fifo], Some(5), "is not a file with a recording"),
        (&["graph", "--rules", &fifo], Some(2), refused),
        (&["replay", &fifo, "--rules", &fifo, "graph"], Some(2), refused),
        (&["doctor", "--btf", &fifo], None, refused),
        (
            &["explain", "1", "--duration", "1", "--kubeconfig", &fifo],
            None,
            refused,
        ),
        (
            &["explain", "1", "--duration", "1", "--kubeconfig", token],
            None,
            refused,
        ),
        (
            &["explain", "1", "--duration", "1", "--kubeconfig", authority],
            None,
            refused,
        ),
        (
            &["explain", "1", "--duration", "1", "--host-root", node],
            None,
            "-- window",
        ),
    ];
    for (arguments, code, want) in cases {
        // Ends within the patience of tests, or the run is killed and this fails.
        let finished = tracer::run(arguments).unwrap();
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains(want), "{arguments:?}: {said}");
        assert!(code.is_none() || finished.code == code, "{arguments:?}: {said}");
        assert!(finished.signal.is_none(), "{arguments:?}");
    }
}
