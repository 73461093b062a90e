//! A BTF built by hand, the running kernel's, and hostile ones.

use super::*;
use proptest::prelude::*;

/// Builds a BTF; types are numbered from 1 in the order they are added.
#[derive(Default)]
pub(crate) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Builder {
    fn string(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        at
    }

    /// `flag` is `kind_flag`; `extra` follows the common part.
    fn ty(
        &mut self,
        name: &str,
        kind: u8,
        flag: bool,
        entries: usize,
        size_or_type: u32,
        extra: &[u32],
    ) -> u32 {
        let name = self.string(name);
        let info = u32::from(kind) << 24 | u32::from(flag) << 31 | u32::try_from(entries).unwrap();
        for word in [name, info, size_or_type].iter().chain(extra) {
            self.types.extend_from_slice(&word.to_ne_bytes());
        }
        self.count += 1;
        self.count
    }

    fn int(&mut self, bytes: u32, offset_bits: u32, bits: u32) -> u32 {
        self.ty("int", kind::INT, false, 0, bytes, &[offset_bits << 16 | bits])
    }

    /// Members are name, type and offset word as the encoding wants it.
    fn record(&mut self, kind: u8, name: &str, flag: bool, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        let mut extra = Vec::new();
        for (name, ty, offset) in members {
            extra.extend([self.string(name), *ty, *offset]);
        }
        self.ty(name, kind, flag, members.len(), bytes, &extra)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.string("");
        let (types, strings) = (
            u32::try_from(self.types.len()).unwrap(),
            u32::try_from(self.strings.len()).unwrap(),
        );
        let mut out = MAGIC.to_ne_bytes().to_vec();
        out.extend([VERSION, 0]);
        for word in [24, 0, types, types, strings] {
            out.extend_from_slice(&u32::to_ne_bytes(word));
        }
        out.extend(self.types);
        out.extend(self.strings);
        out
    }
}

/// With `kind_flag` the upper 8 bits of an offset are the width in bits.
fn width(bits: u32) -> u32 {
    bits << 24
}

/// Every kind once, and the shapes the kernel uses.
fn sample() -> Vec<u8> {
    let mut b = Builder::default();
    let int = b.int(4, 0, 32);
    let byte_field = b.int(4, 8, 8);
    let odd_field = b.int(4, 0, 3);
    let short = b.int(2, 0, 16);
    let pointer = b.ty("", kind::PTR, false, 0, 0, &[]);
    let array = b.ty("", kind::ARRAY, false, 0, 0, &[short, int, 8]);
    let typedef = b.ty("atomic_t", kind::TYPEDEF, false, 0, 8, &[]);
    let counter = b.record(kind::STRUCT, "", false, 4, &[("counter", int, 0)]);
    assert_eq!((typedef, counter), (7, 8));
    let constant = b.ty("", kind::CONST, false, 0, typedef, &[]);
    let volatile = b.ty("", kind::VOLATILE, false, 0, constant, &[]);
    let tagged = b.ty("user", kind::TYPE_TAG, false, 0, volatile, &[]);
    let restrict = b.ty("", kind::RESTRICT, false, 0, pointer, &[]);
    b.ty("forward", kind::FWD, false, 0, 0, &[]);
    let choice = b.ty("choice", kind::ENUM, false, 2, 4, &[0, 0, 0, 1]);
    let wide = b.ty("wide", kind::ENUM64, false, 1, 8, &[0, 0, 1]);
    let float = b.ty("double", kind::FLOAT, false, 0, 8, &[]);
    let ports = b.record(
        kind::STRUCT,
        "",
        false,
        4,
        &[("dport", short, 0), ("num", short, 16)],
    );
    let either = b.record(kind::UNION, "", false, 8, &[("pair", float, 0), ("", ports, 0)]);
    let common = b.record(
        kind::STRUCT,
        "common",
        false,
        24,
        &[("hash", int, 0), ("", either, 64), ("at", pointer, 128)],
    );
    b.record(
        kind::STRUCT,
        "sock",
        false,
        64,
        &[
            ("common", common, 64),
            ("live", tagged, 256),
            ("padding", odd_field, 288),
            ("protocol", byte_field, 288),
        ],
    );
    b.record(
        kind::STRUCT,
        "flagged",
        true,
        64,
        &[
            ("whole", array, 64),
            ("bits", int, width(3) + 192),
            ("eight", int, width(8) + 200),
            ("c", choice, 224),
            ("w", wide, 256),
            ("r", restrict, 320),
        ],
    );
    b.record(
        kind::STRUCT,
        "twice",
        false,
        8,
        &[("same", int, 0), ("moved", int, 32)],
    );
    b.record(
        kind::STRUCT,
        "twice",
        false,
        8,
        &[("same", int, 0), ("moved", int, 0)],
    );
    let prototype = b.ty("", kind::FUNC_PROTO, false, 2, int, &[0, int, 0, pointer]);
    let function = b.ty("accept", kind::FUNC, false, 1, prototype, &[]);
    b.ty("deprecated", kind::DECL_TAG, false, 0, function, &[u32::MAX]);
    let variable = b.ty("jiffies", kind::VAR, false, 0, int, &[1]);
    b.ty(".data", kind::DATASEC, false, 1, 4, &[variable, 0, 4]);
    b.finish()
}

