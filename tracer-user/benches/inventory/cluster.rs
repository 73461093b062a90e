//! A cluster of a size and shape that exists: nodes, Deployments of all sizes, services, as the API server tells of them.

use std::net::{IpAddr, Ipv4Addr};

use tracer_user::signal::inventory::{
    Endpoint, EndpointsFacts, Fact, Inventory, NodeFacts, Origin, PodFacts, ServiceFacts, ServicePort,
    Workload,
};

pub(crate) const NODES: u32 = 5_000;
pub(crate) const PODS: u32 = 150_000;
pub(crate) const SERVICES: u32 = 5_000;
/// The API server makes another slice beyond so many endpoints.
pub(crate) const SLICE_MAX: usize = 100;
/// Unix nanoseconds of the run's first instant.
pub(crate) const EPOCH_NS: i64 = 1_790_000_000_000_000_000;

/// Pods of a Deployment, over and over: most are small, most pods are in large ones.
const SIZES: [u32; 16] = [3, 1, 10, 2, 30, 3, 5, 100, 2, 20, 3, 1, 50, 6, 150, 3];
const WORDS: [&str; 16] = [
    "checkout", "cart", "payment", "catalog", "search", "shipping", "frontend", "gateway", "billing",
    "ledger", "session", "profile", "pricing", "orders", "reports", "inbox",
];

/// A Deployment.
struct Template {
    namespace: String,
    name: String,
    hash: String,
    first: u32,
    size: u32,
}

/// All of it, by numbers; facts are made when they are told, as a source reads them from its stream.
pub(crate) struct Cluster {
    templates: Vec<Template>,
    /// The template of each pod.
    by_pod: Vec<u32>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let mut cluster = Self {
            templates: Vec::new(),
            by_pod: Vec::new(),
        };
        for (number, size) in (0_u32..).zip(SIZES.iter().cycle()) {
            let first = u32::try_from(cluster.by_pod.len()).unwrap_or(PODS);
            let size = (*size).min(PODS - first);
            if size == 0 {
                break;
            }
            let word = |shift: u32| {
                WORDS
                    .iter()
                    .cycle()
                    .nth((number >> shift & 15) as usize)
                    .copied()
                    .unwrap_or_default()
            };
            cluster.templates.push(Template {
                namespace: format!("team-{}", number % 200),
                name: format!("{}-{}-{number}", word(0), word(4)),
                hash: format!("{:010x}", mixed(u64::from(number)) >> 24),
                first,
                size,
            });
            cluster.by_pod.extend((0..size).map(|_| number));
        }
        cluster
    }

    pub(crate) fn node(number: u32) -> NodeFacts {
        let [_, a, b, c] = (number << 8).to_be_bytes();
        NodeFacts {
            name: node_name(number),
            addresses: vec![Ipv4Addr::new(172, a, b, c).into()],
            hostname: None,
            pod_cidrs: vec![format!("10.{a}.{b}.{c}/24")],
        }
    }

    /// A pod; `life` counts those that took the place of this one.
    pub(crate) fn pod(&self, number: u32, life: u32) -> Option<PodFacts> {
        let template = self.template(number)?;
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Some(PodFacts {
            uid: uid(number, life),
            namespace: template.namespace.clone(),
            name: pod_name(template, number, life),
            node: Some(node_name(place(number).0)),
            workload: Some(Workload {
                kind: "Deployment".into(),
                name: template.name.clone(),
            }),
            labels: vec![
                label("app.kubernetes.io/component", "server"),
                label("app.kubernetes.io/instance", &template.name),
                label("app.kubernetes.io/name", &template.name),
                label("app.kubernetes.io/version", "1.14.2"),
                label("pod-template-hash", &template.hash),
                label("team", &template.namespace),
            ],
            addresses: vec![address(number)],
            host_network: Some(false),
            ports: vec![8080],
            containers: vec![
                ("app".into(), Some(format!("{:064x}", mixed(u64::from(number))))),
                (
                    "proxy".into(),
                    Some(format!("{:064x}", mixed(u64::from(number) + 1))),
                ),
            ],
            started_unix_ns: Some(EPOCH_NS + i64::from(life) * 1_000_000_000),
            ..PodFacts::default()
        })
    }

    /// A service in front of one Deployment.
    pub(crate) fn service(&self, number: u32) -> Option<ServiceFacts> {
        let template = self.templates.get(number as usize)?;
        Some(ServiceFacts {
            namespace: template.namespace.clone(),
            name: template.name.clone(),
            kind: "ClusterIP".into(),
            cluster_ips: vec![service_address(number)],
            external_ips: Vec::new(),
            ports: vec![ServicePort {
                name: "http".into(),
                port: 80,
                node_port: 0,
            }],
        })
    }

    /// Its endpoint slices; `life` as of each pod.
    pub(crate) fn slices(&self, number: u32, life: impl Fn(u32) -> u32) -> Vec<EndpointsFacts> {
        let Some(template) = self.templates.get(number as usize) else {
            return Vec::new();
        };
        let all: Vec<u32> = (template.first..template.first + template.size).collect();
        let endpoint = |pod: &u32| Endpoint {
            addresses: vec![address(*pod)],
            ready: true,
            pod: Some((
                template.namespace.clone(),
                pod_name(template, *pod, life(*pod)),
                uid(*pod, life(*pod)),
            )),
            node: Some(node_name(place(*pod).0)),
        };
        let slice = |(index, pods): (usize, &[u32])| EndpointsFacts {
            namespace: template.namespace.clone(),
            name: format!("{}-{index:05}", template.name),
            service: template.name.clone(),
            ports: vec![("http".into(), 8080)],
            endpoints: pods.iter().map(endpoint).collect(),
        };
        all.chunks(SLICE_MAX).enumerate().map(slice).collect()
    }

    fn template(&self, pod: u32) -> Option<&Template> {
        let number = self.by_pod.get(pod as usize)?;
        self.templates.get(*number as usize)
    }
}

/// As the API server would tell it.
pub(crate) const fn told(at_ns: u64, fact: Fact) -> Inventory {
    Inventory {
        origin: Origin::Kube,
        at_ns,
        fact,
    }
}

pub(crate) fn node_name(number: u32) -> String {
    let [_, a, b, c] = (number << 8).to_be_bytes();
    format!("ip-172-{a}-{b}-{c}.eu-central-1.compute.internal")
}

/// Every node has as many.
pub(crate) const fn place(pod: u32) -> (u32, u32) {
    (pod.wrapping_mul(7_919) % NODES, pod / NODES)
}

pub(crate) fn address(pod: u32) -> IpAddr {
    let (node, slot) = place(pod);
    Ipv4Addr::from_bits(0x0a00_0000 + (node << 8) + slot + 2).into()
}

pub(crate) fn service_address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xacff_0000 + number).into()
}

pub(crate) fn uid(pod: u32, life: u32) -> String {
    let seed = u64::from(pod) << 20 | u64::from(life);
    let (high, low) = (mixed(seed), mixed(!seed));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

fn pod_name(template: &Template, pod: u32, life: u32) -> String {
    let suffix = mixed(u64::from(pod) << 20 | u64::from(life)) & 0xf_ffff;
    format!("{}-{}-{suffix:05x}", template.name, template.hash)
}

/// Scatters numbers (the finaliser of `SplitMix64`).
pub(crate) const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
