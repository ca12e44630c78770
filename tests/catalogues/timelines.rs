//! The same timelines through both evaluators: this agent's, and Prometheus's by the printed file. On one grid they must
//! tell the same alerts, with the same labels and sentences, at the same steps.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};
use standbywatch::clock::{Moment, WallTime};
use standbywatch::config::{PairConfig, Rpo, RuleSetting};
use standbywatch::history::rules::RuleTimers;
use standbywatch::judge::rules::{self, About, PrometheusVersion, RULES, RuleBook};
use standbywatch::names::{Name, RuleName};
use standbywatch::snapshot::{Finding, FindingState, Sample};
use standbywatch::units::Bytes;

use crate::promtool;

#[path = "written.rs"]
mod written;
use written::{runs, written};

/// One step of every timeline, in seconds.
const STEP: u64 = 15;

type Labels = &'static [(&'static str, &'static str)];

/// A series: at each step a value, or none.
#[derive(Clone, Debug)]
struct Series {
    pair: &'static str,
    metric: &'static str,
    labels: Labels,
    values: Vec<Option<f64>>,
}

/// Series of some pairs over the same steps.
type Timeline = Vec<Series>;

/// An alert that fires: its labels and annotations.
type Alert = (BTreeMap<String, String>, BTreeMap<String, String>);

fn pair_named(name: &str) -> PairConfig {
    PairConfig {
        name: Name::new(name),
        nodes: Vec::new(),
        postgres: None,
        config: None,
        kvstore: None,
        search: None,
        rpo: Rpo { bytes: Bytes::mib(16), age: Duration::from_secs(10) },
        role_from: None,
    }
}

fn steps(timeline: &Timeline) -> usize {
    timeline.iter().map(|series| series.values.len()).max().unwrap_or(0)
}

fn samples(timeline: &Timeline, pair: &str, step: usize) -> Vec<Sample> {
    let sample = |series: &Series| {
        let value = series.values.get(step).copied().flatten()?;
        let labels = std::iter::once(("pair", pair.to_owned().into()))
            .chain(series.labels.iter().map(|(label, value)| (*label, (*value).into())))
            .collect();
        Some(Sample { metric: series.metric, labels, value })
    };
    timeline.iter().filter(|series| series.pair == pair).filter_map(sample).collect()
}

fn alert(pair: &Name, finding: &Finding) -> Alert {
    let owned = |texts: BTreeMap<&'static str, String>| -> BTreeMap<String, String> {
        texts.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
    };
    let mut annotations = owned(rules::alert_annotations(finding));
    // Prometheus asks for the reason; these timelines have no series that tells it.
    if [RuleName::ReplicationUnknown, RuleName::SearchUnknown].iter().any(|name| name.as_str() == finding.rule) {
        annotations.insert("reason".to_owned(), "not told".to_owned());
    }
    (owned(rules::alert_labels(pair, finding)), annotations)
}

/// What the agent tells: the alerts that fire (or are kept) at each step.
fn told_by_the_agent(book: &RuleBook, timeline: &Timeline) -> Vec<Vec<Alert>> {
    let mut told = vec![Vec::new(); steps(timeline)];
    let pairs: BTreeSet<_> = timeline.iter().map(|series| series.pair).collect();
    for pair in pairs {
        let config = Arc::new(pair_named(pair));
        let mut timers = RuleTimers::default();
        for (step, alerts) in told.iter_mut().enumerate() {
            let now = Moment::after_boot(Duration::from_secs(STEP * step as u64));
            let samples = samples(timeline, pair, step);
            let (findings, _) = book.evaluate(&config, &samples, &mut timers, now, WallTime(0.0));
            let firing = findings.iter().filter(|finding| finding.state != FindingState::Pending);
            alerts.extend(firing.map(|finding| alert(&config.name, finding)));
        }
    }
    told
}

