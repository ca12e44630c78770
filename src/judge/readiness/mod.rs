//! "Promote now?", from the point of view of the standby that would be promoted.
//!
//! Everything here is told from evidence, never from names: which node is the primary, whether it lives, what the standby has.

mod beside;
mod blockers;
mod candidate;
mod loss;
mod steps;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::{PairConfig, PostgresChannel};
use crate::evidence::{Loss, PostgresEvidence, Readiness, TimeToServe};

use crate::facts::{Latest, PostgresFacts, PostgresRole, StandbyFacts};
use crate::history::postgres::PostgresHistory;
use crate::history::saved::RingOf;
use crate::names::{Blocker, FailoverVerdict, FailureKind, Name, PrimaryLife, Reason};
use crate::units::{Lsn, short_duration};
pub use beside::Beside;

/// All that the answer is derived from.
pub struct Situation<'a> {
    /// The pair.
    pub pair: &'a PairConfig,
    /// Its channel.
    pub channel: &'a PostgresChannel,
    /// The newest readings of its servers.
    pub latest: &'a BTreeMap<Name, Latest<PostgresFacts>>,
    /// What was seen before.
    pub history: &'a PostgresHistory,
    /// What follows from both.
    pub evidence: &'a PostgresEvidence,
    /// Nodes whose own agent is out of reach, where nodes have agents.
    pub silent: &'a [&'a Name],
    /// What follows for the other channels.
    pub beside: Beside<'a>,
    /// Now.
    pub now: Moment,
}

/// The standby that would be promoted, while it answers.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    name: &'a Name,
    facts: &'a PostgresFacts,
    standby: &'a StandbyFacts,
}

impl Candidate<'_> {
    /// What it has, replayed or not.
    fn has(&self) -> Option<Lsn> {
        self.standby.receive_lsn.max(self.standby.replay_lsn)
    }

    /// Bytes that it has and must still replay.
    fn left(&self) -> Option<u64> {
        Some(self.has()?.bytes_after(self.standby.replay_lsn?).0)
    }
}

/// The answer where a vendor's page stands for the servers.
pub fn of_a_page() -> Readiness {
    let reason = "a vendor's page stands for the servers: it does not tell what a promotion would lose".to_owned();
    Readiness { reasons: vec![reason], ..nothing() }
}

fn nothing() -> Readiness {
    Readiness {
        verdict: FailoverVerdict::Unknown,
        reasons: Vec::new(),
        primary: None,
        primary_life: PrimaryLife::Unknown,
        standby: None,
        blockers: Vec::new(),
        loss: Loss::default(),
        serve: TimeToServe::default(),
        besides: Vec::new(),
        steps: Vec::new(),
    }
}

/// The moment from which a loss that is acceptable now is not known to be any more, if nothing new is read until then.
pub fn runs_out(told: &Readiness, pair: &PairConfig, now: Moment) -> Option<Moment> {
    let left = pair.rpo.age.as_secs_f64() - told.loss.seconds_at_most?;
    let left = Duration::try_from_secs_f64(left).ok().filter(|_| told.verdict == FailoverVerdict::Ready)?;
    // One look just after it, since just then it is still within.
    Some(now + left + Duration::from_millis(1))
}

/// The answer at `situation.now`.
pub fn readiness(situation: &Situation<'_>) -> Readiness {
    let primary = situation.primary();
    let life = situation.life_of(primary);
    let (candidate, passed_over) = candidate::choose(situation, primary);
    let (mut blockers, mut untold) = blockers::blockers(situation, primary, candidate.as_ref());
    // Positions of histories that have parted cannot be compared.
    let comparable =
        blockers.iter().all(|(blocker, _)| matches!(blocker, Blocker::NotAccepting | Blocker::SettingsTooLow));
    let wal = match &candidate {
        Some(candidate) if comparable => loss::loss(situation, primary, life, candidate),
        _ => Loss::default(),
    };
    blockers.extend(situation.beside.blocker());
    untold.extend(situation.beside.untold());
    let loss = Loss { canaries: situation.beside.canaries(), files: situation.beside.files(), ..wal };
    let serve = candidate.as_ref().map_or_else(TimeToServe::default, |candidate| loss::serve(situation, candidate));
    let serve = TimeToServe { rebuild: situation.beside.rebuild(), ..serve };
    let (verdict, mut reasons) = verdict(situation, life, primary, candidate.as_ref(), &blockers, &untold, &loss);
    reasons.extend(passed_over);
    let mut readiness = Readiness {
        verdict,
        reasons,
        primary: primary.cloned(),
        primary_life: life,
        standby: candidate.as_ref().map(|candidate| candidate.name.clone()),
        blockers,
        loss,
        serve,
        besides: situation.beside.sentences(),
        steps: Vec::new(),
    };
    readiness.steps = steps::steps(situation, &readiness, candidate.as_ref());
    readiness
}

