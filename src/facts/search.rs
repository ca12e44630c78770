//! What a search engine says of itself and of the configured indices.

use serde::{Deserialize, Serialize};

use super::Opaque;
use crate::names::SearchHealth;
use crate::units::Bytes;

/// What one node's search engine says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchFacts {
    /// `elasticsearch` or `opensearch`.
    pub distribution: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The cluster's colour.
    pub health: Option<SearchHealth>,
    /// The cluster's answer is a guess: it timed out.
    pub timed_out: Option<bool>,
    /// Of the shards that should be there.
    pub active_shards_percent: Option<f64>,
    /// Shards without a home.
    pub unassigned_shards: Option<u64>,
    /// Shards that are being made.
    pub initializing_shards: Option<u64>,
    /// Shards that move from one node to another.
    #[serde(default)]
    pub relocating_shards: Option<u64>,
    /// Changes of the cluster that wait to be made.
    #[serde(default)]
    pub pending_tasks: Option<u64>,
    /// Questions to its nodes that are under way.
    #[serde(default)]
    pub in_flight_fetches: Option<u64>,
    /// Nodes of the cluster.
    pub nodes: Option<u64>,
    /// Shards that are being copied or read back now; asked only while some are being made.
    #[serde(default)]
    pub recoveries: Option<u64>,
    /// The fullest disk of its nodes.
    #[serde(default)]
    pub disk: Option<SearchDisk>,
    /// The configured indices, in the order of the configuration.
    pub indices: Vec<IndexFacts>,
}

/// The disk of that node of a cluster which is nearest to its limits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchDisk {
    /// Used, as a share of the whole.
    pub used: f64,
    /// From this share on it takes no shard more and moves some away (the high watermark). `None`: the engine heeds no watermark,
    /// or may not be asked for it.
    pub high: Option<f64>,
    /// From this share on its indices take no writes (the flood stage).
    pub flood: Option<f64>,
}

/// One configured index or alias.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexFacts {
    /// As configured.
    pub name: String,
    /// It is there. A 404 is `Some(false)`; not learned is `None`.
    pub exists: Option<bool>,
    /// Its own colour.
    pub health: Option<SearchHealth>,
    /// Documents by `_count`, as last counted (counting is not done each time).
    pub documents: Option<u64>,
    /// What `indexed` was when they were counted: the count belongs to that point.
    #[serde(default)]
    pub indexed_when_counted: Option<u64>,
    /// Documents written into its primary shards since those were opened; begins again at 0 with the engine.
    #[serde(default)]
    pub indexed: Option<u64>,
    /// Size of its primary shards.
    #[serde(default)]
    pub store: Option<Bytes>,
    /// A block keeps it from being written (`read_only_allow_delete`, `read_only`, `write`).
    pub read_only: Option<bool>,
    /// What stands behind the name: itself, or the indices of an alias.
    #[serde(default)]
    pub behind: Vec<ConcreteIndex>,
}

/// One index as the engine keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcreteIndex {
    /// Its name; another one than configured where that is an alias.
    pub name: String,
    /// Deleted and made again, an index has another one.
    pub uuid: Option<String>,
    /// When it was made, by the engine's clock.
    pub created: Option<Opaque>,
}
