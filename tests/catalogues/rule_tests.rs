//! `alerts/tests/*.yml`: for who reads rules or changes them, one file for each rule, printed from the written timelines. They run with
//! nothing but promtool: `promtool test rules alerts/tests/*.yml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use standbywatch::judge::rules::{About, Condition, RULES, Rule, RuleBook};
use standbywatch::names::RuleName;

use crate::printed::assert_printed;
use crate::promtool;
use crate::repository;
use crate::timelines::{Alert, STEP, Series, judged_by_the_agent, told_by_the_agent, with_pair};
use crate::written::{Written, written};

const FOLDER: &str = "alerts/tests";

const HEAD: &str = "# Printed from tests/catalogues/written.rs by `make docs`; run it with `promtool test rules FILE`.
rule_files: [../standbywatch.rules.yml]
evaluation_interval: 15s
tests:
";

fn path_of(rule: RuleName) -> String {
    format!("{FOLDER}/{rule}.yml")
}

/// The tests of every severity of one name.
fn file_of(name: RuleName, written: &[Written]) -> String {
    let mut out = HEAD.to_owned();
    for timeline in written.iter().filter(|timeline| timeline.rule == name.as_str()) {
        print(timeline, &mut out);
    }
    out
}

fn print(timeline: &Written, out: &mut String) {
    let series = with_pair(&timeline.series);
    let told = told_by_the_agent(&RuleBook::new(&BTreeMap::new()), &series);
    let mut line = |indent: usize, text: &str| {
        let _ = writeln!(out, "{:indent$}{text}", "");
    };
    line(2, "- interval: 15s");
    line(4, "input_series:");
    for series in &series {
        line(6, &format!("- series: '{}'", selector(series)));
        line(8, &format!("values: '{}'", values(series)));
    }
    line(4, "alert_rule_test:");
    for (step, says) in looks(timeline, told.len()) {
        line(6, &format!("# {says}"));
        line(6, &format!("- eval_time: {}s", STEP * step as u64));
        line(8, &format!("alertname: {}", timeline.rule));
        let fires = |alert: &&Alert| alert.fires && alert.labels["alertname"] == timeline.rule;
        let firing: Vec<_> = told[step].iter().filter(fires).collect();
        line(8, if firing.is_empty() { "exp_alerts: []" } else { "exp_alerts:" });
        for alert in firing {
            line(10, "- exp_labels:");
            for (label, value) in alert.labels.iter().filter(|(label, _)| *label != "alertname") {
                line(14, &format!("{label}: {value}"));
            }
            line(12, "exp_annotations:");
            for (annotation, text) in &alert.annotations {
                line(14, &format!("{annotation}: '{}'", text.replace('\'', "''")));
            }
        }
    }
}

/// The steps that are worth a look: the last before it fires, the first at which it does, the last one, and the first after it.
fn looks(timeline: &Written, steps: usize) -> Vec<(usize, &'static str)> {
    let fires = |step: usize| timeline.fires_at.contains(&step);
    let begins = |step: &usize| !fires(*step) && fires(step + 1);
    let ends = |step: &usize| *step > 0 && !fires(*step) && fires(step - 1);
    let mut looks = Vec::new();
    for step in 0..steps {
        if begins(&step) {
            looks.push((step, "does not fire yet"));
        } else if fires(step) && step.checked_sub(1).is_none_or(|before| !fires(before)) {
            looks.push((step, "fires"));
        } else if ends(&step) {
            looks.push((step, "is resolved"));
        }
    }
    looks
}

fn selector(series: &Series) -> String {
    let pair = series.pair.map(|pair| ("pair", pair));
    let labels: Vec<_> =
        pair.iter().chain(&series.labels).map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    if labels.is_empty() { series.metric.to_owned() } else { format!("{}{{{}}}", series.metric, labels.join(",")) }
}

/// As promtool's notation has it: `0x3` is 0 four times. Without a value the series ends there and then.
fn values(series: &Series) -> String {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for value in series.values.iter().chain([&None]) {
        let text = match value {
            Some(value) if value.is_infinite() => "inf".to_owned(),
            Some(value) => value.to_string(),
            None => "stale".to_owned(),
        };
        match runs.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => runs.push((text, 1)),
        }
    }
    let run = |(text, count): &(String, usize)| match (text.as_str(), count) {
        ("inf" | "stale", count) => vec![text.as_str(); *count].join(" "),
        (_, 1) => text.clone(),
        (_, count) => format!("{text}x{}", count - 1),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(" ")
}

/// Those that only Prometheus judges, or that always fire, have hand-written files.
fn is_printed(rule: &Rule) -> bool {
    judged_by_the_agent(rule)
}

#[test]
fn printed_tests_of_each_rule() {
    let written = written();
    for rule in RULES.iter().filter(|rule| is_printed(rule)) {
        assert_printed(&path_of(rule.name), &file_of(rule.name, &written));
    }
}

#[test]
fn each_rule_fires_is_silent_and_resolves_in_its_file() {
    for timeline in written() {
        let steps = timeline.series.iter().map(|(_, _, values)| values.len()).max().unwrap_or(0);
        let says: BTreeSet<_> = looks(&timeline, steps).into_iter().map(|(_, says)| says).collect();
        let wanted = BTreeSet::from(["does not fire yet", "fires", "is resolved"]);
        assert_eq!(says, wanted, "{} {}: its timeline shows all of these", timeline.rule, timeline.severity);
    }
    let there: BTreeSet<String> = std::fs::read_dir(repository(FOLDER))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    let wanted: BTreeSet<String> = RuleName::ALL.iter().map(|name| format!("{name}.yml")).collect();
    assert_eq!(there, wanted, "one file for each rule");
    let by_hand: Vec<_> = RULES.iter().filter(|rule| !is_printed(rule)).collect();
    assert!(by_hand.iter().all(|rule| rule.about == About::Agent && !matches!(rule.condition, Condition::All(_))));
}

#[test]
fn the_files_pass_promtool() {
    if !promtool::there() {
        return;
    }
    for name in RuleName::ALL {
        promtool::assert_clean(&promtool::run(&["test", "rules"], &repository(&path_of(*name))));
    }
}
