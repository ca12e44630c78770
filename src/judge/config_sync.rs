//! How old the configuration on the standby is. Up while that is known, however old: then the age speaks.
//!
//! The first that fits is the reason: roles unknown; nothing fresh (a failure, `stale`); no age (`future_timestamp`, `sync_failing`
//! if every run failed, `not_seen_yet`); and with a warning: `sync_stale`, `future_timestamp` of one source, `sync_failing`.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::{ConfigChannel, PairConfig};
use crate::evidence::{ConfigEvidence, Roles, Verdict};
use crate::facts::{ConfigFacts, Latest, WrapperFacts};
use crate::history::config_sync::{ConfigHistory, from_the_future, proven_age};
use crate::names::{Name, Reason};
use crate::units::short_duration;

/// Above this many periods the copy is stale: one run was missed, and not only late.
const STALE_PERIODS: u32 = 2;
/// From this many on it is critically so (the rule tells); evidence is derived anew when that moment comes.
const CRITICAL_PERIODS: u32 = 3;
/// So many failures in a row are a reason of their own.
const FAILURES_IN_A_ROW: u32 = 3;

/// The evidence at `now`, and the next moment at which it changes by itself. Of several standbys the worst counts.
pub fn evidence(
    channel: &ConfigChannel,
    pair: &PairConfig,
    latest: &std::collections::BTreeMap<Name, Latest<ConfigFacts>>,
    history: &ConfigHistory,
    roles: &Roles,
    now: Moment,
) -> (ConfigEvidence, Option<Moment>) {
    let known = roles.primary.is_some() && !roles.contradicted;
    let standbys = roles.standbys.iter().filter(|_| known);
    let judged = standbys.map(|node| of_standby(channel, pair, node, latest.get(node), history, now));
    let (judged, changes): (Vec<_>, Vec<_>) = judged.unzip();
    let worst = judged.into_iter().max_by_key(|evidence| (!evidence.verdict.up, evidence.age));
    let evidence = worst.unwrap_or_else(|| {
        let detail = "which node is the standby is not known, so nobody can tell which copy counts";
        nothing_known(Verdict::unproven(Reason::RoleUnknown, detail, None))
    });
    (evidence, changes.into_iter().flatten().min())
}

const fn nothing_known(verdict: Verdict) -> ConfigEvidence {
    ConfigEvidence {
        verdict,
        age: None,
        age_periods: None,
        consecutive_failures: None,
        last_exit: None,
        last_took: None,
    }
}

fn of_standby(
    channel: &ConfigChannel,
    pair: &PairConfig,
    node: &Name,
    latest: Option<&Latest<ConfigFacts>>,
    history: &ConfigHistory,
    now: Moment,
) -> (ConfigEvidence, Option<Moment>) {
    if pair.node(node).is_none_or(|node| node.config.is_none()) {
        let detail = format!("{node} is the standby and has no `config` in the configuration");
        return (nothing_known(Verdict::unproven(Reason::NotSeenYet, detail, None)), None);
    }
    let never = Latest::NeverAsked;
    let latest = latest.unwrap_or(&never);
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
    let age = proven_age(facts);
    let wrapper = facts.wrapper.filter(|wrapper| wrapper.any_finished);
    let aged = age.map(|age| age + now.since(asked));
    let evidence = ConfigEvidence {
        verdict: match aged {
            Some(aged) => warned(channel, node, facts, aged, asked),
            None => no_age(node, facts, asked),
        },
        age,
        age_periods: aged.map(|aged| aged.as_secs_f64() / channel.period.as_secs_f64()),
        consecutive_failures: wrapper.map(|wrapper| wrapper.consecutive_failures),
        last_exit: wrapper.and_then(|wrapper| wrapper.last_exit),
        last_took: wrapper.and_then(|wrapper| wrapper.last_took),
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
fn no_age(node: &Name, facts: &ConfigFacts, asked: Moment) -> Verdict {
    if from_the_future(facts) {
        return Verdict::unproven(Reason::FutureTimestamp, future(node, facts), Some(asked));
    }
    if let Some(cause) = facts.wrapper.as_ref().filter(|wrapper| wrapper.any_finished).and_then(trouble) {
        let detail = format!("no good sync of {node} is on record; {cause}");
        return Verdict::unproven(Reason::SyncFailing, detail, Some(asked));
    }
    let cure = "run the job as `standbywatch rsync --`, or let it touch the timestamp file after success";
    let detail = format!("no good sync of {node} is on record yet: {cure}");
    Verdict::unproven(Reason::NotSeenYet, detail, Some(asked))
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
