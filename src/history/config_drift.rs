//! Where the trees of two nodes differ, and since when.
//!
//! A path that is being copied differs for a while. It has drifted once it was to be copied for long enough and was not: one
//! side has stayed as it is, while the other was something else at each look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::facts::manifest::{Difference, compare, shown};
use crate::facts::{Manifest, Reading, TreeFacts};
use crate::names::{DriftKind, Name};

/// So many paths are followed for each two nodes; of more it is only known that there are more.
const MOST_FOLLOWED: usize = 10_000;
/// So many are named.
pub const MOST_NAMED: usize = 20;

/// The memory of one pair's trees.
#[derive(Clone, Debug, Default)]
pub struct DriftHistory {
    trees: BTreeMap<Name, Tree>,
    /// By both names, the lesser first.
    compared: BTreeMap<(Name, Name), Compared>,
}

#[derive(Clone, Debug)]
struct Tree {
    facts: TreeFacts,
    asked: Moment,
}

/// Two trees side by side.
#[derive(Clone, Debug)]
struct Compared {
    manifests: (Arc<Manifest>, Arc<Manifest>),
    /// Both trees were compared for the first time: what differed then may have done so for long.
    first: Moment,
    /// What is said holds for this moment: both trees were looked at then or later.
    as_of: Moment,
    /// Paths that differ, also those that are not followed.
    differing: u64,
    followed: BTreeMap<Box<[u8]>, Followed>,
}

#[derive(Clone, Copy, Debug)]
struct Followed {
    difference: Difference,
    /// Since when each side is as it is, while they differ.
    since: (Moment, Moment),
}

/// How the copy differs from the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Paths that differ now, copies in flight among them.
    pub differing: u64,
    /// Those of them that were to be copied for long enough. `None`: it is too early to tell.
    pub drifted: Option<u64>,
    /// There are more than are followed.
    pub at_least: bool,
    /// The first of those that have drifted: path, what is wrong with the copy, since when.
    pub named: Vec<(String, DriftKind, Moment)>,
}

impl DriftHistory {
    /// Takes in one look at `node`'s tree.
    pub fn record(&mut self, node: &Name, reading: &Reading<TreeFacts>) {
        let Some(facts) = reading.facts() else {
            self.trees.remove(node);
            return;
        };
        self.trees.insert(node.clone(), Tree { facts: facts.clone(), asked: reading.asked });
        let others: Vec<_> = self.trees.keys().filter(|other| *other != node).cloned().collect();
        for other in others {
            let key = if *node < other { (node.clone(), other) } else { (other, node.clone()) };
            let (Some(one), Some(two)) = (self.trees.get(&key.0), self.trees.get(&key.1)) else { continue };
            if same_place(&one.facts, &two.facts) {
                self.compared.remove(&key);
                continue;
            }
            let before = self.compared.remove(&key);
            self.compared.insert(key, Compared::next(before, one, two));
        }
    }

    /// Both nodes' trees are one and the same, under two names.
    pub fn is_one_tree(&self, one: &Name, other: &Name) -> bool {
        let both = self.trees.get(one).zip(self.trees.get(other));
        both.is_some_and(|(one, other)| same_place(&one.facts, &other.facts))
    }

    /// How the copy differs from the original, if they were compared. What has differed for `patience` has drifted.
    pub fn drift(&self, original: &Name, copy: &Name, patience: Duration) -> Option<Drift> {
        let swapped = copy < original;
        let key = if swapped { (copy.clone(), original.clone()) } else { (original.clone(), copy.clone()) };
        let compared = self.compared.get(&key)?;
        let (mut count, mut early, mut named) = (0, false, Vec::new());
        for (path, followed) in &compared.followed {
            let since = followed.since.0.min(followed.since.1);
            if compared.as_of.since(since) < patience {
                early |= since == compared.first;
                continue;
            }
            count += 1;
            if named.len() < MOST_NAMED {
                let Difference { one, other } = followed.difference;
                let (original, copy) = if swapped { (other, one) } else { (one, other) };
                named.push((shown(path), Difference::kind(original, copy), since));
            }
        }
        let more = compared.differing > compared.followed.len() as u64;
        Some(Drift {
            differing: compared.differing,
            drifted: (count > 0 || !(early || more)).then_some(count),
            at_least: more || (early && count > 0),
            named,
        })
    }

    /// Moments from before count no longer: whatever differs must be seen to do so anew.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Only trees on one machine have a place.
fn same_place(one: &TreeFacts, other: &TreeFacts) -> bool {
    one.place.is_some() && one.place == other.place
}

impl Compared {
    fn next(before: Option<Self>, one: &Tree, two: &Tree) -> Self {
        let (seen, as_of) = (one.asked.max(two.asked), one.asked.min(two.asked));
        let manifests = (one.facts.manifest.clone(), two.facts.manifest.clone());
        let same = |one: &Arc<Manifest>, two: &Arc<Manifest>| Arc::ptr_eq(one, two) || one.digest() == two.digest();
        let (first, followed) = match before {
            Some(before) if same(&before.manifests.0, &manifests.0) && same(&before.manifests.1, &manifests.1) => {
                return Self { as_of, ..before };
            }
            Some(before) => (before.first, before.followed),
            None => (seen, BTreeMap::new()),
        };
        let mut next = Self { manifests: manifests.clone(), first, as_of, differing: 0, followed: BTreeMap::new() };
        compare(&manifests.0, &manifests.1, |path, difference| {
            next.differing += 1;
            if next.followed.len() >= MOST_FOLLOWED {
                return;
            }
            let since = match followed.get(path) {
                None => (seen, seen),
                Some(known) => (
                    if known.difference.one == difference.one { known.since.0 } else { seen },
                    if known.difference.other == difference.other { known.since.1 } else { seen },
                ),
            };
            next.followed.insert(path.into(), Followed { difference, since });
        });
        next
    }
}

#[cfg(test)]
mod tests;
