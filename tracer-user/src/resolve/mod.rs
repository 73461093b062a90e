//! Sources of names outside the kernel: each asks one part of the world in a thread of its own and tells what it learns.
//!
//! Nobody waits for them: a source that hangs, fails or floods delays its own names only. To add one: a folder or file
//! here that implements [`Resolver`], and its line in `app/names.rs`.
#![deny(unsafe_code)]

pub mod conntrack;

pub mod files;

pub mod host;

pub mod kube;

pub mod cri;
pub mod workload;

pub mod children;
mod yaml;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
    time::Duration,
};

use self::children::Children;
use crate::{
    clock,
    signal::{
        Degraded, Signal,
        host::HostFacts,
        inventory::{Fact, Inventory, Origin, SourceState},
        nat::NatFacts,
    },
};

/// What waits between the sources and the pipeline; whoever tells more waits until there is room.
const WAITING_MAX: usize = 4096;

/// What a source tells: a signal that owns what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// About pods, containers, services, endpoints, nodes.
    Inventory(Inventory),
    /// About the node's own network.
    Host(HostFacts),
    /// About a translated connection.
    Nat(NatFacts),
    /// About itself.
    Source(SourceState),
}

impl Told {
    /// As the pipeline takes it.
    pub const fn signal(&self) -> Signal<'_> {
        match self {
            Self::Inventory(inventory) => Signal::Inventory(inventory),
            Self::Host(facts) => Signal::Host(facts),
            Self::Nat(nat) => Signal::Nat(nat),
            Self::Source(state) => Signal::Source(state),
        }
    }
}

/// A source of names.
pub trait Resolver: Send + 'static {
    /// Its name, as in [`SourceState::source`].
    fn name(&self) -> String;

    /// Asks and tells until `teller` says that nobody listens any more. Retries whatever fails, tells every change of
    /// its own health once, and tells [`Teller::works`] or [`Teller::fails`] as soon as its first answer is complete or
    /// refused.
    fn run(self: Box<Self>, teller: &Teller);
}

/// Nobody listens any more: return from [`Resolver::run`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run is over")]
pub struct Over;

/// The way from a source to the pipeline.
#[derive(Clone, Debug)]
pub struct Teller {
    source: String,
    channel: SyncSender<Told>,
    stop: Arc<AtomicBool>,
    children: Children,
}

impl Teller {
    /// Tells one thing; waits while the pipeline is behind.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub fn tell(&self, told: Told) -> Result<(), Over> {
        self.channel.send(told).map_err(|_closed| Over)
    }

    /// Tells a fact, learnt now.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub fn fact(&self, origin: Origin, fact: Fact) -> Result<(), Over> {
        self.tell(Told::Inventory(Inventory {
            origin,
            at_ns: clock::boot_ns(),
            fact,
        }))
    }

    /// The source works, and its first answer is complete.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub fn works(&self) -> Result<(), Over> {
        self.state(None)
    }

    /// The source does not work.
    ///
    /// # Errors
    /// When nobody listens any more.
    pub fn fails(&self, fault: Degraded) -> Result<(), Over> {
        self.state(Some(fault))
    }

    fn state(&self, fault: Option<Degraded>) -> Result<(), Over> {
        self.tell(Told::Source(SourceState {
            source: self.source.clone(),
            at_ns: clock::boot_ns(),
            fault,
        }))
    }

    /// The same way for a part of the source that fails and recovers on its own.
    #[must_use]
    pub fn part(&self, part: &str) -> Self {
        Self {
            source: format!("{} {part}", self.source),
            ..self.clone()
        }
    }

    /// The programs that are run for sources of names; they end with the run.
    pub(crate) const fn children(&self) -> &Children {
        &self.children
    }

    /// Whether the run is over.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits; false as soon as the run is over.
    pub fn pause(&self, pause: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(100);
        let mut left = pause;
        while !self.is_over() && !left.is_zero() {
            let step = left.min(STEP);
            thread::park_timeout(step);
            left -= step;
        }
        !self.is_over()
    }
}

