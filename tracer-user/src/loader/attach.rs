//! From a choice of backends to attached programs: open, set globals, load, attach.

use std::{
    io::Read,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf},
    programs::{Iter, Program, ProgramError},
};
use tracer_common::{
    counters::Counters,
    maps::{COUNTERS, PASS, RECORDS, SOCKETS, SUBFLOWS_MAX, SnapshotPass, SocketEntry},
    settings::{SETTINGS, Settings},
    wire::{SocketRecord, role},
};

use crate::{clock, signal::program::ProgramState};

use super::{
    links::{self, Attachment},
    pod::{CountersPod, SettingsPod, SnapshotPassPod},
    probes::{Hook, Part, Probe},
    sys,
};

/// The object file, built by build.rs.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// Looks at counters and programs until both are of one moment. Under a storm of skips they may never be.
const COHERENT_ATTEMPTS: usize = 8;

/// Why nothing can be observed. Exit code 4.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The kernel's own type information cannot be read.
    #[error("cannot read the kernel's type information (BTF): {0}")]
    Btf(#[source] aya::BtfError),
    /// The object was refused as a whole: a map could not be made.
    #[error("cannot create the maps: {}", super::reason(.0))]
    Maps(#[source] Box<aya::EbpfError>),
    /// A map or program that must be in the object is not.
    #[error("the embedded programs have no {0}; this is a bug of the build")]
    Missing(&'static str),
    /// A map exists but cannot be used.
    #[error("cannot use the map {name}: {}", super::reason(.source))]
    Map {
        /// Its name.
        name: &'static str,
        /// What the kernel or the library said.
        source: MapError,
    },
    /// A program was refused by the verifier, or its hook is not there.
    #[error("cannot attach {program} to {hook}: {}", super::reason(.source))]
    Program {
        /// Name in the object.
        program: &'static str,
        /// Kernel function or tracepoint.
        hook: &'static str,
        /// What the kernel or the library said.
        source: Box<ProgramError>,
    },
}

/// What to attach and how large the maps are.
#[derive(Clone, Debug)]
pub struct Request {
    /// Programs, in the order in which they are attached.
    pub probes: Vec<Probe>,
    /// Where cgroup v2 is mounted, for the programs of its root.
    pub cgroup: Option<PathBuf>,
    /// Offsets and switches.
    pub settings: Settings,
    /// Size of the ring in bytes, a power of two and at least a page.
    pub ring_bytes: u32,
    /// Room of the socket table, entries.
    pub sockets_max: u32,
    /// The kernel counts how often it skips kprobes and classic tracepoints: since 6.7.
    pub counts_all_skips: bool,
}

/// Attached programs. Everything is detached and freed by the kernel when this goes, or when the process ends in any
/// way: nothing is pinned.
pub struct Attached {
    records: RingBuf<MapData>,
    counters: PerCpuArray<MapData, CountersPod>,
    pass: Array<MapData, SnapshotPassPod>,
    sockets: MapData,
    iterates: bool,
    /// When the last program was in force.
    in_force_ns: u64,
    /// Socket records that fit the ring, with their headers of 8 bytes.
    drain_max: u64,
    /// Before the programs: detached first.
    attachments: Vec<Attachment>,
    counts_all_skips: bool,
    ebpf: Ebpf,
}

impl Attached {
    /// Loads and attaches what `request` names.
    ///
    /// # Errors
    /// [`AttachError`]; nothing stays attached.
    pub fn new(request: &Request, btf: Option<&Btf>) -> Result<Self, AttachError> {
        let settings = SettingsPod(request.settings);
        let mut ebpf = EbpfLoader::new()
            .btf(btf)
            .override_global(SETTINGS, &settings, true)
            .map_max_entries(RECORDS, request.ring_bytes)
            .map_max_entries(SOCKETS, request.sockets_max)
            .load(OBJECT)
            .map_err(|source| AttachError::Maps(Box::new(source)))?;
        // All are verified before the first is attached, so that they come to be in force within microseconds.
        let refused = |probe: &Probe| {
            let (program, hook) = (probe.program, probe.hook_name);
            move |source: ProgramError| AttachError::Program {
                program,
                hook,
                source: Box::new(source),
            }
        };
        for probe in &request.probes {
            load(&mut ebpf, probe, btf).map_err(refused(probe))?;
        }
        let cgroup = request.cgroup.as_deref();
        let mut attachments = Vec::with_capacity(request.probes.len());
        // An iterator is attached anew for every pass.
        for probe in request.probes.iter().filter(|probe| probe.hook != Hook::Iterator) {
            let attached =
                program(&mut ebpf, probe).and_then(|program| Attachment::new(*probe, program, cgroup));
            attachments.push(attached.map_err(refused(probe))?);
        }
        let in_force_ns = clock::boot_ns();
        let iterates = request.probes.iter().any(|probe| probe.hook == Hook::Iterator);
        let usable = |name| move |source| AttachError::Map { name, source };
        let records = RingBuf::try_from(take(&mut ebpf, RECORDS)?).map_err(usable(RECORDS))?;
        let counters = PerCpuArray::try_from(take(&mut ebpf, COUNTERS)?).map_err(usable(COUNTERS))?;
        let pass = Array::try_from(take(&mut ebpf, PASS)?).map_err(usable(PASS))?;
        let Map::HashMap(sockets) = take(&mut ebpf, SOCKETS)? else {
            return Err(AttachError::Missing(SOCKETS));
        };
        let drain_max = u64::from(request.ring_bytes) / (size_of::<SocketRecord>() as u64 + 8);
        Ok(Self {
            records,
            counters,
            pass,
            sockets,
            iterates,
            in_force_ns,
            drain_max: drain_max.max(1),
            attachments,
            counts_all_skips: request.counts_all_skips,
            ebpf,
        })
    }

    /// Passes the records that wait in the ring to `each`; returns how many there were. At most one ring full, so that a
    /// storm of records cannot keep the caller here.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> u64 {
        let mut count = 0;
        while count < self.drain_max
            && let Some(record) = self.records.next()
        {
            each(&record);
            count += 1;
        }
        count
    }

    /// Records that one call of [`drain`](Self::drain) passes on at most.
    pub const fn drain_max(&self) -> u64 {
        self.drain_max
    }

    /// Is readable while anything is unread; who waits for it is woken when the ring fills past its threshold.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.records.as_fd()
    }

    /// The counters, summed over CPUs.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn counters(&self) -> Result<Counters, AttachError> {
        let values = self.counters.get(&0, 0).map_err(|source| AttachError::Map {
            name: COUNTERS,
            source,
        })?;
        let mut sum = Counters::default();
        for CountersPod(one) in values.iter() {
            sum.add(one);
        }
        Ok(sum)
    }

    /// Every attached program as the kernel has it now.
    ///
    /// # Errors
    /// When the kernel refuses to show the counters.
    pub fn programs(&self, programs: &mut Vec<ProgramState>) -> Result<(), AttachError> {
        let mut before = self.counters()?;
        // What the kernel skipped and what twins made up for are of one moment if nothing was made up for meanwhile, and if
        // nothing is between a skip and its twin.
        for _attempt in 0..COHERENT_ATTEMPTS {
            programs.clear();
            for attachment in &self.attachments {
                let program = self.ebpf.program(attachment.program());
                let mut state = attachment.state(program, self.counts_all_skips);
                if !state.twin {
                    state.healed = links::healed(attachment.part(), state.skipped.unwrap_or(0), &before);
                }
                programs.push(state);
            }
            let after = self.counters()?;
            let settled = |state: &ProgramState| state.twin || state.skipped.unwrap_or(0) <= state.healed;
            if before.healed() == after.healed() && programs.iter().all(settled) {
                break;
            }
            before = after;
        }
        Ok(())
    }

    /// Whether [`snapshot`](Self::snapshot) is there.
    pub const fn iterates(&self) -> bool {
        self.iterates
    }

    /// Every socket: `SocketRecord`s of kind SEEN, one after another, appended to `rows`. One pass over all file tables, and
    /// another for each further subflow while any MPTCP connection has one. False when some connection has more subflows
    /// than are followed.
    ///
    /// # Errors
    /// When the iterator cannot be made or read.
    pub fn snapshot(&mut self, rows: &mut Vec<u8>) -> Result<bool, AttachError> {
        let unusable = |source| AttachError::Map { name: PASS, source };
        for subflow in 0..=SUBFLOWS_MAX + 1 {
            let pass = SnapshotPass { subflow, more: 0 };
            self.pass.set(0, SnapshotPassPod(pass), 0).map_err(unusable)?;
            self.iterate(rows)?;
            let SnapshotPassPod(pass) = self.pass.get(&0, 0).map_err(unusable)?;
            if pass.more == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One pass over all file tables.
    fn iterate(&mut self, rows: &mut Vec<u8>) -> Result<(), AttachError> {
        let failed = |source: ProgramError| AttachError::Program {
            program: "snapshot_iter",
            hook: "task_file",
            source: Box::new(source),
        };
        let program = self
            .ebpf
            .program_mut("snapshot_iter")
            .ok_or(AttachError::Missing("snapshot_iter"))?;
        let iterator: &mut Iter = program.try_into().map_err(failed)?;
        let link = iterator.attach().map_err(failed)?;
        let link = iterator.take_link(link).map_err(failed)?;
        let mut file = link
            .into_file()
            .map_err(|error| failed(ProgramError::IOError(std::io::Error::other(error))))?;
        file.read_to_end(rows)
            .map_err(|error| failed(ProgramError::IOError(error)))?;
        Ok(())
    }

    /// The first snapshot is over: what was needed only until then goes.
    ///
    /// # Errors
    /// When a program cannot be unloaded, or the socket table cannot be swept.
    pub fn started(&mut self) -> Result<(), AttachError> {
        for gone in self
            .attachments
            .extract_if(.., |attachment| attachment.part() == Part::Closing)
        {
            let Some(program) = self.ebpf.program_mut(gone.program()) else {
                continue;
            };
            let unloaded = if let Program::BtfTracePoint(program) = program {
                program.unload()
            } else if let Program::RawTracePoint(program) = program {
                program.unload()
            } else {
                Ok(())
            };
            unloaded.map_err(|source| AttachError::Program {
                program: gone.program(),
                hook: "inet_sock_set_state",
                source: Box::new(source),
            })?;
        }
        self.sweep()
    }

    /// Removes what the closing program has remembered of sockets that ended before the state program was in force, which
    /// alone would have forgotten them.
    fn sweep(&self) -> Result<(), AttachError> {
        let mut left = Vec::new();
        self.remembered(|address, entry| {
            if entry.role == role::UNKNOWN && entry.first_seen_ns < self.in_force_ns {
                left.push(address);
            }
        })?;
        for address in left {
            sys::delete(self.sockets.fd().as_fd(), address).map_err(|error| AttachError::Map {
                name: SOCKETS,
                source: MapError::IoError(error),
            })?;
        }
        Ok(())
    }

    /// Every entry of the socket table: address and entry.
    ///
    /// # Errors
    /// When the kernel refuses the walk.
    pub fn remembered(&self, mut each: impl FnMut(u64, SocketEntry)) -> Result<(), AttachError> {
        let read = sys::read_batches(
            self.sockets.fd().as_fd(),
            |address, raw: &[u8; size_of::<SocketEntry>()]| {
                if let Ok(entry) = zerocopy::FromBytes::read_from_bytes(raw.as_slice()) {
                    each(address, entry);
                }
            },
        );
        read.map_err(|error| AttachError::Map {
            name: SOCKETS,
            source: MapError::IoError(error),
        })
    }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, AttachError> {
    ebpf.take_map(name).ok_or(AttachError::Missing(name))
}

/// Has one program verified.
fn load(ebpf: &mut Ebpf, probe: &Probe, btf: Option<&Btf>) -> Result<(), ProgramError> {
    let typed = || {
        btf.ok_or(ProgramError::Btf(aya::BtfError::UnknownBtfTypeName {
            type_name: probe.hook_name.to_owned(),
        }))
    };
    let name = probe.hook_name;
    match (probe.hook, program(ebpf, probe)?) {
        (Hook::TpBtf, Program::BtfTracePoint(program)) => program.load(name, typed()?),
        (Hook::RawTracepoint, Program::RawTracePoint(program)) => program.load(),
        (Hook::Fentry, Program::FEntry(program)) => program.load(name, typed()?),
        (Hook::Fexit, Program::FExit(program)) => program.load(name, typed()?),
        (Hook::Kprobe, Program::KProbe(program)) => program.load(),
        (Hook::Tracepoint, Program::TracePoint(program)) => program.load(),
        (Hook::Iterator, Program::Iter(program)) => program.load(name, typed()?),
        (Hook::Cgroup, Program::CgroupSock(program)) => program.load(),
        (Hook::Cgroup, Program::CgroupSockAddr(program)) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, probe: &Probe) -> Result<&'a mut Program, ProgramError> {
    ebpf.program_mut(probe.program)
        .ok_or_else(|| ProgramError::InvalidName {
            name: probe.program.to_owned(),
        })
}
