//! Lists: page by page, each told as it comes.
#![forbid(unsafe_code)]

use super::{Follower, Stop, escaped};
use crate::{
    clock,
    malformed::Malformed,
    resolve::kube::{
        convert,
        objects::{Page, PageMeta},
        wire::{self, Trouble},
    },
    signal::inventory::Fact,
};

/// Objects of a page; halved while pages are too large.
const PAGE_OBJECTS: usize = 500;
/// Pages of a list: many more than any cluster's, also where each is short.
const PAGES_MAX: usize = 10_000;

impl Follower {
    /// Whether the server knows less than it did: it was restored from a backup, and would never tell what it forgot.
    pub(super) async fn has_gone_back(&self) -> bool {
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
        let answer = wire::get(&self.client(), &path, self.timing.answer).await?;
        wire::whole(answer.into_body(), wire::PAGE_MAX, self.timing.answer).await
    }

    /// All pages, each told as it comes.
    pub(super) async fn list(&mut self) -> Result<(), Stop> {
        let kind = self.resource.kind();
        let mut objects = PAGE_OBJECTS;
        let mut next: Option<String> = None;
        let mut is_told = false;
        let mut has_own_node = false;
        self.unreadable = 0;
        let patience_ns = u64::try_from(self.timing.list.as_nanos()).unwrap_or(u64::MAX);
        let until_ns = clock::boot_ns().saturating_add(patience_ns);
        let mut pages = 0;
        let version = loop {
            if clock::boot_ns() > until_ns || pages == PAGES_MAX {
                return Err(Trouble::Endless("its list does not end").into());
            }
            pages += 1;
            let bytes = match self.page(objects, next.as_deref()).await {
                Err(Trouble::TooLarge(_)) if objects > 1 => {
                    objects /= 2;
                    continue;
                }
                page => page?,
            };
            let page: Page<'_> = serde_json::from_slice(&bytes)
                .map_err(|error| Trouble::Garbage(Malformed::from(error).to_string()))?;
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
        self.works()?;
        Ok(())
    }
}

fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}
