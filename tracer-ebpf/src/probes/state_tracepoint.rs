//! State changes from the classic tracepoint, for kernels without type information: its record is a stable format.
//!
//! The record has no namespace, error or counters:
//! <https://github.com/torvalds/linux/blob/v6.12/include/trace/events/sock.h#L139>. The loader reads where its
//! fields are from tracefs.

use aya_ebpf::{EbpfContext, macros::tracepoint, programs::TracePointContext};

use super::state::{handle, matters};
use crate::{
    kernel::{is_tcp, probe, setting},
    socket::Socket,
};

#[tracepoint(category = "sock", name = "inet_sock_set_state")]
fn state_tracepoint(ctx: TracePointContext) -> u32 {
    let record = Record {
        base: ctx.as_ptr().cast_const().cast(),
    };
    let old: i32 = probe(record.base, setting!(trace_oldstate));
    let new: i32 = probe(record.base, setting!(trace_newstate));
    // SCTP and MPTCP share the tracepoint.
    if matters(old, new)
        && is_tcp(
            record.base,
            setting!(trace_protocol),
            setting!(trace_protocol_bytes),
        )
    {
        handle(&record, old, new);
    }
    0
}

/// What the tracepoint tells of a socket. Read by helper: the verifier refuses loads through a context pointer that
/// something was added to, and the offsets are not known to the compiler.
struct Record {
    base: *const u8,
}

impl Socket for Record {
    #[inline(always)]
    fn address(&self) -> u64 {
        probe(self.base, setting!(trace_skaddr))
    }

    #[inline(always)]
    fn family(&self) -> u16 {
        probe(self.base, setting!(trace_family))
    }

    #[inline(always)]
    fn netns(&self) -> u32 {
        0
    }

    /// `inet_sport`, which is still there when the socket closes.
    #[inline(always)]
    fn local_port(&self) -> u16 {
        probe(self.base, setting!(trace_sport))
    }

    #[inline(always)]
    fn remote_port(&self) -> u16 {
        probe(self.base, setting!(trace_dport))
    }

    /// The fields for IPv6 are filled for IPv4 too, mapped.
    #[inline(always)]
    fn addresses(&self, _family: u16) -> ([u64; 2], [u64; 2]) {
        (
            probe(self.base, setting!(trace_saddr_v6)),
            probe(self.base, setting!(trace_daddr_v6)),
        )
    }
}
