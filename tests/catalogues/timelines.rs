//! The same timelines through both evaluators: this agent's, and Prometheus's by the printed file. On one grid they must
//! tell the same alerts, with the same labels and sentences, pending and firing at the same steps, since the same step.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use standbywatch::clock::{Moment, WallTime};
use standbywatch::config::{PairConfig, Rpo, RuleSetting};
use standbywatch::history::rules::RuleTimers;
use standbywatch::judge::rules::{self, About, PrometheusVersion, RULES, Rule, RuleBook};
use standbywatch::metrics;
use standbywatch::names::{Name, RuleName};
use standbywatch::snapshot::{ByMetric, Finding, FindingState, Sample};
use standbywatch::units::Bytes;

use crate::promtool;

use crate::written::written;

/// One step of every timeline, in seconds.
pub(crate) const STEP: u64 = 15;

/// Sentences are compared at each so many steps.
const SENTENCES_EVERY: usize = 4;

/// Labels as they are written.
pub(crate) type Labels = &'static [(&'static str, &'static str)];

/// A series: at each step a value, or none.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// `None` for one that is about the agent.
    pub(crate) pair: Option<&'static str>,
    pub(crate) metric: &'static str,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) values: Vec<Option<f64>>,
}

/// Series of some pairs over the same steps.
pub(crate) type Timeline = Vec<Series>;

/// An alert that is pending or fires.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// It is not merely pending.
    pub(crate) fires: bool,
    /// When the condition was met first, in seconds of the timeline.
    since: u64,
}

/// Whether both evaluators judge the rule over samples.
pub(crate) fn judged_by_the_agent(rule: &Rule) -> bool {
    rule.about != About::Agent || rule.is_about_the_agent_s_samples()
}

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
        seat: None,
    }
}

fn steps(timeline: &Timeline) -> usize {
    timeline.iter().map(|series| series.values.len()).max().unwrap_or(0)
}

/// What a scrape of a pair (or of all that there is) brings at a step.
fn samples(timeline: &Timeline, pair: Option<&str>, step: usize) -> Vec<Sample> {
    let sample = |series: &Series| {
        let value = series.values.get(step).copied().flatten()?;
        let of_pair = series.pair.map(|pair| ("pair", pair));
        let labels = of_pair.iter().chain(&series.labels).map(|(label, value)| (*label, (*value).into())).collect();
        Some(Sample { metric: series.metric, labels, value })
    };
    let wanted = |series: &&Series| pair.is_none() || series.pair == pair;
    timeline.iter().filter(wanted).filter_map(sample).collect()
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
    Alert {
        labels: owned(rules::alert_labels(pair, finding)),
        annotations,
        fires: finding.state != FindingState::Pending,
        since: finding.since.since_boot().as_secs(),
    }
}

/// What the agent tells at each step.
pub(crate) fn told_by_the_agent(book: &RuleBook, timeline: &Timeline) -> Vec<Vec<Alert>> {
    let mut told = vec![Vec::new(); steps(timeline)];
    let pairs: BTreeSet<_> = timeline.iter().filter_map(|series| series.pair).collect();
    let mut timers_of_the_agent = RuleTimers::default();
    let mut timers: BTreeMap<&str, RuleTimers> = BTreeMap::new();
    let configs: BTreeMap<&str, _> = pairs.iter().map(|pair| (*pair, Arc::new(pair_named(pair)))).collect();
    for (step, alerts) in told.iter_mut().enumerate() {
        let (now, wall) = (Moment::after_boot(Duration::from_secs(STEP * step as u64)), WallTime(0.0));
        for (pair, config) in &configs {
            let timers = timers.entry(pair).or_default();
            let (findings, _) =
                book.evaluate(config, &ByMetric::new(&samples(timeline, Some(pair), step)), timers, now, wall);
            alerts.extend(findings.iter().map(|finding| alert(&config.name, finding)));
        }
        let (findings, _) =
            book.evaluate_agent(&ByMetric::new(&samples(timeline, None, step)), &mut timers_of_the_agent, now, wall);
        alerts.extend(findings.iter().map(|finding| alert(&Name::new(""), finding)));
    }
    told
}

