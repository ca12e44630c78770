//! How old the configuration on the standby is. Up while that is known, however old: then the age speaks.
//!
//! The first that fits is the reason: roles unknown; nothing fresh (a failure, `stale`); no age (`future_timestamp`, `sync_failing`
//! if every run failed, `clock_step`, `not_seen_yet`); and with a warning: `sync_stale`, `future_timestamp` of one source,
//! `sync_failing`, `drift`, `too_large`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Moment;
use crate::config::{ConfigChannel, PairConfig};
use crate::evidence::{ConfigEvidence, DriftEvidence, Roles, Verdict};
use crate::facts::{ConfigFacts, Latest, TreeFacts, WrapperFacts};
use crate::history::config_drift::DriftHistory;
use crate::history::config_sync::{BeaconAge, ConfigHistory, beacon_age, from_the_future, proven_age};
use crate::names::{Name, Reason};
use crate::units::short_duration;

mod drift;

/// Above this many periods the copy is stale: one run was missed, and not only late.
const STALE_PERIODS: u32 = 2;
/// From this many on it is critically so (the rule tells); evidence is derived anew when that moment comes.
const CRITICAL_PERIODS: u32 = 3;
/// So many failures in a row are a reason of their own.
const FAILURES_IN_A_ROW: u32 = 3;

/// What was learned of each node.
#[derive(Clone, Copy, Debug)]
pub struct Learned<'a> {
    /// What the job left there.
    pub files: &'a BTreeMap<Name, Latest<ConfigFacts>>,
    /// The tree itself.
    pub trees: &'a BTreeMap<Name, Latest<TreeFacts>>,
    /// When each copy was good.
    pub history: &'a ConfigHistory,
    /// How the trees differ.
    pub drift: &'a DriftHistory,
}

/// The evidence at `now`, and the next moment at which it changes by itself. Of several standbys the worst counts.
pub fn evidence(
    channel: &ConfigChannel,
    pair: &PairConfig,
    learned: Learned<'_>,
    roles: &Roles,
    now: Moment,
) -> (ConfigEvidence, Option<Moment>) {
    let primary = roles.primary.as_ref().filter(|_| !roles.contradicted);
    let standbys = roles.standbys.iter().filter_map(|node| Some((primary?, node)));
    let judged = standbys.map(|both| {
        let (evidence, changes) = of_standby(channel, pair, both, learned, now);
        let (drift, runs_out) = drift::evidence(channel, learned, both, now);
        let changes = [changes, runs_out].into_iter().flatten().min();
        (drift::told(evidence, drift), changes)
    });
    let (judged, changes): (Vec<_>, Vec<_>) = judged.unzip();
    let most_drifted = judged.iter().map(|evidence| &evidence.drift);
    let most_drifted = most_drifted.max_by_key(|drift| (drift.drifted_files, !drift.compared)).cloned();
    let worst = judged.into_iter().max_by_key(|evidence| (!evidence.verdict.up, evidence.age));
    let mut evidence = worst.unwrap_or_else(|| {
        let detail = "which node is the standby is not known, so nobody can tell which copy counts";
        nothing_known(Verdict::unproven(Reason::RoleUnknown, detail, None))
    });
    // a default is right: in it nothing is known.
    evidence.drift = most_drifted.unwrap_or_default();
    (evidence, changes.into_iter().flatten().min())
}

fn nothing_known(verdict: Verdict) -> ConfigEvidence {
    ConfigEvidence {
        verdict,
        age: None,
        age_periods: None,
        consecutive_failures: None,
        last_exit: None,
        last_took: None,
        drift: DriftEvidence::default(),
    }
}

