//! The node's own network, without any other source: names of network namespaces, and addresses of the host.

mod addresses;
mod codec;
mod names;
#[cfg(test)]
mod tests;

use super::{Resolver, Teller, Told};
use crate::{
    clock,
    signal::host::{HostFact, HostFacts},
};

/// Both sources; there is always one of each, and it says what it is worth.
pub fn discover() -> Vec<Box<dyn Resolver>> {
    vec![Box::new(names::Names::of_host()), Box::new(addresses::Addresses)]
}

fn tell(teller: &Teller, fact: HostFact) -> Result<(), super::Over> {
    teller.tell(Told::Host(HostFacts {
        at_ns: clock::boot_ns(),
        fact,
    }))
}
