//! From capture flags, before and after the command, to a [`Capture`].

use std::path::PathBuf;

use crate::cli::{
    args::{
        capture::{AtOnceArgs, CadenceArgs, LiveArgs, ProbeArgs},
        names::NamesArgs,
    },
    request::{Btf, Capture, Names, Whence},
};

impl LiveArgs {
    /// These, and `other` where they say nothing.
    pub(super) fn or(self, other: Self) -> Self {
        let interval = self.cadence.interval.or(other.cadence.interval);
        Self {
            at_once: self.at_once.or(other.at_once),
            cadence: CadenceArgs { interval },
        }
    }
}

impl AtOnceArgs {
    pub(super) fn or(mut self, other: Self) -> Self {
        self.probe = self.probe.or(other.probe);
        self.size.ring_size = self.size.ring_size.or(other.size.ring_size);
        self.size.max_sockets = self.size.max_sockets.or(other.size.max_sockets);
        self.rules.rules = self.rules.rules.or(other.rules.rules);
        self.save.record = self.save.record.or(other.save.record);
        self.names = self.names.or(other.names);
        self
    }
}

impl ProbeArgs {
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            probe: self.probe.or(other.probe),
            snapshot: self.snapshot.or(other.snapshot),
            btf: self.btf.or(other.btf),
        }
    }
}

impl From<AtOnceArgs> for Capture {
    fn from(args: AtOnceArgs) -> Self {
        let usual = Self::default();
        Self {
            probe: args.probe.probe.unwrap_or_default(),
            snapshot: args.probe.snapshot.unwrap_or_default(),
            btf: btf(args.probe.btf),
            ring_bytes: args.size.ring_size.unwrap_or(usual.ring_bytes),
            sockets_max: args.size.max_sockets,
            rules: args.rules.rules,
            record: args.save.record,
            names: args.names.into(),
            ..usual
        }
    }
}

impl From<LiveArgs> for Capture {
    fn from(args: LiveArgs) -> Self {
        let interval = args.cadence.interval.unwrap_or(Self::INTERVAL);
        Self {
            interval,
            ..Self::from(args.at_once)
        }
    }
}

impl From<NamesArgs> for Names {
    fn from(args: NamesArgs) -> Self {
        let usual = Self::default();
        Self {
            cri: whence(args.cri_socket),
            kubeconfig: whence(args.kubeconfig),
            cluster_pods: args.cluster_pods,
            host_root: args.host_root.unwrap_or(usual.host_root),
            node_name: args.node_name,
            conntrack: args.conntrack.unwrap_or_default(),
        }
    }
}

/// A file called `none` is `./none`.
fn whence(path: Option<PathBuf>) -> Whence {
    match path {
        None => Whence::Found,
        Some(path) if path.as_os_str() == "none" => Whence::None,
        Some(path) => Whence::File(path),
    }
}

/// A file called `none` is `./none`.
fn btf(path: Option<PathBuf>) -> Btf {
    match path {
        None => Btf::Kernel,
        Some(path) if path.as_os_str() == "none" => Btf::None,
        Some(path) => Btf::File(path),
    }
}
