//! From readings and histories to what is shown. Pure: the clocks are handed in.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::histories::Histories;
use super::peers::Peers;
use super::readings::Readings;
use super::role_file::RoleFileReading;
use super::roles;
use crate::clock::{Moment, WallTime};
use crate::config::PairConfig;
use crate::evidence::{PairEvidence, Readiness, Roles};
use crate::history::rules::RuleTimers;
use crate::judge;
use crate::judge::readiness::{Beside, Situation};
use crate::judge::rules::RuleBook;
use crate::metrics;
use crate::names::Reason;
use crate::snapshot::{ByMetric, ProbeHealth, View};

/// All that a view is derived from, but for the timers, which evaluation advances.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The pair.
    pub pair: &'a PairConfig,
    /// The rules in force.
    pub rules: &'a RuleBook,
    /// Newest readings.
    pub readings: &'a Readings,
    /// Histories, with these readings recorded.
    pub histories: &'a Histories,
    /// Newest reading of the role file, where there is one.
    pub role_file: Option<&'a RoleFileReading>,
    /// What is known of the other agents.
    pub peers: &'a Peers,
}

/// A view and the next moment at which it changes without a new reading.
#[derive(Clone, Debug)]
pub struct Derived {
    /// What is shown.
    pub view: View,
    /// Freshness or a hold time runs out.
    pub next_change: Option<Moment>,
}

/// The view at `now`, which is `wall` for people.
pub fn view(known: Known<'_>, timers: &mut RuleTimers, now: Moment, wall: WallTime) -> Derived {
    let looked = look(known, timers, now, wall);
    let stands = looked.stands;
    let (view, hold_runs_out) = judge(known.pair, known.rules, looked, timers, (now, wall));
    let next_change = view.evidence.next_change.into_iter().chain(hold_runs_out).chain(stands).min();
    Derived { view, next_change }
}

/// What is shown from `then` on if the hub does not look again: nothing that was read counts any more. Hardly ever does anybody see it, so
/// only what needs the hub's memory is done now.
pub fn later(
    known: Known<'_>,
    (pair, rules): (Arc<PairConfig>, Arc<RuleBook>),
    mut timers: RuleTimers,
    then: (Moment, WallTime),
) -> impl FnOnce() -> View + Send + use<> {
    let dropped = known.readings.dropped();
    let known = Known { readings: &dropped, role_file: None, ..known };
    timers.stand_still(then.0);
    let looked = look(known, &mut timers, then.0, then.1);
    move || {
        let judged = AssertUnwindSafe(|| judge(&pair, &rules, looked, &mut timers, then).0);
        catch_unwind(judged).unwrap_or_else(|_| unjudged(&pair, then))
    }
}

/// What is known at an instant, before rules are judged.
struct Looked {
    evidence: PairEvidence,
    probes: Vec<ProbeHealth>,
    /// Until then alerts stand still, at most.
    stands: Option<Moment>,
}

fn look(known: Known<'_>, timers: &mut RuleTimers, now: Moment, wall: WallTime) -> Looked {
    let evidence = evidence(known, now, wall);
    let probes = known.readings.health(known.pair, now);
    let stands = stand_or_look(known, &evidence, timers, now);
    Looked { evidence, probes, stands }
}

/// Samples, rules and levels; gives also the moment at which a hold time runs out.
fn judge(
    pair: &PairConfig,
    rules: &RuleBook,
    Looked { evidence, probes, .. }: Looked,
    timers: &mut RuleTimers,
    (now, wall): (Moment, WallTime),
) -> (View, Option<Moment>) {
    let mut samples = metrics::evidence_samples(pair, &evidence, &probes);
    let (findings, hold_runs_out) = rules.evaluate(pair, &ByMetric::new(&samples), timers, now, wall);
    let (level, channels) = judge::level::channel_views(pair, &evidence, &findings);
    metrics::add_verdict(&mut samples, pair, level, &channels);
    if let Some(seat) = &pair.seat {
        // Judged was what both agents see; each shows of the nodes its own one only.
        metrics::keep_own(&mut samples, &seat.node);
    }
    let pair = pair.name.clone();
    (View { pair, made: now, made_wall: wall, level, channels, evidence, probes, samples, findings }, hold_runs_out)
}

/// Of evidence that cannot be judged, by a mistake of ours: it is not shown, and everything is unknown.
fn unjudged(pair: &PairConfig, (now, wall): (Moment, WallTime)) -> View {
    let evidence = PairEvidence::default();
    let (level, channels) = judge::level::channel_views(pair, &evidence, &[]);
    let (pair, made, made_wall) = (pair.name.clone(), now, wall);
    View {
        pair,
        made,
        made_wall,
        level,
        channels,
        evidence,
        probes: Vec::new(),
        samples: Vec::new(),
        findings: Vec::new(),
    }
}

/// Alerts that stand still go on as soon as everything has been seen again; gives the moment at which they do in any case.
fn stand_or_look(known: Known<'_>, evidence: &PairEvidence, timers: &mut RuleTimers, now: Moment) -> Option<Moment> {
    let since = timers.standing()?;
    let longest = since + LONGEST_STILL;
    let waits = |reason: Option<Reason>| matches!(reason, Some(Reason::NotSeenYet | Reason::Starting));
    let seen = known.readings.all_of(since, known.pair) && !evidence.verdicts().any(|verdict| waits(verdict.reason));
    if seen || now >= longest {
        timers.look(now);
        return None;
    }
    Some(longest)
}

