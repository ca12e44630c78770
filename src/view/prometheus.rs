//! Samples as Prometheus text 0.0.4, or OpenMetrics 1.0 for those who ask for it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::Write;

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::metrics::{self, Kind};
use crate::snapshot::{ByMetric, Label, Sample};

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
    let families = catalogue.into_iter().filter_map(|declared| {
        let own: Vec<_> = samples.of(declared.name).collect();
        (!own.is_empty()).then_some((declared, own))
    });
    match format {
        Format::Text => text(families),
        Format::OpenMetrics => open_metrics(families),
    }
}

/// One family after the other: of a page of a hundred pairs no second copy is held meanwhile.
fn text<'a>(families: impl Iterator<Item = (Declared, Vec<&'a Sample>)>) -> String {
    let mut text = String::with_capacity(ROOM);
    let mut sheet = SHEET.take();
    for (declared, samples) in families {
        let begun = text.len();
        // It fails only for a family without a name or without samples; there are none such.
        if let Err(error) = TextEncoder::new().encode_utf8(sheet.fill(declared, &samples), &mut text) {
            debug_assert!(false, "{error}");
        }
        if samples.iter().any(|sample| sample.value.is_infinite()) {
            // The encoder writes `inf`; the format asks for `+Inf`.
            let written = text.split_off(begun);
            text.push_str(&written.replace(" inf\n", " +Inf\n").replace(" -inf\n", " -Inf\n"));
        }
    }
    if sheet.size() <= MOST_KEPT {
        SHEET.set(sheet);
    }
    text
}

thread_local! {
    /// The sheet of the page before: its labels are mostly those of the next one.
    static SHEET: Cell<Sheet> = Cell::default();
}

/// A sheet for more samples in one family is not kept: it would be the second copy of a long page.
const MOST_KEPT: usize = 128;

/// The encoder's own form of a family, filled again for each. Mostly the labels of an earlier family fit: to make them anew for each
/// sample would take longer than to write the page.
#[derive(Default)]
struct Sheet {
    family: [MetricFamily; 1],
    /// What a smaller family does not need, by the number of labels.
    spare: [Vec<Metric>; 4],
}

impl Sheet {
    fn fill(&mut self, declared: Declared, samples: &[&Sample]) -> &[MetricFamily] {
        let [family] = &mut self.family;
        family.set_name(declared.name.to_owned());
        family.set_help(declared.help.to_owned());
        if is_histogram(samples) {
            family.set_field_type(MetricType::HISTOGRAM);
            family.set_metric(histograms(samples).map(|(labels, parts)| histogram(labels, parts)).collect());
            return &self.family;
        }
        family.set_field_type(if declared.counter { MetricType::COUNTER } else { MetricType::GAUGE });
        let metrics = family.mut_metric();
        for metric in metrics.drain(..).rev() {
            if let Some(spare) = self.spare.get_mut(metric.get_label().len()) {
                spare.push(metric);
            }
        }
        for sample in samples {
            let spare = self.spare.get_mut(sample.labels.len()).and_then(Vec::pop);
            // a default is right: an empty form, of which everything is set in the next line.
            let mut metric = spare.unwrap_or_default();
            set(&mut metric, declared, sample);
            metrics.push(metric);
        }
        &self.family
    }

    fn size(&self) -> usize {
        self.family[0].get_metric().len() + self.spare.iter().map(Vec::len).sum::<usize>()
    }
}

fn set(metric: &mut Metric, declared: Declared, sample: &Sample) {
    if metric.get_label().len() == sample.labels.len() {
        for (pair, (name, value)) in metric.mut_label().iter_mut().zip(&sample.labels) {
            if pair.name() != *name {
                pair.set_name((*name).to_owned());
            }
            if pair.value() != value.as_str() {
                pair.set_value(value.to_string());
            }
        }
    } else {
        metric.set_label(label_pairs(&sample.labels));
    }
    if declared.counter {
        let mut counter = Counter::default();
        counter.set_value(sample.value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(sample.value);
        metric.set_gauge(gauge);
    }
}

fn label_pairs(labels: &[Label]) -> Vec<LabelPair> {
    let pair = |(name, value): &Label| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.to_string());
        pair
    };
    labels.iter().map(pair).collect()
}

/// The last label of a histogram's samples is the edge.
fn is_histogram(samples: &[&Sample]) -> bool {
    samples.first().is_some_and(|sample| sample.label("le").is_some())
}

