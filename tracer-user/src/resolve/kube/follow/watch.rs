//! Watches: one change a line.
#![forbid(unsafe_code)]

use super::{Follower, Stop, escaped};
use crate::{
    malformed::Malformed,
    resolve::kube::{
        convert::{self, Item},
        objects::{Bookmark, Change, Status},
        wire::{self, Line, Lines},
    },
};

impl Follower {
    /// From `version` until the server ends it.
    pub(super) async fn watch(&mut self, version: String) -> Result<(), Stop> {
        let mut path = format!(
            "{}?watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}",
            self.resource.path(),
            escaped(&version),
            self.timing.watch.as_secs()
        );
        if let Some(selector) = &self.selector {
            path = format!("{path}&fieldSelector={selector}");
        }
        let answer = wire::get(&self.client(), &path, self.timing.answer).await?;
        self.works()?;
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
            Err(error) => return Ok(self.skip(&Malformed::from(error).to_string())?),
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
                Err(error) => return Ok(self.skip(&Malformed::from(error).to_string())?),
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
}
