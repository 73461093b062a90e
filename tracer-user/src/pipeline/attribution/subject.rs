//! Ends of connections as what is known of them for certain. Names are made of subjects, and made anew when more is
//! known: an edge that was drawn with an address is the same edge with a name later.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    attribute::{Claim, cgroup::CgroupPlace, netns::Space, place::Human},
    track::OwnerBy,
};

/// Shared things that are the same only if they are one.
#[derive(Debug)]
pub(in crate::pipeline) struct Same<T: ?Sized>(pub(in crate::pipeline) Arc<T>);

impl<T: ?Sized> Clone for Same<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> Eq for Same<T> {}

impl<T: ?Sized> Hash for Same<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.0).cast::<u8>() as usize).hash(state);
    }
}

/// One end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::pipeline) enum Subject {
    /// A process of this machine.
    Process {
        /// Who it is by executable, arguments and name.
        claim: Same<Claim>,
        /// Where its cgroup puts it.
        cgroup: Option<Same<CgroupPlace>>,
        /// The person behind it.
        human: Option<Arc<Human>>,
        /// It calls itself what it is not.
        spoofed: Option<Arc<str>>,
        /// How it is known to be at this end; who holds the socket counts as who was seen to open it.
        owner_by: OwnerBy,
        /// Network namespace of the socket.
        space: Space,
    },
    /// An address whose socket is not on this machine.
    Elsewhere {
        /// The address.
        address: IpAddr,
        /// Destination port; absent for the end that connected.
        port: Option<u16>,
        /// The pod that had the address then, if that was known; for ever, whoever has it later.
        uid: Option<Arc<str>>,
        /// Namespace of the socket that saw it.
        space: Space,
    },
    /// A socket of this machine without an owner.
    Nobody {
        /// Its address.
        address: IpAddr,
        /// The pod that had the address then, if that was known.
        uid: Option<Arc<str>>,
        /// Network namespace of the socket.
        space: Space,
    },
}

impl Subject {
    pub(in crate::pipeline) const fn space(&self) -> Space {
        match self {
            Self::Process { space, .. } | Self::Elsewhere { space, .. } | Self::Nobody { space, .. } => {
                *space
            }
        }
    }
}

/// A subject's name at the latest revision of what is known.
#[derive(Clone, Debug)]
pub(in crate::pipeline) struct Named {
    pub(in crate::pipeline) claim: Arc<Claim>,
    pub(in crate::pipeline) group: Arc<str>,
}

/// All subjects of a run, numbered.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    by_subject: HashMap<Subject, u32>,
    all: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    subject: Subject,
    named: Option<Named>,
    /// Revision of what is known when it was named.
    revision: u64,
    /// First and last time it was asked for.
    asked_ns: (u64, u64),
}

impl Subjects {
    /// The number of a subject.
    pub(super) fn number(&mut self, subject: Subject, at_ns: u64) -> u32 {
        if let Some(number) = self.by_subject.get(&subject) {
            if let Some(known) = self.all.get_mut(*number as usize) {
                known.asked_ns = (known.asked_ns.0.min(at_ns), known.asked_ns.1.max(at_ns));
            }
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.by_subject.insert(subject.clone(), number);
        self.all.push(Known {
            subject,
            named: None,
            revision: 0,
            asked_ns: (at_ns, at_ns),
        });
        number
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<(&Subject, (u64, u64))> {
        self.all
            .get(number as usize)
            .map(|known| (&known.subject, known.asked_ns))
    }

    /// Its name, if it was made at this revision.
    pub(super) fn named(&self, number: u32, revision: u64) -> Option<&Named> {
        let known = self.all.get(number as usize)?;
        known.named.as_ref().filter(|_| known.revision == revision)
    }

    /// Keeps a name; the same name stays the same thing. A pod's name, once known, is not forgotten.
    pub(super) fn name(&mut self, number: u32, revision: u64, new: Named) -> Named {
        let Some(known) = self.all.get_mut(number as usize) else {
            return new;
        };
        known.revision = revision;
        let is_named = |named: &Named| named.claim.place.pod.as_ref().is_some_and(|pod| pod.is_named());
        let kept = known.named.take().filter(|old| {
            (*old.claim == *new.claim && old.group == new.group) || (is_named(old) && !is_named(&new))
        });
        known.named.insert(kept.unwrap_or(new)).clone()
    }
}
