//! What canaries and comparisons bring back of the two key-value stores.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::clock::Moment;
use crate::names::{Lane, Name, Outcome, Proof};

/// What became of one canary, and how both stores answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KvstoreFacts {
    /// The table's verdict.
    pub outcome: Outcome,
    /// What such a canary proves.
    pub proof: Proof,
    /// Node with the standby's store, and how it answered.
    pub standby: (Name, StoreAnswer),
    /// Node with the primary's store, and how it answered.
    pub primary: (Name, StoreAnswer),
    /// The canary's sequence number.
    pub sequence: u64,
    /// From the first write's departure to the last read's answer; only for `ok`.
    pub round_trip: Option<Duration>,
    /// From the first write's departure to the acknowledgement.
    pub write: Option<Duration>,
    /// What became of an earlier canary whose write timed out, if that was learned in this cycle.
    pub indeterminate_resolved: Option<Outcome>,
    /// What else the cycle brought.
    pub more: CycleFacts,
}

/// What a cycle brings besides its own canary's fate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CycleFacts {
    /// From the first write's departure until the standby showed the canary.
    pub standby_visible: Option<Duration>,
    /// The same for the primary.
    pub primary_visible: Option<Duration>,
    /// How the gateway answered, where canaries are written through one.
    pub gateway: Option<StoreAnswer>,
    /// Canaries whose write was not answered and whose fate is open.
    pub indeterminate_pending: usize,
    /// How the canaries of the slower lanes stand.
    pub lanes: Vec<LaneFacts>,
    /// Acknowledged, and not seen on the standby. `None`: that cannot be told.
    pub at_risk: Option<AtRisk>,
    /// How long it took to connect to the standby's port; only where ports are all there is.
    pub connect: Option<Duration>,
    /// Both stores are one server by two names: what it holds once looks as if both had it.
    #[serde(default)]
    pub same_server: bool,
    /// What must be remembered.
    pub tracker: CanaryTracker,
}

/// Canaries that a failover would lose now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtRisk {
    /// Acknowledged and not on the standby.
    pub canaries: u64,
    /// Since the first of them was written; zero without any.
    pub since: Duration,
}

/// How the canary of a slower lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneFacts {
    /// The lane.
    pub lane: Lane,
    /// `ok`, `primary_only`, `primary_stale`, `lost`, `evicted`, or `unknown`. `None` while none was written.
    pub outcome: Option<Outcome>,
    /// It was found like this in this cycle, and not before.
    pub new: bool,
}

/// How one store took its part of a cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAnswer {
    /// Its write was acknowledged. `None`: not attempted.
    pub acknowledged: Option<bool>,
    /// The canary was read back. `None`: unreadable or not attempted.
    pub holds: Option<bool>,
    /// Why it could not be written or read.
    pub failure: Option<Failure>,
}

/// More than are written in a million years.
const MOST_CANARIES: u64 = 1 << 53;

/// What is remembered of the canaries, also over a restart of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CanaryTracker {
    /// What this agent's keys are told by.
    pub agent: String,
    /// The newest sequence number.
    pub sequence: u64,
    /// Acknowledged canaries since the standby was last seen with one.
    pub at_risk: u64,
    /// When the first of them was written.
    pub at_risk_since: Option<Moment>,
    /// The acknowledged canaries of the slower lanes.
    pub kept: BTreeMap<Lane, KeptCanary>,
}

impl CanaryTracker {
    /// What still counts at `now`. Moments of another boot mean nothing; sequences, nonces and servers do, unless nobody can have counted
    /// so far.
    #[must_use]
    pub fn resumed(mut self, same_boot: bool, now: Moment) -> Self {
        let newest = self.sequence;
        if newest > MOST_CANARIES || self.kept.values().any(|kept| kept.sequence > newest) {
            return Self { agent: self.agent, ..Self::default() };
        }
        let counts = |moment: Option<Moment>| moment.filter(|moment| same_boot && *moment <= now);
        self.at_risk_since = counts(self.at_risk_since);
        for kept in self.kept.values_mut() {
            kept.written = counts(kept.written);
            kept.servers.values_mut().for_each(|server| server.seen = counts(server.seen));
        }
        self
    }
}

/// One acknowledged canary that stays for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptCanary {
    /// Its sequence number.
    pub sequence: u64,
    /// Its nonce.
    pub nonce: u64,
    /// When its write left; `None` if that was in another boot.
    pub written: Option<Moment>,
    /// The servers that held it, where they tell who they are.
    pub servers: BTreeMap<Name, ServerMark>,
    /// How it stood last.
    pub outcome: Outcome,
}

/// What a server is recognised by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMark {
    /// Another one after each start.
    pub run_id: String,
    /// Keys that it had evicted since its start.
    pub evicted: u64,
    /// When it was asked last.
    pub seen: Option<Moment>,
}

/// How the stores' own data compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedFacts {
    /// Keys that were compared to their end in this cycle.
    pub compared: u64,
    /// Of them, there on both sides and different.
    pub differing: u64,
    /// By node, keys that are on the other side only.
    pub missing: Vec<(Name, u64)>,
    /// By node, how many keys its database has, where it tells.
    pub sizes: Vec<(Name, u64)>,
    /// Keys that differed before and were looked at again: they still do.
    pub still_differing: u64,
    /// Both stores are one server by two names: nothing was compared.
    #[serde(default)]
    pub same_server: bool,
    /// Configured keys that are on neither side.
    pub absent_keys: u64,
    /// Why a store could not be asked.
    pub failures: Vec<(Name, Failure)>,
}
