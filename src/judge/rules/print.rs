//! The rules as a file for Prometheus, and as a document for people.

use std::fmt;
use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use super::alert::{NO_REASON, runbook, tells_reason};
use super::book::{BookedRule, RuleBook};
use super::catalogue::Rule;
use super::condition::{About, Condition};
use super::description::template;
use crate::names::{RuleName, ThresholdUnit};
use crate::units::{Bytes, duration_text};

/// A version of Prometheus, as far as it decides what a rule file may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrometheusVersion {
    major: u32,
    minor: u32,
}

impl PrometheusVersion {
    /// The oldest that knows all that the rules use: `keep_firing_for` came with it.
    pub const COMPLETE: Self = Self { major: 2, minor: 42 };
}

impl fmt::Display for PrometheusVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Text that is not a version of Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of Prometheus; write for example 2.30")]
pub struct NotAVersion(String);

impl FromStr for PrometheusVersion {
    type Err = NotAVersion;

    /// Reads `2.30`, and also `v2.30.1`, as `prometheus --version` prints it.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let wrong = || NotAVersion(text.chars().take(40).collect());
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut part = || parts.next().and_then(|digits| digits.parse().ok());
        match (part(), part()) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(wrong()),
        }
    }
}

const HEAD: &str = "# Alert rules of standbywatch, printed by `standbywatch rules`; do not edit.
# Thresholds, hold times and switches are set in standbywatch's configuration, under `rules:`.
# Evaluate them every 15 s or more often. What each means and what to do: docs/runbooks.md.
groups:
  - name: standbywatch
    rules:
";

/// The rule file for a Prometheus of that version.
pub fn print(book: &RuleBook, version: PrometheusVersion) -> String {
    let mut out = String::from(HEAD);
    for booked in book.rules() {
        print_rule(booked, version, &mut out);
    }
    out
}

fn print_rule(booked: &BookedRule, version: PrometheusVersion, out: &mut String) {
    let rule = booked.rule;
    let mut field = |indent: usize, key: &str, value: &str| {
        let gap = if value.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{:indent$}{key}:{gap}{value}", "");
    };
    field(6, "- alert", rule.name.as_str());
    field(8, "expr", &quoted(&rule.condition.promql(rule.about, booked.threshold)));
    if !booked.hold.is_zero() {
        field(8, "for", &prometheus_duration(booked.hold));
    }
    if !rule.keep.is_zero() && version >= PrometheusVersion::COMPLETE {
        field(8, "keep_firing_for", &prometheus_duration(rule.keep));
    }
    field(8, "labels", "");
    field(10, "severity", rule.severity.as_str());
    if let About::Channel(channel) = rule.about {
        field(10, "channel", channel.as_str());
    }
    field(8, "annotations", "");
    field(10, "summary", &quoted(rule.summary));
    field(10, "description", &quoted(&template(rule.description, booked.threshold, booked.hold)));
    if let Some(reason) = reason_template(rule) {
        field(10, "reason", &quoted(&reason));
    }
    field(10, "remedy", &quoted(rule.remedy));
    field(10, "runbook", &quoted(&runbook(rule.name.as_str())));
}

/// The channel's reason, where the alert says only that something is unknown.
fn reason_template(rule: &Rule) -> Option<String> {
    let channel = match rule.about {
        About::EachChannel if tells_reason(rule.name) => "$labels.channel".to_owned(),
        About::Channel(channel) if tells_reason(rule.name) => format!("\"{channel}\""),
        _ => return None,
    };
    Some(format!(
        "{{{{ with query (printf \"max by (reason) (standby_channel_reason{{pair=%q,channel=%q}}) == 1\" \
         $labels.pair {channel}) }}}}{{{{ . | first | label \"reason\" }}}}{{{{ else }}}}{NO_REASON}{{{{ end }}}}"
    ))
}

/// A YAML scalar in single quotes, in which nothing but the quote itself has a meaning.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A duration as Prometheus reads it; a part of a millisecond counts as a whole one.
fn prometheus_duration(duration: Duration) -> String {
    let mut left = duration.as_nanos().div_ceil(1_000_000);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if left >= size {
            let _ = write!(out, "{}{unit}", left / size);
            left %= size;
        }
    }
    out
}

