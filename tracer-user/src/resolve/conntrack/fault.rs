//! What does not work, why, and what to do about it; told once.
#![forbid(unsafe_code)]

use std::io;

use super::socket::ConntrackError;
use crate::{
    resolve::{Over, Teller},
    signal::Degraded,
};

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const EPROTONOSUPPORT: i32 = 93;
const EAFNOSUPPORT: i32 = 97;

const SERVICES: &str = "connections to services are not followed to their backends";
const PODS: &str = "translations inside pods (sidecars) are not followed";

/// Something that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(Degraded);

impl Fault {
    fn new(what: &str, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self(Degraded {
            what: what.to_owned(),
            why: why.into(),
            remedy: remedy.into(),
        })
    }

    /// /proc cannot be read.
    pub(super) fn no_proc(error: &io::Error) -> Self {
        Self::new(SERVICES, format!("/proc cannot be read: {error}"), "mount /proc")
    }

    /// The host's own namespace cannot be entered.
    pub(super) fn no_way_home(error: &io::Error) -> Self {
        let why = format!("the host's network namespace cannot be entered: {error}");
        Self::new(
            SERVICES,
            why,
            "run with CAP_SYS_ADMIN, and let seccomp allow setns",
        )
    }

    /// A namespace cannot be entered.
    pub(super) fn no_entry(error: &io::Error) -> Self {
        let why = format!("another network namespace cannot be entered: {error}");
        Self::new(PODS, why, "run with CAP_SYS_ADMIN, and let seccomp allow setns")
    }

    /// The kernel does not let conntrack be read.
    pub(super) fn refused(error: &ConntrackError) -> Self {
        let remedy = match error.errno() {
            Some(EPERM | EACCES) => "run with CAP_NET_ADMIN, and let seccomp allow netlink sockets",
            Some(EINVAL | EPROTONOSUPPORT | EAFNOSUPPORT) => "modprobe nf_conntrack_netlink",
            Some(_) | None => "none needed if it passes: it is tried again every 10 s",
        };
        Self::new(SERVICES, format!("conntrack cannot be read: {error}"), remedy)
    }

    /// The kernel tells no news.
    pub(super) fn no_news() -> Self {
        Self::new(
            "connections to services are followed to their backends up to 2 s late",
            "net.netfilter.nf_conntrack_events is 0: the table is read again and again",
            "sysctl -w net.netfilter.nf_conntrack_events=2",
        )
    }

    /// Tables that hold nothing are not all watched.
    pub(super) fn late() -> Self {
        Self::new(
            "translations inside some pods (sidecars) are followed up to 10 s late",
            "there are more network namespaces than may be watched while their tables are empty",
            "raise the limit of open files (ulimit -n), up to 256 namespaces are watched",
        )
    }

    /// More tables than are watched.
    pub(super) fn too_many(max: usize) -> Self {
        let why = format!("more than {max} network namespaces translate connections");
        Self::new(
            PODS,
            why,
            "none: the others are followed as far as the host's table goes",
        )
    }
}

/// What was last said of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing yet.
    #[default]
    Unsaid,
    /// It works.
    Works,
    /// It does not.
    Fails(Fault),
}

impl Health {
    /// Says that it works, or does not, unless that is what was said last.
    pub(super) fn tell(&mut self, teller: &Teller, fault: Option<&Fault>) -> Result<(), Over> {
        let now = fault.cloned().map_or(Self::Works, Self::Fails);
        if *self == now {
            return Ok(());
        }
        *self = now;
        match fault {
            Some(Fault(degraded)) => teller.fails(degraded.clone()),
            None => teller.works(),
        }
    }

    /// The same of a part that nobody asked for: that it works is no news unless it did not.
    pub(super) fn tell_fault(&mut self, teller: &Teller, fault: Option<&Fault>) -> Result<(), Over> {
        if *self == Self::Unsaid && fault.is_none() {
            return Ok(());
        }
        self.tell(teller, fault)
    }
}
