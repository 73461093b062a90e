//! Processes that call themselves a component which their executable is not.
//!
//! Anybody can set a thread name; an alarm must still be rare enough to be read, so whatever may honestly differ is
//! left alone: scripts, applets, executables with several programs in them, versioned and wrapped names.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use super::{
    cgroup::CgroupPlace,
    process::Process,
    rules::{
        Program, Rules,
        text::{base_name, cut, cut_to_comm, in_memory, without_deleted},
    },
};

/// An executable's path is quoted up to this length.
const QUOTED_BYTES: usize = 256;

/// Runtimes that run a copy of themselves from memory (CVE-2019-5736).
const FROM_MEMORY: [&str; 2] = ["runc", "crun"];

/// In words, if a process calls itself what it is not: `calls itself etcd, but its executable is /tmp/x`.
pub fn spoofed(process: &Process, place: Option<&CgroupPlace>, rules: &Rules) -> Option<String> {
    let comm = &*process.reference.comm;
    let exe = executable(process)?;
    let mut claimed = rules.components_by_comm(comm).peekable();
    claimed.peek()?;
    let real = process.claim.who.component();
    if claimed.any(|name| Some(name) == real) || is_honest(process, comm, exe, rules) {
        return None;
    }
    let inside = match place.and_then(CgroupPlace::pod) {
        Some(_) => ", in a pod",
        None => "",
    };
    let exe = cut(exe, QUOTED_BYTES);
    Some(format!(
        "calls itself {comm}, but its executable is {exe}{inside}"
    ))
}

/// What the kernel or /proc says of the executable. The path given to `execve` may be a link's, or a file descriptor's.
fn executable(process: &Process) -> Option<&str> {
    let exe = process
        .reference
        .exe
        .as_deref()
        .filter(|_| process.reference.exe_known)?;
    let exe = without_deleted(exe);
    let indirect = exe.starts_with("/proc/") || exe.starts_with("/dev/fd/") || base_name(exe).is_empty();
    (!indirect).then_some(exe)
}

/// Whether the difference has an honest reason.
fn is_honest(process: &Process, comm: &str, exe: &str, rules: &Rules) -> bool {
    if let Some(memory) = in_memory(exe) {
        return FROM_MEMORY.contains(&comm) && memory.contains(comm);
    }
    let base = base_name(exe);
    // `kubelet-v1.30`, `.kubelet-wrapped`. Talos' services are names of its init.
    if base.contains(comm) || base == "init" {
        return true;
    }
    let called = |index: usize| {
        process
            .args
            .get(index)
            .map(|arg| cut_to_comm(base_name(arg)))
            .filter(|name| !name.contains('='))
    };
    match rules.program(base) {
        Program::Multicall => true,
        // One of a family in one file: `calico` as `calico-typha`.
        Program::Component => comm.strip_prefix(base).is_some_and(|rest| rest.starts_with('-')),
        // The kernel calls a script by its file's name. A script that is not known may be called anything.
        Program::Interpreter => called(1).is_none_or(|script| script == comm),
        Program::Applets => called(1).is_none_or(|script| script == comm) || called(0) == Some(comm),
        Program::Other => false,
    }
}
