//! What a promotion would lose, and how long the standby has to replay.

use std::time::Duration;

use super::{Candidate, Situation, blockers};
use crate::config::Rpo;
use crate::evidence::{Loss, TimeToServe, Unseen};
use crate::history::lsn_ring::Passed;
use crate::names::{Name, PrimaryLife};
use crate::units::{Bytes, Lsn, short_duration};

/// The primary's position less what the standby has; with the primary gone, up to where it was seen last.
pub(super) fn loss(
    situation: &Situation<'_>,
    primary: Option<&Name>,
    life: PrimaryLife,
    candidate: &Candidate<'_>,
) -> Loss {
    match life {
        PrimaryLife::Answers => {
            let standby = situation.evidence.standbys.iter().find(|standby| standby.node == *candidate.name);
            let node = situation.evidence.nodes.iter().find(|node| Some(&node.node) == primary);
            let wal = standby.and_then(|standby| standby.gap);
            let has = wal.zip(node.and_then(|node| node.position));
            with_seconds(situation, wal, has.map(|(wal, current)| Lsn(current.0.saturating_sub(wal.0))))
        }
        PrimaryLife::Gone => {
            let comparable =
                situation.last_of(primary).is_some() && blockers::behind(situation, primary, candidate).is_none();
            let last = situation.history.ring.newest().filter(|_| comparable);
            let (Some((at, lsn)), Some(has)) = (last, candidate.has()) else { return Loss::default() };
            let since = situation.now.since(at);
            let unseen = Some(Unseen { since, wal_rate: situation.history.ring.rate() });
            // Its last seconds were seen by nobody: they come on top of these.
            Loss { unseen, seconds_at_least: true, ..with_seconds(situation, Some(lsn.bytes_after(has)), Some(has)) }
        }
        PrimaryLife::Heard | PrimaryLife::Unknown => Loss::default(),
    }
}

/// Of each standby, while none answers: what it was last known to lack. No answer can be made of it: what it has received since is not
/// known, nor what was written.
pub(super) fn last_known(situation: &Situation<'_>, primary: Option<&Name>) -> Vec<String> {
    let (Some(was), Some((at, lsn))) = (situation.last_of(primary), situation.history.ring.newest()) else {
        return Vec::new();
    };
    let lacks = |node: &Name| {
        let memory = situation.history.nodes.get(node).filter(|memory| !memory.was_primary())?;
        let held = memory.has.as_ref().filter(|held| held.cluster == was.cluster)?;
        held.timeline.zip(was.timeline).is_none_or(|(theirs, own)| theirs == own).then_some(())?;
        let (primary, since) = (&was.node, short_duration(situation.now.since(at)));
        let said = match lsn.bytes_after(held.lsn) {
            Bytes(0) => format!("{node} was last known to have all WAL that {primary} had written {since} ago"),
            lacks => format!(
                "{node} was last known to lack {lacks} of the WAL that {primary} had written {since} ago: at least that is lost, unless \
                 {node} received more than it could tell"
            ),
        };
        Some(said)
    };
    let others = situation.pair.nodes.iter().map(|node| &node.name).filter(|name| Some(*name) != primary);
    others.filter_map(lacks).collect()
}

/// How old the oldest of what would be lost is.
fn with_seconds(situation: &Situation<'_>, wal: Option<Bytes>, has: Option<Lsn>) -> Loss {
    let schedule = &situation.channel.schedule;
    let passed = has.and_then(|has| situation.history.ring.passed(has, schedule.stale_after));
    let (seconds, seconds_at_least) = match (wal, passed) {
        (Some(Bytes(0)), _) => (Some(0.0), false),
        (Some(_), Some(Passed::Ago { about, .. })) => (Some(about), false),
        (Some(_), Some(Passed::AtLeast { at_least, .. })) => (Some(at_least), true),
        _ => (None, false),
    };
    // What was written since the last look is seen by nobody before the next one.
    let looked = situation.history.ring.newest().map(|(at, _)| situation.now.since(at).max(schedule.interval));
    let oldest = passed.and_then(Passed::at_most).zip(looked).map(|(passed, looked)| passed + looked.as_secs_f64());
    Loss { wal, seconds, seconds_at_least, seconds_at_most: oldest, ..Loss::default() }
}

/// Within both limits for certain, whatever was written since the last look: an age that is not known is not.
pub(super) fn is_acceptable(loss: &Loss, wal: Bytes, rpo: Rpo) -> bool {
    let young = loss.seconds_at_most.is_some_and(|seconds| seconds <= rpo.age.as_secs_f64());
    wal <= rpo.bytes && young && loss.canaries.is_none_or(|canaries| canaries == 0)
}

/// Beyond one of the limits for certain; what is not known is not beyond for certain.
pub(super) fn is_beyond(loss: &Loss, rpo: Rpo) -> bool {
    let old = loss.seconds.is_some_and(|seconds| seconds > rpo.age.as_secs_f64());
    old || loss.wal.is_some_and(|wal| wal > rpo.bytes)
}

/// In a sentence.
pub(super) fn in_words(loss: &Loss) -> String {
    let Some(wal) = loss.wal else { return "what a promotion would lose is not known".to_owned() };
    let seconds = loss.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let span = match seconds {
        Some(_) if wal.0 == 0 => String::new(),
        Some(seconds) if loss.seconds_at_least => format!(" (at least {} of transactions)", short_duration(seconds)),
        Some(seconds) => format!(" ({} of transactions)", short_duration(seconds)),
        None => " (of how many seconds is not known)".to_owned(),
    };
    let Some(unseen) = loss.unseen else {
        return match wal.0 {
            0 => "a promotion would lose nothing: the standby has all WAL that the primary had written".to_owned(),
            _ => format!("a promotion would lose {wal} of WAL{span}"),
        };
    };
    let since = short_duration(unseen.since);
    let most = loss.at_most().filter(|most| *most > wal);
    let rate = match (unseen.wal_rate, most) {
        (Some(rate), Some(most)) => format!("it wrote {}/s then, so up to about {most}", whole(rate)),
        (Some(rate), None) => format!("it wrote {}/s then", whole(rate)),
        (None, _) => "how much it wrote then is not known".to_owned(),
    };
    format!("a promotion loses at least {wal} of WAL{span}; the primary is unseen for {since}, {rate}")
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative; it saturates")]
fn whole(rate: f64) -> Bytes {
    Bytes(rate.round() as u64)
}

/// What the standby has and has not replayed, over the rate at which it has replayed lately. While it replayed nothing, only a standby
/// that has nothing left knows how long it takes.
pub(super) fn serve(situation: &Situation<'_>, candidate: &Candidate<'_>) -> TimeToServe {
    let left = candidate.left().map(Bytes);
    let rate = situation.history.nodes.get(candidate.name).and_then(|memory| memory.replayed.rate());
    let replay = match (left, rate) {
        (Some(Bytes(0)), _) => Some(Duration::ZERO),
        // At a rate of 0 it takes for ever, which is no time that can be told.
        (Some(left), Some(rate)) => Duration::try_from_secs_f64(left.as_f64() / rate).ok(),
        _ => None,
    };
    TimeToServe { replay_left: left, replay, rebuild: None }
}
