//! What is remembered of the comparisons of the application's own data.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::facts::{ObservedFacts, Reading};
use crate::names::Name;

/// An estimate is made over this many comparisons.
const WINDOW: usize = 12;

/// The last comparisons that came to their end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedHistory {
    last: VecDeque<ObservedFacts>,
    last_telling: Option<Moment>,
}

/// Over the last comparisons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Keys.
    pub compared: u64,
    /// On both sides and different.
    pub differing: u64,
}

impl ObservedHistory {
    /// Moments from before a pause of the machine mean nothing.
    pub const fn forget_moments(&mut self) {
        self.last_telling = None;
    }

    /// Takes in one comparison. One that failed half-way counts for nothing.
    pub fn record(&mut self, reading: &Reading<ObservedFacts>) {
        let Some(facts) = reading.facts().filter(|facts| facts.failures.is_empty() && !facts.same_server) else {
            return;
        };
        if facts.compared > 0 {
            self.last_telling = Some(reading.asked);
        }
        self.last.push_back(facts.clone());
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
    }

    /// When the newest one was asked that compared anything.
    pub const fn last_telling(&self) -> Option<Moment> {
        self.last_telling
    }

    /// Sums over the last comparisons.
    pub fn compared(&self) -> Compared {
        let sum = |read: fn(&ObservedFacts) -> u64| self.last.iter().map(read).sum();
        Compared { compared: sum(|facts| facts.compared), differing: sum(|facts| facts.differing) }
    }

    /// How many were missing on this node.
    pub fn missing_on(&self, node: &Name) -> u64 {
        let on_node = |facts: &ObservedFacts| -> u64 {
            facts.missing.iter().filter(|(name, _)| name == node).map(|(_, count)| *count).sum()
        };
        self.last.iter().map(on_node).sum()
    }
}