/// Offset and width, or part of the error.
type Answer<'a> = Result<(u32, u32), &'a str>;

fn ask(btf: &Btf, path: &str) -> Result<(u32, u32), String> {
    let (holder, path) = path.split_once('.').unwrap();
    let steps: Vec<&str> = path.split('.').collect();
    btf.member(holder, &steps)
        .map(|member| (member.offset, member.bytes))
        .map_err(|error| error.to_string())
}

#[test]
fn members_are_found_through_every_shape() {
    let btf = Btf::parse(sample()).unwrap();
    let cases: &[(&str, &str, Answer<'_>)] = &[
        ("a named struct is a step", "sock.common.hash", Ok((8, 4))),
        (
            "an anonymous struct in an anonymous union is looked through",
            "sock.common.num",
            Ok((18, 2)),
        ),
        ("an anonymous union's own member", "sock.common.pair", Ok((16, 8))),
        ("a pointer", "sock.common.at", Ok((24, 8))),
        (
            "tag, volatile, const and typedef before a struct",
            "sock.live.counter",
            Ok((32, 4)),
        ),
        ("the struct itself", "sock.live", Ok((32, 4))),
        (
            "a bit field on whole bytes, encoded in its INT",
            "sock.protocol",
            Ok((37, 1)),
        ),
        (
            "a bit field inside a byte, encoded in its INT",
            "sock.padding",
            Err("bit field of 3 bits at bit 288"),
        ),
        ("an array", "flagged.whole", Ok((8, 16))),
        (
            "a bit field on whole bytes, encoded in the member",
            "flagged.eight",
            Ok((25, 1)),
        ),
        (
            "a bit field inside a byte, encoded in the member",
            "flagged.bits",
            Err("bit field of 3 bits at bit 192"),
        ),
        ("an enum", "flagged.c", Ok((28, 4))),
        ("a 64-bit enum", "flagged.w", Ok((32, 8))),
        ("a restrict pointer", "flagged.r", Ok((40, 8))),
        ("two structs of one name that agree", "twice.same", Ok((0, 4))),
        (
            "two structs of one name that differ",
            "twice.moved",
            Err("several structs that place twice.moved"),
        ),
        (
            "a member that is not there",
            "sock.nothing",
            Err("struct sock.nothing does not exist"),
        ),
        (
            "a step into something that has no members",
            "sock.common.hash.x",
            Err("does not exist"),
        ),
        (
            "a struct that is not there",
            "nothing.x",
            Err("no struct nothing"),
        ),
        (
            "the beginning of a name is not the name",
            "soc.common",
            Err("no struct soc"),
        ),
    ];
    for (name, path, want) in cases {
        match (ask(&btf, path), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, *want, "case: {name}"),
            (Err(got), Err(want)) => assert!(got.contains(want), "case: {name}: {got}"),
            (got, want) => panic!("case: {name}: {got:?} instead of {want:?}"),
        }
    }
    assert_eq!(btf.parameters("accept"), Some(2));
    assert_eq!(btf.parameters("missing"), None);
    assert!(btf.function("accept").is_some_and(|id| id > 20) && btf.function("missing").is_none());
    assert!(btf.has_typedef("atomic_t") && !btf.has_typedef("sock"));
}