fn evidence(known: Known<'_>, now: Moment, wall: WallTime) -> PairEvidence {
    let Known { pair, readings, histories, .. } = known;
    let (mut changes, mut flaps) = (Vec::new(), Vec::new());
    let mut keep = |change: Option<Moment>| changes.extend(change.filter(|change| *change > now));
    let (roles, roles_change) = roles_of(known, now);
    keep(roles_change);
    let postgres = pair.postgres.as_ref().zip(histories.postgres.as_ref()).map(|(channel, history)| {
        let (evidence, change) = match channel.status_page.as_ref().zip(histories.status_page.as_ref()) {
            Some((page, history)) => judge::status_page::evidence(channel, page, &readings.status_page, history, now),
            None => judge::postgres::evidence(channel, pair, &readings.postgres, history, now),
        };
        keep(change);
        evidence
    });
    let config = pair.config.as_ref().map(|channel| {
        let learned = judge::config_sync::Learned {
            files: &readings.config,
            trees: &readings.trees,
            history: &histories.config,
            drift: &histories.drift,
            clocks: &known.peers.clocks(pair, now, wall),
        };
        let (evidence, change) = judge::config_sync::evidence(channel, pair, learned, &roles, now);
        keep(change);
        evidence
    });
    let kvstore = pair.kvstore.as_ref().map(|channel| {
        let (evidence, change) = judge::kvstore::evidence(
            channel,
            pair,
            (&readings.kvstore, &readings.observed),
            &histories.kvstore,
            &roles,
            now,
        );
        keep(change);
        evidence
    });
    let search = pair.search.as_ref().map(|channel| {
        let (evidence, change) =
            judge::search::evidence(channel, pair, &readings.search, &histories.search, &roles, now);
        keep(change);
        evidence
    });
    let (peers, change) = known.peers.evidence(pair, now);
    keep(change);
    let machines = known.peers.machines(pair, now);
    let servers = postgres.as_ref().map_or(&[][..], |postgres| &postgres.nodes);
    let parity = judge::parity::evidence(&machines, servers, &roles);
    let mut evidence = PairEvidence {
        roles,
        postgres,
        config,
        kvstore,
        search,
        peers,
        machines,
        parity,
        readiness: None,
        flaps: Vec::new(),
        next_change: None,
    };
    evidence.readiness = readiness(known, &evidence, now);
    keep(evidence.readiness.as_ref().and_then(|told| judge::readiness::runs_out(told, pair, now)));
    for (channel, up) in evidence.replicating() {
        let (count, change) = histories.flapping.changes(channel, up, now);
        flaps.push((channel, count));
        keep(change);
    }
    evidence.flaps = flaps;
    evidence.next_change = changes.into_iter().min();
    evidence
}

/// "Promote now?", where PostgreSQL is watched.
fn readiness(known: Known<'_>, evidence: &PairEvidence, now: Moment) -> Option<Readiness> {
    let Known { pair, readings, histories, .. } = known;
    let (channel, postgres) = pair.postgres.as_ref().zip(evidence.postgres.as_ref())?;
    if channel.status_page.is_some() {
        return Some(judge::readiness::of_a_page());
    }
    let history = histories.postgres.as_ref()?;
    let latest = &readings.postgres;
    let beside = Beside {
        config: evidence.config.as_ref(),
        kvstore: evidence.kvstore.as_ref(),
        search: evidence.search.as_ref(),
    };
    let silent = &known.peers.out_of_reach();
    let situation = Situation { pair, channel, latest, history, evidence: postgres, silent, beside, now };
    Some(judge::readiness::readiness(&situation))
}

/// Which node is what: as PostgreSQL proves it, or as the configuration says.
fn roles_of(known: Known<'_>, now: Moment) -> (Roles, Option<Moment>) {
    let Known { pair, readings, histories, role_file, .. } = known;
    // A page tells nothing of roles: they are known as they are where there is no PostgreSQL.
    let servers = pair.postgres.as_ref().filter(|channel| channel.status_page.is_none());
    if let Some((channel, history)) = servers.zip(histories.postgres.as_ref()) {
        let roles = judge::postgres::roles(channel, pair, &readings.postgres, history, now);
        return (roles, judge::postgres::roles_run_out(history));
    }
    roles::by_word(pair, role_file, known.peers, now)
}

/// The hub publishes a new snapshot when something runs out; until this much later, it alone decides what is shown.
/// Without it, a scrape in the very millisecond between the two would see everything unknown.
pub const GRACE: Duration = Duration::from_millis(250);

/// Nothing that is shown may stay for longer than this without the hub having looked again.
pub const LONGEST_SHOWN: Duration = Duration::from_secs(30);

/// So long do alerts stand still after a start or a pause, at most: what cannot be asked by then is judged as it is.
const LONGEST_STILL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::metrics::fixture;
    use crate::names::Channel;

    #[test]
    fn what_cannot_be_judged_is_unknown() {
        let view = unjudged(&fixture::pair(Channel::ALL), (fixture::at(0), WallTime(0.0)));
        assert_eq!(view.level, Level::Unknown);
        let levels: Vec<_> = view.channels.iter().map(|channel| (channel.channel, channel.level)).collect();
        assert_eq!(levels, Channel::ALL.iter().map(|channel| (*channel, Level::Unknown)).collect::<Vec<_>>());
    }
}
