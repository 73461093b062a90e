//! What the built-in rules say of processes, and what is said of rules that make no sense.

use super::{text::cut_to_comm, *};
use crate::attribute::{Claim, Quality, Who};
use proptest::prelude::*;

fn rules() -> Arc<Rules> {
    Rules::built_in()
}

fn claim(exe: Option<&str>, exec: Option<&str>, args: &[&str], comm: &str) -> Claim {
    let evidence = Evidence {
        file: None,
        exe,
        exec,
        arg0: args.first().copied(),
        word: args.get(1).copied(),
        comm,
    };
    rules().identify(&evidence)
}

/// Loads a user's file; its directory is private to the test and removed.
fn with_file(name: &str, text: &str) -> Result<Rules, RulesError> {
    let path = std::env::temp_dir().join(format!("kcn-trace-rules-{}-{name}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let loaded = Rules::load(Some(&path));
    std::fs::remove_file(&path).unwrap();
    loaded
}

#[test]
fn every_documented_component_is_found_by_its_executable() {
    let rules = rules();
    let same = "kube-apiserver kube-controller-manager kube-scheduler cloud-controller-manager kubelet kube-proxy etcd etcdctl \
        etcdutl kubeadm kubectl coredns node-cache metrics-server containerd crio conmon dockerd docker-proxy cri-dockerd \
        cilium-agent cilium-envoy cilium-health-responder hubble-relay calico-node calico-typha flanneld weave-npc kube-router \
        k3s-server k3s-agent rke2 kubelite k8s-dqlite k8sd cluster-agent k0s kine machined apid trustd hyperkube haproxy envoy \
        keepalived kube-vip traefik nginx nginx-ingress-controller prometheus node_exporter helm velero cluster-autoscaler \
        local-path-provisioner spegel kube-state-metrics";
    let other = [
        ("proxy-server", "konnectivity-server"),
        ("konnectivity-server", "konnectivity-server"),
        ("proxy-agent", "konnectivity-agent"),
        ("cilium-operator-generic", "cilium-operator"),
        ("kube-controllers", "calico-kube-controllers"),
        ("bird6", "bird"),
        ("weaver", "weave"),
        ("containerd-shim-runc-v2", "containerd-shim"),
        ("containerd-shim-kata-v2", "containerd-shim"),
        ("containerd-shim", "containerd-shim"),
        ("aws-cloud-controller-manager", "cloud-controller-manager"),
        ("prometheus-node-exporter", "node_exporter"),
    ];
    for (exe, want) in same.split_whitespace().map(|name| (name, name)).chain(other) {
        let path = format!("/usr/local/bin/{exe}");
        let evidence = Evidence {
            exe: Some(&path),
            comm: cut_to_comm(exe),
            ..Evidence::default()
        };
        let found = rules.identify(&evidence);
        assert_eq!(found.who.component(), Some(want), "{exe}: {found:?}");
        assert_eq!(found.quality, Quality::Exe, "{exe}");
        assert_eq!(found.by, format!("exe {path}"), "{exe}");
    }
}

type Stronger = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    &'static [&'static str],
    &'static str,
    &'static str,
    Quality,
);

