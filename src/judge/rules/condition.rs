//! A rule's condition: a small closed form over exported samples, judged here and printed as PromQL.

use std::fmt::Write;

use smallvec::SmallVec;

use crate::names::Channel;
use crate::snapshot::{ByMetric, Sample};

/// What an alert is about, and so which labels it has besides its name and severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// One channel of a pair: labels `pair` and a fixed `channel`.
    Channel(Channel),
    /// Each channel of a pair by itself: `pair` and `channel` come from the series.
    EachChannel,
    /// A pair as a whole: `pair` only.
    Pair,
    /// The agent: neither.
    Agent,
}

/// When a rule is met.
#[derive(Clone, Copy, Debug)]
pub enum Condition {
    /// All of the comparisons hold; the first one's value is the alert's.
    All(&'static [Compare]),
    /// All of the comparisons hold for one and the same standby; the first one's value, folded over such standbys, is the alert's.
    OfOneStandby(&'static [Compare]),
    /// Always.
    Always,
    /// Only Prometheus can tell, by this expression.
    PrometheusOnly(&'static str),
}

/// A metric, folded over all that the alert does not tell apart, compared with a number.
///
/// Folding by `max` is right for each kind of series: of proofs (0 only if nobody proves it), of contradictions (1 if
/// anybody sees it) and of quantities (the worst). Of a time that is left, the worst is the least: what is compared by `Below` is folded
/// by `min`.
#[derive(Clone, Copy, Debug)]
pub struct Compare {
    /// A metric of the catalogue.
    pub metric: &'static str,
    /// Labels that its samples must have.
    pub labels: &'static [(&'static str, &'static str)],
    /// How to compare.
    pub operator: Operator,
    /// With what.
    pub bound: Bound,
}

/// How a value is compared with its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum Operator {
    Equal,
    Above,
    AtLeast,
    Below,
}

impl Operator {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
        }
    }

    #[allow(clippy::float_cmp, reason = "states are exactly 0 or 1")]
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Equal => value == bound,
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
        }
    }

    /// The name of the fold, and the fold of two values.
    const fn fold(self) -> (&'static str, fn(f64, f64) -> f64) {
        match self {
            Self::Equal | Self::Above | Self::AtLeast => ("max", f64::max),
            Self::Below => ("min", f64::min),
        }
    }
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Always the same number.
    Fixed(f64),
    /// The rule's threshold, which a site may set, plus this.
    Threshold {
        /// Added to the threshold.
        plus: f64,
    },
}

impl Bound {
    /// The number. A threshold that the rule does not have is met by nothing.
    pub fn number(self, threshold: Option<f64>) -> f64 {
        match self {
            Self::Fixed(number) => number,
            Self::Threshold { plus } => threshold.map_or(f64::INFINITY, |threshold| threshold + plus),
        }
    }
}

impl Compare {
    /// A 0/1 series that is 1.
    pub const fn holds(metric: &'static str) -> Self {
        Self { metric, labels: &[], operator: Operator::Equal, bound: Bound::Fixed(1.0) }
    }

    /// A 0/1 series that is 0.
    pub const fn holds_not(metric: &'static str) -> Self {
        Self { metric, labels: &[], operator: Operator::Equal, bound: Bound::Fixed(0.0) }
    }

    /// A value above the rule's threshold.
    pub const fn above_threshold(metric: &'static str) -> Self {
        Self { metric, labels: &[], operator: Operator::Above, bound: Bound::Threshold { plus: 0.0 } }
    }

    /// A 0/1 series that is 0 anywhere: what one agent's word is enough for.
    pub const fn holds_not_everywhere(metric: &'static str) -> Self {
        Self { metric, labels: &[], operator: Operator::Below, bound: Bound::Fixed(1.0) }
    }

    /// A time that is left, less than the rule's threshold.
    pub const fn below_threshold(metric: &'static str) -> Self {
        Self { metric, labels: &[], operator: Operator::Below, bound: Bound::Threshold { plus: 0.0 } }
    }

    /// The folded values that meet it, by channel where the alert tells channels apart.
    fn met(&self, about: About, threshold: Option<f64>, samples: &ByMetric<'_>) -> Met {
        let mut folded = Met::default();
        for sample in samples.of(self.metric).filter(|sample| self.selects(sample)) {
            let channel = match about {
                About::EachChannel => sample.label("channel").and_then(Channel::from_text),
                About::Channel(_) | About::Pair | About::Agent => None,
            };
            folded.fold(channel, sample.value, self.operator.fold().1);
        }
        let bound = self.bound.number(threshold);
        folded.0.retain(|(_, value)| self.operator.holds(*value, bound));
        folded
    }

    /// Whether a sample of its metric has the labels that it wants.
    fn selects(&self, sample: &Sample) -> bool {
        self.labels.iter().all(|(label, value)| sample.label(label) == Some(*value))
    }

    /// Whether this one sample of its metric meets it.
    fn is_met_by(&self, sample: &Sample, threshold: Option<f64>) -> bool {
        self.selects(sample) && self.operator.holds(sample.value, self.bound.number(threshold))
    }

