//! PostgreSQL's replication: is it proven, how far behind is the standby, what would a failover lose.
//!
//! Running is true only if proven: the primary's walsender for the standby streams and was answered lately, and, where the standby can
//! be asked, its receiver streams and heard from the primary lately. Where only one of them can be asked, its half is enough, with a warning.

mod access;
mod archive;
mod by_memory;
mod feed;
mod measure;
mod nodes;
mod outlook;
mod position;
mod proof;
mod recognise;
mod servers;
mod shown_name;
mod standby;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::{PairConfig, PostgresChannel};
use crate::evidence::{PostgresEvidence, Roles, StandbyEvidence, Verdict};
use crate::facts::{Latest, PostgresFacts};
use crate::history::postgres::{GROWING_HELD, PostgresHistory};
use crate::names::{Name, PostgresSource, Reason};
use crate::trend::Slope;
use crate::units::Bytes;

use self::nodes::{Nodes, Primary};
pub(super) use self::servers::settings_too_low;

/// The share of `lag_large` by which lag must rise over the window to count as growing.
const RISE_SHARE: f64 = 0.1;
/// A synchronous standby that answers late makes commits slow; one that is gone makes them wait for ever.
const COMMITS_MAY_WAIT: Duration = Duration::from_secs(15);

/// Which node is the primary: the one that answers as the only primary now, else the last that did, while that can still be so.
pub fn roles(
    channel: &PostgresChannel,
    pair: &PairConfig,
    latest: &BTreeMap<Name, Latest<PostgresFacts>>,
    history: &PostgresHistory,
    now: Moment,
) -> Roles {
    let nodes = Nodes::new(pair, latest, channel.schedule.stale_after, now);
    // (Not seen yet: which of two that answered as primary still is.)
    let unclear = [Reason::TwoPrimaries, Reason::WrongCluster, Reason::NotSeenYet];
    let contradicted = nodes.contradiction(history).is_some_and(|(reason, _)| unclear.contains(&reason));
    match nodes.primary() {
        Some(primary) if !contradicted => Roles {
            primary: Some(primary.name.clone()),
            standbys: pair.nodes.iter().map(|node| node.name.clone()).filter(|name| name != primary.name).collect(),
            proven_at: Some(primary.asked),
            contradicted: false,
            unknown_because: None,
        },
        _ => {
            let memory = by_memory::roles(pair, &nodes, history, now);
            // Where two answer it is not silence that keeps it from being known.
            Roles { contradicted, unknown_because: memory.unknown_because.filter(|_| !contradicted), ..memory }
        }
    }
}

/// When roles that nobody proves any more count no longer.
pub fn roles_run_out(history: &PostgresHistory) -> Option<Moment> {
    by_memory::believed_until(history)
}

/// The channel's evidence at `now`, and the next moment at which it changes without a new reading.
pub fn evidence(
    channel: &PostgresChannel,
    pair: &PairConfig,
    latest: &BTreeMap<Name, Latest<PostgresFacts>>,
    history: &PostgresHistory,
    now: Moment,
) -> (PostgresEvidence, Option<Moment>) {
    let nodes = Nodes::new(pair, latest, channel.schedule.stale_after, now);
    let contradiction = nodes.contradiction(history);
    let primary = nodes.primary();
    let presumed = primary.map(|primary| primary.name).or_else(|| nodes.presumed_primary(&history.roles));
    let mut changes: Vec<Moment> =
        latest.values().filter_map(|reading| reading.runs_out(now, channel.schedule.stale_after)).collect();

    let view = standby::Surroundings { channel, pair, history, nodes: &nodes, primary, latest, now };
    let mut standbys = Vec::new();
    // Two primaries are seen, too: that is another alarm.
    let mut primary_seen = nodes.count_primaries() > 0;
    for &(name, node) in nodes.all.iter().filter(|(name, _)| primary.is_none_or(|primary| primary.name != *name)) {
        let derived = standby::derive(&view, name, node, contradiction.as_ref());
        primary_seen |= derived.hears_primary;
        changes.extend(derived.changes);
        standbys.push(derived.evidence);
    }

    let counted: Vec<&StandbyEvidence> = standbys.iter().filter(|standby| Some(&standby.node) != presumed).collect();
    let contradicts = contradiction.as_ref().map(|(reason, _)| *reason);
    let contradicts = contradicts.filter(|reason| *reason != Reason::NotSeenYet);
    let verdict = access::with_warning(channel_verdict(&counted, contradiction), &nodes);
    let verdict = with_pulse(channel, verdict, history);
    let all_known = verdict.up && counted.iter().all(|standby| standby.total.is_some());
    let lag = counted.iter().filter_map(|standby| standby.total).max().filter(|_| all_known);
    let undelayed = counted.iter().filter_map(|standby| standby.undelayed).max().filter(|_| all_known);
    let lag_seconds = worst_seconds(&counted).filter(|_| all_known);
    let wal_rate = primary.and_then(|_| history.ring.rate());
    let (growing, held_until) = growing(channel, &counted, history, lag, now);
    changes.extend(held_until);
    let (roles_changed, told_until) = history.roles_change.recent(now);
    changes.extend(told_until);
    let established = established(channel, &counted, history, now);
    let evidence = PostgresEvidence {
        source: PostgresSource::Servers,
        unchanged_for: None,
        pulses: history.pulses.counts(channel),
        verdict,
        primary: primary.map(|primary| primary.name.clone()),
        primary_seen,
        nodes: nodes.evidence(now),
        lag,
        lag_undelayed: undelayed,
        lag_seconds,
        wal_rate,
        at_low_load: wal_rate.map(|rate| rate < channel.low_load.as_f64()),
        growing,
        established,
        commits_blocked: primary.and_then(|primary| commits_blocked(&primary, history)),
        roles_changed,
        archiver_failing: primary.and_then(|primary| primary.primary.archiver_failing),
        contradiction: contradicts,
        standbys,
    };
    (evidence, changes.into_iter().filter(|change| *change > now).min())
}

