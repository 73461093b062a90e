//! Claims about addresses whose socket is not on this machine: the address, and a guess from the port.
#![forbid(unsafe_code)]

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{Claim, Quality, Who, place::Place, rules::Rules};

/// Claims remembered before all are forgotten and made again: about 200 bytes each.
const REMEMBERED_MAX: usize = 16_384;

/// Claims about remote ends, each made once.
#[derive(Debug)]
pub struct Remotes {
    rules: Arc<Rules>,
    known: HashMap<(IpAddr, Option<u16>), Arc<Claim>>,
}

impl Remotes {
    /// Guesses by these rules.
    pub fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            known: HashMap::new(),
        }
    }

    /// Who is at an address. `port` only when that end accepted the connection: the port of the end that connected
    /// says nothing.
    pub fn claim(&mut self, address: IpAddr, port: Option<u16>) -> Arc<Claim> {
        let port = port.filter(|port| self.rules.port(*port).is_some_and(|rule| !rule.unsure));
        if let Some(claim) = self.known.get(&(address, port)) {
            return Arc::clone(claim);
        }
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        let claim = Arc::new(make(&self.rules, address, port));
        self.known.insert((address, port), Arc::clone(&claim));
        claim
    }
}

fn make(rules: &Rules, address: IpAddr, port: Option<u16>) -> Claim {
    if address.is_loopback() {
        let reason = format!("the socket behind {address} was not seen");
        return Claim {
            who: Who::Unknown { reason, guess: None },
            quality: Quality::Address,
            by: format!("address {address}"),
            place: Place::default(),
        };
    }
    match port.and_then(|port| rules.port(port).map(|rule| (port, rule))) {
        Some((port, rule)) => Claim {
            who: Who::External {
                address,
                guess: Some(rule.server.clone()),
            },
            quality: Quality::Port,
            by: format!("port {port} is usually {}: {}", rule.server, rule.purpose),
            place: Place::default(),
        },
        None => Claim {
            who: Who::External { address, guess: None },
            quality: Quality::Address,
            by: format!("address {address}"),
            place: Place::default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (
        &'static str,
        &'static str,
        Option<u16>,
        Option<&'static str>,
        Quality,
    );

    #[test]
    fn a_remote_end_is_its_address_with_a_guess_from_a_telling_port() {
        let mut remotes = Remotes::new(Rules::built_in());
        let cases: &[Case] = &[
            (
                "a well-known port",
                "10.0.0.9",
                Some(6443),
                Some("kube-apiserver"),
                Quality::Port,
            ),
            (
                "a port of the NodePort range",
                "10.0.0.9",
                Some(31_000),
                Some("NodePort"),
                Quality::Port,
            ),
            (
                "an exact port inside no range",
                "10.0.0.9",
                Some(2379),
                Some("etcd"),
                Quality::Port,
            ),
            (
                "a port everybody uses",
                "10.0.0.9",
                Some(8080),
                None,
                Quality::Address,
            ),
            (
                "a port nobody knows",
                "10.0.0.9",
                Some(49_999),
                None,
                Quality::Address,
            ),
            ("the end that connected", "10.0.0.9", None, None, Quality::Address),
            (
                "an IPv6 address",
                "2001:db8::1",
                Some(10_250),
                Some("kubelet"),
                Quality::Port,
            ),
        ];
        for (name, address, port, guess, quality) in cases {
            let address: IpAddr = address.parse().unwrap();
            let claim = remotes.claim(address, *port);
            assert_eq!(
                claim.who,
                Who::External {
                    address,
                    guess: guess.map(String::from)
                },
                "case: {name}"
            );
            assert_eq!(claim.quality, *quality, "case: {name}");
        }
    }

    #[test]
    fn a_loopback_address_is_never_external() {
        let mut remotes = Remotes::new(Rules::built_in());
        let claim = remotes.claim("127.0.0.1".parse().unwrap(), Some(2379));
        assert!(matches!(claim.who, Who::Unknown { .. }), "{claim:?}");
    }

    #[test]
    fn memory_for_remote_ends_is_bounded() {
        let mut remotes = Remotes::new(Rules::built_in());
        for number in 0..40_000_u32 {
            remotes.claim(IpAddr::from((number | 0x0a00_0000).to_be_bytes()), None);
        }
        assert!(remotes.known.len() <= REMEMBERED_MAX);
    }
}
