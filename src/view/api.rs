//! The API's documents: what `/api/v1/status` and `/api/v1/pairs/{pair}` answer, and what `status` reads back.
//!
//! Units are in the names; an age counts to the moment of rendering. Unknown is `null`, never a number.

mod drift;

use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::names::{
    Channel, FailureKind, Lane, Name, Outcome, PostgresSource, Proof, Reason, ReplayState, Role, Severity, Stage,
    StandbyKind,
};
use crate::snapshot::FindingState;
use crate::view::failover::FailoverDocument;

pub use drift::*;

pub use super::search::{
    EstimateDocument, IndexDocument, RebuildDocument, SearchDiskDocument, SearchDocument, SearchNodeDocument,
};

/// Counts up when a field changes its meaning or goes away; new fields do not count.
pub const VERSION: u32 = 1;

/// Everything known of all pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusDocument {
    /// [`VERSION`].
    pub version: u32,
    /// The program's own version.
    pub agent_version: String,
    /// When this was rendered (RFC 3339).
    pub time: String,
    /// The worst of all pairs.
    pub level: Level,
    /// In the order of the configuration.
    pub pairs: Vec<PairDocument>,
    /// What fires in the agent itself, whatever becomes of pairs; the dead-man's switch is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_findings: Vec<FindingDocument>,
    /// What else is wrong with the agent, each a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agent_notes: Vec<String>,
}

/// Everything known of one pair, as a document of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnePairDocument {
    /// [`VERSION`].
    pub version: u32,
    /// The pair.
    #[serde(flatten)]
    pub pair: PairDocument,
}

/// Everything known of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairDocument {
    /// Its name.
    pub pair: Name,
    /// The worst of its channels and of its rules without a channel.
    pub level: Level,
    /// When this was derived (RFC 3339).
    pub made: String,
    /// Every configured probe has been run at least once.
    pub complete: bool,
    /// Each configured channel.
    pub channels: Vec<ChannelDocument>,
    /// Which node is what.
    pub roles: RolesDocument,
    /// PostgreSQL; absent where not configured, as the other three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresDocument>,
    /// "Promote now?"; absent where PostgreSQL is not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<FailoverDocument>,
    /// The configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigDocument>,
    /// The key-value store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kvstore: Option<KvstoreDocument>,
    /// The search engines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchDocument>,
    /// The agents of the other nodes, where each node has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerDocument>,
    /// Each standby's machine against its primary's, where each node has an agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<MachineDocument>,
    /// Each configured probe.
    pub probes: Vec<ProbeDocument>,
    /// Each rule that is met.
    pub findings: Vec<FindingDocument>,
}

/// The agent of another node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerDocument {
    /// Its node.
    pub node: Name,
    /// It answered lately, and was understood.
    pub up: bool,
    /// Its version, while it is up.
    pub version: Option<String>,
    /// By how much its clock differs for certain, while it is up.
    pub clock_skew_seconds: Option<f64>,
    /// Why it is not up, in words.
    pub failure: Option<String>,
}

/// One standby's machine against its primary's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineDocument {
    /// The standby.
    pub standby: Name,
    /// What it has less of, or other; `null` while that is not known.
    pub differs: Option<Vec<String>>,
}

/// One channel's level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelDocument {
    /// The channel.
    pub channel: Channel,
    /// Its level.
    pub level: Level,
    /// Why; `null` only when ok.
    pub reason: Option<Reason>,
    /// Why, in words.
    pub detail: Option<String>,
    /// Age of its evidence.
    pub age_seconds: Option<f64>,
}

/// Which node is what, by the last proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolesDocument {
    /// The node last proven to be the only primary.
    pub primary: Option<Name>,
    /// The others.
    pub standbys: Vec<Name>,
    /// How long ago that was proven; `null` where the configuration fixes it or nothing was ever proven.
    pub proven_seconds_ago: Option<f64>,
    /// Two nodes answer as primary.
    pub contradicted: bool,
}

