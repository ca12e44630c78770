//! A canary's fate as a reason and in words.

use crate::facts::{Failure, KvstoreFacts, StoreAnswer};
use crate::names::{FailureKind, Outcome, Reason};

/// The reason for a canary that was not `ok`.
pub(super) fn reason(facts: &KvstoreFacts) -> Reason {
    match facts.outcome {
        Outcome::Blocked => Reason::Blocked,
        Outcome::Rejected => rejected(facts),
        Outcome::Lost => Reason::Lost,
        // Both hold it, but no client was told: to the application a write that did not go through.
        Outcome::LostAck => Reason::Blocked,
        Outcome::PrimaryOnly | Outcome::PrimaryStale | Outcome::StandbyOnly | Outcome::PrimaryOnlyUnacked => {
            Reason::Diverged
        }
        Outcome::Evicted => Reason::Evicted,
        Outcome::Ok | Outcome::Unknown => {
            first_failure(facts).map_or(Reason::NotSeenYet, |failure| failure.kind.into())
        }
    }
}

/// A store that refused the write itself rejects it; one that could not be asked properly gives its failure.
fn rejected(facts: &KvstoreFacts) -> Reason {
    let sides = [&facts.standby.1, &facts.primary.1].into_iter();
    let refused = facts.more.gateway.iter().chain(sides).find_map(|answer: &StoreAnswer| {
        let failure = answer.failure.as_ref()?;
        let by_the_store = answer.acknowledged == Some(false) && failure.kind == FailureKind::Refused;
        Some(if by_the_store { Reason::Rejected } else { failure.kind.into() })
    });
    refused.unwrap_or(Reason::Rejected)
}

/// The gateway's, or else the first store's.
pub(super) fn first_failure(facts: &KvstoreFacts) -> Option<&Failure> {
    let gateway = facts.more.gateway.as_ref();
    let sides = [&facts.standby.1, &facts.primary.1].into_iter();
    gateway.into_iter().chain(sides).find_map(|answer| answer.failure.as_ref())
}

/// The canary's fate in words.
pub(super) fn told(facts: &KvstoreFacts) -> String {
    let (standby, primary) = (&facts.standby.0, &facts.primary.0);
    let fate = match facts.outcome {
        Outcome::Ok => "the canary arrived on both".to_owned(),
        Outcome::PrimaryOnly => {
            format!("an acknowledged write is on {primary} and not on {standby}: a failover loses it")
        }
        Outcome::PrimaryStale => format!("an acknowledged write is on {standby} and not on {primary}"),
        Outcome::Lost => "an acknowledged write is on neither side any more".to_owned(),
        Outcome::StandbyOnly => {
            format!("a refused write is on {standby} and not on {primary}: a failover would reveal it")
        }
        Outcome::LostAck => "a write arrived on both, but was not acknowledged".to_owned(),
        Outcome::PrimaryOnlyUnacked => format!("a refused write is on {primary} and not on {standby}"),
        Outcome::Evicted => "a store has thrown the canary away to make room (its maxmemory-policy)".to_owned(),
        Outcome::Blocked => "writes block".to_owned(),
        Outcome::Rejected => "writes are rejected".to_owned(),
        Outcome::Unknown => "the canary's fate is not known; the next one tells".to_owned(),
    };
    match first_failure(facts) {
        Some(failure) => format!("{fate}: {failure}"),
        None => fate,
    }
}
