//! What is attached, as the kernel has it: whether each program still is, and how often the kernel skipped it.

use std::{
    collections::BTreeSet,
    ffi::CString,
    fs::{self, File},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use aya::programs::{
    Program, ProgramError,
    links::{FdLink, LinkError},
};
use tracer_common::counters::Counters;

use super::{
    probes::{Hook, Part, Probe},
    sys,
};
use crate::signal::program::ProgramState;

/// An attached program.
pub(super) struct Attachment {
    probe: Probe,
    /// The kernel's number of the program.
    program: u32,
    held: Held,
}

/// What keeps a program attached.
enum Held {
    /// A link whose descriptor is ours, and the kernel's number of it.
    Own(OwnedFd, u32),
    /// A link of a perf event.
    Perf(FdLink, u32),
    /// Descriptor of a perf event, which aya owns: kernels before 5.15 have no link for it.
    Event(RawFd),
}

impl Attachment {
    /// Attaches a loaded program; one of a cgroup to `cgroup`, beside those of others.
    pub(super) fn new(
        probe: Probe,
        program: &mut Program,
        cgroup: Option<&Path>,
    ) -> Result<Self, ProgramError> {
        let id = sys::program_info(descriptor(program)?)
            .map_err(ProgramError::IOError)?
            .id;
        let name = probe.hook_name;
        let held = match (probe.hook, program) {
            (Hook::TpBtf | Hook::Fentry | Hook::Fexit, program) => own(program, None)?,
            (Hook::RawTracepoint, program) => own(program, Some(name))?,
            (Hook::Kprobe, Program::KProbe(program)) => {
                let events = perf_events();
                let link = program.attach(name, 0)?;
                if aya::features().bpf_perf_link() {
                    perf(FdLink::try_from(program.take_link(link)?))?
                } else {
                    event(&events)?
                }
            }
            (Hook::Tracepoint, Program::TracePoint(program)) => {
                let events = perf_events();
                let link = program.attach("sock", name)?;
                if aya::features().bpf_perf_link() {
                    perf(FdLink::try_from(program.take_link(link)?))?
                } else {
                    event(&events)?
                }
            }
            (Hook::Cgroup, program) => of_cgroup(program, name, cgroup)?,
            _ => return Err(ProgramError::UnexpectedProgramType),
        };
        Ok(Self {
            probe,
            program: id,
            held,
        })
    }

    pub(super) const fn part(&self) -> Part {
        self.probe.part
    }

    pub(super) const fn program(&self) -> &'static str {
        self.probe.program
    }

    /// How the kernel has it now. `program` is the same program, `counts_all` whether this kernel counts skips of kprobes and
    /// classic tracepoints.
    pub(super) fn state(&self, program: Option<&Program>, counts_all: bool) -> ProgramState {
        let info = program
            .and_then(|program| descriptor(program).ok())
            .and_then(|fd| sys::program_info(fd).ok())
            .filter(|info| info.id == self.program);
        ProgramState {
            part: self.probe.part.name().to_owned(),
            program: self.probe.program.to_owned(),
            twin: self.probe.twin,
            attached: info.is_some() && self.is_attached(),
            skipped: skipped(
                self.probe.hook,
                info.and_then(|info| info.recursion_misses),
                counts_all,
            ),
            healed: 0,
        }
    }

    fn is_attached(&self) -> bool {
        match &self.held {
            Held::Own(fd, id) => sys::link_info(fd.as_fd())
                .is_ok_and(|link| link.id == *id && link.program == self.program && !link.severed),
            Held::Perf(link, id) => link
                .info()
                .is_ok_and(|link| link.id() == *id && link.program_id() == self.program),
            Held::Event(fd) => sys::perf_event_has(*fd, self.program),
        }
    }
}

/// How often a program was skipped; `None` where the kernel does that and does not count.
fn skipped(hook: Hook, misses: Option<u64>, counts_all: bool) -> Option<u64> {
    match hook {
        // One guard for all programs of these kinds, whoever they belong to.
        Hook::Kprobe | Hook::Tracepoint => misses.filter(|_count| counts_all),
        // Where the kernel has no such count, it has no guard for these either: both came with 5.12.
        Hook::TpBtf | Hook::RawTracepoint | Hook::Fentry | Hook::Fexit | Hook::Iterator | Hook::Cgroup => {
            Some(misses.unwrap_or(0))
        }
    }
}