/// PostgreSQL's replication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostgresDocument {
    /// Whose word all of this is. `status_page`: a vendor's page says so, and nothing of it is proven here.
    #[serde(default = "servers")]
    pub source: PostgresSource,
    /// For how long a status page has told the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged_seconds: Option<f64>,
    /// Proven to replicate.
    pub up: bool,
    /// The node that answers as the only primary now.
    pub primary: Option<Name>,
    /// The primary, or a standby that hears from it, answered lately.
    pub primary_seen: bool,
    /// Total lag of the worst standby.
    pub lag_bytes: Option<u64>,
    /// The same in seconds.
    pub lag_seconds: Option<f64>,
    /// WAL written by the primary.
    pub wal_bytes_per_second: Option<f64>,
    /// The lag is large and grows.
    pub growing: bool,
    /// Each configured node.
    pub nodes: Vec<PostgresNodeDocument>,
    /// Each standby.
    pub standbys: Vec<StandbyDocument>,
}

/// What agents before the word say.
const fn servers() -> PostgresSource {
    PostgresSource::Servers
}

/// One PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostgresNodeDocument {
    /// Its name.
    pub node: Name,
    /// Observed role.
    pub role: Option<Role>,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// `server_version_num`.
    pub version: Option<u32>,
    /// Current position on a primary, replayed position on a standby, as `16/B374D848`.
    pub position: Option<String>,
    /// Why no new session could be opened beside the one that answers; left out while there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_session: Option<String>,
    /// Its major version is none of those that this agent was tried on.
    #[serde(default)]
    pub untested_version: Option<bool>,
    /// Files in the directory of its WAL.
    #[serde(default)]
    pub wal_directory_bytes: Option<u64>,
    /// Files of WAL that wait to be archived.
    #[serde(default)]
    pub archive_ready_files: Option<u64>,
}

/// One standby.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StandbyDocument {
    /// The node.
    pub node: Name,
    /// How WAL comes to it.
    #[serde(default)]
    pub kind: Option<StandbyKind>,
    /// Commits on the primary wait for it.
    #[serde(default)]
    pub synchronous: Option<bool>,
    /// It is declared to replay so much later than it receives; left out where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply_delay_seconds: Option<f64>,
    /// Proven to replicate.
    pub up: bool,
    /// Why not, or with what warning.
    pub reason: Option<Reason>,
    /// In words.
    pub detail: Option<String>,
    /// What is behind at each stage; they add up to the total.
    pub stages: Option<Vec<StageDocument>>,
    /// Behind the primary, replay included.
    pub total_lag_bytes: Option<u64>,
    /// The same without what its declared delay holds back; left out where none is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelayed_lag_bytes: Option<u64>,
    /// The same in seconds.
    pub lag_seconds: Option<f64>,
    /// The lag exceeds what is remembered: at least this many seconds. With `lag_seconds` beside it, that is an upper bound.
    pub lag_seconds_at_least: Option<f64>,
    /// Not received: what a failover would lose.
    pub gap_bytes: Option<u64>,
    /// What may not be lower than, or must be the same as, on the primary and is not; each with both values.
    #[serde(default)]
    pub settings_differ: Option<Vec<String>>,
    /// WAL that the primary keeps for its slot.
    #[serde(default)]
    pub slot_retained_bytes: Option<u64>,
    /// What replay does.
    pub replay_state: Option<ReplayState>,
    /// Change of the total lag.
    pub lag_slope_bytes_per_second: Option<f64>,
    /// Until caught up: seconds, or `"never"` at the present rates.
    pub catch_up_seconds: Option<CatchUp>,
    /// The stage with the largest lag.
    pub bottleneck: Option<Stage>,
    /// How long ago both servers last heard of each other.
    pub heartbeat_age_seconds: Option<f64>,
}

/// Lag at one stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageDocument {
    /// The stage.
    pub stage: Stage,
    /// Bytes waiting there.
    pub lag_bytes: u64,
}

/// When a standby will have caught up. JSON has no infinity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CatchUp {
    /// In so many seconds.
    Seconds(f64),
    /// Not at the present rates.
    Never(Never),
}

