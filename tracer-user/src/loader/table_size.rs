//! How many sockets the kernel side can remember on this node: by its memory, its limits and what is open now.
#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use tracer_common::maps::SocketEntry;

use super::features::{Capability, Facts};

/// Kernel memory of one entry: head, key and value of a preallocated hash element, and its bucket (kernel/bpf/hashtab.c).
const ENTRY_BYTES: u64 = 48 + 8 + size_of::<SocketEntry>() as u64 + 16;

/// This part of the node's memory: a socket itself takes some 4 KiB of it, so 1/32 of the memory in sockets fits.
const MEMORY_PART: u64 = 256;
/// This part of what this process may take at most.
const LIMIT_PART: u64 = 4;

/// Whatever the memory is: more than a small machine needs, less than any can spare.
const ENTRIES_MIN: u64 = 1 << 14;
/// By memory alone. 64 MiB; every connection that is tracked by default, with both ends.
const ENTRIES_BY_MEMORY_MAX: u64 = 1 << 19;
/// By what is open.
const ENTRIES_MAX: u64 = 1 << 22;

/// The size of the socket table, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Entries.
    pub entries: u32,
    /// What decided.
    pub by: String,
}

impl TableSize {
    /// What the user asked for, or what fits this node.
    pub(super) fn choose(asked: Option<u32>, node: &Node) -> Self {
        asked.map_or_else(
            || by_node(node),
            |entries| Self {
                entries,
                by: "--max-sockets".to_owned(),
            },
        )
    }

    /// Kernel memory that it takes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.entries) * ENTRY_BYTES
    }
}

/// What of a node decides about the table's size; absent where it is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Its memory.
    memory_bytes: Option<u64>,
    /// The smallest limit of memory of this process's cgroup and those above it.
    cgroup_bytes: Option<u64>,
    /// What this process may lock, on kernels that count maps as locked memory.
    locked_bytes: Option<u64>,
    /// TCP sockets there are now, in all namespaces.
    open: Option<u64>,
}

impl Node {
    /// Reads it below `proc`.
    pub(super) fn read(proc: &Path, facts: &Facts) -> Self {
        let text = |path: &str| fs::read_to_string(proc.join(path)).unwrap_or_default();
        Self {
            memory_bytes: number_after(&text("meminfo"), "MemTotal:").map(|kib| kib.saturating_mul(1024)),
            cgroup_bytes: cgroup_limit(&text("self/cgroup"), &text("self/mounts")),
            locked_bytes: may_lock(&text("self/limits"), facts),
            open: text("net/sockstat")
                .lines()
                .find_map(|line| line.strip_prefix("TCP:"))
                .and_then(|line| number_after(line, "alloc ")),
        }
    }
}

fn by_node(node: &Node) -> TableSize {
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let mut entries = ENTRIES_MIN;
    let mut by = "the memory of this node is not known".to_owned();
    if let Some(memory) = node.memory_bytes {
        let fit = power_below(memory / MEMORY_PART / ENTRY_BYTES);
        entries = fit.clamp(ENTRIES_MIN, ENTRIES_BY_MEMORY_MAX);
        by = format!("{} of memory", mib(memory));
    }
    // Room for as many again.
    if let Some(open) = node.open
        && open.saturating_mul(2) > entries
    {
        entries = open.saturating_mul(2).min(ENTRIES_MAX).next_power_of_two();
        by = format!("{open} sockets are open");
    }
    for (limit, what) in [
        (node.cgroup_bytes, "the memory limit of this cgroup"),
        (node.locked_bytes, "the limit of locked memory"),
    ] {
        if let Some(limit) = limit {
            let fit = power_below(limit / LIMIT_PART / ENTRY_BYTES).max(ENTRIES_MIN);
            if fit < entries {
                entries = fit;
                by = format!("{what} is {}", mib(limit));
            }
        }
    }
    TableSize {
        entries: u32::try_from(entries).unwrap_or(u32::MAX),
        by,
    }
}

/// What may be locked, where maps count as locked memory: before 5.11. Who may raise the limit has none.
fn may_lock(limits: &str, facts: &Facts) -> Option<u64> {
    if facts.at_least((5, 11)) || facts.capabilities.has(Capability::SysResource) {
        return None;
    }
    number_after(limits, "Max locked memory")
}

/// The largest power of two that is not above `number`; 0 for 0.
const fn power_below(number: u64) -> u64 {
    match number.checked_ilog2() {
        Some(log) => 1 << log,
        None => 0,
    }
}