/// Of the skips of the first program of `part`, those that its twin made up for.
pub(super) const fn healed(part: Part, skipped: u64, counters: &Counters) -> u64 {
    match part {
        Part::State => counters.healed_state,
        Part::Accept => counters.healed_accept,
        Part::Exec => counters.healed_exec,
        Part::Exit => counters.healed_exit,
        Part::CgroupMkdir => counters.healed_cgroup_mkdir,
        Part::CgroupRmdir => counters.healed_cgroup_rmdir,
        Part::Release | Part::Failure | Part::ErrorRead | Part::Icmp => 0,
        // What they find is an owner that the state program has taken before, or one whose absence every record of the
        // connection shows.
        Part::Connect | Part::Closing | Part::Snapshot => skipped,
    }
}

fn descriptor(program: &Program) -> Result<BorrowedFd<'_>, ProgramError> {
    program.fd().map(AsFd::as_fd)
}

fn own(program: &Program, raw_tracepoint: Option<&str>) -> Result<Held, ProgramError> {
    let name = raw_tracepoint
        .map(CString::new)
        .transpose()
        .map_err(|nul| ProgramError::IOError(nul.into()))?;
    let program = descriptor(program)?;
    let attach = || {
        let link = sys::attach(program, name.as_deref())?;
        let id = sys::link_info(link.as_fd())?.id;
        Ok(Held::Own(link, id))
    };
    attach().map_err(ProgramError::IOError)
}

fn of_cgroup(program: &Program, hook: &str, cgroup: Option<&Path>) -> Result<Held, ProgramError> {
    let kind = match hook {
        "sock_release" => sys::BPF_CGROUP_INET_SOCK_RELEASE,
        "connect4" => sys::BPF_CGROUP_INET4_CONNECT,
        "connect6" => sys::BPF_CGROUP_INET6_CONNECT,
        _ => return Err(ProgramError::UnexpectedProgramType),
    };
    let program = descriptor(program)?;
    let attach = || {
        let root = File::open(cgroup.unwrap_or(Path::new("")))?;
        let link = sys::attach_to_cgroup(program, root.as_fd(), kind)?;
        let id = sys::link_info(link.as_fd())?.id;
        Ok(Held::Own(link, id))
    };
    attach().map_err(ProgramError::IOError)
}

fn perf(link: Result<FdLink, LinkError>) -> Result<Held, ProgramError> {
    let broken = |error: LinkError| ProgramError::IOError(io::Error::other(error));
    let link = link.map_err(broken)?;
    let id = link.info().map_err(broken)?.id();
    Ok(Held::Perf(link, id))
}

/// The perf event that is here now and was not `before`.
fn event(before: &BTreeSet<RawFd>) -> Result<Held, ProgramError> {
    let fresh = perf_events().difference(before).next().copied();
    fresh
        .map(Held::Event)
        .ok_or_else(|| ProgramError::IOError(io::Error::other("the perf event of a program cannot be found")))
}

/// Descriptors of perf events that this process has.
fn perf_events() -> BTreeSet<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return BTreeSet::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == "anon_inode:[perf_event]")
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_skips_without_counting_says_nothing() {
        for (hook, misses, counts_all, want) in [
            (Hook::TpBtf, Some(7), true, Some(7)),
            (Hook::TpBtf, Some(7), false, Some(7)),
            (Hook::RawTracepoint, None, false, Some(0)),
            (Hook::Kprobe, Some(7), true, Some(7)),
            (Hook::Kprobe, Some(0), false, None),
            (Hook::Tracepoint, None, false, None),
        ] {
            assert_eq!(
                skipped(hook, misses, counts_all),
                want,
                "{hook:?} {misses:?} {counts_all}"
            );
        }
    }

    #[test]
    fn only_an_owner_taken_twice_is_made_up_for_without_a_twin() {
        let counters = Counters {
            healed_state: 3,
            ..Counters::default()
        };
        assert_eq!(healed(Part::State, 5, &counters), 3);
        assert_eq!(healed(Part::Exec, 5, &counters), 0);
        assert_eq!(healed(Part::Connect, 5, &counters), 5);
    }
}
