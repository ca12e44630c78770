//! What the primary's indices held while they were whole, and how fast a rebuild went: kept for when the primary is dead, by each agent
//! from what it sees itself and from what the other one tells.

use std::collections::BTreeMap;
use std::time::Duration;

use super::SearchHistory;
use crate::config::is_enough;
use crate::evidence::SearchNodeEvidence;
use crate::facts::{Age, IndexMemory, RateMemory, SearchMemory};
use crate::names::Name;

/// What stays the same is noted anew this seldom, so that the state file need not be written for it.
const AGAIN: Duration = Duration::from_secs(60);
/// So many indices behind one name are remembered.
const MOST_BEHIND: usize = 50;
/// A longer uuid is none.
const LONGEST_UUID: usize = 64;

impl SearchHistory {
    /// What is remembered, as it is told to the other agent.
    pub const fn memory(&self) -> &SearchMemory<Age> {
        &self.memory
    }

    /// Takes in what another agent remembers, for the nodes and indices that are configured.
    pub fn learn(&mut self, told: SearchMemory<Age>, node_is_known: impl Fn(&Name) -> bool, indices: &[String]) {
        for (name, index) in told.indices {
            if indices.contains(&name) && node_is_known(&index.node) && index.documents > 0 {
                let index = bounded(index);
                let (of, percent) = (&mut self.memory.indices, self.drift_percent);
                let newer = match of.get(&name) {
                    Some(own) => newer_of(percent, own, &index).cloned(),
                    None => Some(index),
                };
                of.extend(newer.map(|newer| (name, newer)));
            }
        }
        let own = self.memory.rate;
        let newer = told.rate.filter(|told| own.is_none_or(|own| told.seen.younger_by(own.seen) >= AGAIN));
        self.memory.rate = newer.or(own);
    }

    /// Counts of the primary's indices. One that is made anew does not overwrite what the index held before, until it holds as much
    /// again; nor does an index that lost most of what it had.
    pub(super) fn remember(&mut self, node: &SearchNodeEvidence) {
        for index in &node.indices {
            let Some(documents) = index.documents.filter(|documents| *documents > 0) else { continue };
            let Some(now) = self.as_memory(&node.node, &index.name, documents) else { continue };
            let seen = now.seen;
            let now = match self.memory.indices.get(&index.name) {
                None => now,
                Some(before) if !replaces(self.drift_percent, &now, before) => continue,
                Some(before) if is_the_same(&now, before) && seen.younger_by(before.seen) < AGAIN => continue,
                Some(before) => IndexMemory { since: before.since, ..now },
            };
            self.memory.indices.insert(index.name.clone(), now);
        }
    }

    /// The index on `node` holds that many now, and that is what will be remembered of it: it grew, or lost some, as it may.
    pub fn goes_on(&self, node: &Name, index: &str, documents: u64) -> bool {
        let (before, now) = (self.remembered(index), self.as_memory(node, index, documents));
        before.zip(now).is_some_and(|(before, now)| replaces(self.drift_percent, &now, before))
    }

    /// A count as it would be remembered.
    fn as_memory(&self, node: &Name, index: &str, documents: u64) -> Option<IndexMemory<Age>> {
        let seen = Age::new(self.last_count(node, index)?.asked);
        // a default is right: of indices that are not known none is the same.
        let uuids = self.written.get(node).map(|written| written.uuids(index)).unwrap_or_default();
        Some(IndexMemory { node: node.clone(), uuids, documents, seen, since: seen })
    }

    /// A rebuild went that fast, as it was seen just now.
    pub(super) fn remember_rate(&mut self, rate: Option<f64>, seen: Age) {
        if let Some(documents_per_second) = rate {
            self.memory.rate = Some(RateMemory { documents_per_second, seen });
        }
    }

    /// What the primary's index held while it was whole.
    pub fn remembered(&self, index: &str) -> Option<&IndexMemory<Age>> {
        self.memory.indices.get(index)
    }

    /// How fast the last rebuild went that was watched.
    pub const fn last_rate(&self) -> Option<RateMemory<Age>> {
        self.memory.rate
    }
}

/// What the other agent remembers, where that is the better memory. The younger one is, if it may overwrite the older, or if who has it
/// followed the counts when the older one was seen: then the way from one to the other was seen, too.
fn newer_of<'a>(
    drift_percent: u32,
    own: &IndexMemory<Age>,
    told: &'a IndexMemory<Age>,
) -> Option<&'a IndexMemory<Age>> {
    let may_follow = |young: &IndexMemory<Age>, old: &IndexMemory<Age>| {
        young.since.younger_by(old.seen).is_zero() || replaces(drift_percent, young, old)
    };
    let younger = told.seen.younger_by(own.seen);
    let wins = match younger.is_zero() {
        false if is_the_same(told, own) => younger >= AGAIN,
        false => may_follow(told, own),
        true => !may_follow(own, told),
    };
    wins.then_some(told)
}

/// As much as before, or still the same index with most of it.
fn replaces(drift_percent: u32, now: &IndexMemory<Age>, before: &IndexMemory<Age>) -> bool {
    let same = before.node == now.node && now.uuids.iter().any(|uuid| before.uuids.contains(uuid));
    is_enough(drift_percent, now.documents, before.documents) || (same && now.documents >= before.documents / 2)
}

