//! Whether the key-value store takes writes on both sides now.
//!
//! Up only after an `ok` canary that is fresh and that went the way which the present roles ask for.
//! The first that fits is the reason: roles unknown; no fresh canary (`not_seen_yet`, `stale`, a failure); the canary's fate.

use crate::clock::Moment;
use crate::config::{KvstoreChannel, PairConfig};
use crate::evidence::{KvstoreEvidence, Roles, Verdict};
use crate::facts::{Failure, KvstoreFacts, Latest};
use crate::history::kvstore::KvstoreHistory;
use crate::names::{FailureKind, Name, Outcome, Proof, Reason};
use crate::units::short_duration;

/// The evidence at `now`, and the next moment at which it changes by itself.
pub fn evidence(
    channel: &KvstoreChannel,
    pair: &PairConfig,
    latest: &Latest<KvstoreFacts>,
    history: &KvstoreHistory,
    roles: &Roles,
    now: Moment,
) -> (KvstoreEvidence, Option<Moment>) {
    let fresh = latest.fresh(now, channel.schedule.stale_after);
    let facts = fresh.ok().map(|(facts, _)| facts);
    let refused = facts.filter(|facts| matches!(facts.outcome, Outcome::Blocked | Outcome::Rejected));
    let verdict = verdict(latest, fresh, history, roles, now);
    let evidence = KvstoreEvidence {
        // A canary that went the way of other roles, or to one of several standbys, measured something else.
        round_trip: facts.filter(|_| verdict.up).and_then(|facts| facts.round_trip),
        verdict,
        proof: facts.map_or(Proof::Path, |facts| facts.proof),
        outcome: facts.map(|facts| facts.outcome),
        outcomes: history.outcomes(),
        blocked_for: refused.and(history.blocked_since()).map(|since| now.since(since)),
        stores: stores(pair, facts),
    };
    (evidence, latest.runs_out(now, channel.schedule.stale_after))
}

/// Each store: did it answer a read in the newest cycle.
fn stores(pair: &PairConfig, facts: Option<&KvstoreFacts>) -> Vec<(Name, bool)> {
    let answered = |name: &Name| {
        let sides = facts.into_iter().flat_map(|facts| [&facts.standby, &facts.primary]);
        sides.filter(|(node, _)| node == name).any(|(_, answer)| answer.holds.is_some() || answer.failure.is_none())
    };
    let nodes = pair.nodes.iter().filter(|node| node.kvstore.is_some());
    nodes.map(|node| (node.name.clone(), answered(&node.name))).collect()
}

fn verdict(
    latest: &Latest<KvstoreFacts>,
    fresh: Result<(&KvstoreFacts, Moment), Reason>,
    history: &KvstoreHistory,
    roles: &Roles,
    now: Moment,
) -> Verdict {
    let last_ok = history.last_ok().map(|ok| ok.asked);
    let Some(primary) = roles.primary.as_ref().filter(|_| !roles.contradicted) else {
        let detail = "which node is the primary is not known, so no canary is written";
        return Verdict::unproven(Reason::RoleUnknown, detail, last_ok);
    };
    let (facts, asked) = match fresh {
        Ok(fresh) => fresh,
        Err(reason) => {
            let detail = latest.failure().map_or_else(|| nothing_fresh(reason), |failure| failure.message.clone());
            return Verdict::unproven(reason, with_last_ok(detail, last_ok, now), last_ok);
        }
    };
    if facts.primary.0 != *primary || !roles.standbys.contains(&facts.standby.0) {
        let detail = "the roles have changed; the next canary goes the other way";
        return Verdict::unproven(Reason::NotSeenYet, detail, Some(asked));
    }
    if facts.outcome != Outcome::Ok {
        let detail = with_last_ok(told(facts), last_ok, now);
        return Verdict::unproven(reason(facts), detail, Some(asked));
    }
    if let Some(other) = roles.standbys.iter().find(|standby| **standby != facts.standby.0) {
        let detail = format!("canaries go to {} only; nothing is known of {other}", facts.standby.0);
        return Verdict::unproven(Reason::NotObservable, detail, Some(asked));
    }
    Verdict::proven(asked)
}

fn nothing_fresh(reason: Reason) -> String {
    match reason {
        Reason::NotSeenYet => "no canary has come back yet".to_owned(),
        _ => "no canary has come back lately".to_owned(),
    }
}

fn with_last_ok(detail: String, last_ok: Option<Moment>, now: Moment) -> String {
    match last_ok {
        Some(moment) => format!("{detail}; last ok {} ago", short_duration(now.since(moment))),
        None => detail,
    }
}

/// The reason for a canary that was not `ok`.
fn reason(facts: &KvstoreFacts) -> Reason {
    match facts.outcome {
        Outcome::Blocked => Reason::Blocked,
        Outcome::Rejected => rejected(facts),
        Outcome::Lost => Reason::Lost,
        // Both hold it, but no client was told: to the application a write that did not go through.
        Outcome::LostAck => Reason::Blocked,
        Outcome::PrimaryOnly | Outcome::PrimaryStale | Outcome::StandbyOnly | Outcome::PrimaryOnlyUnacked => {
            Reason::Diverged
        }
        Outcome::Ok | Outcome::Unknown => first_failure(facts).map_or(Reason::NotSeenYet, |(_, f)| f.kind.into()),
    }
}

/// A store that refused the write itself rejects it; one that could not be asked properly gives its failure.
fn rejected(facts: &KvstoreFacts) -> Reason {
    let refused = [&facts.standby, &facts.primary].into_iter().find_map(|(_, answer)| {
        let failure = answer.failure.as_ref()?;
        let by_the_store = answer.acknowledged == Some(false) && failure.kind == FailureKind::Refused;
        Some(if by_the_store { Reason::Rejected } else { failure.kind.into() })
    });
    refused.unwrap_or(Reason::Rejected)
}

fn first_failure(facts: &KvstoreFacts) -> Option<(&Name, &Failure)> {
    let sides = [&facts.standby, &facts.primary];
    sides.into_iter().find_map(|(node, answer)| Some((node, answer.failure.as_ref()?)))
}

/// The canary's fate in words.
fn told(facts: &KvstoreFacts) -> String {
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
        Outcome::Blocked => "writes block".to_owned(),
        Outcome::Rejected => "writes are rejected".to_owned(),
        Outcome::Unknown => "the canary's fate is not known; the next one tells".to_owned(),
    };
    match first_failure(facts) {
        Some((_, failure)) => format!("{fate}: {failure}"),
        None => fate,
    }
}

#[cfg(test)]
mod tests;
