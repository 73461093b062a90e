//! Questions to a BTF: where a member lies, how wide it is, how many parameters a function has.
#![forbid(unsafe_code)]

use super::{Btf, BtfError, Type, kind, u32_at};

/// Anonymous structs inside structs, and typedefs of typedefs; the kernel has at most about 8.
const DEPTH_MAX: u8 = 24;

/// Members looked at for one question. `task_struct` with all it contains has about 300.
const LOOKS_MAX: u32 = 1 << 20;

/// Where a member lies, from the beginning of the outermost struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Offset in bytes.
    pub offset: u32,
    /// Width in bytes; 0 for a flexible array.
    pub bytes: u32,
}

/// A member as the struct that holds it describes it.
#[derive(Clone, Copy)]
struct Raw {
    type_id: u32,
    at_bits: u64,
    /// 0 when it is not a bit field.
    width_bits: u32,
}

impl Btf {
    /// Where the member `path` of struct `name` lies. Each step looks through anonymous structs and unions.
    pub fn member(&self, name: &str, path: &[&str]) -> Result<Member, BtfError> {
        let shown = || format!("{name}.{}", path.join("."));
        let mut found = None;
        let mut exists = false;
        let mut looks = LOOKS_MAX;
        // The kernel may have several structs of one name, most of them copies.
        for id in self.structs.iter().copied() {
            let Some(ty) = self.ty(id).filter(|ty| self.named(ty.name, name)) else {
                continue;
            };
            exists = true;
            let Some(member) = self.walk(ty, path, &mut looks, &shown)? else {
                continue;
            };
            if found.is_some_and(|before| before != member) {
                return Err(BtfError::Ambiguous { path: shown() });
            }
            found = Some(member);
        }
        match found {
            Some(member) => Ok(member),
            None if exists => Err(BtfError::NoMember { path: shown() }),
            None => Err(BtfError::NoStruct {
                name: name.to_owned(),
            }),
        }
    }

    /// Number of parameters of the function `name`; absent when this kernel has no such function, or several
    /// that differ.
    pub fn parameters(&self, name: &str) -> Option<usize> {
        let mut found = None;
        for id in self.functions.iter().copied() {
            let Some(function) = self.ty(id).filter(|ty| self.named(ty.name, name)) else {
                continue;
            };
            let prototype = self
                .ty(function.payload)
                .filter(|ty| ty.kind == kind::FUNC_PROTO)?;
            if found.is_some_and(|before| before != prototype.entries) {
                return None;
            }
            found = Some(prototype.entries);
        }
        found
    }

