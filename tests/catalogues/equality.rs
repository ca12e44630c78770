//! Random timelines through both evaluators, over every rule of the catalogue: what is varied follows from the conditions, so a
//! rule that is added joins by itself.
//!
//! A run prints its seed; `EQUALITY_SEED=…` plays that run again, `EQUALITY_TIMELINES=…` a longer one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use fastrand::Rng;
use standbywatch::config::RuleSetting;
use standbywatch::judge::rules::{About, Bound, Compare, Condition, RULES, Rule};
use standbywatch::metrics;
use standbywatch::names::{Channel, RuleName};

use crate::promtool;
use crate::timelines::{STEP, Series, Timeline, compare, compare_with, judged_by_the_agent};

/// A run holds so many timelines, each of a pair of its own.
const TIMELINES: usize = 500;
/// promtool makes a database for each of its tests, which takes longer than to judge one more pair in it.
const PAIRS_OF_A_TEST: usize = 50;
/// Timelines under the same settings; each of these is one run of promtool.
const TIMELINES_OF_A_BOOK: usize = 50;
/// So long is a timeline, in steps.
const STEPS: usize = 24;
/// So many rules does a pair's timeline speak of.
const RULES_OF_A_PAIR: std::ops::RangeInclusive<usize> = 2..=6;
/// Beside these, in the rule files of sites: none, and some steps.
const HOLDS: [u64; 5] = [0, 0, 1, 2, 4];

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn random_timelines_mean_the_same_to_both_evaluators() {
    if !promtool::there() {
        return;
    }
    let seed = number_from("EQUALITY_SEED").unwrap_or_else(|| fastrand::u64(..));
    let wanted = number_from("EQUALITY_TIMELINES").and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(TIMELINES);
    println!("EQUALITY_SEED={seed}, {wanted} timelines of {STEPS} steps");
    let mut random = Rng::with_seed(seed);
    let (mut made, mut fired, mut pending) = (0, BTreeMap::<String, usize>::new(), 0);
    while made < wanted {
        let settings = settings(&mut random);
        let timelines: Vec<_> =
            (0..TIMELINES_OF_A_BOOK / PAIRS_OF_A_TEST).map(|_| side_by_side(&mut random, &settings)).collect();
        let (told, output) = compare(&format!("random-{made}"), &settings, &timelines);
        for alert in told.iter().flatten().flatten() {
            if alert.fires {
                *fired.entry(alert.labels["alertname"].clone()).or_default() += 1;
            } else {
                pending += 1;
            }
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let beginning: String = complaint.chars().take(4000).collect();
        assert!(output.status.success(), "EQUALITY_SEED={seed}: {beginning}");
        made += TIMELINES_OF_A_BOOK;
    }
    println!("{made} timelines; {pending} steps pending; steps firing by alert: {fired:?}");
    // Else that would compare silence with silence.
    let all: BTreeSet<_> =
        RULES.iter().filter(|rule| judged_by_the_agent(rule)).map(|rule| rule.name.as_str()).collect();
    let silent: Vec<_> = all.iter().filter(|name| !fired.contains_key(**name)).collect();
    let enough = wanted < TIMELINES || (silent.is_empty() && pending > 100);
    assert!(enough, "EQUALITY_SEED={seed}: never fired: {silent:?}; pending {pending}");
}

/// Folds, comparisons, joins, hold times, series that vanish, labels that change: what each means is looked at, or a mistake in it would
/// pass as equal.
const MISTAKES: &[(&str, &str)] = &[
    ("max by (pair)", "min by (pair)"),
    ("max by (pair, channel)", "min by (pair, channel)"),
    ("min by (pair)", "max by (pair)"),
    (">= ", "> "),
    (" and max", " or max"),
    ("and on (pair, standby)", "and on (pair)"),
    ("        for: 15s\n", ""),
    ("        for: 30s\n", "        for: 45s\n"),
    ("        keep_firing_for: 1m\n", "        keep_firing_for: 45s\n"),
    ("(standby_postgres_split_brain)", "(last_over_time(standby_postgres_split_brain[1h]))"),
    ("max by (pair) (standby_machine_differs)", "max by (pair, standby) (standby_machine_differs)"),
];
/// So many books may pass before a mistake is noticed: a run has ten.
const BOOKS: usize = 4;

#[test]
fn a_mistake_in_what_is_printed_would_be_noticed() {
    if !promtool::there() {
        return;
    }
    let noticed = |number: usize, (right, wrong): (&str, &str)| {
        let mut random = Rng::with_seed(number as u64);
        (0..BOOKS).any(|book| {
            let settings = settings(&mut random);
            let timelines = [side_by_side(&mut random, &settings)];
            let name = format!("mistake-{number}-{book}");
            let (_, output) = compare_with(&name, &settings, &timelines, |printed| printed.replace(right, wrong));
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            // Else it would be noticed for being no rule file at all.
            assert!(output.status.success() || said.contains("exp:"), "{right}: {said:.500}");
            !output.status.success()
        })
    };
    let missed: Vec<_> = std::thread::scope(|scope| {
        let looking: Vec<_> = MISTAKES
            .iter()
            .enumerate()
            .map(|(number, mistake)| (mistake, scope.spawn(move || noticed(number, *mistake))))
            .collect();
        let missed = |(mistake, noticed): (&(&'static str, _), std::thread::ScopedJoinHandle<'_, bool>)| {
            (!noticed.join().expect("it looks")).then_some(mistake.0)
        };
        looking.into_iter().filter_map(missed).collect()
    });
    assert!(missed.is_empty(), "nobody would notice a mistake in {missed:?}");
}

/// Names live as long as the test.
fn pair_name(number: usize) -> &'static str {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..PAIRS_OF_A_TEST).map(|number| format!("pair-{number}")).collect());
    &NAMES[number]
}

/// Hold times of some steps, so that they run out within a timeline; now and then a rule is switched off, or has another threshold.
fn settings(random: &mut Rng) -> BTreeMap<String, RuleSetting> {
    let setting = |name: &RuleName| {
        let threshold = RULES.iter().find(|rule| rule.name == *name).and_then(|rule| rule.threshold);
        let hold = HOLDS[random.usize(..HOLDS.len())];
        let setting = RuleSetting {
            hold: Some(Duration::from_secs(STEP * hold)),
            threshold: threshold.filter(|_| random.bool()).map(|threshold| (threshold / 2.0).ceil()),
            enabled: (random.u8(..20) == 0).then_some(false),
        };
        (name.as_str().to_owned(), setting)
    };
    RuleName::ALL.iter().map(setting).collect()
}

/// The timelines of some pairs in one test. What is not about a pair is told there once.
fn side_by_side(random: &mut Rng, settings: &BTreeMap<String, RuleSetting>) -> Timeline {
    let mut all = Timeline::new();
    for series in (0..PAIRS_OF_A_TEST).flat_map(|pair| timeline(random, pair_name(pair), settings)) {
        let told =
            |other: &Series| series.pair.is_none() && other.metric == series.metric && other.labels == series.labels;
        if !all.iter().any(told) {
            all.push(series);
        }
    }
    all
}

/// What two agents export of one pair, as far as some rules read it.
fn timeline(random: &mut Rng, pair: &'static str, settings: &BTreeMap<String, RuleSetting>) -> Timeline {
    let mut all: Vec<&'static Rule> = RULES.iter().filter(|rule| judged_by_the_agent(rule)).collect();
    random.shuffle(&mut all);
    let mut timeline = Timeline::new();
    for rule in all.iter().take(random.usize(RULES_OF_A_PAIR)) {
        let setting = settings[rule.name.as_str()];
        let hold = setting.hold.unwrap_or(rule.hold);
        let threshold = setting.threshold.or(rule.threshold);
        let (Condition::All(comparisons) | Condition::OfOneStandby(comparisons)) = rule.condition else { continue };
        for compared in comparisons {
            let values = values_around(compared, threshold);
            let lengths = lengths_around(&[steps(hold), steps(rule.keep)]);
            series_of(random, pair, rule, compared, &values, &lengths, &mut timeline);
        }
    }
    timeline
}

fn steps(duration: Duration) -> usize {
    usize::try_from(duration.as_secs().div_ceil(STEP)).unwrap_or(usize::MAX)
}

/// On the bound, on both sides of it, and far from it.
fn values_around(compared: &Compare, threshold: Option<f64>) -> Vec<f64> {
    let bound = compared.bound.number(threshold);
    match compared.bound {
        Bound::Fixed(_) if (0.0..=1.0).contains(&bound) => vec![0.0, 1.0, 1.0 - bound, bound],
        _ => vec![bound, bound + 1.0, (bound - 1.0).max(0.0), bound * 2.0, 0.0, f64::INFINITY],
    }
}

/// How long values stand: a hold time, one step more or less, and whatever.
fn lengths_around(boundaries: &[usize]) -> Vec<usize> {
    let mut lengths = vec![1, 2, 3];
    for boundary in boundaries.iter().filter(|boundary| **boundary < STEPS / 2) {
        lengths.extend([boundary.saturating_sub(1), *boundary, boundary + 1]);
    }
    lengths.retain(|length| *length > 0);
    lengths
}

/// Values of the labels that a condition leaves open.
fn open_labels(rule: &Rule, compared: &Compare) -> Vec<Vec<(&'static str, &'static str)>> {
    let fixed = |label: &&str| *label == "pair" || compared.labels.iter().any(|(own, _)| own == label);
    let labels = metrics::find(compared.metric).map_or(&[][..], |metric| metric.labels);
    let mut choices = vec![Vec::new()];
    for label in labels.iter().copied().filter(|label| !fixed(label)) {
        let values: Vec<&'static str> = match label {
            "channel" => match rule.about {
                About::Channel(channel) => vec![channel.as_str()],
                About::EachChannel | About::Pair | About::Agent => {
                    [Channel::Postgres, Channel::Config, Channel::Kvstore].map(Channel::as_str).to_vec()
                }
            },
            "standby" | "node" => vec!["beta", "gamma"],
            _ => vec!["one", "other"],
        };
        choices = choices
            .into_iter()
            .flat_map(|so_far| {
                values.iter().map(move |value| so_far.iter().copied().chain([(label, *value)]).collect::<Vec<_>>())
            })
            .collect();
    }
    choices
}

