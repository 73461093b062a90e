//! Domain types: what happened to a socket or a process, free of wire formats and of aya.
#![forbid(unsafe_code)]

use std::{fmt, net::SocketAddr};

/// A decoded record. Times are `CLOCK_BOOTTIME` nanoseconds throughout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to a socket.
    Socket(SocketEvent),
    /// A process began a program or ended.
    Process(ProcessEvent),
    /// A cgroup directory came or went.
    Cgroup(CgroupEvent),
}

/// Names one socket for its whole life: the kernel reuses addresses, never together with the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId {
    /// Address of the kernel's socket; 0 from sources that cannot see it.
    pub address: u64,
    /// When the tracer first saw it; 0 when it never had.
    pub first_seen_ns: u64,
}

/// What happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Reached ESTABLISHED.
    Opened,
    /// Taken by `accept`.
    Accepted,
    /// `connect` ended without ESTABLISHED.
    Failed,
    /// Had been established and reached CLOSE.
    Closed,
    /// Entered LISTEN.
    Listening,
    /// Left LISTEN.
    Unlistened,
    /// Exists, seen by a snapshot.
    Seen,
}

/// How a socket came to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Not known.
    Unknown,
    /// It called `connect`.
    Active,
    /// It was born from a listening socket.
    Passive,
    /// It listens.
    Listener,
}

/// TCP states by RFC 9293, with the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// Data flows.
    Established = 1,
    /// SYN sent, no answer yet.
    SynSent = 2,
    /// SYN received, handshake open.
    SynReceived = 3,
    /// Closed here first, FIN not yet acknowledged.
    FinWait1 = 4,
    /// Closed here first, waiting for the peer's FIN.
    FinWait2 = 5,
    /// Both closed, waiting out old segments.
    TimeWait = 6,
    /// No connection.
    Closed = 7,
    /// The peer closed first.
    CloseWait = 8,
    /// The peer closed first, our FIN not yet acknowledged.
    LastAck = 9,
    /// Waiting for connections.
    Listen = 10,
    /// Both closed at once.
    Closing = 11,
}

impl TcpState {
    /// The state with the kernel's number `number`. `TCP_NEW_SYN_RECV` (12) is SYN-RECEIVED to everyone outside.
    pub const fn from_kernel(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }

    /// The OpenTelemetry value of `network.connection.state`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn_sent",
            Self::SynReceived => "syn_received",
            Self::FinWait1 => "fin_wait_1",
            Self::FinWait2 => "fin_wait_2",
            Self::TimeWait => "time_wait",
            Self::Closed => "closed",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
        }
    }
}

/// A task's name as the kernel keeps it: at most 15 bytes of anything. Hostile: escape before showing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// The bytes before the first NUL.
    pub fn bytes(&self) -> &[u8] {
        let Self(raw) = self;
        raw.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The name with bytes that are not UTF-8 replaced.
    pub fn to_text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_text(), f)
    }
}

/// The task behind a socket, as it was at the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Thread group id: what user space calls the pid.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// cgroup v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// Name of the thread, not of the process.
    pub comm: Comm,
}

/// The kernel's own counters of one socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payload put on the wire, each byte once.
    pub sent_bytes: u64,
    /// Payload received in order.
    pub received_bytes: u64,
    /// Smoothed round-trip time, microseconds.
    pub rtt_us: u32,
    /// Segments sent again.
    pub retransmits: u32,
}

/// Something happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketEvent {
    /// What.
    pub what: What,
    /// When.
    pub at_ns: u64,
    /// Which socket.
    pub id: SocketId,
    /// Whose, if it was known.
    pub owner: Option<Owner>,
    /// The owner is who closed the socket: who accepted it, unless the socket was passed on.
    pub owner_closed_it: bool,
    /// Network namespace inode; 0 when unknown.
    pub netns: u32,
    /// Own end; IPv4-mapped addresses are IPv4 here.
    pub local: SocketAddr,
    /// Other end; unspecified for a listening socket.
    pub remote: SocketAddr,
    /// How it came to its connection.
    pub role: Role,
    /// The socket is older than the tracer, or its opening was missed.
    pub found: bool,
    /// State before the event; for `Seen` the state now.
    pub state: TcpState,
    /// The socket itself is `AF_INET6`, whatever its addresses are.
    pub family_v6: bool,
    /// `sk_err`: a positive errno, 0 for none; absent when it could not be read.
    pub errno: Option<u32>,
    /// Absent when they could not be read.
    pub counters: Option<Counters>,
    /// File descriptor, for `Seen`.
    pub fd: u32,
    /// Index, in its namespace, of the device the socket is bound to; 0 for none.
    pub ifindex: u32,
    /// Address of the MPTCP socket of which this one is a subflow; 0 for none.
    pub mptcp: u64,
}

