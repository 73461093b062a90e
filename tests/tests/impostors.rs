//! Programs that make themselves look like a kube-apiserver: `verify` expects none of them, whatever they do.

#![cfg(test)]

use anyhow::{Context, Result};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tests::json::{self, list, number, text};
use tests::machine::EtcdPort;
use tests::needs;
use tests::netns::Netns;
use tests::require::Need;
use tests::scratch::Scratch;
use tests::standin::{Program, Standin, spawn};
use tests::tracer::{self, Tracer};

/// Impostors of each kind.
const EACH: usize = 20;

/// Whom they imitate.
const SERVER: &str = "kube-apiserver";

/// Where etcd listens, unless a kind says otherwise.
const ETCD: &str = "127.0.0.1:2379";

/// The same by a translation.
const SERVICE: &str = "127.0.0.9:4000";

/// An etcd and those who reach it, in a namespace of their own.
struct Lab {
    netns: Netns,
    _etcd: Standin,
    /// A program that is not a component, and one that is called like one.
    other: Program,
    component: Program,
    directory: Scratch,
    /// Impostors that hold their connections to the end.
    held: Vec<Standin>,
}

impl Lab {
    fn new(etcd: &str) -> Result<Self> {
        let netns = Netns::new()?;
        let flag = format!("--listen-client-urls=http://{etcd}");
        let mut server = Standin::start_as(&netns, &["etcd", &flag], None)?;
        server.listen(etcd)?;
        Ok(Self {
            netns,
            _etcd: server,
            other: Program::new("collector")?,
            component: Program::new(SERVER)?,
            directory: Scratch::new()?,
            held: Vec::new(),
        })
    }

    /// Runs a program that says it is the API server: it connects once and ends.
    fn brief(&self, program: &Path, script: &str) -> Result<()> {
        let mut command = Command::new(program);
        command
            .arg0(SERVER)
            .env("KCN_STANDIN_SCRIPT", script)
            .stdin(Stdio::null());
        let status = spawn(&mut command, &self.netns)?.wait()?;
        anyhow::ensure!(status.success(), "{} failed: {status}", program.display());
        Ok(())
    }

    fn start(&mut self, name: &str) -> Result<&mut Standin> {
        let standin = Standin::start(&self.netns, name)?;
        self.held.push(standin);
        self.held.last_mut().context("nobody was started")
    }
}

/// What an impostor does.
type Act = fn(&mut Lab) -> Result<()>;

/// A way to look like an API server.
struct Kind {
    name: &'static str,
    etcd: &'static str,
    /// Before the tracer starts.
    before: Act,
    /// While it runs.
    during: Act,
}

const NOTHING: Act = |_lab| Ok(());

/// One dial of `ETCD`.
fn dial() -> String {
    format!("dial {ETCD} 1")
}

fn says_so(lab: &mut Lab) -> Result<()> {
    lab.brief(lab.other.path(), &dial())
}

fn calls_its_thread_so(lab: &mut Lab) -> Result<()> {
    lab.brief(lab.other.path(), &format!("call {SERVER};{}", dial()))
}

/// Its file is nowhere by the time anybody looks, and the path it was begun by names a descriptor.
fn runs_by_a_descriptor(lab: &mut Lab) -> Result<()> {
    let file = File::open(lab.other.path())?;
    fcntl_setfd(&file, FdFlags::empty())?;
    lab.brief(format!("/dev/fd/{}", file.as_raw_fd()).as_ref(), &dial())
}

fn runs_from_memory(lab: &mut Lab) -> Result<()> {
    let memory: OwnedFd = memfd_create(SERVER, MemfdFlags::empty())?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    io::copy(&mut File::open(lab.other.path())?, &mut File::create(&path)?)?;
    // A program that is open for writing cannot be executed.
    let readable = File::open(&path)?;
    drop(memory);
    fcntl_setfd(&readable, FdFlags::empty())?;
    lab.brief(format!("/dev/fd/{}", readable.as_raw_fd()).as_ref(), &dial())
}