fn of_standby(
    channel: &ConfigChannel,
    pair: &PairConfig,
    (primary, node): (&Name, &Name),
    learned: Learned<'_>,
    now: Moment,
) -> (ConfigEvidence, Option<Moment>) {
    let Learned { files, history, .. } = learned;
    if pair.node(node).is_none_or(|node| node.config.is_none()) {
        let detail = format!("{node} is the standby and has no `config` in the configuration");
        return (nothing_known(Verdict::unproven(Reason::NotSeenYet, detail, None)), None);
    }
    let never = Latest::NeverAsked;
    let latest = files.get(node).unwrap_or(&never);
    let last_good = history.last_good(node);
    let (facts, asked) = match latest.fresh(now, channel.schedule.stale_after) {
        Ok(fresh) => fresh,
        Err(reason) => {
            let detail = match latest.failure() {
                Some(failure) => failure.message.clone(),
                None => format!("{node} was not looked at lately"),
            };
            let verdict = Verdict::unproven(reason, with_last_good(detail, last_good, now), last_good);
            return (nothing_known(verdict), None);
        }
    };
    let age = proven_age(facts, Some(primary));
    let wrapper = facts.wrapper.filter(|wrapper| wrapper.any_finished);
    let aged = age.map(|age| age.saturating_add(now.since(asked)));
    let evidence = ConfigEvidence {
        verdict: match aged {
            Some(aged) => warned(channel, node, facts, aged, asked),
            None => no_age(pair, (primary, node), facts, history, asked),
        },
        age,
        age_periods: aged.map(|aged| aged.as_secs_f64() / channel.period.as_secs_f64()),
        consecutive_failures: wrapper.map(|wrapper| wrapper.consecutive_failures),
        last_exit: wrapper.and_then(|wrapper| wrapper.last_exit),
        last_took: wrapper.and_then(|wrapper| wrapper.last_took),
        drift: DriftEvidence::default(),
    };
    let runs_out = latest.runs_out(now, channel.schedule.stale_after);
    let passes = age.and_then(|age| next_limit(channel, asked, age, now));
    (evidence, [runs_out, passes].into_iter().flatten().min())
}

/// The moment after `now` at which the age passes a limit.
fn next_limit(channel: &ConfigChannel, asked: Moment, age: Duration, now: Moment) -> Option<Moment> {
    // A little later than the limit itself, since only what is above it counts as above.
    let limit = |periods: u32| channel.period * periods + Duration::from_millis(1);
    let passes = |periods| (limit(periods) > age).then(|| asked + (limit(periods) - age));
    [passes(STALE_PERIODS), passes(CRITICAL_PERIODS)].into_iter().flatten().find(|moment| *moment > now)
}

/// The age is known: proven, with a warning where there is something to say.
fn warned(channel: &ConfigChannel, node: &Name, facts: &ConfigFacts, aged: Duration, asked: Moment) -> Verdict {
    let since = format!("the last good sync of {node} began {} ago", short_duration(aged));
    let with_cause = |text: String| match facts.wrapper.as_ref().and_then(trouble) {
        Some(cause) => format!("{text}; {cause}"),
        None => text,
    };
    if aged > channel.period * STALE_PERIODS {
        let limit = short_duration(channel.period);
        return Verdict::warned(Reason::SyncStale, with_cause(format!("{since}, its period is {limit}")), asked);
    }
    if from_the_future(facts) {
        return Verdict::warned(Reason::FutureTimestamp, format!("{since}; {}", future(node, facts)), asked);
    }
    if facts.wrapper.is_some_and(|wrapper| wrapper.consecutive_failures >= FAILURES_IN_A_ROW) {
        return Verdict::warned(Reason::SyncFailing, with_cause(since), asked);
    }
    Verdict { detail: facts.wrapper.as_ref().and_then(trouble), ..Verdict::proven(asked) }
}

/// The age cannot be known.
fn no_age(
    pair: &PairConfig,
    (primary, node): (&Name, &Name),
    facts: &ConfigFacts,
    history: &ConfigHistory,
    asked: Moment,
) -> Verdict {
    if from_the_future(facts) {
        return Verdict::unproven(Reason::FutureTimestamp, future(node, facts), Some(asked));
    }
    if let Some(cause) = facts.wrapper.as_ref().filter(|wrapper| wrapper.any_finished).and_then(trouble) {
        let detail = format!("no good sync of {node} is on record; {cause}");
        return Verdict::unproven(Reason::SyncFailing, detail, Some(asked));
    }
    if pair.node(node).and_then(|node| node.config.as_ref()).is_some_and(|tree| tree.beacon.is_some()) {
        return no_beacon((primary, node), facts, history, asked);
    }
    let cure = "run the job as `standbywatch rsync --`, or let it touch the timestamp file after success";
    let detail = format!("no good sync of {node} is on record yet: {cure}");
    Verdict::unproven(Reason::NotSeenYet, detail, Some(asked))
}