/// A test for promtool: these series must give what the agent told.
fn promtool_test(timeline: &Timeline, told: &[Vec<Alert>]) -> Value {
    let series: Vec<_> = timeline.iter().map(|series| input_series(series, told.len())).collect();
    let (mut sentences, mut states) = (Vec::new(), Vec::new());
    for (step, alerts) in told.iter().enumerate() {
        let at = format!("{}s", STEP * step as u64);
        // To ask for each alert by its name takes promtool long; that they are the same is asked at each step below.
        let all = RULES.iter().filter(|rule| judged_by_the_agent(rule) && step % SENTENCES_EVERY == 0);
        for rule in all.map(|rule| rule.name) {
            let own = alerts.iter().filter(|alert| alert.fires && alert.labels["alertname"] == rule.as_str());
            let expected: Vec<_> = own
                .map(|Alert { labels, annotations, .. }| {
                    let labels: BTreeMap<_, _> = labels.iter().filter(|(label, _)| *label != "alertname").collect();
                    json!({"exp_labels": labels, "exp_annotations": annotations})
                })
                .collect();
            sentences.push(json!({"eval_time": at, "alertname": rule, "exp_alerts": expected}));
        }
        // What Prometheus writes down itself of its alerts: also which are pending, and since when.
        let state = |alert: &Alert| {
            let state = if alert.fires { "firing" } else { "pending" };
            (format!("ALERTS{{alertstate=\"{state}\",{}}}", matchers(&alert.labels)), 1)
        };
        let since = |alert: &Alert| (format!("ALERTS_FOR_STATE{{{}}}", matchers(&alert.labels)), alert.since);
        for (name, expected) in [
            ("ALERTS", alerts.iter().map(state).collect::<Vec<_>>()),
            ("ALERTS_FOR_STATE", alerts.iter().map(since).collect()),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(labels, value)| json!({"labels": labels, "value": value})).collect();
            let expression = format!("{name}{{alertname!~\"{}|{}\"}}", RuleName::AgentDown, RuleName::Watchdog);
            states.push(json!({"eval_time": at, "expr": expression, "exp_samples": expected}));
        }
    }
    json!({
        "interval": format!("{STEP}s"),
        "input_series": series,
        "alert_rule_test": sentences,
        "promql_expr_test": states,
    })
}

fn matchers(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect::<Vec<_>>().join(",")
}

/// With a stale marker wherever there is no value, also after the last one: without it Prometheus looks back five minutes.
fn input_series(series: &Series, steps: usize) -> Value {
    let of_pair = series.pair.map(|pair| ("pair", pair));
    let labels: Vec<_> =
        of_pair.iter().chain(&series.labels).map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let selector = format!("{}{{{}}}", series.metric, labels.join(","));
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
pub(crate) fn compare(
    name: &str,
    settings: &BTreeMap<String, RuleSetting>,
    timelines: &[Timeline],
) -> (Vec<Vec<Vec<Alert>>>, Output) {
    compare_with(name, settings, timelines, |printed| printed)
}

/// The same with another file for Prometheus than the one that is printed.
pub(crate) fn compare_with(
    name: &str,
    settings: &BTreeMap<String, RuleSetting>,
    timelines: &[Timeline],
    changed: impl Fn(String) -> String,
) -> (Vec<Vec<Vec<Alert>>>, Output) {
    let book = RuleBook::new(settings);
    let told: Vec<_> = timelines.iter().map(|timeline| told_by_the_agent(&book, timeline)).collect();
    let tests: Vec<_> = timelines.iter().zip(&told).map(|(timeline, told)| promtool_test(timeline, told)).collect();
    let folder = promtool::Folder::new(name);
    folder.write("rules.yml", &changed(rules::print(&book, PrometheusVersion::COMPLETE)));
    let test = json!({"rule_files": ["rules.yml"], "evaluation_interval": format!("{STEP}s"), "tests": tests});
    let output = promtool::run(&["test", "rules"], &folder.write("test.yml", &test.to_string()));
    (told, output)
}

/// The steps at which an alert of this name and severity fires.
fn firing(told: &[Vec<Alert>], rule: &str, severity: &str) -> Vec<usize> {
    let fires = |alerts: &Vec<Alert>| {
        let named = |alert: &&Alert| alert.labels["alertname"] == rule && alert.labels["severity"] == severity;
        alerts.iter().any(|alert| alert.fires && named(&alert))
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
    let judged = RULES.iter().filter(|rule| judged_by_the_agent(rule));
    assert_eq!(named, judged.map(|rule| (rule.name.as_str(), rule.severity.as_str())).collect(), "one for each rule");

    let timelines: Vec<Timeline> = written.iter().map(|timeline| with_pair(&timeline.series)).collect();
    let (told, output) = compare("written", &BTreeMap::new(), &timelines);
    promtool::assert_clean(&output);
    for (timeline, told) in written.iter().zip(told) {
        let fired = firing(&told, timeline.rule, timeline.severity);
        assert_eq!(fired, timeline.fires_at, "{} {}", timeline.rule, timeline.severity);
    }
}

/// The series of a written timeline, of the pair `catalog` where they are of a pair.
pub(crate) fn with_pair(series: &[(&'static str, Labels, Vec<Option<f64>>)]) -> Timeline {
    let of_pair = |metric| metrics::find(metric).is_some_and(|metric| metric.labels.contains(&"pair"));
    let named = |(metric, labels, values): &(&'static str, Labels, Vec<Option<f64>>)| Series {
        pair: of_pair(metric).then_some("catalog"),
        metric,
        labels: labels.to_vec(),
        values: values.clone(),
    };
    series.iter().map(named).collect()
}