/// The word `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// The word.
    Never,
}

/// The configuration's synchronisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigDocument {
    /// The age is known.
    pub up: bool,
    /// Since the start of the last good run.
    pub age_seconds: Option<f64>,
    /// The same over the period.
    pub age_periods: Option<f64>,
    /// Failures since the last good run.
    pub consecutive_failures: Option<u32>,
    /// Of the last run.
    pub last_exit: Option<i32>,
    /// How long the last run took.
    pub last_took_seconds: Option<f64>,
    /// Whether the standby's files are the primary's; left out by agents that do not look.
    #[serde(default)]
    pub drift: Option<DriftDocument>,
}

/// The key-value store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KvstoreDocument {
    /// A canary went its whole way lately.
    pub up: bool,
    /// What the configuration can prove at best.
    pub proof: Proof,
    /// The last canary's outcome.
    pub outcome: Option<Outcome>,
    /// The last good canary's.
    pub round_trip_seconds: Option<f64>,
    /// Writes blocked or rejected for so long.
    pub blocked_seconds: Option<f64>,
    /// Canaries by outcome since the agent started.
    pub outcomes: Vec<OutcomeCount>,
    /// Each store.
    pub stores: Vec<StoreDocument>,
    /// All that the configuration can prove.
    pub proofs: Vec<Proof>,
    /// Canaries that were acknowledged and are not on the standby.
    pub at_risk_canaries: Option<u64>,
    /// For how long the first of them has not been there.
    pub at_risk_seconds: Option<f64>,
    /// The lanes whose canaries stay, with how they stand.
    pub lanes: Vec<LaneDocument>,
    /// Canaries whose write was not answered and may still land.
    pub indeterminate_pending: Option<usize>,
    /// 99 of 100 round trips of the last minutes took no longer.
    pub round_trip_p99_seconds: Option<f64>,
    /// The standby's port answers; only where a port is all that is watched.
    pub link_up: Option<bool>,
    /// How the application's own data compare, where they are compared.
    pub observed: Option<ObservedDocument>,
}

/// One lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneDocument {
    /// Its name.
    pub lane: Lane,
    /// How its canary stands.
    pub outcome: Option<Outcome>,
}

/// The last comparisons of the application's own data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservedDocument {
    /// Something is not the same.
    pub differs: Option<bool>,
    /// The share of keys that are not the same, as an estimate.
    pub drift_ratio: Option<f64>,
    /// Keys compared, from which it is made.
    pub compared: Option<u64>,
    /// On both sides and different.
    pub differing: Option<u64>,
    /// On the primary only.
    pub missing_on_standby: Option<u64>,
    /// On the standby only.
    pub missing_on_primary: Option<u64>,
}

/// How many canaries ended so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCount {
    /// So.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
}

/// One store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreDocument {
    /// Its node.
    pub node: Name,
    /// It could be asked.
    pub up: bool,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeDocument {
    /// The channel that it serves.
    pub channel: Channel,
    /// The node that it asks.
    pub node: Name,
    /// It brought facts, and they are fresh.
    pub up: bool,
    /// When it last did (RFC 3339).
    pub last_success: Option<String>,
    /// Why the last run brought nothing.
    pub failure: Option<FailureDocument>,
    /// How long the last run took.
    pub took_seconds: Option<f64>,
}

/// Why a probe brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureDocument {
    /// Out of the closed list.
    pub kind: FailureKind,
    /// Cause and cure.
    pub message: String,
}

/// A rule that is met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FindingDocument {
    /// The alert's name.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// The channel, where it is about one.
    pub channel: Option<Channel>,
    /// How far it has come.
    pub state: FindingState,
    /// Since when (RFC 3339).
    pub since: String,
    /// For how long by now.
    pub for_seconds: f64,
    /// One sentence.
    pub summary: String,
    /// With numbers.
    pub description: String,
    /// What to do.
    pub remedy: String,
    /// The reason that stands for it.
    pub reason: Option<Reason>,
    /// The rule of another finding that fires and explains this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained_by: Option<String>,
}
