//! A look at a raw record for the one thing the live source must know: which process it is about.
#![forbid(unsafe_code)]

use std::mem::offset_of;

use tracer_common::wire::{Owner, ProcessRecord, RecordHeader, SocketRecord, flag, kind};

/// What a record says about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A socket is owned by this thread group.
    Owner(u32),
    /// This thread group became another program, or ended.
    Changed(u32),
    /// Nothing.
    Nobody,
}

/// What `raw` says about a process; nothing when it is cut short.
pub(super) fn about(raw: &[u8]) -> About {
    let Some(record_kind) = raw.get(offset_of!(RecordHeader, kind)) else {
        return About::Nobody;
    };
    match *record_kind {
        kind::OPENED..=kind::SEEN => {
            let owned = raw
                .get(offset_of!(SocketRecord, flags))
                .is_some_and(|flags| flags & flag::OWNER != 0);
            let tgid = number(raw, offset_of!(SocketRecord, owner) + offset_of!(Owner, tgid));
            tgid.filter(|_| owned).map_or(About::Nobody, About::Owner)
        }
        kind::EXEC | kind::EXIT => {
            number(raw, offset_of!(ProcessRecord, tgid)).map_or(About::Nobody, About::Changed)
        }
        _ => About::Nobody,
    }
}

fn number(raw: &[u8], at: usize) -> Option<u32> {
    raw.get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn an_owner_is_named_only_when_the_record_has_one() {
        let mut record = SocketRecord {
            owner: Owner {
                tgid: 77,
                ..Owner::default()
            },
            ..SocketRecord::default()
        };
        record.header.kind = kind::OPENED;
        assert_eq!(about(record.as_bytes()), About::Nobody);
        record.flags = flag::OWNER;
        assert_eq!(about(record.as_bytes()), About::Owner(77));
        for end in 0..44 {
            assert_eq!(about(&record.as_bytes()[..end]), About::Nobody, "cut to {end}");
        }
        record.header.kind = kind::CGROUP_MADE;
        assert_eq!(about(record.as_bytes()), About::Nobody);
    }
}
