//! What a search engine's answers say: a pure parser, tolerant of fields that come and go and of numbers written as text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::facts::{ConcreteIndex, Failure, Opaque, SearchFacts};
use crate::http_client::Response;
use crate::names::{FailureKind, SearchHealth};
use crate::units::Bytes;

/// So much of an answer that is not understood is shown.
const EXCERPT: usize = 80;

/// Longer words of a server's own are cut.
const LONGEST_WORD: usize = 40;

/// A number, or text that holds one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Loose {
    Number(f64),
    Text(String),
    Other(serde::de::IgnoredAny),
}

impl Loose {
    pub(super) fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().trim_end_matches('%').parse().ok(),
            Self::Other(_) => None,
        };
        number.filter(|number| number.is_finite() && *number >= 0.0)
    }

    /// A whole number; anything else was not understood.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
    fn count(&self) -> Option<u64> {
        let whole = |number: &f64| number.fract() == 0.0 && *number < 9.0e15;
        self.number().filter(whole).map(|number| number as u64)
    }

    pub(super) fn is_true(&self) -> bool {
        matches!(self, Self::Text(text) if text == "true")
    }
}

fn count(value: Option<&Loose>) -> Option<u64> {
    value.and_then(Loose::count)
}

/// Which engine answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `elasticsearch` or `opensearch`.
    pub distribution: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// The answer to `/`.
///
/// # Errors
/// An answer that is not that of a search engine.
pub fn identity(response: &Response) -> Result<Identity, Failure> {
    #[derive(Deserialize)]
    struct Root {
        version: Option<Version>,
    }
    #[derive(Deserialize)]
    struct Version {
        number: Option<String>,
        distribution: Option<String>,
    }
    let version = json::<Root>(response)?.version;
    let number = version.as_ref().and_then(|version| version.number.clone());
    // Elasticsearch has never named itself there; OpenSearch always does.
    let distribution = version.and_then(|version| version.distribution);
    let distribution = distribution.or_else(|| number.is_some().then(|| "elasticsearch".to_owned()));
    let short = |text: String| text.chars().take(LONGEST_WORD).collect();
    Ok(Identity { distribution: distribution.map(short), version: number.map(short) })
}

/// The answer to `/_nodes/_local`, where `/` is not there. What it does not tell stays unknown.
pub fn identity_of_node(response: &Response) -> Identity {
    #[derive(Deserialize)]
    struct Nodes {
        #[serde(default)]
        nodes: BTreeMap<String, Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        version: Option<String>,
        build_flavor: Option<String>,
    }
    let node = json::<Nodes>(response).ok().and_then(|answer| answer.nodes.into_values().next());
    let Some(node) = node else { return Identity::default() };
    // Only Elasticsearch has flavours.
    let distribution = node.build_flavor.map(|_| "elasticsearch".to_owned());
    Identity { distribution, version: node.version.map(|version| version.chars().take(LONGEST_WORD).collect()) }
}

/// The answer to `/_cluster/health`, and the colour of each concrete index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterHealth {
    /// The facts about the cluster; its indices are not filled in.
    pub facts: SearchFacts,
    /// By concrete name.
    pub indices: BTreeMap<String, SearchHealth>,
}

