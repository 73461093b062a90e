//! Small files that are read again when they change; one that is broken counts as it was when it was last whole.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    super::yaml::FILE_BYTES,
    host::{Host, Stamp},
};

/// Looks after which a broken file is reported: writing it takes less time than this many.
const BROKEN_LOOKS: u32 = 3;

/// Files and what they say.
#[derive(Debug)]
pub(super) struct Kept<T> {
    files: BTreeMap<PathBuf, State<T>>,
}

#[derive(Debug)]
struct State<T> {
    stamp: Option<Stamp>,
    value: Option<T>,
    /// Looks that found it broken, and why.
    broken: u32,
    why: String,
}

impl<T> Kept<T> {
    pub(super) const fn new() -> Self {
        Self {
            files: BTreeMap::new(),
        }
    }

    /// Looks at the files: those that changed or are broken are read, all of them if `all`. Those that are not there
    /// or not named are forgotten.
    pub(super) fn look(
        &mut self,
        host: &Host,
        paths: &[PathBuf],
        all: bool,
        parse: impl Fn(&Path, &[u8]) -> Result<T, String>,
    ) {
        self.files.retain(|path, _state| paths.contains(path));
        for path in paths {
            // Before the file is read: a change meanwhile is seen at the next look.
            let stamp = host.stamp(path);
            let known = self.files.get(path);
            if !all && known.is_some_and(|state| state.broken == 0 && state.stamp == stamp) {
                continue;
            }
            let read = match host.read(path, FILE_BYTES) {
                Ok(None) => {
                    self.files.remove(path);
                    continue;
                }
                Ok(Some(bytes)) => parse(path, &bytes),
                Err(error) => Err(error.to_string()),
            };
            let state = self.files.entry(path.clone()).or_insert(State {
                stamp,
                value: None,
                broken: 0,
                why: String::new(),
            });
            state.stamp = stamp;
            match read {
                Ok(value) => {
                    state.value = Some(value);
                    state.broken = 0;
                }
                Err(why) => {
                    state.broken = state.broken.saturating_add(1);
                    state.why = why;
                }
            }
        }
    }

    /// What the files say, by path.
    pub(super) fn values(&self) -> impl Iterator<Item = (&Path, &T)> {
        let files = self.files.iter();
        files.filter_map(|(path, state)| Some((path.as_path(), state.value.as_ref()?)))
    }

    /// Files that stay broken, and why.
    pub(super) fn broken(&self) -> impl Iterator<Item = (&Path, &str)> {
        let broken = self
            .files
            .iter()
            .filter(|(_path, state)| state.broken >= BROKEN_LOOKS);
        broken.map(|(path, state)| (path.as_path(), state.why.as_str()))
    }

    /// Whether a file is broken and may become whole any moment.
    pub(super) fn is_unsettled(&self) -> bool {
        self.files
            .values()
            .any(|state| (1..BROKEN_LOOKS).contains(&state.broken))
    }
}