/// The link is gone as soon as the program runs.
fn runs_by_a_link(lab: &mut Lab) -> Result<()> {
    let link = lab.directory.join(SERVER);
    symlink(lab.other.path(), &link)?;
    let mut command = Command::new(&link);
    command.env("KCN_STANDIN_SCRIPT", dial()).stdin(Stdio::null());
    let mut child = spawn(&mut command, &lab.netns)?;
    fs::remove_file(&link)?;
    anyhow::ensure!(child.wait()?.success(), "it failed");
    Ok(())
}

fn is_a_script(lab: &mut Lab) -> Result<()> {
    let script = lab.directory.join(SERVER);
    if !script.exists() {
        fs::write(&script, format!("#!{}\n", lab.other.path().display()))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    lab.brief(&script, &dial())
}

fn is_a_copy(lab: &mut Lab) -> Result<()> {
    lab.brief(lab.component.path(), &dial())
}

/// It connects, then runs a program of that name, which listens as an API server does and holds the connection.
fn becomes_it(lab: &mut Lab) -> Result<()> {
    waits(lab)?;
    becomes_it_after_all(lab)
}

fn waits(lab: &mut Lab) -> Result<()> {
    lab.start("collector").map(drop)
}

/// The same by one that was there before the tracer.
fn becomes_it_after_all(lab: &mut Lab) -> Result<()> {
    let mut impostor = lab.held.pop().context("nobody is left")?;
    impostor.dial(ETCD, 1)?;
    impostor.ask(format_args!("become {}", lab.component.path().display()))?;
    impostor.listen("127.0.0.1:0")?;
    lab.held.insert(0, impostor);
    Ok(())
}

/// And so does its child between fork and exec.
fn has_a_child_that_becomes_it(lab: &mut Lab) -> Result<()> {
    let component = lab.component.path().to_owned();
    let impostor = lab.start("collector")?;
    impostor
        .ask(format_args!("fork-dial-become {ETCD} {}", component.display()))
        .map(drop)
}

/// One process id, two programs: each connects.
fn is_both(lab: &mut Lab) -> Result<()> {
    becomes_it(lab)?;
    let impostor = lab.held.first_mut().context("nobody was started")?;
    impostor.dial(ETCD, 1).map(drop)
}

fn holds(lab: &mut Lab) -> Result<()> {
    let impostor = lab.start("collector")?;
    impostor.ask(format_args!("call {SERVER}"))?;
    impostor.dial(ETCD, 1).map(drop)
}

fn lets_go(lab: &mut Lab) -> Result<()> {
    let impostor = lab.held.pop().context("nobody is left")?;
    impostor.stop()
}

fn reaches_another_port(lab: &mut Lab) -> Result<()> {
    lab.brief(lab.other.path(), "dial 127.0.0.1:12379 1")
}

fn reaches_a_service(lab: &mut Lab) -> Result<()> {
    lab.brief(lab.other.path(), &format!("dial {SERVICE} 1"))
}

const KINDS: [Kind; 15] = {
    const fn during(name: &'static str, during: Act) -> Kind {
        Kind {
            name,
            etcd: ETCD,
            before: NOTHING,
            during,
        }
    }
    const fn before(name: &'static str, before: Act, during: Act) -> Kind {
        Kind {
            name,
            etcd: ETCD,
            before,
            during,
        }
    }
    [
        during("argv[0]", says_so),
        during("thread name", calls_its_thread_so),
        during("descriptor", runs_by_a_descriptor),
        during("memory", runs_from_memory),
        during("link", runs_by_a_link),
        during("script", is_a_script),
        during("copy", is_a_copy),
        during("connect, exec", becomes_it),
        during("fork, connect, exec", has_a_child_that_becomes_it),
        during("connect, exec, connect", is_both),
        before("older", holds, NOTHING),
        before("older, ends in the window", holds, lets_go),
        before("older, connect, exec", waits, becomes_it_after_all),
        Kind {
            name: "etcd on another port",
            etcd: "127.0.0.1:12379",
            before: NOTHING,
            during: reaches_another_port,
        },
        Kind {
            name: "by a translation",
            etcd: ETCD,
            before: NOTHING,
            during: reaches_a_service,
        },
    ]
};

#[test]
#[ignore = "needs root and BPF"]
fn of_three_hundred_impostors_none_is_expected() {
    if !needs![Need::Root, Need::Bpf, Need::Program("iptables")] {
        return;
    }
    let _port = EtcdPort::alone().unwrap();
    let mut labs: Vec<Lab> = KINDS.iter().map(|kind| Lab::new(kind.etcd).unwrap()).collect();
    let translated = labs.last().unwrap();
    translated
        .netns
        .translate(&format!(
            "*nat\n-A OUTPUT -p tcp -d 127.0.0.9 --dport 4000 -j DNAT --to-destination {ETCD}\nCOMMIT\n"
        ))
        .unwrap();
    let all = |labs: &mut [Lab], act: fn(&Kind) -> Act| {
        for (kind, lab) in KINDS.iter().zip(labs) {
            for one in 0..EACH {
                act(kind)(lab)
                    .with_context(|| format!("{} {one}", kind.name))
                    .unwrap();
            }
        }
    };
    all(&mut labs, |kind| kind.before);
    let file = labs[0].directory.join("run.kcn");
    let file = file.to_str().unwrap();
    let tracer = Tracer::start_ready(&["record", "-w", file]).unwrap();
    all(&mut labs, |kind| kind.during);
    tracer.interrupt().unwrap().expect_code(0).unwrap();
    let finished = tracer::run(&["replay", file, "verify", "etcd-clients", "-o", "json"]).unwrap();
    finished.expect_code(1).unwrap();
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    let check = &list(&document, "checks")[0];
    let mut judged = 0;
    for (kind, lab) in KINDS.iter().zip(&labs) {
        let own: Vec<&Value> = list(check, "records")
            .iter()
            .filter(|record| text(record, "destination.netns") == lab.netns.inode())
            .collect();
        for record in &own {
            let note = text(record, "note");
            assert!(!["expected", "live"].contains(&note), "{}: {record}", kind.name);
        }
        let connections: u64 = own.iter().map(|record| number(record, "connections")).sum();
        assert_eq!(connections, EACH as u64, "{}: {own:#?}", kind.name);
        judged += connections;
    }
    assert_eq!(judged, (KINDS.len() * EACH) as u64);
    assert_eq!(json::lost(&document), 0);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_client_whose_socket_no_file_table_holds_is_a_client() {
    if !needs![Need::Root, Need::Bpf] {
        return;
    }
    let _port = EtcdPort::alone().unwrap();
    let mut lab = Lab::new(ETCD).unwrap();
    let server = lab.start(SERVER).unwrap();
    server.listen("127.0.0.1:6443").unwrap();
    server.dial(ETCD, 1).unwrap();
    let hidden = lab.start("collector").unwrap();
    hidden.dial(ETCD, 1).unwrap();
    hidden.ask("stow-dialed").unwrap();
    let finished = tracer::run(&["verify", "etcd-clients", "--duration", "1", "-o", "json"]).unwrap();
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_ne!(text(&document, "verdict"), "pass", "{document}");
    let check = &list(&document, "checks")[0];
    let own: Vec<(&str, u64)> = list(check, "records")
        .iter()
        .filter(|record| text(record, "destination.netns") == lab.netns.inode())
        .map(|record| (text(record, "note"), number(record, "connections")))
        .collect();
    assert_eq!(own, [("expected", 1), ("cannot be named", 1)], "{document}");
}