/// Reads the cluster's health.
///
/// # Errors
/// By status and content; an answer without a colour is `protocol`.
pub fn cluster_health(response: &Response) -> Result<ClusterHealth, Failure> {
    #[derive(Deserialize)]
    struct Health {
        status: Option<String>,
        timed_out: Option<bool>,
        number_of_nodes: Option<Loose>,
        active_shards_percent_as_number: Option<Loose>,
        active_shards_percent: Option<Loose>,
        unassigned_shards: Option<Loose>,
        initializing_shards: Option<Loose>,
        relocating_shards: Option<Loose>,
        number_of_pending_tasks: Option<Loose>,
        number_of_in_flight_fetch: Option<Loose>,
        #[serde(default)]
        indices: BTreeMap<String, Index>,
    }
    #[derive(Deserialize)]
    struct Index {
        status: Option<String>,
    }
    // 408 comes with a full answer: a guess that says of itself that it is one.
    let health: Health = if response.status == 408 { parsed(response)? } else { json(response)? };
    let Some(colour) = health.status.as_deref().and_then(colour) else {
        let excerpt = response.excerpt(EXCERPT);
        return Err(Failure::new(FailureKind::Protocol, format!("a health without a colour: {excerpt}")));
    };
    let percent = health.active_shards_percent_as_number.or(health.active_shards_percent);
    let facts = SearchFacts {
        health: Some(colour),
        timed_out: health.timed_out,
        active_shards_percent: percent.as_ref().and_then(Loose::number),
        unassigned_shards: count(health.unassigned_shards.as_ref()),
        initializing_shards: count(health.initializing_shards.as_ref()),
        relocating_shards: count(health.relocating_shards.as_ref()),
        pending_tasks: count(health.number_of_pending_tasks.as_ref()),
        in_flight_fetches: count(health.number_of_in_flight_fetch.as_ref()),
        nodes: count(health.number_of_nodes.as_ref()),
        ..SearchFacts::default()
    };
    let coloured = health.indices.into_iter().filter_map(|(name, index)| {
        let colour = index.status.as_deref().and_then(self::colour)?;
        Some((name, colour))
    });
    Ok(ClusterHealth { facts, indices: coloured.collect() })
}

fn colour(text: &str) -> Option<SearchHealth> {
    SearchHealth::from_text(&text.to_ascii_lowercase())
}

/// One concrete index behind a configured name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concrete {
    /// What it is.
    pub index: ConcreteIndex,
    /// A block forbids writing.
    pub write_blocked: bool,
    /// The block that the disk's flood stage sets.
    pub flooded: bool,
}

/// The answer to `/NAME/_settings/…`: the concrete indices; empty if there is none of that name.
///
/// # Errors
/// By status and content. An error 404 that the engine itself gives is a fact, any other is a failure.
pub fn concrete_indices(response: &Response) -> Result<Vec<Concrete>, Failure> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        settings: BTreeMap<String, Loose>,
    }
    if response.status == 404 {
        return if is_missing_index(response) { Ok(Vec::new()) } else { Err(status_failure(response)) };
    }
    let indices: BTreeMap<String, Index> = json(response)?;
    let concrete = indices.into_iter().map(|(name, index)| {
        let set = |block: &str| index.settings.get(&format!("index.blocks.{block}")).is_some_and(Loose::is_true);
        let flooded = set("read_only_allow_delete");
        let text = |name: &str| match index.settings.get(name) {
            Some(Loose::Text(text)) => Some(text.chars().take(LONGEST_WORD).collect::<String>()),
            Some(Loose::Number(number)) => Some(number.to_string()),
            Some(Loose::Other(_)) | None => None,
        };
        let (uuid, created) = (text("index.uuid"), text("index.creation_date").map(Opaque));
        let index = ConcreteIndex { name, uuid, created };
        Concrete { index, write_blocked: flooded || set("read_only") || set("write"), flooded }
    });
    Ok(concrete.collect())
}

/// The engine's own 404 has an error of its own kind in it; a proxy's has not.
fn is_missing_index(response: &Response) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        error: Error,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Error {
        Typed {
            #[serde(rename = "type")]
            kind: String,
        },
        Text(String),
    }
    match parsed::<Answer>(response) {
        Ok(Answer { error: Error::Typed { kind } }) => kind.ends_with("not_found_exception"),
        Ok(Answer { error: Error::Text(text) }) => text.contains("missing"),
        Err(_) => false,
    }
}

/// What was written into an index, and how much room it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Documents written into its primary shards since they were opened.
    pub indexed: Option<u64>,
    /// Their size.
    pub store: Option<Bytes>,
}

