//! What follows from the facts of both nodes, the history and the clock. Types only; `judge` computes them.

mod drift;
mod kvstore;
mod readiness;
mod search;
mod told;

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::facts::{Failure, HostFacts, Opaque};
use crate::names::{Channel, Name, PostgresSource, Proof, PulseOutcome, Reason, ReplayState, Role, Stage, StandbyKind};
use crate::units::{Bytes, Lsn};

pub use drift::*;
pub use kvstore::*;
pub use readiness::*;
pub use search::*;
pub use told::*;

/// Evidence of one pair. A channel that is not configured is `None`. By default nothing is known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PairEvidence {
    /// Which node is what, for the channels that go by it.
    pub roles: Roles,
    /// PostgreSQL's replication.
    pub postgres: Option<PostgresEvidence>,
    /// The configuration's synchronisation.
    pub config: Option<ConfigEvidence>,
    /// The key-value store.
    pub kvstore: Option<KvstoreEvidence>,
    /// The search engines.
    pub search: Option<SearchEvidence>,
    /// The other nodes' agents, where each node has one.
    pub peers: Vec<PeerEvidence>,
    /// "Promote now?", where PostgreSQL is watched.
    pub readiness: Option<Readiness>,
    /// The machines that are known.
    pub machines: Vec<MachineEvidence>,
    /// Each standby's machine against its primary's.
    pub parity: Vec<ParityEvidence>,
    /// How often each channel that replicates has changed between proven and not proven in the last quarter of an hour.
    pub flaps: Vec<(Channel, usize)>,
    /// The next moment at which evidence changes without a new reading (something runs out).
    #[serde(skip)]
    pub next_change: Option<Moment>,
}

impl PairEvidence {
    /// What is said of each configured channel.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        let postgres = self.postgres.iter().map(|postgres| &postgres.verdict);
        let config = self.config.iter().map(|config| &config.verdict);
        let kvstore = self.kvstore.iter().map(|kvstore| &kvstore.verdict);
        postgres.chain(config).chain(kvstore).chain(self.search.iter().map(|search| &search.verdict))
    }

    /// The channels that replicate, as opposed to being rebuilt or only reached, and whether that is proven. One of which nothing has
    /// been seen yet is left out: the agent has just started.
    pub fn replicating(&self) -> impl Iterator<Item = (Channel, bool)> + '_ {
        let kvstore = self.kvstore.as_ref().filter(|kvstore| kvstore.proof != Proof::Reachability);
        let verdicts = [
            (Channel::Postgres, self.postgres.as_ref().map(|postgres| &postgres.verdict)),
            (Channel::Config, self.config.as_ref().map(|config| &config.verdict)),
            (Channel::Kvstore, kvstore.map(|kvstore| &kvstore.verdict)),
        ];
        let seen = |(channel, verdict): (Channel, Option<&Verdict>)| {
            let verdict = verdict.filter(|verdict| verdict.reason != Some(Reason::NotSeenYet))?;
            Some((channel, verdict.up))
        };
        verdicts.into_iter().filter_map(seen)
    }
}

/// The agent of another node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerEvidence {
    /// Its node.
    pub node: Name,
    /// It answered lately, and was understood.
    pub up: bool,
    /// Why not.
    pub failure: Option<Failure>,
    /// Its version, while it is up.
    pub version: Option<String>,
    /// Seconds by which its wall clock differs from the one here for certain, the round trip taken off; while it is up.
    pub clock_skew: Option<f64>,
}

/// One node's machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MachineEvidence {
    /// The node.
    pub node: Name,
    /// What its own agent sees of it.
    pub facts: HostFacts,
}

/// One standby's machine against its primary's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParityEvidence {
    /// The standby.
    pub standby: Name,
    /// What it has less of, or other: each in words, with both values. `None` while something is not known and nothing is seen to
    /// differ.
    pub differs: Option<Vec<String>>,
}

/// Which node is the primary, by the last proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// The node last proven to be the only primary.
    pub primary: Option<Name>,
    /// The other nodes.
    pub standbys: Vec<Name>,
    /// When that was proven last; `None` if the configuration fixes the roles or nothing was ever proven.
    #[serde(skip)]
    pub proven_at: Option<Moment>,
    /// Two nodes answer as primary, or two agents are told another one: nobody knows which counts.
    pub contradicted: bool,
    /// Why no node is known to be the primary, with the cure, where that is not proven but told.
    #[serde(skip)]
    pub unknown_because: Option<String>,
}

impl Roles {
    /// Why no node is known to be the primary, to be put behind a sentence that says so.
    pub fn because(&self) -> String {
        self.unknown_because.as_ref().map_or_else(String::new, |why| format!(": {why}"))
    }
}