#[rustfmt::skip]
const EVIDENCE: &[Stronger] = &[
    ("the executable, replaced while it ran", Some("/usr/bin/etcd (deleted)"), None, &["x"], "etcd", "etcd", Quality::Exe),
    ("the path given to exec, where /proc was too late", None, Some("./etcdctl"), &["etcdctl"], "etcdctl", "etcdctl", Quality::Exec),
    ("/proc over exec: a link does not make a component", Some("/tmp/evil"), Some("/tmp/etcd"), &["etcd"], "etcd", "evil", Quality::Exe),
    ("executable over argv[0] and comm", Some("/tmp/evil"), None, &["kube-apiserver"], "kube-apiserver", "evil", Quality::Exe),
    ("argv[0] where the executable cannot be read", None, None, &["/usr/bin/etcd"], "whatever", "etcd", Quality::Argv),
    ("argv[0] over comm", None, None, &["curl"], "etcd", "curl", Quality::Argv),
    ("a title as argv[0]", None, None, &["sshd:"], "sshd", "sshd", Quality::Argv),
    ("a title of a worker", None, None, &["nginx: worker process"], "nginx", "nginx", Quality::Argv),
    ("comm alone", None, None, &[], "kube-apiserver", "kube-apiserver", Quality::Comm),
    ("comm alone, of no component", None, None, &[], "curl", "curl", Quality::Comm),
    ("comm cut to 15 bytes", None, None, &[], "cloud-controlle", "cloud-controller-manager", Quality::Comm),
    ("an ambiguous comm is nobody", None, None, &[], "kube-controller", "unknown", Quality::Comm),
    ("an ambiguous comm with an executable", Some("/usr/bin/kube-controllers"), None, &[], "kube-controller", "calico-kube-controllers", Quality::Exe),
    ("nothing at all", None, None, &[], "", "unknown", Quality::Comm),
    ("a file descriptor tells no name", None, Some("/proc/self/fd/7"), &["etcd"], "7", "etcd", Quality::Argv),
    ("a program without a file", Some("/memfd:etcd (deleted)"), None, &["etcd"], "etcd", "memfd:etcd", Quality::Exe),
];

#[test]
fn stronger_evidence_wins_and_says_why() {
    for (name, exe, exec, args, comm, label, quality) in EVIDENCE {
        let found = claim(*exe, *exec, args, comm);
        assert_eq!(
            (&*found.who.label(), found.quality),
            (*label, *quality),
            "case: {name}: {found:?}"
        );
    }
}

/// File, executable, path given to exec, `argv[0]`; label, what it rests on, evidence.
type Runs = (
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    &'static str,
    &'static str,
    Quality,
    &'static str,
);

#[rustfmt::skip]
const RUNS: &[Runs] = &[
    ("by its path", "etcd", None, Some("/usr/bin/etcd"), "etcd", "etcd", Quality::Exe, "exec /usr/bin/etcd"),
    ("by a link", "cl", None, Some("/tmp/kube-apiserver"), "kube-apiserver", "cl", Quality::Exe, "file cl, exec /tmp/kube-apiserver"),
    ("by a link, and /proc was read", "cl", Some("/tmp/cl"), Some("/tmp/kube-apiserver"), "kube-apiserver", "cl", Quality::Exe, "exe /tmp/cl"),
    ("by a descriptor", "cl", None, Some("/dev/fd/3"), "kube-apiserver", "cl", Quality::Exe, "file cl"),
    ("by a descriptor in /proc", "cl", None, Some("/proc/self/fd/3"), "kube-apiserver", "cl", Quality::Exe, "file cl"),
    ("from memory", "memfd:kube-apiserver", None, Some("/dev/fd/3"), "kube-apiserver", "memfd:kube-apiserver", Quality::Exe, "file memfd:kube-apiserver"),
    ("from memory, with slashes", "memfd:a/etcd", Some("/memfd:a/etcd (deleted)"), Some("/proc/self/fd/3"), "etcd", "memfd:a", Quality::Exe, "exe /memfd:a/etcd"),
    ("what /proc says is another's", "cl", Some("/usr/bin/etcd"), Some("/tmp/cl"), "cl", "cl", Quality::Exe, "exec /tmp/cl"),
    ("a script", "dash", Some("/usr/bin/dash"), Some("/opt/backup"), "/bin/sh", "backup", Quality::Argv, "exe /usr/bin/dash, script backup"),
    ("a script called like a component", "dash", None, Some("/tmp/etcd"), "/bin/sh", "sh", Quality::Argv, "file dash, exec /tmp/etcd, script etcd"),
    ("a link to a shell, called like a component", "bash", None, Some("/tmp/kube-apiserver"), "kube-apiserver", "bash", Quality::Argv, "file bash, exec /tmp/kube-apiserver, script kube-apiserver"),
    ("an interpreter by its link", "python3.11", None, Some("/usr/bin/python3"), "python3", "python3", Quality::Exe, "file python3.11, exec /usr/bin/python3"),
    ("an applet by its link", "busybox", None, Some("/bin/wget"), "wget", "wget", Quality::Argv, "file busybox, exec /bin/wget, applet wget"),
    ("several in one executable, by argv[0]", "hyperkube", None, Some("/hyperkube"), "kube-apiserver", "kube-apiserver", Quality::Argv, "exec /hyperkube, argv[0] kube-apiserver"),
];

