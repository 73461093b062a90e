//! Network namespaces over time, and the groups that graph nodes are in by them: stable between runs where they can be.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{Claim, Who};
use crate::{hash::IdMap, signal::Session};

/// Names of unnamed namespaces remembered before all are forgotten and made again: about 64 bytes each.
const REMEMBERED_MAX: usize = 65_536;

/// Inodes of namespaces with names remembered; more get none.
const INODES_MAX: usize = 65_536;
/// Namespaces of one inode that are told apart.
const SPACES_MAX: usize = 16;
/// News of a name come a moment after the namespace: what was seen this long before is taken to be of it.
const EARLY_NS: u64 = 1_000_000_000;

/// Group of addresses outside this machine.
pub const EXTERNAL: &str = "external";
/// Group of the host's network namespace.
pub const HOST: &str = "host";

/// A network namespace: its inode, and which of those it is that have had this inode, the first being 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space {
    /// Inode; 0 when it is unknown.
    pub inode: u32,
    /// Which.
    pub number: u32,
}

/// One namespace of an inode.
#[derive(Debug)]
struct Tenure {
    number: u32,
    /// 0: since before the tracer.
    from_ns: u64,
    /// Names it has now, or had at last. Empty while nobody told one.
    names: BTreeSet<String>,
    /// It had a name, and lost the last: what is seen later under this inode is not known to be the same.
    is_over: bool,
    group: Arc<str>,
}

/// Names of network namespaces by inode and time: an inode is used again as soon as its namespace is gone.
#[derive(Debug)]
pub struct Groups {
    host: u32,
    spaces: IdMap<u32, Vec<Tenure>>,
    unnamed: IdMap<u32, Arc<str>>,
    host_group: Arc<str>,
    unknown: Arc<str>,
    external: Arc<str>,
    texts: HashSet<Arc<str>>,
    revision: u64,
}

impl Groups {
    /// `host` for the host's namespace, `netns/NAME` for those with a name.
    pub fn new(host_netns: u32, names: &[(u32, String)]) -> Self {
        let mut groups = Self {
            host: host_netns,
            spaces: HashMap::default(),
            unnamed: HashMap::default(),
            host_group: HOST.into(),
            unknown: "netns/unknown".into(),
            external: EXTERNAL.into(),
            texts: HashSet::new(),
            revision: 0,
        };
        for (netns, name) in names {
            groups.named(*netns, name, 0);
        }
        groups
    }

    /// The groups of a run.
    pub fn of(session: &Session) -> Self {
        Self::new(session.host_netns, &session.netns_names)
    }

    /// Grows with every name that comes or goes.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// A namespace has a name, learnt then; 0 for one that it had before the start.
    pub fn named(&mut self, inode: u32, name: &str, at_ns: u64) {
        if inode == 0 || (self.spaces.len() >= INODES_MAX && !self.spaces.contains_key(&inode)) {
            return;
        }
        self.revision += 1;
        let tenures = self.spaces.entry(inode).or_default();
        let early_ns = at_ns.saturating_sub(EARLY_NS);
        // It had the inode before, and nothing says that it is another: who was seen a while ago is not renamed by it.
        let open = tenures
            .last()
            .is_some_and(|last| !last.is_over && (!last.names.is_empty() || last.from_ns >= early_ns));
        if !open {
            let number = tenures
                .last()
                .map_or(u32::from(early_ns > 0), |last| last.number + 1);
            begin(tenures, inode, number, early_ns);
        }
        if let Some(last) = tenures.last_mut() {
            last.names.insert(name.to_owned());
            last.regroup(inode);
        }
    }

    /// A namespace has that name no more.
    pub fn unnamed(&mut self, inode: u32, name: &str, at_ns: u64) {
        let Some(tenures) = self.spaces.get_mut(&inode) else {
            return;
        };
        let Some(last) = tenures.last_mut().filter(|last| last.names.contains(name)) else {
            return;
        };
        self.revision += 1;
        if last.names.len() > 1 {
            last.names.remove(name);
            last.regroup(inode);
            return;
        }
        last.is_over = true;
        let number = last.number + 1;
        begin(tenures, inode, number, at_ns);
    }