/// A rule's threshold as people write it, `256 MiB` or `4h`; a number where it is not a whole one of its unit.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only whole numbers within range are cast")]
pub fn threshold_text(rule: RuleName, threshold: f64) -> String {
    let whole = threshold.fract() == 0.0 && (0.0..9.0e15).contains(&threshold);
    let size = Bytes(threshold as u64);
    let exact = |size: Bytes| size.to_string().parse() == Ok(size);
    match rule.threshold_unit().filter(|_| whole) {
        Some(ThresholdUnit::Bytes) if exact(size) => size.to_string(),
        Some(ThresholdUnit::Seconds) => duration_text(Duration::from_secs(size.0)),
        _ => threshold.to_string(),
    }
}

const DOCUMENT_HEAD: &str = "# Alerts

This file is printed from the catalogue in `src/judge/rules/`; do not edit it; `make docs` prints it anew. The same rules are in `alerts/standbywatch.rules.yml` for Prometheus, and the agent judges them by itself.

Each rule can be set under `rules:` in the configuration: `for`, `enabled` and, where one is given here, `threshold`.

| alert | severity | channel | met when | for | threshold | meaning |
|---|---|---|---|---|---|---|
";

/// The catalogue of rules as Markdown.
pub fn document(book: &RuleBook) -> String {
    let mut out = String::from(DOCUMENT_HEAD);
    for booked in book.rules() {
        let rule = booked.rule;
        let about = match rule.about {
            About::Channel(channel) => channel.as_str(),
            About::EachChannel => "each",
            About::Pair | About::Agent => "",
        };
        let expression = match rule.condition {
            Condition::PrometheusOnly(expression) => format!("`{expression}` (in Prometheus only)"),
            condition => format!("`{}`", condition.promql(rule.about, booked.threshold)),
        };
        let _ = writeln!(
            out,
            "| [{name}](runbooks.md#{anchor}) | {severity} | {about} | {expression} | {hold} | {threshold} | {summary} |",
            name = rule.name,
            anchor = rule.name.as_str().to_lowercase(),
            severity = rule.severity,
            hold = prometheus_duration(booked.hold),
            threshold = booked.threshold.map_or_else(String::new, |threshold| threshold_text(rule.name, threshold)),
            summary = rule.summary,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_prometheus_reads_them() {
        let cases = [(0, "0s"), (90_000, "1m30s"), (250, "250ms"), (3_600_000, "1h"), (93_784_005, "1d2h3m4s5ms")];
        for (millis, text) in cases {
            assert_eq!(prometheus_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(prometheus_duration(Duration::from_nanos(1)), "1ms");
    }

    #[test]
    fn thresholds_as_people_write_them() {
        let (bytes, seconds, periods) =
            (RuleName::PostgresLagHigh, RuleName::PostgresSlotLossSoon, RuleName::ConfigSyncStale);
        for (rule, threshold, text) in [
            (bytes, 268_435_456.0, "256 MiB"),
            (bytes, 0.0, "0 B"),
            (bytes, 1000.0, "1000 B"),
            (bytes, 268_435_457.0, "268435457"),
            (bytes, 0.5, "0.5"),
            (seconds, 14_400.0, "4h"),
            (seconds, 90.5, "90.5"),
            (periods, 2.0, "2"),
        ] {
            assert_eq!(threshold_text(rule, threshold), text);
        }
    }

    #[test]
    fn versions_by_example() {
        assert_eq!("2.42".parse(), Ok(PrometheusVersion::COMPLETE));
        assert!("v2.30.3".parse::<PrometheusVersion>().is_ok_and(|version| version < PrometheusVersion::COMPLETE));
        assert!("3.0".parse::<PrometheusVersion>().is_ok_and(|version| version > PrometheusVersion::COMPLETE));
        for wrong in ["", "2", "two.three", "2.x", "-1.0"] {
            assert!(wrong.parse::<PrometheusVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_quote_in_a_text_stays_one() {
        assert_eq!(quoted("the primary's"), "'the primary''s'");
    }
}
