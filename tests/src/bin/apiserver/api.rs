//! Answers to all requests that end with one: discovery, lists, single objects and changes.

use crate::http::{Refusal, Request, Response};
use crate::object::{self, Key};
use crate::resource;
use crate::route::{Route, Target, Verb};
use crate::selector::Selector;
use crate::server::Server;
use crate::{list, uid};
use serde_json::{Value, json};

/// What follows a request.
pub(crate) enum Answer {
    /// This and nothing more.
    Whole(Response),
    /// A stream of changes of what is selected.
    Watch(Selector),
}

pub(crate) fn answer(server: &Server, route: &Route, request: &Request) -> Result<Answer, Refusal> {
    let document = match route {
        Route::Version => version(),
        Route::CoreVersions => resource::core_versions(),
        Route::Groups => resource::groups(),
        Route::Group(group) => resource::group(group),
        Route::Resources(group) => resource::resources(group),
        Route::Health => return Ok(Answer::Whole(Response::text("ok"))),
        Route::Objects(target) => return objects(server, target, request),
        Route::Unknown => {
            let message = "the server could not find the requested resource";
            return Err(Refusal::new(404, "NotFound", message));
        }
    };
    Ok(Answer::Whole(Response::json(200, document.to_string())))
}

fn objects(server: &Server, target: &Target, request: &Request) -> Result<Answer, Refusal> {
    let selector = || Selector::new(target.resource, &target.namespace, &target.name, request);
    let response = match target.verb {
        Verb::Watch => return Ok(Answer::Watch(selector()?)),
        Verb::List => list::answer(server, &selector()?, request)?,
        Verb::Get => {
            let state = server.store.lock();
            let found = state.objects.get(&key(target)).ok_or_else(|| missing(target))?;
            Response::json(200, found.whole())
        }
        Verb::Create => create(server, target, request)?,
        Verb::Update => {
            let mut value = parse(&request.body)?;
            let key = object::prepare(target.resource, &target.namespace, &target.name, &mut value)?;
            replace(server, target, &key, |_present| value)?
        }
        Verb::Patch => {
            let patch = parse(&request.body)?;
            replace(server, target, &key(target), |mut present| {
                merge(&mut present, patch);
                present
            })?
        }
        Verb::Delete => delete(server, target)?,
        Verb::Other => {
            let message = "the server does not allow this method on the requested resource";
            return Err(Refusal::new(405, "MethodNotAllowed", message));
        }
    };
    Ok(Answer::Whole(response))
}

fn create(server: &Server, target: &Target, request: &Request) -> Result<Response, Refusal> {
    let mut value = parse(&request.body)?;
    let key = object::prepare(target.resource, &target.namespace, "", &mut value)?;
    let mut state = server.store.lock();
    if state.objects.contains_key(&key) {
        let message = format!("{} {:?} already exists", key.plural, key.name);
        return Err(Refusal::new(409, "AlreadyExists", message));
    }
    if value.pointer("/metadata/uid").is_none() {
        let uid = uid(&key.path(), state.version);
        if let Some(metadata) = value.get_mut("metadata") {
            object::set(metadata, "uid", uid);
        }
    }
    let created = server.store.put(&mut state, target.resource, key, value)?;
    Ok(Response::json(201, created.whole()))
}

/// Puts `change` of the present object in its place, unless the change was made of an older version.
fn replace(
    server: &Server,
    target: &Target,
    key: &Key,
    change: impl FnOnce(Value) -> Value,
) -> Result<Response, Refusal> {
    let mut state = server.store.lock();
    let present = state.objects.get(key).ok_or_else(|| missing(target))?;
    let (version, before) = (present.version.to_string(), present.value());
    let own_uid = before.pointer("/metadata/uid").cloned();
    let mut value = change(before);
    let given = value.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    if given.is_some_and(|given| !given.is_empty() && given != version) {
        let message = format!(
            "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the latest version and try again",
            key.plural, key.name
        );
        return Err(Refusal::new(409, "Conflict", message));
    }
    let checked = object::prepare(target.resource, &target.namespace, &target.name, &mut value)?;
    if let Some(uid) = own_uid {
        let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
        metadata.map(|metadata| metadata.entry("uid").or_insert(uid));
    }
    let replaced = server.store.put(&mut state, target.resource, checked, value)?;
    Ok(Response::json(200, replaced.whole()))
}

/// Removes at once: nothing here takes the time that a pod takes to end.
fn delete(server: &Server, target: &Target) -> Result<Response, Refusal> {
    let mut state = server.store.lock();
    let gone = server.store.delete(&mut state, &key(target))?;
    let gone = gone.ok_or_else(|| missing(target))?;
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": target.name,
            "kind": target.resource.plural,
            "uid": gone.value().pointer("/metadata/uid"),
        },
    });
    Ok(Response::json(200, status.to_string()))
}

fn key(target: &Target) -> Key {
    Key {
        plural: target.resource.plural,
        namespace: target.namespace.clone(),
        name: target.name.clone(),
    }
}

fn missing(target: &Target) -> Refusal {
    let message = format!("{} {:?} not found", target.resource.plural, target.name);
    Refusal::new(404, "NotFound", message)
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// RFC 7396. A strategic merge patch is taken for one of these: the two differ in lists alone.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// As a v1.36 server answers, with the name of this one.
fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": "v1.36.0",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    })
}
