//! Signals in, graph and verdicts out, with the model of `track::tests::world` as the kernel.

mod closing;
mod crowd;
mod explain;
mod guess;
mod history;
mod host;
mod names;
mod own;
mod translated;

use zerocopy::IntoBytes;

use super::*;
use crate::{
    report::{Happened, Party},
    track::tests::world::{HOST, Out, POD, Plan, Side, World},
};

/// The tracer itself.
const SELF: u32 = 4000;

fn session() -> Session {
    Session {
        self_tgid: SELF,
        self_netns: HOST,
        host_netns: HOST,
        hostname: "the-host".to_owned(),
        attached_ns: 1,
        ..Session::default()
    }
}

/// A pipeline and all it told.
struct Run {
    pipeline: Pipeline,
    told: Vec<Happening>,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            pipeline: Pipeline::new(&Rules::built_in(), 1 << 16),
            told: Vec::new(),
        };
        run.feed(&Signal::Start(&session()));
        run
    }

    fn feed(&mut self, signal: &Signal<'_>) {
        let told = &mut self.told;
        self.pipeline
            .feed(signal, Some(&mut |happening| told.push(happening.clone())));
    }

    /// Takes what the model has told so far, and its counters.
    fn watch(&mut self, world: &mut World) {
        for out in std::mem::take(&mut world.out) {
            match out {
                Out::Record(record) => self.feed(&Signal::Record(record.as_bytes())),
                Out::Row(record) => self.feed(&Signal::Row(record.as_bytes())),
                Out::Begin(at_ns) => self.feed(&Signal::SnapshotBegin { at_ns }),
                Out::Remembered(sockets) => self.feed(&Signal::Remembered(&sockets)),
                Out::End(at_ns, complete) => self.feed(&Signal::SnapshotEnd { at_ns, complete }),
                Out::Tick(at_ns) => self.feed(&Signal::Tick { at_ns }),
            }
        }
        self.feed(&Signal::Counters(&world.counters));
    }

    fn count(&self, of: impl Fn(&Happened) -> bool) -> usize {
        self.told.iter().filter(|one| of(&one.what)).count()
    }
}

fn plan(client: u32, from: &str, to: &str) -> Plan {
    Plan {
        source: (Some(HOST), from.parse().unwrap()),
        destination: (Some(HOST), to.parse().unwrap()),
        client,
        other_client: None,
    }
}
