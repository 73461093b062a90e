//! One resource: listed page by page, then watched, forever.
//!
//! Nothing of what was told is kept here but the resource version: memory is one page while listing, one object after.
#![forbid(unsafe_code)]

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher, RandomState},
    rc::Rc,
    time::Duration,
};

use kube::client::Client;

use super::{
    convert::{self, Item, Resource},
    health::{Board, State},
    objects::{Bookmark, Change, Page, PageMeta, Status},
    wire::{self, Line, Lines, Trouble},
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
        quiet: Duration::from_secs(150),
        watch: Duration::from_secs(290),
        retry: Duration::from_secs(1),
        retry_max: Duration::from_secs(30),
    };
}

/// Objects of a page; halved while pages are too large.
const PAGE_OBJECTS: usize = 500;

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
    pub(super) client: Client,
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

    fn note(&self, state: &State) -> Result<(), Over> {
        self.board.borrow_mut().set(self.resource, state)
    }

    /// Whether the server knows less than it did: it was restored from a backup, and would never tell what it forgot.
    async fn has_gone_back(&self) -> bool {
        let Some(known) = self.version.as_deref().and_then(number) else {
            return false;
        };
        match self.page(1, None).await {
            Ok(bytes) => {
                let page: Result<Page<'_>, _> = serde_json::from_slice(&bytes);
                let version = page.ok().and_then(|page| page.metadata.resource_version);
                version.as_deref().and_then(number).is_some_and(|now| now < known)
            }
            // The watch will find out, and tell.
            Err(_) => false,
        }
    }

    async fn page(&self, objects: usize, next: Option<&str>) -> Result<Vec<u8>, Trouble> {
        let mut path = format!("{}?limit={objects}", self.resource.path());
        if let Some(selector) = &self.selector {
            path = format!("{path}&fieldSelector={selector}");
        }
        if let Some(next) = next {
            path = format!("{path}&continue={}", escaped(next));
        }
        let answer = wire::get(&self.client, &path, self.timing.answer).await?;
        wire::whole(answer.into_body(), wire::PAGE_MAX, self.timing.answer).await
    }

    /// All pages, each told as it comes.
    async fn list(&mut self) -> Result<(), Stop> {
        let kind = self.resource.kind();
        let mut objects = PAGE_OBJECTS;
        let mut next: Option<String> = None;
        let mut is_told = false;
        let mut has_own_node = false;
        self.unreadable = 0;
        let version = loop {
            let bytes = match self.page(objects, next.as_deref()).await {
                Err(Trouble::TooLarge(_)) if objects > 1 => {
                    objects /= 2;
                    continue;
                }
                page => page?,
            };
            let page: Page<'_> =
                serde_json::from_slice(&bytes).map_err(|error| Trouble::Garbage(error.to_string()))?;
            if !is_told {
                self.fact(Fact::Listing(kind))?;
                is_told = true;
            }
            for text in page.items.iter().flatten() {
                match convert::item(self.resource, text.get()) {
                    Ok(item) => {
                        has_own_node |= self.is_own_node(&item.fact);
                        self.fact(item.fact)?;
                    }
                    Err(error) => self.skip(&error.to_string())?,
                }
                // Others have their turn: a page may wait long for the pipeline.
                tokio::task::yield_now().await;
            }
            let PageMeta {
                resource_version,
                next: more,
            } = page.metadata;
            let more = more.filter(|more| !more.is_empty());
            if more.is_some() && more == next {
                return Err(Trouble::Garbage("a page leads to itself".to_owned()).into());
            }
            next = more;
            if next.is_none() {
                break resource_version;
            }
        };
        self.fact(Fact::Listed(kind))?;
        if let Some(node) = &self.own_node {
            let missing = (!has_own_node).then(|| node.clone());
            self.board.borrow_mut().own_node(missing)?;
        }
        let version = version.filter(|version| !version.is_empty());
        if version.is_none() {
            return Err(Trouble::Garbage("the list has no resource version".to_owned()).into());
        }
        self.version = version;
        if self.unreadable == 0 {
            self.note(&State::FINE)?;
        }
        Ok(())
    }

    /// From `version` until the server ends it.
    async fn watch(&mut self, version: String) -> Result<(), Stop> {
        let mut path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
            self.resource.path(),
            escaped(&version),
            self.timing.watch.as_secs()
        );
        if let Some(selector) = &self.selector {
            path = format!("{path}&fieldSelector={selector}");
        }
        let answer = wire::get(&self.client, &path, self.timing.answer).await?;
        if self.unreadable == 0 {
            self.note(&State::FINE)?;
        }
        let mut lines = Lines::new(answer.into_body());
        loop {
            match lines.next(self.timing.quiet).await? {
                Line::End => return Ok(()),
                Line::TooLong => self.skip("it is larger than any object may be")?,
                Line::Text(line) if line.trim_ascii().is_empty() => {}
                Line::Text(line) => self.change(&line)?,
            }
        }
    }

    fn change(&mut self, line: &[u8]) -> Result<(), Stop> {
        let change: Change<'_> = match serde_json::from_slice(line) {
            Ok(change) => change,
            Err(error) => return Ok(self.skip(&error.to_string())?),
        };
        let object = change.object.get();
        let read = |resource| convert::item(resource, object).map_err(|error| error.to_string());
        let (version, fact) = match change.kind.as_ref() {
            "ADDED" | "MODIFIED" => match read(self.resource) {
                Ok(Item { version, fact, .. }) => (version, Some(fact)),
                Err(error) => return Ok(self.skip(&error)?),
            },
            "DELETED" => match read(self.resource) {
                Ok(Item { version, gone, .. }) => (version, Some(gone)),
                Err(error) => return Ok(self.skip(&error)?),
            },
            "BOOKMARK" => match serde_json::from_str::<Bookmark>(object) {
                Ok(bookmark) => (bookmark.metadata.resource_version, None),
                Err(error) => return Ok(self.skip(&error.to_string())?),
            },
            "ERROR" => {
                let status: Status = serde_json::from_str(object).unwrap_or_default();
                return Err(wire::refused(&status).into());
            }
            _ => return Ok(self.skip("it is a change of a kind that is not known")?),
        };
        if let Some(fact) = fact {
            if self.is_own_node(&fact) {
                self.board.borrow_mut().own_node(None)?;
            }
            self.fact(fact)?;
        }
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            self.version = Some(version);
        }
        Ok(())
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
        self.note(&State::Works {
            unreadable: self.unreadable,
            why: why.to_owned(),
        })
    }
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
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
