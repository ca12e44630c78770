//! A duration or size that a site may set does not stand as a fixed figure in what people read: it would be wrong there once it is set.

use std::collections::BTreeSet;
use std::time::Duration;

use standbywatch::config::RuleSetting;
use standbywatch::judge::rules::{Part, PrometheusVersion, RULES, Rule, RuleBook, print};
use standbywatch::metrics;

use crate::runbooks::sections;
use crate::text_of;

/// What no key and no rule's setting changes, by where it stands: the code has it as a constant.
const FIXED: &[(&str, &str)] = &[
    // For so long each change counts, and so long it lasts to count at all (`history/flapping.rs`).
    ("StandbyReplicationFlapping", "15 minutes"),
    ("StandbyReplicationFlapping", "five seconds"),
    ("standby_replication_changes", "5 seconds"),
    ("standby_replication_changes", "15 minutes"),
    // For so long a promotion is news (`history/roles_change.rs`).
    ("StandbyRolesChanged", "half hour"),
    ("standby_postgres_roles_changed", "half an hour"),
    // So long may a standby go by the archive alone (`judge/postgres/archive.rs`).
    ("StandbyReplicationUnknown", "15 minutes"),
    // On top of what the server itself lets queries hold up replay (`judge/postgres/replay.rs`).
    ("StandbyPostgresReplayStuck", "a minute"),
    // So long may commits wait (`judge/postgres/mod.rs`).
    ("StandbyPostgresCommitsBlocked", "15 seconds"),
    ("standby_postgres_commits_blocked", "15 seconds"),
    // Each attempt after one that failed (`probe/postgres/replacement.rs`).
    ("StandbyPostgresNotAccepting", "half minute"),
    ("StandbyPostgresNotAccepting", "half a minute"),
    // What is asked more seldom than the rest (`probe/postgres`), and how long a verdict is held (`history/lag_trend.rs`).
    ("standby_postgres_archive_ready_files", "a minute"),
    ("standby_postgres_wal_directory_bytes", "a minute"),
    ("standby_postgres_lag_growing", "a minute"),
    // Periods are configured, how many of them is not (`history/config_drift.rs`).
    ("StandbyConfigDrift", "two periods"),
    ("standby_config_drifted_files", "two periods"),
    // Advice to people: how long to silence it.
    ("StandbyPostgresReplayPaused", "an hour"),
    // `last_over_time` in the rule's own expression.
    ("StandbyAgentDown", "a day"),
];

/// A figure with its unit, as it stands in a text.
#[derive(Debug, PartialEq)]
struct Figure {
    phrase: String,
    /// In seconds, bytes or periods.
    value: f64,
    /// Where it begins in the text.
    at: usize,
}

/// A number in digits or in letters.
fn number(word: &str) -> Option<f64> {
    let words = [
        ("a", 1.0),
        ("an", 1.0),
        ("one", 1.0),
        ("half", 0.5),
        ("quarter", 0.25),
        ("two", 2.0),
        ("three", 3.0),
        ("four", 4.0),
        ("five", 5.0),
        ("six", 6.0),
        ("ten", 10.0),
        ("twelve", 12.0),
        ("fifteen", 15.0),
        ("twenty", 20.0),
        ("thirty", 30.0),
    ];
    let named = words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    named.or_else(|| word.parse().ok())
}

fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "s" | "second" | "seconds" | "period" | "periods" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        _ => return None,
    })
}