#[test]
fn damage_is_named() {
    let mut foreign_order = sample();
    foreign_order[..2].reverse();
    let mut version = sample();
    version[2] = 9;
    let mut unknown = Builder::default();
    unknown.ty("", 30, false, 0, 0, &[]);
    let mut strings_outside = sample();
    strings_outside[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
    let mut cut_type = Builder::default();
    cut_type.ty("", kind::STRUCT, false, 3, 0, &[]);
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("nothing at all", vec![], "the header at byte 0"),
        ("another byte order", foreign_order, "starts with 0x9feb"),
        ("a newer version", version, "version 9"),
        ("a kind from the future", unknown.finish(), "type 1 has kind 30"),
        ("strings outside the file", strings_outside, "the string section"),
        (
            "members outside the type section",
            cut_type.finish(),
            "a type at byte 24",
        ),
    ];
    for (name, bytes, want) in cases {
        let error = Btf::parse(bytes.clone()).unwrap_err().to_string();
        assert!(error.contains(want), "case: {name}: {error}");
    }
}

#[test]
fn types_without_end_are_refused() {
    let mut b = Builder::default();
    b.record(
        kind::STRUCT,
        "ring",
        false,
        4,
        &[("", 1, 0), ("", 1, 0), ("", 1, 0)],
    );
    b.record(kind::STRUCT, "loops", false, 4, &[("x", 3, 0)]);
    b.ty("x", kind::TYPEDEF, false, 0, 4, &[]);
    b.ty("y", kind::TYPEDEF, false, 0, 3, &[]);
    b.record(kind::STRUCT, "big", false, 4, &[("x", 6, 0)]);
    b.ty("", kind::ARRAY, false, 0, 0, &[6, 6, 2]);
    b.record(kind::STRUCT, "nowhere", false, 4, &[("x", 999, 0)]);
    let btf = Btf::parse(b.finish()).unwrap();
    for path in ["ring.x", "loops.x", "big.x", "nowhere.x"] {
        let error = ask(&btf, path).unwrap_err();
        assert!(error.contains("do not end"), "{path}: {error}");
    }
}

#[test]
fn every_prefix_is_an_error_or_the_whole() {
    let whole = sample();
    for len in 0..whole.len() {
        assert!(
            Btf::parse(whole[..len].to_vec()).is_err(),
            "prefix of {len} bytes"
        );
    }
}

#[test]
fn the_running_kernel_is_read() {
    let Ok(btf) = Btf::read(Path::new(VMLINUX)) else {
        eprintln!("skipped: {VMLINUX} cannot be read");
        return;
    };
    assert!(btf.len() > 10_000);
    assert_eq!(
        btf.member("list_head", &["prev"]).unwrap(),
        Member { offset: 8, bytes: 8 }
    );
    assert_eq!(btf.member("task_struct", &["comm"]).unwrap().bytes, 16);
    assert!(matches!(btf.parameters("inet_csk_accept"), Some(2 | 4)));
    assert_eq!(btf.parameters("tcp_connect"), Some(1));
    assert!(btf.function("tcp_connect").is_some() && btf.has_typedef("u64"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        exercise(bytes);
    }

    #[test]
    fn damaged_samples_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16),
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        exercise(bytes);
    }
}

fn exercise(bytes: Vec<u8>) {
    if let Ok(btf) = Btf::parse(bytes) {
        for path in [
            "sock.common.num",
            "flagged.bits",
            "twice.moved",
            "sock.live.counter",
        ] {
            ask(&btf, path).map_or_else(|error| assert!(!error.is_empty()), drop);
        }
        btf.parameters("accept");
    }
}