/// One or two series of a metric: alone, told by two agents side by side, or moving from one label's value to another's.
fn series_of(
    random: &mut Rng,
    pair: &'static str,
    rule: &Rule,
    compared: &Compare,
    values: &[f64],
    lengths: &[usize],
    timeline: &mut Timeline,
) {
    let choices = open_labels(rule, compared);
    let labels = |random: &mut Rng, agent: &'static str| {
        let open = &choices[random.usize(..choices.len())];
        compared.labels.iter().chain(open).copied().chain([("instance", agent)]).collect::<Vec<_>>()
    };
    let of_pair = metrics::find(compared.metric).is_some_and(|metric| metric.labels.contains(&"pair"));
    let mut put = |labels: Vec<(&'static str, &'static str)>, values: Vec<Option<f64>>| {
        let pair = of_pair.then_some(pair);
        // Another rule may have put the same series there already.
        let same = |series: &Series| series.metric == compared.metric && series.labels == labels && series.pair == pair;
        if !timeline.iter().any(same) {
            timeline.push(Series { pair, metric: compared.metric, labels, values });
        }
    };
    let first = course(random, values, lengths);
    match random.u8(..3) {
        0 => put(labels(random, "one"), first),
        1 => {
            put(labels(random, "one"), first);
            put(labels(random, "other"), course(random, values, lengths));
        }
        // The same values go on under other labels: the alert must not notice, where it does not tell them apart.
        _ => {
            let moved = random.usize(1..STEPS);
            let (before, after) = (labels(random, "one"), labels(random, "other"));
            let kept = |from: usize, to: usize| {
                first.iter().enumerate().map(move |(at, value)| value.filter(|_| (from..to).contains(&at))).collect()
            };
            put(before, kept(0, moved));
            put(after, kept(moved, STEPS));
        }
    }
}

/// Values one after another, each standing for a while; now and then none.
fn course(random: &mut Rng, values: &[f64], lengths: &[usize]) -> Vec<Option<f64>> {
    let mut course = Vec::with_capacity(STEPS);
    while course.len() < STEPS {
        let length = lengths[random.usize(..lengths.len())].min(STEPS - course.len());
        let value = (random.u8(..6) > 0).then(|| values[random.usize(..values.len())]);
        course.extend(std::iter::repeat_n(value, length));
    }
    course
}
