//! The name of a process of this machine: who it is, and where its cgroup and the inventory put it.
#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::{
    attribute::{
        Claim, Quality,
        cgroup::{CgroupContainer, CgroupPlace},
        place::{Container, Human, Place, Pod},
    },
    inventory::Inventory,
    track::OwnerBy,
};

/// What is known of a process besides its claim.
#[derive(Clone, Debug)]
pub(super) struct Around<'a> {
    pub(super) cgroup: Option<&'a CgroupPlace>,
    pub(super) human: Option<&'a Arc<Human>>,
    pub(super) spoofed: Option<&'a Arc<str>>,
    /// How the process is known to be at this end.
    pub(super) by: OwnerBy,
    /// Name of this node, if it is known.
    pub(super) node: Option<&'a Arc<str>>,
}

/// The claim with everything around it. The claim itself where nothing is added.
pub(super) fn claim(plain: &Arc<Claim>, around: &Around<'_>, inventory: &Inventory) -> Arc<Claim> {
    let place = place(around, inventory);
    if place == Place::default() && !matches!(around.by, OwnerBy::Listener | OwnerBy::Closer) {
        return Arc::clone(plain);
    }
    let (quality, by) = match around.by {
        OwnerBy::Listener => (
            plain.quality.max(Quality::Listener),
            format!("listens there; {}", plain.by),
        ),
        OwnerBy::Closer => (plain.quality, format!("closed it; {}", plain.by)),
        OwnerBy::Hook | OwnerBy::Holder => (plain.quality, plain.by.clone()),
    };
    Arc::new(Claim {
        who: plain.who.clone(),
        quality,
        by,
        place,
    })
}

fn place(around: &Around<'_>, inventory: &Inventory) -> Place {
    let mut place = Place {
        human: around.human.cloned(),
        spoofed: around.spoofed.cloned(),
        node: around.node.cloned(),
        ..Place::default()
    };
    let Some(cgroup) = around.cgroup else {
        return place;
    };
    place.unit = cgroup.unit.as_deref().map(Arc::from);
    let known = cgroup.pod_known(|uid| inventory.pod(uid).is_some());
    let container = known.map_or_else(|| cgroup.container(), |pod| pod.container.as_ref());
    // A path that lost its head still names the container, and that its pod.
    let by_container = container.and_then(|container| {
        let uid = &inventory.container(&container.id)?.pod_uid;
        inventory.pod(uid)
    });
    let by_sandbox = || container.and_then(|container| inventory.sandbox(&container.id));
    let entry = known
        .and_then(|pod| inventory.pod(&pod.uid))
        .or(by_container)
        .or_else(by_sandbox);
    place.pod = match (entry, known) {
        (Some(entry), _) => Some(complete(&entry.pod, inventory)),
        (None, Some(pod)) => Some(Arc::new(nameless(&pod.uid))),
        (None, None) => None,
    };
    place.container = container.map(|found| Arc::new(contained(found, inventory)));
    if let Some(entry) = entry {
        place.services = inventory.services_of(&entry.addresses).into();
    }
    place
}

/// The pod, with its controller if only a manifest of this node tells it.
fn complete(pod: &Arc<Pod>, inventory: &Inventory) -> Arc<Pod> {
    let manifest = if pod.workload.is_none() {
        inventory.manifest_of(pod)
    } else {
        None
    };
    manifest.map_or_else(
        || Arc::clone(pod),
        |workload| {
            Arc::new(Pod {
                workload: Some(Arc::new(workload)),
                ..Pod::clone(pod)
            })
        },
    )
}

/// A pod of which only the uid is known.
fn nameless(uid: &str) -> Pod {
    Pod {
        uid: uid.into(),
        ..Pod::default()
    }
}

fn contained(found: &CgroupContainer, inventory: &Inventory) -> Container {
    let told = inventory.container(&found.id);
    let name = told.and_then(|told| told.container.name.clone());
    let is_sandbox = name.is_none() && inventory.sandbox(&found.id).is_some();
    Container {
        name,
        id: found.id.clone(),
        runtime: told
            .and_then(|told| told.container.runtime.clone())
            .or_else(|| found.runtime.map(String::from)),
        is_sandbox,
    }
}
