//! One object: its JSON as text, and what selectors ask of it.
//!
//! Kept as text because an inventory of 150,000 pods as JSON trees would need gigabytes.

use crate::http::Refusal;
use crate::resource::Resource;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Fields that a field selector can ask for, with where they are.
const FIELDS: &[(&str, &str)] = &[
    ("metadata.name", "/metadata/name"),
    ("metadata.namespace", "/metadata/namespace"),
    ("spec.nodeName", "/spec/nodeName"),
    ("status.phase", "/status/phase"),
];

/// Objects without a time of creation get this one: the stand-in reads no clock.
const CREATED: &str = "2026-11-20T18:03:51Z";

/// Resource, namespace (empty where there is none) and name. Lists are in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) plural: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// Its key in etcd, as a real API server writes it for pods.
    pub(crate) fn path(&self) -> String {
        if self.namespace.is_empty() {
            format!("/registry/{}/{}", self.plural, self.name)
        } else {
            format!("/registry/{}/{}/{}", self.plural, self.namespace, self.name)
        }
    }
}

/// Whether a field selector can ask for it.
pub(crate) fn is_field(name: &str) -> bool {
    FIELDS.iter().any(|(known, _)| *known == name)
}

/// A stored object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) resource: &'static Resource,
    pub(crate) key: Key,
    pub(crate) version: u64,
    labels: BTreeMap<String, String>,
    fields: BTreeMap<&'static str, String>,
    /// Without kind and API version, as lists have their items.
    body: String,
}

impl Object {
    /// Makes one of a prepared value: see [`prepare`].
    pub(crate) fn new(resource: &'static Resource, key: Key, mut value: Value, version: u64) -> Self {
        if let Some(metadata) = value.get_mut("metadata") {
            set(metadata, "resourceVersion", version.to_string());
        }
        let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .map(|(name, label)| (name.clone(), label.as_str().unwrap_or_default().to_owned()))
            .collect();
        let fields = FIELDS
            .iter()
            .filter_map(|(name, path)| Some((*name, value.pointer(path)?.as_str()?.to_owned())))
            .collect();
        Self {
            resource,
            key,
            version,
            labels,
            fields,
            body: value.to_string(),
        }
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// A field's text; empty where the object has none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// As an item of a list.
    pub(crate) fn item(&self) -> &str {
        &self.body
    }

    /// As it stands alone, with kind and API version.
    pub(crate) fn whole(&self) -> String {
        typed(self.resource, &self.body)
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The JSON of an object with its kind and API version put first.
pub(crate) fn typed(resource: &Resource, body: &str) -> String {
    let rest = body.strip_prefix('{').unwrap_or(body);
    format!(
        r#"{{"kind":"{}","apiVersion":"{}",{rest}"#,
        resource.kind,
        resource.api_version()
    )
}

/// Sets a field of a JSON object.
pub(crate) fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value.into());
    }
}

/// Checks a value that is to become an object, and fills in what an API server fills in.
///
/// `namespace` and `name` are what the request's path says; empty where it says nothing.
pub(crate) fn prepare(
    resource: &'static Resource,
    namespace: &str,
    name: &str,
    value: &mut Value,
) -> Result<Key, Refusal> {
    let object = value
        .as_object_mut()
        .ok_or_else(|| Refusal::bad_request("the body is no JSON object"))?;
    for (field, expected) in [("kind", resource.kind), ("apiVersion", &resource.api_version())] {
        let given = object.remove(field);
        if given.is_some_and(|given| given != *expected) {
            return Err(Refusal::bad_request(format!("{field} must be {expected}")));
        }
    }
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .ok_or_else(|| Refusal::bad_request("metadata is no JSON object"))?;
    let namespace = if resource.namespaced {
        agreed(metadata, "namespace", namespace)?
    } else {
        String::new()
    };
    let name = agreed(metadata, "name", name)?;
    metadata
        .entry("creationTimestamp")
        .or_insert_with(|| CREATED.into());
    Ok(Key {
        plural: resource.plural,
        namespace,
        name,
    })
}

/// What the path and the metadata both say, or the one that says something.
fn agreed(metadata: &mut Map<String, Value>, field: &str, from_path: &str) -> Result<String, Refusal> {
    let in_body = metadata
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let agreed = match (from_path, in_body.as_str()) {
        ("", "") => return Err(Refusal::bad_request(format!("metadata.{field} is missing"))),
        (given, "") | ("", given) => given.to_owned(),
        (path, body) if path == body => in_body,
        (path, body) => {
            return Err(Refusal::bad_request(format!(
                "metadata.{field} is {body}, the path says {path}"
            )));
        }
    };
    metadata.insert(field.to_owned(), agreed.clone().into());
    Ok(agreed)
}
