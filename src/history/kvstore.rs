//! What is remembered of the canaries: how many ended how, the last that went all the way, and since when none does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::facts::{KvstoreFacts, Reading};
use crate::names::Outcome;

/// The memory of one pair's canaries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KvstoreHistory {
    outcomes: BTreeMap<Outcome, u64>,
    resolved: BTreeMap<Outcome, u64>,
    last_ok: Option<LastOk>,
    blocked_since: Option<Moment>,
    last_sequence: u64,
}

/// The last canary that went all the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOk {
    /// When its cycle began.
    pub asked: Moment,
    /// From its departure to the last read.
    pub round_trip: Option<Duration>,
}

impl KvstoreHistory {
    /// Takes in one cycle.
    pub fn record(&mut self, reading: &Reading<KvstoreFacts>) {
        let Some(facts) = reading.facts() else { return };
        *self.outcomes.entry(facts.outcome).or_default() += 1;
        if let Some(fate) = facts.indeterminate_resolved {
            *self.resolved.entry(fate).or_default() += 1;
        }
        self.last_sequence = facts.sequence;
        match facts.outcome {
            Outcome::Blocked | Outcome::Rejected => {
                self.blocked_since.get_or_insert(reading.asked);
            }
            // An application's write was acknowledged: whatever else is wrong, it does not block.
            Outcome::Ok | Outcome::PrimaryOnly | Outcome::PrimaryStale | Outcome::Lost => self.blocked_since = None,
            // Nothing acknowledged, or not known: if it was blocked, it may still be.
            Outcome::StandbyOnly | Outcome::LostAck | Outcome::PrimaryOnlyUnacked | Outcome::Unknown => {}
        }
        if facts.outcome == Outcome::Ok {
            self.last_ok = Some(LastOk { asked: reading.asked, round_trip: facts.round_trip });
        }
    }

    /// How many canaries ended in each outcome, in the order of [`Outcome::ALL`]; zero is a count here.
    pub fn outcomes(&self) -> Vec<(Outcome, u64)> {
        // a default is right: an outcome that never happened happened zero times.
        Outcome::ALL.iter().map(|outcome| (*outcome, self.outcomes.get(outcome).copied().unwrap_or(0))).collect()
    }

    /// How many canaries whose write timed out turned out to be what.
    pub fn resolved(&self) -> Vec<(Outcome, u64)> {
        self.resolved.iter().map(|(outcome, count)| (*outcome, *count)).collect()
    }

    /// The last canary that went all the way.
    pub const fn last_ok(&self) -> Option<LastOk> {
        self.last_ok
    }

    /// Since when writes are blocked or rejected.
    pub const fn blocked_since(&self) -> Option<Moment> {
        self.blocked_since
    }

    /// The sequence number of the newest canary.
    pub const fn last_sequence(&self) -> u64 {
        self.last_sequence
    }
}