impl SocketEvent {
    /// When `owner` was seen to own the socket: which process a thread group id was is a matter of time, and the
    /// record of a socket's end may be later than its owner's.
    pub const fn owner_ns(&self) -> u64 {
        match self.what {
            What::Accepted | What::Listening | What::Seen => self.at_ns,
            What::Opened | What::Failed | What::Closed | What::Unlistened => {
                if self.id.first_seen_ns == 0 || self.owner_closed_it {
                    self.at_ns
                } else {
                    self.id.first_seen_ns
                }
            }
        }
    }
}

/// A process began a program or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEvent {
    /// True for the end.
    pub exit: bool,
    /// When.
    pub at_ns: u64,
    /// Thread group id.
    pub tgid: u32,
    /// Thread group id of the parent; 0 when unknown.
    pub parent_tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// When it was forked; 0 when unknown.
    pub start_ns: u64,
    /// cgroup v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// Name of the calling thread.
    pub comm: Comm,
    /// Path given to `execve`, perhaps relative, perhaps cut; empty for the end.
    pub filename: String,
    /// `argv[0]`, perhaps cut.
    pub arg0: String,
    /// Device and inode of the file that runs, of a script the interpreter's; absent for the end and where they could
    /// not be read.
    pub exe: Option<(u32, u64)>,
    /// Name of that file in its own directory, perhaps cut; empty for the end and where it could not be read.
    pub file_name: String,
}

/// A cgroup directory came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupEvent {
    /// True when it went.
    pub removed: bool,
    /// When.
    pub at_ns: u64,
    /// Inode of the directory: the cgroup id in the v2 hierarchy.
    pub id: u64,
    /// 0 for the v2 hierarchy.
    pub hierarchy: u32,
    /// Path below the hierarchy's root.
    pub path: String,
}

/// Why a connect failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    Timeout,
    /// The connection was torn down before it was established.
    Reset,
    /// No way to the host, its network or its protocol.
    Unreachable,
    /// A rule forbids it: a route, a firewall elsewhere, a security module, a cgroup's program.
    Prohibited,
    /// No local address or port for it: all ephemeral ports are taken, or the tuple is in use.
    AddressNotAvailable,
    /// The kernel takes no connection there: a blackhole route, a link-local address without its link.
    Invalid,
    /// The caller gave up before any answer.
    Abandoned,
    /// Any other errno.
    Other,
    /// The errno could not be read.
    Unknown,
}

impl Failure {
    /// Classifies the error of a connect, by Linux numbers. What the kernel makes of ICMP errors (`icmp_err_convert`,
    /// `icmpv6_err_convert`) is among them.
    pub const fn from_errno(errno: Option<u32>) -> Self {
        match errno {
            Some(0) => Self::Abandoned,
            // ECONNREFUSED.
            Some(111) => Self::Refused,
            // ETIMEDOUT.
            Some(110) => Self::Timeout,
            // ECONNRESET; ECONNABORTED is from an administrator or a program that destroys sockets.
            Some(104 | 103) => Self::Reset,
            // ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENETDOWN, ENONET, ENOPROTOOPT.
            Some(101 | 113 | 112 | 100 | 64 | 92) => Self::Unreachable,
            // EACCES, EPERM.
            Some(13 | 1) => Self::Prohibited,
            // EADDRNOTAVAIL; EADDRINUSE and EAGAIN are from the choice of a port, too.
            Some(99 | 98 | 11) => Self::AddressNotAvailable,
            // EINVAL.
            Some(22) => Self::Invalid,
            Some(_) => Self::Other,
            None => Self::Unknown,
        }
    }

    /// Word for outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::Prohibited => "prohibited",
            Self::AddressNotAvailable => "address_not_available",
            Self::Invalid => "invalid",
            Self::Abandoned => "abandoned",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}
