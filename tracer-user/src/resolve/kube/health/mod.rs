//! What the user is told of this source: one line when the server is away, one per resource that alone is refused.
#![forbid(unsafe_code)]

mod words;

use self::words::{Class, class, no_such_node, of_one};
use super::{convert::Resource, wire::Trouble};
use crate::{
    resolve::{Over, Teller},
    signal::Degraded,
};

/// How following one resource goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No answer yet.
    Unknown,
    /// Listed and watched.
    Works {
        /// Objects since the last list that could not be used.
        unreadable: u64,
        /// Why the last one could not.
        why: String,
    },
    /// Not.
    Fails(Trouble),
}

/// States of all resources, and what was told of them.
#[derive(Debug)]
pub(super) struct Board {
    teller: Teller,
    server: String,
    rows: [Row; Resource::ALL.len()],
    /// The node whose pods are asked for, when the cluster has none of that name.
    missing_node: Option<String>,
    told: Verdict,
    /// How often the server answered after it had been away.
    returns: u64,
}

/// What to say of the server as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing yet.
    Waits,
    Fine,
    Fault(Degraded),
}

#[derive(Debug)]
struct Row {
    resource: Resource,
    state: State,
    /// Failures in a row.
    failures: u32,
    told: Option<Degraded>,
}

impl Board {
    /// `server` is its address, for messages.
    pub(super) fn new(teller: Teller, server: String) -> Self {
        Self {
            teller,
            server,
            rows: Resource::ALL.map(|resource| Row {
                resource,
                state: State::Unknown,
                failures: 0,
                told: None,
            }),
            missing_node: None,
            told: Verdict::Waits,
            returns: 0,
        }
    }

    /// Changes whenever the server answers after it had been away.
    pub(super) const fn returns(&self) -> u64 {
        self.returns
    }

    /// Whether nothing works.
    pub(super) const fn is_down(&self) -> bool {
        matches!(self.told, Verdict::Fault(_))
    }

    /// Notes the node that the cluster lacks, if so.
    pub(super) fn own_node(&mut self, missing: Option<String>) -> Result<(), Over> {
        self.missing_node = missing;
        self.tell()
    }

    /// Notes a state, and tells what has changed for the user.
    pub(super) fn set(&mut self, resource: Resource, state: &State) -> Result<(), Over> {
        let failed = matches!(state, State::Fails(_));
        for row in &mut self.rows {
            if row.resource == resource {
                row.state = state.clone();
                row.failures = if failed { row.failures + 1 } else { 0 };
            }
        }
        self.tell()
    }

    fn tell(&mut self) -> Result<(), Over> {
        let all = self.of_all();
        if all != self.told {
            let was_away = matches!(self.told, Verdict::Fault(_));
            self.told = all.clone();
            match &all {
                Verdict::Waits => {}
                Verdict::Fine => self.teller.works()?,
                Verdict::Fault(fault) => self.teller.fails(fault.clone())?,
            }
            if was_away && all == Verdict::Fine {
                // The others ask again at once; until then they have nothing to say.
                self.returns += 1;
                for row in &mut self.rows {
                    row.failures = 0;
                }
            }
        }
        let works = |row: &Row| matches!(row.state, State::Works { .. });
        let is_down = match all {
            Verdict::Fault(_) => true,
            // It may be the whole server yet.
            Verdict::Waits => !self.rows.iter().any(works),
            Verdict::Fine => false,
        };
        for row in &mut self.rows {
            // While the server as a whole is away, its parts say nothing more. When it goes away, one notices first:
            // it says nothing before the others have noticed too.
            let is_away = matches!(&row.state, State::Fails(trouble) if class(trouble) == Class::Away);
            let fault = if is_down || (is_away && row.failures < 2) {
                None
            } else {
                let missing = self.missing_node.as_deref();
                let missing = missing.filter(|_| row.resource == Resource::Pods);
                of_one(row.resource, &row.state).or_else(|| missing.map(no_such_node))
            };
            if fault != row.told {
                row.told.clone_from(&fault);
                let part = self.teller.part(row.resource.plural());
                match fault {
                    None => part.works()?,
                    Some(fault) => part.fails(fault)?,
                }
            }
        }
        Ok(())
    }

    /// Of the server as a whole: nothing to say yet, fine, or a fault.
    fn of_all(&self) -> Verdict {
        let mut first: Option<&Trouble> = None;
        let (mut works, mut waits, mut differs) = (false, false, false);
        for row in &self.rows {
            match &row.state {
                State::Unknown => waits = true,
                State::Works { .. } => works = true,
                State::Fails(trouble) => match first {
                    None => first = Some(trouble),
                    Some(first) => differs |= class(first) != class(trouble),
                },
            }
        }
        match first {
            // A server that cannot be reached for one resource cannot for the others: they need not be waited for.
            Some(trouble) if !works && !differs && (!waits || class(trouble) == Class::Away) => {
                Verdict::Fault(words::of_all(&self.server, trouble))
            }
            // Once told, a fault stands until something works.
            Some(_) | None if waits && !works => self.told.clone(),
            Some(_) | None if waits && matches!(self.told, Verdict::Waits) => Verdict::Waits,
            Some(_) | None => Verdict::Fine,
        }
    }
}