/// A pulse that cannot be written takes nothing from the proof, but what was asked for is not there: faults are told later.
fn with_pulse(channel: &PostgresChannel, verdict: Verdict, history: &PostgresHistory) -> Verdict {
    match &history.pulses.failure {
        Some(failure) if channel.pulse.is_some() && verdict.up && verdict.reason.is_none() => {
            let detail = format!("the pulse fails: {failure}");
            Verdict { reason: Some(Reason::PulseFailing), detail: Some(detail), ..verdict }
        }
        _ => verdict,
    }
}

/// The worst standby's verdict is the channel's; a contradiction stands above all of them.
fn channel_verdict(standbys: &[&StandbyEvidence], contradiction: Option<(Reason, String)>) -> Verdict {
    if let Some((reason, detail)) = contradiction {
        return Verdict::unproven(reason, detail, None);
    }
    // That WAL takes another way says less than what is wrong with its replay.
    let badness = |standby: &&&StandbyEvidence| match (standby.verdict.up, standby.verdict.reason) {
        (false, _) => 3,
        (true, Some(Reason::Cascaded | Reason::RestoringFromArchive)) => 1,
        (true, Some(_)) => 2,
        (true, None) => 0,
    };
    match standbys.iter().max_by_key(badness) {
        Some(worst) => worst.verdict.clone(),
        None => Verdict::unproven(Reason::NotSeenYet, "no node has been recognised as a standby yet", None),
    }
}

fn worst_seconds(standbys: &[&StandbyEvidence]) -> Option<f64> {
    let all: Option<Vec<f64>> = standbys.iter().map(|standby| standby.lag_seconds).collect();
    all?.into_iter().max_by(f64::total_cmp)
}

/// Somebody has been waiting on the primary for longer than a synchronous standby may take.
fn commits_blocked(primary: &Primary<'_>, history: &PostgresHistory) -> Option<bool> {
    let waiting = primary.primary.commits_waiting? > 0;
    let since = history.nodes.get(primary.name).and_then(|memory| memory.commits_wait_since);
    Some(waiting && since.is_some_and(|since| primary.asked.since(since) > COMMITS_MAY_WAIT))
}

/// Large and growing, by the newest proof; without one, by the last proof for at most a minute.
fn growing(
    channel: &PostgresChannel,
    standbys: &[&StandbyEvidence],
    history: &PostgresHistory,
    lag: Option<Bytes>,
    now: Moment,
) -> (bool, Option<Moment>) {
    if lag.is_some() {
        return (standbys.iter().any(|standby| is_growing(channel, standby, history, now)), None);
    }
    match history.growing {
        Some((verdict, proven)) if now.since(proven) < GROWING_HELD => (verdict, Some(proven + GROWING_HELD)),
        _ => (false, None),
    }
}

fn is_growing(channel: &PostgresChannel, standby: &StandbyEvidence, history: &PostgresHistory, now: Moment) -> bool {
    let slope = history.trends.get(&standby.node).and_then(|trend| trend.slope(now));
    is_large_and_growing(channel, standby.undelayed, slope)
}

/// A lag over the configured limit that rises for certain, and not by a trifle.
pub(super) fn is_large_and_growing(channel: &PostgresChannel, lag: Option<Bytes>, slope: Option<Slope>) -> bool {
    lag.is_some_and(|lag| lag > channel.lag_large)
        && slope.is_some_and(|slope| {
            let rise = slope.median * channel.trend_window.as_secs_f64();
            slope.lower > 0.0 && rise > RISE_SHARE * channel.lag_large.as_f64()
        })
}

/// Whether the standbys whose lag grows (all, while none does) have been standbys for longer than a first copy may take. What is not
/// known is not past it: a rule tells of a growing lag in either case.
fn established(
    channel: &PostgresChannel,
    standbys: &[&StandbyEvidence],
    history: &PostgresHistory,
    now: Moment,
) -> bool {
    let past = |standby: &&&StandbyEvidence| standby.outlook.set_up_age.is_some_and(|age| age >= channel.initial_sync);
    let mut grow = standbys.iter().filter(|standby| is_growing(channel, standby, history, now)).peekable();
    if grow.peek().is_some() {
        grow.any(|standby| past(&standby))
    } else {
        standbys.iter().all(|standby| past(&standby))
    }
}

#[cfg(test)]
mod tests;
