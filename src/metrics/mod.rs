//! The catalogue of metrics: each is declared once, with its type, labels, unit, meaning and the function that reads it.
//!
//! A number that is not known has no sample. Series that say *whether we know* are always there ([`Presence::Always`]).

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::config::PairConfig;
use crate::evidence::PairEvidence;
use crate::level::Level;
use crate::names::Name;
use crate::snapshot::{ChannelView, LabelValue, Labels, ProbeHealth, Sample};

mod agent;
mod agents;
mod canaries;
mod config_sync;
mod document;
mod failover;
mod forecast;
mod kvstore;
mod pair;
mod postgres;
pub mod process;
mod rebuild;
mod search;
mod servers;
mod source;

pub use agent::{AgentStatus, SnapshotCost};
pub use document::document;

/// How Prometheus is to take a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, or begins again at 0 with the agent.
    Counter,
    /// Counts by upper edges: the label `le` is an edge, `+Inf` for all, or `sum` for the sum of all values.
    Histogram,
}

impl Kind {
    /// As in the exposition's `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// What a metric's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Unit {
    Seconds,
    Bytes,
    BytesPerSecond,
    /// Seconds since the Unix epoch.
    Timestamp,
    Percent,
    /// 0 or 1.
    State,
    /// 0 ok, 1 warning, 2 critical, 3 unknown.
    Level,
    Count,
    /// Things per second.
    PerSecond,
    /// Multiples of a configured period.
    Periods,
    /// A share; 1 is the whole.
    Ratio,
}

impl Unit {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes per second",
            Self::Timestamp => "seconds since 1970",
            Self::Percent => "per cent",
            Self::State => "0 or 1",
            Self::Level => "0 to 3",
            Self::Count => "count",
            Self::PerSecond => "per second",
            Self::Periods => "periods",
            Self::Ratio => "ratio",
        }
    }
}

/// When a metric has series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// One for each configured thing, from the first scrape on.
    Always,
    /// Only while the value is known.
    WhenKnown,
}

/// All that is derived of a pair before its rules are judged.
struct PairInput<'a> {
    pair: &'a PairConfig,
    evidence: &'a PairEvidence,
    probes: &'a [ProbeHealth],
}

/// What the rules made of it.
struct VerdictInput<'a> {
    level: Level,
    channels: &'a [ChannelView],
}

/// Where a metric is read from.
enum Read {
    Evidence(fn(&PairInput<'_>, &mut Emit<'_>)),
    Verdict(fn(&VerdictInput<'_>, &mut Emit<'_>)),
    Agent(fn(&AgentStatus, &mut Emit<'_>)),
}

/// One metric.
pub struct Metric {
    /// Full name.
    pub name: &'static str,
    /// Gauge or counter.
    pub kind: Kind,
    /// One or two sentences for an operator.
    pub help: &'static str,
    /// Label names, in the order of every sample.
    pub labels: &'static [&'static str],
    /// What the value counts.
    pub unit: Unit,
    /// Whether it may be absent.
    pub presence: Presence,
    read: Read,
}

/// Metrics that belong together.
pub struct Section {
    /// Heading in the printed document.
    pub title: &'static str,
    /// The metrics, in the order of exposition.
    pub metrics: &'static [Metric],
}

/// The whole catalogue, in the order of exposition.
pub static CATALOGUE: &[Section] = &[
    Section { title: "The pair, its channels and its probes", metrics: &pair::METRICS },
    Section { title: "PostgreSQL", metrics: &postgres::METRICS },
    Section { title: "PostgreSQL, what is coming", metrics: &forecast::METRICS },
    Section { title: "Promote now?", metrics: &failover::METRICS },
    Section { title: "Whose word PostgreSQL's evidence is", metrics: &source::METRICS },
    Section { title: "PostgreSQL's servers", metrics: &servers::METRICS },
    Section { title: "Configuration", metrics: &config_sync::METRICS },
    Section { title: "Key-value store", metrics: &kvstore::METRICS },
    Section { title: "Key-value store, canaries and data", metrics: &canaries::METRICS },
    Section { title: "Search", metrics: &search::METRICS },
    Section { title: "Search, its rebuild", metrics: &rebuild::METRICS },
    Section { title: "The agents of a pair and their machines", metrics: &agents::METRICS },
    Section { title: "The agent itself", metrics: &agent::METRICS },
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Metric>> =
    LazyLock::new(|| all().map(|metric| (metric.name, metric)).collect());

/// Every metric, in the order of exposition.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    CATALOGUE.iter().flat_map(|section| section.metrics)
}

/// The metric with this name.
pub fn find(name: &str) -> Option<&'static Metric> {
    BY_NAME.get(name).copied()
}

