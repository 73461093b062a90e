//! Witnesses of a process of this machine: its cgroup, those who know its pod, its executable, arguments, name and ports.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc};

use super::testimony;
use crate::{
    attribute::{
        Claim, Quality, Who,
        cgroup::CgroupPlace,
        place::Pod,
        process::Process,
        rules::{Evidence, Rules},
    },
    inventory::Inventory,
    pipeline::attribution::title,
    report::{Outcome, Testimony},
};

/// Label keys that name what a pod runs, by custom of kubeadm and of the charts.
const NAMING_LABELS: [&str; 4] = [
    "component",
    "k8s-app",
    "app.kubernetes.io/component",
    "app.kubernetes.io/name",
];

/// Everything there is to ask.
pub(super) struct Scene<'a> {
    pub(super) named: &'a Arc<Claim>,
    pub(super) process: Option<&'a Process>,
    pub(super) cgroup: Option<&'a CgroupPlace>,
    pub(super) listening: &'a [SocketAddr],
    pub(super) inventory: &'a Inventory,
    pub(super) rules: &'a Rules,
}

/// What each says.
pub(super) fn witnesses(scene: &Scene<'_>) -> Vec<Testimony> {
    let mut said = Vec::new();
    by_cgroup(scene, &mut said);
    by_pod(scene, &mut said);
    by_process(scene, &mut said);
    by_ports(scene, &mut said);
    by_people(scene, &mut said);
    said
}

impl Scene<'_> {
    fn name(&self) -> &str {
        self.named.who.component().unwrap_or_default()
    }

    /// What becomes of a word about who it is.
    fn judge(&self, says: &str, quality: Quality) -> Outcome {
        let label = self.named.who.label();
        if self.named.quality == quality {
            Outcome::Decides
        } else if says.eq_ignore_ascii_case(&label) || says.eq_ignore_ascii_case(self.name()) {
            Outcome::Agrees
        } else if self.named.quality < quality {
            Outcome::Lost(format!("{} is trusted more", quality_name(self.named.quality)))
        } else {
            Outcome::Adds
        }
    }
}

const fn quality_name(quality: Quality) -> &'static str {
    match quality {
        Quality::Exe => "the executable",
        Quality::Exec => "the path given to execve, or the parent's program",
        Quality::Argv => "the command line",
        Quality::Comm => "the thread's name",
        Quality::Outdated => "what it was before records were lost",
        Quality::Listener => "the owner of the listening socket",
        Quality::Inventory => "the inventory",
        Quality::Port => "the port",
        Quality::Address => "the address",
    }
}