/// The answer to `/NAME/_stats/indexing,store`; nothing of it where some shard did not answer, so that the sum is not the whole.
///
/// # Errors
/// By status and content.
pub fn index_stats(response: &Response) -> Result<IndexStats, Failure> {
    #[derive(Deserialize)]
    struct Stats {
        #[serde(rename = "_shards")]
        shards: Option<Shards>,
        #[serde(rename = "_all")]
        all: Option<All>,
    }
    #[derive(Deserialize)]
    struct Shards {
        failed: Option<Loose>,
    }
    #[derive(Deserialize)]
    struct All {
        primaries: Option<Primaries>,
    }
    #[derive(Deserialize)]
    struct Primaries {
        indexing: Option<Indexing>,
        store: Option<Store>,
    }
    #[derive(Deserialize)]
    struct Indexing {
        index_total: Option<Loose>,
    }
    #[derive(Deserialize)]
    struct Store {
        size_in_bytes: Option<Loose>,
    }
    let stats: Stats = json(response)?;
    let whole = stats.shards.is_some_and(|shards| count(shards.failed.as_ref()) == Some(0));
    let Some(primaries) = stats.all.and_then(|all| all.primaries).filter(|_| whole) else {
        return Ok(IndexStats::default());
    };
    let indexed = primaries.indexing.and_then(|indexing| count(indexing.index_total.as_ref()));
    let store = primaries.store.and_then(|store| count(store.size_in_bytes.as_ref()));
    Ok(IndexStats { indexed, store: store.map(Bytes) })
}

/// The answer to `/NAME/_recovery?active_only=true`: how many shards are on their way.
///
/// # Errors
/// By status and content.
pub fn recoveries(response: &Response) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Index {
        #[serde(default)]
        shards: Vec<serde::de::IgnoredAny>,
    }
    let indices: BTreeMap<String, Index> = json(response)?;
    Ok(indices.values().map(|index| index.shards.len() as u64).sum())
}

/// The answer to `/NAME/_count`; `None` where some shard did not count, so that the sum is not the whole.
///
/// # Errors
/// By status and content.
pub fn documents(response: &Response) -> Result<Option<u64>, Failure> {
    #[derive(Deserialize)]
    struct Counted {
        count: Option<Loose>,
        #[serde(rename = "_shards")]
        shards: Option<Shards>,
    }
    #[derive(Deserialize)]
    struct Shards {
        failed: Option<Loose>,
    }
    let counted: Counted = json(response)?;
    let whole = counted.shards.is_some_and(|shards| count(shards.failed.as_ref()) == Some(0));
    Ok(count(counted.count.as_ref()).filter(|_| whole))
}

/// The JSON of an answer with a good status.
pub(super) fn json<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    if response.is_success() { parsed(response) } else { Err(status_failure(response)) }
}

fn parsed<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    serde_json::from_slice(&response.body).map_err(|error| {
        let excerpt = response.excerpt(EXCERPT);
        // The parser's words may quote the answer, at any length.
        let error = response.excerpt_of(&error.to_string(), EXCERPT);
        let message = format!("not the answer of a search engine ({error}): {excerpt:?}; check the URL and its prefix");
        Failure::new(FailureKind::Protocol, message)
    })
}

/// What an error status means.
pub fn status_failure(response: &Response) -> Failure {
    let (kind, cure) = match response.status {
        401 => (FailureKind::Authentication, "check user and password of this node's search"),
        403 => {
            (FailureKind::Permission, "grant cluster:monitor, and indices:monitor and read on the configured indices")
        }
        429 => (FailureKind::Refused, "it is overloaded"),
        503 => (FailureKind::StartingUp, "it starts, or has no elected manager"),
        300..=399 => (FailureKind::Protocol, "a redirect is not followed: give the URL that it leads to"),
        404 => (FailureKind::Protocol, "check the URL and its prefix"),
        _ => (FailureKind::Protocol, "look at its log"),
    };
    let (status, excerpt) = (response.status, response.excerpt(EXCERPT));
    Failure::new(kind, format!("status {status}: {excerpt:?}; {cure}"))
}

#[cfg(test)]
mod tests;