/// Every figure of a text: `10m`, `10 minutes`, `ten minutes`, `a minute`, `half an hour`, `a quarter of an hour`, `256 MiB`.
fn figures(text: &str) -> Vec<Figure> {
    let mut words = Vec::new();
    let mut from = 0;
    for piece in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')) {
        let word = piece.trim_matches('.');
        if !word.is_empty() {
            words.push((from, word.to_lowercase(), from + piece.trim_end_matches('.').len()));
        }
        from += piece.len() + text[from + piece.len()..].chars().next().map_or(0, char::len_utf8);
    }
    let word = |at: usize| words.get(at).map_or("", |(_, word, _)| word.as_str());
    let mut found = Vec::new();
    for at in 0..words.len() {
        let digits = word(at).trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let joined =
            (digits.len() < word(at).len()).then(|| number(digits).zip(unit(&word(at)[digits.len()..]))).flatten();
        let of = |last: usize| number(word(at)).zip(unit(word(last))).map(|(number, unit)| (number * unit, last));
        let told =
            joined.map(|(number, unit)| (number * unit, at)).or_else(|| of(at + 1)).or_else(|| match word(at + 1) {
                "a" | "an" if matches!(word(at), "half") => of(at + 2),
                "of" if word(at) == "quarter" => of(at + 3),
                _ => None,
            });
        if let Some((value, last)) = told {
            let (begin, end) = (words[at].0, words[last].2);
            let phrase = text[begin..end].split_whitespace().collect::<Vec<_>>().join(" ");
            // "an hour" of "half an hour" is no figure of its own.
            if found.last().is_none_or(|before: &(Figure, usize)| before.1 < at) {
                found.push((Figure { phrase, value, at: begin }, last));
            }
        }
    }
    found.into_iter().map(|(figure, _)| figure).collect()
}

#[test]
fn a_figure_is_found_however_it_is_written() {
    let found = |text: &str| figures(text).into_iter().map(|figure| (figure.phrase, figure.value)).collect::<Vec<_>>();
    let one = |phrase: &str, value: f64| vec![(phrase.to_owned(), value)];
    assert_eq!(found("waits for 10m, then"), one("10m", 600.0));
    assert_eq!(found("waits for 10 minutes."), one("10 minutes", 600.0));
    assert_eq!(found("For ten\nminutes it"), one("ten minutes", 600.0));
    assert_eq!(found("for a minute"), one("a minute", 60.0));
    assert_eq!(found("for half an hour"), one("half an hour", 1800.0));
    assert_eq!(found("within the last half hour"), one("half hour", 1800.0));
    assert_eq!(found("for a quarter of an hour"), one("quarter of an hour", 900.0));
    assert_eq!(found("over 256 MiB, or"), one("256 MiB", 268_435_456.0));
    assert_eq!(found("two periods"), one("two periods", 2.0));
    assert_eq!(found("node 4 has 2 standbys and version 15.3, „für immer“"), []);
}

fn is_fixed(place: &str, phrase: &str) -> bool {
    FIXED.contains(&(place, phrase))
}

#[test]
fn no_rule_speaks_of_a_figure_that_a_site_may_set() {
    for rule in RULES {
        let said = words_of(rule);
        let loose: Vec<_> =
            figures(&said).into_iter().filter(|figure| !is_fixed(rule.name.as_str(), &figure.phrase)).collect();
        assert!(loose.is_empty(), "{}: take it from the rule (Part::Hold, Part::Threshold): {loose:?}", rule.name);
        let set = settable(rule);
        let same: Vec<_> = figures(&said).into_iter().filter(|figure| set.contains(&figure.value.to_bits())).collect();
        assert!(same.is_empty(), "{}: {same:?} is what the rule can be set to", rule.name);
    }
}

/// All that is said whatever is configured: without what is filled in.
fn words_of(rule: &Rule) -> String {
    let said = rule.description.iter().map(|part| if let Part::Text(text) = part { text } else { "…" });
    format!("{}\n{}\n{}", rule.summary, said.collect::<String>(), rule.remedy)
}

/// What a site may set of a rule, by default.
fn settable(rule: &Rule) -> BTreeSet<u64> {
    let hold = (!rule.hold.is_zero()).then_some(rule.hold.as_secs_f64());
    hold.into_iter().chain(rule.threshold).map(f64::to_bits).collect()
}

/// The sentence around a place in a text; a line that begins a list or a row of a table begins one, too.
fn sentence(text: &str, at: usize) -> &str {
    let ends = [". ", ".\n", "\n\n", "\n|"];
    let begin = ends.iter().filter_map(|end| text[..at].rfind(end).map(|found| found + 1)).max();
    let end = ends.iter().filter_map(|end| text[at..].find(end).map(|found| at + found)).min();
    &text[begin.unwrap_or(0)..end.unwrap_or(text.len())]
}

