//! One table: its news, its dumps, and what has been told of it.
#![forbid(unsafe_code)]

use super::{
    codec::Entry,
    known::Known,
    socket::{Asker, Buffer, ConntrackError, News},
};
use crate::{
    clock,
    resolve::{Over, Teller, Told},
};

/// How often a table is dumped whose kernel tells no news.
const POLL_NS: u64 = 2_000_000_000;
/// How often a table is dumped because it holds entries of whose end the kernel will not tell.
const CONFIRM_NS: u64 = 60_000_000_000;
/// Between two dumps because news were lost: while they are lost all the time, a dump costs more than it brings.
const AGAIN_NS: u64 = 1_000_000_000;
/// News read before anything else has its turn.
const READ_MAX: usize = 1024;

/// A namespace's table.
#[derive(Debug)]
pub(super) struct Table {
    known: Known,
    news: Option<News>,
    /// A socket that asks must be made where the table is.
    asks: Asker,
    dumped_ns: u64,
    /// News were lost since.
    lost: bool,
}

impl Table {
    /// The table of the namespace the thread is in. It is heard before it is read: what comes between is heard twice.
    pub(super) fn open(netns: u32, tells_news: bool) -> Result<Self, ConntrackError> {
        Ok(Self {
            known: Known::new(netns),
            news: tells_news.then(News::open).transpose()?,
            asks: Asker::open()?,
            dumped_ns: 0,
            lost: false,
        })
    }

    /// Whether the kernel tells news of it.
    pub(super) const fn hears(&self) -> bool {
        self.news.is_some()
    }

    /// Whether it holds no translation that was told.
    pub(super) fn is_idle(&self) -> bool {
        self.known.is_empty()
    }

    /// What to wait for.
    pub(super) const fn news(&self) -> Option<&News> {
        self.news.as_ref()
    }

    /// Whether it should be dumped now.
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        let since_ns = now_ns.saturating_sub(self.dumped_ns);
        if self.news.is_none() {
            return since_ns >= POLL_NS;
        }
        (self.lost && since_ns >= AGAIN_NS) || (since_ns >= CONFIRM_NS && self.known.has_unheard())
    }

    /// Whether the kernel counts nothing in it.
    pub(super) fn is_empty(&mut self, buffer: &mut Buffer) -> bool {
        self.asks.count(buffer).is_ok_and(|entries| entries == 0)
    }

    /// Reads the whole table and tells what is new and what is gone.
    pub(super) fn dump(
        &mut self,
        buffer: &mut Buffer,
        teller: &Teller,
    ) -> Result<Result<(), ConntrackError>, Over> {
        self.known.dump_begins();
        self.lost = false;
        let mut listening = Ok(());
        let read = self.asks.dump(buffer, |entry: Entry| {
            if let Some(facts) = self.known.row(entry, clock::boot_ns())
                && listening.is_ok()
            {
                listening = teller.tell(Told::Nat(facts));
            }
        });
        listening?;
        let now_ns = clock::boot_ns();
        self.dumped_ns = now_ns;
        if read.is_ok() {
            for facts in self.known.dump_ended(now_ns) {
                teller.tell(Told::Nat(facts))?;
            }
        }
        Ok(read)
    }

    /// Tells what has come.
    pub(super) fn read(
        &mut self,
        buffer: &mut Buffer,
        teller: &Teller,
    ) -> Result<Result<(), ConntrackError>, Over> {
        let Some(news) = &self.news else {
            return Ok(Ok(()));
        };
        let mut listening = Ok(());
        let read = news.read(buffer, READ_MAX, |item| {
            if let Some(facts) = self.known.news(item, clock::boot_ns())
                && listening.is_ok()
            {
                listening = teller.tell(Told::Nat(facts));
            }
        });
        listening?;
        Ok(match read {
            Ok(()) => Ok(()),
            Err(ConntrackError::Overrun) => {
                self.lost = true;
                Ok(())
            }
            Err(error) => Err(error),
        })
    }

    /// Nobody watches it any more: what was told of it holds no longer.
    pub(super) fn close(self, teller: &Teller) -> Result<(), Over> {
        self.known
            .all_gone(clock::boot_ns())
            .into_iter()
            .try_for_each(|facts| teller.tell(Told::Nat(facts)))
    }
}