/// Whether a channel is proven, and what keeps it from being `ok`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The channel is proven to replicate now. (Search: the primary's engine is known.)
    pub up: bool,
    /// Why it is not up, or with what warning it runs. Never `None` when not up.
    pub reason: Option<Reason>,
    /// The reason in words for a person, with names and numbers and, where there is one, the cure.
    pub detail: Option<String>,
    /// The moment that the evidence counts from; its age is shown.
    #[serde(skip)]
    pub as_of: Option<Moment>,
}

impl Verdict {
    /// Proven, nothing to say.
    pub const fn proven(as_of: Moment) -> Self {
        Self { up: true, reason: None, detail: None, as_of: Some(as_of) }
    }

    /// Not proven.
    pub fn unproven(reason: Reason, detail: impl Into<String>, as_of: Option<Moment>) -> Self {
        Self { up: false, reason: Some(reason), detail: Some(detail.into()), as_of }
    }

    /// Proven, with a warning.
    pub fn warned(reason: Reason, detail: impl Into<String>, as_of: Moment) -> Self {
        Self { up: true, reason: Some(reason), detail: Some(detail.into()), as_of: Some(as_of) }
    }
}

/// PostgreSQL's replication, over all standbys of the pair.
#[derive(Clone, Debug, Serialize)]
pub struct PostgresEvidence {
    /// Whose word all of this is.
    pub source: PostgresSource,
    /// Of the worst standby.
    pub verdict: Verdict,
    /// The node that answers as the only primary now.
    pub primary: Option<Name>,
    /// The primary answered lately, or a standby's receiver heard from it lately.
    pub primary_seen: bool,
    /// Each configured node, in the order of the configuration.
    pub nodes: Vec<NodeEvidence>,
    /// Each configured node but the proven primary.
    pub standbys: Vec<StandbyEvidence>,
    /// Total lag of the worst standby; `None` unless all are running and known.
    pub lag: Option<Bytes>,
    /// The same without what declared delays hold back; an upper bound where positions are not remembered for that long.
    pub lag_undelayed: Option<Bytes>,
    /// Lag in seconds of the worst standby; `None` where it is not known exactly.
    pub lag_seconds: Option<f64>,
    /// Bytes of WAL per second on the primary.
    pub wal_rate: Option<f64>,
    /// The WAL rate is under the configured low load. `None`: rate not known.
    pub at_low_load: Option<bool>,
    /// Lag is large and growing; held for at most 60 s of unknown. Always exported.
    pub growing: bool,
    /// The replication whose lag grows (all of them, while none does) is known to be past its initial synchronisation.
    pub established: bool,
    /// Commits on the primary have waited for a synchronous standby for too long. `None`: the primary cannot be asked.
    pub commits_blocked: Option<bool>,
    /// The primary became another node in the last half hour. `None`: none was ever seen.
    pub roles_changed: Option<bool>,
    /// For how long a status page has told the same number.
    pub unchanged_for: Option<Duration>,
    /// How many pulses ended in each outcome since the agent started; empty where none are sent.
    pub pulses: Vec<(PulseOutcome, u64)>,
    /// The primary's last attempt to archive WAL failed. `None`: it cannot be asked, or does not tell.
    pub archiver_failing: Option<bool>,
    /// What the servers' own words contradict about the pair as a whole; it is the verdict's reason, too. (Two that answered as primary one
    /// after the other contradict nothing before both are known to be at once.)
    #[serde(skip)]
    pub contradiction: Option<Reason>,
}

impl PostgresEvidence {
    /// What is known before anything was learned from this source.
    pub fn nothing_of(source: PostgresSource) -> Self {
        Self {
            source,
            verdict: Verdict::unproven(Reason::NotSeenYet, "nothing has been asked yet", None),
            primary: None,
            primary_seen: false,
            nodes: Vec::new(),
            standbys: Vec::new(),
            lag: None,
            lag_undelayed: None,
            lag_seconds: None,
            wal_rate: None,
            at_low_load: None,
            growing: false,
            established: false,
            commits_blocked: None,
            roles_changed: None,
            archiver_failing: None,
            unchanged_for: None,
            pulses: Vec::new(),
            contradiction: None,
        }
    }
}

/// One configured node, as its server describes itself now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeEvidence {
    /// Configured name.
    pub node: Name,
    /// Observed role; `None` while it cannot be asked.
    pub role: Option<Role>,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Its version as `server_version_num`.
    pub version: Option<u32>,
    /// Where its WAL stands: current on a primary, replayed on a standby.
    pub position: Option<Lsn>,
    /// It answers, but lets no new session in. `None` while that is not known.
    pub not_accepting: Option<bool>,
    /// Since when and why no new session could be opened beside the one that answers, in words.
    pub no_new_session: Option<String>,
    /// What its server tells besides.
    pub told: NodeTold,
}

/// A walsender's identity: process ids come back, the start of a process with one does not.
pub type SenderKey = (i32, Option<Opaque>);

