//! All objects, their common version, and the history from which watches are fed.

use crate::etcd::{Etcd, Stored};
use crate::http::{Refusal, invalid};
use crate::object::{self, Key, Object};
use crate::resource::Resource;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Objects of more bytes than this stay out of etcd, which refuses requests of 1.5 MiB.
const MAX_IN_ETCD: usize = 1 << 20;

/// A change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    /// None when it is new.
    pub(crate) before: Option<Arc<Object>>,
    /// None when it is gone.
    pub(crate) after: Option<Arc<Object>>,
}

/// The objects at one moment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) version: u64,
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
    /// Oldest first, with rising versions.
    pub(crate) history: VecDeque<Change>,
    /// Watches from before this version are refused: the history begins after it.
    pub(crate) oldest: u64,
    /// Counts restarts: all watches of an earlier life end.
    pub(crate) life: u64,
    etcd: Option<Etcd>,
}

/// The store that all connections share.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    changed: Condvar,
    max_history: usize,
}

impl Store {
    /// One without objects in it, or with those that etcd has.
    pub(crate) fn open(etcd: Option<Etcd>, max_history: usize) -> io::Result<Self> {
        let mut state = State {
            version: 1,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            oldest: 1,
            life: 0,
            etcd: None,
        };
        if let Some(mut etcd) = etcd {
            let (stored, revision) = etcd.load()?;
            for Stored { mut value, revision } in stored {
                let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
                let resource = Resource::of_kind(kind)
                    .ok_or_else(|| invalid(&format!("etcd holds an object of kind {kind:?}")))?;
                let key = object::prepare(resource, "", "", &mut value).map_err(other)?;
                let object = Object::new(resource, key.clone(), value, revision);
                state.objects.insert(key, Arc::new(object));
            }
            state.version = revision;
            state.oldest = revision;
            state.etcd = Some(etcd);
        }
        Ok(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            max_history,
        })
    }

    /// Takes the items of a list over as they were before the start. In etcd they get versions of etcd's.
    pub(crate) fn load(&self, resource: &'static Resource, list: Value) -> io::Result<()> {
        let mut state = self.lock();
        let version = list.pointer("/metadata/resourceVersion").and_then(number);
        let Value::Object(mut list) = list else {
            return Err(invalid("the list is no JSON object"));
        };
        let Some(Value::Array(items)) = list.remove("items") else {
            return Err(invalid("the list has no items"));
        };
        for mut value in items {
            let own = value.pointer("/metadata/resourceVersion").and_then(number);
            let key = object::prepare(resource, "", "", &mut value).map_err(other)?;
            let given = match &mut state.etcd {
                Some(etcd) => etcd.put(&key.path(), &object::typed(resource, &value.to_string()))?,
                None => own.unwrap_or(1),
            };
            state.version = state.version.max(given);
            let object = Object::new(resource, key.clone(), value, given);
            state.objects.insert(key, Arc::new(object));
        }
        if state.etcd.is_none() {
            state.version = state.version.max(version.unwrap_or(1));
        }
        state.oldest = state.version;
        Ok(())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the state until something changes, at most for `longest`.
    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, longest);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Lets all who wait look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Stores a prepared value, one too large for etcd in memory only.
    pub(crate) fn put(
        &self,
        state: &mut State,
        resource: &'static Resource,
        key: Key,
        value: Value,
    ) -> Result<Arc<Object>, Refusal> {
        let text = object::typed(resource, &value.to_string());
        let version = match &mut state.etcd {
            Some(etcd) if text.len() > MAX_IN_ETCD => {
                etcd.pass(&key.path()).map_err(|error| unavailable(&error))?
            }
            Some(etcd) => etcd
                .put(&key.path(), &text)
                .map_err(|error| unavailable(&error))?,
            None => state.version + 1,
        };
        let object = Arc::new(Object::new(resource, key.clone(), value, version));
        let before = state.objects.insert(key, Arc::clone(&object));
        self.record(
            state,
            Change {
                version,
                before,
                after: Some(Arc::clone(&object)),
            },
        );
        Ok(object)
    }

    /// Removes an object; gives what it was, under the version of its removal as the API does.
    pub(crate) fn delete(&self, state: &mut State, key: &Key) -> Result<Option<Arc<Object>>, Refusal> {
        if !state.objects.contains_key(key) {
            return Ok(None);
        }
        let version = match &mut state.etcd {
            Some(etcd) => etcd.delete(&key.path()).map_err(|error| unavailable(&error))?,
            None => state.version + 1,
        };
        let Some(before) = state.objects.remove(key) else {
            return Ok(None);
        };
        let last = Arc::new(Object::new(
            before.resource,
            before.key.clone(),
            before.value(),
            version,
        ));
        self.record(
            state,
            Change {
                version,
                before: Some(Arc::clone(&last)),
                after: None,
            },
        );
        Ok(Some(last))
    }

    fn record(&self, state: &mut State, change: Change) {
        state.version = change.version;
        state.history.push_back(change);
        while state.history.len() > self.max_history {
            if let Some(forgotten) = state.history.pop_front() {
                state.oldest = forgotten.version;
            }
        }
        self.wake();
    }

    /// What a restart from an old backup looks like: no history, and all versions at `version`.
    pub(crate) fn restart(&self, version: u64) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.etcd.is_some() {
            return Err(Refusal::bad_request("etcd counts the versions here"));
        }
        for object in state.objects.values_mut() {
            let older = Object::new(object.resource, object.key.clone(), object.value(), version);
            *object = Arc::new(older);
        }
        state.version = version;
        Self::forget(&mut state);
        drop(state);
        self.wake();
        Ok(())
    }

    /// Ends all watches and forgets the history: every client has to list anew.
    pub(crate) fn compact(&self) {
        Self::forget(&mut self.lock());
        self.wake();
    }

    fn forget(state: &mut State) {
        state.history.clear();
        state.oldest = state.version;
        state.life += 1;
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}

fn other(refusal: Refusal) -> io::Error {
    io::Error::other(refusal.message)
}

fn unavailable(error: &io::Error) -> Refusal {
    Refusal::new(500, "InternalError", format!("etcd: {error}"))
}
