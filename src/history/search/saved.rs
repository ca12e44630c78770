//! What of the memory of the search engines survives a restart of the agent, and what of it another boot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::written::{IndexWritten, NodeWritten};
use super::{Rebuild, Remembered, SearchHistory};
use crate::clock::Moment;
use crate::names::Name;

/// The part of the channel's memory that is saved. Counts are facts, in whatever boot; moments count for their own boot only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedSearch {
    written: BTreeMap<Name, BTreeMap<String, IndexWritten>>,
    remembered: BTreeMap<String, Remembered>,
    last_primary: Option<Name>,
    rebuild: Option<Rebuild>,
    last_rate: Option<f64>,
}

impl SavedSearch {
    /// What still counts in another boot, or if a moment cannot have been saved before `now`.
    #[must_use]
    pub fn in_boot(mut self, same: bool, now: Moment) -> Self {
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.began = rebuild.began.filter(|(at, _)| same && *at <= now);
        }
        self.last_rate = self.last_rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        self
    }
}

impl SearchHistory {
    /// What must survive a restart.
    pub fn saved(&self) -> SavedSearch {
        let indices = |(node, written): (&Name, &NodeWritten)| (node.clone(), written.indices().clone());
        SavedSearch {
            written: self.written.iter().map(indices).collect(),
            remembered: self.remembered.clone(),
            last_primary: self.last_primary.clone(),
            rebuild: self.rebuild.clone(),
            last_rate: self.last_rate,
        }
    }

    /// Goes on from what was saved, for the nodes and indices that are still configured.
    pub fn restore(&mut self, saved: SavedSearch, node_is_known: impl Fn(&Name) -> bool, indices: &[String]) {
        let known = |index: &String| indices.contains(index);
        for (node, mut written) in saved.written.into_iter().filter(|(node, _)| node_is_known(node)) {
            written.retain(|index, _| known(index));
            self.written.insert(node, NodeWritten::restored(self.rate_window, written));
        }
        self.remembered = saved.remembered.into_iter().filter(|(index, _)| known(index)).collect();
        self.last_primary = saved.last_primary.filter(&node_is_known);
        self.rebuild = saved.rebuild.filter(|rebuild| node_is_known(&rebuild.node));
        self.last_rate = saved.last_rate;
    }
}
