//! "Promote now?" as a document, and as a checklist for a person at three in the morning.

mod checklist;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::evidence::Readiness;
use crate::names::{Blocker, FailoverVerdict, Name, PrimaryLife};
use crate::snapshot::View;
use crate::view::api::VERSION;
use crate::view::document::seconds;

pub use checklist::checklist;
pub(super) use checklist::{answer, to_replay, would_lose};

/// The answer for one pair, as a document of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OneFailoverDocument {
    /// [`VERSION`].
    pub version: u32,
    /// The pair.
    pub pair: Name,
    /// When this was derived (RFC 3339).
    pub made: String,
    /// The answer.
    #[serde(flatten)]
    pub failover: FailoverDocument,
}

/// The answer for one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailoverDocument {
    /// The answer.
    pub verdict: FailoverVerdict,
    /// Why, each in a sentence.
    pub reasons: Vec<String>,
    /// The node that is taken for the primary.
    pub primary: Option<Name>,
    /// What is known of its life.
    pub primary_life: PrimaryLife,
    /// The node that would be promoted.
    pub standby: Option<Name>,
    /// What is in the way.
    pub blockers: Vec<BlockerDocument>,
    /// What would be lost.
    pub loss: LossDocument,
    /// How long until users are served.
    pub time_to_serve: TimeToServeDocument,
    /// What the other channels say of it.
    #[serde(default)]
    pub besides: Vec<String>,
    /// What to do, in this order.
    pub steps: Vec<String>,
}

/// Something that is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockerDocument {
    /// Out of the closed list.
    pub blocker: Blocker,
    /// In a sentence.
    pub detail: String,
}

/// What would be lost. `null` is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossDocument {
    /// WAL that the standby does not have.
    pub wal_bytes: Option<u64>,
    /// The primary is not seen: it is at least that.
    pub at_least: bool,
    /// If the primary wrote on at its last rate until now, it is at most that.
    pub wal_bytes_at_most: Option<u64>,
    /// Seconds of transactions in it.
    pub seconds: Option<f64>,
    /// They are at least so many.
    pub seconds_at_least: bool,
    /// The primary was seen last so long ago; `null` while it is seen.
    pub unseen_seconds: Option<f64>,
    /// What it wrote then.
    pub wal_bytes_per_second: Option<f64>,
    /// Acknowledged writes of the key-value store that only the primary has.
    pub canaries_at_risk: Option<u64>,
    /// Files of the configuration that differ.
    pub drifted_files: Option<u64>,
}

/// How long until users are served. `null` is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeToServeDocument {
    /// WAL that the standby has and must still replay.
    pub replay_bytes: Option<u64>,
    /// How long that takes at the rate of late, at most: a standby that had kept up can do better.
    pub replay_seconds: Option<f64>,
    /// How long the search index takes to be rebuilt then.
    pub search_rebuild_seconds: Option<f64>,
}

impl OneFailoverDocument {
    /// The document of one pair; `None` where PostgreSQL is not watched.
    pub fn new(view: &View) -> Option<Self> {
        let failover = FailoverDocument::new(view.evidence.readiness.as_ref()?);
        Some(Self { version: VERSION, pair: view.pair.clone(), made: view.made_wall.to_string(), failover })
    }
}

impl FailoverDocument {
    /// As it is written.
    pub fn new(told: &Readiness) -> Self {
        let loss = &told.loss;
        let blocker =
            |(blocker, detail): &(Blocker, String)| BlockerDocument { blocker: *blocker, detail: detail.clone() };
        Self {
            verdict: told.verdict,
            reasons: told.reasons.clone(),
            primary: told.primary.clone(),
            primary_life: told.primary_life,
            standby: told.standby.clone(),
            blockers: told.blockers.iter().map(blocker).collect(),
            loss: LossDocument {
                wal_bytes: loss.wal.map(|wal| wal.0),
                at_least: loss.unseen.is_some(),
                wal_bytes_at_most: loss.at_most().map(|most| most.0),
                seconds: loss.seconds,
                seconds_at_least: loss.seconds_at_least,
                unseen_seconds: loss.unseen.map(|unseen| seconds(unseen.since)),
                wal_bytes_per_second: loss.unseen.and_then(|unseen| unseen.wal_rate),
                canaries_at_risk: loss.canaries,
                drifted_files: loss.files,
            },
            time_to_serve: TimeToServeDocument {
                replay_bytes: told.serve.replay_left.map(|left| left.0),
                replay_seconds: told.serve.replay.map(seconds),
                search_rebuild_seconds: told.serve.rebuild.as_ref().and_then(|rebuild| rebuild.seconds),
            },
            besides: told.besides.clone(),
            steps: told.steps.clone(),
        }
    }
}
