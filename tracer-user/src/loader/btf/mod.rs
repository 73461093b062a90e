//! The kernel's type information (BTF): one pass over the raw bytes, then questions by name.
//!
//! Format: `Documentation/bpf/btf.rst` of Linux. The file is input like any other: every length is checked.
#![forbid(unsafe_code)]

mod members;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

pub use members::Member;

use crate::regular_file;

/// Where the running kernel shows its own BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Far above any kernel's (distribution kernels have 5 to 12 MB), far below what could hurt.
const FILE_MAX: u64 = 128 << 20;

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
const HEADER_LEN: usize = 24;
const TYPE_LEN: usize = 12;

/// Numbers of `enum btf_kind`, with the length of what follows the common 12 bytes.
mod kind {
    pub(super) const INT: u8 = 1;
    pub(super) const PTR: u8 = 2;
    pub(super) const ARRAY: u8 = 3;
    pub(super) const STRUCT: u8 = 4;
    pub(super) const UNION: u8 = 5;
    pub(super) const ENUM: u8 = 6;
    pub(super) const FWD: u8 = 7;
    pub(super) const TYPEDEF: u8 = 8;
    pub(super) const VOLATILE: u8 = 9;
    pub(super) const CONST: u8 = 10;
    pub(super) const RESTRICT: u8 = 11;
    pub(super) const FUNC: u8 = 12;
    pub(super) const FUNC_PROTO: u8 = 13;
    pub(super) const VAR: u8 = 14;
    pub(super) const DATASEC: u8 = 15;
    pub(super) const FLOAT: u8 = 16;
    pub(super) const DECL_TAG: u8 = 17;
    pub(super) const TYPE_TAG: u8 = 18;
    pub(super) const ENUM64: u8 = 19;

    /// Bytes after the common part, for `entries` entries; absent for a kind this reader does not know.
    pub(super) const fn extra(kind: u8, entries: usize) -> Option<usize> {
        Some(match kind {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => 12 * entries,
            ENUM | FUNC_PROTO => 8 * entries,
            PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
            _ => return None,
        })
    }
}

/// Why the BTF gave no answer. All of them are fatal for the backends that need offsets.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file cannot be read.
    #[error(
        "cannot read the kernel's type information {path}: {source}; it needs a kernel built with CONFIG_DEBUG_INFO_BTF"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any kernel's.
    #[error("{path} is larger than {FILE_MAX} bytes, which no kernel's type information is")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The first two bytes are not the magic of BTF in this machine's byte order.
    #[error("not BTF of this machine's byte order: it starts with {found:#06x} instead of {MAGIC:#06x}")]
    Magic {
        /// What is there.
        found: u16,
    },
    /// A version this reader does not know.
    #[error("BTF version {found} is not known (this program knows {VERSION}); a newer kcn-trace may")]
    Version {
        /// Its version.
        found: u8,
    },
    /// A length or offset points outside.
    #[error("damaged BTF: {what} at byte {at} reaches past its end")]
    Damaged {
        /// Offset in the file.
        at: usize,
        /// What is cut off.
        what: &'static str,
    },
    /// A kind this reader does not know, so the length of the type and all that follow are unknown.
    #[error("BTF type {id} has kind {kind}, which is not known; a newer kcn-trace may know it")]
    Kind {
        /// Number of the type.
        id: u32,
        /// Its kind.
        kind: u8,
    },
    /// This kernel has no such struct.
    #[error("this kernel has no struct {name}")]
    NoStruct {
        /// Name of the struct.
        name: String,
    },
    /// The struct has no such member.
    #[error("this kernel's struct {path} does not exist")]
    NoMember {
        /// Struct and member path.
        path: String,
    },
    /// Several structs of that name place the member differently: taking one would be a guess.
    #[error("this kernel has several structs that place {path} differently")]
    Ambiguous {
        /// Struct and member path.
        path: String,
    },
    /// The member does not begin or end on a byte.
    #[error("{path} is a bit field of {bits} bits at bit {at}, which cannot be read as bytes")]
    BitField {
        /// Struct and member path.
        path: String,
        /// Its first bit.
        at: u64,
        /// Its width.
        bits: u32,
    },
    /// Types refer to each other without end, or deeper than any kernel's.
    #[error("damaged BTF: the types of {path} do not end, or do not exist")]
    Endless {
        /// Struct and member path.
        path: String,
    },
}

/// A kernel's type information, checked once: every type lies inside.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    strings: Range<usize>,
    /// Offset in `bytes` of type number `index + 1`; type 0 is `void`.
    starts: Vec<u32>,
    /// Numbers of the named structs.
    structs: Vec<u32>,
    /// Numbers of the functions.
    functions: Vec<u32>,
}

