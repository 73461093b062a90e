//! An end that one of several processes took, nobody can tell which: if all are the same program, it is that program.
#![forbid(unsafe_code)]

use std::{net::SocketAddr, sync::Arc};

use super::{Attribution, Known, Subject};
use crate::{
    attribute::{Claim, rules::PortUse},
    report::Party,
    track::{Member, OwnerBy},
};

impl Attribution {
    /// The end with the name that all of `members` have, if they are one program; the process is told if it is the only one.
    pub(super) fn any_of(
        &mut self,
        members: &[Member],
        address: SocketAddr,
        used: PortUse,
        (netns, at_ns): (u32, u64),
    ) -> Option<Known> {
        let (claim, of) = self.one_program(members, used)?;
        let space = self.groups.space(netns, at_ns);
        let mut subject = self.of_process(
            (of.tgid, of.cgroup_id),
            of.owner_ns,
            claim,
            OwnerBy::Listener,
            space,
        );
        if let Subject::Process { cgroup, human, .. } = &mut subject {
            // Where and whose it is has to be said of all of them too.
            for member in members.iter().filter(|member| **member != of) {
                *human = None;
                let theirs = self.cgroup_of((member.tgid, member.cgroup_id), member.owner_ns);
                if theirs.as_ref().map(Arc::as_ptr) != cgroup.as_ref().map(|own| Arc::as_ptr(&own.0)) {
                    *cgroup = None;
                }
            }
        }
        let subject = self.subjects.number(subject, at_ns);
        let process = self
            .processes
            .who(of.tgid, of.owner_ns)
            .filter(|_| members.len() == 1);
        let process = process.map(|process| process.reference.clone());
        Some(Known {
            subject,
            party: Party {
                address,
                netns,
                claim: self.named(subject).claim,
                process,
            },
        })
    }

    /// What all of them are, with the one of whom that is known best.
    fn one_program(&mut self, members: &[Member], used: PortUse) -> Option<(Arc<Claim>, Member)> {
        let mut best: Option<(Arc<Claim>, Member)> = None;
        let mut program: Option<Arc<str>> = None;
        for member in members {
            let process = self.processes.who(member.tgid, member.owner_ns)?;
            // A thread's name alone does not make two processes one program.
            let exe = Arc::clone(process.reference.exe.as_ref()?);
            if program.as_ref().is_some_and(|program| *program != exe) {
                return None;
            }
            program = Some(exe);
            let claim = self.processes.claim(member.tgid, member.owner_ns, used)?;
            match &best {
                Some((known, _)) if known.who != claim.who => return None,
                Some((known, _)) if known.quality <= claim.quality => {}
                _ => best = Some((claim, *member)),
            }
        }
        best
    }
}
