//! What an etcd listens on, and for whom: found by who listens, not by a port.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

use super::Scene;
use crate::{
    attribute::{Claim, Quality, Who},
    report::{ListenerRow, Party, ProcessRef},
};

/// Port on which etcd serves its clients by default: whoever listens there is judged as an etcd.
pub const ETCD_CLIENT_PORT: u16 = 2379;

/// Its other ports by default: for members, and for metrics and probes.
const OTHER_PORTS: [u16; 2] = [2380, 2381];

/// What a listening socket of an etcd is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// Clients.
    Clients,
    /// Other members, or metrics and probes.
    Others,
    /// Neither its arguments nor the port tell.
    Unsure,
}

/// Whether a claim, of whatever quality, is of an etcd: by name, or as a part of a single binary.
pub(super) fn is_etcd(who: &Who) -> bool {
    match who {
        Who::Component { name, role } => name == "etcd" || role.as_deref() == Some("etcd"),
        Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => false,
    }
}

/// Whether that claim rests on more than what a process says of itself. What part of a single binary serves a port, the
/// port tells.
pub(super) fn is_sure(claim: &Claim) -> bool {
    match &claim.who {
        Who::Component { role: Some(role), .. } if role == "etcd" => claim.quality <= Quality::Argv,
        Who::Component { .. }
        | Who::Process { .. }
        | Who::Pod(_)
        | Who::Service { .. }
        | Who::Node { .. }
        | Who::External { .. }
        | Who::Unknown { .. } => claim.quality == Quality::Exe,
    }
}

/// Whether the end has a socket of this machine: the clients of an etcd elsewhere do not pass here.
pub(super) const fn is_here(party: &Party) -> bool {
    party.netns != 0 || party.process.is_some()
}

/// Whether this very process listens somewhere at the end.
pub(super) fn listens(scene: &Scene<'_>, party: &Party) -> bool {
    let same = |own: &ProcessRef, of: &ProcessRef| own.tgid == of.tgid && own.instance == of.instance;
    let mut listening = scene
        .listeners
        .iter()
        .filter_map(|row| row.party.process.as_ref());
    party
        .process
        .as_ref()
        .is_some_and(|own| listening.any(|of| same(own, of)))
}

/// Whether who reached this end may have to be judged.
pub(super) fn may_be_etcd(party: &Party) -> bool {
    is_here(party) && (party.address.port() == ETCD_CLIENT_PORT || is_etcd(&party.claim.who))
}

/// For whom an etcd listens at an address.
pub(super) fn serves(scene: &Scene<'_>, party: &Party) -> Serves {
    let address = party.address;
    if address.port() == ETCD_CLIENT_PORT {
        return Serves::Clients;
    }
    let takes = |row: &&ListenerRow| {
        let local = row.party.address;
        row.party.netns == party.netns
            && local.port() == address.port()
            && (local.ip() == address.ip() || local.ip().is_unspecified())
            && is_etcd(&row.party.claim.who)
    };
    let args = scene
        .listeners
        .iter()
        .find(takes)
        .map_or(&[] as &[String], |row| &*row.args);
    by_arguments(args, address.port())
}

fn by_arguments(args: &[String], port: u16) -> Serves {
    let urls = |flag: &str| args.iter().find_map(|arg| arg.strip_prefix(flag));
    let holds = |urls: Option<&str>| urls.is_some_and(|urls| ports(urls).any(|listed| listed == Some(port)));
    let clients = urls("--listen-client-urls=");
    if port == ETCD_CLIENT_PORT || holds(clients) {
        Serves::Clients
    } else if holds(urls("--listen-peer-urls="))
        || holds(urls("--listen-metrics-urls="))
        || OTHER_PORTS.contains(&port)
    {
        Serves::Others
    } else {
        Serves::Unsure
    }
}

/// Ports of a list such as `https://127.0.0.1:2379,https://[::1]:2379`.
pub(super) fn ports(urls: &str) -> impl Iterator<Item = Option<u16>> {
    urls.split(',')
        .map(|url| url.trim().trim_end_matches('/').rsplit(':').next()?.parse().ok())
}

/// Where an etcd listens for clients, or may.
pub(super) fn known(scene: &Scene<'_>) -> impl Iterator<Item = SocketAddr> {
    let rows = scene.listeners.iter().map(|row| &row.party);
    rows.filter(|party| is_etcd(&party.claim.who) && serves(scene, party) != Serves::Others)
        .map(|party| party.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_for_whom_an_etcd_listens_and_else_the_port() {
        use Serves::{Clients, Others, Unsure};
        let args = [
            "etcd",
            "--listen-client-urls=https://127.0.0.1:12379,https://[::1]:22379/",
            "--listen-peer-urls=https://10.0.0.1:12380",
            "--listen-metrics-urls=http://127.0.0.1:12381",
        ]
        .map(String::from);
        let none: [String; 0] = [];
        let cases: [(&[String], u16, Serves); 10] = [
            (&args, 12_379, Clients),
            (&args, 22_379, Clients),
            (&args, 2379, Clients),
            (&args, 12_380, Others),
            (&args, 12_381, Others),
            (&args, 4000, Unsure),
            (&none, 2379, Clients),
            (&none, 2380, Others),
            (&none, 2381, Others),
            (&none, 12_379, Unsure),
        ];
        for (args, port, want) in cases {
            assert_eq!(by_arguments(args, port), want, "{port}");
        }
        assert_eq!(ports("nonsense,:,a:b,x:99999").flatten().count(), 0);
    }
}