#[test]
fn the_file_that_runs_is_stronger_than_every_path_to_it() {
    for (name, file, exe, exec, arg0, label, quality, by) in RUNS {
        let found = rules().identify(&Evidence {
            file: Some(file),
            exe: *exe,
            exec: *exec,
            arg0: Some(arg0),
            ..Evidence::default()
        });
        assert_eq!(
            (&*found.who.label(), found.quality, &*found.by),
            (*label, *quality, *by),
            "case: {name}"
        );
    }
}

#[test]
fn a_file_whose_name_was_cut_is_still_the_one_that_proc_tells_of() {
    let long = "a".repeat(80);
    let exe = format!("/opt/{long}");
    let found = rules().identify(&Evidence {
        file: Some(&long[..63]),
        exe: Some(&exe),
        ..Evidence::default()
    });
    assert_eq!(found.by, format!("exe {exe}"));
}

#[test]
fn an_ambiguous_thread_name_names_all_who_could_be_meant() {
    let Who::Unknown { reason, .. } = claim(None, None, &[], "kube-controller").who else {
        panic!("not unknown")
    };
    assert!(
        reason.contains("calico-kube-controllers and kube-controller-manager"),
        "{reason}"
    );
}

#[test]
fn a_thread_name_that_imitates_a_component_is_told() {
    let found = claim(Some("/tmp/evil"), None, &[], "etcd");
    assert_eq!(found.by, "exe /tmp/evil; but comm says etcd");
}

type Inside = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const INSIDE: &[Inside] = &[
    ("k3s by argument", "/var/lib/rancher/k3s/data/ab/bin/k3s", &["/usr/local/bin/k3s", "server"], "k3s-server", "k3s-server"),
    ("k3s agent", "/data/bin/k3s", &["/usr/local/bin/k3s", "agent"], "k3s-agent", "k3s-agent"),
    ("a k3s that argv and comm disagree on", "/data/bin/k3s", &["/usr/local/bin/k3s", "agent"], "k3s-server", "k3s"),
    ("k3s by its own executable", "/data/bin/k3s-server", &["/usr/local/bin/k3s", "agent"], "k3s-server", "k3s-server"),
    ("kubectl inside k3s", "/data/bin/k3s", &["kubectl"], "kubectl", "kubectl"),
    ("k3s alone", "/data/bin/k3s", &["k3s"], "k3s", "k3s"),
    ("rke2 server", "/usr/local/bin/rke2", &["/usr/local/bin/rke2", "server"], "rke2", "rke2(server)"),
    ("hyperkube", "/hyperkube", &["/hyperkube", "apiserver"], "hyperkube", "kube-apiserver"),
    ("hyperkube with a full name", "/hyperkube", &["/hyperkube", "kube-proxy"], "hyperkube", "kube-proxy"),
    ("hyperkube by link", "/hyperkube", &["kubelet"], "kubelet", "kubelet"),
    ("kubectl proxy", "/usr/local/bin/kubectl", &["kubectl", "proxy"], "kubectl", "kubectl(proxy)"),
    ("another kubectl", "/usr/local/bin/kubectl", &["kubectl", "get"], "kubectl", "kubectl"),
    ("calico-node with a flag for a role", "/bin/calico-node", &["calico-node", "-felix"], "calico-node", "calico-node(felix)"),
    ("apid inside machined", "/sbin/machined", &["/apid"], "apid", "apid"),
    ("an applet", "/bin/busybox", &["nc", "-l"], "nc", "nc"),
    ("an applet by argument", "/bin/busybox", &["busybox", "wget"], "busybox", "wget"),
    ("an applet cannot be a component", "/bin/busybox", &["etcd"], "etcd", "busybox"),
    ("busybox alone", "/bin/busybox", &["busybox"], "busybox", "busybox"),
    ("a script of busybox", "/bin/busybox", &["/bin/sh", "run.sh"], "run.sh", "run.sh"),
    ("a shell under its own name", "/usr/bin/dash", &["sh"], "sh", "sh"),
    ("a login shell", "/usr/bin/bash", &["-bash"], "bash", "bash"),
    ("a Python script", "/usr/bin/python3.11", &["/usr/bin/python3", "backup.py"], "python3", "backup.py"),
    ("Python without a script", "/usr/bin/python3.11", &["python3"], "python3", "python3"),
    ("a script cannot be a component", "/usr/bin/bash", &["/bin/bash", "etcd"], "etcd", "bash"),
    ("a script that is one", "/usr/bin/ruby3.1", &["ruby", "fluentd"], "fluentd", "fluentd"),
    ("a jar", "/usr/lib/jvm/17/bin/java", &["java", "app.jar"], "java", "app.jar"),
];

