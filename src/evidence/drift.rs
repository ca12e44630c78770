//! Whether the standby's tree of configuration is the primary's.

use serde::Serialize;

use crate::clock::Moment;
use crate::names::{DriftKind, TreeBound};

/// The standby's tree beside the primary's. Of several standbys the one with the most drifted files.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DriftEvidence {
    /// Both trees were read as a whole and lately, and they are two.
    pub compared: bool,
    /// Why not, in words with the cure.
    pub not_compared: Option<String>,
    /// Paths that differ and were to be copied for two periods. `None`: not known; never 0 unless everything was compared.
    pub drifted_files: Option<u64>,
    /// There may be more of them.
    pub at_least: bool,
    /// Paths that differ now, copies in flight among them.
    pub differing_files: Option<u64>,
    /// Entries of both trees that could not be read.
    pub unreadable_files: Option<u64>,
    /// A tree is larger than what is read of it.
    pub bound: Option<TreeBound>,
    /// The first of the drifted paths, twenty at most.
    pub named: Vec<DriftedFile>,
}

/// One path of the standby's copy that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftedFile {
    /// Relative to the root, made fit to be shown.
    pub path: String,
    /// What is wrong with it.
    pub kind: DriftKind,
    /// Since when, as far as it was seen.
    #[serde(skip)]
    pub since: Moment,
}