/// Durations and sizes that keys have by default.
fn defaults_of_keys() -> BTreeSet<u64> {
    let reference = text_of("docs/configuration.md");
    let rows = reference.lines().filter_map(|line| line.split(" | ").nth(2));
    let defaults: BTreeSet<_> = rows.flat_map(figures).map(|figure| figure.value.to_bits()).collect();
    assert!(defaults.len() > 8, "the reference has durations and sizes in its third column: {defaults:?}");
    defaults
}

#[test]
fn a_runbook_says_of_what_can_be_set_that_it_can_be() {
    let document = text_of("docs/runbooks.md");
    let of_keys = defaults_of_keys();
    let mut loose = Vec::new();
    for (heading, text) in sections(&document) {
        let of_rules = RULES.iter().filter(|rule| rule.name.as_str() == heading).flat_map(settable);
        let settable: BTreeSet<_> = of_rules.chain(of_keys.iter().copied()).collect();
        let set = figures(text).into_iter().filter(|figure| settable.contains(&figure.value.to_bits()));
        let unsaid = set.filter(|figure| !is_fixed(heading, &figure.phrase));
        let unsaid = unsaid.map(|figure| (heading, sentence(text, figure.at), figure.phrase));
        loose.extend(unsaid.filter(|(_, said, _)| !said.contains("unless set")));
    }
    assert!(
        loose.is_empty(),
        "these can be set; say so (`unless set`), or name what has them as a constant: {loose:#?}"
    );
}

#[test]
fn what_a_runbook_gives_as_a_rule_s_own_is_the_catalogue_s() {
    let document = text_of("docs/runbooks.md");
    for (heading, text) in sections(&document) {
        let Some((_, told)) = text.split_once("`for` (") else { continue };
        let holds: Vec<_> = RULES.iter().filter(|rule| rule.name.as_str() == heading).map(|rule| rule.hold).collect();
        let told = figures(told).into_iter().next().unwrap_or_else(|| panic!("{heading}: a figure after `for`"));
        assert!(holds.contains(&Duration::from_secs_f64(told.value)), "{heading}: {told:?}, but {holds:?}");
    }
}

#[test]
fn the_help_of_a_metric_has_no_figure_that_can_be_set() {
    let of_keys = defaults_of_keys();
    for metric in metrics::all() {
        let set = |figure: &Figure| of_keys.contains(&figure.value.to_bits()) && !is_fixed(metric.name, &figure.phrase);
        let loose: Vec<_> = figures(metric.help).into_iter().filter(set).collect();
        assert!(loose.is_empty(), "{}: {loose:?} in `{}`", metric.name, metric.help);
    }
}

/// What a site sets is what its alerts say, in Prometheus's copy, too.
#[test]
fn a_hold_time_of_the_site_is_in_the_printed_words() {
    let speaking: Vec<_> =
        RULES.iter().filter(|rule| rule.description.iter().any(|part| matches!(part, Part::Hold))).collect();
    assert!(speaking.len() > 4, "rules that tell how long they wait");
    let setting = RuleSetting { hold: Some(Duration::from_hours(7)), ..RuleSetting::default() };
    let settings = speaking.iter().map(|rule| (rule.name.to_string(), setting)).collect();
    let printed = print(&RuleBook::new(&settings), PrometheusVersion::COMPLETE);
    let told = printed.matches("(told once that has lasted for 7h)").count();
    assert_eq!(told, speaking.len(), "{printed}");
}

/// An exception that nothing needs any more hides the next mistake.
#[test]
fn what_is_excepted_is_there() {
    let document = text_of("docs/runbooks.md");
    let sections = sections(&document);
    for (place, phrase) in FIXED {
        let runbook = sections.iter().filter(|(heading, _)| heading == place).map(|(_, text)| (*text).to_owned());
        let rules = RULES.iter().filter(|rule| rule.name.as_str() == *place).map(words_of);
        let help = metrics::find(place).map(|metric| metric.help.to_owned());
        let said: Vec<_> = runbook.chain(rules).chain(help).flat_map(|text| figures(&text)).collect();
        assert!(said.iter().any(|figure| figure.phrase == *phrase), "{place} no longer says `{phrase}`: {said:?}");
    }
}
