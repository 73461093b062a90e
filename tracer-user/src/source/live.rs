//! The live source: kernel records, snapshots, counters and /proc, in the order that the pipeline relies on.
//!
//! Waits on a timer and on the ring's fill threshold; nothing else wakes it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tracer_common::wire::SocketRecord;

use super::{asker::Asker, canary::Canary, cgroups, wait::Waiter};
use crate::{
    attribute::{
        procfs::{Procfs, Users},
        rules::Rules,
    },
    clock,
    loader::{LoadError, Opened},
    resolve::{Resolvers, Told},
    signal::{Degraded, Signal, program::ProgramState},
};

/// Between two looks at the ring while records come.
const BUSY: Duration = Duration::from_millis(10);
/// Between two looks at the ring when nothing comes: ten wake-ups a second cost 0.1 % of a core at most.
const IDLE: Duration = Duration::from_millis(100);

/// Where signals go. A live signal borrows; who keeps it copies.
pub type Sink<'a> = dyn FnMut(&Signal<'_>) + 'a;

/// Why the source returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// A round is over; there may be more.
    Round,
    /// Somebody asked to stop (SIGINT, SIGTERM, SIGHUP).
    Stopped,
}

/// Things told by sources of names that are passed on between two looks at the ring: a flood of them must not keep us from
/// it. They take about a microsecond each.
const TOLD_MAX: usize = 4096;

/// How long the end of a run waits for what sources of names still have to tell, nanoseconds.
const LAST_NS: u64 = 50_000_000;

/// What a live run is made of besides the programs.
#[derive(Debug)]
pub struct Setup {
    /// Rules for components.
    pub rules: Arc<Rules>,
    /// Between two snapshots.
    pub interval: Duration,
    /// Set when somebody asks to stop.
    pub stop: Arc<AtomicBool>,
    /// Sources of names that run.
    pub resolvers: Resolvers,
    /// What they have told already.
    pub told: Vec<Told>,
    /// Sources of names that there should be and are not.
    pub missing: Vec<Degraded>,
    /// Name of this node in its cluster, if it is known.
    pub node: Option<String>,
}

/// The kernel, /proc and sources of names as a source of signals.
pub struct Live {
    opened: Opened,
    proc: Asker,
    resolvers: Resolvers,
    stop: Arc<AtomicBool>,
    interval_ns: u64,
    next_snapshot_ns: u64,
    wait: Duration,
    waiter: Waiter,
    rows: Vec<u8>,
    remembered: Vec<(u64, u64)>,
    /// Records lost so far, by the counters, and runs of programs that the kernel skipped and nobody made up for.
    lost: u64,
    programs: Vec<ProgramState>,
}

impl Live {
    /// Begins: tells about the run, then of every socket there is.
    ///
    /// # Errors
    /// When the first snapshot or the counters cannot be read.
    pub fn start(mut opened: Opened, setup: Setup, sink: &mut Sink<'_>) -> Result<Self, LoadError> {
        // Pid 1's view first: inside a container, with the host's pids, it is the host's.
        let users = Users::read(&[Path::new("/proc/1/root/etc/passwd"), Path::new("/etc/passwd")]);
        let procfs = Procfs::new("/proc".into()).with_users(users);
        opened.session.netns_names = procfs.named_netns(Path::new("/run/netns"));
        opened.session.first_process_cgroup = procfs.first_process_cgroup();
        opened.session.node = setup.node;
        let waiter = Waiter::new(opened.attached.wake_fd()).map_err(LoadError::Wait)?;
        let mut live = Self {
            opened,
            waiter,
            proc: Asker::new(procfs, setup.rules),
            resolvers: setup.resolvers,
            stop: setup.stop,
            interval_ns: u64::try_from(setup.interval.as_nanos()).unwrap_or(u64::MAX),
            next_snapshot_ns: 0,
            wait: BUSY,
            rows: Vec::new(),
            remembered: Vec::new(),
            lost: 0,
            programs: Vec::new(),
        };
        sink(&Signal::Start(&live.opened.session));
        for degraded in live.opened.degraded.iter().chain(&setup.missing) {
            sink(&Signal::Degraded(degraded));
        }
        for told in &setup.told {
            sink(&told.signal());
        }
        tell_cgroups(sink);
        live.snapshot(sink)?;
        live.opened.attached.started()?;
        live.counters(sink)?;
        Ok(live)
    }

