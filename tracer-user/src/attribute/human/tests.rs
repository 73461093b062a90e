//! Ancestries as they really look, and who is behind them.

use super::*;
use crate::{
    attribute::{process::ProcessTable, rules::Rules},
    signal::{Login, ProcessFacts},
};

/// Executable, user id, audit login, terminal, cgroup.
type Line = (&'static str, u32, Option<u32>, bool, &'static str);

const SSH: &str = "/system.slice/ssh.service";
const SESSION: &str = "/user.slice/user-1000.slice/session-12.scope";
const CRON: &str = "/system.slice/cron.service";
const SHIMS: &str = "/system.slice/containerd.service";
const POD: &str = "/kubepods/burstable/pod40fd1c883492798a973420b1590f1fa1/22efe87f90ddd7fc958347559fb107de07a2af561481dde24b678e0788ad0c71";
const OTHER: &str = "/kubepods/burstable/pod40fd1c883492798a973420b1590f1fa1/aa2789ace3392490d0984e70e241f8b5fb550711490beba9171d161d3da6f09e";
const INIT: Line = ("/usr/lib/systemd/systemd", 0, None, false, "/init.scope");
const SHIM: Line = ("/usr/bin/containerd-shim-runc-v2", 0, None, false, SHIMS);
const CONMON: Line = (
    "/usr/bin/conmon",
    0,
    None,
    false,
    "/kubepods.slice/kubepods-pod40fd1c883492798a973420b1590f1fa1.slice/crio-conmon-22efe87f90ddd7fc958347559fb107de07a2af561481dde24b678e0788ad0c71.scope",
);
const ME: Option<u32> = Some(1000);

/// The person behind the last of a line that begins with pid 1, and goes on with 2, 3, ...
fn behind(line: &[Line], first_pid: Option<u32>) -> Option<Human> {
    let mut table = ProcessTable::new(Rules::built_in());
    for (tgid, (exe, uid, login, terminal, cgroup)) in (1..).zip(line) {
        table.facts(&ProcessFacts {
            tgid,
            parent_tgid: tgid - 1,
            uid: *uid,
            read_ns: 5,
            comm: exe.rsplit('/').next().unwrap().chars().take(15).collect(),
            exe: Some((*exe).to_owned()),
            cgroup: Some((*cgroup).to_owned()),
            login: login.map(|uid| Login {
                uid,
                name: (uid == 1000).then(|| "alice".to_owned()),
                session: Some(12),
            }),
            terminal: *terminal,
            ..ProcessFacts::default()
        });
    }
    let last = u32::try_from(line.len()).unwrap();
    let process = table.who(last, 5).unwrap();
    let place = process.cgroup.as_deref().map(parse);
    human(process, &table.ancestors(last, 5), place.as_ref(), first_pid)
}

fn person(name: &str, session: Option<&str>, by: Option<&str>) -> Human {
    Human {
        name: (!name.is_empty()).then(|| name.to_owned()),
        session: session.map(String::from),
        by: by.map(String::from),
    }
}

