//! A family as the `prometheus` library writes it, which is what ours is measured by.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::{Declared, histograms, is_histogram};
use crate::snapshot::{Label, Sample};

/// The text of one family.
pub(super) fn text(declared: Declared, samples: &[&Sample]) -> String {
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&[family(declared, samples)], &mut text) {
        return error.to_string();
    }
    // The encoder writes `inf`; the format asks for `+Inf`.
    text.replace(" inf\n", " +Inf\n").replace(" -inf\n", " -Inf\n")
}

fn family(declared: Declared, samples: &[&Sample]) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(declared.name.to_owned());
    family.set_help(declared.help.to_owned());
    if samples.first().is_some_and(|first| is_histogram(first)) {
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(histograms(samples).map(|(labels, parts)| histogram(labels, parts)).collect());
        return family;
    }
    family.set_field_type(if declared.counter { MetricType::COUNTER } else { MetricType::GAUGE });
    family.set_metric(samples.iter().map(|sample| metric(declared, sample)).collect());
    family
}

fn metric(declared: Declared, sample: &Sample) -> Metric {
    let mut metric = Metric::default();
    metric.set_label(label_pairs(&sample.labels));
    if declared.counter {
        let mut counter = Counter::default();
        counter.set_value(sample.value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(sample.value);
        metric.set_gauge(gauge);
    }
    metric
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
