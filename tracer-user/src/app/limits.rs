//! What the process may use (`ulimit`): too little of it is refused at the start, where it can still be said.
#![forbid(unsafe_code)]

use std::{fmt, fs, io};

use rustix::process::{Resource, getrlimit};

/// Files that a live run may open beside those it was given: maps, programs and their links take 50, sources of names,
/// their connections and look-ups the rest.
const FILES: u64 = 128;
/// Addresses of a live run, MiB. Of 400 that its threads reserve it uses some 40; without them an allocation ends it.
const LIVE_MIB: u64 = 1024;
/// Addresses of a replay, MiB: one block of a recording takes up to 34.
const REPLAY_MIB: u64 = 256;

/// A limit that is too low. Exit code 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Of open files.
    #[error(
        "too few files may be opened: {0}, and it takes {FILES}; raise the limit of open files with `ulimit -n 1024` \
         (LimitNOFILE= of a systemd unit)"
    )]
    Files(Room),
    /// Of addresses.
    #[error(
        "too little memory may be reserved: the limit is {mib} MiB, and it takes {least}, of which little is used; lift it \
         with `{lift}`"
    )]
    Memory {
        /// The limit.
        mib: u64,
        /// The least that is enough.
        least: u64,
        /// How it is lifted.
        lift: &'static str,
    },
}

/// How many files may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// So many more of so many.
    Left(u64, u64),
    /// None.
    Full,
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(room, limit) => write!(f, "{room} of {limit} are left"),
            Self::Full => f.write_str("none is left"),
        }
    }
}

/// Whether a live run fits the limits of this process.
pub(super) fn check_live() -> Result<(), LimitError> {
    memory(LIVE_MIB)?;
    files(getrlimit(Resource::Nofile).current, open_files())
}

/// Whether a replay does.
pub(super) fn check_replay() -> Result<(), LimitError> {
    memory(REPLAY_MIB)
}

fn memory(least: u64) -> Result<(), LimitError> {
    enough(getrlimit(Resource::As).current, least, "ulimit -v unlimited")?;
    enough(getrlimit(Resource::Data).current, least, "ulimit -d unlimited")
}

fn enough(limit: Option<u64>, least: u64, lift: &'static str) -> Result<(), LimitError> {
    match limit.map(|bytes| bytes >> 20) {
        Some(mib) if mib < least => Err(LimitError::Memory { mib, least, lift }),
        Some(_) | None => Ok(()),
    }
}

fn files(limit: Option<u64>, open: io::Result<u64>) -> Result<(), LimitError> {
    let Some(limit) = limit else { return Ok(()) };
    let room = match open {
        Ok(open) => limit.saturating_sub(open),
        // Even the list of open files is a file.
        Err(error) if is_limit(&error) => return Err(LimitError::Files(Room::Full)),
        // Without /proc the limit itself has to do.
        Err(_) => limit,
    };
    if room < FILES {
        return Err(LimitError::Files(Room::Left(room, limit)));
    }
    Ok(())
}

fn open_files() -> io::Result<u64> {
    Ok(u64::try_from(fs::read_dir("/proc/self/fd")?.count()).unwrap_or(u64::MAX))
}

fn is_limit(error: &io::Error) -> bool {
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_told_with_what_it_takes_and_how_to_lift_it() {
        let full = || Err(io::Error::from_raw_os_error(24));
        let cases = [
            ("no limit", files(None, Ok(5000)), None),
            ("the usual one", files(Some(1024), Ok(9)), None),
            ("just enough", files(Some(FILES + 9), Ok(9)), None),
            ("too low", files(Some(10), Ok(4)), Some("6 of 10 are left")),
            (
                "too many open already",
                files(Some(1024), Ok(1000)),
                Some("24 of 1024 are left"),
            ),
            ("all open", files(Some(4), full()), Some("none is left")),
            ("no memory limit", enough(None, LIVE_MIB, "x"), None),
            ("memory enough", enough(Some(1 << 30), LIVE_MIB, "x"), None),
            (
                "too little memory",
                enough(Some(200 << 20), LIVE_MIB, "ulimit -v unlimited"),
                Some("the limit is 200 MiB, and it takes 1024"),
            ),
        ];
        for (case, result, want) in cases {
            let said = result.err().map(|error| error.to_string());
            match (&said, want) {
                (Some(said), Some(want)) => {
                    assert!(
                        said.contains(want) && said.contains("ulimit -"),
                        "case: {case}: {said}"
                    );
                }
                (None, None) => {}
                _ => panic!("case: {case}: {said:?}"),
            }
        }
    }
}
