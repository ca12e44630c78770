//! Samples as Prometheus text 0.0.4, or OpenMetrics 1.0 for those who ask for it.
//!
//! The two differ in so little that one writer writes both. For the text, the encoder of the `prometheus` library is the measure: wherever
//! debug assertions are on (in each test, also on real servers) both write a process's first page, and its second, fourth, eighth and so on, and
//! they must be the same. In a release the library would take three times as long, since it wants each label as two strings of its
//! own (`benches/derive.rs`); without optimisation it would take more time than many a row has.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::{self, Kind};
use crate::snapshot::{ByMetric, Label, Sample};

mod reference;

/// As much as one pair with all its channels takes, so that a scrape does not grow its text bit by bit.
const ROOM: usize = 48 * 1024;

/// What the formats need of a metric's declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Full name.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// It only counts up.
    pub counter: bool,
}

/// Every metric, in the order of the catalogue.
pub fn catalogue() -> impl Iterator<Item = Declared> {
    metrics::all().map(|metric| Declared {
        name: metric.name,
        help: metric.help,
        counter: metric.kind == Kind::Counter,
    })
}

/// The two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format for an `Accept` header: OpenMetrics only where it is named, and not refused with `q=0`.
    pub fn accepted(accept: &str) -> Self {
        let wanted = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text")
                && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        });
        if wanted { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The samples in the order of the catalogue, each family once. A sample that the catalogue does not declare is left out: it
/// has no type and no help (the tests of the catalogue keep that from happening).
pub fn render<'a>(
    catalogue: impl IntoIterator<Item = Declared>,
    samples: impl IntoIterator<Item = &'a Sample>,
    format: Format,
) -> String {
    let samples = ByMetric::new(samples);
    let mut out = String::with_capacity(ROOM);
    let compared = cfg!(debug_assertions) && format == Format::Text && is_to_be_compared();
    for declared in catalogue {
        let mut own = samples.of(declared.name).peekable();
        let Some(first) = own.peek() else { continue };
        let begun = out.len();
        let histogram = is_histogram(first);
        let name = head(&mut out, declared, histogram, format);
        match histogram {
            true => histogram_lines(&mut out, name, &own.collect::<Vec<_>>(), format),
            false => own.for_each(|sample| line(&mut out, declared.name, "", &sample.labels, None, sample.value)),
        }
        debug_assert!(
            !compared || out[begun..] == reference::text(declared, &samples.of(declared.name).collect::<Vec<_>>()),
            "another page than the library's: {}",
            &out[begun..]
        );
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

/// Of so many pages each that is twice as far as the one before; in unit tests all.
fn is_to_be_compared() -> bool {
    static PAGES: AtomicU64 = AtomicU64::new(1);
    cfg!(test) || PAGES.fetch_add(1, Ordering::Relaxed).is_power_of_two()
}

/// The two lines before a family's samples; gives its name. In OpenMetrics a counter's is without `_total`, and help escapes `"`, too.
fn head(out: &mut String, declared: Declared, histogram: bool, format: Format) -> &'static str {
    let open = format == Format::OpenMetrics;
    let (name, kind) = match (declared.counter, declared.name.strip_suffix("_total")) {
        (true, Some(base)) if open => (base, "counter"),
        (true, None) if open => (declared.name, "unknown"),
        (true, _) => (declared.name, "counter"),
        (false, _) if histogram => (declared.name, "histogram"),
        (false, _) => (declared.name, "gauge"),
    };
    let help = if open { escaped(declared.help) } else { escaped_help(declared.help) };
    out.extend(["# HELP ", name, " ", &help, "\n# TYPE ", name, " ", kind, "\n"]);
    name
}

/// One sample: its name with what is added to it, its labels with one more, its value.
fn line(out: &mut String, name: &str, part: &str, labels: &[Label], edge: Option<&str>, value: f64) {
    out.push_str(name);
    out.push_str(part);
    let mut separator = "{";
    for (label, value) in labels {
        out.extend([separator, label, "=\"", &escaped(value), "\""]);
        separator = ",";
    }
    if let Some(edge) = edge {
        out.extend([separator, "le=\"", edge, "\""]);
        separator = ",";
    }
    out.push_str(if separator == "{" { " " } else { "} " });
    number(out, value);
    out.push('\n');
}

/// Most values are states and counts; those are written many times faster than other numbers.
fn number(out: &mut String, value: f64) {
    let whole = whole(value);
    // Writing to a String cannot fail.
    let _ = match (whole, value.is_infinite()) {
        (Some(whole), _) => write!(out, "{whole}"),
        (None, true) => write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' }),
        (None, false) => write!(out, "{value}"),
    };
}

/// The same number as an integer, where it is one that is written without an exponent or a sign of zero in any notation.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "looked at: it is the same number")]
fn whole(value: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let whole = (value.abs() < LARGEST).then_some(value as i64)?;
    ((whole as f64).to_bits() == value.to_bits()).then_some(whole)
}

/// The last label of a histogram's samples is the edge.
fn is_histogram(first: &Sample) -> bool {
    first.label("le").is_some()
}

/// One histogram's labels without the edge, and its samples.
fn histograms<'a>(samples: &'a [&Sample]) -> impl Iterator<Item = (&'a [Label], &'a [&'a Sample])> {
    let same = |one: &&Sample, other: &&Sample| without_edge(one) == without_edge(other);
    samples.chunk_by(same).map(|parts| (without_edge(parts[0]), parts))
}

fn without_edge(sample: &Sample) -> &[Label] {
    sample.labels.split_last().map_or(&[], |(_, labels)| labels)
}

fn histogram_lines(out: &mut String, name: &str, samples: &[&Sample], format: Format) {
    for (labels, parts) in histograms(samples) {
        let (mut sum, mut count) = (None, None);
        for sample in parts {
            let edge = match sample.label("le") {
                Some("sum") => {
                    sum = Some(sample.value);
                    continue;
                }
                Some("+Inf") => {
                    count = Some(sample.value);
                    "+Inf".into()
                }
                // OpenMetrics writes edges as floats.
                Some(edge) if format == Format::OpenMetrics && !edge.contains('.') => Cow::from(format!("{edge}.0")),
                Some(edge) => edge.into(),
                None => continue,
            };
            line(out, name, "_bucket", labels, Some(&edge), sample.value);
        }
        for (part, value) in [("_sum", sum), ("_count", count)] {
            if let Some(value) = value {
                line(out, name, part, labels, None, value);
            }
        }
    }
}

fn escaped_help(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '\n']) { text.replace('\\', "\\\\").replace('\n', "\\n").into() } else { text.into() }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::view::fixture;

    const CATALOGUE: [Declared; 3] = [
        Declared { name: "standby_replication_up", help: "1 while \"proven\".", counter: false },
        Declared { name: "standby_postgres_catch_up_seconds", help: "Until caught up.", counter: false },
        Declared { name: "standby_kvstore_outcomes_total", help: "Canaries.", counter: true },
    ];

    fn samples() -> Vec<Sample> {
        let sample = |metric, labels: &[(&'static str, &str)], value| Sample {
            metric,
            labels: labels.iter().map(|(name, value)| (*name, (*value).to_owned().into())).collect(),
            value,
        };
        vec![
            sample("standby_kvstore_outcomes_total", &[("pair", "a"), ("outcome", "ok")], 12.0),
            sample("standby_replication_up", &[("pair", "a"), ("channel", "postgres")], 1.0),
            sample("standby_postgres_catch_up_seconds", &[("pair", "a"), ("standby", "say \"hi\"\\\n")], f64::INFINITY),
            sample("standby_replication_up", &[("pair", "b"), ("channel", "postgres")], 0.0),
        ]
    }

    #[test]
    fn text_groups_families_in_the_order_of_the_catalogue() {
        insta::assert_snapshot!(render(CATALOGUE, &samples(), Format::Text));
    }

    #[test]
    fn open_metrics_ends_with_its_mark() {
        insta::assert_snapshot!(render(CATALOGUE, &samples(), Format::OpenMetrics));
    }

    #[test]
    fn a_histogram_has_its_edges_its_count_and_its_sum() {
        let declared = Declared { name: "h_seconds", help: "How long.", counter: false };
        let sample = |step: &'static str, le: &'static str, value| Sample {
            metric: "h_seconds",
            labels: [("step", step.into()), ("le", le.into())].into_iter().collect(),
            value,
        };
        let samples = ["write", "read"].map(|step| {
            [("0.25", 2.0), ("1", 3.0), ("+Inf", 4.0), ("sum", 9.5)].map(|(le, value)| sample(step, le, value))
        });
        let text = render([declared], samples.iter().flatten(), Format::Text);
        let one = "h_seconds_bucket{step=\"write\",le=\"0.25\"} 2\nh_seconds_bucket{step=\"write\",le=\"1\"} 3\n\
                   h_seconds_bucket{step=\"write\",le=\"+Inf\"} 4\nh_seconds_sum{step=\"write\"} 9.5\n\
                   h_seconds_count{step=\"write\"} 4\n";
        assert!(text.contains(&format!("# TYPE h_seconds histogram\n{one}")), "{text}");
        assert!(text.contains(&one.replace("write", "read")), "{text}");
        let open = render([declared], samples.iter().flatten(), Format::OpenMetrics);
        for line in [
            "h_seconds_bucket{step=\"read\",le=\"1.0\"} 3\n",
            "h_seconds_count{step=\"read\"} 4\n",
            "h_seconds_sum{step=\"read\"} 9.5\n",
        ] {
            assert!(open.contains(line), "{open}");
        }
    }

    #[test]
    fn numbers_are_written_as_the_library_writes_them() {
        let numbers =
            [0.0, -0.0, 1.0, -1.0, 0.1, 1e15, 9_007_199_254_740_991.0, 9_007_199_254_740_993.0, 1e21, -1e300, 5e-324];
        for value in numbers {
            let mut out = String::new();
            number(&mut out, value);
            assert_eq!(out, value.to_string());
        }
    }

    proptest! {
        /// [`render`] compares the two itself.
        #[test]
        fn a_page_is_the_library_s_page(texts in prop::collection::vec((".{0,12}", any::<f64>()), 1..4), at in 0..300_usize) {
            let all: Vec<_> = metrics::all().collect();
            let metric = all[at % all.len()];
            let samples: Vec<_> = texts.into_iter().filter(|(_, value)| !value.is_nan()).map(|(text, value)| {
                let labels = metric.labels.iter().map(|label| (*label, text.clone().into())).collect();
                Sample { metric: metric.name, labels, value }
            }).collect();
            if metric.kind != Kind::Histogram {
                render(catalogue(), &samples, Format::Text);
            }
        }
    }

    #[test]
    fn open_metrics_only_for_those_who_ask() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for accept in ["", "*/*", "text/html,text/plain", "application/openmetrics-text;q=0"] {
            assert_eq!(Format::accepted(accept), Format::Text, "{accept}");
        }
    }

    #[test]
    fn an_expired_view_renders_its_own_samples_only() {
        let snapshot = fixture::snapshot(fixture::ok());
        let fresh = render(catalogue(), &snapshot.at(fixture::now()).samples, Format::Text);
        let expired = render(catalogue(), &snapshot.at(snapshot.shown_until()).samples, Format::Text);
        assert!(fresh.contains("standby_replication_lag_bytes{pair=\"catalog\"} 4096"), "{fresh}");
        assert!(!expired.contains("standby_replication_lag_bytes"), "{expired}");
        assert!(expired.contains("standby_replication_up{pair=\"catalog\",channel=\"postgres\"} 0"), "{expired}");
    }
}