/// All sources that run.
#[derive(Debug)]
pub struct Resolvers {
    channel: Receiver<Told>,
    stop: Arc<AtomicBool>,
    children: Children,
    /// Sources that have not said yet whether they work.
    pending: Vec<String>,
}

impl Resolvers {
    /// Starts each in a thread of its own.
    pub fn start(resolvers: Vec<Box<dyn Resolver>>) -> Self {
        let (sender, channel) = sync_channel(WAITING_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let children = Children::default();
        let mut pending = Vec::new();
        for resolver in resolvers {
            let teller = Teller {
                source: resolver.name(),
                channel: sender.clone(),
                stop: Arc::clone(&stop),
                children: children.clone(),
            };
            let source = teller.source.clone();
            let started = thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(move || guarded(resolver, &teller));
            match started {
                Ok(_detached) => pending.push(source),
                Err(error) => {
                    let teller = Teller {
                        source: source.clone(),
                        channel: sender.clone(),
                        stop: Arc::clone(&stop),
                        children: children.clone(),
                    };
                    // The channel is open: its other end is here.
                    let _heard = teller.fails(Degraded {
                        what: format!("{source} is not asked for names"),
                        why: format!("no thread could be started: {error}"),
                        remedy: "raise the limit of threads (ulimit -u, pids.max)".to_owned(),
                    });
                }
            }
        }
        Self {
            channel,
            stop,
            children,
            pending,
        }
    }

    /// Whether every source has said whether it works: its first answer is complete, or will not come soon.
    pub const fn are_ready(&self) -> bool {
        self.pending.is_empty()
    }

    /// For every source that has not said yet whether it works, that it has not; it may take that back.
    pub fn silent(&self) -> impl Iterator<Item = SourceState> {
        let at_ns = clock::boot_ns();
        self.pending.iter().map(move |source| SourceState {
            source: source.clone(),
            at_ns,
            fault: Some(Degraded {
                what: format!("names from {source} are still missing"),
                why: "it has not answered yet".to_owned(),
                remedy: "none if it is only slow: edges are renamed when it answers; else see that it runs"
                    .to_owned(),
            }),
        })
    }

    /// Waits until a source tells something, and passes it on; false when none did in time, or none is left.
    pub fn wait(&mut self, patience: Duration, each: impl FnOnce(Told)) -> bool {
        let Ok(told) = self.channel.recv_timeout(patience) else {
            return false;
        };
        self.heard(&told);
        each(told);
        true
    }

    fn heard(&mut self, told: &Told) {
        if let Told::Source(state) = told {
            self.pending.retain(|source| *source != state.source);
        }
    }

    /// Passes on what was told, at most `max` things; returns how many there were.
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(&Told)) -> usize {
        let mut count = 0;
        while count < max {
            match self.channel.try_recv() {
                Ok(told) => {
                    count += 1;
                    self.heard(&told);
                    each(&told);
                }
                Err(TryRecvError::Empty) => break,
                // Every source has returned, so none will tell anything.
                Err(TryRecvError::Disconnected) => {
                    self.pending.clear();
                    break;
                }
            }
        }
        count
    }
}

/// Runs a source; one that breaks says so, and takes nothing else with it.
fn guarded(resolver: Box<dyn Resolver>, teller: &Teller) {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| resolver.run(teller)));
    if ran.is_err() {
        // Nobody hears it when the run is over.
        let _heard = teller.fails(Degraded {
            what: format!("{} is not asked for names any more", teller.source),
            why: "it broke on what it read".to_owned(),
            remedy: "report this with what stderr says of it".to_owned(),
        });
    }
}

impl Drop for Resolvers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.children.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Resolver for Broken {
        fn name(&self) -> String {
            "broken".to_owned()
        }

        fn run(self: Box<Self>, _teller: &Teller) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_source_that_breaks_is_told_and_takes_nothing_with_it() {
        let mut resolvers = Resolvers::start(vec![Box::new(Broken)]);
        let mut told = Vec::new();
        assert!(resolvers.wait(Duration::from_secs(20), |one| told.push(one)));
        assert!(
            matches!(&told[..], [Told::Source(state)] if state.fault.is_some()),
            "{told:?}"
        );
        assert!(resolvers.are_ready());
    }
}