    /// The namespace that had an inode at a time; 0 for the latest.
    pub fn space(&self, inode: u32, at_ns: u64) -> Space {
        let tenures = self.spaces.get(&inode).map_or(&[] as &[Tenure], Vec::as_slice);
        let then = match at_ns {
            0 => tenures.last(),
            _ => tenures.iter().rev().find(|tenure| tenure.from_ns <= at_ns),
        };
        Space {
            inode,
            number: then.map_or(0, |tenure| tenure.number),
        }
    }

    /// Whether it is the host's.
    pub const fn is_host(&self, space: Space) -> bool {
        space.inode == self.host && space.inode != 0
    }

    /// Name of a namespace, if it has one.
    pub fn name(&self, space: Space) -> Option<&str> {
        let tenures = self.spaces.get(&space.inode)?;
        let tenure = tenures.iter().find(|tenure| tenure.number == space.number)?;
        tenure.names.first().map(String::as_str)
    }

    /// Name of a namespace's group: `host`, `netns/NAME`, `netns/INODE`.
    pub fn group(&mut self, space: Space) -> Arc<str> {
        let Space { inode, number } = space;
        if inode == 0 {
            return Arc::clone(&self.unknown);
        }
        if inode == self.host {
            return Arc::clone(&self.host_group);
        }
        let tenures = self.spaces.get(&inode).map_or(&[] as &[Tenure], Vec::as_slice);
        if let Some(tenure) = tenures.iter().find(|tenure| tenure.number == number) {
            return Arc::clone(&tenure.group);
        }
        if number > 0 {
            return unnamed_group(inode, number).into();
        }
        if let Some(name) = self.unnamed.get(&inode) {
            return Arc::clone(name);
        }
        if self.unnamed.len() >= REMEMBERED_MAX {
            self.unnamed.clear();
        }
        let name: Arc<str> = unnamed_group(inode, 0).into();
        self.unnamed.insert(inode, Arc::clone(&name));
        name
    }

    /// Group of an end of this machine, whose socket is in `space`: its namespace of the cluster where it is in a pod with
    /// a network of its own, else that of its network namespace.
    pub fn group_here(&mut self, claim: &Claim, space: Space) -> Arc<str> {
        let own = self.group(space);
        match &claim.place.pod {
            Some(pod) if pod.is_named() && !pod.host_network && *own != *HOST => self.cluster(&pod.namespace),
            Some(_) | None => own,
        }
    }

    /// Group of an end that is not on this machine, or whose socket nobody saw; dialled from `space`.
    pub fn group_elsewhere(&mut self, claim: &Claim, space: Space) -> Arc<str> {
        match &claim.who {
            Who::External { .. } => Arc::clone(&self.external),
            // It is where it was dialled.
            Who::Unknown { .. } => self.group(space),
            Who::Service { namespace, .. } => self.cluster(namespace),
            Who::Pod(pod) if pod.is_named() => self.cluster(&pod.namespace),
            Who::Node { name, .. } => self.text(&format!("node/{name}")),
            Who::Component { .. } | Who::Process { .. } | Who::Pod(_) => match &claim.place.node {
                Some(node) => self.text(&format!("node/{node}")),
                None => Arc::clone(&self.external),
            },
        }
    }

