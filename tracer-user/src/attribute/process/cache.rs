//! Strings and claims that many processes share, kept once: a thousand curls cost one claim.
#![forbid(unsafe_code)]

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::attribute::{
    Claim, Quality, Who,
    rules::{Evidence, PortUse, Rules},
};

/// Strings, and claims, remembered before all are forgotten and made again. Holders keep theirs.
const REMEMBERED_MAX: usize = 8192;

/// Rules, and what they said before.
#[derive(Debug)]
pub(super) struct Cache {
    rules: Arc<Rules>,
    strings: HashSet<Arc<str>>,
    claims: HashMap<String, Arc<Claim>>,
    /// By claim without role, kept alive here, and port.
    roles: HashMap<(usize, PortUse), (Arc<Claim>, Arc<Claim>)>,
    /// By claim, kept alive here: the same where records were lost since.
    outdated: HashMap<usize, (Arc<Claim>, Arc<Claim>)>,
    /// The key of a claim, written anew for each question: no allocation for what was asked before.
    key: String,
}

impl Cache {
    pub(super) fn new(rules: Arc<Rules>) -> Self {
        Self {
            rules,
            strings: HashSet::new(),
            claims: HashMap::new(),
            roles: HashMap::new(),
            outdated: HashMap::new(),
            key: String::new(),
        }
    }

    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return Arc::clone(known);
        }
        if self.strings.len() >= REMEMBERED_MAX {
            self.strings.clear();
        }
        let new: Arc<str> = text.into();
        self.strings.insert(Arc::clone(&new));
        new
    }

    pub(super) fn claim(&mut self, evidence: &Evidence<'_>) -> Arc<Claim> {
        let Evidence {
            file,
            exe,
            exec,
            arg0,
            word,
            comm,
        } = *evidence;
        self.key.clear();
        for part in [file, exe, exec, arg0, word, Some(comm)] {
            // Neither byte can be in a path or name the kernel hands out.
            self.key.push_str(part.unwrap_or("\u{1}"));
            self.key.push('\0');
        }
        if let Some(known) = self.claims.get(&self.key) {
            return Arc::clone(known);
        }
        if self.claims.len() >= REMEMBERED_MAX {
            self.claims.clear();
        }
        let new = Arc::new(self.rules.identify(evidence));
        self.claims.insert(self.key.clone(), Arc::clone(&new));
        new
    }

    pub(super) fn has_roles(&self, claim: &Claim) -> bool {
        claim
            .who
            .component()
            .is_some_and(|name| self.rules.has_roles(name))
    }

    /// The claim with the part played on a port, if that part is known.
    pub(super) fn with_role(&mut self, claim: &Arc<Claim>, used: PortUse) -> Arc<Claim> {
        let Some(role) = claim.who.component().and_then(|name| self.rules.role(name, used)) else {
            return Arc::clone(claim);
        };
        let key = (Arc::as_ptr(claim).addr(), used);
        if let Some((_, known)) = self.roles.get(&key) {
            return Arc::clone(known);
        }
        let (verb, port) = match used {
            PortUse::Serves(port) => ("serves", port),
            PortUse::Dials(port) => ("dials", port),
        };
        let name = claim.who.component().unwrap_or_default().to_owned();
        let who = Who::Component {
            name,
            role: Some(role.to_owned()),
        };
        let new = Arc::new(Claim {
            who,
            quality: claim.quality,
            by: format!("{}, {verb} {port}", claim.by),
            place: claim.place.clone(),
        });
        if self.roles.len() >= REMEMBERED_MAX {
            self.roles.clear();
        }
        self.roles.insert(key, (Arc::clone(claim), Arc::clone(&new)));
        new
    }

    /// The claim where records were lost since it was made.
    pub(super) fn outdated(&mut self, claim: &Arc<Claim>) -> Arc<Claim> {
        let key = Arc::as_ptr(claim).addr();
        if let Some((_, known)) = self.outdated.get(&key) {
            return Arc::clone(known);
        }
        let new = Arc::new(Claim {
            who: claim.who.clone(),
            quality: claim.quality.max(Quality::Outdated),
            by: format!("{}, but records were lost since", claim.by),
            place: claim.place.clone(),
        });
        if self.outdated.len() >= REMEMBERED_MAX {
            self.outdated.clear();
        }
        self.outdated.insert(key, (Arc::clone(claim), Arc::clone(&new)));
        new
    }
}