/// A test for promtool: these series must give what the agent told.
fn promtool_test(timeline: &Timeline, told: &[Vec<Alert>]) -> Value {
    let series: Vec<_> = timeline.iter().map(|series| input_series(series, told.len())).collect();
    let mut expectations = Vec::new();
    for (step, alerts) in told.iter().enumerate() {
        for rule in RuleName::ALL.iter().filter(|name| stands_for_pairs(**name)) {
            let own = alerts.iter().filter(|(labels, _)| labels["alertname"] == rule.as_str());
            let expected: Vec<_> = own
                .map(|(labels, annotations)| {
                    let labels: BTreeMap<_, _> = labels.iter().filter(|(label, _)| *label != "alertname").collect();
                    json!({"exp_labels": labels, "exp_annotations": annotations})
                })
                .collect();
            let at = format!("{}s", STEP * step as u64);
            expectations.push(json!({"eval_time": at, "alertname": rule, "exp_alerts": expected}));
        }
    }
    json!({"interval": format!("{STEP}s"), "input_series": series, "alert_rule_test": expectations})
}

fn stands_for_pairs(name: RuleName) -> bool {
    RULES.iter().any(|rule| rule.name == name && rule.about != About::Agent)
}

/// With a stale marker wherever there is no value, also after the last one: without it Prometheus looks back five minutes.
fn input_series(series: &Series, steps: usize) -> Value {
    let mut selector = format!("{}{{pair=\"{}\"", series.metric, series.pair);
    for (label, value) in series.labels {
        let _ = write!(selector, ",{label}=\"{value}\"");
    }
    selector.push('}');
    let written = |step: usize| match series.values.get(step) {
        // As promtool reads it.
        Some(Some(value)) if value.is_infinite() => "inf".to_owned(),
        Some(Some(value)) => value.to_string(),
        Some(None) | None => "stale".to_owned(),
    };
    let values: Vec<_> = (0..steps).map(written).collect();
    json!({"series": selector, "values": values.join(" ")})
}

/// Both evaluators over all timelines: what the agent tells, and whether promtool finds the same.
fn compare(
    name: &str,
    settings: &BTreeMap<String, RuleSetting>,
    timelines: &[Timeline],
) -> (Vec<Vec<Vec<Alert>>>, Output) {
    let book = RuleBook::new(settings);
    let told: Vec<_> = timelines.iter().map(|timeline| told_by_the_agent(&book, timeline)).collect();
    let tests: Vec<_> = timelines.iter().zip(&told).map(|(timeline, told)| promtool_test(timeline, told)).collect();
    let folder = promtool::Folder::new(name);
    folder.write("rules.yml", &rules::print(&book, PrometheusVersion::COMPLETE));
    let test = json!({"rule_files": ["rules.yml"], "evaluation_interval": format!("{STEP}s"), "tests": tests});
    let output = promtool::run(&["test", "rules"], &folder.write("test.yml", &test.to_string()));
    (told, output)
}

/// The steps at which an alert of this name and severity fires.
fn firing(told: &[Vec<Alert>], rule: &str, severity: &str) -> Vec<usize> {
    let fires = |alerts: &Vec<Alert>| {
        alerts.iter().any(|(labels, _)| labels["alertname"] == rule && labels["severity"] == severity)
    };
    told.iter().enumerate().filter(|(_, alerts)| fires(alerts)).map(|(step, _)| step).collect()
}

#[test]
fn written_timelines_fire_when_they_should_in_both_evaluators() {
    if !promtool::there() {
        return;
    }
    let written = written();
    let named: BTreeSet<_> = written.iter().map(|timeline| (timeline.rule, timeline.severity)).collect();
    let of_pairs = RULES.iter().filter(|rule| rule.about != About::Agent);
    assert_eq!(named, of_pairs.map(|rule| (rule.name.as_str(), rule.severity.as_str())).collect(), "one for each rule");

    let timelines: Vec<Timeline> = written.iter().map(|timeline| with_pair(&timeline.series)).collect();
    let (told, output) = compare("written", &BTreeMap::new(), &timelines);
    promtool::assert_clean(&output);
    for (timeline, told) in written.iter().zip(told) {
        let fired = firing(&told, timeline.rule, timeline.severity);
        assert_eq!(fired, timeline.fires_at, "{} {}", timeline.rule, timeline.severity);
    }
}

