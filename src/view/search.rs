//! The search engines in the API's documents, and what is said of a rebuild in words.

use serde::{Deserialize, Serialize};

use crate::evidence::{RebuildEstimate, RebuildEvidence, SearchEvidence, SearchIndexEvidence, SearchNodeEvidence};
use crate::names::{EstimateBy, ExpectedBy, Name, Reason, RebuildState, SearchHealth};
use crate::view::wording::{UNKNOWN, words};

/// The search engines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchDocument {
    /// The primary's engine is known.
    pub up: bool,
    /// The node with the primary's role.
    pub primary: Option<Name>,
    /// Each engine.
    pub nodes: Vec<SearchNodeDocument>,
    /// The primary's documents differ from what is expected, and no rebuild explains it.
    #[serde(default)]
    pub documents_drift: Option<bool>,
    /// How the primary's indices stand on their way to being whole again. An older agent does not tell.
    #[serde(default)]
    pub rebuild: Option<RebuildDocument>,
    /// How long a rebuild would take, were the standby promoted now. An older agent does not tell.
    #[serde(default)]
    pub rebuild_estimate: Option<EstimateDocument>,
}

/// A rebuild of the primary's indices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RebuildDocument {
    /// How it stands.
    pub state: RebuildState,
    /// The same in words.
    pub detail: Option<String>,
    /// Of the documents that are expected; 1 is all.
    pub progress_ratio: Option<f64>,
    /// Over the last minutes.
    pub documents_per_second: Option<f64>,
    /// Until it is complete, at least.
    pub left_least_seconds: Option<f64>,
    /// And at most.
    pub left_most_seconds: Option<f64>,
    /// It has been seen to run for so long.
    pub running_seconds: Option<f64>,
}

/// How long a whole rebuild takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateDocument {
    /// `null` is not known.
    pub seconds: Option<f64>,
    /// What it rests on.
    pub by: EstimateBy,
    /// The same in words; where nothing is known, the line to add to the configuration.
    pub detail: String,
}

/// One search engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchNodeDocument {
    /// Its node.
    pub node: Name,
    /// It answered lately.
    pub up: bool,
    /// Why not.
    pub reason: Option<Reason>,
    /// Distribution and version.
    #[serde(default)]
    pub engine: Option<String>,
    /// Its colour.
    pub health: Option<SearchHealth>,
    /// Of the shards that should be there.
    pub active_shards_percent: Option<f64>,
    /// Its fullest disk.
    #[serde(default)]
    pub disk: Option<SearchDiskDocument>,
    /// The configured indices.
    pub indices: Vec<IndexDocument>,
}

/// A disk, and the engine's own limits of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchDiskDocument {
    /// 1 is full.
    pub used_ratio: f64,
    /// The high watermark; `null` where none is heeded.
    pub high_ratio: Option<f64>,
    /// From here on nothing is written any more.
    pub flood_ratio: Option<f64>,
}

/// One configured index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDocument {
    /// As configured.
    pub name: String,
    /// It is there.
    pub exists: Option<bool>,
    /// Its colour.
    pub health: Option<SearchHealth>,
    /// In it, as last counted.
    pub documents: Option<u64>,
    /// A block keeps it from being written.
    pub read_only: Option<bool>,
    /// Its primary shards.
    #[serde(default)]
    pub store_bytes: Option<u64>,
    /// The indices that it is an alias of.
    #[serde(default)]
    pub alias_of: Vec<String>,
    /// How many documents there should be; of the primary's only.
    #[serde(default)]
    pub expected_documents: Option<u64>,
    /// Who says so.
    #[serde(default)]
    pub expected_by: Option<ExpectedBy>,
    /// How old that is, at least; a number in the configuration has no age.
    #[serde(default)]
    pub expected_age_seconds: Option<f64>,
    /// Documents written of those, during a rebuild; 1 is all.
    #[serde(default)]
    pub progress_ratio: Option<f64>,
}

