//! Secrets planted in kubeconfigs, files and plugins, whole and damaged: none is told, and each fault still says its place.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::*;
use crate::resolve::Resolver as _;

/// Each part is looked for alone: a parser may cut what it quotes.
const SECRET: &str = "eyJhbGci.geheimS3CRET.c2lnbmF0dXI";

/// What is told of a kubeconfig until something is.
fn told_of(address: &str, kubeconfig: &Path, what: &str, want: &str) -> Vec<String> {
    let resolver = ApiServer {
        access: Access::Kubeconfig(vec![kubeconfig.to_owned()]),
        node: None,
        timing: QUICK,
    };
    assert_eq!(resolver.name(), "API server");
    let server = Server::start(nothing);
    let mut run = Run {
        resolvers: Resolvers::start(vec![Box::new(resolver)]),
        told: Vec::new(),
        _server: server,
    };
    run.until(what, |told| contains(told, want));
    let lines = brief(&run.told);
    for line in &lines {
        for part in SECRET.split('.') {
            assert!(!line.contains(part), "{what}: {line} ({address})");
        }
    }
    lines
}

struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("kcn-secrets-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A kubeconfig of one cluster with this server and this user.
fn kubeconfig(server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: t\nclusters:\n- name: t\n  cluster:\n    server: {server}\n\
         contexts:\n- name: t\n  context:\n    cluster: t\n    user: t\nusers:\n- name: t\n  user:\n{user}\n"
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_damaged_kubeconfig_shows_the_place_and_nothing_it_holds() {
    let (files, s) = (Files::new("damaged"), SECRET);
    let at = "http://127.0.0.1:1";
    let cases = [
        (
            "a bad indent beside the token",
            kubeconfig(at, &format!("    token: {s}\n   password: {s}")),
            "(line 1",
        ),
        (
            "a list for a string",
            kubeconfig(at, &format!("    token: [{s}, {s}]")),
            "not of the expected form (line 16",
        ),
        (
            "a map for a string",
            kubeconfig(at, &format!("    token: {{{s}: {s}}}")),
            "(line 16",
        ),
        (
            "an open quote",
            kubeconfig(at, &format!("    token: \"{s}\n    username: {s}")),
            "cannot be used: ",
        ),
        (
            "a tab",
            kubeconfig(at, &format!("\ttoken: {s}")),
            "cannot be used: ",
        ),
        (
            "an alias",
            kubeconfig(at, &format!("    token: *{s}")),
            "(line 16",
        ),
        (
            "twice the same key",
            kubeconfig(at, &format!("    token: {s}\n    token: {s}")),
            "(line 17",
        ),
        ("a token alone", s.to_owned(), "cannot be used: "),
        (
            "the token as a context",
            kubeconfig(at, "    {}").replace("current-context: t", &format!("current-context: {s}")),
            "its current-context is none of its contexts",
        ),
        (
            "the token as a cluster",
            kubeconfig(at, "    {}").replace("cluster: t\n", &format!("cluster: {s}\n")),
            "is none of its clusters",
        ),
        ("the token as a server", kubeconfig(s, "    {}"), "is no URL"),
        (
            "a password in the server",
            kubeconfig(&format!("http://u:{s}@127.0.0.1:1"), "    {}"),
            "API server: 127.0.0.1:1: ",
        ),
        (
            "a key that is no base64",
            kubeconfig(
                at,
                &format!("    client-certificate-data: {s}\n    client-key-data: '{s}'"),
            ),
            "cannot be used",
        ),
        (
            "a token with a line break",
            kubeconfig(at, &format!("    token: \"{s}\\n{s}\"")),
            "holds what no token may",
        ),
        (
            "a token as the name of a file",
            kubeconfig(at, &format!("    tokenFile: /nonexistent/{s}")),
            "`tokenFile` names cannot be read: No such file",
        ),
        (
            "a device as token file",
            kubeconfig(at, "    tokenFile: /dev/zero"),
            "`tokenFile` names cannot be read: it is a device",
        ),
        (
            "a device as key",
            kubeconfig(at, "    client-key: /dev/zero\n    client-certificate-data: YQ=="),
            "`client-key` names cannot be read: it is a device",
        ),
        (
            "a provider",
            kubeconfig(
                at,
                &format!("    auth-provider:\n      name: {s}\n      config: {{id-token: {s}}}"),
            ),
            "auth-provider",
        ),
        (
            "a provider's program is not run",
            kubeconfig(
                at,
                &format!(
                    "    auth-provider:\n      name: gcp\n      config: {{cmd-path: /bin/echo, cmd-args: {s}}}"
                ),
            ),
            "auth-provider",
        ),
    ];
    for (number, (case, text, want)) in cases.iter().enumerate() {
        let path = files.write(&format!("config-{number}"), text);
        told_of(at, &path, case, want);
    }
}

#[test]
fn a_plugin_is_bounded_and_nothing_it_prints_is_told() {
    let (files, s) = (Files::new("plugin"), SECRET);
    let at = "http://127.0.0.1:1";
    let credential = |status: &str| {
        format!(
            r#"{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{status}}}"#
        )
    };
    let cases = [
        (
            "it fails with the token on both streams",
            format!("echo {s}; echo {s} >&2; exit 7"),
            "failed: it ended with exit status: 7",
        ),
        (
            "it prints no credential",
            format!("echo 'token: [{s}'"),
            "printed no ExecCredential: ",
        ),
        (
            "it prints a token of another type",
            format!("echo '{}'", credential(&format!(r#"{{"token":["{s}"]}}"#))),
            "printed no ExecCredential: ",
        ),
        (
            "it prints a status without token",
            format!("echo '{}'", credential(&format!(r#"{{"clientKeyData":"{s}"}}"#))),
            "without token",
        ),
        (
            "it prints no status",
            format!("echo '{}' # {s}", credential("null")),
            "without status",
        ),
        (
            "it prints keys that are none",
            format!(
                "echo '{}'",
                credential(&format!(
                    r#"{{"clientKeyData":"{s}","clientCertificateData":"{s}"}}"#
                ))
            ),
            "credentials cannot be used",
        ),
        (
            "it prints without end",
            format!("while :; do echo {s}{s}{s}{s}; done"),
            "failed: it printed more than 1024 KiB",
        ),
        (
            "it prints a token that is not accepted",
            format!("echo '{}'", credential(&format!(r#"{{"token":"{s}"}}"#))),
            "API server: 127.0.0.1:1: ",
        ),
    ];
    for (number, (case, script, want)) in cases.iter().enumerate() {
        let plugin = files.write(&format!("plugin-{number}"), &format!("#!/bin/sh\n{script}\n"));
        let user = format!(
            "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      interactiveMode: Never\n      \
             command: {}\n      args: ['{s}']\n      env: [{{name: T, value: {s}}}]",
            plugin.display()
        );
        let path = files.write(&format!("config-{number}"), &kubeconfig(at, &user));
        told_of(at, &path, case, want);
    }
}

#[test]
fn tokens_of_files_and_plugins_are_used() {
    let files = Files::new("used");
    let server = Server::start(nothing);
    let at = format!("http://{}", server.address);
    let token = files.write("token", &format!("{SECRET}\n"));
    let plugin = files.write(
        "plugin",
        &format!("#!/bin/sh\ncase $KUBERNETES_EXEC_INFO in *ExecCredential*) echo 'status: {{token: {SECRET}}}';; esac\n"),
    );
    let cases = [
        ("a file", format!("    tokenFile: {}", token.display())),
        (
            "a plugin",
            format!("    exec: {{apiVersion: v1, command: {}}}", plugin.display()),
        ),
        (
            "a plugin beside the kubeconfig",
            "    exec: {apiVersion: v1, command: ./plugin}".to_owned(),
        ),
    ];
    for (case, user) in cases {
        let path = files.write("config", &kubeconfig(&at, &user));
        told_of(&at, &path, case, "API server works");
        let asked = server.authorizations.lock().unwrap().split_off(0);
        assert!(!asked.is_empty(), "case: {case}");
        for header in asked {
            assert_eq!(header, format!("Bearer {SECRET}"), "case: {case}");
        }
    }
}
