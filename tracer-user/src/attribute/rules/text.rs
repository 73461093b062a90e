//! Names out of paths and command lines: pure, and safe on whatever a process calls itself.
#![forbid(unsafe_code)]

use tracer_common::wire::FILE_NAME_LEN;

/// Bytes of a thread name the kernel keeps: `TASK_COMM_LEN` without the NUL.
pub(crate) const COMM_BYTES: usize = 15;

/// What follows the last slash.
pub(crate) fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// The name that the maker of a program in memory gave it: of `/memfd:NAME` in /proc, and `memfd:NAME` as its file is
/// called. It may hold slashes.
pub(crate) fn in_memory(path: &str) -> Option<&str> {
    path.strip_prefix('/').unwrap_or(path).strip_prefix("memfd:")
}

/// Name of an executable's file, as /proc gives its path.
pub(crate) fn name_of(path: &str) -> &str {
    if in_memory(path).is_some() {
        path.strip_prefix('/').unwrap_or(path)
    } else {
        base_name(path)
    }
}

/// Whether a path leads to a file of this name, which the kernel's record may have cut.
pub(crate) fn is_file(path: &str, file: &str) -> bool {
    let name = name_of(without_deleted(path));
    name == file || (file.len() + 1 >= FILE_NAME_LEN && name.starts_with(file))
}

/// The path without the mark the kernel puts on an executable that was replaced while it runs.
pub(crate) fn without_deleted(path: &str) -> &str {
    path.strip_suffix(" (deleted)").unwrap_or(path)
}

/// The program's name in `argv[0]`, also when it was rewritten as a title: `sshd: root@pts/0` is `sshd`,
/// `-bash` is `bash`. Empty when there is none.
pub(crate) fn argv0_name(arg0: &str) -> &str {
    let word = arg0.split_whitespace().next().unwrap_or_default();
    base_name(word.trim_end_matches(':').trim_start_matches('-'))
}

/// The name as the kernel would keep it in `comm`.
pub(crate) fn cut_to_comm(name: &str) -> &str {
    let mut end = name.len().min(COMM_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or(name)
}

/// Cuts text that goes into evidence, on a character boundary.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// The interpreter's name without its version: `python3.11` is `python`.
pub(crate) fn without_version(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
}

/// The interpreter's name without its minor version: `python3.11` is `python3`.
pub(crate) fn without_minor_version(name: &str) -> &str {
    let stem = without_version(name).len();
    let version = name.get(stem..).unwrap_or_default();
    let major = version.split('.').next().unwrap_or_default().len();
    name.get(..stem + major).unwrap_or(name)
}

/// Whether a word of a command line looks like a file or program name and nothing else: what may be kept of scripts
/// and applets.
pub(crate) fn is_tame(word: &str) -> bool {
    (1..=64).contains(&word.len())
        && !word.starts_with('-')
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_of_paths_and_titles() {
        let cases: &[(&str, &str, &str)] = &[
            ("a path", "/usr/local/bin/etcd", "etcd"),
            ("a bare name", "etcd", "etcd"),
            ("a login shell", "-bash", "bash"),
            ("a title with a colon", "sshd: root@pts/0", "sshd"),
            ("a title of a worker", "nginx: worker process", "nginx"),
            ("a title that is a path", "/usr/bin/k3s server", "k3s"),
            ("nothing", "", ""),
            ("only spaces", "  \t ", ""),
            ("only a slash", "/", ""),
            ("only punctuation", "-:", ""),
        ];
        for (name, arg0, want) in cases {
            assert_eq!(argv0_name(arg0), *want, "case: {name}");
        }
    }

    #[test]
    fn comm_is_cut_at_fifteen_bytes_and_never_inside_a_character() {
        assert_eq!(cut_to_comm("kube-controller-manager"), "kube-controller");
        assert_eq!(cut_to_comm("kube-controllers"), "kube-controller");
        assert_eq!(cut_to_comm("etcd"), "etcd");
        assert_eq!(cut_to_comm("aaaaaaaaaaaaaaé"), "aaaaaaaaaaaaaa");
    }

    #[test]
    fn versions_are_not_part_of_an_interpreter() {
        assert_eq!(without_version("python3.11"), "python");
        assert_eq!(without_minor_version("python3.11"), "python3");
        assert_eq!(without_minor_version("python3"), "python3");
        assert_eq!(without_minor_version("bash"), "bash");
        assert_eq!(
            without_minor_version("ld-linux-x86-64.so.2"),
            "ld-linux-x86-64.so"
        );
    }
}