/// The document of the evidence.
pub fn search_document(search: &SearchEvidence) -> SearchDocument {
    SearchDocument {
        up: search.verdict.up,
        primary: search.primary.clone(),
        nodes: search.nodes.iter().map(node_document).collect(),
        documents_drift: search.drift,
        rebuild: Some(rebuild_document(&search.rebuild)),
        rebuild_estimate: Some(estimate_document(&search.estimate)),
    }
}

fn rebuild_document(rebuild: &RebuildEvidence) -> RebuildDocument {
    RebuildDocument {
        state: rebuild.state,
        detail: rebuild.detail.clone(),
        progress_ratio: rebuild.progress,
        documents_per_second: rebuild.rate,
        left_least_seconds: rebuild.left.map(|(least, _)| least),
        left_most_seconds: rebuild.left.map(|(_, most)| most),
        running_seconds: rebuild.running_for.map(|running| running.as_secs_f64()),
    }
}

fn estimate_document(estimate: &RebuildEstimate) -> EstimateDocument {
    EstimateDocument { seconds: estimate.seconds, by: estimate.by, detail: estimate.detail.clone() }
}

fn node_document(node: &SearchNodeEvidence) -> SearchNodeDocument {
    let disk = node.disk.map(|disk| SearchDiskDocument {
        used_ratio: disk.used,
        high_ratio: disk.high,
        flood_ratio: disk.flood,
    });
    SearchNodeDocument {
        node: node.node.clone(),
        up: node.up,
        reason: node.reason,
        engine: node.engine.clone(),
        health: node.health,
        active_shards_percent: node.active_shards_percent,
        disk,
        indices: node.indices.iter().map(index_document).collect(),
    }
}

fn index_document(index: &SearchIndexEvidence) -> IndexDocument {
    IndexDocument {
        name: index.name.clone(),
        exists: index.exists,
        health: index.health,
        documents: index.documents,
        read_only: index.read_only,
        store_bytes: index.store.map(|store| store.0),
        alias_of: index.alias_of.clone(),
        expected_documents: index.expected,
        expected_by: index.expected_by,
        expected_age_seconds: index.expected_age.map(|age| age.as_secs_f64()),
        progress_ratio: index.progress,
    }
}

/// An index in a few words.
pub fn index_words(index: &IndexDocument) -> String {
    let mut text = match (index.exists, index.documents) {
        (Some(false), _) => format!("{}: missing", index.name),
        (_, Some(documents)) => format!("{}: {documents} documents", index.name),
        (_, None) => format!("{}: {UNKNOWN}", index.name),
    };
    if let (Some(expected), Some(by)) = (index.expected_documents, index.expected_by) {
        let by = match by {
            ExpectedBy::Sql => "by the database".to_owned(),
            ExpectedBy::Fixed => "by configuration".to_owned(),
            ExpectedBy::Remembered => match index.expected_age_seconds {
                Some(age) => format!("as it held {} ago", crate::view::wording::seconds(Some(age))),
                None => "as it held".to_owned(),
            },
        };
        text += &format!(" of {expected} expected {by}");
    }
    if let Some(progress) = index.progress_ratio {
        text += &format!(", {:.0} % written", 100.0 * progress);
    }
    text
}

/// The rebuild in a few words.
pub fn rebuild_words(rebuild: &RebuildDocument) -> String {
    let state = words(rebuild.state.as_str());
    match &rebuild.detail {
        Some(detail) => format!("{state}: {detail}"),
        None => state,
    }
}

/// The estimate in a few words.
pub fn estimate_words(estimate: &EstimateDocument) -> String {
    match estimate.seconds {
        Some(seconds) if estimate.by == EstimateBy::Measured => {
            format!("{} ({})", crate::view::wording::seconds(Some(seconds)), estimate.detail)
        }
        _ => estimate.detail.clone(),
    }
}