fn with_pair(series: &[(&'static str, Labels, Vec<Option<f64>>)]) -> Timeline {
    let named = |(metric, labels, values): &(&'static str, Labels, Vec<Option<f64>>)| Series {
        pair: "catalog",
        metric,
        labels,
        values: values.clone(),
    };
    series.iter().map(named).collect()
}

/// Every series that a rule of a pair reads, and the values that it may have.
const READ: &[(&str, Labels, &[f64])] = &[
    ("standby_replication_up", &[("channel", "postgres")], &[0.0, 1.0]),
    ("standby_replication_up", &[("channel", "config")], &[0.0, 1.0]),
    ("standby_replication_up", &[("channel", "kvstore")], &[0.0, 1.0]),
    ("standby_replication_changes", &[("channel", "postgres")], &[0.0, 3.0, 4.0, 17.0]),
    ("standby_replication_changes", &[("channel", "config")], &[0.0, 3.0, 4.0, 17.0]),
    ("standby_postgres_primary_up", &[], &[0.0, 1.0]),
    ("standby_postgres_split_brain", &[], &[0.0, 1.0]),
    ("standby_postgres_timeline_diverged", &[], &[0.0, 1.0]),
    ("standby_postgres_wrong_cluster", &[], &[0.0, 1.0]),
    ("standby_postgres_same_server", &[], &[0.0, 1.0]),
    ("standby_replication_lag_bytes", &[], &[0.0, 5e5, 1_048_576.0, 1_048_577.0, 3_333_333.0, 7e13]),
    ("standby_postgres_lag_growing", &[], &[0.0, 1.0]),
    ("standby_postgres_established", &[], &[0.0, 1.0]),
    ("standby_postgres_low_load", &[], &[0.0, 1.0]),
    ("standby_postgres_replay_state", &[("standby", "beta"), ("state", "paused")], &[0.0, 1.0]),
    ("standby_postgres_replay_state", &[("standby", "gamma"), ("state", "paused")], &[0.0, 1.0]),
    ("standby_postgres_replay_state", &[("standby", "beta"), ("state", "applying")], &[0.0, 1.0]),
    ("standby_postgres_replay_state", &[("standby", "beta"), ("state", "stuck")], &[0.0, 1.0]),
    ("standby_postgres_replay_state", &[("standby", "beta"), ("state", "blocked_by_settings")], &[0.0, 1.0]),
    ("standby_postgres_commits_blocked", &[], &[0.0, 1.0]),
    ("standby_postgres_slot_lost", &[("standby", "beta")], &[0.0, 1.0]),
    ("standby_postgres_slot_lost", &[("standby", "gamma")], &[0.0, 1.0]),
    ("standby_postgres_not_accepting", &[("node", "alpha")], &[0.0, 1.0]),
    ("standby_postgres_not_accepting", &[("node", "beta")], &[0.0, 1.0]),
    ("standby_postgres_archiver_failing", &[], &[0.0, 1.0]),
    ("standby_postgres_settings_differ", &[("standby", "beta")], &[0.0, 1.0]),
    ("standby_postgres_settings_differ", &[("standby", "gamma")], &[0.0, 1.0]),
    ("standby_postgres_slot_loss_seconds", &[("standby", "beta")], &[0.0, 0.5, 14_399.5, 14_400.0, f64::INFINITY]),
    ("standby_postgres_slot_used_ratio", &[("standby", "beta")], &[0.0, 0.25, 0.251, 7.0]),
    (
        "standby_postgres_wal_disk_full_seconds",
        &[("standby", "beta")],
        &[3.0, 90.0, 43_199.0, 43_200.0, 1e9, f64::INFINITY],
    ),
    ("standby_postgres_slot_loss_seconds", &[("standby", "gamma")], &[0.0, 0.5, 14_399.5, 14_400.0, f64::INFINITY]),
    ("standby_postgres_slot_used_ratio", &[("standby", "gamma")], &[0.0, 0.25, 0.251, 7.0]),
    (
        "standby_postgres_wal_disk_full_seconds",
        &[("standby", "gamma")],
        &[3.0, 90.0, 43_199.0, 43_200.0, 1e9, f64::INFINITY],
    ),
    ("standby_config_sync_age_periods", &[], &[0.1, 2.0, 2.333_333_3, 2.999_96, 3.0, 12_345.6]),
    ("standby_kvstore_writes_blocked", &[], &[0.0, 1.0]),
    ("standby_kvstore_diverged", &[], &[0.0, 1.0]),
    ("standby_kvstore_lost_write", &[], &[0.0, 1.0]),
    ("standby_kvstore_link_up", &[], &[0.0, 1.0]),
    ("standby_kvstore_slow", &[], &[0.0, 1.0]),
    ("standby_kvstore_evicted", &[], &[0.0, 1.0]),
    ("standby_search_primary_up", &[], &[0.0, 1.0]),
    ("standby_search_primary_red", &[], &[0.0, 1.0]),
    ("standby_search_primary_index_missing", &[], &[0.0, 1.0]),
];

/// A value (or none) held for some steps, then the next: so that hold times run out now and then.
fn random_values(possible: &'static [f64]) -> impl Strategy<Value = Vec<Option<f64>>> {
    let value = prop::option::weighted(0.85, prop::sample::select(possible));
    prop::collection::vec((1_usize..8, value), 3..10).prop_map(|parts| runs(&parts))
}

fn random_timeline() -> impl Strategy<Value = Timeline> {
    let series = |pair: &'static str| {
        READ.iter().map(move |&(metric, labels, possible)| {
            random_values(possible).prop_map(move |values| Series { pair, metric, labels, values })
        })
    };
    let all: Vec<_> = ["catalog", "orders"].into_iter().flat_map(series).collect();
    // Every second series on average, so that rules are met alone and together.
    all.prop_flat_map(|series| prop::sample::subsequence(series, 6..40))
}

#[test]
fn random_timelines_mean_the_same_to_both_evaluators() {
    if !promtool::there() {
        return;
    }
    let in_read: BTreeSet<_> = READ.iter().map(|(metric, ..)| *metric).collect();
    let in_rules: BTreeSet<_> = RULES.iter().flat_map(|rule| rule.condition.metrics()).collect();
    assert_eq!(in_read, in_rules, "what is varied is what rules read");

    let holds = prop::collection::vec(0_u64..5, RuleName::ALL.len());
    let cases = (holds, prop::collection::vec(random_timeline(), 1..8));
    let mut runner = TestRunner::new(Cases { cases: 12, failure_persistence: None, ..Cases::default() });
    let fired = Cell::new(0);
    let result = runner.run(&cases, |(holds, timelines)| {
        let settings = settings(&holds);
        let (told, output) = compare("random", &settings, &timelines);
        fired.set(fired.get() + told.iter().flatten().flatten().count());
        prop_assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(fired.get() > 100, "only {} alerts fired: that compares silence with silence", fired.get());
}

/// Hold times of some steps, so that they run out within a timeline; one rule is switched off by a hold of four.
fn settings(holds: &[u64]) -> BTreeMap<String, RuleSetting> {
    let setting = |(name, steps): (&RuleName, &u64)| {
        let threshold = (*name == RuleName::PostgresLagHigh).then_some(1_048_576.0);
        let hold = Some(Duration::from_secs(STEP * steps));
        (name.as_str().to_owned(), RuleSetting { hold, threshold, enabled: Some(*steps < 4) })
    };
    RuleName::ALL.iter().zip(holds).map(setting).collect()
}
