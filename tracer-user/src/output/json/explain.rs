//! `explain` with `-o json`: schema `kcn-trace.explain/v1`.

use std::io::Write;

use serde::Serialize;

use super::{
    Document, Layout, List, Meta,
    identity::Identity,
    party::{Attribution, Component, JsonProcess, component},
    write_document,
};
use crate::{
    output::{Frame, SinkError},
    report::{ExplainedEnd, Explanation, Outcome, Testimony},
};

/// Writes explanations as a document of `items`.
pub fn write_explanations(
    out: &mut dyn Write,
    frame: &Frame<'_>,
    explanations: &[Explanation],
) -> Result<(), SinkError> {
    let document = Document {
        schema: "kcn-trace.explain/v1",
        meta: Meta::from(frame),
        items: List(explanations.iter().map(|one| Item {
            about: &one.about,
            ends: one.ends.iter().map(End::from).collect(),
        })),
    };
    write_document(out, &document, Layout::Pretty)
}

#[derive(Serialize)]
struct Item<'a> {
    about: &'a str,
    ends: Vec<End<'a>>,
}

#[derive(Serialize)]
struct End<'a> {
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Component<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<JsonProcess<'a>>,
    #[serde(flatten)]
    identity: Identity<'a>,
    attribution: Attribution<'a>,
    testimonies: Vec<JsonTestimony<'a>>,
    improve: &'a [String],
}

impl<'a> From<&'a ExplainedEnd> for End<'a> {
    fn from(end: &'a ExplainedEnd) -> Self {
        Self {
            node: &end.node,
            component: component(&end.claim.who),
            process: end.process.as_ref().map(JsonProcess::from),
            identity: Identity::from(&*end.claim),
            attribution: Attribution::from(&*end.claim),
            testimonies: end.testimonies.iter().map(JsonTestimony::from).collect(),
            improve: &end.improve,
        }
    }
}

#[derive(Serialize)]
struct JsonTestimony<'a> {
    rank: u8,
    source: &'a str,
    says: &'a str,
    by: &'a str,
    outcome: &'static str,
    /// Why it was not believed, or had nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl<'a> From<&'a Testimony> for JsonTestimony<'a> {
    fn from(testimony: &'a Testimony) -> Self {
        let (outcome, why) = match &testimony.outcome {
            Outcome::Decides => ("decides", None),
            Outcome::Agrees => ("agrees", None),
            Outcome::Adds => ("adds", None),
            Outcome::Lost(why) => ("lost", Some(why.as_str())),
            Outcome::Silent(why) => ("silent", Some(why.as_str())),
        };
        Self {
            rank: testimony.rank,
            source: testimony.source,
            says: &testimony.says,
            by: &testimony.by,
            outcome,
            why,
        }
    }
}
