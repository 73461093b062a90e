//! Which objects a list or a watch is about: namespace, field selector, label selector.

use crate::http::{Refusal, Request};
use crate::object::{self, Object};
use crate::resource::Resource;

/// One term of a selector.
#[derive(Debug)]
enum Term {
    Is(String, String),
    IsNot(String, String),
    Has(String),
    HasNot(String),
}

/// What a request selects.
#[derive(Debug)]
pub(crate) struct Selector {
    pub(crate) resource: &'static Resource,
    /// Empty for all.
    pub(crate) namespace: String,
    /// Where the path names one object.
    pub(crate) name: String,
    fields: Vec<Term>,
    labels: Vec<Term>,
}

impl Selector {
    /// What `request` selects of a resource.
    pub(crate) fn new(
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        request: &Request,
    ) -> Result<Self, Refusal> {
        let fields = terms(request.parameter("fieldSelector"))?;
        let unknown = fields.iter().map(Term::name).find(|name| !object::is_field(name));
        if let Some(unknown) = unknown {
            let message = format!("field label not supported: {unknown}");
            return Err(Refusal::bad_request(message));
        }
        let labels = terms(request.parameter("labelSelector"))?;
        Ok(Self {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            fields,
            labels,
        })
    }

    /// Whether it asks neither for fields nor for labels.
    pub(crate) fn is_whole(&self) -> bool {
        self.fields.is_empty() && self.labels.is_empty()
    }

    pub(crate) fn selects(&self, object: &Object) -> bool {
        self.resource.plural == object.key.plural
            && (self.namespace.is_empty() || self.namespace == object.key.namespace)
            && (self.name.is_empty() || self.name == object.key.name)
            && self
                .fields
                .iter()
                .all(|term| term.holds(|name| Some(object.field(name))))
            && self
                .labels
                .iter()
                .all(|term| term.holds(|name| object.label(name)))
    }
}

impl Term {
    fn name(&self) -> &str {
        match self {
            Self::Is(name, _) | Self::IsNot(name, _) | Self::Has(name) | Self::HasNot(name) => name,
        }
    }

    fn holds<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        match self {
            Self::Is(name, wanted) => value(name) == Some(wanted),
            Self::IsNot(name, unwanted) => value(name) != Some(unwanted),
            Self::Has(name) => value(name).is_some(),
            Self::HasNot(name) => value(name).is_none(),
        }
    }
}

fn terms(selector: &str) -> Result<Vec<Term>, Refusal> {
    if selector.contains(['(', ')', '<', '>']) {
        return Err(Refusal::bad_request(format!(
            "this stand-in selects by equality alone, not by: {selector}"
        )));
    }
    Ok(selector
        .split(',')
        .map(str::trim)
        .filter(|term| !term.is_empty())
        .map(|term| {
            if let Some((name, value)) = term.split_once("!=") {
                Term::IsNot(name.to_owned(), value.to_owned())
            } else if let Some((name, value)) = term.split_once('=') {
                Term::Is(name.to_owned(), value.trim_start_matches('=').to_owned())
            } else if let Some(name) = term.strip_prefix('!') {
                Term::HasNot(name.to_owned())
            } else {
                Term::Has(term.to_owned())
            }
        })
        .collect())
}