    /// Waits for something to happen, at most until `until_ns`, and passes it on.
    ///
    /// # Errors
    /// When the kernel no longer lets itself be read.
    pub fn pump(&mut self, until_ns: Option<u64>, sink: &mut Sink<'_>) -> Result<Pumped, LoadError> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(Pumped::Stopped);
        }
        let now_ns = clock::boot_ns();
        let deadline_ns = until_ns.unwrap_or(u64::MAX).min(self.next_snapshot_ns);
        let wait = self
            .wait
            .min(Duration::from_nanos(deadline_ns.saturating_sub(now_ns)));
        self.waiter.wait(wait).map_err(LoadError::Wait)?;
        self.names(sink);
        let count = self.drain(sink);
        self.wait = if count >= self.opened.attached.drain_max() {
            // There may be more than one look takes.
            Duration::ZERO
        } else if count > 0 {
            BUSY
        } else {
            (self.wait * 2).clamp(BUSY, IDLE)
        };
        let now_ns = clock::boot_ns();
        if now_ns >= self.next_snapshot_ns {
            self.snapshot(sink)?;
            self.counters(sink)?;
        }
        sink(&Signal::Tick {
            at_ns: clock::boot_ns(),
        });
        Ok(if self.stop.load(Ordering::Relaxed) {
            Pumped::Stopped
        } else {
            Pumped::Round
        })
    }

    /// The end: everything that is still in the ring, a last snapshot, the counters.
    ///
    /// # Errors
    /// When the kernel no longer lets itself be read.
    pub fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), LoadError> {
        self.names(sink);
        self.snapshot(sink)?;
        self.last_names(sink);
        self.counters(sink)?;
        sink(&Signal::Tick {
            at_ns: clock::boot_ns(),
        });
        let Waiter { waits, woken, .. } = self.waiter;
        tracing::debug!(waits, woken, "source ended");
        Ok(())
    }

    /// Makes a connection with itself, which the programs must tell of.
    ///
    /// # Errors
    /// When the kernel no longer lets itself be read. A loopback that does not work is told as a canary never seen.
    pub fn canary(&mut self, sink: &mut Sink<'_>) -> Result<(), LoadError> {
        let canary = Canary::new();
        let port = canary.as_ref().map_or(0, Canary::port);
        sink(&Signal::Canary {
            port,
            at_ns: clock::boot_ns(),
        });
        if let Err(error) = canary.and_then(Canary::sing) {
            sink(&Signal::Degraded(&Degraded {
                what: "the tracer cannot prove that it sees connections".to_owned(),
                why: format!("a connection on 127.0.0.1 failed: {error}"),
                remedy: "run it in a network namespace whose loopback is up".to_owned(),
            }));
        }
        self.drain(sink);
        Ok(())
    }

    /// Sums of the kernel side's counters, and every program, as they are now.
    ///
    /// # Errors
    /// When the kernel refuses the look-up.
    pub fn counters(&mut self, sink: &mut Sink<'_>) -> Result<(), LoadError> {
        let counters = self.opened.attached.counters()?;
        self.opened.attached.programs(&mut self.programs)?;
        let lost = self
            .programs
            .iter()
            .filter(|program| !program.twin)
            .fold(counters.lost(), |lost, program| {
                lost.saturating_add(program.skipped.unwrap_or(0).saturating_sub(program.healed))
            });
        if lost > self.lost {
            self.lost = lost;
            self.proc.forget();
        }
        sink(&Signal::Counters(&counters));
        sink(&Signal::Programs(&self.programs));
        Ok(())
    }

    /// Passes on what sources of names have told.
    fn names(&mut self, sink: &mut Sink<'_>) {
        self.resolvers.drain(TOLD_MAX, |told| sink(&told.signal()));
    }

    /// News of the last connections' translations come a moment after the connections.
    fn last_names(&mut self, sink: &mut Sink<'_>) {
        let until_ns = clock::boot_ns().saturating_add(LAST_NS);
        loop {
            let left = Duration::from_nanos(until_ns.saturating_sub(clock::boot_ns()));
            if left.is_zero() || !self.resolvers.wait(left, |told| sink(&told.signal())) {
                return;
            }
        }
    }

    fn drain(&mut self, sink: &mut Sink<'_>) -> u64 {
        let Self { opened, proc, .. } = self;
        let ask = opened.same_pids;
        opened.attached.drain(|raw| {
            if ask {
                proc.ask(raw, sink);
            }
            sink(&Signal::Record(raw));
        })
    }

    /// Every socket there is. The order makes absence mean something: what was opened before `SnapshotBegin` has been
    /// told before it, and what was closed before the walk of the table has been told before `SnapshotEnd`.
    fn snapshot(&mut self, sink: &mut Sink<'_>) -> Result<(), LoadError> {
        self.drain(sink);
        // After a loss the snapshot's rows are asked about again.
        self.counters(sink)?;
        let began_ns = clock::boot_ns();
        self.next_snapshot_ns = began_ns.saturating_add(self.interval_ns);
        sink(&Signal::SnapshotBegin { at_ns: began_ns });
        self.rows.clear();
        let unseen = self.opened.snapshot(&mut self.rows)?;
        let complete = unseen.is_empty();
        for row in self.rows.chunks_exact(size_of::<SocketRecord>()) {
            if self.opened.same_pids {
                self.proc.ask(row, sink);
            }
            sink(&Signal::Row(row));
        }
        self.remembered.clear();
        let remembered = &mut self.remembered;
        self.opened
            .attached
            .remembered(|address, entry| remembered.push((address, entry.first_seen_ns)))?;
        sink(&Signal::Remembered(&self.remembered));
        self.drain(sink);
        let rows = self.rows.len() / size_of::<SocketRecord>();
        tracing::debug!(rows, remembered = self.remembered.len(), complete, "snapshot");
        sink(&Signal::SnapshotEnd {
            at_ns: clock::boot_ns(),
            complete,
        });
        if !complete {
            sink(&Signal::Degraded(&Degraded {
                what: "a snapshot could not see every socket".to_owned(),
                why: unseen.join("; "),
                remedy: "run as root, with CAP_SYS_ADMIN and CAP_SYS_PTRACE, in the host's pid namespace"
                    .to_owned(),
            }));
        }
        Ok(())
    }
}

/// Every cgroup there is. The programs are attached: what comes after the walk has a record. Where no v2 tree is mounted,
/// cgroups have no ids, and nothing is missing.
fn tell_cgroups(sink: &mut Sink<'_>) {
    let Some(tree) = cgroups::find(Path::new("/proc")) else {
        tracing::debug!("no cgroup v2 tree is mounted");
        return;
    };
    let walked = tree.walk(|id, path| sink(&Signal::Cgroup { id, path }));
    tracing::debug!(?tree, ?walked, "cgroups");
    if let Some(degraded) = walked.degraded() {
        sink(&Signal::Degraded(&degraded));
    }
}