/// One histogram's labels without the edge, and its samples.
fn histograms<'a>(samples: &'a [&Sample]) -> impl Iterator<Item = (&'a [Label], &'a [&'a Sample])> {
    let same = |one: &&Sample, other: &&Sample| without_edge(one) == without_edge(other);
    samples.chunk_by(same).map(|parts| (without_edge(parts[0]), parts))
}

fn without_edge(sample: &Sample) -> &[Label] {
    sample.labels.split_last().map_or(&[], |(_, labels)| labels)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, as floats")]
fn histogram(labels: &[Label], parts: &[&Sample]) -> Metric {
    let mut histogram = Histogram::default();
    let mut buckets = Vec::new();
    for sample in parts {
        match sample.label("le") {
            Some("sum") => histogram.set_sample_sum(sample.value),
            Some("+Inf") => histogram.set_sample_count(sample.value as u64),
            Some(edge) => {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(edge.parse().unwrap_or(f64::INFINITY));
                bucket.set_cumulative_count(sample.value as u64);
                buckets.push(bucket);
            }
            None => {}
        }
    }
    histogram.set_bucket(buckets);
    let mut metric = Metric::default();
    metric.set_label(label_pairs(labels));
    metric.set_histogram(histogram);
    metric
}

fn open_histogram(out: &mut String, name: &str, labels: &[Label], parts: &[&Sample]) {
    for sample in parts {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = labels.join(",");
        let _ = match sample.label("le") {
            Some("sum") => writeln!(out, "{name}_sum{{{labels}}} {}", sample.value),
            Some("+Inf") => {
                writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {0}\n{name}_count{{{labels}}} {0}", sample.value)
            }
            Some(edge) => {
                // OpenMetrics writes edges as floats.
                let edge = if edge.contains('.') { edge.to_owned() } else { format!("{edge}.0") };
                writeln!(out, "{name}_bucket{{{labels},le=\"{edge}\"}} {}", sample.value)
            }
            None => Ok(()),
        };
    }
}

/// OpenMetrics differs in the name of a counter's family (without `_total`), in escaping `"` in help, and in its last line.
fn open_metrics<'a>(families: impl Iterator<Item = (Declared, Vec<&'a Sample>)>) -> String {
    let mut out = String::with_capacity(ROOM);
    for (declared, samples) in families {
        let (name, kind) = match (declared.counter, declared.name.strip_suffix("_total")) {
            (true, Some(base)) => (base, "counter"),
            (true, None) => (declared.name, "unknown"),
            (false, _) if is_histogram(&samples) => (declared.name, "histogram"),
            (false, _) => (declared.name, "gauge"),
        };
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", escaped(declared.help));
        if kind == "histogram" {
            histograms(&samples).for_each(|(labels, parts)| open_histogram(&mut out, name, labels, parts));
            continue;
        }
        for sample in samples {
            out.push_str(declared.name);
            for (index, (label, value)) in sample.labels.iter().enumerate() {
                let separator = if index == 0 { "{" } else { "," };
                out.extend([separator, label, "=\"", &escaped(value), "\""]);
            }
            if !sample.labels.is_empty() {
                out.push('}');
            }
            let _ = match sample.value.is_infinite() {
                true => writeln!(out, " {}Inf", if sample.value > 0.0 { '+' } else { '-' }),
                false => writeln!(out, " {}", sample.value),
            };
        }
    }
    out.push_str("# EOF\n");
    out
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '"', '\n']) {
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
    fn a_page_is_the_same_whatever_was_written_before_it() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut page = || {
            let mut samples = Vec::new();
            for metric in metrics::all() {
                for _ in 0..random.usize(..4) {
                    let mut word = |label| (label, ["a", "b", "1", "+Inf", "say \"hi\""][random.usize(..5)].into());
                    let labels = metric.labels.iter().copied().map(&mut word).collect();
                    samples.push(Sample { metric: metric.name, labels, value: f64::from(random.u8(..3)) });
                }
            }
            samples
        };
        for _ in 0..50 {
            let samples = page();
            let here = render(catalogue(), &samples, Format::Text);
            let afresh = std::thread::spawn(move || render(catalogue(), &samples, Format::Text)).join();
            assert_eq!(here, afresh.expect("written"), "nothing of an earlier page is left");
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