    /// `namespace/NAME`, of the cluster's namespaces.
    fn cluster(&mut self, namespace: &str) -> Arc<str> {
        self.text(&format!("namespace/{namespace}"))
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= REMEMBERED_MAX {
            self.texts.clear();
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }
}

impl Tenure {
    /// The same namespace under several names takes the first: the order of a directory is chance.
    fn regroup(&mut self, inode: u32) {
        self.group = match self.names.first() {
            Some(name) => format!("netns/{name}").into(),
            None => unnamed_group(inode, self.number).into(),
        };
    }
}

/// Begins another namespace of an inode, which nobody named yet. Forgets the oldest beyond the limit.
fn begin(tenures: &mut Vec<Tenure>, inode: u32, number: u32, from_ns: u64) {
    if tenures.len() >= SPACES_MAX {
        tenures.remove(0);
    }
    tenures.reserve_exact(1);
    tenures.push(Tenure {
        number,
        from_ns,
        names: BTreeSet::new(),
        is_over: false,
        group: unnamed_group(inode, number).into(),
    });
}

/// `netns/INODE`, and `netns/INODE.2` for the second that is known to have it.
fn unnamed_group(inode: u32, number: u32) -> String {
    match number {
        0 => format!("netns/{inode}"),
        _ => format!("netns/{inode}.{}", u64::from(number) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_after_namespaces() {
        let names = [
            (7, "b".to_owned()),
            (7, "a".to_owned()),
            (5, "host-by-name".to_owned()),
        ];
        let mut groups = Groups::new(5, &names);
        let cases: &[(&str, u32, &str)] = &[
            ("the host, even if it has a name too", 5, "host"),
            ("several names: the first in order", 7, "netns/a"),
            ("no name: the inode", 4_026_532_410, "netns/4026532410"),
            ("not known", 0, "netns/unknown"),
        ];
        for (name, netns, want) in cases {
            let space = groups.space(*netns, 5);
            assert_eq!(&*groups.group(space), *want, "case: {name}");
        }
    }

    /// Group of an inode at a time.
    fn group(groups: &mut Groups, inode: u32, at_ns: u64) -> String {
        let space = groups.space(inode, at_ns);
        groups.group(space).to_string()
    }

    #[test]
    fn an_inode_that_is_used_again_is_another_namespace() {
        const S: u64 = 1_000_000_000;
        let mut groups = Groups::new(1, &[(7, "red".to_owned())]);
        let red = groups.space(7, 5 * S);
        groups.unnamed(7, "red", 10 * S);
        groups.named(7, "blue", 20 * S);
        groups.unnamed(7, "blue", 30 * S);
        let cases = [
            ("long before", 5 * S, "netns/red"),
            ("the last of the first", 10 * S - 1, "netns/red"),
            ("between them", 15 * S, "netns/7.2"),
            ("before the news of its name", 20 * S - S / 2, "netns/blue"),
            ("the second", 25 * S, "netns/blue"),
            ("after it", 31 * S, "netns/7.4"),
            ("now", 0, "netns/7.4"),
        ];
        for (case, at_ns, want) in cases {
            assert_eq!(group(&mut groups, 7, at_ns), want, "case: {case}");
        }
        assert_eq!(
            &*groups.group(red),
            "netns/red",
            "what was met then keeps its name"
        );
        groups.named(7, "green", 30 * S + S / 2);
        assert_eq!(group(&mut groups, 7, 31 * S), "netns/green", "at once");
    }

    #[test]
    fn a_namespace_made_after_the_start_gets_its_name_and_what_was_there_before_does_not() {
        const S: u64 = 1_000_000_000;
        let mut groups = Groups::new(1, &[]);
        assert_eq!(group(&mut groups, 7, 50 * S), "netns/7");
        groups.named(7, "late", 100 * S);
        assert_eq!(
            group(&mut groups, 7, 100 * S - 1),
            "netns/late",
            "the news come a moment later"
        );
        assert_eq!(
            group(&mut groups, 7, 50 * S),
            "netns/7",
            "it may have been another's"
        );
        groups.named(7, "alias", 110 * S);
        assert_eq!(
            group(&mut groups, 7, 105 * S),
            "netns/alias",
            "the first in order"
        );
        groups.unnamed(7, "alias", 120 * S);
        groups.unnamed(7, "nobody", 121 * S);
        assert_eq!(group(&mut groups, 7, 130 * S), "netns/late", "it still has one");
        assert_eq!(groups.name(groups.space(7, 0)), Some("late"));
        let before = groups.revision();
        groups.named(0, "nothing", 130 * S);
        assert_eq!(
            (group(&mut groups, 0, 0).as_str(), groups.revision()),
            ("netns/unknown", before)
        );
    }

    #[test]
    fn memory_for_namespaces_is_bounded() {
        let mut groups = Groups::new(1, &[]);
        for turn in 1..10_000_u64 {
            groups.named(7, "a", turn * 10);
            groups.unnamed(7, "a", turn * 10 + 5);
        }
        assert!(groups.spaces[&7].len() <= SPACES_MAX);
        for inode in 1..=u32::try_from(INODES_MAX).unwrap() + 100 {
            groups.named(inode, "a", 5);
        }
        assert_eq!(groups.spaces.len(), INODES_MAX);
    }
}
