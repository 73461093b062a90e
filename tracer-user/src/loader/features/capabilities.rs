//! The capabilities that matter to a tracer, from `/proc/self/status`.
#![forbid(unsafe_code)]

/// One capability; the value is its bit (`include/uapi/linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Reading what other users own.
    DacReadSearch = 2,
    /// Reading /proc of other users' processes.
    SysPtrace = 19,
    /// Everything that has no capability of its own; entering network namespaces.
    SysAdmin = 21,
    /// Raising limits.
    SysResource = 24,
    /// Reading kernel memory in programs; since 5.8, before part of `CAP_SYS_ADMIN`.
    Perfmon = 38,
    /// Loading programs; since 5.8, before part of `CAP_SYS_ADMIN`.
    Bpf = 39,
}

impl Capability {
    /// All of them, in the order in which `doctor` shows them.
    pub const ALL: [Self; 6] = [
        Self::Bpf,
        Self::Perfmon,
        Self::SysAdmin,
        Self::SysPtrace,
        Self::SysResource,
        Self::DacReadSearch,
    ];

    /// The name everybody uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SysResource => "CAP_SYS_RESOURCE",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

/// A set of capabilities, as the kernel prints it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// The effective ones in the text of `/proc/self/status`; none when it does not say.
    pub fn from_status(status: &str) -> Self {
        let bits = super::field(status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        Self(bits.unwrap_or_default())
    }

    /// Whether `capability` is in it.
    pub const fn has(self, capability: Capability) -> bool {
        let Self(bits) = self;
        bits >> capability as u8 & 1 == 1
    }

    /// What is missing for loading tracing programs; empty when nothing is.
    pub fn missing_for_bpf(self) -> Vec<&'static str> {
        if self.has(Capability::SysAdmin) {
            return Vec::new();
        }
        let needed = [Capability::Bpf, Capability::Perfmon];
        needed
            .into_iter()
            .filter(|capability| !self.has(*capability))
            .map(Capability::name)
            .collect()
    }
}
