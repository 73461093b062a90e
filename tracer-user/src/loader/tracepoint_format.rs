//! Fills the programs' settings with where the classic tracepoint's record has its fields: what tracefs says.
//!
//! The names are stable, the places are not: some kernels put more common fields in front. To add a field: a field in
//! `tracer_common::settings` and a row here.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tracer_common::settings::Settings;

/// Below the mount point of tracefs.
const FORMAT: &str = "events/sock/inet_sock_set_state/format";

/// The kernel overwrites the first word of the record before a program sees it.
const FIRST: u32 = 8;

/// `PERF_MAX_TRACE_SIZE` up to 5.14, later 8192: a program cannot see more of a record.
const END: u32 = 2048;

/// Why the fields of the tracepoint are not known.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The description cannot be read.
    #[error(
        "cannot read the format of the tracepoint sock/inet_sock_set_state in {path}: {source}; run as root"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not have a field.
    #[error(
        "the tracepoint sock/inet_sock_set_state has no field {field} on this kernel; kcn-trace does not know its format"
    )]
    Missing {
        /// Name of the field.
        field: &'static str,
    },
    /// The field exists with another width: reading it would give garbage.
    #[error(
        "the field {field} of the tracepoint sock/inet_sock_set_state has {found} bytes on this kernel where {wanted} \
         are read; a newer kcn-trace may know it"
    )]
    Width {
        /// Name of the field.
        field: &'static str,
        /// Its width in bytes.
        found: u32,
        /// The width the program reads.
        wanted: &'static str,
    },
    /// A program cannot read there.
    #[error(
        "the field {field} of the tracepoint sock/inet_sock_set_state is at byte {offset}, where programs cannot read"
    )]
    Place {
        /// Name of the field.
        field: &'static str,
        /// Where it is.
        offset: u32,
    },
}

struct Row {
    field: &'static str,
    bytes: u32,
    wanted: &'static str,
    slot: fn(&mut Settings) -> &mut u32,
}

const fn row(
    field: &'static str,
    bytes: u32,
    wanted: &'static str,
    slot: fn(&mut Settings) -> &mut u32,
) -> Row {
    Row {
        field,
        bytes,
        wanted,
        slot,
    }
}

/// Every field but `protocol`, whose width differs between kernels. The fields for IPv6 hold IPv4 too, mapped.
const ROWS: &[Row] = &[
    row("skaddr", 8, "8", |s| &mut s.trace_skaddr),
    row("oldstate", 4, "4", |s| &mut s.trace_oldstate),
    row("newstate", 4, "4", |s| &mut s.trace_newstate),
    row("sport", 2, "2", |s| &mut s.trace_sport),
    row("dport", 2, "2", |s| &mut s.trace_dport),
    row("family", 2, "2", |s| &mut s.trace_family),
    row("saddr_v6", 16, "16", |s| &mut s.trace_saddr_v6),
    row("daddr_v6", 16, "16", |s| &mut s.trace_daddr_v6),
];

/// Reads the format below the mount point `tracefs` into `settings`.
///
/// # Errors
/// [`FormatError`]; then `settings` may be filled in part.
pub fn resolve(tracefs: &Path, settings: &mut Settings) -> Result<(), FormatError> {
    let path = tracefs.join(FORMAT);
    match fs::read(&path) {
        Ok(text) => parse(&String::from_utf8_lossy(&text), settings),
        Err(source) => Err(FormatError::Unreadable { path, source }),
    }
}

fn parse(text: &str, settings: &mut Settings) -> Result<(), FormatError> {
    for row in ROWS {
        let found = find(text, row.field)?;
        if found.size != row.bytes {
            return Err(FormatError::Width {
                field: row.field,
                found: found.size,
                wanted: row.wanted,
            });
        }
        *(row.slot)(settings) = found.offset;
    }
    let protocol = find(text, "protocol")?;
    if !matches!(protocol.size, 1 | 2) {
        return Err(FormatError::Width {
            field: "protocol",
            found: protocol.size,
            wanted: "1 or 2",
        });
    }
    settings.trace_protocol = protocol.offset;
    settings.trace_protocol_bytes = protocol.size;
    Ok(())
}

struct Field {
    offset: u32,
    size: u32,
}

fn find(text: &str, field: &'static str) -> Result<Field, FormatError> {
    let found = text.lines().find_map(|line| {
        let (name, found) = line_of(line)?;
        (name == field).then_some(found)
    });
    let found = found.ok_or(FormatError::Missing { field })?;
    let end = found.offset.checked_add(found.size);
    if found.offset < FIRST || end.is_none_or(|end| end > END) {
        return Err(FormatError::Place {
            field,
            offset: found.offset,
        });
    }
    Ok(found)
}

