//! Whether the key-value store takes writes on both sides now, and keeps them.
//!
//! Up only after an `ok` canary that is fresh and that went the way which the present roles ask for, while the canaries that stay
//! are there and the application's own data, where they are compared, are equal.
//! The first that fits is the reason: roles unknown; no fresh canary (`not_seen_yet`, `stale`, a failure); the canary's fate; the
//! fate of those that stay; what differs; what cannot be seen.

mod observed;
mod words;

use crate::clock::Moment;
use crate::config::{KvstoreChannel, KvstoreNode, PairConfig};
use crate::evidence::{CanaryEvidence, KvstoreEvidence, ObservedEvidence, Roles, Verdict};
use crate::facts::{KvstoreFacts, Latest, ObservedFacts};
use crate::history::kvstore::KvstoreHistory;
use crate::names::{Name, Outcome, Proof, Reason};
use crate::units::short_duration;

use words::{first_failure, reason, told};

/// So many canaries running on one side only are no accident.
const DIVERGED_CANARIES: u32 = 3;

/// So many slow canaries in the last minutes are no accident.
const SLOW_CANARIES: usize = 3;

/// All that is judged.
struct Known<'a> {
    channel: &'a KvstoreChannel,
    latest: &'a Latest<KvstoreFacts>,
    fresh: Result<(&'a KvstoreFacts, Moment), Reason>,
    history: &'a KvstoreHistory,
    observed: Option<(ObservedEvidence, observed::Since)>,
    roles: &'a Roles,
    now: Moment,
}

/// The evidence at `now`, and the next moment at which it changes by itself.
pub fn evidence(
    channel: &KvstoreChannel,
    pair: &PairConfig,
    (latest, observed): (&Latest<KvstoreFacts>, &Latest<ObservedFacts>),
    history: &KvstoreHistory,
    roles: &Roles,
    now: Moment,
) -> (KvstoreEvidence, Option<Moment>) {
    let stores: Vec<&KvstoreNode> = pair.nodes.iter().filter_map(|node| node.kvstore.as_ref()).collect();
    let proofs = channel.proofs(&stores);
    let proof = proofs.first().copied().unwrap_or(Proof::Path);
    let mut changes: Vec<Moment> = latest.runs_out(now, channel.schedule.stale_after).into_iter().collect();
    let observed = channel.observe.any().then(|| {
        changes.extend(observed.runs_out(now, observed::stale_after(channel)));
        changes.extend(history.observed.last_telling().map(|last| last + observed::stale_after(channel)));
        observed::evidence(channel, observed, history, roles, now)
    });
    // Later canaries may leave what an `ok` one proved as it is; it runs out all the same.
    changes.extend(history.last_ok().map(|ok| ok.asked + channel.schedule.stale_after));
    let fresh = latest.fresh(now, channel.schedule.stale_after);
    let known = Known { channel, latest, fresh, history, observed, roles, now };
    let verdict = match proof {
        Proof::Reachability => known.reachability(),
        Proof::Observed => known.observed_alone(&stores),
        Proof::RoundTrip | Proof::Path => known.canaries(),
    };
    let facts = fresh.ok().map(|(facts, _)| facts);
    let refused = facts.filter(|facts| matches!(facts.outcome, Outcome::Blocked | Outcome::Rejected));
    let written = facts.filter(|_| matches!(proof, Proof::RoundTrip | Proof::Path));
    let evidence = KvstoreEvidence {
        // A canary that went the way of other roles, or to one of several standbys, measured something else.
        round_trip: facts.filter(|_| verdict.up).and_then(|facts| facts.round_trip),
        verdict,
        proof,
        outcome: written.map(|facts| facts.outcome),
        outcomes: if proof == Proof::Reachability { Vec::new() } else { history.outcomes() },
        blocked_for: refused.and(history.blocked_since()).map(|since| now.since(since)),
        stores: answering(pair, facts),
        at_risk: written.filter(|facts| known.went_the_present_way(facts)).and_then(|facts| facts.more.at_risk),
        canaries: known.about_canaries(proofs, &mut changes),
        observed: known.observed.map(|(observed, _)| observed),
    };
    (evidence, changes.into_iter().filter(|change| *change > now).min())
}

/// Each store: did it answer a read in the newest cycle.
fn answering(pair: &PairConfig, facts: Option<&KvstoreFacts>) -> Vec<(Name, bool)> {
    let answered = |name: &Name| {
        let sides = facts.into_iter().flat_map(|facts| [&facts.standby, &facts.primary]);
        sides.filter(|(node, _)| node == name).any(|(_, answer)| answer.holds.is_some() || answer.failure.is_none())
    };
    let nodes = pair.nodes.iter().filter(|node| node.kvstore.is_some());
    nodes.map(|node| (node.name.clone(), answered(&node.name))).collect()
}

