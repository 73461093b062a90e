//! Why the kernel refuses to load programs: one errno has many causes.
#![forbid(unsafe_code)]

use std::io;

use aya::{
    programs::{ProgramError, ProgramType},
    sys::is_program_supported,
};
use rustix::io::Errno;

use super::{Capabilities, Fact};

/// How loading the smallest program went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BpfTrial {
    /// Not tried.
    #[default]
    Untried,
    /// It worked.
    Works,
    /// The kernel does not know raw tracepoint programs.
    Unsupported,
    /// Refused with this errno.
    Refused(i32),
}

/// Loads a raw tracepoint program that does nothing, and drops it at once.
pub fn try_bpf() -> BpfTrial {
    match is_program_supported(ProgramType::RawTracePoint) {
        Ok(true) => BpfTrial::Works,
        Ok(false) => BpfTrial::Unsupported,
        Err(ProgramError::SyscallError(error)) => {
            BpfTrial::Refused(error.io_error.raw_os_error().unwrap_or_default())
        }
        Err(_without_errno) => BpfTrial::Refused(0),
    }
}

/// What may have caused a refusal.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) capabilities: Capabilities,
    /// A seccomp filter is in force.
    pub(super) seccomp_filter: bool,
    /// The capabilities are those of a user namespace, which do not count for `bpf()`.
    pub(super) user_ns: bool,
    /// The kernel is locked down for confidentiality.
    pub(super) lockdown: bool,
    pub(super) memlock: Fact,
}

/// The likeliest cause first; each was once seen to give this errno.
pub(super) fn explain(trial: BpfTrial, context: &Context) -> Fact {
    let errno = match trial {
        BpfTrial::Works => return Fact::Yes,
        BpfTrial::Untried => return Fact::Unknown("it was not tried".into()),
        BpfTrial::Unsupported => {
            return Fact::No("the kernel is older than 4.17 and has no raw tracepoints".into());
        }
        BpfTrial::Refused(errno) => errno,
    };
    let why = if errno == Errno::NOSYS.raw_os_error() {
        if context.seccomp_filter {
            "a seccomp filter hides bpf(): run with seccomp=unconfined, or let the profile allow bpf".into()
        } else {
            "the kernel was built without bpf() (CONFIG_BPF_SYSCALL)".into()
        }
    } else if errno == Errno::PERM.raw_os_error() || errno == Errno::ACCESS.raw_os_error() {
        denied(context)
    } else {
        let error = io::Error::from_raw_os_error(errno);
        return Fact::Unknown(format!("loading the smallest program failed: {error}"));
    };
    Fact::No(why)
}

fn denied(context: &Context) -> String {
    let missing = context.capabilities.missing_for_bpf();
    if !missing.is_empty() {
        let filter = if context.seccomp_filter {
            " (and a seccomp filter is in force)"
        } else {
            ""
        };
        format!(
            "{} missing{filter}: run as root, with sudo, or grant it",
            missing.join(" and ")
        )
    } else if context.user_ns {
        "this process is root only inside its user namespace: run it outside, without rootless containers"
            .into()
    } else if context.lockdown {
        "the kernel is locked down for confidentiality (lockdown=)".into()
    } else if context.seccomp_filter {
        "a seccomp filter refuses bpf(): run with seccomp=unconfined, or let the profile allow bpf".into()
    } else if context.memlock.is_no() {
        context.memlock.why().to_owned()
    } else {
        "the kernel refused it although no capability is missing: a security module may forbid it".into()
    }
}