/// Name, line, first process of the container, who was sent in.
type Sent = (&'static str, Vec<Line>, Option<u32>, Option<Human>);

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_person_behind_a_host_process_is_who_logged_in() {
    let sshd = |uid, login| ("/usr/sbin/sshd", uid, login, false, SSH);
    let inside = |exe, uid| (exe, uid, ME, true, SESSION);
    let cases: &[(&str, Vec<Line>, Option<Human>)] = &[
        (
            "ssh, then sudo etcdctl",
            vec![
                INIT,
                sshd(0, None),
                ("/usr/sbin/sshd", 0, ME, false, SESSION),
                ("/usr/sbin/sshd", 1000, ME, false, SESSION),
                inside("/usr/bin/bash", 1000),
                inside("/usr/bin/sudo", 0),
                inside("/usr/bin/sudo", 0),
                inside("/usr/bin/etcdctl", 0),
            ],
            Some(person("alice", Some("session-12.scope"), Some("sudo"))),
        ),
        (
            "sudo -i, then su to another",
            vec![
                INIT,
                sshd(0, None),
                inside("/usr/sbin/sshd", 1000),
                inside("/usr/bin/bash", 1000),
                inside("/usr/bin/sudo", 0),
                inside("/usr/bin/bash", 0),
                inside("/usr/bin/su", 0),
                inside("/usr/bin/bash", 33),
                inside("/usr/bin/curl", 33),
            ],
            Some(person("alice", Some("session-12.scope"), Some("su"))),
        ),
        (
            "a plain kubectl",
            vec![
                INIT,
                sshd(0, None),
                inside("/usr/sbin/sshd", 1000),
                inside("/usr/bin/bash", 1000),
                inside("/usr/local/bin/kubectl", 1000),
            ],
            Some(person("alice", Some("session-12.scope"), None)),
        ),
        (
            "left running with nohup",
            vec![INIT, ("/usr/local/bin/etcd", 1000, ME, false, SESSION)],
            Some(person("alice", Some("session-12.scope"), None)),
        ),
        (
            "no systemd session, only audit",
            vec![
                INIT,
                sshd(0, None),
                ("/usr/sbin/sshd", 1000, ME, false, SSH),
                ("/usr/bin/curl", 1000, ME, true, SSH),
            ],
            Some(person("alice", Some("12"), None)),
        ),
        (
            "a user without name",
            vec![
                INIT,
                (
                    "/usr/bin/curl",
                    1001,
                    Some(1001),
                    true,
                    "/user.slice/user-1001.slice/session-9.scope",
                ),
            ],
            Some(person("uid 1001", Some("session-9.scope"), None)),
        ),
        (
            "root at the console",
            vec![
                INIT,
                (
                    "/bin/login",
                    0,
                    None,
                    false,
                    "/system.slice/system-getty.slice/getty@tty1.service",
                ),
                (
                    "/usr/bin/curl",
                    0,
                    Some(0),
                    true,
                    "/user.slice/user-0.slice/session-1.scope",
                ),
            ],
            Some(person("uid 0", Some("session-1.scope"), None)),
        ),
        (
            "a kernel without audit, with systemd",
            vec![INIT, ("/usr/bin/curl", 1000, None, true, SESSION)],
            Some(person("uid 1000", Some("session-12.scope"), None)),
        ),
        (
            "a kernel without audit, without systemd",
            vec![
                INIT,
                sshd(0, None),
                sshd(0, None),
                sshd(1000, None),
                ("/usr/bin/sh", 1000, None, true, "/"),
                ("/usr/bin/doas", 0, None, true, "/"),
                ("/usr/bin/curl", 0, None, true, "/"),
            ],
            Some(person("uid 1000", None, Some("doas"))),
        ),
        (
            "the same, root",
            vec![INIT, sshd(0, None), ("/usr/bin/curl", 0, None, false, "/")],
            Some(person("uid 0", None, None)),
        ),
        (
            "a desktop's terminal",
            vec![
                INIT,
                (
                    "/usr/bin/curl",
                    1000,
                    ME,
                    true,
                    "/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-7.scope",
                ),
            ],
            Some(person("alice", Some("12"), None)),
        ),
        (
            "pkexec",
            vec![
                INIT,
                inside("/usr/bin/bash", 1000),
                inside("/usr/bin/pkexec", 0),
                inside("/usr/bin/curl", 0),
            ],
            Some(person("alice", Some("session-12.scope"), Some("pkexec"))),
        ),
        (
            "ssh before anybody has come in",
            vec![INIT, sshd(0, None), sshd(0, None)],
            None,
        ),
        ("the ssh server", vec![INIT, sshd(0, None)], None),
        (
            "kubelet",
            vec![
                INIT,
                (
                    "/usr/bin/kubelet",
                    0,
                    None,
                    false,
                    "/system.slice/kubelet.service",
                ),
            ],
            None,
        ),
        (
            "a service restarted by hand",
            vec![
                INIT,
                ("/usr/bin/kubelet", 0, ME, false, "/system.slice/kubelet.service"),
            ],
            None,
        ),
        (
            "a user's service",
            vec![
                INIT,
                (
                    "/usr/lib/systemd/systemd",
                    1000,
                    ME,
                    false,
                    "/user.slice/user-1000.slice/user@1000.service/init.scope",
                ),
                (
                    "/usr/bin/syncer",
                    1000,
                    ME,
                    false,
                    "/user.slice/user-1000.slice/user@1000.service/app.slice/syncer.service",
                ),
            ],
            None,
        ),
        (
            "cron logs its users in",
            vec![
                INIT,
                ("/usr/sbin/cron", 0, None, false, CRON),
                ("/usr/sbin/cron", 0, ME, false, CRON),
                ("/usr/bin/curl", 1000, ME, false, CRON),
            ],
            None,
        ),
        (
            "cron with a session of systemd's",
            vec![
                INIT,
                ("/usr/sbin/crond", 0, None, false, CRON),
                ("/usr/bin/curl", 1000, ME, false, SESSION),
            ],
            None,
        ),
        (
            "sudo in a daemon",
            vec![
                INIT,
                (
                    "/usr/sbin/zabbix_agentd",
                    110,
                    None,
                    false,
                    "/system.slice/zabbix.service",
                ),
                ("/usr/bin/sudo", 0, None, false, "/system.slice/zabbix.service"),
                ("/usr/bin/curl", 0, None, false, "/system.slice/zabbix.service"),
            ],
            None,
        ),
        (
            "containerd, started by hand, and its shim",
            vec![INIT, ("/usr/bin/containerd-shim-runc-v2", 0, None, false, "/")],
            None,
        ),
    ];
    for (name, line, want) in cases {
        assert_eq!(behind(line, None), *want, "case: {name}");
    }
}

#[test]
fn whoever_was_sent_into_a_container_is_told_from_who_lives_there() {
    let etcd: Line = ("/usr/local/bin/etcd", 0, None, false, POD);
    let etcdctl: Line = ("/usr/local/bin/etcdctl", 0, None, false, POD);
    let shell: Line = ("/bin/sh", 0, None, true, POD);
    let at = |line: Line| (line.0, line.1, line.2, true, line.4);
    let exec = Some(person("", None, Some("kubectl exec")));
    let maybe = Some(person("", None, Some("kubectl exec or probe")));
    let cases: &[Sent] = &[
        (
            "the container's first process",
            vec![INIT, SHIM, etcd],
            Some(3),
            None,
        ),
        ("a child of it", vec![INIT, SHIM, etcd, etcdctl], Some(3), None),
        (
            "kubectl exec -it",
            vec![INIT, SHIM, shell, at(etcdctl)],
            Some(77),
            exec.clone(),
        ),
        (
            "kubectl exec, nothing between",
            vec![INIT, SHIM, at(etcdctl)],
            Some(77),
            exec.clone(),
        ),
        (
            "a probe, or kubectl exec without terminal",
            vec![INIT, SHIM, etcdctl],
            Some(77),
            maybe.clone(),
        ),
        (
            "CRI-O",
            vec![INIT, CONMON, shell, at(etcdctl)],
            Some(77),
            exec.clone(),
        ),
        (
            "runc has not gone yet",
            vec![INIT, SHIM, ("/usr/bin/runc", 0, None, false, SHIMS), etcdctl],
            Some(77),
            maybe,
        ),
        (
            "nobody told which is the first",
            vec![INIT, SHIM, shell, etcdctl],
            None,
            None,
        ),
        (
            "the line is not known up to the runtime",
            vec![shell, at(etcdctl)],
            Some(77),
            None,
        ),
        (
            "an orphan in a shared pid namespace",
            vec![INIT, SHIM, ("/pause", 0, None, false, OTHER), etcdctl],
            Some(77),
            None,
        ),
        (
            "the runtime was started by hand",
            vec![INIT, SHIM, (etcd.0, 0, ME, false, POD)],
            Some(3),
            None,
        ),
    ];
    for (name, line, first_pid, want) in cases {
        assert_eq!(behind(line, *first_pid), *want, "case: {name}");
    }
}
