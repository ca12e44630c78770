//! Sentences with a pair's numbers in them: rendered here, and printed as Prometheus templates that render the same.

use std::time::Duration;

use crate::names::{Channel, Name};
use crate::units::duration_text;

/// A piece of a sentence.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Fixed words.
    Text(&'static str),
    /// The pair's name.
    Pair,
    /// The channel, in rules about each channel.
    Channel,
    /// The value that met the condition.
    Value(Form),
    /// The rule's threshold.
    Threshold(Form),
    /// How long the condition holds before the alert fires, as the site has set it.
    Hold,
    /// A template that only Prometheus can render; nothing in the agent, which never evaluates such a rule.
    PrometheusOnly(&'static str),
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Binary units, as Prometheus's `humanize1024` writes them.
    Bytes,
    /// A time in seconds, as Prometheus's `humanizeDuration` writes it.
    Duration,
    /// Four significant digits.
    Plain,
}

impl Form {
    fn written(self, value: f64) -> String {
        match self {
            Self::Plain => four_digits(value),
            Self::Bytes => format!("{}B", humanize1024(value)),
            Self::Duration => humanize_duration(value),
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Self::Plain => r#"{{ $value | printf "%.4g" }}"#,
            Self::Bytes => "{{ $value | humanize1024 }}B",
            Self::Duration => "{{ $value | humanizeDuration }}",
        }
    }
}

/// What fills the gaps of a sentence.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The pair.
    pub pair: &'a Name,
    /// The alert's channel.
    pub channel: Option<Channel>,
    /// `None` if it was infinite.
    pub value: Option<f64>,
    /// The rule's threshold.
    pub threshold: Option<f64>,
    /// How long the condition holds before the alert fires.
    pub hold: Duration,
}

/// The sentence for people.
pub fn render(parts: &[Part], filling: &Filling<'_>) -> String {
    let value = filling.value.unwrap_or(f64::INFINITY);
    let written = |part: &Part| match part {
        Part::Text(text) => (*text).to_owned(),
        Part::Pair => filling.pair.to_string(),
        Part::Channel => filling.channel.map_or_else(String::new, |channel| channel.to_string()),
        Part::Value(form) => form.written(value),
        Part::Threshold(form) => filling.threshold.map_or_else(String::new, |threshold| form.written(threshold)),
        Part::Hold => duration_text(filling.hold),
        Part::PrometheusOnly(_) => String::new(),
    };
    parts.iter().map(written).collect()
}

/// The sentence as a template of Prometheus.
pub fn template(parts: &[Part], threshold: Option<f64>, hold: Duration) -> String {
    let written = |part: &Part| match part {
        Part::Text(text) | Part::PrometheusOnly(text) => (*text).to_owned(),
        Part::Pair => "{{ $labels.pair }}".to_owned(),
        Part::Channel => "{{ $labels.channel }}".to_owned(),
        Part::Value(form) => form.template().to_owned(),
        Part::Threshold(form) => threshold.map_or_else(String::new, |threshold| form.written(threshold)),
        Part::Hold => duration_text(hold),
    };
    parts.iter().map(written).collect()
}

/// As Prometheus does it (`template/template.go`).
fn humanize1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four_digits(value);
    }
    let mut scaled = value;
    let mut prefix = "";
    for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if scaled.abs() < 1024.0 {
            break;
        }
        prefix = next;
        scaled /= 1024.0;
    }
    format!("{}{prefix}", four_digits(scaled))
}

/// As Prometheus does it (`template/template.go`): whole seconds from a minute on, four digits below.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time that is left: whole seconds of it")]
fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four_digits(value);
    }
    if value.abs() < 1.0 {
        let (mut scaled, mut prefix) = (value, "");
        for next in ["m", "u", "n"] {
            if scaled == 0.0 || scaled.abs() >= 1.0 {
                break;
            }
            (scaled, prefix) = (scaled * 1000.0, next);
        }
        return format!("{}{prefix}s", four_digits(scaled));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four_digits(value.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// C's and Go's `%.4g`: four significant digits, no trailing zeros, an exponent where the number is very large or small.
fn four_digits(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounded to four digits first: the rounding decides the exponent (9999.6 becomes 1e+04).
    let scientific = format!("{value:.3e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i16 = exponent.parse().unwrap_or(i16::MAX);
    match usize::try_from(3 - exponent) {
        Ok(decimals) if decimals <= 7 => without_trailing_zeros(&format!("{value:.decimals$}")).to_owned(),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", without_trailing_zeros(digits), exponent.abs())
        }
    }
}

fn without_trailing_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_prometheus_writes_them() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (2.5, "2.5"),
            (1023.96, "1024"),
            (9999.4, "9999"),
            (9999.6, "1e+04"),
            (123_456.0, "1.235e+05"),
            (0.000_123_45, "0.0001234"),
            (0.000_012_345, "1.234e-05"),
            (-2.71234, "-2.712"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(four_digits(value), expected, "{value}");
        }
    }

    #[test]
    fn bytes_have_binary_units() {
        let cases =
            [(0.5, "0.5B"), (512.0, "512B"), (268_435_456.0, "256MiB"), (300e6, "286.1MiB"), (5.0e12, "4.547TiB")];
        for (value, expected) in cases {
            assert_eq!(Form::Bytes.written(value), expected, "{value}");
        }
    }

    #[test]
    fn times_are_written_as_prometheus_writes_them() {
        let cases = [
            (0.0, "0s"),
            (0.25, "250ms"),
            (9.87654, "9.877s"),
            (61.9, "1m 1s"),
            (14_400.0, "4h 0m 0s"),
            (93_784.5, "1d 2h 3m 4s"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(Form::Duration.written(value), expected, "{value}");
        }
    }

    #[test]
    fn a_sentence_and_its_template_have_the_same_gaps() {
        let parts = [
            Part::Text("Pair "),
            Part::Pair,
            Part::Text(" has "),
            Part::Value(Form::Bytes),
            Part::Text(" (told after "),
            Part::Hold,
            Part::Text(")."),
        ];
        let (pair, hold) = (Name::new("catalog"), Duration::from_secs(90));
        let filling = Filling { pair: &pair, channel: None, value: Some(2048.0), threshold: None, hold };
        assert_eq!(render(&parts, &filling), "Pair catalog has 2kiB (told after 1m30s).");
        let printed = "Pair {{ $labels.pair }} has {{ $value | humanize1024 }}B (told after 1m30s).";
        assert_eq!(template(&parts, None, hold), printed);
    }
}
