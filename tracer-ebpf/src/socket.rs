//! What a program can tell of a socket: the seam between what happened and where it is read.

/// A TCP socket that a program was called for.
pub(crate) trait Socket {
    /// Where the socket is in kernel memory: its name.
    fn address(&self) -> u64;

    /// `AF_INET` or `AF_INET6`.
    fn family(&self) -> u16;

    /// Inode of the network namespace; 0 when unknown.
    fn netns(&self) -> u32;

    /// Host byte order.
    fn local_port(&self) -> u16;

    /// Host byte order.
    fn remote_port(&self) -> u16;

    /// Local and remote address as two halves each, IPv4 as `::ffff:a.b.c.d`; network byte order in memory.
    fn addresses(&self, family: u16) -> ([u64; 2], [u64; 2]);

    // What follows is not known of every socket; where it is not, it is none.

    /// Index of the device the socket is bound to; 0 for none.
    #[inline(always)]
    fn ifindex(&self) -> u32 {
        0
    }

    /// Address of the MPTCP socket of which it is a subflow; 0 for none.
    #[inline(always)]
    fn mptcp(&self) -> u64 {
        0
    }

    /// Of a subflow that joined later, the address of the connection's first; 0 for that one and for plain TCP.
    #[inline(always)]
    fn first_subflow(&self) -> u64 {
        0
    }

    /// No segment was ever sent; false where that cannot be told.
    #[inline(always)]
    fn sent_nothing(&self) -> bool {
        false
    }

    /// Whether `error` means something.
    #[inline(always)]
    fn has_error(&self) -> bool {
        false
    }

    /// `sk_err`, a positive errno; of a connect that failed without one, `sk_err_soft`. 0 where it cannot be read.
    #[inline(always)]
    fn error(&self, _failed: bool) -> u32 {
        0
    }

    /// Whether `counters` means something.
    #[inline(always)]
    fn is_counted(&self) -> bool {
        false
    }

    /// The kernel's own counters.
    #[inline(always)]
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// The kernel's own counters of one socket, as a record holds them.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) rtt_us: u32,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) retransmits: u32,
}
