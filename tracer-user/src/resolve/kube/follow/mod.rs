//! One resource: listed page by page, then watched, forever.
//!
//! Nothing of what was told is kept here but the resource version: memory is one page while listing, one object after.
#![forbid(unsafe_code)]

mod list;
mod watch;

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher, RandomState},
    rc::Rc,
    time::Duration,
};

use kube::client::Client;

use super::{
    convert::Resource,
    health::{Board, State},
    wire::Trouble,
};
use crate::{
    clock,
    resolve::{Over, Teller},
    signal::inventory::{Fact, Origin},
};

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// For an answer to begin, and for each part of a page.
    pub(super) answer: Duration,
    /// For a list to be complete. 150,000 pods take 10 s of a server, whose resource versions end after 5 minutes.
    pub(super) list: Duration,
    /// For a line of a watch. Bookmarks come about once a minute.
    pub(super) quiet: Duration,
    /// For the server to end a watch by itself.
    pub(super) watch: Duration,
    /// After the first failure; doubled up to `retry_max`.
    pub(super) retry: Duration,
    /// After many failures.
    pub(super) retry_max: Duration,
}

impl Timing {
    pub(super) const USUAL: Self = Self {
        answer: Duration::from_secs(30),
        list: Duration::from_mins(10),
        quiet: Duration::from_secs(150),
        watch: Duration::from_secs(290),
        retry: Duration::from_secs(1),
        retry_max: Duration::from_secs(30),
    };
}

/// So many lists in a row that are outdated before they are complete are worth telling.
const GONE_MAX: u32 = 5;

/// Why following stops for now.
enum Stop {
    Over,
    Trouble(Trouble),
}

impl From<Over> for Stop {
    fn from(_over: Over) -> Self {
        Self::Over
    }
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Follows one resource.
pub(super) struct Follower {
    /// Replaced while the server is away: credentials may have changed.
    pub(super) client: Rc<RefCell<Client>>,
    pub(super) resource: Resource,
    /// What [`own_pods`] makes, for pods of one node only.
    pub(super) selector: Option<String>,
    pub(super) timing: Timing,
    pub(super) teller: Teller,
    pub(super) board: Rc<RefCell<Board>>,
    /// For nodes: the one that pods are asked of.
    pub(super) own_node: Option<String>,
    /// Where the watch goes on.
    pub(super) version: Option<String>,
    /// Objects since the last list that could not be used.
    pub(super) unreadable: u64,
    /// Why the last of them could not.
    pub(super) why: String,
}

impl Follower {
    /// Until the run is over.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let began_ns = clock::boot_ns();
            let version = self.version.clone();
            let is_watch = version.is_some();
            let stop = match version {
                None => self.list().await,
                Some(version) => self.watch(version).await,
            };
            let lasted = Duration::from_nanos(clock::boot_ns().saturating_sub(began_ns));
            let was_long = is_watch && lasted > self.timing.retry;
            let trouble = match stop {
                Err(Stop::Over) => return,
                Ok(()) if was_long || !is_watch => {
                    failures = 0;
                    continue;
                }
                Ok(()) => None,
                Err(Stop::Trouble(trouble)) => Some(trouble),
            };
            failures += 1;
            if trouble == Some(Trouble::Gone) {
                self.version = None;
            }
            let is_usual = trouble == Some(Trouble::Gone) && failures < GONE_MAX;
            if was_long {
                // A watch that breaks or falls silent after a while is no news yet: the next attempt will tell.
                failures = 1;
            } else if let Some(trouble) = trouble
                && !is_usual
                && self.note(&State::Fails(trouble)).is_err()
            {
                return;
            }
            self.rest(self.pause(failures)).await;
            if self.has_gone_back().await {
                self.version = None;
            }
        }
    }

    /// Doubled with every failure, and at random up to half longer, so that the nodes of a cluster do not come at once.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self
            .timing
            .retry
            .saturating_mul(1 << failures.saturating_sub(1).min(16));
        let pause = doubled.min(self.timing.retry_max);
        let random = RandomState::new().build_hasher().finish() % 512;
        pause + pause * u32::try_from(random).unwrap_or(0) / 1024
    }

    /// Waits, but not after the server has answered another follower again.
    async fn rest(&self, pause: Duration) {
        const STEP: Duration = Duration::from_millis(200);
        let returns = self.board.borrow().returns();
        let mut left = pause;
        while !left.is_zero() && self.board.borrow().returns() == returns {
            let step = left.min(STEP);
            tokio::time::sleep(step).await;
            left -= step;
        }
    }

    fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    fn note(&self, state: &State) -> Result<(), Over> {
        self.board.borrow_mut().set(self.resource, state)
    }

    fn is_own_node(&self, fact: &Fact) -> bool {
        match (fact, &self.own_node) {
            (Fact::Node(facts), Some(own)) => facts.name == *own,
            (_, _) => false,
        }
    }

    fn fact(&self, fact: Fact) -> Result<(), Over> {
        self.teller.fact(Origin::Kube, fact)
    }

    /// Counts an object that cannot be used; told when their number doubles.
    fn skip(&mut self, why: &str) -> Result<(), Over> {
        self.unreadable += 1;
        if !self.unreadable.is_power_of_two() {
            return Ok(());
        }
        why.clone_into(&mut self.why);
        self.works()
    }

    fn works(&self) -> Result<(), Over> {
        self.note(&State::Works {
            unreadable: self.unreadable,
            why: self.why.clone(),
        })
    }
}

/// The field selector for pods of one node, as a query has it.
pub(super) fn own_pods(node: &str) -> String {
    escaped(&format!("spec.nodeName={node}"))
}

/// For a query: all but letters, digits and `-._~` as percent and two hexadecimal digits.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;

    let mut query = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            query.push(char::from(byte));
        } else if write!(query, "%{byte:02X}").is_err() {
            // A string takes everything.
            break;
        }
    }
    query
}
