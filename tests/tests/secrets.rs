//! Secrets planted wherever the tracer looks: none is in any output, log or recording, be the files whole or damaged.

#![cfg(test)]

use serde_json::json;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tests::apiserver::{ApiServer, Start};
use tests::needs;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::tracer::{self, Finished};
use tests::wait::seconds;

/// One for each place, so that a find says where it came from. A parser may cut what it quotes: halves are looked for.
const SECRETS: [&str; 9] = [
    "KubeconfigTokenQ7aa",
    "KubeconfigPassWq7bb",
    "TokenFileContentQ7c",
    "PluginStdoutTokQ7dd",
    "PluginStderrTokQ7ee",
    "ArgumentOfACliQ7fff",
    "EnvironmentValueQ7g",
    "ManifestEnvValueQ7h",
    "NodeKubeconfigTokQ7",
];

/// A kubeconfig of one cluster and one user.
fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: t\nclusters:\n- name: t\n  cluster:\n    server: {server}\n\
         contexts:\n- name: t\n  context:\n    cluster: t\n    user: t\nusers:\n- name: t\n  user:\n{user}\n"
    )
}

/// A client whose arguments and environment hold secrets, with a connection to a listener of this test.
struct Client {
    child: Child,
    _listener: TcpListener,
}

impl Client {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let child = Command::new("bash")
            .args([
                "-c",
                &format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read -r line"),
                "bash",
            ])
            .args(["--token", SECRETS[5], &format!("--password={}", SECRETS[5])])
            .env("TOKEN", SECRETS[6])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        drop(listener.accept().unwrap());
        Self {
            child,
            _listener: listener,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A node's files, whole or damaged, with secrets where real ones have them.
fn node(directory: &Scratch, damaged: bool) -> PathBuf {
    let root = directory.join(if damaged { "damaged" } else { "whole" });
    let indent = if damaged { "\n   x" } else { "" };
    let files = [
        (
            "etc/kubernetes/manifests/etcd.yaml",
            format!(
                "kind: Pod\nmetadata: {{name: etcd}}\nspec:\n  containers:\n  - name: etcd\n    env:\n    - name: P\n      \
                 value: {}{indent}\n    command: [etcd, --password={}]\n",
                SECRETS[7], SECRETS[7]
            ),
        ),
        (
            "etc/kubernetes/kubelet.conf",
            kubeconfig(
                "https://127.0.0.1:6443",
                &format!("    token: {}{indent}", SECRETS[8]),
            ),
        ),
        (
            "var/lib/kubelet/config.yaml",
            format!("kind: KubeletConfiguration\nport: [{}]{indent}\n", SECRETS[8]),
        ),
    ];
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

/// The bytes that a recording's blocks hold.
fn unpacked(recording: &Path) -> Vec<u8> {
    let bytes = fs::read(recording).unwrap();
    let mut rest = &bytes[12..];
    let mut plain = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<12>() {
        let stored = u32::from_le_bytes(*header.first_chunk().unwrap()) as usize;
        let mut block = zstd::Decoder::new(&after[..stored]).unwrap();
        block.read_to_end(&mut plain).unwrap();
        rest = &after[stored..];
    }
    plain
}

fn assert_free(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in SECRETS {
        for half in [&secret[..10], &secret[9..]] {
            assert!(!text.contains(half), "{what} holds {secret}: {text}");
        }
    }
}

fn assert_silent(what: &str, run: &Finished) {
    assert_free(&format!("stdout of {what}"), run.stdout.as_bytes());
    assert_free(&format!("stderr of {what}"), run.stderr.as_bytes());
}

/// Every view in every format.
const VIEWS: &[&[&str]] = &[
    &["events", "-o", "compact"],
    &["events", "-o", "json"],
    &["graph", "-o", "table"],
    &["graph", "-o", "json"],
    &["graph", "-o", "dot"],
    &["graph", "-o", "json", "--group-by", "process"],
    &["listeners"],
    &["listeners", "-o", "json"],
    &["connections"],
    &["connections", "-o", "json"],
    &["connections", "--count"],
    &["components"],
    &["components", "-o", "json"],
    &["verify"],
    &["verify", "-o", "json"],
];

#[test]
#[ignore = "needs root and BPF"]
#[expect(clippy::too_many_lines, reason = "a table")]
fn no_secret_is_in_any_output_log_or_recording() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let server = ApiServer::start(None, Start::default()).unwrap();
    let at = format!("http://{}", server.address());
    // Another refuses all, and repeats what it was asked with.
    let echoing = ApiServer::start(None, Start::default()).unwrap();
    echoing.faults(&json!({"echo": true})).unwrap();
    let client = Client::start();
    let pid = client.child.id().to_string();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    };
    let [token, password, file, out, err, ..] = SECRETS;
    let token_file = write("token", file);
    let plugin = |name: &str, script: &str| {
        let path = write(name, &format!("#!/bin/sh\necho {err} >&2\n{script}\n"));
        format!(
            "    exec: {{apiVersion: v1, command: {}, args: [{password}]}}",
            path.display()
        )
    };
    let cases = [
        (
            "a token",
            true,
            kubeconfig(&at, &format!("    token: {token}")),
            false,
        ),
        (
            "a password",
            true,
            kubeconfig(&at, &format!("    username: u\n    password: {password}")),
            true,
        ),
        (
            "a token file",
            true,
            kubeconfig(&at, &format!("    tokenFile: {}", token_file.display())),
            false,
        ),
        (
            "a plugin",
            true,
            kubeconfig(
                &at,
                &plugin("plugin", &format!("echo 'status: {{token: {out}}}'")),
            ),
            false,
        ),
        (
            "a bad indent beside the token",
            false,
            kubeconfig(&at, &format!("    token: {token}\n   x: {password}")),
            false,
        ),
        (
            "a list for a string",
            false,
            kubeconfig(&at, &format!("    token: [{token}, {password}]")),
            true,
        ),
        (
            "a plugin that fails",
            false,
            kubeconfig(&at, &plugin("fails", &format!("echo {out}; exit 3"))),
            false,
        ),
        (
            "a plugin that prints rubbish",
            false,
            kubeconfig(&at, &plugin("rubbish", &format!("echo 'status: [{out}'"))),
            true,
        ),
        (
            "a server that repeats the token",
            false,
            kubeconfig(
                &format!("http://{}", echoing.address()),
                &format!("    token: {token}"),
            ),
            false,
        ),
        (
            "a server that refuses",
            false,
            kubeconfig("http://127.0.0.1:1", &format!("    token: {token}")),
            false,
        ),
    ];
    for (number, (case, works, text, damaged)) in cases.into_iter().enumerate() {
        let config = write(&format!("config-{number}"), &text);
        let recording = directory.join(&format!("recording-{number}"));
        let (config, recording_text) = (config.to_str().unwrap(), recording.to_str().unwrap());
        let root = node(&directory, damaged);
        let names = [
            "--kubeconfig",
            config,
            "--host-root",
            root.to_str().unwrap(),
            "--cri-socket",
            "none",
        ];
        let duration = seconds(2);
        let live = [
            "events",
            "-o",
            "json",
            "-vvv",
            "--duration",
            &duration,
            "-w",
            recording_text,
        ];
        let run = tracer::run(&[&live[..], &names[..]].concat()).unwrap();
        run.expect_code(0).unwrap();
        assert_silent(case, &run);
        let told = run.stdout.contains("are not named by the API server");
        assert_eq!(told, !works, "case: {case}: {}", run.stdout);
        let seen = tracer::run(&[
            "replay",
            recording_text,
            "connections",
            "-o",
            "json",
            "--pid",
            &pid,
        ])
        .unwrap();
        assert!(seen.stdout.contains(&pid), "case: {case}: the client is seen");
        let recorded = unpacked(&recording);
        assert!(!recorded.is_empty());
        assert_free(&format!("the recording of {case}"), &recorded);
        let asked = [&["explain", pid.as_str()][..], &["explain", &pid, "-o", "json"]];
        for view in VIEWS.iter().copied().chain(asked) {
            let all = [&["replay", recording_text][..], view, &["-vvv"]].concat();
            assert_silent(&format!("{view:?} of {case}"), &tracer::run(&all).unwrap());
        }
    }
    // Live views log more than replays do.
    let config = write("config", &kubeconfig(&at, &format!("    token: [{token}]")));
    let root = node(&directory, true);
    for view in VIEWS {
        let names = [
            "--kubeconfig",
            config.to_str().unwrap(),
            "--host-root",
            root.to_str().unwrap(),
        ];
        let all = [*view, &["-vvv", "--duration", "1"], &names].concat();
        assert_silent(&format!("{view:?}"), &tracer::run(&all).unwrap());
    }
    assert_silent("doctor", &tracer::run(&["doctor", "-vvv"]).unwrap());
}

#[test]
#[ignore = "needs root and BPF"]
fn a_server_that_goes_and_comes_is_two_lines_on_stderr_and_none_when_quiet() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let mut server = ApiServer::start(None, Start::default()).unwrap();
    let kubeconfig = server.kubeconfig();
    let kubeconfig = kubeconfig.to_str().unwrap();
    let names = [
        "--kubeconfig",
        kubeconfig,
        "--cri-socket",
        "none",
        "--conntrack",
        "none",
        "--node-name",
        "controlplane",
    ];
    let view = ["graph", "--watch", "-o", "json", "--duration", "600"];
    let mut loud = tracer::Tracer::start_ready(&[&view[..], &names].concat()).unwrap();
    let mut quiet = tracer::Tracer::start(&[&view[..], &names, &["-q"]].concat()).unwrap();
    for (phase, away) in [("there", false), ("away", true), ("back", false)] {
        match phase {
            "away" => server.stop().unwrap(),
            "back" => server.start_again().unwrap(),
            _ => {}
        }
        for one in [&mut loud, &mut quiet] {
            one.wait_records(phase, |graphs| {
                graphs.last().is_some_and(|last| {
                    last["meta"]["health"]["degraded"]
                        .to_string()
                        .contains("by the API server")
                        == away
                })
            })
            .unwrap();
        }
    }
    let said = loud.interrupt().unwrap().stderr;
    let while_it_ran = said
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with("-- window"));
    let lines: Vec<&str> = while_it_ran.collect();
    assert!(
        matches!(lines[..], [goes, comes] if goes.contains("not named by the API server") && comes.starts_with("recovered: API server")),
        "{said}"
    );
    assert_eq!(quiet.interrupt().unwrap().stderr, "");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_plugin_that_hangs_or_floods_ends_with_the_run_and_takes_no_memory() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let directory = Scratch::new().unwrap();
    let pids = directory.join("pids");
    for (name, script) in [
        ("hangs", "sleep 1000 & echo $! >>$PIDS; exec sleep 1000"),
        ("floods", "exec cat /dev/zero"),
    ] {
        let plugin = directory.join(name);
        let script = script.replace("$PIDS", pids.to_str().unwrap());
        fs::write(
            &plugin,
            format!("#!/bin/sh\necho $$ >>{}\n{script}\n", pids.display()),
        )
        .unwrap();
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o700)).unwrap();
        let user = format!("    exec: {{apiVersion: v1, command: {}}}", plugin.display());
        let config = directory.join("config");
        fs::write(&config, kubeconfig("http://127.0.0.1:1", &user)).unwrap();
        let arguments = [
            "graph",
            "--duration",
            &seconds(2),
            "--kubeconfig",
            config.to_str().unwrap(),
        ];
        let command = tracer::command(&arguments).unwrap();
        let run = peak(command);
        assert!(run < 200 << 10, "{name}: {run} KiB at most");
    }
    for pid in fs::read_to_string(&pids).unwrap().lines() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{pid} lives: {stat}");
    }
}

/// Runs it to its end; the most memory it had at once, KiB.
fn peak(mut command: Command) -> u64 {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut guard = Ended(child);
    let mut most = 0;
    tests::wait::until_true("it ends", tests::wait::patience(), || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(now.unwrap_or(0));
        Ok(guard.0.try_wait()?.is_some())
    })
    .unwrap();
    assert_eq!(guard.0.wait().unwrap().code(), Some(0));
    most
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