fn is_the_same(one: &IndexMemory<Age>, other: &IndexMemory<Age>) -> bool {
    (&one.node, &one.uuids, one.documents) == (&other.node, &other.uuids, other.documents)
}

fn bounded(mut index: IndexMemory<Age>) -> IndexMemory<Age> {
    index.uuids.retain(|uuid| uuid.len() <= LONGEST_UUID);
    index.uuids.truncate(MOST_BEHIND);
    index
}

/// Of what was saved: the indices that are still configured.
pub(super) fn of_configured(
    memory: SearchMemory<Age>,
    node_is_known: impl Fn(&Name) -> bool,
    indices: &[String],
) -> SearchMemory<Age> {
    let known = |name: &String, index: &IndexMemory<Age>| indices.contains(name) && node_is_known(&index.node);
    let kept: BTreeMap<_, _> = memory.indices.into_iter().filter(|(name, index)| known(name, index)).collect();
    SearchMemory { indices: kept, rate: memory.rate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn at(seconds: u64) -> Age {
        Age::new(Moment::after_boot(Duration::from_secs(seconds)))
    }

    fn held(uuid: &str, documents: u64, since: u64, seen: u64) -> IndexMemory<Age> {
        let uuids = vec![uuid.to_owned()];
        IndexMemory { node: Name::new("alpha"), uuids, documents, seen: at(seen), since: at(since) }
    }

    fn agent(own: Option<IndexMemory<Age>>) -> SearchHistory {
        let mut history = SearchHistory::new(Duration::from_secs(600), 5);
        history.memory.indices.extend(own.map(|own| ("catalog".to_owned(), own)));
        history
    }

    /// What `own` remembers once it was told what the other one does, and the other one what `own` does.
    fn both(own: IndexMemory<Age>, other: IndexMemory<Age>) -> u64 {
        let told = |index: &IndexMemory<Age>| SearchMemory {
            indices: BTreeMap::from([("catalog".to_owned(), index.clone())]),
            rate: None,
        };
        let after = |mine: &IndexMemory<Age>, theirs: &IndexMemory<Age>| {
            let mut history = agent(Some(mine.clone()));
            history.learn(told(theirs), |_| true, &["catalog".to_owned()]);
            history.remembered("catalog").expect("kept").documents
        };
        let (one, two) = (after(&own, &other), after(&other, &own));
        assert_eq!(one, two, "both agents hold the same in the end");
        one
    }

    #[test]
    fn an_agent_that_saw_nothing_takes_what_it_is_told_of_what_is_configured() {
        let told = SearchMemory {
            indices: BTreeMap::from([
                ("catalog".to_owned(), held("a", 2000, 10, 20)),
                ("of-others".to_owned(), held("a", 2000, 10, 20)),
            ]),
            rate: Some(RateMemory { documents_per_second: 90.0, seen: at(20) }),
        };
        let mut history = agent(None);
        history.learn(told.clone(), |_| false, &["catalog".to_owned()]);
        assert_eq!(history.remembered("catalog"), None, "of a node that is not configured");
        history.learn(told, |_| true, &["catalog".to_owned()]);
        assert_eq!(history.remembered("catalog").map(|index| index.documents), Some(2000));
        assert_eq!(history.memory().indices.len(), 1);
        assert_eq!(history.last_rate().map(|rate| rate.documents_per_second), Some(90.0));
        let older = RateMemory { documents_per_second: 1.0, seen: at(3) };
        history.learn(SearchMemory { indices: BTreeMap::new(), rate: Some(older) }, |_| true, &[]);
        assert_eq!(history.last_rate().map(|rate| rate.documents_per_second), Some(90.0), "seen later");
    }

    #[test]
    fn the_younger_memory_of_a_whole_index_counts() {
        assert_eq!(both(held("a", 2000, 10, 100), held("a", 2100, 10, 500)), 2100);
        assert_eq!(both(held("a", 2000, 10, 100), held("a", 1990, 400, 500)), 1990, "near enough, whoever saw it");
    }

    /// An agent that was set up while the index was being filled would take the part for the whole.
    #[test]
    fn a_younger_memory_of_a_part_does_not_overwrite_the_whole() {
        assert_eq!(both(held("b", 800, 450, 500), held("a", 2000, 10, 100)), 2000);
    }

    #[test]
    fn who_followed_the_counts_all_the_time_knows_why_there_are_fewer_now() {
        assert_eq!(both(held("a", 900, 50, 500), held("a", 2000, 10, 100)), 900);
    }

    #[test]
    fn what_stays_the_same_is_noted_anew_now_and_then() {
        let mut history = agent(Some(held("a", 2000, 10, 100)));
        let mut tell = |seen| {
            let indices = BTreeMap::from([("catalog".to_owned(), held("a", 2000, 10, seen))]);
            history.learn(SearchMemory { indices, rate: None }, |_| true, &["catalog".to_owned()]);
            history.remembered("catalog").expect("kept").seen
        };
        assert_eq!(tell(130), at(100));
        assert_eq!(tell(170), at(170));
    }
}
