//! `standin launch [--cgroup DIR] [--mount TYPE DIR] [--uid N] [--no-bpf] ARGV0 PROGRAM [ARGUMENT..]`: becomes PROGRAM in a given setting.
//!
//! The setting is there before PROGRAM's first instruction, and PROGRAM dies with the process that started it.

use crate::control::invalid;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Becomes the program; returns only the reason why that could not be done.
pub(crate) fn launch(arguments: impl Iterator<Item = OsString>) -> String {
    match prepare(arguments) {
        Ok(mut command) => {
            let error = become_it(&mut command);
            format!("cannot start {}: {error}", command.get_program().display())
        }
        Err(error) => format!("cannot launch: {error}"),
    }
}

/// A program that was copied a moment ago may still be open for writing in a fork of the copying process that has not
/// come to its own exec yet. That takes milliseconds; the bound is for a machine under load.
fn become_it(command: &mut Command) -> io::Error {
    let mut attempts = 0;
    loop {
        let error = command.exec();
        attempts += 1;
        if error.kind() != io::ErrorKind::ExecutableFileBusy || attempts == 500 {
            return error;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "nothing tells when the last writer has gone"
        )]
        thread::sleep(Duration::from_millis(4));
    }
}

fn prepare(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Command> {
    let mut uid = None;
    let mut no_bpf = false;
    let mut need = |what: &str| {
        arguments
            .next()
            .ok_or_else(|| invalid(&format!("{what} is missing")))
    };
    let name = loop {
        let word = need("ARGV0")?;
        match word.to_str() {
            // 0 stands for the writing process itself.
            Some("--cgroup") => fs::write(Path::new(&need("DIR")?).join("cgroup.procs"), "0")?,
            Some("--uid") => {
                let number = need("N")?;
                uid = Some(
                    number
                        .to_string_lossy()
                        .parse()
                        .map_err(|_unspecific| invalid("--uid needs a number"))?,
                );
            }
            Some("--mount") => mount_over(&need("TYPE")?, Path::new(&need("DIR")?))?,
            Some("--no-bpf") => no_bpf = true,
            _ => break word,
        }
    };
    let mut command = Command::new(need("PROGRAM")?);
    command.arg0(name).args(arguments);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    if no_bpf {
        seccomp::refuse_bpf()?;
    }
    Ok(command)
}

/// Mounts a file system of type `kind` on a directory, for this process and its children only.
fn mount_over(kind: &OsStr, directory: &Path) -> io::Result<()> {
    // SAFETY: only the mount namespace is unshared, and this process has one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(mount("none", directory, kind, MountFlags::empty(), None)?)
}

mod seccomp {
    //! A filter that lets `bpf()` fail as container runtimes' default profiles do.

    use rustix::thread::set_no_new_privs;
    use std::io;

    // `struct sock_filter` codes: linux/bpf_common.h.
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// `offsetof(struct seccomp_data, nr)`
    const SYSCALL_NUMBER: u32 = 0;

    pub(super) fn refuse_bpf() -> io::Result<()> {
        let bpf = u32::try_from(libc::SYS_bpf).map_err(io::Error::other)?;
        let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        let mut filter = [
            step(LOAD_WORD, 0, 0, SYSCALL_NUMBER),
            step(JUMP_IF_EQUAL, 0, 1, bpf),
            step(RETURN, 0, 0, refuse),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: 4,
            filter: filter.as_mut_ptr(),
        };
        set_no_new_privs(true)?;
        // SAFETY: `program` and the four instructions it points to outlive the call, which copies them.
        let outcome = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        };
        if outcome == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code, jt, jf, k }
    }
}