#[test]
fn single_binaries_and_subcommands_are_told_apart() {
    for (name, exe, args, comm, label) in INSIDE {
        let found = claim(Some(exe), None, args, comm);
        assert_eq!(found.who.label(), *label, "case: {name}: {found:?}");
    }
}

#[test]
fn a_script_seen_only_at_exec_is_no_component() {
    let found = claim(None, Some("/opt/etcdctl"), &["/bin/sh"], "etcdctl");
    assert_eq!(found.who, Who::Process { name: "sh".into() }, "{found:?}");
    let found = claim(None, Some("/opt/backup"), &["/bin/sh"], "backup");
    assert_eq!(
        found.who,
        Who::Process {
            name: "backup".into()
        },
        "{found:?}"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn ports_give_single_binaries_their_roles() {
    let rules = rules();
    let cases: &[(&str, &str, PortUse, Option<&str>)] = &[
        (
            "its own kubelet port",
            "k3s-server",
            PortUse::Serves(10_250),
            Some("kubelet"),
        ),
        (
            "a foreign etcd",
            "k3s-server",
            PortUse::Dials(2379),
            Some("kube-apiserver"),
        ),
        ("its own etcd", "k3s-server", PortUse::Serves(2379), Some("etcd")),
        (
            "its own API",
            "k3s-server",
            PortUse::Serves(6443),
            Some("kube-apiserver"),
        ),
        (
            "an API: any part of it may ask",
            "k3s-server",
            PortUse::Dials(6443),
            None,
        ),
        (
            "an agent's API is a load balancer",
            "k3s-agent",
            PortUse::Serves(6444),
            Some("load-balancer"),
        ),
        (
            "kubelite",
            "kubelite",
            PortUse::Serves(16_443),
            Some("kube-apiserver"),
        ),
        (
            "rke2's supervisor",
            "rke2",
            PortUse::Serves(9345),
            Some("supervisor"),
        ),
        (
            "rke2's agent reaching its kubelet",
            "rke2",
            PortUse::Dials(10_250),
            Some("tunnel"),
        ),
        (
            "rke2's kubelet is a process of its own",
            "rke2",
            PortUse::Serves(10_250),
            None,
        ),
        (
            "kubelite's own kubelet",
            "kubelite",
            PortUse::Serves(10_250),
            Some("kubelet"),
        ),
        (
            "kubelite asking a kubelet",
            "kubelite",
            PortUse::Dials(10_250),
            Some("kube-apiserver"),
        ),
        (
            "kubelite and dqlite",
            "kubelite",
            PortUse::Dials(19_001),
            Some("kube-apiserver"),
        ),
        (
            "kubelite's scheduler",
            "kubelite",
            PortUse::Serves(10_259),
            Some("kube-scheduler"),
        ),
        ("k0s' join API", "k0s", PortUse::Serves(9443), Some("join-api")),
        ("KubePrism", "machined", PortUse::Serves(7445), Some("kubeprism")),
        (
            "a component that is one thing",
            "kubelet",
            PortUse::Serves(10_250),
            None,
        ),
        ("no component", "curl", PortUse::Dials(2379), None),
    ];
    for (name, component, used, want) in cases {
        assert_eq!(rules.role(component, *used), *want, "case: {name}");
    }
}

#[test]
fn a_users_file_adds_and_overrides_by_name() {
    let text = "
        [[component]]
        name = \"billing\"
        exe = [\"billing-*\", \"billd\"]

        [[component]]
        name = \"my-etcd\"
        exe = [\"etcd\"]

        [[component]]
        name = \"kubectl\"
        subcommands = [\"get\"]

        [[port]]
        port = 2379
        server = \"my-etcd\"
        purpose = \"clients\"
        tls = \"tls\"
    ";
    let rules = with_file("override", text).unwrap();
    let who = |exe: &str, word: Option<&str>| {
        rules
            .identify(&Evidence {
                exe: Some(exe),
                word,
                ..Evidence::default()
            })
            .who
            .label()
            .into_owned()
    };
    assert_eq!(who("/opt/billing-eu-1", None), "billing");
    assert_eq!(
        who("/opt/etcd", None),
        "my-etcd",
        "the later file takes the executable"
    );
    assert_eq!(who("/opt/kubectl", Some("get")), "kubectl(get)");
    assert_eq!(
        who("/opt/kubectl", Some("proxy")),
        "kubectl",
        "a given key replaces the embedded one"
    );
    assert_eq!(who("/opt/kubelet", None), "kubelet");
    assert_eq!(rules.port(2379).unwrap().server, "my-etcd");
}

type Senseless = (&'static str, &'static str, usize, &'static str);

#[rustfmt::skip]
const SENSELESS: &[Senseless] = &[
    ("not TOML", "\n\n[[component", 3, "format"),
    ("an unknown key", "[[component]]\nname = \"a\"\nexes = []\n", 3, "unknown field `exes`"),
    ("no name", "[[component]]\nexe = [\"a\"]\n", 1, "missing field `name`"),
    ("a bad name", "[[component]]\nname = \"a b\"\n", 2, "cannot be the name"),
    ("a path as executable", "[[component]]\nname = \"a\"\nexe = [\"/bin/a\"]\n", 3, "base name"),
    ("two of one name", "[[component]]\nname = \"a\"\n[[component]]\nname = \"a\"\n", 4, "described twice"),
    ("two with one executable", "[[component]]\nname = \"a\"\n[[component]]\nname = \"b\"\nexe = [\"a\"]\n", 5, "belongs to a and to b"),
    ("a command of one word", "[[component]]\nname = \"a\"\ncommands = [\"a\"]\n", 3, "write \"EXE ARGUMENT\""),
    ("an empty range", "[[port]]\nport = 9\nto = 8\nserver = \"x\"\npurpose = \"x\"\ntls = \"tls\"\n", 1, "range 9 to 8"),
    ("a port of two roles", "[[component]]\nname = \"a\"\nroles = [{ role = \"x\", serves = [1], dials = [] }, { role = \"y\", serves = [1], dials = [] }]\n", 2, "as x and as y"),
];

#[test]
fn senseless_rules_are_refused_with_file_line_and_remedy() {
    for (number, (name, text, line, want)) in SENSELESS.iter().enumerate() {
        let error = with_file(&format!("bad-{number}"), text).unwrap_err();
        let shown = error.to_string();
        let RulesError::Invalid { line: found, .. } = error else {
            panic!("case: {name}: {shown}")
        };
        assert_eq!(found, *line, "case: {name}: {shown}");
        assert!(
            shown.contains(want) && shown.contains(".toml:"),
            "case: {name}: {shown}"
        );
    }
}

#[test]
fn a_rule_file_that_cannot_be_read_is_named() {
    let error = Rules::load(Some(Path::new("/nonexistent/rules.toml")))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nonexistent/rules.toml") && error.contains("give a readable"),
        "{error}"
    );
}

type Line = (
    &'static str,
    Option<&'static str>,
    &'static [u8],
    &'static [&'static str],
);

#[rustfmt::skip]
const LINES: &[Line] = &[
    ("nothing", None, b"", &[]),
    ("only NULs", None, b"\0\0\0", &[]),
    ("flags in both forms, the last one wins", Some("/usr/bin/kubelet"), b"kubelet\0--node-ip\x0010.0.0.1\0--v=2\0--config=/a\0--config=/b\0", &["kubelet", "--node-ip=10.0.0.1", "--config=/b"]),
    ("a single dash is two", Some("/usr/bin/etcd"), b"etcd\0-name=a\0-data-dir\0/x\0", &["etcd", "--name=a"]),
    ("a flag without its value", Some("/usr/bin/etcd"), b"etcd\0--name\0--other\0", &["etcd"]),
    ("a switch takes no value", Some("/usr/bin/k3s-server"), b"k3s\0--cluster-init\0SECRET\0", &["k3s", "--cluster-init=true"]),
    ("a switch with a value", Some("/usr/bin/kube-apiserver"), b"x\0--enable-aggregator-routing=false\0", &["x", "--enable-aggregator-routing=false"]),
    ("nothing after --", Some("/usr/bin/etcd"), b"etcd\0--\0--name=a\0", &["etcd"]),
    ("a subcommand the rules know", Some("/usr/bin/kubectl"), b"kubectl\0proxy\0--port=8888\0--token=SECRET\0", &["kubectl", "proxy", "--port=8888"]),
    ("a subcommand they do not know", Some("/usr/bin/kubectl"), b"kubectl\0SECRET\0", &["kubectl"]),
    ("flags of the component a subcommand chooses", Some("/hyperkube"), b"/hyperkube\0kubelet\0--node-ip=1.2.3.4\0", &["/hyperkube", "kubelet", "--node-ip=1.2.3.4"]),
    ("a title instead of arguments", Some("/data/bin/k3s"), b"/usr/local/bin/k3s server\0\0\0\0", &["/usr/local/bin/k3s", "server"]),
    ("a title with prose", Some("/usr/sbin/nginx"), b"nginx: master process /usr/sbin/nginx -g SECRET", &["nginx:"]),
    ("a title of one string with a secret", None, b"mysql -pSECRET", &["mysql"]),
    ("no component, no flags", Some("/usr/bin/curl"), b"curl\0-u\0user:SECRET\0https://x\0", &["curl"]),
    ("a shell with code", Some("/usr/bin/bash"), b"bash\0-c\0curl -H SECRET\0", &["bash"]),
    ("a script behind switches", Some("/usr/bin/python3.11"), b"python3\0-u\0/app/run.py\0--password\0SECRET\0", &["python3", "run.py"]),
    ("a module", Some("/usr/bin/python3.11"), b"python3\0-m\0http.server\0SECRET\0", &["python3", "http.server"]),
    ("a jar behind options", Some("/usr/bin/java"), b"java\0-Xmx1g\0-Dpassword=SECRET\0-jar\0/opt/app.jar\0SECRET\0", &["java", "app.jar"]),
    ("code as an argument", Some("/usr/bin/perl"), b"perl\0-e\0SECRET\0", &["perl"]),
    ("a script name that is none", Some("/usr/bin/bash"), b"bash\0SECRET=1 x\0", &["bash"]),
    ("an applet", Some("/bin/busybox"), b"busybox\0wget\0--header=SECRET\0", &["busybox", "wget"]),
    ("a script of an applet", Some("/bin/busybox"), b"/bin/sh\0/entry.sh\0SECRET\0", &["/bin/sh", "entry.sh"]),
    ("credentials in addresses", Some("/usr/bin/kube-apiserver"), b"x\0--etcd-servers=https://u:SECRET@a:1,https://u:SECRET@b:2\0", &["x", "--etcd-servers=https://a:1,https://b:2"]),
    ("credentials in a datastore", Some("/usr/bin/k3s-server"), b"k3s\0--datastore-endpoint\0mysql://u:SECRET@tcp(h:3306)/d\0", &["k3s", "--datastore-endpoint=mysql://tcp(h:3306)/d"]),
    ("a password with a question mark", Some("/usr/bin/k3s-server"), b"k3s\0--datastore-endpoint=mysql://u:SECRET?SECRET@h\0", &["k3s", "--datastore-endpoint=(hidden)"]),
    ("a password that looks like an address", Some("/usr/bin/k3s-server"), b"k3s\0--datastore-endpoint=mysql://u:SECRET://SECRET@h\0", &["k3s", "--datastore-endpoint=(hidden)"]),
    ("a password in a query", Some("/usr/bin/k3s-server"), b"k3s\0--datastore-endpoint=postgres://h/d?password=SECRET\0", &["k3s", "--datastore-endpoint=(hidden)"]),
    ("a query", Some("/usr/bin/k3s-server"), b"k3s\0--server=https://h:6443/?k=SECRET\0", &["k3s", "--server=https://h:6443/"]),
    ("an @ without an address", Some("/usr/bin/k3s-server"), b"k3s\0--datastore-endpoint=u:SECRET@tcp(h)/d\0", &["k3s", "--datastore-endpoint=(hidden)"]),
];

#[test]
fn only_harmless_arguments_are_kept() {
    let rules = rules();
    for (name, exe, cmdline, want) in LINES {
        assert_eq!(rules.harmless_args(*exe, cmdline), *want, "case: {name}");
    }
}

proptest! {
    #[test]
    fn no_command_line_breaks_identification(
        exe in proptest::option::of("(/[a-z0-9]{0,5}){0,2}/(busybox|k3s|python3.1|etcd|memfd:|kubectl)?.{0,6}"),
        file in proptest::option::of("(busybox|k3s|python3.1|etcd|memfd:)?.{0,6}"),
        exec in proptest::option::of("/?(dev/fd/|proc/)?.{0,6}"),
        cmdline in proptest::collection::vec(any::<u8>(), 0..200),
        comm in ".{0,15}",
    ) {
        let rules = rules();
        let args = rules.harmless_args(exe.as_deref(), &cmdline);
        let evidence = Evidence {
            file: file.as_deref(),
            exe: exe.as_deref(),
            exec: exec.as_deref(),
            arg0: args.first().map(String::as_str),
            word: args.get(1).map(String::as_str),
            comm: &comm,
        };
        prop_assert!(!rules.identify(&evidence).by.is_empty());
    }

    #[test]
    fn no_secret_survives_a_command_line(
        exe in prop::sample::select(vec!["kubelet", "k3s-server", "k3s", "etcd", "kubectl", "curl", "bash", "busybox", "java"]),
        parts in proptest::collection::vec(
            prop::sample::select(vec![
                "--token=S3CRET", "--token", "S3CRET", "-H", "Authorization: Bearer S3CRET", "--password=S3CRET",
                "--config=/etc/x", "--etcd-servers=https://root:S3CRET@h:1", "--server", "https://root:S3CRET@h:1",
                "--datastore-endpoint=mysql://root:S3CRET@h/d", "--kubeconfig", "/k", "-c", "--bind-address=1.2.3.4", "-",
                "--name=x", "-e", "K3S_TOKEN=S3CRET", "server", "proxy",
            ]),
            0..12,
        ),
    ) {
        // Values directly behind a flag that takes one are that flag's by definition: not a position for a secret.
        let takes_value = |flag: &str| flag.starts_with('-') && !flag.contains('=');
        let mut line: Vec<&str> = vec![exe];
        for part in parts {
            if part == "S3CRET" && line.last().is_some_and(|flag| takes_value(flag) && *flag != "--token") {
                continue;
            }
            line.push(part);
        }
        // The first argument of an interpreter or applet is a file name by definition.
        while line.get(1) == Some(&"S3CRET") {
            line.remove(1);
        }
        let path = format!("/usr/bin/{exe}");
        let kept = rules().harmless_args(Some(&path), line.join("\0").as_bytes());
        prop_assert!(kept.iter().all(|arg| !arg.contains("S3CRET")), "{kept:?}");
    }
}
