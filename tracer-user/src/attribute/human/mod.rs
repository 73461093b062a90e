//! Who is the person behind a process: by the kernel's audit fields, the login session, and the ancestry.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use super::{
    cgroup::{CgroupPlace, parse},
    place::Human,
    process::Process,
};

/// Programs by which one becomes another user.
const ELEVATING: [&str; 6] = ["sudo", "sudo-rs", "su", "su-rs", "doas", "pkexec"];

/// Programs by which one comes in.
const DOORS: [&str; 11] = [
    "sshd",
    "sshd-session",
    "login",
    "dropbear",
    "telnetd",
    "in.telnetd",
    "mosh-server",
    "gdm-session-worker",
    "sddm-helper",
    "lightdm",
    "xrdp-sesman",
];

/// Programs that log users in with nobody there.
const SCHEDULERS: [&str; 7] = ["cron", "crond", "CRON", "anacron", "atd", "fcron", "systemd-run"];

/// Components that begin processes inside containers.
const RUNTIMES: [&str; 9] = [
    "containerd-shim",
    "conmon",
    "conmonrs",
    "containerd",
    "crio",
    "dockerd",
    "runc",
    "crun",
    "cri-dockerd",
];

/// The person behind a process; absent for daemons.
///
/// `ancestors` nearest first. `place` is where the process is. `container_first_pid` is the first process of its
/// container, where the runtime told: without it nobody can say who was sent in later.
pub fn human(
    process: &Process,
    ancestors: &[&Process],
    place: Option<&CgroupPlace>,
    container_first_pid: Option<u32>,
) -> Option<Human> {
    let empty = CgroupPlace::default();
    let place = place.unwrap_or(&empty);
    let pod_container = place.pod().and_then(|pod| pod.container.as_ref());
    if let Some(container) = pod_container {
        // Whoever started the runtime by hand is not behind what the cluster runs with it.
        return sent_in(process, ancestors, &container.id, container_first_pid?);
    }
    let names: Vec<String> = ancestors.iter().map(|ancestor| name(ancestor)).collect();
    let nearest = |list: &[&str]| names.iter().position(|name| list.contains(&name.as_str()));
    let door = nearest(&DOORS);
    if nearest(&SCHEDULERS).is_some_and(|at| door.is_none_or(|door| at < door)) {
        return None;
    }
    let by = nearest(&ELEVATING).and_then(|at| names.get(at)).cloned();
    let login = process.login.as_deref();
    let uid = login
        .map(|login| login.uid)
        .or(place.user.filter(|_| place.session.is_some()))
        .or_else(|| door.and_then(|door| came_in(process, ancestors, door)))?;
    let is_service = place
        .unit
        .as_ref()
        .is_some_and(|unit| unit.strip_suffix(".scope").is_none());
    let at_terminal = process.terminal || ancestors.iter().any(|ancestor| ancestor.terminal);
    // A service that somebody restarted by hand, or that logs in on its own.
    if is_service && place.session.is_none() && door.is_none() && by.is_none() && !at_terminal {
        return None;
    }
    let session = login.and_then(|login| login.session);
    Some(Human {
        name: login
            .and_then(|login| login.name.clone())
            .or_else(|| Some(format!("uid {uid}"))),
        session: place
            .session
            .clone()
            .or_else(|| session.map(|session| session.to_string())),
        by,
    })
}

/// What a process is called; its executable counts more than what it calls itself.
fn name(process: &Process) -> String {
    process.claim.who.label().into_owned()
}

/// The user that came in by a door, on a kernel without audit: the first below it who is not root, else root.
fn came_in(process: &Process, ancestors: &[&Process], door: usize) -> Option<u32> {
    let inside: Vec<&Process> = ancestors
        .iter()
        .take(door)
        .rev()
        .copied()
        .chain([process])
        .collect();
    let user = inside
        .iter()
        .map(|process| process.reference.uid)
        .find(|uid| *uid != 0);
    // A door's own helper as root: nobody has come in yet.
    let all_doors = inside
        .iter()
        .all(|process| DOORS.contains(&name(process).as_str()));
    user.or((!all_doors).then_some(0))
}

/// Somebody had a process started inside a container that runs already: its line in there does not begin with the
/// container's first process, and the runtime began it.
fn sent_in(process: &Process, ancestors: &[&Process], container: &str, first_pid: u32) -> Option<Human> {
    let inside = |ancestor: &&&Process| match &ancestor.cgroup {
        Some(path) => parse(path).container().is_some_and(|found| found.id == container),
        None => !is_runtime(ancestor),
    };
    let line: Vec<&Process> = ancestors.iter().take_while(inside).copied().collect();
    // An orphan in a pod with one pid namespace has another container's process for its parent: that is no proof.
    ancestors.get(line.len()).filter(|outside| is_runtime(outside))?;
    let top = line.last().copied().unwrap_or(process);
    let first = line
        .iter()
        .chain([&process])
        .any(|process| process.reference.tgid == first_pid);
    if first {
        return None;
    }
    // kubelet's exec probes and hooks come the same way, never with a terminal.
    let by = if process.terminal || top.terminal {
        "kubectl exec"
    } else {
        "kubectl exec or probe"
    };
    Some(Human {
        name: None,
        session: None,
        by: Some(by.to_owned()),
    })
}

fn is_runtime(process: &Process) -> bool {
    let component = process.claim.who.component();
    component.is_some_and(|name| RUNTIMES.contains(&name))
}
