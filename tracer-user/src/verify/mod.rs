//! Verdicts with the records that decide them: pass, fail, or inconclusive; never a pass on incomplete evidence.
//!
//! To add a check: a file here with its function, a row in [`run`].
#![forbid(unsafe_code)]

mod apiserver_etcd;
mod etcd_clients;
mod servers;
mod standing;
#[cfg(test)]
mod tests;
mod window;

use crate::{
    graph::Health,
    report::{ComponentRow, ConnectionRow, ListenerRow, Party},
};

pub use servers::ETCD_CLIENT_PORT;
pub use window::Window;

/// What can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Every kube-apiserver has live connections to an etcd.
    ApiserverEtcd,
    /// Nobody but kube-apiserver, etcd and those allowed reached an etcd here.
    EtcdClients,
}

impl Check {
    /// Name on the command line and in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiserverEtcd => "apiserver-etcd",
            Self::EtcdClients => "etcd-clients",
        }
    }
}

/// Outcome of a check. Ordered: the worse of two is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is as it should be, and the evidence is complete.
    Pass,
    /// Nothing to judge, or the evidence is incomplete.
    Inconclusive,
    /// It is not as it should be.
    Fail,
}

impl Verdict {
    /// Word for outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

/// One line of evidence: so many connections from somebody to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The end that connected.
    pub source: Party,
    /// The end that accepted.
    pub destination: Party,
    /// Connections.
    pub connections: u64,
    /// What it shows.
    pub note: String,
}

/// A check's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// The records that decide it.
    pub evidence: Vec<Evidence>,
}

/// All verdicts of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// In the order asked for.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst verdict; inconclusive when nothing was checked.
    pub fn verdict(&self) -> Verdict {
        self.findings
            .iter()
            .map(|finding| finding.verdict)
            .max()
            .unwrap_or(Verdict::Inconclusive)
    }
}

/// Everything a check looks at.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Who reached etcd.
    pub window: &'a Window,
    /// Recognised components.
    pub components: &'a [ComponentRow],
    /// What is alive at the end.
    pub connections: &'a [ConnectionRow],
    /// What listens at the end.
    pub listeners: &'a [ListenerRow],
    /// How far all of it can be trusted.
    pub health: &'a Health,
    /// Names of components, processes or addresses that may also reach etcd.
    pub allow: &'a [String],
}

/// Runs the checks.
pub fn run(checks: &[Check], scene: &Scene<'_>) -> Report {
    let findings = checks.iter().map(|check| {
        let mut finding = match check {
            Check::ApiserverEtcd => apiserver_etcd::check(scene),
            Check::EtcdClients => etcd_clients::check(scene),
        };
        // What a recording shows last is not how the run ended: nothing passes by it.
        if scene.health.cut_off && finding.verdict == Verdict::Pass {
            finding.verdict = Verdict::Inconclusive;
            finding
                .reason
                .push_str(", but the recording ends before the run did");
        }
        finding
    });
    Report {
        findings: findings.collect(),
    }
}

/// Why a negative cannot be concluded; empty when nothing at all was missed.
fn gaps(health: &Health) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut gap = |bad: bool, text: String| {
        if bad {
            gaps.push(text);
        }
    };
    gap(health.lost > 0, format!("{} records were lost", health.lost));
    gap(
        health.undecodable > 0,
        format!("{} records could not be decoded", health.undecodable),
    );
    gap(
        health.missed > 0,
        format!("{} openings were missed and found late", health.missed),
    );
    gap(
        health.ghosts > 0,
        format!("{} endings were missed", health.ghosts),
    );
    gap(
        health.overflow > 0,
        format!("{} connections did not fit the limits", health.overflow),
    );
    gap(health.cut_off, "the recording ends before the run did".to_owned());
    gap(
        health.snapshots == 0,
        "the scan of what was there at the start did not complete".to_owned(),
    );
    let (made, seen) = health.canaries;
    gap(
        made == 0,
        "no test connection proved that the programs see connections".to_owned(),
    );
    gap(
        made != seen,
        format!("of {made} test connections the programs saw {seen}"),
    );
    let programs = &health.programs;
    gap(
        programs.asked == 0,
        "nobody asked the kernel whether the programs stayed attached".to_owned(),
    );
    gap(
        programs.skipped > 0,
        format!("the kernel skipped {} runs of the programs", programs.skipped),
    );
    gap(
        !programs.detached.is_empty(),
        format!("programs were detached: {}", programs.detached.join(", ")),
    );
    gap(
        !programs.uncounted.is_empty(),
        format!(
            "this kernel does not count how often it skips: {}",
            programs.uncounted.join(", ")
        ),
    );
    gaps
}
