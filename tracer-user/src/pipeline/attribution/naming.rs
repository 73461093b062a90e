//! Subjects and their names: made when asked for, made anew when more is known, put together when there are too many.
#![forbid(unsafe_code)]

use std::{collections::HashMap, sync::Arc};

use super::{
    Attribution, Named, SUBJECTS_MAX, Subject,
    local::{self, Around},
    remote::{self, Asked},
    subject::{Same, Subjects},
};
use crate::attribute::netns::Space;
use crate::graph::{
    build::{Builder, Name},
    fold::coarse_id,
};

impl Attribution {
    /// The name of a subject, as far as it is known now.
    pub(in crate::pipeline) fn named(&mut self, number: u32) -> Named {
        let revision = self.revision();
        if let Some(named) = self.subjects.named(number, revision) {
            return named.clone();
        }
        let new = self.name(number);
        self.subjects.name(number, revision, new)
    }

    /// What a number stands for.
    pub(in crate::pipeline) fn subject(&self, number: u32) -> Option<&Subject> {
        self.subjects.get(number).map(|(subject, _)| subject)
    }

    /// A process without any socket.
    pub(in crate::pipeline) fn subject_of(&mut self, tgid: u32) -> Option<u32> {
        let process = self.processes.who(tgid, 0)?;
        let (claim, netns, since_ns) = (
            Arc::clone(&process.claim),
            process.netns.unwrap_or_default(),
            process.since_ns,
        );
        let subject = self.of_process(
            (tgid, 0),
            since_ns,
            claim,
            crate::track::OwnerBy::Hook,
            self.groups.space(netns, 0),
        );
        Some(self.subjects.number(subject, since_ns))
    }

    /// The same for a graph.
    pub(in crate::pipeline) fn name_of(&mut self, number: u32) -> Name {
        let Named { claim, group } = self.named(number);
        let netns = self
            .subjects
            .get(number)
            .map_or(0, |(subject, _)| subject.space().inode);
        Name { claim, group, netns }
    }

    /// Whether it is time to make room.
    pub(in crate::pipeline) const fn is_crowded(&self) -> bool {
        self.subjects.len() >= SUBJECTS_MAX
    }

    /// Makes room: subjects that are the same component or workload become one, and those that no edge has go.
    pub(in crate::pipeline) fn thin(&mut self, builder: &mut Builder) {
        let mut thinned = Subjects::default();
        let mut first: HashMap<String, u32> = HashMap::new();
        let revision = self.revision();
        builder.renumber(|number| {
            let named = self.named(number);
            let key = coarse_id(&named.claim, &named.group);
            *first
                .entry(key)
                .or_insert_with(|| match self.subjects.get(number) {
                    Some((subject, (from_ns, to_ns))) => {
                        let kept = thinned.number(subject.clone(), from_ns);
                        thinned.number(subject.clone(), to_ns);
                        thinned.name(kept, revision, named);
                        kept
                    }
                    None => 0,
                })
        });
        self.subjects = thinned;
        self.met.clear();
    }

    fn name(&mut self, number: u32) -> Named {
        let Some((subject, asked_ns)) = self.subjects.get(number) else {
            return Named {
                claim: Arc::clone(&self.ownerless),
                group: self.groups.group(Space::default()),
            };
        };
        let space = subject.space();
        let claim = match subject {
            Subject::Process {
                claim,
                cgroup,
                human,
                spoofed,
                owner_by,
                space: _,
            } => {
                let around = Around {
                    cgroup: cgroup.as_ref().map(|Same(cgroup)| &**cgroup),
                    human: human.as_ref(),
                    spoofed: spoofed.as_ref(),
                    by: *owner_by,
                    node: self.node.as_ref(),
                };
                local::claim(&claim.0, &around, &self.inventory)
            }
            Subject::Elsewhere {
                address, port, uid, ..
            } => {
                let asked = Asked {
                    address: *address,
                    port: *port,
                    uid: uid.as_deref(),
                    between_ns: asked_ns,
                    on_host: self.groups.is_host(space),
                };
                remote::claim(&asked, &self.inventory, &mut self.remotes, &self.rules)
            }
            // A pod's address in the host's namespace is what somebody borrows, a transparent proxy say.
            Subject::Nobody { .. } if self.groups.is_host(space) => Arc::clone(&self.ownerless),
            Subject::Nobody { address, uid, .. } => {
                let asked = Asked {
                    address: *address,
                    port: None,
                    uid: uid.as_deref(),
                    between_ns: asked_ns,
                    on_host: self.groups.is_host(space),
                };
                remote::ownerless(&asked, &self.inventory)
                    .map_or_else(|| Arc::clone(&self.ownerless), Arc::new)
            }
        };
        let group = match subject {
            Subject::Process { .. } => self.groups.group_here(&claim, space),
            Subject::Elsewhere { .. } | Subject::Nobody { .. } => self.groups.group_elsewhere(&claim, space),
        };
        Named { claim, group }
    }
}