    fn promql(&self, about: About, threshold: Option<f64>) -> String {
        let (fold, _) = self.operator.fold();
        let bound = self.bound.number(threshold);
        let by = match about.by() {
            "" => String::new(),
            by => format!(" by ({by})"),
        };
        format!("{fold}{by} ({}) {} {bound}", self.selector(), self.operator.as_str())
    }

    fn selector(&self) -> String {
        let mut selector = self.metric.to_owned();
        if !self.labels.is_empty() {
            let matchers: Vec<_> = self.labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
            let _ = write!(selector, "{{{}}}", matchers.join(","));
        }
        selector
    }
}

/// The alerts whose condition is met, by channel, each with its value. Few rules are met, and most tell no channels apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Met(SmallVec<[(Option<Channel>, f64); 1]>);

impl Met {
    fn one(channel: Option<Channel>, value: f64) -> Self {
        Self(SmallVec::from_buf([(channel, value)]))
    }

    fn fold(&mut self, channel: Option<Channel>, value: f64, fold: fn(f64, f64) -> f64) {
        match self.0.iter_mut().find(|(of, _)| *of == channel) {
            Some((_, worst)) => *worst = fold(value, *worst),
            None => self.0.push((channel, value)),
        }
    }

    /// The value of one channel's alert, if its condition is met.
    pub fn of(&self, channel: Option<Channel>) -> Option<f64> {
        self.0.iter().find(|(of, _)| *of == channel).map(|(_, value)| *value)
    }

    /// The channels whose alert's condition is met.
    pub fn channels(&self) -> impl Iterator<Item = Option<Channel>> + '_ {
        self.0.iter().map(|(channel, _)| *channel)
    }
}

impl Condition {
    /// The alerts whose condition is met by these samples of one pair, by channel, each with its value.
    pub fn met(&self, about: About, threshold: Option<f64>, samples: &ByMetric<'_>) -> Met {
        match self {
            Self::Always => Met::one(None, 1.0),
            Self::PrometheusOnly(_) => Met::default(),
            Self::All(comparisons) => {
                let Some((first, others)) = comparisons.split_first() else { return Met::default() };
                let mut met = first.met(about, threshold, samples);
                for other in others {
                    if met.0.is_empty() {
                        break;
                    }
                    let also = other.met(about, threshold, samples);
                    met.0.retain(|(channel, _)| also.of(*channel).is_some());
                }
                for (channel, _) in &mut met.0 {
                    *channel = about.channel(*channel);
                }
                met
            }
            Self::OfOneStandby(comparisons) => Self::met_by_one(comparisons, threshold, samples)
                .map_or_else(Met::default, |value| Met::one(about.channel(None), value)),
        }
    }

    /// The value of the first comparison, folded over the standbys that meet all of them.
    fn met_by_one(comparisons: &[Compare], threshold: Option<f64>, samples: &ByMetric<'_>) -> Option<f64> {
        let (first, others) = comparisons.split_first()?;
        let meets = |standby: Option<&str>, compare: &Compare| {
            let mut of_metric = samples.of(compare.metric);
            of_metric.any(|sample| sample.label("standby") == standby && compare.is_met_by(sample, threshold))
        };
        let met = samples.of(first.metric).filter(|sample| first.is_met_by(sample, threshold));
        let of_all = met.filter(|sample| others.iter().all(|other| meets(sample.label("standby"), other)));
        of_all.map(|sample| sample.value).reduce(first.operator.fold().1)
    }

    /// The same as PromQL.
    pub fn promql(&self, about: About, threshold: Option<f64>) -> String {
        match self {
            Self::Always => "vector(1)".to_owned(),
            Self::PrometheusOnly(expression) => (*expression).to_owned(),
            Self::All(comparisons) => {
                let each: Vec<_> = comparisons.iter().map(|compare| compare.promql(about, threshold)).collect();
                each.join(" and ")
            }
            Self::OfOneStandby(comparisons) => {
                let each = |compare: &Compare| {
                    let bound = compare.bound.number(threshold);
                    format!("{} {} {bound}", compare.selector(), compare.operator.as_str())
                };
                let joined = comparisons.iter().map(each).collect::<Vec<_>>().join(" and on (pair, standby) ");
                let fold = comparisons.first().map_or("max", |first| first.operator.fold().0);
                format!("{fold} by ({}) ({joined})", about.by())
            }
        }
    }

    /// The metrics that it reads.
    pub fn metrics(&self) -> impl Iterator<Item = &'static str> {
        let comparisons: &[Compare] = match self {
            Self::All(comparisons) | Self::OfOneStandby(comparisons) => comparisons,
            Self::Always | Self::PrometheusOnly(_) => &[],
        };
        comparisons.iter().map(|compare| compare.metric)
    }
}

impl About {
    /// The labels that an alert's series keep.
    const fn by(self) -> &'static str {
        match self {
            Self::EachChannel => "pair, channel",
            Self::Channel(_) | Self::Pair => "pair",
            Self::Agent => "",
        }
    }

    /// The alert's channel, given the one that its series had.
    const fn channel(self, of_series: Option<Channel>) -> Option<Channel> {
        match self {
            Self::Channel(channel) => Some(channel),
            Self::EachChannel => of_series,
            Self::Pair | Self::Agent => None,
        }
    }
}
