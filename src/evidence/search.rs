//! What follows for the search engines, and for their rebuild after a failover.

use std::time::Duration;

use serde::Serialize;

use super::Verdict;
use crate::facts::SearchDisk;
use crate::names::{EstimateBy, ExpectedBy, Name, Reason, RebuildState, SearchHealth};
use crate::units::Bytes;

/// The search engines of all nodes.
#[derive(Clone, Debug, Serialize)]
pub struct SearchEvidence {
    /// Of the node with the primary's role.
    pub verdict: Verdict,
    /// The node with the primary's role, if the roles are known.
    pub primary: Option<Name>,
    /// Each configured node.
    pub nodes: Vec<SearchNodeEvidence>,
    /// Every engine but the primary's answered lately.
    pub standbys_up: bool,
    /// The documents of the primary's indices differ from what is expected, and no rebuild explains it. `None`: not known.
    pub drift: Option<bool>,
    /// How the primary's indices stand on their way to being whole again.
    pub rebuild: RebuildEvidence,
    /// How long a rebuild would take, were the standby promoted now.
    pub estimate: RebuildEstimate,
}

/// A rebuild of the primary's indices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RebuildEvidence {
    /// How it stands.
    pub state: RebuildState,
    /// The same in words, with numbers and, where there is one, the cure.
    pub detail: Option<String>,
    /// Documents written of those that are expected, over all configured indices; 1 is all.
    pub progress: Option<f64>,
    /// Documents per second, over the last minutes.
    pub rate: Option<f64>,
    /// Seconds until it is complete, at least and at most. `None` while that cannot be told, and in its first minutes.
    pub left: Option<(f64, f64)>,
    /// How long it has been seen to run.
    pub running_for: Option<Duration>,
    /// The node whose documents must not be counted now: that would slow its rebuild.
    #[serde(skip)]
    pub uncounted: Option<Name>,
}

impl RebuildEvidence {
    /// Nothing is known.
    pub fn unknown(detail: impl Into<String>) -> Self {
        Self {
            state: RebuildState::Unknown,
            detail: Some(detail.into()),
            progress: None,
            rate: None,
            left: None,
            running_for: None,
            uncounted: None,
        }
    }
}

/// How long a whole rebuild takes, as far as that is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RebuildEstimate {
    /// In seconds; `None` is not known, never 0.
    pub seconds: Option<f64>,
    /// What it rests on.
    pub by: EstimateBy,
    /// The same in words; where nothing is known, the line to add to the configuration.
    pub detail: String,
}

/// One node's search engine.
#[derive(Clone, Debug, Serialize)]
pub struct SearchNodeEvidence {
    /// The node.
    pub node: Name,
    /// Its engine answered lately.
    pub up: bool,
    /// Why not.
    pub reason: Option<Reason>,
    /// Distribution and version.
    pub engine: Option<String>,
    /// Its colour.
    pub health: Option<SearchHealth>,
    /// Of the shards that should be there.
    pub active_shards_percent: Option<f64>,
    /// Changes of the cluster that wait to be made.
    pub pending_tasks: Option<u64>,
    /// Its fullest disk, and the watermarks.
    pub disk: Option<SearchDisk>,
    /// Configured indices: name, there or not, documents.
    pub indices: Vec<SearchIndexEvidence>,
}

impl SearchNodeEvidence {
    /// Its disk is over the high watermark. `None`: not known, or no watermark is heeded.
    pub fn disk_high(&self) -> Option<bool> {
        let disk = self.disk?;
        Some(disk.used >= disk.high?)
    }

    /// A block keeps one of its indices from being written. `None` while that of any is not known and none is known to be blocked.
    pub fn read_only(&self) -> Option<bool> {
        let blocked = self.indices.iter().filter(|index| index.exists != Some(false)).map(|index| index.read_only);
        let known: Option<Vec<bool>> = blocked.clone().collect();
        match known {
            _ if blocked.clone().any(|blocked| blocked == Some(true)) => Some(true),
            Some(known) if !known.is_empty() => Some(false),
            _ => None,
        }
    }
}

/// One configured index on one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SearchIndexEvidence {
    /// As configured.
    pub name: String,
    /// It is there.
    pub exists: Option<bool>,
    /// Its colour.
    pub health: Option<SearchHealth>,
    /// Its documents, as last counted.
    pub documents: Option<u64>,
    /// A block keeps it from being written.
    pub read_only: Option<bool>,
    /// Size of its primary shards.
    pub store: Option<Bytes>,
    /// The indices that it is an alias of; empty where it is none.
    pub alias_of: Vec<String>,
    /// How many documents there should be. Told of the primary's indices only.
    pub expected: Option<u64>,
    /// Who says so.
    pub expected_by: Option<ExpectedBy>,
    /// How old that is, at least; a number in the configuration has no age.
    pub expected_age: Option<Duration>,
    /// Documents written of those, while a rebuild is under way; 1 is all.
    pub progress: Option<f64>,
}
