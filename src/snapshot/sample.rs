//! One exported number. Hundreds are made with each reading, so making one takes no memory of its own: words are fixed, names shared.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::names::Name;

/// One exported number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's full name, as in the catalogue.
    pub metric: &'static str,
    /// Labels in the order of the catalogue.
    pub labels: Labels,
    /// Its value; never NaN.
    pub value: f64,
}

/// As many as any metric of the catalogue has lie in the sample itself.
pub type Labels = SmallVec<[Label; 3]>;

/// Name and value of a label.
pub type Label = (&'static str, LabelValue);

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| value.as_str())
    }
}

/// What a label says.
#[derive(Clone)]
pub enum LabelValue {
    /// A word of the program.
    Word(&'static str),
    /// A word of the configuration, which all samples share.
    Name(Name),
}

impl LabelValue {
    /// The text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Name(name) => name.as_str(),
        }
    }
}

impl Deref for LabelValue {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl PartialEq for LabelValue {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for LabelValue {}

impl From<&'static str> for LabelValue {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<&Name> for LabelValue {
    fn from(name: &Name) -> Self {
        Self::Name(name.clone())
    }
}

impl From<String> for LabelValue {
    fn from(text: String) -> Self {
        Self::Name(Name::new(&text))
    }
}

/// Samples by the name of their metric, each metric's in the order in which they came. Whoever looks for many metrics among many samples looks here.
#[derive(Debug)]
pub struct ByMetric<'a> {
    samples: Vec<Entry<'a>>,
    ends: HashMap<&'static str, (usize, usize)>,
}

#[derive(Debug)]
struct Entry<'a> {
    sample: &'a Sample,
    next: Option<usize>,
}

impl<'a> ByMetric<'a> {
    /// Sorts them in.
    pub fn new(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let samples = samples.into_iter();
        let mut all: Vec<Entry<'a>> = Vec::with_capacity(samples.size_hint().0);
        let mut ends: HashMap<&'static str, (usize, usize)> = HashMap::with_capacity(128);
        // Mostly a metric's samples stand side by side: then its name needs to be looked up only once.
        let mut open: Option<(&'static str, usize, usize)> = None;
        for (at, sample) in samples.enumerate() {
            all.push(Entry { sample, next: None });
            match &mut open {
                Some((metric, _, last)) if *metric == sample.metric => {
                    all[*last].next = Some(at);
                    *last = at;
                }
                _ => {
                    if let Some((metric, first, last)) = open {
                        ends.insert(metric, (first, last));
                    }
                    let first = match ends.get(sample.metric) {
                        Some((first, last)) => {
                            all[*last].next = Some(at);
                            *first
                        }
                        None => at,
                    };
                    open = Some((sample.metric, first, at));
                }
            }
        }
        if let Some((metric, first, last)) = open {
            ends.insert(metric, (first, last));
        }
        Self { samples: all, ends }
    }

    /// The samples of one metric.
    pub fn of(&self, metric: &str) -> impl Iterator<Item = &'a Sample> + Clone {
        let first = self.ends.get(metric).map(|(first, _)| *first);
        std::iter::successors(first, |at| self.samples[*at].next).map(|at| self.samples[at].sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_metric_wherever_they_stand() {
        let sample = |metric, value| Sample { metric, labels: Labels::new(), value };
        let all = [("a", 1.0), ("a", 2.0), ("b", 3.0), ("a", 4.0), ("c", 5.0), ("b", 6.0)].map(|(m, v)| sample(m, v));
        let sorted = ByMetric::new(&all);
        let of = |metric| sorted.of(metric).map(|sample| sample.value).collect::<Vec<_>>();
        assert_eq!((of("a"), of("b"), of("c")), (vec![1.0, 2.0, 4.0], vec![3.0, 6.0], vec![5.0]));
        assert!(of("d").is_empty());
        assert_eq!(ByMetric::new(&[]).of("a").count(), 0);
    }
}