/// `field:__u8 saddr_v6[16]; offset:40; size:16; signed:0;`, with tabs: name, offset and size.
fn line_of(line: &str) -> Option<(&str, Field)> {
    let mut parts = line.split(';').map(str::trim);
    let declaration = parts.next()?.strip_prefix("field:")?;
    let variable = declaration.split('[').next()?.trim_end();
    let name = variable.rsplit([' ', '*']).next()?;
    let mut number = |key: &str| parts.next()?.strip_prefix(key)?.parse().ok();
    Some((
        name,
        Field {
            offset: number("offset:")?,
            size: number("size:")?,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// Linux 6.18, x86-64, without `print fmt`.
    const V6_18: &str = "name: inet_sock_set_state
ID: 2287
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;
\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;
\tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;
";

    /// Enterprise Linux 9 and kernels for real time: one more common field, so everything moves by a word.
    fn shifted() -> String {
        let (head, fields) = V6_18.split_once("\n\n").unwrap();
        let more = "\tfield:unsigned char common_preempt_lazy_count;\toffset:8;\tsize:1;\tsigned:0;";
        let mut text = format!("{head}\n{more}\n\n");
        for line in fields.lines() {
            let (before, rest) = line.split_once("offset:").unwrap();
            let (offset, after) = rest.split_once(';').unwrap();
            let offset: u32 = offset.parse().unwrap();
            writeln!(text, "{before}offset:{};{after}", offset + 8).unwrap();
        }
        text
    }

    /// Up to 5.5: `protocol` is one byte, and what follows is not aligned.
    fn narrow() -> String {
        V6_18
            .replace(
                "__u16 protocol;\toffset:30;\tsize:2",
                "__u8 protocol;\toffset:30;\tsize:1",
            )
            .replace("offset:32;", "offset:31;")
            .replace("offset:36;", "offset:35;")
            .replace("offset:40;", "offset:39;")
            .replace("offset:56;", "offset:55;")
    }

    fn parsed(text: &str) -> Result<Settings, FormatError> {
        let mut settings = Settings::UNSET;
        parse(text, &mut settings).map(|()| settings)
    }

    #[test]
    fn the_fields_are_found_where_the_kernel_has_them() {
        let cases: &[(&str, String, [u32; 10])] = &[
            ("6.18", V6_18.to_owned(), [8, 16, 20, 24, 26, 28, 30, 2, 40, 56]),
            (
                "one more common field",
                shifted(),
                [16, 24, 28, 32, 34, 36, 38, 2, 48, 64],
            ),
            (
                "a protocol of one byte",
                narrow(),
                [8, 16, 20, 24, 26, 28, 30, 1, 39, 55],
            ),
            (
                "pointers and arrays written otherwise",
                V6_18
                    .replace("void * skaddr", "void *skaddr")
                    .replace("__u8 saddr_v6[16]", "__u8 saddr_v6[4 * 4]"),
                [8, 16, 20, 24, 26, 28, 30, 2, 40, 56],
            ),
        ];
        for (case, text, wanted) in cases {
            let settings = parsed(text).unwrap_or_else(|error| panic!("{case}: {error}"));
            let found = [
                settings.trace_skaddr,
                settings.trace_oldstate,
                settings.trace_newstate,
                settings.trace_sport,
                settings.trace_dport,
                settings.trace_family,
                settings.trace_protocol,
                settings.trace_protocol_bytes,
                settings.trace_saddr_v6,
                settings.trace_daddr_v6,
            ];
            assert_eq!(found, *wanted, "{case}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        let cases: &[(&str, String, &str)] = &[
            ("nothing", String::new(), "no field skaddr"),
            ("no fields", "name: x\nformat:\n".into(), "no field skaddr"),
            ("another name", V6_18.replace("sport", "sports"), "no field sport"),
            (
                "a name that only ends alike",
                V6_18.replace(" dport", " mydport"),
                "no field dport",
            ),
            ("no offset", V6_18.replace("offset:24;", ""), "no field sport"),
            (
                "an offset that is no number",
                V6_18.replace("offset:24", "offset:-4"),
                "no field sport",
            ),
            (
                "an offset too large",
                V6_18.replace("offset:24", "offset:4294967296"),
                "no field sport",
            ),
            (
                "another width",
                V6_18.replace("offset:20;\tsize:4", "offset:20;\tsize:8"),
                "newstate of",
            ),
            (
                "a wide protocol",
                V6_18.replace("offset:30;\tsize:2", "offset:30;\tsize:4"),
                "1 or 2",
            ),
            (
                "in the word the kernel overwrites",
                V6_18.replace("offset:8;", "offset:4;"),
                "at byte 4",
            ),
            (
                "behind the end",
                V6_18.replace("offset:56;", "offset:2040;"),
                "at byte 2040",
            ),
            (
                "at the end of numbers",
                V6_18.replace("offset:56;", "offset:4294967295;"),
                "4294967295",
            ),
        ];
        for (case, text, wanted) in cases {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{case}: {error}");
        }
    }

    #[test]
    fn every_prefix_is_accepted_or_refused() {
        let last = V6_18.rfind("size:16").unwrap() + "size:16".len();
        for length in 0..V6_18.len() {
            let prefix = &V6_18[..length];
            assert_eq!(parsed(prefix).is_ok(), length >= last, "{length}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        let mut state = 1_u32;
        let alphabet: Vec<char> = "field:;offsz=[]* 0189\t\n\u{fffd}".chars().collect();
        for _ in 0..2000 {
            let mut text = String::from("\tfield:const void * skaddr;\toffset:8;\tsize:8;\n\tfield:");
            for _ in 0..64 {
                // Any sequence will do; these are the constants of Numerical Recipes.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push(alphabet[state as usize / 65_536 % alphabet.len()]);
            }
            assert!(parsed(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_format_that_is_not_there_is_named() {
        let error = resolve(Path::new("/nonexistent"), &mut { Settings::UNSET }).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/events/sock"), "{error}");
    }
}
