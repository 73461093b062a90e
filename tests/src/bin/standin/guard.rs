//! `standin guard NAME DIRECTORY [PRIVATE..]`: keeps a lab's processes together, and ends them all when the test is gone.
//!
//! Container shims leave the process that starts them, so they cannot be tied to a test by its death. But all of a lab
//! is in one cgroup, and only this process sees its mounts: at the end of its input it kills that cgroup, and removes
//! the cgroups and the directory. PRIVATE directories are empty inside the lab, so that nothing there reaches the machine.
//!
//! One command a line, words between tabs: `start CGROUP LOG ARGV0 PROGRAM [ARGUMENT..]` starts a process and answers
//! with its id.

use crate::control::invalid;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::setsid;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{mem, ptr};
use tests::scratch;

/// Guards until its input ends; fails with the reason why it could not begin or not clean up.
pub(crate) fn guard(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let mut need = |what: &str| {
        arguments
            .next()
            .ok_or_else(|| invalid(&format!("{what} is missing")))
    };
    let name = need("NAME")?
        .into_string()
        .map_err(|_unspecific| invalid("NAME is not UTF-8"))?;
    let directory = PathBuf::from(need("DIRECTORY")?);
    let outside = File::open("/proc/self/ns/mnt")?;
    withdraw(arguments)?;
    say("ok")?;
    let obeyed = obey_all();
    // From outside the lab's mounts cannot be seen: what is removed below is the directory's own.
    move_into_link_name_space(outside.as_fd(), Some(LinkNameSpaceType::Mount))?;
    scratch::end_cgroups(&name).map_err(io::Error::other)?;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => obeyed,
    }
}

/// Out of the terminal's reach, parent of all that loses its own, and alone with its mounts.
fn withdraw(private: impl Iterator<Item = OsString>) -> io::Result<()> {
    setsid()?;
    // SAFETY: the call takes no pointers.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    leave_no_zombies()?;
    // SAFETY: only the mount namespace is unshared, and this process has one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    for directory in private {
        mount("none", Path::new(&directory), "tmpfs", MountFlags::empty(), None)?;
    }
    Ok(())
}

/// Children are not waited for; a handler that is the default one stays so in the programs that are started.
fn leave_no_zombies() -> io::Result<()> {
    // SAFETY: all-zero is a valid sigaction: the default handler, an empty mask, no flags.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_flags = libc::SA_NOCLDWAIT;
    // SAFETY: the action is whole, and the old one is not asked for.
    if unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn obey_all() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        match start(&line?) {
            Ok(pid) => say(&format!("ok {pid}"))?,
            Err(error) => say(&format!("err {error}"))?,
        }
    }
    Ok(())
}

fn start(line: &str) -> io::Result<u32> {
    let mut words = line.split('\t');
    let mut need = |what: &str| words.next().ok_or_else(|| invalid(&format!("{what} is missing")));
    if need("command")? != "start" {
        return Err(invalid("unknown command"));
    }
    let (cgroup, log) = (need("CGROUP")?, need("LOG")?);
    let log = File::options().create(true).append(true).open(log)?;
    let child = Command::new("/proc/self/exe")
        .arg0("standin")
        .args(["launch", "--cgroup", cgroup])
        .args(words)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(child.id())
}

fn say(answer: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()
}
