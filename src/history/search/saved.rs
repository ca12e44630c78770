//! What of the memory of the search engines survives a restart of the agent, and what of it another boot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::memory::of_configured;
use super::written::{IndexWritten, NodeWritten};
use super::{LastCount, Rebuild, SearchHistory};
use crate::clock::Moment;
use crate::facts::{Age, IndexMemory, RateMemory, SearchMemory};
use crate::names::Name;

/// The part of the channel's memory that is saved. Counts are facts, in whatever boot; moments count for their own boot only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedSearch {
    written: BTreeMap<Name, BTreeMap<String, IndexWritten>>,
    remembered: BTreeMap<String, IndexMemory<Option<Age>>>,
    last_primary: Option<Name>,
    rebuild: Option<Rebuild>,
    /// As files of before have it, without an age.
    #[serde(skip_serializing)]
    last_rate: Option<f64>,
    rate: Option<RateMemory<Option<Age>>>,
    told: BTreeMap<String, LastCount>,
}

impl SavedSearch {
    /// What still counts in another boot than that of `saved_at`, or if a moment cannot have been saved before `now`.
    #[must_use]
    pub fn in_boot(mut self, same: bool, saved_at: Moment, now: Moment) -> Self {
        let goes_on = |age: Option<Age>| match age {
            Some(age) if same => age.is_sound(now).then_some(age),
            Some(age) => age.is_sound(saved_at).then(|| age.carried(saved_at, now)),
            None => None,
        };
        for index in self.remembered.values_mut() {
            (index.seen, index.since) = (goes_on(index.seen), goes_on(index.since));
        }
        if let Some(rate) = &mut self.rate {
            rate.seen = goes_on(rate.seen);
        }
        self.told.retain(|_, told| same && told.asked <= now);
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.began = rebuild.began.filter(|(at, _)| same && *at <= now);
        }
        self
    }
}

impl SearchHistory {
    /// What must survive a restart.
    pub fn saved(&self) -> SavedSearch {
        let indices = |(node, written): (&Name, &NodeWritten)| (node.clone(), written.indices().clone());
        let memory = self.memory().with_ages(|age| Some(Some(age)));
        SavedSearch {
            written: self.written.iter().map(indices).collect(),
            remembered: memory.indices,
            last_primary: self.last_primary.clone(),
            rebuild: self.rebuild.clone(),
            last_rate: None,
            rate: memory.rate,
            told: self.told.clone(),
        }
    }

    /// Goes on from what was saved, for the nodes and indices that are still configured.
    pub fn restore(
        &mut self,
        saved: SavedSearch,
        node_is_known: impl Fn(&Name) -> bool,
        indices: &[String],
        now: Moment,
    ) {
        let known = |index: &String| indices.contains(index);
        for (node, mut written) in saved.written.into_iter().filter(|(node, _)| node_is_known(node)) {
            written.retain(|index, _| known(index));
            self.written.insert(node, NodeWritten::restored(self.rate_window, written));
        }
        let unaged = saved.last_rate.map(|documents_per_second| RateMemory { documents_per_second, seen: None });
        let memory = SearchMemory { indices: saved.remembered, rate: saved.rate.or(unaged) };
        // Of what age it is, is not known: none at least.
        let memory = memory.with_ages(|age| Some(age.unwrap_or(Age::new(now))));
        self.memory = of_configured(memory, &node_is_known, indices);
        self.told = saved.told.into_iter().filter(|(index, _)| known(index)).collect();
        self.last_primary = saved.last_primary.filter(&node_is_known);
        self.rebuild = saved.rebuild.filter(|rebuild| node_is_known(&rebuild.node));
    }
}
