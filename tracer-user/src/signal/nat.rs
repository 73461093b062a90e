//! What the kernel's connection tracking tells of translated connections.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One translated TCP connection, as conntrack has it. Connections whose addresses stay as they are never told.
///
/// Source and destination of an entry are translated independently:
/// the client's socket has `original_source` -> `original_destination`;
/// the server's socket has `reply_destination` -> `reply_source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatFacts {
    /// When it was learnt, `CLOCK_BOOTTIME` nanoseconds.
    pub at_ns: u64,
    /// Network namespace inode whose table it is in; 0 when unknown.
    pub netns: u32,
    /// The entry is gone.
    pub gone: bool,
    /// What the client's socket calls itself.
    pub original_source: SocketAddr,
    /// What the client's socket dialled.
    pub original_destination: SocketAddr,
    /// What the server's socket calls itself: the backend.
    pub reply_source: SocketAddr,
    /// Whom the server's socket sees: the client, or what masquerades it.
    pub reply_destination: SocketAddr,
}
