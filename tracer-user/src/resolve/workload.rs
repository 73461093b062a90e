//! What controls a pod, told from its name and labels alone: only what a label proves.
#![forbid(unsafe_code)]

use crate::signal::inventory::Workload;

/// Letters of generated suffixes and hashes, `k8s.io/apimachinery/pkg/util/rand`: no vowels, no 0, 1 and 3.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How long after its scheduled time a job's pod may be made: retries and late starts, seconds.
const LATE_MAX_S: i64 = 30 * 24 * 3600;
/// How much earlier, for clocks that differ, seconds.
const EARLY_MAX_S: i64 = 3600;

/// The controller of a pod. `created_unix_ns` tells a cron job's minute from any other number at the end of a job's name.
pub fn workload_of(
    name: &str,
    labels: &[(String, String)],
    created_unix_ns: Option<i64>,
) -> Option<Workload> {
    let label = |key: &str| {
        let (_, value) = labels.iter().find(|(label, _)| label == key)?;
        (!value.is_empty()).then_some(value.as_str())
    };
    if let Some(hash) = label("pod-template-hash") {
        return named(
            "Deployment",
            without_suffix(name)?.strip_suffix(hash)?.strip_suffix('-')?,
        );
    }
    if label("statefulset.kubernetes.io/pod-name") == Some(name) {
        return named("StatefulSet", without_ordinal(name)?);
    }
    if let Some(job) = label("batch.kubernetes.io/job-name").or_else(|| label("job-name")) {
        name.strip_prefix(job)?.strip_prefix('-')?;
        return cron_job(job, created_unix_ns)
            .map_or_else(|| named("Job", job), |cron| named("CronJob", cron));
    }
    let revision = label("controller-revision-hash")?;
    // A stateful set's revision begins with its name, a daemon set's is the bare hash.
    if let Some(set) = without_ordinal(name)
        && revision
            .strip_prefix(set)
            .is_some_and(|hash| hash.starts_with('-'))
    {
        return named("StatefulSet", set);
    }
    is_hash(revision)
        .then(|| without_suffix(name))?
        .and_then(|set| named("DaemonSet", set))
}

fn named(kind: &str, name: &str) -> Option<Workload> {
    (!name.is_empty()).then(|| Workload {
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}

/// Without the five letters that make a pod's name unique.
fn without_suffix(name: &str) -> Option<&str> {
    let (rest, suffix) = name.rsplit_once('-')?;
    (suffix.len() == 5 && suffix.bytes().all(|letter| SAFE.contains(&letter))).then_some(rest)
}

fn without_ordinal(name: &str) -> Option<&str> {
    let (rest, ordinal) = name.rsplit_once('-')?;
    (!ordinal.is_empty() && ordinal.bytes().all(|digit| digit.is_ascii_digit())).then_some(rest)
}

fn is_hash(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|letter| SAFE.contains(&letter))
}

/// A cron job's job ends in the minute it was scheduled for, counted from 1970.
fn cron_job(job: &str, created_unix_ns: Option<i64>) -> Option<&str> {
    let (cron, minutes) = job.rsplit_once('-')?;
    let scheduled_s = minutes.parse::<i64>().ok()?.checked_mul(60)?;
    let late_s = (created_unix_ns? / 1_000_000_000).checked_sub(scheduled_s)?;
    (-EARLY_MAX_S..=LATE_MAX_S).contains(&late_s).then_some(cron)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why, the pod's name, labels, and its controller.
    type Case = (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
        Option<&'static str>,
    );

    const TABLE: &[Case] = &[
        (
            "a deployment",
            "web-c796d44f6-xvkbf",
            &[("pod-template-hash", "c796d44f6")],
            Some("Deployment web"),
        ),
        (
            "its own hash in its name",
            "web-c796d44f6-c796d44f6-xvkbf",
            &[("pod-template-hash", "c796d44f6")],
            Some("Deployment web-c796d44f6"),
        ),
        (
            "no label, no proof",
            "web-c796d44f6-xvkbf",
            &[("app", "web")],
            None,
        ),
        (
            "a hash of another",
            "web-c796d44f6-xvkbf",
            &[("pod-template-hash", "59fbd48878")],
            None,
        ),
        (
            "nothing but a hash",
            "c796d44f6-xvkbf",
            &[("pod-template-hash", "c796d44f6")],
            None,
        ),
        ("an empty hash", "web--xvkbf", &[("pod-template-hash", "")], None),
        (
            "a suffix no generator makes",
            "web-c796d44f6-aeiou",
            &[("pod-template-hash", "c796d44f6")],
            None,
        ),
        (
            "a stateful set",
            "db-0",
            &[
                ("statefulset.kubernetes.io/pod-name", "db-0"),
                ("controller-revision-hash", "db-6b8c7d"),
            ],
            Some("StatefulSet db"),
        ),
        (
            "a stateful set by revision",
            "db-12",
            &[("controller-revision-hash", "db-6b8c7d")],
            Some("StatefulSet db"),
        ),
        (
            "a label of another pod",
            "db-0",
            &[("statefulset.kubernetes.io/pod-name", "db-1")],
            None,
        ),
        (
            "a daemon set",
            "kube-proxy-x7k2p",
            &[
                ("controller-revision-hash", "68b7d8bf6d"),
                ("pod-template-generation", "1"),
            ],
            Some("DaemonSet kube-proxy"),
        ),
        (
            "a revision that is no hash",
            "kube-proxy-x7k2p",
            &[("controller-revision-hash", "other-68b7d8bf6d")],
            None,
        ),
        (
            "a job",
            "import-9xk2p",
            &[("job-name", "import")],
            Some("Job import"),
        ),
        (
            "a cron job",
            "backup-29919966-9xk2p",
            &[("batch.kubernetes.io/job-name", "backup-29919966")],
            Some("CronJob backup"),
        ),
        (
            "a job named after a date",
            "backup-20261120-9xk2p",
            &[("job-name", "backup-20261120")],
            Some("Job backup-20261120"),
        ),
        (
            "a job of another",
            "import-9xk2p",
            &[("job-name", "export")],
            None,
        ),
        (
            "an indexed job",
            "import-3-9xk2p",
            &[("job-name", "import")],
            Some("Job import"),
        ),
    ];

    #[test]
    fn only_what_a_label_proves_is_cut_from_a_name() {
        // 2026-11-20T18:06:00Z is minute 29919966.
        let created = Some(1_795_197_963_989_246_390);
        for (why, name, labels, wanted) in TABLE {
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            let found = workload_of(name, &labels, created)
                .map(|workload| format!("{} {}", workload.kind, workload.name));
            assert_eq!(found.as_deref(), *wanted, "{why}");
        }
    }

    #[test]
    fn a_job_of_unknown_age_is_not_called_a_cron_job() {
        let labels = [("job-name".to_owned(), "backup-29919966".to_owned())];
        let found = workload_of("backup-29919966-9xk2p", &labels, None).unwrap();
        assert_eq!(
            (found.kind.as_str(), found.name.as_str()),
            ("Job", "backup-29919966")
        );
    }
}