impl Known<'_> {
    fn last_ok(&self) -> Option<Moment> {
        self.history.last_ok().map(|ok| ok.asked)
    }

    fn with_last_ok(&self, detail: String) -> String {
        match self.last_ok() {
            Some(moment) => format!("{detail}; last ok {} ago", short_duration(self.now.since(moment))),
            None => detail,
        }
    }

    fn nothing_fresh(&self, reason: Reason, what: &str) -> String {
        match (self.latest.failure(), reason) {
            (Some(failure), _) => failure.message.clone(),
            (None, Reason::NotSeenYet) => format!("no {what} has come back yet"),
            (None, _) => format!("no {what} has come back lately"),
        }
    }

    fn canaries(&self) -> Verdict {
        let last_ok = self.last_ok();
        let Some(primary) = self.roles.primary.as_ref().filter(|_| !self.roles.contradicted) else {
            let detail =
                format!("no canary is written, since which node is the primary is not known{}", self.roles.because());
            return Verdict::unproven(Reason::RoleUnknown, detail, last_ok);
        };
        let (facts, asked) = match self.fresh {
            Ok(fresh) => fresh,
            Err(reason) => {
                let detail = self.with_last_ok(self.nothing_fresh(reason, "canary"));
                return Verdict::unproven(reason, detail, last_ok);
            }
        };
        if !self.is_of_present_roles(primary, facts) {
            let detail = "the roles have changed; the next canary goes the other way";
            return Verdict::unproven(Reason::NotSeenYet, detail, Some(asked));
        }
        if facts.more.same_server {
            return Verdict::unproven(Reason::SameServer, observed::ONE_SERVER, Some(asked));
        }
        // An `ok` canary proves the way until it is stale. One after it that proves nothing, and against nothing, leaves that.
        let proven = last_ok.filter(|ok| self.now.since(*ok) < self.channel.schedule.stale_after);
        let nothing_against = match facts.outcome {
            Outcome::Ok => true,
            Outcome::Evicted => proven.is_some(),
            Outcome::Unknown => proven.is_some() && first_failure(facts).is_none(),
            _ => false,
        };
        if !nothing_against {
            return Verdict::unproven(reason(facts), self.with_last_ok(told(facts)), Some(asked));
        }
        let asked = if facts.outcome == Outcome::Ok { asked } else { proven.unwrap_or(asked) };
        if let Some(against) = self.lanes_against(facts, asked).or_else(|| self.data_against(asked)) {
            return against;
        }
        if let Some(other) = self.roles.standbys.iter().find(|standby| **standby != facts.standby.0) {
            let detail = format!("canaries go to {} only; nothing is known of {other}", facts.standby.0);
            return Verdict::unproven(Reason::NotObservable, detail, Some(asked));
        }
        let evicted = facts.more.lanes.iter().any(|lane| lane.outcome == Some(Outcome::Evicted));
        if evicted || facts.outcome == Outcome::Evicted {
            let detail = "a store has thrown a canary away to make room (its maxmemory-policy): it does so with the \
                          application's keys, too";
            return Verdict::warned(Reason::Evicted, detail, asked);
        }
        match &self.observed {
            Some((_, Err((reason, detail)))) if *reason != Reason::NotSeenYet => {
                Verdict::warned(*reason, format!("canaries pass, but data cannot be compared: {detail}"), asked)
            }
            _ => Verdict::proven(asked),
        }
    }

    fn is_of_present_roles(&self, primary: &Name, facts: &KvstoreFacts) -> bool {
        facts.primary.0 == *primary && self.roles.standbys.contains(&facts.standby.0)
    }

    /// To the only standby that there is now: what a canary puts at risk there is all that is.
    fn went_the_present_way(&self, facts: &KvstoreFacts) -> bool {
        let primary = self.roles.primary.as_ref().filter(|_| !self.roles.contradicted);
        let all = self.roles.standbys.iter().all(|standby| *standby == facts.standby.0);
        all && primary.is_some_and(|primary| self.is_of_present_roles(primary, facts))
    }

    /// What the canaries that stay say against the newest one.
    fn lanes_against(&self, facts: &KvstoreFacts, asked: Moment) -> Option<Verdict> {
        let (standby, primary) = (&facts.standby.0, &facts.primary.0);
        let found = |wanted: Outcome| facts.more.lanes.iter().find(|lane| lane.outcome == Some(wanted));
        let against = |lane: &crate::facts::LaneFacts, reason, what: String| {
            Some(Verdict::unproven(
                reason,
                format!("new writes pass, but the canary of the {} lane {what}", lane.lane),
                Some(asked),
            ))
        };
        if let Some(lane) = found(Outcome::Lost) {
            let what =
                "was acknowledged and is lost or rolled back: whatever was written with it may be, too".to_owned();
            return against(lane, Reason::Lost, what);
        }
        if let Some(lane) = found(Outcome::PrimaryOnly) {
            let what = format!("is on {primary} and no longer on {standby}: that side was emptied or put back");
            return against(lane, Reason::Diverged, what);
        }
        let lane = found(Outcome::PrimaryStale)?;
        let what = format!("is on {standby} and no longer on {primary}: that side was emptied or put back");
        against(lane, Reason::Diverged, what)
    }

    /// What the comparison says against it.
    fn data_against(&self, asked: Moment) -> Option<Verdict> {
        let (observed, _) = self.observed.as_ref()?;
        (observed.differs == Some(true))
            .then(|| Verdict::unproven(Reason::Diverged, observed::told(observed), Some(asked)))
    }

    fn observed_alone(&self, stores: &[&KvstoreNode]) -> Verdict {
        match &self.observed {
            Some((observed, Ok(asked))) if observed.differs == Some(true) => {
                Verdict::unproven(Reason::Diverged, observed::told(observed), Some(*asked))
            }
            Some((_, Ok(asked))) if stores.len() > 2 => {
                let detail = "two stores are compared, and there are more: nothing is known of the others";
                Verdict::unproven(Reason::NotObservable, detail, Some(*asked))
            }
            Some((_, Ok(asked))) => {
                // One that could tell nothing (every key was being written) leaves what the last one proved, until that is stale:
                // stores that have become empty prove nothing, whatever was equal before.
                let last = self.history.observed.last_telling();
                let last = last.filter(|last| self.now.since(*last) < observed::stale_after(self.channel));
                if let Some(last) = last {
                    return Verdict::proven(last);
                }
                let detail =
                    "there was nothing to compare: the configured keys are on neither side, or the stores are empty";
                Verdict::unproven(Reason::NotObservable, detail, Some(*asked))
            }
            Some((_, Err((reason, detail)))) => Verdict::unproven(*reason, detail.clone(), None),
            None => Verdict::unproven(Reason::NotObservable, "nothing is compared", None),
        }
    }

    /// A port proves no replication, whether it answers or not.
    fn reachability(&self) -> Verdict {
        let (facts, asked) = match self.fresh {
            Ok(fresh) => fresh,
            Err(reason) => return Verdict::unproven(reason, self.nothing_fresh(reason, "connection"), None),
        };
        match first_failure(facts) {
            Some(failure) => Verdict::unproven(failure.kind.into(), failure.message.clone(), Some(asked)),
            None => {
                let detail = "the ports answer; whether anything is replicated cannot be seen through them";
                Verdict::unproven(Reason::NotObservable, detail, Some(asked))
            }
        }
    }

    fn about_canaries(&self, proofs: Vec<Proof>, changes: &mut Vec<Moment>) -> CanaryEvidence {
        let (history, now) = (self.history, self.now);
        let facts = self.fresh.ok().map(|(facts, _)| facts);
        if proofs.first() == Some(&Proof::Reachability) {
            let reached = |facts: &KvstoreFacts| {
                let known = self.roles.primary.is_some() && !self.roles.contradicted;
                facts.standby.1.failure.is_none() && (known || facts.primary.1.failure.is_none())
            };
            let link_up = Some(facts.is_some_and(reached));
            return CanaryEvidence {
                link_up,
                connect: facts.and_then(|facts| facts.more.connect),
                proofs,
                ..CanaryEvidence::default()
            };
        }
        let mut event = |outcome| {
            let until = history.lately(outcome, self.channel.lanes.medium, now);
            changes.extend(until);
            until.is_some()
        };
        let in_lane = |wanted: &[Outcome]| {
            let mut lanes = facts.into_iter().flat_map(|facts| &facts.more.lanes);
            lanes.any(|lane| lane.outcome.is_some_and(|outcome| wanted.contains(&outcome)))
        };
        // What was found stays told; that nothing was is known only from a fresh canary whose fate is.
        let known = facts.is_some_and(|facts| facts.outcome != Outcome::Unknown);
        let state = |found: bool| if found { Some(true) } else { known.then_some(false) };
        let (lost, evicted, lost_ack) = (event(Outcome::Lost), event(Outcome::Evicted), event(Outcome::LostAck));
        let data = self.observed.as_ref().and_then(|(observed, _)| observed.differs);
        let diverged = data == Some(true)
            || in_lane(&[Outcome::PrimaryOnly, Outcome::PrimaryStale])
            || (facts.is_some() && history.diverged_running() >= DIVERGED_CANARIES);
        let p99 = history.round_trip_p99(now);
        // One or two that were held up are no sign of a slow store.
        let several = history.slower_than(self.channel.sla, now) >= SLOW_CANARIES;
        let too_slow = several && p99.is_some_and(|p99| p99 > self.channel.sla);
        CanaryEvidence {
            last_ok: self.last_ok().map(|ok| now.since(ok)),
            lanes: if facts.is_some() { history.lanes().to_vec() } else { Vec::new() },
            pending: facts.map(|facts| facts.more.indeterminate_pending),
            resolved: history.resolved(),
            latencies: history.latencies(),
            round_trip_p99: p99.filter(|_| facts.is_some()),
            slow: if too_slow || lost_ack { facts.map(|_| true) } else { facts.and(p99).map(|_| false) },
            diverged: match self.channel.canaries {
                true => state(diverged),
                false => data,
            },
            lost: state(lost || in_lane(&[Outcome::Lost])).filter(|_| self.channel.canaries),
            evicted: state(evicted || in_lane(&[Outcome::Evicted])).filter(|_| self.channel.canaries),
            link_up: None,
            connect: None,
            proofs,
        }
    }
}

#[cfg(test)]
mod tests;