/// Takes the samples of one metric: knows its labels, so that no reader can get their names wrong.
struct Emit<'a> {
    metric: &'static Metric,
    /// Value of the label `pair`, which comes first on all metrics of a pair.
    pair: Option<&'a Name>,
    out: &'a mut Vec<Sample>,
}

impl Emit<'_> {
    /// One sample; `values` are those of the labels after `pair`. NaN is no value and makes no sample.
    fn put<const N: usize>(&mut self, values: [LabelValue; N], value: f64) {
        if value.is_nan() {
            return;
        }
        let mut labels = Labels::new();
        let pair = self.pair.map(text);
        for (name, value) in self.metric.labels.iter().zip(pair.into_iter().chain(values)) {
            labels.push((*name, value));
        }
        debug_assert_eq!(labels.len(), N + usize::from(self.pair.is_some()), "{}", self.metric.name);
        self.out.push(Sample { metric: self.metric.name, labels, value });
    }

    /// A sample if the value is known.
    fn put_known<const N: usize>(&mut self, values: [LabelValue; N], value: Option<f64>) {
        if let Some(value) = value {
            self.put(values, value);
        }
    }
}

/// A configured name as a label's value.
fn text(name: &Name) -> LabelValue {
    name.into()
}

/// A state as a value.
const fn state(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

/// A count as a value; exact up to 2⁵³.
#[allow(clippy::cast_precision_loss, reason = "a sample is a float by definition")]
const fn count(number: u64) -> f64 {
    number as f64
}

/// Every number that follows from a pair's evidence and probes. Rules are judged over exactly these.
pub fn evidence_samples(pair: &PairConfig, evidence: &PairEvidence, probes: &[ProbeHealth]) -> Vec<Sample> {
    let input = PairInput { pair, evidence, probes };
    let mut out = Vec::with_capacity(ROOM * pair.channels().count());
    for metric in all() {
        if let Read::Evidence(read) = metric.read {
            read(&input, &mut Emit { metric, pair: Some(&pair.name), out: &mut out });
        }
    }
    out
}

/// About as many as a channel has, levels and reasons among them.
const ROOM: usize = 96;

/// Adds levels and reasons, once the rules are judged.
pub fn add_verdict(samples: &mut Vec<Sample>, pair: &PairConfig, level: Level, channels: &[ChannelView]) {
    let input = VerdictInput { level, channels };
    for metric in all() {
        if let Read::Verdict(read) = metric.read {
            read(&input, &mut Emit { metric, pair: Some(&pair.name), out: samples });
        }
    }
}

/// Leaves out what is about other nodes: their own agents show it.
pub fn keep_own(samples: &mut Vec<Sample>, own: &Name) {
    samples.retain(|sample| sample.label("node").is_none_or(|node| node == own.as_str()));
}

/// The agent's own cost and health.
pub fn agent_samples(status: &AgentStatus) -> Vec<Sample> {
    let mut out = Vec::new();
    for metric in all() {
        if let Read::Agent(read) = metric.read {
            read(status, &mut Emit { metric, pair: None, out: &mut out });
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
