//! What is remembered of the primary's search indices, as each agent keeps it and tells it to the other: whoever is left after the
//! loss of a machine must know it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::names::Name;

/// How old something is, at least: older perhaps than this machine's boot, and seen perhaps by another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    seen: Moment,
    age: Duration,
}

impl Age {
    /// New at `seen`.
    pub const fn new(seen: Moment) -> Self {
        Self { seen, age: Duration::ZERO }
    }

    /// So many seconds old in an answer whose request left at `asked`; `None` for a number that is no age.
    pub fn told(asked: Moment, seconds: f64) -> Option<Self> {
        Duration::try_from_secs_f64(seconds).ok().map(|age| Self { seen: asked, age })
    }

    /// At `now`.
    pub fn at(self, now: Moment) -> Duration {
        self.age.saturating_add(now.since(self.seen))
    }

    /// By how much it is younger than the other; 0 if it is not.
    pub fn younger_by(self, other: Self) -> Duration {
        let both = self.seen.max(other.seen);
        other.at(both).saturating_sub(self.at(both))
    }

    /// After a time of unknown length, e.g. another boot: `then` was the last moment that counts, `now` is the first of the new count.
    #[must_use]
    pub fn carried(self, then: Moment, now: Moment) -> Self {
        Self { seen: now, age: self.at(then) }
    }

    /// False for what cannot have been seen at or before `now`.
    pub fn is_sound(self, now: Moment) -> bool {
        self.seen <= now
    }
}

/// All that is remembered. `A` is how ages are told: [`Age`] in an agent, seconds, as far as they are told, on the way to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "A: Deserialize<'de> + Default"))]
pub struct SearchMemory<A> {
    /// By configured name.
    pub indices: BTreeMap<String, IndexMemory<A>>,
    /// Of the last rebuild that was watched.
    pub rate: Option<RateMemory<A>>,
}

/// What an index of the primary held while it was whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexMemory<A> {
    /// The primary of then.
    pub node: Name,
    /// What stood behind its name.
    pub uuids: Vec<String>,
    /// How many documents.
    pub documents: u64,
    /// When a reading showed that last.
    #[serde(default)]
    pub seen: A,
    /// From when on its counts were followed without a gap.
    #[serde(default)]
    pub since: A,
}

/// How fast a rebuild went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateMemory<A> {
    /// Written in a second.
    pub documents_per_second: f64,
    /// When that was seen last.
    #[serde(default)]
    pub seen: A,
}

impl<A> Default for SearchMemory<A> {
    fn default() -> Self {
        Self { indices: BTreeMap::new(), rate: None }
    }
}

impl<A: Copy> SearchMemory<A> {
    /// With each age told another way. What has an age that cannot be told is left out.
    pub fn with_ages<B>(&self, age: impl Fn(A) -> Option<B>) -> SearchMemory<B> {
        let index = |(name, index): (&String, &IndexMemory<A>)| {
            let IndexMemory { node, uuids, documents, .. } = index.clone();
            let (seen, since) = (age(index.seen)?, age(index.since)?);
            Some((name.clone(), IndexMemory { node, uuids, documents, seen, since }))
        };
        let rate = self.rate.filter(|rate| rate.documents_per_second.is_finite() && rate.documents_per_second > 0.0);
        let rate = rate.and_then(|rate| {
            Some(RateMemory { documents_per_second: rate.documents_per_second, seen: age(rate.seen)? })
        });
        SearchMemory { indices: self.indices.iter().filter_map(index).collect(), rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn an_age_goes_on_over_boots_and_machines() {
        let age = Age::new(at(100));
        assert_eq!(age.at(at(160)), Duration::from_secs(60));
        let carried = age.carried(at(160), at(5));
        assert_eq!(carried.at(at(15)), Duration::from_secs(70), "time that nobody counted is left out");
        let told = Age::told(at(10), 65.0).unwrap();
        assert_eq!((carried.younger_by(told), told.younger_by(carried)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(Age::new(at(12)).younger_by(told), Duration::from_secs(67));
        assert_eq!([-1.0, f64::NAN, 1e300].map(|seconds| Age::told(at(10), seconds)), [None; 3]);
    }

    #[test]
    fn what_has_no_sound_number_is_left_out() {
        let index = |seen| IndexMemory { node: Name::new("alpha"), uuids: Vec::new(), documents: 7, seen, since: 9.0 };
        let told = SearchMemory {
            indices: BTreeMap::from([("right".to_owned(), index(3.0)), ("wrong".to_owned(), index(-3.0))]),
            rate: Some(RateMemory { documents_per_second: 0.0, seen: 1.0 }),
        };
        let read = told.with_ages(|seconds| Age::told(at(10), seconds));
        assert_eq!(read.indices.keys().collect::<Vec<_>>(), ["right"]);
        assert_eq!(read.rate, None, "at no documents per second it would take for ever");
    }
}
