//! One standby's numbers: how far behind it is, at which stage, and when it will have caught up.

use crate::evidence::StandbyEvidence;
use crate::facts::{StandbyFacts, Walsender};
use crate::history::catch_up::Course;
use crate::history::lsn_ring::Passed;
use crate::history::postgres::{Held, NodeMemory};
use crate::names::{Name, ReplayState};
use crate::units::Bytes;

use super::nodes::Primary;
use super::position;
use super::standby::{Own, Surroundings, apply_delay};

/// The primary's position less what the standby is known to have. Told while the primary is seen, also while nothing runs; but not of
/// a node whose last word was of another history: it took writes of its own, or is of another cluster or a later timeline. Nor of one
/// that is still on an earlier timeline: a primary of before that came back as a standby has what the new one never had, and by bare
/// positions would seem to lack nothing. (What the primary hears from it then is the same position: a stream of the old timeline begins
/// at the start of a file, and the standby reports what it has.)
pub(super) fn gap(view: &Surroundings<'_>, name: &Name, row: Option<&Walsender>) -> Option<Bytes> {
    let primary = view.primary?;
    let memory = view.history.nodes.get(name);
    let held = memory.and_then(|memory| memory.has.as_ref());
    let other_cluster = |held: &Held| held.cluster != primary.facts.system_identifier;
    let apart = |held: &Held| held.timeline.zip(primary.facts.timeline).is_some_and(|(theirs, ours)| theirs != ours);
    if memory.is_some_and(NodeMemory::was_primary) || held.is_some_and(|held| other_cluster(held) || apart(held)) {
        return None;
    }
    let has = held.map(|held| held.lsn).max(row.and_then(|row| row.flush.max(row.replay)))?;
    Some(primary.primary.wal_lsn?.bytes_after(has))
}

/// The numbers of a standby that is proven.
pub(super) fn measure(
    view: &Surroundings<'_>,
    evidence: &mut StandbyEvidence,
    row: Option<&Walsender>,
    primary: Primary<'_>,
    own: Option<Own<'_>>,
) {
    let standby = own.map(|own| own.standby);
    let Some(replayed) = position::replayed(row, standby) else { return };
    let total = match row {
        Some(row) => {
            let Some(stages) = position::stages(primary.primary, row, standby) else { return };
            evidence.bottleneck = position::bottleneck(&stages);
            evidence.stages = Some(stages);
            position::total(&stages)
        }
        // Nobody tells at which stage it waits.
        None => {
            let Some(current) = primary.primary.wal_lsn else { return };
            current.bytes_after(replayed)
        }
    };
    evidence.total = Some(total);
    let delay = apply_delay(view, &evidence.node, own);
    let stood = delay.and_then(|delay| view.history.ring.stood(delay));
    let undelayed = stood.map_or(total, |stood| stood.bound().bytes_after(replayed).min(total));
    evidence.undelayed = Some(undelayed);
    match view.history.ring.passed(replayed, view.channel.schedule.stale_after) {
        Some(Passed::Ago { about, .. }) => evidence.lag_seconds = Some(about),
        // (A time in which nobody looked may have been a long one: its other end would be told as a lag that never was.)
        Some(Passed::AtLeast { at_least, .. }) => {
            evidence.lag_seconds_at_least = Some(at_least);
            evidence.lag_seconds = at_most(view, primary, standby).filter(|at_most| *at_most >= at_least);
        }
        None => {}
    }
    let slope = view.history.trends.get(&evidence.node).and_then(|trend| trend.slope(view.now));
    evidence.lag_slope = slope.map(|slope| slope.median);
    let course = view.history.catch_ups.get(&evidence.node).and_then(|catch_up| catch_up.course(view.now, undelayed));
    evidence.catch_up_seconds = match course {
        _ if undelayed.0 == 0 => Some(0.0),
        // The course of the last minutes says nothing of a replay that stands still now.
        _ if evidence.replay_state.is_some_and(stands_still) => Some(f64::INFINITY),
        Some(Course::Shrinks(rate)) => Some(undelayed.as_f64() / rate),
        // Small lags come and go with each write; only a large one that does not shrink is never caught up.
        Some(Course::Stays) => (undelayed > view.channel.lag_large).then_some(f64::INFINITY),
        None => None,
    };
}

/// It does not go on by itself.
const fn stands_still(replay: ReplayState) -> bool {
    matches!(replay, ReplayState::Paused | ReplayState::BlockedBySettings | ReplayState::Stuck)
}

/// An upper bound of the lag in seconds, while the agent has not known this primary for long (it was restarted): the last transaction
/// that the standby has replayed was committed so long ago, both by the primary's own clock. It counts with bytes outstanding only.
fn at_most(view: &Surroundings<'_>, primary: Primary<'_>, standby: Option<&StandbyFacts>) -> Option<f64> {
    let ago = primary.facts.server_clock? - standby?.last_replayed_commit?;
    (view.history.ring.is_young() && ago.is_finite()).then_some(ago)
}
