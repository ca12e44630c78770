//! The catalogue's own order, and written timelines over made-up samples.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::condition::{Bound, Compare};
use super::description::Part;
use super::*;
use crate::clock::{Moment, WallTime};
use crate::config::RuleSetting;
use crate::history::rules::RuleTimers;
use crate::metrics;
use crate::metrics::fixture;
use crate::names::{Channel, RuleName, Severity};
use crate::snapshot::{ByMetric, FindingState, Sample};

fn sample(metric: &'static str, labels: &[(&'static str, &'static str)], value: f64) -> Sample {
    let labels = [("pair", "catalog")].iter().chain(labels).map(|(label, value)| (*label, (*value).into())).collect();
    Sample { metric, labels, value }
}

/// One pair under one book, judged at one second after another.
struct Timeline {
    book: RuleBook,
    timers: RuleTimers,
}

impl Timeline {
    fn new(settings: &[(&str, RuleSetting)]) -> Self {
        let settings = settings.iter().map(|(name, setting)| ((*name).to_owned(), *setting)).collect();
        Self { book: RuleBook::new(&settings), timers: RuleTimers::default() }
    }

    fn at(&mut self, second: u64, samples: &[Sample]) -> (Vec<(&'static str, FindingState)>, Option<u64>) {
        let now = Moment::after_boot(Duration::from_secs(second));
        let wall = WallTime(now.since_boot().as_secs_f64());
        let (findings, next) =
            self.book.evaluate(&fixture::pair(Channel::ALL), &ByMetric::new(samples), &mut self.timers, now, wall);
        let told = findings.iter().map(|finding| (finding.rule, finding.state)).collect();
        (told, next.map(|next| next.since_boot().as_secs()))
    }
}

#[test]
fn every_rule_reads_metrics_of_the_catalogue_with_the_labels_that_it_needs() {
    for rule in RULES {
        for name in rule.condition.metrics() {
            let metric = metrics::find(name).unwrap_or_else(|| panic!("{} reads {name}", rule.name));
            let of_pairs = metric.labels.first() == Some(&"pair");
            assert!(of_pairs || rule.about == About::Agent, "{name} says nothing of a pair");
            assert!(rule.about != About::EachChannel || metric.labels.contains(&"channel"), "{name}");
        }
        if let Condition::OfOneStandby(comparisons) = rule.condition {
            let joined = |compare: &Compare| {
                metrics::find(compare.metric).is_some_and(|metric| metric.labels.contains(&"standby"))
            };
            assert!(comparisons.iter().all(joined), "{}: joined by standby", rule.name);
            let over_threshold = |compare: &Compare| matches!(compare.bound, Bound::Threshold { .. });
            assert_eq!(comparisons.iter().any(over_threshold), rule.threshold.is_some(), "{}", rule.name);
        }
        let Condition::All(comparisons) = rule.condition else { continue };
        for compare in comparisons {
            let declared = metrics::find(compare.metric).map_or(&[][..], |metric| metric.labels);
            assert!(compare.labels.iter().all(|(label, _)| declared.contains(label)), "{}", rule.name);
            let over_threshold = matches!(compare.bound, Bound::Threshold { .. });
            assert_eq!(over_threshold, rule.threshold.is_some(), "{}: a threshold that counts", rule.name);
        }
    }
}

#[test]
fn names_and_catalogue_fit_both_ways() {
    let in_catalogue: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    let named: BTreeSet<_> = RuleName::ALL.iter().copied().collect();
    assert_eq!(in_catalogue, named);
    let alerts: BTreeSet<_> = RULES.iter().map(|rule| (rule.name, rule.severity)).collect();
    assert_eq!(alerts.len(), RULES.len(), "no name twice with one severity");
    for rule in RULES {
        assert_eq!(rule.threshold.is_some(), rule.name.threshold_unit().is_some(), "{}", rule.name);
        if let (About::Channel(channel), Some(reason)) = (rule.about, rule.reason) {
            assert!(channel.reasons().contains(&reason), "{}: {reason}", rule.name);
        }
    }
}

#[test]
fn the_channel_is_in_a_sentence_only_where_the_series_has_it() {
    for rule in RULES {
        let names_channel = rule.description.iter().any(|part| matches!(part, Part::Channel));
        assert!(!names_channel || rule.about == About::EachChannel, "{}", rule.name);
    }
}

#[test]
fn unknown_for_a_minute_fires_and_a_shorter_restart_does_not() {
    use FindingState::{Firing, Pending};
    let up = |value| [sample("standby_replication_up", &[("channel", "postgres")], value)];
    let mut timeline = Timeline::new(&[]);
    let unknown = "StandbyReplicationUnknown";
    assert_eq!(timeline.at(0, &up(1.0)), (vec![], None));
    assert_eq!(timeline.at(10, &up(0.0)), (vec![(unknown, Pending)], Some(70)));
    assert_eq!(timeline.at(65, &up(1.0)), (vec![], None), "back within the minute");
    assert_eq!(timeline.at(100, &up(0.0)), (vec![(unknown, Pending)], Some(160)));
    assert_eq!(timeline.at(159, &up(0.0)), (vec![(unknown, Pending)], Some(160)));
    assert_eq!(timeline.at(160, &up(0.0)), (vec![(unknown, Firing)], None));
    assert_eq!(timeline.at(161, &up(1.0)), (vec![], None));
}

#[test]
fn each_channel_has_an_alert_of_its_own() {
    let up = |channel, value| sample("standby_replication_up", &[("channel", channel)], value);
    let mut timeline = Timeline::new(&[]);
    timeline.at(0, &[up("postgres", 0.0), up("config", 1.0)]);
    let (told, next) = timeline.at(60, &[up("postgres", 0.0), up("config", 0.0)]);
    let unknown = "StandbyReplicationUnknown";
    assert_eq!(told, [(unknown, FindingState::Firing), (unknown, FindingState::Pending)]);
    assert_eq!(next, Some(120));
}

#[test]
fn proof_beats_ignorance_and_contradiction_beats_proof() {
    let up = |value| sample("standby_replication_up", &[("channel", "kvstore")], value);
    let paused = |value| sample("standby_postgres_replay_state", &[("standby", "beta"), ("state", "paused")], value);
    let mut timeline = Timeline::new(&[]);
    assert_eq!(timeline.at(0, &[up(0.0), up(1.0)]).0, []);
    let (told, _) = timeline.at(1, &[paused(0.0), paused(1.0)]);
    assert_eq!(told, [("StandbyPostgresReplayPaused", FindingState::Firing)]);
}

#[test]
fn growing_at_low_load_needs_both() {
    let growing = |value| sample("standby_postgres_lag_growing", &[], value);
    let low_load = |value| sample("standby_postgres_low_load", &[], value);
    let told = |samples: &[Sample]| -> Vec<_> {
        Timeline::new(&[]).at(0, samples).0.into_iter().map(|(rule, _)| rule).collect()
    };
    let established = |value| sample("standby_postgres_established", &[], value);
    let (at_any, at_low) = ("StandbyPostgresLagGrowing", "StandbyPostgresLagGrowingAtLowLoad");
    assert_eq!(told(&[growing(1.0), established(1.0), low_load(1.0)]), [at_any, at_low]);
    assert_eq!(told(&[growing(1.0), established(1.0), low_load(0.0)]), [at_any]);
    assert_eq!(told(&[growing(1.0), established(1.0)]), [at_any], "load not known");
    let initial = "StandbyPostgresInitialSyncNotCatchingUp";
    assert_eq!(told(&[growing(1.0), established(0.0), low_load(1.0)]), [at_low, initial], "a new standby");
    assert_eq!(told(&[growing(1.0), established(0.0), established(1.0)]), [at_any], "who knows its age counts");
    assert_eq!(told(&[growing(0.0), low_load(1.0)]), [""; 0]);
}

#[test]
fn a_stale_configuration_warns_above_two_periods_and_is_critical_from_three() {
    let severities = |age: f64, settings: &[(&str, RuleSetting)]| -> Vec<Severity> {
        let timeline = Timeline::new(settings);
        let age = [sample("standby_config_sync_age_periods", &[], age)];
        let mut timers = RuleTimers::default();
        let pair = fixture::pair(Channel::ALL);
        let (findings, _) =
            timeline.book.evaluate(&pair, &ByMetric::new(&age), &mut timers, fixture::at(0), WallTime(0.0));
        findings.iter().map(|finding| finding.severity).collect()
    };
    use Severity::{Critical, Warning};
    assert_eq!(severities(2.0, &[]), []);
    assert_eq!(severities(2.1, &[]), [Warning]);
    assert_eq!(severities(3.0, &[]), [Warning, Critical]);
    let later = RuleSetting { threshold: Some(10.0), ..RuleSetting::default() };
    let settings = [("StandbyConfigSyncStale", later)];
    assert_eq!(severities(10.5, &settings), [Warning]);
    assert_eq!(severities(11.0, &settings), [Warning, Critical]);
}

#[test]
fn a_site_sets_hold_threshold_and_switch() {
    let lag = [sample("standby_replication_undelayed_lag_bytes", &[], 2e6)];
    let high = "StandbyPostgresLagHigh";
    let shorter = RuleSetting { hold: Some(Duration::ZERO), threshold: Some(1e6), enabled: None };
    let mut timeline = Timeline::new(&[(high, shorter)]);
    assert_eq!(timeline.at(0, &lag).0, [(high, FindingState::Firing)]);
    assert_eq!(timeline.at(1, &[]), (vec![(high, FindingState::Kept)], Some(61)), "kept for a minute");

    timeline.book = RuleBook::new(&BTreeMap::from([(
        high.to_owned(),
        RuleSetting { enabled: Some(false), ..RuleSetting::default() },
    )]));
    assert_eq!(timeline.at(2, &lag), (vec![], None));
    assert_eq!(timeline.timers, RuleTimers::default(), "a rule that is switched off leaves no timer");
}

#[test]
fn a_sentence_has_the_pair_s_numbers_in_it() {
    let mut timers = RuleTimers::default();
    let lag = [sample("standby_replication_undelayed_lag_bytes", &[], 300e6)];
    let pair = fixture::pair(Channel::ALL);
    let (findings, _) = RuleBook::new(&BTreeMap::new()).evaluate(
        &pair,
        &ByMetric::new(&lag),
        &mut timers,
        fixture::at(0),
        WallTime(0.0),
    );
    let begin = "The standby of pair catalog is 286.1MiB of WAL behind (limit 256MiB).";
    assert!(findings[0].description.starts_with(begin), "{}", findings[0].description);
    let labels = alert_labels(&pair.name, &findings[0]);
    let expected = [
        ("alertname", "StandbyPostgresLagHigh"),
        ("channel", "postgres"),
        ("pair", "catalog"),
        ("severity", "warning"),
    ];
    assert_eq!(labels.iter().map(|(label, value)| (*label, value.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn the_watchdog_fires_from_the_start_and_belongs_to_no_pair() {
    let book = RuleBook::new(&BTreeMap::new());
    let watchdog = book.watchdog(fixture::at(7), WallTime(7.0)).expect("switched on");
    assert_eq!((watchdog.state, watchdog.severity), (FindingState::Firing, Severity::None));
    let labels = alert_labels(&fixture::name("catalog"), &watchdog);
    assert_eq!(labels.keys().copied().collect::<Vec<_>>(), ["alertname", "severity"]);
    let off = RuleSetting { enabled: Some(false), ..RuleSetting::default() };
    let book = RuleBook::new(&BTreeMap::from([("StandbyWatchdog".to_owned(), off)]));
    assert!(book.watchdog(fixture::at(7), WallTime(7.0)).is_none());
}

#[test]
fn what_is_in_the_way_of_a_promotion_is_not_told_as_something_that_postgresql_does() {
    use crate::names::{Reason, RuleName};
    let told = |name| super::catalogue::RULES.iter().find(|rule| rule.name == name).and_then(|rule| rule.reason);
    assert_eq!(told(RuleName::FailoverNotReady), Some(Reason::FailoverNotReady), "the key-value stores may differ");
}

#[test]
fn what_one_standby_meets_and_what_another_meets_is_met_by_none() {
    let room = |standby, loss, used| {
        let labels = [("standby", standby)];
        let metrics = ["standby_postgres_slot_loss_seconds", "standby_postgres_slot_used_ratio"];
        [sample(metrics[0], &labels, loss), sample(metrics[1], &labels, used)]
    };
    let told = |samples: Vec<[Sample; 2]>| Timeline::new(&[]).at(0, &samples.concat()).0;
    assert_eq!(told(vec![room("beta", 60.0, 0.1), room("gamma", f64::INFINITY, 0.9)]), []);
    let soon = [("StandbyPostgresSlotLossSoon", FindingState::Pending)];
    assert_eq!(told(vec![room("beta", 60.0, 0.9), room("gamma", f64::INFINITY, 0.1)]), soon);
}

/// What a site sets is what its people read: 10 minutes would be a lie where it waits for seconds.
#[test]
fn a_hold_time_of_the_site_is_in_the_words() {
    let seven = RuleSetting { hold: Some(Duration::from_secs(7)), ..RuleSetting::default() };
    let settings = BTreeMap::from([("StandbyFailoverNotReady".to_owned(), seven)]);
    let not_ready = sample("standby_failover_verdict", &[("verdict", "not_ready")], 1.0);
    let now = Moment::after_boot(Duration::from_secs(100));
    let told = |settings: &BTreeMap<String, RuleSetting>| {
        let (pair, mut timers) = (fixture::pair(Channel::ALL), RuleTimers::default());
        let samples = std::slice::from_ref(&not_ready);
        let (found, _) =
            RuleBook::new(settings).evaluate(&pair, &ByMetric::new(samples), &mut timers, now, WallTime(100.0));
        found.into_iter().next().expect("it is met").description
    };
    assert!(told(&settings).contains("lasted for 7s)"), "{}", told(&settings));
    assert!(told(&BTreeMap::new()).contains("lasted for 10m)"), "{}", told(&BTreeMap::new()));
}

#[test]
fn an_alert_that_is_kept_ends_by_itself_and_says_when() {
    use FindingState::{Firing, Kept};
    let lag = |value| [sample("standby_replication_undelayed_lag_bytes", &[], value)];
    let (rule, much) = ("StandbyPostgresLagHigh", lag(1e12));
    let mut timeline = Timeline::new(&[]);
    let own = |(told, next): (Vec<(&'static str, FindingState)>, Option<u64>)| {
        (told.into_iter().find(|(name, _)| *name == rule).map(|(_, state)| state), next)
    };
    timeline.at(0, &much);
    assert_eq!(own(timeline.at(300, &much)).0, Some(Firing));
    assert_eq!(own(timeline.at(310, &lag(0.0))), (Some(Kept), Some(370)));
    assert_eq!(own(timeline.at(369, &lag(0.0))), (Some(Kept), Some(370)));
    assert_eq!(own(timeline.at(370, &lag(0.0))), (None, None));
}

#[test]
fn the_earliest_hold_time_that_runs_out_is_the_next_change() {
    let samples = [
        sample("standby_replication_up", &[("channel", "postgres")], 0.0),
        sample("standby_replication_undelayed_lag_bytes", &[], 300e6),
    ];
    // Unknown after 1 minute, lag after 5.
    assert_eq!(Timeline::new(&[]).at(10, &samples).1, Some(70));
    let probe = |name| {
        let labels = [("channel", "postgres"), ("node", name)];
        sample("standby_probe_up", &labels, 0.0)
    };
    let agent = [
        probe("alpha"),
        Sample { metric: "standby_agent_reload_successful", labels: crate::snapshot::Labels::new(), value: 0.0 },
    ];
    let a_minute = RuleSetting { hold: Some(Duration::from_secs(60)), ..RuleSetting::default() };
    let book = RuleBook::new(&[(RuleName::AgentReloadFailed.to_string(), a_minute)].into());
    let mut timers = RuleTimers::default();
    let (now, wall) = (Moment::after_boot(Duration::from_secs(10)), WallTime(10.0));
    let (_, next) = book.evaluate_agent(&ByMetric::new(&agent), &mut timers, now, wall);
    assert_eq!(next, Some(now + Duration::from_secs(60)), "probes that fail wait for longer");
    // Switched off, it leaves no timer.
    let off = RuleSetting { enabled: Some(false), ..RuleSetting::default() };
    let settings = [RuleName::AgentProbeFailing, RuleName::AgentReloadFailed].map(|name| (name.to_string(), off));
    RuleBook::new(&settings.into()).evaluate_agent(&ByMetric::new(&agent), &mut timers, now, wall);
    assert_eq!(timers, RuleTimers::default());
}

#[test]
fn while_nobody_can_look_no_number_is_told_and_no_hold_time_runs_out() {
    let lag = [sample("standby_replication_undelayed_lag_bytes", &[], 300e6)];
    let mut timeline = Timeline::new(&[]);
    assert_eq!(timeline.at(0, &lag).1, Some(300));
    timeline.timers.stand_still(Moment::after_boot(Duration::from_secs(1)));
    assert_eq!(timeline.at(2, &lag), (vec![("StandbyPostgresLagHigh", FindingState::Pending)], None));
    let now = Moment::after_boot(Duration::from_secs(3));
    let (pair, samples) = (fixture::pair(Channel::ALL), ByMetric::new(&lag));
    let (told, _) = timeline.book.evaluate(&pair, &samples, &mut timeline.timers, now, WallTime(3.0));
    assert!(told[0].description.contains("has not been looked at again yet"), "{}", told[0].description);
    assert!(!told[0].description.contains("286.1MiB"), "{}", told[0].description);
}

#[test]
fn what_is_judged_says_what_explains_it() {
    let samples = [
        sample("standby_replication_up", &[("channel", "postgres")], 0.0),
        sample("standby_postgres_split_brain", &[], 1.0),
    ];
    let (mut timers, pair) = (RuleTimers::default(), fixture::pair(Channel::ALL));
    let now = Moment::after_boot(Duration::from_secs(1));
    let book = RuleBook::new(&BTreeMap::new());
    let (told, _) = book.evaluate(&pair, &ByMetric::new(&samples), &mut timers, now, WallTime(1.0));
    let unknown = told.iter().find(|finding| finding.rule == "StandbyReplicationUnknown").expect("met");
    assert_eq!(unknown.explained_by, Some("StandbyPostgresSplitBrain"));
}

#[test]
fn a_time_that_is_left_is_short_below_its_threshold_and_not_at_it() {
    let rule = RULES.iter().find(|rule| rule.name == RuleName::PostgresSlotLossSoon).expect("in the catalogue");
    let threshold = rule.threshold.expect("has one");
    let met = |left: f64| {
        let labels = [("standby", "beta")];
        let samples = [
            sample("standby_postgres_slot_loss_seconds", &labels, left),
            sample("standby_postgres_slot_used_ratio", &labels, 0.9),
        ];
        !Timeline::new(&[]).at(0, &samples).0.is_empty()
    };
    assert!(met(threshold - 1.0) && !met(threshold));
}

#[test]
fn a_timer_of_a_severity_that_the_rule_has_not_is_forgotten() {
    use crate::history::rules::{AlertKey, Instant};
    let key = AlertKey { rule: RuleName::PostgresLagHigh, severity: Severity::Info, channel: Some(Channel::Postgres) };
    let mut timeline = Timeline::new(&[]);
    timeline.timers.met(key, 1.0, Duration::ZERO, Instant { now: fixture::at(0), wall: WallTime(0.0) });
    timeline.at(1, &[]);
    assert_eq!(timeline.timers, RuleTimers::default());
}
