//! What follows for the key-value store.

use std::time::Duration;

use serde::Serialize;

use super::Verdict;
use crate::facts::AtRisk;
use crate::names::{CanaryStep, Lane, Name, Outcome, Proof};

/// The key-value store.
#[derive(Clone, Debug, Serialize)]
pub struct KvstoreEvidence {
    /// Up after an `ok` canary that is fresh, and equal data where data are compared.
    pub verdict: Verdict,
    /// What its configuration can prove at best.
    pub proof: Proof,
    /// The last fresh canary's outcome.
    pub outcome: Option<Outcome>,
    /// The last `ok` canary's round trip, while fresh.
    pub round_trip: Option<Duration>,
    /// How many canaries ended in each outcome since the agent started, in the order of `Outcome::ALL`.
    pub outcomes: Vec<(Outcome, u64)>,
    /// Writes have been blocked or rejected for so long.
    pub blocked_for: Option<Duration>,
    /// Each store: could it be asked.
    pub stores: Vec<(Name, bool)>,
    /// Canaries at risk: acknowledged, and not on the standby. A failover now would lose them, and with them as many seconds of the
    /// application's writes. `None`: not known.
    pub at_risk: Option<AtRisk>,
    /// What else the canaries say.
    pub canaries: CanaryEvidence,
    /// What the comparison says; `None` where none is configured.
    pub observed: Option<ObservedEvidence>,
}

/// What canaries say besides the newest one's outcome. Everything is `None` while it is not known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CanaryEvidence {
    /// All that the configuration can prove.
    pub proofs: Vec<Proof>,
    /// How long ago the last `ok` canary was written.
    pub last_ok: Option<Duration>,
    /// The slower lanes; `None`: nothing lies there.
    pub lanes: Vec<(Lane, Option<Outcome>)>,
    /// Writes that were not answered and whose fate is open.
    pub pending: Option<usize>,
    /// What became of such writes since the agent started.
    pub resolved: Vec<(Outcome, u64)>,
    /// How long each part of the way took since the agent started.
    pub latencies: Vec<(CanaryStep, LatencyCount)>,
    /// 99 of 100 round trips of the last minutes took no longer.
    pub round_trip_p99: Option<Duration>,
    /// That is more than the SLA, or an acknowledgement was lost in that time.
    pub slow: Option<bool>,
    /// The two sides differ: in three canaries running, in one that stays, or in the application's own data.
    pub diverged: Option<bool>,
    /// An acknowledged write was lost or rolled back lately.
    pub lost: Option<bool>,
    /// A store has thrown a canary away lately to make room.
    pub evicted: Option<bool>,
    /// The standby's port answers; `None` where more than a port is watched.
    pub link_up: Option<bool>,
    /// How long connecting to it took.
    pub connect: Option<Duration>,
}

/// Upper edges of the latency counts, in seconds and as a label says it. The SLA joins them.
pub const LATENCY_EDGES: [(f64, &str); 12] = [
    (0.001, "0.001"),
    (0.0025, "0.0025"),
    (0.005, "0.005"),
    (0.01, "0.01"),
    (0.025, "0.025"),
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1"),
    (2.5, "2.5"),
    (5.0, "5"),
];

/// How many took how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LatencyCount {
    /// By upper edge in seconds, how many took no longer; the SLA is one of the edges. What took longer than the last edge
    /// is in `count` only.
    pub buckets: Vec<(f64, u64)>,
    /// All.
    pub count: u64,
    /// All together, in seconds.
    pub sum: f64,
}

/// How the application's own data compare, over the last comparisons.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ObservedEvidence {
    /// Keys compared.
    pub compared: u64,
    /// Of them on both sides and different.
    pub differing: u64,
    /// On the primary only.
    pub missing_on_standby: u64,
    /// On the standby only.
    pub missing_on_primary: u64,
    /// The share of keys that are not the same, as an estimate. `None`: nothing was compared lately.
    pub drift_ratio: Option<f64>,
    /// Something is not the same. `None`: not known.
    pub differs: Option<bool>,
    /// How many keys each database has.
    pub sizes: Vec<(Name, u64)>,
}
