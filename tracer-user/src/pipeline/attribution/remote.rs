//! The name of an address whose socket is not here: by the inventory, else the address with a guess from the port.
#![forbid(unsafe_code)]

use std::{net::IpAddr, sync::Arc};

use crate::{
    attribute::{
        Claim, Quality, Who,
        place::{Place, Pod},
        remote::Remotes,
        rules::Rules,
    },
    inventory::{Backend, Inventory},
};

/// The component that the service `default/kubernetes` leads to. Its endpoints are addresses of nodes, without pods.
const APISERVER: &str = "kube-apiserver";
const APISERVER_SERVICE: &str = "default/kubernetes";

/// An address to name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) address: IpAddr,
    /// Of the end that accepted.
    pub(super) port: Option<u16>,
    /// The pod that had it, if that is settled.
    pub(super) uid: Option<&'a str>,
    /// First and last time it was met.
    pub(super) between_ns: (u64, u64),
    /// From the host's network namespace.
    pub(super) on_host: bool,
}

/// Who is there.
pub(super) fn claim(
    asked: &Asked<'_>,
    inventory: &Inventory,
    remotes: &mut Remotes,
    rules: &Rules,
) -> Arc<Claim> {
    let plain = remotes.claim(asked.address, asked.port);
    if asked.address.is_loopback() {
        return by_loopback(asked, inventory, rules, plain);
    }
    let found = by_pod(asked, inventory)
        .or_else(|| by_service(asked, inventory))
        .or_else(|| by_files(asked, inventory))
        .or_else(|| by_node(asked, inventory, rules))
        .or_else(|| by_network(asked, inventory, &plain));
    found.map_or(plain, Arc::new)
}

/// Nobody is there, or nobody that was seen: who should be, by the manifests of this node and by custom.
fn by_loopback(asked: &Asked<'_>, inventory: &Inventory, rules: &Rules, plain: Arc<Claim>) -> Arc<Claim> {
    let Some(port) = asked.port else {
        return plain;
    };
    let custom = rules.port(port).filter(|rule| !rule.unsure);
    let usual = custom.map(|rule| format!("port {port} is usually {}: {}", rule.server, rule.purpose));
    let manifest = inventory.manifest_for(port).filter(|_| asked.on_host);
    let (guess, by) = match (manifest, usual) {
        (Some((server, path)), usual) => {
            let says = format!("{path} has {server} listen on {port} here");
            let by = usual.map_or_else(|| says.clone(), |usual| format!("{says}; {usual}"));
            (server.to_owned(), by)
        }
        (None, Some(usual)) => (custom.map_or_else(String::new, |rule| rule.server.clone()), usual),
        (None, None) => return plain,
    };
    let reason = format!("the socket behind {}:{port} was not seen", asked.address);
    Arc::new(Claim {
        who: Who::Unknown {
            reason,
            guess: Some(guess),
        },
        quality: Quality::Port,
        by,
        place: Place::default(),
    })
}

/// The pod that has the address of a socket which is here, though nobody was seen to own it.
pub(super) fn ownerless(asked: &Asked<'_>, inventory: &Inventory) -> Option<Claim> {
    let found = by_pod(asked, inventory).filter(|_| !asked.address.is_loopback())?;
    Some(Claim {
        by: format!("{}; nobody was seen to own its socket", found.by),
        ..found
    })
}

fn by_pod(asked: &Asked<'_>, inventory: &Inventory) -> Option<Claim> {
    if let Some(entry) = asked.uid.and_then(|uid| inventory.pod(uid)) {
        return Some(of_pod(asked, &entry.pod, inventory));
    }
    let (first_ns, last_ns) = asked.between_ns;
    let first = inventory.at(asked.address, first_ns)?;
    let last = inventory.at(asked.address, last_ns);
    if let Some(last) = last.filter(|last| last.pod.uid != first.pod.uid) {
        return Some(Claim {
            who: Who::Unknown {
                reason: format!(
                    "{} was of {} and then of {}",
                    asked.address,
                    title(&first.pod),
                    title(&last.pod)
                ),
                guess: None,
            },
            quality: Quality::Address,
            by: format!("address {}", asked.address),
            place: Place::default(),
        });
    }
    Some(of_pod(asked, &first.pod, inventory))
}

fn of_pod(asked: &Asked<'_>, pod: &Arc<Pod>, inventory: &Inventory) -> Claim {
    let told = inventory
        .pod(&pod.uid)
        .map_or("an endpoint slice".to_owned(), |entry| entry.sources().join(", "));
    Claim {
        who: Who::Pod(Arc::clone(pod)),
        quality: Quality::Inventory,
        by: format!("address {} is of pod {}, says {told}", asked.address, title(pod)),
        place: Place {
            pod: Some(Arc::clone(pod)),
            node: pod.node.clone(),
            services: inventory.services_of(&[asked.address]).into(),
            ..Place::default()
        },
    }
}

