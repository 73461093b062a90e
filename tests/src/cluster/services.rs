//! Services, and the rules that kube-proxy writes for them in its iptables mode.

use anyhow::Result;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A service and where it is reached.
#[derive(Clone, Debug)]
pub struct Service {
    /// Namespace.
    pub namespace: &'static str,
    /// Name.
    pub name: &'static str,
    /// Name of its port; empty where it has but one.
    pub port_name: &'static str,
    /// Its cluster address and port.
    pub cluster: SocketAddr,
    /// Port on every address of the node.
    pub node_port: Option<u16>,
    /// What its endpoints listen on.
    pub target_port: u16,
    /// The pods behind it, as the tests call them.
    pub pods: &'static [&'static str],
    /// The label that chooses them; none has the API server's own service.
    pub selector: Option<(&'static str, &'static str)>,
}

const fn address(last: [u8; 2], port: u16) -> SocketAddr {
    let [third, fourth] = last;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, third, fourth)), port)
}

/// The web application's cluster address.
pub const WEB: SocketAddr = address([100, 100], 80);
/// The API server's cluster address.
pub const API: SocketAddr = address([0, 1], 443);
/// The web application's port on the node.
pub const WEB_NODE_PORT: u16 = 30080;

/// All services.
pub const SERVICES: &[Service] = &[
    Service {
        namespace: "default",
        name: "kubernetes",
        port_name: "https",
        cluster: API,
        node_port: None,
        target_port: 6443,
        pods: &["kube-apiserver"],
        selector: None,
    },
    Service {
        namespace: "kube-system",
        name: "kube-dns",
        port_name: "dns-tcp",
        cluster: address([0, 10], 53),
        node_port: None,
        target_port: 53,
        pods: &["coredns"],
        selector: Some(("k8s-app", "kube-dns")),
    },
    Service {
        namespace: "default",
        name: "web",
        port_name: "",
        cluster: WEB,
        node_port: Some(WEB_NODE_PORT),
        target_port: 8080,
        pods: &["web-0", "web-1"],
        selector: Some(("app", "web")),
    },
];

/// What does not depend on services. The last rule is the bridge plugin's: pods reach the outside as the node.
const FRAME: &str = r#"*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
"#;

/// The rules for services and their endpoints, as `iptables-restore` reads them.
pub(super) fn rules(services: &[(&Service, Vec<SocketAddr>)]) -> Result<String> {
    let mut rules = FRAME.to_owned();
    for (number, (service, endpoints)) in services.iter().enumerate() {
        of_service(&mut rules, number, service, endpoints)?;
    }
    rules.push_str(
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" -j KUBE-NODEPORTS\nCOMMIT\n",
    );
    Ok(rules)
}

/// Chains have names of 16 characters after their kind, as kube-proxy's hashes have.
fn of_service(rules: &mut String, number: usize, service: &Service, endpoints: &[SocketAddr]) -> fmt::Result {
    let Service { namespace, name, .. } = service;
    let (address, port) = (service.cluster.ip(), service.cluster.port());
    let svc = format!("KUBE-SVC-{number:A>16}");
    let ext = format!("KUBE-EXT-{number:A>16}");
    let to = format!(
        "-d {address}/32 -p tcp -m comment --comment \"{namespace}/{name} cluster IP\" -m tcp --dport {port}"
    );
    writeln!(rules, ":{svc} - [0:0]")?;
    writeln!(rules, "-A KUBE-SERVICES {to} -j {svc}")?;
    writeln!(rules, "-A {svc} ! -s 10.244.0.0/16 {to} -j KUBE-MARK-MASQ")?;
    if let Some(node_port) = service.node_port {
        writeln!(rules, ":{ext} - [0:0]")?;
        writeln!(
            rules,
            "-A KUBE-NODEPORTS -p tcp -m tcp --dport {node_port} -j {ext}"
        )?;
        writeln!(rules, "-A {ext} -j KUBE-MARK-MASQ")?;
        writeln!(rules, "-A {ext} -j {svc}")?;
    }
    for (place, endpoint) in endpoints.iter().enumerate() {
        let sep = format!("KUBE-SEP-{number:A>8}{place:B>8}");
        let left = endpoints.len() - place;
        let chance = match left {
            1 => String::new(),
            2 => "-m statistic --mode random --probability 0.50000000000 ".to_owned(),
            // kube-proxy writes 10 digits, and needs no more precision than that.
            _ => format!(
                "-m statistic --mode random --probability {:.10} ",
                1.0 / f64::from(u32::try_from(left).unwrap_or(u32::MAX))
            ),
        };
        writeln!(rules, ":{sep} - [0:0]")?;
        writeln!(
            rules,
            "-A {svc} -m comment --comment \"{namespace}/{name} -> {endpoint}\" {chance}-j {sep}"
        )?;
        writeln!(rules, "-A {sep} -s {}/32 -j KUBE-MARK-MASQ", endpoint.ip())?;
        writeln!(
            rules,
            "-A {sep} -p tcp -m tcp -j DNAT --to-destination {endpoint}"
        )?;
    }
    Ok(())
}