/// The number that follows `name`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The smallest limit of memory on the way from this process's cgroup to the root of what is mounted here: `cgroup` and
/// `mounts` are the files of /proc/self. Maps are charged to it.
fn cgroup_limit(cgroup: &str, mounts: &str) -> Option<u64> {
    cgroup
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let file = match controllers {
                "" => "memory.max",
                named if named.split(',').any(|one| one == "memory") => "memory.limit_in_bytes",
                _ => return None,
            };
            let mount = memory_mount(mounts, controllers.is_empty())?;
            let below = mount.join(path.trim_start_matches('/'));
            below
                .ancestors()
                .take_while(|directory| directory.starts_with(&mount))
                .filter_map(|directory| fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok())
                .min()
        })
        .min()
}

/// Where the hierarchy of the memory controller is mounted: the unified one, or its own.
fn memory_mount(mounts: &str, unified: bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let found = if unified {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && options.split(',').any(|option| option == "memory")
        };
        found.then(|| PathBuf::from(point))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// Memory, cgroup's limit, locked memory, open sockets; entries, and what is said of them.
    type Case = (Option<u64>, Option<u64>, Option<u64>, u64, u32, &'static str);

    #[test]
    fn the_table_fits_the_node() {
        let cases: &[Case] = &[
            (Some(GIB), None, None, 100, 1 << 15, "1024 MiB of memory"),
            (Some(4 * GIB), None, None, 100, 1 << 17, "4096 MiB of memory"),
            (Some(7 * GIB), None, None, 100, 1 << 17, "7168 MiB of memory"),
            (Some(8 * GIB), None, None, 100, 1 << 18, "8192 MiB of memory"),
            (Some(512 * GIB), None, None, 100, 1 << 19, "524288 MiB of memory"),
            (Some(64 << 20), None, None, 100, 1 << 14, "64 MiB of memory"),
            (Some(GIB), None, None, 130_000, 1 << 18, "130000 sockets are open"),
            (Some(GIB), None, None, u64::MAX, 1 << 22, "sockets are open"),
            (
                Some(16 * GIB),
                Some(64 << 20),
                None,
                100,
                1 << 17,
                "limit of this cgroup is 64 MiB",
            ),
            (
                Some(16 * GIB),
                Some(64 << 20),
                None,
                400_000,
                1 << 17,
                "limit of this cgroup is 64 MiB",
            ),
            (
                Some(16 * GIB),
                Some(1),
                None,
                100,
                1 << 14,
                "limit of this cgroup is 0 MiB",
            ),
            (
                Some(16 * GIB),
                Some(u64::MAX),
                None,
                100,
                1 << 19,
                "16384 MiB of memory",
            ),
            (
                Some(16 * GIB),
                None,
                Some(64 << 20),
                100,
                1 << 17,
                "locked memory is 64 MiB",
            ),
            (None, None, None, 100, 1 << 14, "not known"),
        ];
        for (memory_bytes, cgroup_bytes, locked_bytes, open, entries, by) in cases {
            let node = Node {
                memory_bytes: *memory_bytes,
                cgroup_bytes: *cgroup_bytes,
                locked_bytes: *locked_bytes,
                open: Some(*open),
            };
            let size = TableSize::choose(None, &node);
            assert_eq!(size.entries, *entries, "{node:?}");
            assert!(size.by.contains(by), "{node:?}: {}", size.by);
            let asked = TableSize::choose(Some(1000), &node);
            assert_eq!((asked.entries, asked.by.as_str()), (1000, "--max-sockets"));
        }
    }

    #[test]
    fn limits_of_every_cgroup_above_count_in_either_hierarchy() {
        let root = std::env::temp_dir().join(format!("kcn-trace-limits-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("v2/pod/memory.max", "268435456\n");
        write("v2/pod/box/memory.max", "max\n");
        write("v1/pod/memory.limit_in_bytes", "134217728\n");
        write("v1/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory.max", "1\n");
        let mounts = format!(
            "cgroup2 {0}/v2 cgroup2 rw,nosuid 0 0\ncgroup {0}/v1 cgroup rw,memory 0 0\ncgroup {0}/cpu cgroup rw,cpu 0 0\n",
            root.display()
        );
        let cases = [
            ("0::/pod/box\n", Some(256 << 20)),
            ("8:memory:/pod/box\n0::/\n", Some(128 << 20)),
            ("8:memory:/pod\n0::/pod\n", Some(128 << 20)),
            ("0::/\n1:cpu:/pod\n", None),
            ("no such form\n", None),
            ("", None),
        ];
        for (cgroup, limit) in cases {
            assert_eq!(cgroup_limit(cgroup, &mounts), limit, "{cgroup}");
        }
        assert_eq!(cgroup_limit("0::/pod\n", ""), None);
        fs::remove_dir_all(&root).unwrap();
    }
}