/// The common 12 bytes of a type.
#[derive(Clone, Copy, Debug)]
struct Type {
    /// Offset in the file of what follows the common part.
    extra: usize,
    name: u32,
    kind: u8,
    /// Members carry their bit width beside the offset.
    kind_flag: bool,
    entries: usize,
    /// A size in bytes or the number of a type, by kind.
    payload: u32,
}

impl Btf {
    /// Reads and checks `path`, usually [`VMLINUX`].
    pub fn read(path: &Path) -> Result<Self, BtfError> {
        let failed = |source| BtfError::Read {
            path: path.to_owned(),
            source,
        };
        let file = regular_file::open(path).map_err(failed)?;
        let expected = file.metadata().map_err(failed)?.len().min(FILE_MAX);
        // One byte more, so that the end is found without growing the buffer.
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default().saturating_add(1));
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(BtfError::TooLarge {
                path: path.to_owned(),
            });
        }
        Self::parse(bytes)
    }

    /// Checks `bytes` and notes where each type begins.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let short = |what| move || BtfError::Damaged { at: 0, what };
        let found = u16_at(&bytes, 0).ok_or_else(short("the header"))?;
        if found != MAGIC {
            return Err(BtfError::Magic { found });
        }
        let found = *bytes.get(2).ok_or_else(short("the header"))?;
        if found != VERSION {
            return Err(BtfError::Version { found });
        }
        let field = |at| {
            u32_at(&bytes, at)
                .map(|value| value as usize)
                .ok_or_else(short("the header"))
        };
        let header_len = field(4)?;
        if header_len < HEADER_LEN {
            return Err(BtfError::Damaged {
                at: 4,
                what: "the header",
            });
        }
        let section = |offset: usize, len: usize, what| {
            let start = header_len.checked_add(field(offset)?);
            let end = start.and_then(|start| start.checked_add(field(len).ok()?));
            match (start, end) {
                (Some(start), Some(end)) if end <= bytes.len() => Ok(start..end),
                _ => Err(BtfError::Damaged { at: offset, what }),
            }
        };
        let types = section(8, 12, "the type section")?;
        let strings = section(16, 20, "the string section")?;
        let mut btf = Self {
            bytes,
            strings,
            starts: Vec::new(),
            structs: Vec::new(),
            functions: Vec::new(),
        };
        btf.index(types)?;
        Ok(btf)
    }

    fn index(&mut self, types: Range<usize>) -> Result<(), BtfError> {
        // Types of a kernel take 24 to 30 bytes on average.
        self.starts.reserve(types.len() / 24);
        let mut at = types.start;
        let mut id = 0_u32;
        while at < types.end {
            id = id.saturating_add(1);
            let cut = BtfError::Damaged { at, what: "a type" };
            let Some(ty) = self.type_at(at) else {
                return Err(cut);
            };
            let extra = kind::extra(ty.kind, ty.entries).ok_or(BtfError::Kind { id, kind: ty.kind })?;
            let (Some(end), Ok(start)) = (ty.extra.checked_add(extra), u32::try_from(at)) else {
                return Err(cut);
            };
            if end > types.end {
                return Err(cut);
            }
            match ty.kind {
                kind::STRUCT if ty.name != 0 => self.structs.push(id),
                kind::FUNC => self.functions.push(id),
                _ => {}
            }
            self.starts.push(start);
            at = end;
        }
        Ok(())
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let [n0, n1, n2, n3, i0, i1, i2, i3, s0, s1, s2, s3] =
            *self.bytes.get(at..)?.first_chunk::<TYPE_LEN>()?;
        let info = u32::from_ne_bytes([i0, i1, i2, i3]);
        Some(Type {
            extra: at.checked_add(TYPE_LEN)?,
            name: u32::from_ne_bytes([n0, n1, n2, n3]),
            kind: ((info >> 24) & 0x1f) as u8,
            kind_flag: info >> 31 == 1,
            entries: (info & 0xffff) as usize,
            payload: u32::from_ne_bytes([s0, s1, s2, s3]),
        })
    }

    /// The type number `id`; absent for `void` and for numbers out of range.
    fn ty(&self, id: u32) -> Option<Type> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.type_at(*self.starts.get(index)? as usize)
    }

    /// Whether the string at `offset` is exactly `name`.
    fn named(&self, offset: u32, name: &str) -> bool {
        let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
        let tail = strings.get(offset as usize..).unwrap_or_default();
        tail.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// Number of types, `void` not counted.
    pub const fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether it describes nothing.
    pub const fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}