fn verdict(
    situation: &Situation<'_>,
    life: PrimaryLife,
    primary: Option<&Name>,
    candidate: Option<&Candidate<'_>>,
    blockers: &[(Blocker, String)],
    untold: &[String],
    loss: &Loss,
) -> (FailoverVerdict, Vec<String>) {
    let mut reasons: Vec<String> = blockers.iter().map(|(_, detail)| detail.clone()).collect();
    reasons.extend(untold.iter().cloned());
    if life == PrimaryLife::Gone {
        reasons.extend(primary.map(|primary| situation.gone(primary)));
    }
    if !blockers.is_empty() {
        return (FailoverVerdict::NotReady, reasons);
    }
    if candidate.is_none() {
        reasons.extend(loss::last_known(situation, primary));
        return (FailoverVerdict::Unknown, reasons);
    }
    if life == PrimaryLife::Gone {
        reasons.push(loss::in_words(loss));
        return (FailoverVerdict::PrimaryGone, reasons);
    }
    reasons.extend(situation.unseen(life, primary));
    reasons.push(loss::in_words(loss));
    let within = loss.wal.map(|wal| loss::is_acceptable(loss, wal, situation.pair.rpo));
    if within == Some(false) {
        let rpo = situation.pair.rpo;
        let limits = format!("(rpo: {} and {})", rpo.bytes, short_duration(rpo.age));
        reasons.push(match (loss::is_beyond(loss, rpo), loss.canaries) {
            (true, _) => format!("that is more than is acceptable {limits}"),
            (false, Some(1..)) => "the key-value store's part of it is more than is acceptable: none".to_owned(),
            (false, _) if loss.seconds_at_most.is_some() && !loss.seconds_at_least => format!(
                "with what may have been written since the last look (every {}) that is not known to be within what is acceptable {limits}",
                short_duration(situation.channel.schedule.interval)
            ),
            (false, _) => format!("that is not known to be within what is acceptable {limits}"),
        });
    }
    let outdated = situation.beside.outdated();
    let verdict = match within {
        Some(_) if !untold.is_empty() => FailoverVerdict::Unknown,
        None => FailoverVerdict::Unknown,
        Some(true) if outdated.is_none() => FailoverVerdict::Ready,
        Some(_) => FailoverVerdict::ReadyWithLoss,
    };
    reasons.extend(outdated);
    (verdict, reasons)
}

impl<'a> Situation<'a> {
    /// The one that answers as the only primary, else the last that was proven to be, else the one that alone is silent.
    fn primary(&self) -> Option<&'a Name> {
        let answers_as_standby = |name: &Name| self.standby_facts(name).is_some();
        let is_node = |name: &&Name| self.latest.contains_key(*name);
        let remembered = self.history.roles.primary.as_ref().filter(is_node).filter(|name| !answers_as_standby(name));
        let mut silent = self.latest.iter().filter(|(name, _)| self.fresh(name).is_err()).map(|(name, _)| name);
        let alone = silent.next().filter(|_| silent.next().is_none());
        self.evidence.primary.as_ref().or(remembered).or(alone)
    }

    fn fresh(&self, name: &Name) -> Result<&'a PostgresFacts, Reason> {
        let latest = self.latest.get(name).ok_or(Reason::NotSeenYet)?;
        latest.fresh(self.now, self.channel.schedule.stale_after).map(|(facts, _)| facts)
    }

    fn standby_facts(&self, name: &Name) -> Option<(&'a PostgresFacts, &'a StandbyFacts)> {
        let facts = self.fresh(name).ok()?;
        match &facts.role {
            PostgresRole::Standby(standby) => Some((facts, standby)),
            PostgresRole::Primary(_) => None,
        }
    }

    /// What is known of this primary's history: what it answers, or answered last.
    fn last_of(&self, primary: Option<&Name>) -> Option<&'a RingOf> {
        self.history.ring_of().filter(|was| Some(&was.node) == primary)
    }

    /// The timeline that a standby has followed to: its own word may be late.
    fn timeline_of(&self, candidate: &Candidate<'_>) -> Option<u32> {
        let held = self.history.nodes.get(candidate.name).and_then(|memory| memory.has.as_ref());
        held.and_then(|held| held.timeline).max(candidate.facts.timeline)
    }

    /// Gone only if it cannot be reached *and* no receiver that can be asked has a fresh heartbeat from it. A server that answers
    /// with a refusal, or is starting, lives; so does a machine whose agent answers, and be it with a refusal.
    fn life_of(&self, primary: Option<&Name>) -> PrimaryLife {
        if self.evidence.primary.is_some() {
            return PrimaryLife::Answers;
        }
        if self.evidence.primary_seen {
            return PrimaryLife::Heard;
        }
        let failure = primary.and_then(|primary| self.latest.get(primary)).and_then(Latest::failure);
        let agent_is_silent = primary.is_some_and(|primary| self.silent.contains(&primary));
        match failure.map(|failure| failure.kind) {
            Some(kind) if kind.is_out_of_reach() => PrimaryLife::Gone,
            Some(FailureKind::PeerUnreachable) if agent_is_silent => PrimaryLife::Gone,
            _ => PrimaryLife::Unknown,
        }
    }

    /// Why a node cannot be asked.
    fn silence(&self, name: &Name) -> String {
        match (self.latest.get(name).and_then(Latest::failure), self.fresh(name)) {
            (Some(failure), _) => failure.message.clone(),
            (None, Err(reason)) => reason.as_str().replace('_', " "),
            (None, Ok(_)) => "it answers".to_owned(),
        }
    }

    fn gone(&self, primary: &Name) -> String {
        format!("nobody sees the primary {primary} any more: {}", self.silence(primary))
    }

    /// What keeps the loss from being told while the primary may live.
    fn unseen(&self, life: PrimaryLife, primary: Option<&Name>) -> Option<String> {
        match (life, primary) {
            (PrimaryLife::Answers | PrimaryLife::Gone, _) => None,
            (PrimaryLife::Heard, Some(primary)) => {
                Some(format!("{primary} lives, a standby hears it, but it cannot be asked: {}", self.silence(primary)))
            }
            (_, Some(primary)) => Some(format!("whether {primary} lives is not known: {}", self.silence(primary))),
            (_, None) => Some("no node is known to be the primary".to_owned()),
        }
    }
}