/// A service address that was not translated, or whose translation nobody saw.
fn by_service(asked: &Asked<'_>, inventory: &Inventory) -> Option<Claim> {
    let port = asked.port?;
    let service = inventory.service_at(asked.address, port)?;
    let backends = inventory.backends(service, port);
    let by = format!(
        "{}:{port} is service {}, and its translation was not seen",
        asked.address, service.title
    );
    let place = Place {
        services: Arc::from([Arc::clone(&service.title)]),
        ..Place::default()
    };
    // One server is certain; of several it may have been any.
    if let [only] = backends.as_slice()
        && let Some(tenant) = inventory.at(only.address.ip(), asked.between_ns.1)
    {
        return Some(Claim {
            by: format!("{by}; it has one server, {}", only.address),
            ..of_pod(asked, &tenant.pod, inventory)
        });
    }
    if *service.title == *APISERVER_SERVICE && backends.len() == 1 {
        return Some(apiserver(by, place));
    }
    let mut candidates: Vec<String> = backends.iter().map(candidate).collect();
    candidates.dedup();
    Some(Claim {
        who: Who::Service {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            candidates,
        },
        quality: Quality::Inventory,
        by,
        place,
    })
}

fn candidate(backend: &Backend) -> String {
    match &backend.pod {
        Some((namespace, name)) => format!("{namespace}/{name}"),
        None => backend.address.to_string(),
    }
}

fn apiserver(by: String, place: Place) -> Claim {
    Claim {
        who: Who::Component {
            name: APISERVER.to_owned(),
            role: None,
        },
        quality: Quality::Inventory,
        by,
        place,
    }
}

/// What the kubelet and its neighbours are configured to dial.
fn by_files(asked: &Asked<'_>, inventory: &Inventory) -> Option<Claim> {
    let port = asked.port?;
    let path = inventory.api_server_at(asked.address, port)?;
    let place = Place {
        node: inventory.node_at(asked.address, asked.between_ns.1).cloned(),
        ..Place::default()
    };
    let by = format!("{}:{port} is the API server, says {path}", asked.address);
    Some(apiserver(by, place))
}

/// All pods in a node's host network have its address: only the port can tell more.
fn by_node(asked: &Asked<'_>, inventory: &Inventory, rules: &Rules) -> Option<Claim> {
    let (first_ns, last_ns) = asked.between_ns;
    let node = inventory
        .node_at(asked.address, last_ns)
        .or_else(|| inventory.node_at(asked.address, first_ns))?;
    let place = Place {
        node: Some(Arc::clone(node)),
        ..Place::default()
    };
    let by = if inventory.is_own(asked.address) {
        format!(
            "address {} is of an interface of this node, {node}",
            asked.address
        )
    } else {
        format!("address {} is of node {node}", asked.address)
    };
    let Some(port) = asked.port else {
        return Some(Claim {
            who: Who::Node {
                name: node.to_string(),
                guess: None,
            },
            quality: Quality::Inventory,
            by: format!("{by}; it may stand for a pod whose connections are masqueraded"),
            place,
        });
    };
    let services = inventory.endpoint_of(asked.address, port);
    if services.iter().any(|service| **service == *APISERVER_SERVICE) {
        let place = Place {
            services: services.into(),
            ..place
        };
        let by = format!(
            "{by}, and {}:{port} is an endpoint of {APISERVER_SERVICE}",
            asked.address
        );
        return Some(apiserver(by, place));
    }
    if let [only] = inventory.host_pods(node, port).as_slice() {
        let pod = Arc::clone(&only.pod);
        return Some(Claim {
            who: Who::Pod(Arc::clone(&pod)),
            quality: Quality::Inventory,
            by: format!(
                "{by}, and of the pods in its host network {} has port {port}",
                title(&pod)
            ),
            place: Place {
                pod: Some(pod),
                services: services.into(),
                ..place
            },
        });
    }
    let guess = rules.port(port).filter(|rule| !rule.unsure);
    Some(Claim {
        who: Who::Node {
            name: node.to_string(),
            guess: guess.map(|rule| rule.server.clone()),
        },
        quality: if guess.is_some() {
            Quality::Port
        } else {
            Quality::Inventory
        },
        by: guess.map_or_else(
            || by.clone(),
            |rule| format!("{by}; port {port} is usually {}: {}", rule.server, rule.purpose),
        ),
        place,
    })
}

/// An address of a node's pods, though no pod is known to have it.
fn by_network(asked: &Asked<'_>, inventory: &Inventory, plain: &Claim) -> Option<Claim> {
    let node = inventory.node_of_pods(asked.address)?;
    Some(Claim {
        by: format!("{}, which is of the pod network of node {node}", plain.by),
        place: Place {
            node: Some(Arc::clone(node)),
            ..Place::default()
        },
        ..plain.clone()
    })
}

/// `namespace/name`, or the uid.
pub(in crate::pipeline) fn title(pod: &Pod) -> String {
    if pod.is_named() {
        format!("{}/{}", pod.namespace, pod.name)
    } else {
        format!("with uid {}", pod.uid)
    }
}
