//! Whether the standby's tree of configuration is the primary's.

use serde::{Deserialize, Serialize};

use crate::names::{DriftKind, TreeBound};

/// The standby's tree beside the primary's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftDocument {
    /// Both trees were read as a whole and lately.
    pub compared: bool,
    /// Why not, with the cure.
    pub not_compared: Option<String>,
    /// Paths that differ and were to be copied for two periods; `null` is unknown.
    pub drifted_files: Option<u64>,
    /// There may be more of them.
    pub at_least: bool,
    /// Paths that differ now, copies in flight among them.
    pub differing_files: Option<u64>,
    /// Entries of both trees that could not be read.
    pub unreadable_files: Option<u64>,
    /// The bound that a tree has gone over.
    pub bound: Option<TreeBound>,
    /// The first of those that have drifted, twenty at most.
    pub files: Vec<DriftedFileDocument>,
}

/// One drifted path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftedFileDocument {
    /// Relative to the root; what is not text in it is escaped.
    pub path: String,
    /// What is wrong with the standby's.
    pub kind: DriftKind,
    /// For how long, as far as it was seen.
    pub for_seconds: Option<f64>,
}
