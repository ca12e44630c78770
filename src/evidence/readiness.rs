//! "Promote now?": what a promotion this second would lose, how long until users are served, and what is in the way.

use std::time::Duration;

use serde::Serialize;

use crate::names::{Blocker, FailoverVerdict, Name, PrimaryLife};
use crate::units::Bytes;

use super::RebuildEstimate;

/// The answer for one pair, always with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness {
    /// The answer.
    pub verdict: FailoverVerdict,
    /// Why, each in a sentence. Never empty.
    pub reasons: Vec<String>,
    /// The node that is taken for the primary.
    pub primary: Option<Name>,
    /// What is known of its life.
    pub primary_life: PrimaryLife,
    /// The node that would be promoted: of those that answer, the one that has most.
    pub standby: Option<Name>,
    /// What is in the way, each in a sentence.
    pub blockers: Vec<(Blocker, String)>,
    /// What would be lost.
    pub loss: Loss,
    /// How long until users are served.
    pub serve: TimeToServe,
    /// What the other channels say of it, each in a sentence.
    pub besides: Vec<String>,
    /// What to do, in this order.
    pub steps: Vec<String>,
}

/// What a promotion now would lose. What is not known is `None`, never 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Loss {
    /// WAL that the standby does not have.
    pub wal: Option<Bytes>,
    /// So many seconds of transactions are in it.
    pub seconds: Option<f64>,
    /// The seconds are more than is remembered: at least so many.
    pub seconds_at_least: bool,
    /// What would be lost is certainly no older than that by now, with all that may have been written since the primary was asked.
    /// `None`: not known.
    pub seconds_at_most: Option<f64>,
    /// The primary is not seen: `wal` is up to where it was seen last, so it is *at least* that.
    pub unseen: Option<Unseen>,
    /// Acknowledged canaries of the key-value store that the standby does not have.
    pub canaries: Option<u64>,
    /// Files of the configuration that differ, and have for two periods.
    pub files: Option<u64>,
}

/// What is known of a primary that nobody sees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Unseen {
    /// It was seen last so long ago.
    pub since: Duration,
    /// Bytes of WAL per second that it wrote then. `None`: not known.
    pub wal_rate: Option<f64>,
}

impl Loss {
    /// The most that can have been lost if the primary went on writing at its last rate until now.
    pub fn at_most(&self) -> Option<Bytes> {
        let Some(unseen) = self.unseen else { return self.wal };
        let more = unseen.since.as_secs_f64() * unseen.wal_rate?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is not negative; it saturates"
        )]
        self.wal.map(|wal| Bytes(wal.0.saturating_add(more.ceil() as u64)))
    }
}

/// How long after the promotion users are served. A time that is not known never changes the verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TimeToServe {
    /// WAL that the standby has and must still replay.
    pub replay_left: Option<Bytes>,
    /// How long that takes at the rate at which it has replayed lately.
    pub replay: Option<Duration>,
    /// How long the search index takes to be rebuilt then; `None` where no search engine is watched.
    pub rebuild: Option<RebuildEstimate>,
}
