//! A tree of configuration as it was read, and how the other agent is told of it: a summary each time, all of it when it asks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Arrived, AtAge, Latest, Manifest, Reading};
use crate::clock::Moment;
use crate::names::{Name, TreeBound};

/// One node's tree of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFacts {
    /// What lies in it. The same one as before where nothing has changed.
    pub manifest: Arc<Manifest>,
    /// Names the patterns of what is compared: trees that were read by different ones differ by that.
    pub patterns: u64,
    /// Device and inode of its root, where it lies on this machine: two names of one tree prove nothing about each other.
    pub place: Option<(u64, u64)>,
}

impl TreeFacts {
    /// What is told of it each time.
    pub fn summary(&self) -> TreeSummary {
        TreeSummary {
            digest: digest_text(&self.manifest),
            entries: self.manifest.entries(),
            patterns: self.patterns_text(),
        }
    }

    fn patterns_text(&self) -> String {
        format!("{:016x}", self.patterns)
    }
}

/// A manifest's digest as it is sent.
pub fn digest_text(manifest: &Manifest) -> String {
    format!("{:032x}", u128::from_be_bytes(manifest.digest()))
}

/// What is told of a tree with every answer. Enough where both trees are the same, and to know whether one is held already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeSummary {
    /// The manifest's digest, in hexadecimal digits.
    pub digest: String,
    /// Entries in it.
    pub entries: u32,
    /// Names the patterns that it was read by.
    pub patterns: String,
}

/// The newest look, as far as it is told each time.
pub fn summary_of(latest: &Latest<TreeFacts>) -> Latest<TreeSummary> {
    match latest {
        Latest::NeverAsked => Latest::NeverAsked,
        Latest::Dropped => Latest::Dropped,
        Latest::Have(reading) => {
            let Reading { asked, answered, result } = reading.as_ref();
            let result = result.as_ref().map(TreeFacts::summary).map_err(Clone::clone);
            Latest::Have(Arc::new(Reading { asked: *asked, answered: *answered, result }))
        }
    }
}

/// The field in the head of an answer with a manifest that holds a [`TreeHead`], as JSON.
pub const TREE_HEAD: &str = "standbywatch-tree";

/// What stands in the head of an answer whose body is a whole manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeHead {
    /// The pair that it is about.
    pub pair: String,
    /// The node whose tree it is.
    pub node: String,
    /// One run of the agent.
    pub run: String,
    /// The reading with its age when the answer was made.
    pub reading: AtAge<TreeTold>,
}

/// Of a manifest, what its records do not say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeTold {
    /// As in the summary.
    pub patterns: String,
    /// The bound that cut it short, if one did.
    pub bound: Option<TreeBound>,
}

impl TreeHead {
    /// The head of an answer made at `now`, with the manifest that goes with it; `None` while there is none to be told.
    pub fn new(
        pair: &Name,
        node: &Name,
        run: &str,
        tree: &Latest<TreeFacts>,
        now: Moment,
    ) -> Option<(Self, Arc<Manifest>)> {
        let Latest::Have(reading) = tree else { return None };
        let facts = reading.facts()?;
        let told = TreeTold { patterns: facts.patterns_text(), bound: facts.manifest.bound() };
        let reading = AtAge::new(told, (reading.asked, reading.answered), now);
        let head = Self { pair: pair.to_string(), node: node.to_string(), run: run.to_owned(), reading };
        Some((head, facts.manifest.clone()))
    }

    /// The reading that it tells of, on the clock here, with the body of the answer. Walks through all of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(
        self,
        body: &[u8],
        (pair, node): (&Name, &Name),
        (asked, answered): (Moment, Moment),
        most_entries: u32,
    ) -> Result<Arrived<TreeFacts>, String> {
        if self.pair != pair.as_str() || self.node != node.as_str() {
            return Err(format!("it is the agent of another node, not of {node}: check the agents' URLs and --node"));
        }
        let TreeTold { patterns, bound } = &self.reading.told;
        let patterns = u64::from_str_radix(patterns, 16).map_err(|_| "it names no patterns".to_owned())?;
        let manifest = Manifest::from_records(body, *bound, most_entries).map_err(|error| error.to_string())?;
        let facts = TreeFacts { manifest: Arc::new(manifest), patterns, place: None };
        let moments = self.reading.moments(asked, answered).map_err(|_| "it tells an age that is none".to_owned())?;
        let (asked, answered) = moments.ok_or("it is from before this machine booted")?;
        let reading = Reading { asked, answered, result: Ok(facts) };
        Ok(Arrived { id: self.reading.id_in(&self.run), reading })
    }
}

#[cfg(test)]
mod tests;