/// How a standby's walsender was recognised last, and which rows beside it were others'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The row.
    pub key: SenderKey,
    /// Rows that stood beside it then: not this standby's, for as long as they live.
    pub others: HashSet<SenderKey>,
}

/// When each node last said, or let be concluded, that this replication is not proven; `None` once it bears it out again. What a
/// node said last stands while it cannot be asked: only a sign of life that is newer outweighs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    /// The primary, by its walsender for this standby or by having none.
    pub by_primary: Option<Moment>,
    /// The standby, by its receiver or by having none.
    pub by_standby: Option<Moment>,
}

/// What is known of one standby.
#[derive(Clone, Debug, Serialize)]
pub struct StandbyEvidence {
    /// The node.
    pub node: Name,
    /// Whether its replication is proven.
    pub verdict: Verdict,
    /// Lag at each stage; they add up to `total`.
    pub stages: Option<[(Stage, Bytes); 4]>,
    /// The primary's position less what the standby has replayed; `None` while unknown.
    pub total: Option<Bytes>,
    /// The same without what its declared delay holds back: `total` where none is declared.
    pub undelayed: Option<Bytes>,
    /// How WAL comes to it; `None` while that is not known.
    pub kind: Option<StandbyKind>,
    /// It is declared to replay so much later than it receives.
    pub apply_delay: Option<Duration>,
    /// Commits on the primary wait for it. `None`: the primary cannot be asked, or has no walsender for it.
    pub synchronous: Option<bool>,
    /// How long ago the primary passed what the standby has replayed, in seconds.
    pub lag_seconds: Option<f64>,
    /// If the lag in seconds exceeds what is remembered: it is at least this many seconds, and `lag_seconds` is an upper bound or unknown.
    pub lag_seconds_at_least: Option<f64>,
    /// The primary's position less what the standby has received: what a failover would lose. Known also while not running.
    pub gap: Option<Bytes>,
    /// Its slot on the primary has lost WAL that it needs. `None`: no slot of it is known, or the primary cannot be asked.
    pub slot_lost: Option<bool>,
    /// What it and its slot tell besides.
    pub told: StandbyTold,
    /// What will happen to its slot, and since when it has been a standby.
    pub outlook: Outlook,
    /// What replay does; `None` while the standby cannot be asked.
    pub replay_state: Option<ReplayState>,
    /// Bytes per second by which total lag changes.
    pub lag_slope: Option<f64>,
    /// Seconds until caught up at the present rates; `+Inf` is never.
    pub catch_up_seconds: Option<f64>,
    /// Stage with the largest lag, if any lag is there.
    pub bottleneck: Option<Stage>,
    /// The last proven sign of life between the two servers.
    #[serde(skip)]
    pub last_heartbeat: Option<Moment>,
    /// The walsender that was recognised as this standby's, to be remembered.
    #[serde(skip)]
    pub recognised: Option<Recognised>,
    /// Whether the primary's reading that was asked at this moment has a walsender for it, to be remembered.
    #[serde(skip)]
    pub served: Option<(bool, Moment)>,
    /// What speaks against it, to be remembered.
    #[serde(skip)]
    pub denied: Denied,
    /// How far the standby has come by what the primary heard from it, to be remembered.
    #[serde(skip)]
    pub reported: Option<Lsn>,
}

/// What is coming for one standby. Everything is `None` while it is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outlook {
    /// Seconds until its slot may lose WAL at the present rates; `+Inf` while what it keeps does not grow.
    pub slot_loss_seconds: Option<f64>,
    /// What its slot keeps, as a share of the limit.
    pub slot_share: Option<f64>,
    /// Seconds until its slot, which has no limit, has filled the primary's disk; `+Inf` while what it keeps does not grow.
    pub wal_disk_full_seconds: Option<f64>,
    /// Its replication is at least this old.
    pub set_up_age: Option<Duration>,
    /// Whose replication that is, to be remembered.
    #[serde(skip)]
    pub set_up_of: Option<SetUpOf>,
}

/// Which replication it is: with another of any of these it is a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetUpOf {
    /// The primary's node.
    pub primary: Name,
    /// The cluster's system identifier.
    pub cluster: Option<String>,
    /// The standby's slot, where one is known. Whoever drops it begins anew.
    pub slot: Option<String>,
}

/// The configuration's synchronisation.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigEvidence {
    /// Up while the age is known, however old.
    pub verdict: Verdict,
    /// Time since the start of the last good run, at `verdict.as_of`; add what has passed since.
    pub age: Option<Duration>,
    /// Age over period, at the moment that this evidence was derived for.
    pub age_periods: Option<f64>,
    /// Failures since the last good run, where the wrapper tells.
    pub consecutive_failures: Option<u32>,
    /// Exit code of the last run, where the wrapper tells.
    pub last_exit: Option<i32>,
    /// How long the last run took, where the wrapper tells.
    pub last_took: Option<Duration>,
    /// Whether the standby's tree is the primary's.
    pub drift: DriftEvidence,
}
