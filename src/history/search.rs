//! What is remembered of the search engines: how many documents each configured index last held on each node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::facts::{Reading, SearchFacts};
use crate::names::Name;

/// The memory of one pair's search engines. Bounded by the configured nodes and indices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHistory {
    counts: BTreeMap<Name, BTreeMap<String, LastCount>>,
}

/// The last count of one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCount {
    /// How many.
    pub documents: u64,
    /// When a reading showed it last.
    pub asked: Moment,
}

impl SearchHistory {
    /// Takes in one reading of `node`.
    pub fn record(&mut self, node: &Name, reading: &Reading<SearchFacts>) {
        let Some(facts) = reading.facts() else { return };
        for index in &facts.indices {
            if let Some(documents) = index.documents {
                let count = LastCount { documents, asked: reading.asked };
                self.counts.entry(node.clone()).or_default().insert(index.name.clone(), count);
            }
        }
    }

    /// The last count of `index` on `node`.
    pub fn last_count(&self, node: &Name, index: &str) -> Option<LastCount> {
        self.counts.get(node)?.get(index).copied()
    }
}