fn by_cgroup(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let path = scene.process.and_then(|process| process.cgroup.as_deref());
    let by = path.map_or_else(|| "cgroup id of the socket's owner".to_owned(), str::to_owned);
    let Some(cgroup) = scene.cgroup else {
        return;
    };
    if let Some(pod) = cgroup.pod() {
        let container = pod.container.as_ref();
        let within = container.map_or(String::new(), |container| {
            format!(", container {}", short(&container.id))
        });
        said.push(testimony(
            1,
            "cgroup",
            format!("pod with uid {}{within}", pod.uid),
            &by,
            Outcome::Adds,
        ));
    } else if let Some(container) = cgroup.container() {
        let says = format!("container {}", short(&container.id));
        said.push(testimony(1, "cgroup", says, &by, Outcome::Adds));
    }
    if let Some(unit) = &cgroup.unit {
        let stem = unit
            .rsplit('/')
            .next()
            .unwrap_or(unit)
            .split('.')
            .next()
            .unwrap_or(unit);
        let outcome = if !scene.name().is_empty() && stem == scene.name() {
            Outcome::Agrees
        } else {
            Outcome::Adds
        };
        said.push(testimony(2, "unit", unit, by, outcome));
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn by_pod(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let Some(pod) = &scene.named.place.pod else {
        return;
    };
    let Some(entry) = scene.inventory.pod(&pod.uid) else {
        let why = "no source of names knows this uid".to_owned();
        said.push(testimony(
            3,
            "inventory",
            "nothing",
            &*pod.uid,
            Outcome::Silent(why),
        ));
        return;
    };
    for source in entry.sources() {
        let workload = pod.workload.as_ref();
        let of = workload.map_or(String::new(), |workload| {
            format!(" of {} {}", workload.kind, workload.name)
        });
        let says = format!("pod {}{of}", title(pod));
        said.push(testimony(
            3,
            source,
            says,
            format!("uid {}", pod.uid),
            Outcome::Adds,
        ));
    }
    if let Some(container) = &scene.named.place.container
        && let (Some(name), Some(told)) = (&container.name, scene.inventory.container(&container.id))
    {
        let outcome = if *name == scene.name() {
            Outcome::Agrees
        } else {
            Outcome::Adds
        };
        for source in told.sources() {
            let by = format!("container {}", short(&container.id));
            said.push(testimony(
                4,
                source,
                format!("container {name}"),
                by,
                outcome.clone(),
            ));
        }
    }
    by_labels(scene, pod, said);
    by_manifest(scene, pod, said);
}

fn by_labels(scene: &Scene<'_>, pod: &Pod, said: &mut Vec<Testimony>) {
    for (key, value) in pod
        .labels
        .iter()
        .filter(|(key, _)| NAMING_LABELS.contains(&&**key))
    {
        let outcome = if **value == *scene.name() {
            Outcome::Agrees
        } else if matches!(scene.named.who, Who::Component { .. }) && scene.rules.knows(value) {
            Outcome::Lost("anybody who may create a pod may label it so".to_owned())
        } else {
            Outcome::Adds
        };
        let source = "pod label";
        said.push(testimony(
            5,
            source,
            &**value,
            format!("label {key} of {}", title(pod)),
            outcome,
        ));
    }
}

fn by_manifest(scene: &Scene<'_>, pod: &Pod, said: &mut Vec<Testimony>) {
    for ((namespace, name), manifest) in scene.inventory.static_pods() {
        // The API server knows it as NAME-NODE.
        let is_it = **namespace == *pod.namespace
            && pod
                .name
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        if !is_it {
            continue;
        }
        for (container, command) in &manifest.containers {
            let says = command.as_deref().unwrap_or(container);
            let outcome = if says == scene.name() || container == scene.name() {
                Outcome::Agrees
            } else {
                Outcome::Adds
            };
            let by = format!("container {container} in {}", manifest.path);
            said.push(testimony(4, "static pod manifest", says, by, outcome));
        }
    }
}

fn by_process(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let Some(process) = scene.process else {
        return;
    };
    let reference = &process.reference;
    let mut witness = |rank, source, evidence: &Evidence<'_>, by: String, quality| {
        let claim = scene.rules.identify(evidence);
        let says = claim
            .who
            .component()
            .map_or_else(|| claim.who.label().into_owned(), str::to_owned);
        let outcome = scene.judge(&says, quality);
        said.push(testimony(rank, source, says, by, outcome));
    };
    if let Some(exe) = reference.exe.as_deref() {
        let evidence = Evidence {
            exe: Some(exe),
            ..Evidence::default()
        };
        witness(6, "exe", &evidence, exe.to_owned(), Quality::Exe);
    }
    if let Some(arg0) = process.args.first() {
        let word = process
            .args
            .get(1)
            .map(String::as_str)
            .filter(|word| !word.contains('='));
        let evidence = Evidence {
            arg0: Some(arg0),
            word,
            ..Evidence::default()
        };
        witness(7, "argv", &evidence, arg0.clone(), Quality::Argv);
    }
    let evidence = Evidence {
        comm: &reference.comm,
        ..Evidence::default()
    };
    witness(8, "comm", &evidence, reference.comm.to_string(), Quality::Comm);
    if let Some(spoofed) = &scene.named.place.spoofed {
        let why = "a process may call itself anything".to_owned();
        said.push(testimony(8, "comm", "an alarm", &**spoofed, Outcome::Lost(why)));
    }
}

fn by_ports(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    let mut ports: Vec<u16> = scene.listening.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    for port in ports {
        if let Some(rule) = scene.rules.port(port) {
            let outcome = if rule.server == scene.name() {
                Outcome::Agrees
            } else if rule.unsure || scene.name().is_empty() {
                Outcome::Adds
            } else {
                Outcome::Lost("anybody may listen there".to_owned())
            };
            let by = format!("listens on {port}: {}", rule.purpose);
            said.push(testimony(9, "listening port", rule.server.as_str(), by, outcome));
        }
    }
}

fn by_people(scene: &Scene<'_>, said: &mut Vec<Testimony>) {
    if let Some(human) = &scene.named.place.human {
        let name = human.name.as_deref().unwrap_or("somebody");
        let by = match (&human.by, &human.session) {
            (Some(by), Some(session)) => format!("{by}, session {session}"),
            (Some(by), None) => by.clone(),
            (None, Some(session)) => format!("session {session}"),
            (None, None) => "login".to_owned(),
        };
        said.push(testimony(10, "login", name, by, Outcome::Adds));
    }
}