    /// Number of the first function called `name`.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.functions
            .iter()
            .copied()
            .find(|id| self.ty(*id).is_some_and(|ty| self.named(ty.name, name)))
    }

    /// Whether there is a typedef called `name`. Looks at every type: ask seldom.
    pub fn has_typedef(&self, name: &str) -> bool {
        let types = self
            .starts
            .iter()
            .filter_map(|start| self.type_at(*start as usize));
        types
            .filter(|ty| ty.kind == kind::TYPEDEF)
            .any(|ty| self.named(ty.name, name))
    }

    fn walk(
        &self,
        ty: Type,
        path: &[&str],
        looks: &mut u32,
        shown: &impl Fn() -> String,
    ) -> Result<Option<Member>, BtfError> {
        let endless = || BtfError::Endless { path: shown() };
        let mut holder = ty;
        let mut at_bits = 0_u64;
        let mut last = None;
        for step in path {
            let Some(raw) = self
                .find(holder, step, DEPTH_MAX, looks)
                .map_err(|Endless| endless())?
            else {
                return Ok(None);
            };
            at_bits = at_bits.checked_add(raw.at_bits).ok_or_else(endless)?;
            let resolved = self.resolve(raw.type_id).ok_or_else(endless)?;
            holder = resolved;
            last = Some((raw, resolved));
        }
        let Some((raw, resolved)) = last else {
            return Ok(None);
        };
        let bytes = if raw.width_bits == 0 {
            self.size(resolved, DEPTH_MAX).ok_or_else(endless)?
        } else {
            raw.width_bits / 8
        };
        if !at_bits.is_multiple_of(8) || !raw.width_bits.is_multiple_of(8) {
            return Err(BtfError::BitField {
                path: shown(),
                at: at_bits,
                bits: raw.width_bits,
            });
        }
        let offset = u32::try_from(at_bits / 8).map_err(|_too_far| endless())?;
        Ok(Some(Member { offset, bytes }))
    }

    /// The member `name` of `holder`, directly or inside its anonymous members.
    fn find(&self, holder: Type, name: &str, depth: u8, looks: &mut u32) -> Result<Option<Raw>, Endless> {
        if !matches!(holder.kind, kind::STRUCT | kind::UNION) {
            return Ok(None);
        }
        let depth = depth.checked_sub(1).ok_or(Endless)?;
        for entry in 0..holder.entries {
            *looks = looks.checked_sub(1).ok_or(Endless)?;
            let at = holder.extra.saturating_add(12_usize.saturating_mul(entry));
            let field = |nth: usize| u32_at(&self.bytes, at.saturating_add(4 * nth)).ok_or(Endless);
            let (member_name, type_id, packed) = (field(0)?, field(1)?, field(2)?);
            let at_bits = u64::from(if holder.kind_flag {
                packed & 0x00ff_ffff
            } else {
                packed
            });
            if member_name != 0 && self.named(member_name, name) {
                let (more_bits, width_bits) = if holder.kind_flag {
                    (0, packed >> 24)
                } else {
                    self.int_bit_field(type_id)
                };
                return Ok(Some(Raw {
                    type_id,
                    at_bits: at_bits.saturating_add(more_bits),
                    width_bits,
                }));
            }
            if member_name == 0 {
                let Some(inner) = self.resolve(type_id) else {
                    continue;
                };
                if let Some(raw) = self.find(inner, name, depth, looks)? {
                    let at_bits = at_bits.checked_add(raw.at_bits).ok_or(Endless)?;
                    return Ok(Some(Raw { at_bits, ..raw }));
                }
            }
        }
        Ok(None)
    }

    /// In the encoding without `kind_flag` the bits of a bit field stand in the INT it refers to.
    fn int_bit_field(&self, type_id: u32) -> (u64, u32) {
        let Some(int) = self.resolve(type_id).filter(|ty| ty.kind == kind::INT) else {
            return (0, 0);
        };
        let Some(data) = u32_at(&self.bytes, int.extra) else {
            return (0, 0);
        };
        let (extra_bits, bits) = ((data >> 16) & 0xff, data & 0xff);
        let whole = extra_bits == 0 && u64::from(bits) == u64::from(int.payload) * 8;
        (u64::from(extra_bits), if whole { 0 } else { bits })
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, id: u32) -> Option<Type> {
        let mut ty = self.ty(id)?;
        for _step in 0..DEPTH_MAX {
            match ty.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    ty = self.ty(ty.payload)?;
                }
                _ => return Some(ty),
            }
        }
        None
    }

    /// Size in bytes of a type that [`Self::resolve`] returned.
    fn size(&self, ty: Type, depth: u8) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        match ty.kind {
            kind::INT | kind::STRUCT | kind::UNION | kind::ENUM | kind::ENUM64 | kind::FLOAT => {
                Some(ty.payload)
            }
            kind::PTR => u32::try_from(size_of::<usize>()).ok(),
            kind::ARRAY => {
                let element = self.resolve(u32_at(&self.bytes, ty.extra)?)?;
                let count = u32_at(&self.bytes, ty.extra.checked_add(8)?)?;
                self.size(element, depth)?.checked_mul(count)
            }
            _ => None,
        }
    }
}

/// A question used up its bound, or a type it needs does not exist.
struct Endless;