/// Nothing but a beacon is there to tell the age, and it does not.
fn no_beacon((primary, node): (&Name, &Name), facts: &ConfigFacts, history: &ConfigHistory, asked: Moment) -> Verdict {
    let unproven = |reason, detail: String| Verdict::unproven(reason, detail, Some(asked));
    let missing = |detail: String| match history.beacon_trouble(primary) {
        Some(trouble) => {
            unproven(Reason::NotSeenYet, format!("{detail}; on {primary} it cannot be written: {trouble}"))
        }
        None => unproven(Reason::NotSeenYet, format!("{detail}; the next sync should bring it")),
    };
    match beacon_age(facts, primary) {
        BeaconAge::Stepped => {
            let detail = format!("the clock was set since the beacon that lies on {node} was written");
            unproven(Reason::ClockStep, format!("{detail}; the next sync brings a new one"))
        }
        BeaconAge::OfAnotherClock => missing(format!(
            "the beacon that lies on {node} was written by another clock, or before a restart of the machine"
        )),
        BeaconAge::OfAnotherNode(other) => {
            missing(format!("the beacon that lies on {node} is {other}'s of old, and {primary} is the primary"))
        }
        BeaconAge::None | BeaconAge::Known(_) => missing(format!("no beacon of {primary} lies in the tree of {node}")),
    }
}

fn future(node: &Name, facts: &ConfigFacts) -> String {
    match facts.timestamp.map(|timestamp| timestamp.written.0 - timestamp.read_at.0) {
        Some(ahead) if ahead > 0.0 => format!("the timestamp on {node} is {ahead:.0} s ahead of that machine's clock"),
        _ => format!("the record on {node} is ahead of that machine's clock, which was set back"),
    }
}

fn with_last_good(detail: String, last_good: Option<Moment>, now: Moment) -> String {
    match last_good {
        Some(moment) => {
            format!("{detail}; the last good sync known of began {} ago", short_duration(now.since(moment)))
        }
        None => detail,
    }
}

/// What the wrapper's record says of the last run, where it is worth a word.
fn trouble(wrapper: &WrapperFacts) -> Option<String> {
    let failures = match wrapper.consecutive_failures {
        0 if wrapper.last_exit == Some(24) => {
            return Some("the last run was good, though some files vanished while it copied (exit 24)".to_owned());
        }
        0 => return wrapper.running_for.filter(|running| *running > LONG_RUN).map(still_running),
        1 => "the run since failed".to_owned(),
        many => format!("{many} runs since failed, the last of them"),
    };
    let how = match wrapper.last_exit {
        Some(code) => format!("with exit {code} ({})", meaning(code)),
        None if wrapper.last_killed => "killed by its deadline or a signal".to_owned(),
        None => "for an unknown cause".to_owned(),
    };
    Some(format!("{failures} {how}"))
}

/// A run that takes longer than this is worth a word.
const LONG_RUN: Duration = Duration::from_secs(60);

fn still_running(running: Duration) -> String {
    format!("a run has been in progress for {}", short_duration(running))
}

/// rsync's exit codes in words (rsync(1), "EXIT VALUES"), and those of shells.
const fn meaning(code: i32) -> &'static str {
    match code {
        1 => "usage error",
        2 => "the two sides' rsync versions do not fit",
        3 => "files or directories could not be selected",
        5 => "the other side's rsync daemon refused",
        10 => "no connection, or it broke",
        11 => "reading or writing a file failed: disk full?",
        12 => "the connection broke",
        20 => "ended by a signal",
        22 => "out of memory",
        23 => "some files could not be copied",
        25 => "stopped by --max-delete",
        30 => "no data for too long",
        35 => "the other side's daemon did not answer in time",
        126 => "rsync could not be started",
        127 => "rsync or ssh was not found",
        130 | 137 | 143 => "killed by a signal",
        255 => "ssh failed: host, key or network",
        _ => "see rsync(1)",
    }
}

#[cfg(test)]
mod tests;
