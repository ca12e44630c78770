//! What is remembered of the search engines: how many documents each configured index last held on each node, what was written
//! since, what the primary's held while it was whole, and the rebuild that is under way.

mod memory;
mod saved;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::evidence::SearchEvidence;
use crate::facts::{Age, IndexFacts, Reading, SearchFacts, SearchMemory};
use crate::names::{Name, RebuildState};

pub use saved::SavedSearch;
pub use written::{NodeWritten, Rates};

/// The memory of one pair's search engines. Bounded by the configured nodes and indices.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHistory {
    counts: BTreeMap<Name, BTreeMap<String, LastCount>>,
    written: BTreeMap<Name, NodeWritten>,
    /// By the database.
    told: BTreeMap<String, LastCount>,
    memory: SearchMemory<Age>,
    last_primary: Option<Name>,
    rebuild: Option<Rebuild>,
    rate_window: Duration,
    drift_percent: u32,
}

/// The last count of one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCount {
    /// How many.
    pub documents: u64,
    /// When a reading showed it last.
    pub asked: Moment,
}

/// A rebuild of one node's indices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rebuild {
    /// The node with the primary's role.
    pub node: Name,
    /// What had been written when it was first awaited.
    awaited_at: u64,
    /// Since when it runs, and what had been written then. `None`: nobody has begun.
    pub began: Option<(Moment, u64)>,
    /// It is over: the indices are whole.
    pub complete: bool,
}

impl SearchHistory {
    /// Nothing remembered. The rate of a rebuild is that of `rate_window`; a count this near to another is as good.
    pub const fn new(rate_window: Duration, drift_percent: u32) -> Self {
        Self {
            counts: BTreeMap::new(),
            written: BTreeMap::new(),
            told: BTreeMap::new(),
            memory: SearchMemory { indices: BTreeMap::new(), rate: None },
            last_primary: None,
            rebuild: None,
            rate_window,
            drift_percent,
        }
    }

    /// Takes in one reading of `node`.
    pub fn record(&mut self, node: &Name, reading: &Reading<SearchFacts>) {
        let Some(facts) = reading.facts() else { return };
        for index in &facts.indices {
            if let Some(documents) = index.documents {
                let count = LastCount { documents, asked: reading.asked };
                self.counts.entry(node.clone()).or_default().insert(index.name.clone(), count);
            }
        }
        let window = self.rate_window;
        self.written.entry(node.clone()).or_insert_with(|| NodeWritten::new(window)).record(facts, reading.asked);
    }

    /// Takes in what the database says of an index, or that it no longer does.
    pub fn record_expected(&mut self, index: &str, reading: &Reading<u64>) {
        // Two agents may tell, and the older word come later.
        if self.told.get(index).is_some_and(|held| held.asked > reading.asked) {
            return;
        }
        match &reading.result {
            Ok(documents) => {
                self.told.insert(index.to_owned(), LastCount { documents: *documents, asked: reading.asked });
            }
            Err(_) => {
                self.told.remove(index);
            }
        }
    }

    /// Takes in what was derived from the newest readings.
    pub fn note(&mut self, evidence: &SearchEvidence, now: Moment) {
        let Some(primary) = &evidence.primary else { return };
        if let Some(node) = evidence.nodes.iter().find(|node| node.node == *primary && node.up) {
            self.remember(node);
        }
        self.note_rebuild(primary, evidence.rebuild.state, now);
    }

    fn note_rebuild(&mut self, primary: &Name, state: RebuildState, now: Moment) {
        let Some(written) = self.written.get_mut(primary) else { return };
        let sum = written.sum();
        match state {
            RebuildState::Unknown => return,
            RebuildState::NotExpected => {
                written.is_whole();
                self.rebuild = None;
            }
            RebuildState::Complete => {
                written.is_whole();
                if let Some(rebuild) = self.rebuild.as_mut().filter(|rebuild| !rebuild.complete) {
                    rebuild.complete = true;
                    let rate = written.whole_rate(rebuild.began);
                    self.remember_rate(rate, Age::new(now));
                }
            }
            RebuildState::Idle | RebuildState::Rebuilding | RebuildState::Stalled => {
                let open = self.rebuild.take().filter(|rebuild| rebuild.node == *primary && !rebuild.complete);
                let mut rebuild = open.unwrap_or_else(|| Rebuild {
                    node: primary.clone(),
                    // What was written since the indices were seen to be made anew belongs to it.
                    awaited_at: written.renewed_at().unwrap_or(sum),
                    began: None,
                    complete: false,
                });
                if rebuild.began.is_none() && sum > rebuild.awaited_at {
                    rebuild.began = Some((written.risen().unwrap_or(now), sum));
                }
                let half = self.rate_window / 2;
                let settled = rebuild.began.is_some_and(|(at, _)| now.since(at) >= half);
                let rate = written.whole_rate(rebuild.began.filter(|_| settled && state == RebuildState::Rebuilding));
                self.rebuild = Some(rebuild);
                self.remember_rate(rate, Age::new(now));
            }
        }
        self.last_primary = Some(primary.clone());
    }

    /// The last count of `index` on `node`.
    pub fn last_count(&self, node: &Name, index: &str) -> Option<LastCount> {
        self.counts.get(node)?.get(index).copied()
    }

    /// What was written into the indices of `node`.
    pub fn written(&self, node: &Name) -> Option<&NodeWritten> {
        self.written.get(node)
    }

    /// What the database said last of an index, if it still says so.
    pub fn told(&self, index: &str) -> Option<LastCount> {
        self.told.get(index).copied()
    }

    /// The rebuild of `node` that is under way or was watched to its end.
    pub fn rebuild(&self, node: &Name) -> Option<&Rebuild> {
        self.rebuild.as_ref().filter(|rebuild| rebuild.node == *node)
    }

    /// The rebuild that is under way, on whichever node.
    pub fn open_rebuild(&self) -> Option<&Rebuild> {
        self.rebuild.as_ref().filter(|rebuild| !rebuild.complete)
    }

    /// A rebuild of `node` has begun: something was written since it was first awaited.
    pub fn has_begun(&self, node: &Name) -> bool {
        let Some(written) = self.written.get(node) else { return false };
        match self.rebuild(node).filter(|rebuild| !rebuild.complete) {
            Some(rebuild) => rebuild.began.is_some() || written.sum() > rebuild.awaited_at,
            None => written.renewed_at().is_some_and(|at| written.sum() > at),
        }
    }

    /// Another node was the primary before.
    pub fn was_promoted(&self, node: &Name) -> bool {
        self.last_primary.as_ref().is_some_and(|before| before != node)
    }

    /// The machine was paused from outside: what counts by moments begins anew, what was counted stays.
    pub fn forget_moments(&mut self) {
        self.told.clear();
        self.counts.clear();
        self.written.values_mut().for_each(NodeWritten::forget_moments);
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.began = None;
        }
    }
}

/// The uuids of what stands behind a name, as far as they are told.
fn uuids(index: &IndexFacts) -> Vec<String> {
    index.behind.iter().filter_map(|index| index.uuid.clone()).collect()
}
