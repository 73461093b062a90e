//! Formats of files under /proc/PID, from bytes to values. Anything unexpected is absent.
#![forbid(unsafe_code)]

/// What /proc/PID/stat tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Name of the group leader. May hold spaces, parentheses and newlines.
    pub(super) comm: String,
    pub(super) parent: u32,
    /// Clock ticks after boot.
    pub(super) start_ticks: u64,
}

/// Fields are counted after the last parenthesis: the name before it may hold anything.
pub(super) fn stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|byte| *byte == b'(')?;
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let comm = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
    let fields = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    // proc_pid_stat(5): (3) state, (4) ppid, ... (22) starttime.
    let parent = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        comm,
        parent,
        start_ticks,
    })
}

/// What /proc/PID/status tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) tgid: Option<u32>,
    /// Real user id.
    pub(super) uid: Option<u32>,
}

/// `Name:` comes first and is escaped by the kernel, so it cannot forge another line.
pub(super) fn status(text: &[u8]) -> Status {
    let text = String::from_utf8_lossy(text);
    let first_number = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Status {
        tgid: first_number("Tgid:"),
        uid: first_number("Uid:"),
    }
}

/// The most telling path of /proc/PID/cgroup: one that names a pod, else the unified hierarchy's, else systemd's,
/// else the first controller's that is not the root.
pub(super) fn cgroup(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter_map(|line| {
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        path.starts_with('/').then(|| (rank(id, controllers, path), path))
    });
    // The first of equals: the order is the kernel's.
    lines
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, path)| path.to_owned())
}

fn rank(id: &str, controllers: &str, path: &str) -> (bool, bool, u8) {
    let kind = match controllers {
        "" if id == "0" => 0,
        "name=systemd" => 1,
        "cpu,cpuacct" | "cpuacct,cpu" | "cpu" => 2,
        "memory" => 3,
        "pids" => 4,
        _ => 5,
    };
    (path == "/", !path.contains("kubepods"), kind)
}

/// `/proc/PID/loginuid` or `sessionid`: all ones for none.
pub(super) fn audit_id(text: &[u8]) -> Option<u32> {
    let id = std::str::from_utf8(text).ok()?.trim_ascii().parse().ok()?;
    Some(id).filter(|id| *id != u32::MAX)
}

/// The inode in `net:[4026531840]`.
pub(super) fn namespace_inode(link: &str) -> Option<u32> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// `AT_CLKTCK` from /proc/self/auxv: pairs of machine words.
pub(super) fn clock_ticks(auxv: &[u8]) -> Option<u64> {
    const AT_CLKTCK: usize = 17;
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    auxv.chunks_exact(2 * WORD)
        .find_map(|pair| {
            let (key, value) = pair.split_at_checked(WORD)?;
            (word(key)? == AT_CLKTCK).then(|| word(value)).flatten()
        })
        .and_then(|ticks| u64::try_from(ticks).ok())
        .filter(|ticks| *ticks > 0)
}
