//! The only way out: reserve, fill, submit, and count what could not be delivered.

use core::arch::asm;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    macros::map,
    maps::{PerCpuArray, RingBuf},
};
use tracer_common::{
    counters::Counters,
    maps::RING_BYTES,
    wire::{RecordHeader, WIRE_VERSION},
};

use crate::kernel::setting;

/// The loader sets the size.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// Adds one to a counter of this CPU. Atomic: a soft interrupt may run another program in between.
macro_rules! count {
    ($field:ident) => {
        $crate::emit::count_at(core::mem::offset_of!(tracer_common::counters::Counters, $field))
    };
}
pub(crate) use count;

#[inline(always)]
pub(crate) fn count_at(offset: usize) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        // SAFETY: the map holds one element for ever; `offset` is that of a field, and every field is a u64. Written as
        // the instruction itself, because core has no atomic add for this target.
        unsafe {
            asm!(
                "lock *(u64 *)({counter} + 0) += {one}",
                counter = in(reg) counters.byte_add(offset),
                one = in(reg) 1u64,
                options(nostack),
            );
        }
    }
}

/// The header of a record of type `T`.
#[inline(always)]
pub(crate) const fn header<T>(kind: u8, at_ns: u64) -> RecordHeader {
    RecordHeader {
        kind,
        version: WIRE_VERSION,
        len: size_of::<T>() as u16,
        pad: 0,
        at_ns,
    }
}

/// Delivers what `fill` writes; false when the ring has no room. `fill` must write every byte.
///
/// The consumer polls on a timer, so a record wakes it only when the ring fills past a threshold: a wake-up for
/// every record is what the peers pay most for.
#[inline(always)]
pub(crate) fn deliver<T: 'static>(fill: impl FnOnce(*mut T)) -> bool {
    let Some(mut entry) = RECORDS.reserve::<T>(0) else {
        return false;
    };
    fill(entry.as_mut_ptr());
    let unread = RECORDS.query(u64::from(BPF_RB_AVAIL_DATA));
    let threshold = u64::from(setting!(wake_bytes));
    // Only the record that crosses the threshold wakes: the consumer empties the ring once it runs.
    let crossing = unread.wrapping_sub(threshold) < (size_of::<T>() + 8) as u64;
    entry.submit(u64::from(if crossing {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    }));
    true
}
