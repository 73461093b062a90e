//! Marks of what a program has done, for its twin: the second program at the same hook, which does what the kernel did
//! not let the first do.
//!
//! The kernel skips a tracing program that is entered again on a CPU where it runs: an interrupt that comes meanwhile, or
//! where such programs may be preempted any task, is then not told of. Each program has a guard of its own, so a second
//! one, called right after the first for the same event, runs. The first leaves a mark; the second takes it away, and
//! where it finds none, the first was skipped.
//!
//! A mark stays when the second is the one that was skipped. It is in nobody's way: there are eight places, one more event
//! of the same object uses its place again, and after two seconds anybody does.

use core::ptr;

use aya_ebpf::{helpers::generated::bpf_jiffies64, macros::map, maps::PerCpuArray};

use crate::kernel::number;

/// Marks that share a cache line.
const PLACES: usize = 8;
/// Lines of marks, two to the power of this.
const LINES_BITS: u32 = 8;
const LINES: usize = 1 << LINES_BITS;

type Line = [u64; PLACES];

/// Per CPU: both programs run for an event without leaving the CPU.
#[map]
static MARKS: PerCpuArray<[Line; LINES]> = PerCpuArray::with_max_entries(1, 0);

/// From when on the place of a mark may be used again, in units of 256 ticks (a quarter to two and a half seconds).
const OLD: u64 = 2;

/// What a twin finds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// The first program ran.
    Ran,
    /// The first program was skipped.
    Skipped,
    /// There was no place for a mark.
    Unsure,
}

/// Sets apart events of one object; a change of state uses its two states, which are below 13 each.
pub(crate) mod event {
    pub(crate) const ACCEPT: u8 = 0xf0;
    pub(crate) const EXEC: u8 = 0xf1;
    pub(crate) const EXIT: u8 = 0xf2;
    pub(crate) const CGROUP_MADE: u8 = 0xf3;
    pub(crate) const CGROUP_REMOVED: u8 = 0xf4;

    /// The change from `old` to `new`.
    #[inline(always)]
    pub(crate) const fn change(old: i32, new: i32) -> u8 {
        (old as u8 & 15) << 4 | new as u8 & 15
    }
}

/// The first program is here for `event` of the kernel's `object`.
#[inline(always)]
pub(crate) fn ran(object: *const u8, event: u8) {
    let Some((line, mark)) = place_of(object, event) else {
        return;
    };
    for place in 0..PLACES {
        let found = read(line, place);
        if found == 0 || (found ^ mark) >> 16 == 0 || age(found, mark) >= OLD {
            return write(line, place, mark);
        }
    }
}

/// The twin is here for `event` of `object`: was the first?
#[inline(always)]
pub(crate) fn first(object: *const u8, event: u8) -> First {
    let Some((line, mark)) = place_of(object, event) else {
        return First::Unsure;
    };
    let mut room = false;
    for place in 0..PLACES {
        let found = read(line, place);
        if (found ^ mark) >> 8 == 0 {
            write(line, place, 0);
            return First::Ran;
        }
        // What was old to the first is older now.
        room |= found == 0 || age(found, mark) > OLD;
    }
    if room { First::Skipped } else { First::Unsure }
}

/// The line in which the mark is or will be, and the mark: 48 bits of the object, the event, the time.
#[inline(always)]
fn place_of(object: *const u8, event: u8) -> Option<(*mut Line, u64)> {
    let lines = MARKS.get_ptr_mut(0)?.cast::<Line>();
    let object = number(object);
    // Fibonacci hashing; objects are aligned to cache lines.
    let line = (object >> 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - LINES_BITS);
    // SAFETY: `line` is below LINES.
    let line = unsafe { lines.add(line as usize) };
    Some((line, object << 16 | u64::from(event) << 8 | now()))
}

#[inline(always)]
const fn age(mark: u64, now: u64) -> u64 {
    now.wrapping_sub(mark) & 0xff
}

/// A clock of 8 bits: cheap, and fine enough to tell now from long ago.
#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_jiffies64() >> 8 & 0xff }
}

#[inline(always)]
fn read(line: *mut Line, place: usize) -> u64 {
    // SAFETY: `place` is below PLACES. Volatile: an interrupt may write in between.
    unsafe { ptr::read_volatile(line.cast::<u64>().add(place)) }
}

#[inline(always)]
fn write(line: *mut Line, place: usize, mark: u64) {
    // SAFETY: as in `read`.
    unsafe { ptr::write_volatile(line.cast::<u64>().add(place), mark) }
}
