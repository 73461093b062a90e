//! What a request is about, by its method and path.

use crate::http::Request;
use crate::resource::{self, Resource};
use std::fmt::{self, Display, Formatter};

/// What a request wants.
#[derive(Debug)]
pub(crate) enum Route {
    Version,
    Health,
    CoreVersions,
    Groups,
    Group(String),
    Resources(String),
    Objects(Target),
    Unknown,
}

/// A request for objects.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) verb: Verb,
    pub(crate) resource: &'static Resource,
    /// Empty for all namespaces.
    pub(crate) namespace: String,
    /// Empty for all objects.
    pub(crate) name: String,
}

/// What is to be done with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    List,
    Watch,
    Get,
    Create,
    Update,
    Patch,
    Delete,
    Other,
}

impl Route {
    pub(crate) fn of(request: &Request) -> Self {
        let parts: Vec<_> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["api", "v1", rest @ ..] => Self::within("", rest, request),
            ["apis", group] if resource::has_group(group) => Self::Group((*group).to_owned()),
            ["apis", group, "v1", rest @ ..] if resource::has_group(group) => {
                Self::within(group, rest, request)
            }
            _ => Self::Unknown,
        }
    }

    fn within(group: &str, rest: &[&str], request: &Request) -> Self {
        let (namespace, plural, name) = match rest {
            [] => return Self::Resources(group.to_owned()),
            [plural] => ("", plural, ""),
            ["namespaces", name] => ("", &"namespaces", *name),
            ["namespaces", namespace, plural] => (*namespace, plural, ""),
            ["namespaces", namespace, plural, name] => (*namespace, plural, *name),
            [plural, name] => ("", plural, *name),
            _ => return Self::Unknown,
        };
        match Resource::find(group, plural) {
            Some(resource) if resource.namespaced || namespace.is_empty() => Self::Objects(Target {
                verb: verb(request, name),
                resource,
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            Some(_) | None => Self::Unknown,
        }
    }
}

fn verb(request: &Request, name: &str) -> Verb {
    match (request.method.as_str(), name) {
        ("GET", _) if request.is_set("watch") => Verb::Watch,
        ("GET", "") => Verb::List,
        ("GET", _) => Verb::Get,
        ("POST", "") => Verb::Create,
        ("PUT", named) if !named.is_empty() => Verb::Update,
        ("PATCH", named) if !named.is_empty() => Verb::Patch,
        ("DELETE", named) if !named.is_empty() => Verb::Delete,
        _ => Verb::Other,
    }
}

/// As requests are counted: `list pods`, `watch nodes`, `discovery`.
impl Display for Route {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => f.write_str("version"),
            Self::Health => f.write_str("health"),
            Self::CoreVersions | Self::Groups | Self::Group(_) | Self::Resources(_) => {
                f.write_str("discovery")
            }
            Self::Objects(target) => write!(f, "{} {}", target.verb, target.resource.plural),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Display for Verb {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Watch => "watch",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Other => "other",
        })
    }
}
