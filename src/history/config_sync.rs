//! What is remembered of the configuration's synchronisation: when each node's copy was last known to be good.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::facts::{ConfigFacts, Reading};
use crate::names::Name;

/// The memory of one pair's synchronisation. For words to people only: no number is ever shown from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigHistory {
    last_good: BTreeMap<Name, Moment>,
}

impl ConfigHistory {
    /// Takes in one reading of `node`.
    pub fn record(&mut self, node: &Name, reading: &Reading<ConfigFacts>) {
        if let Some(age) = reading.facts().and_then(proven_age) {
            self.last_good.insert(node.clone(), reading.asked.back(age));
        }
    }

    /// When the last run that is known to be good on `node` began.
    pub fn last_good(&self, node: &Name) -> Option<Moment> {
        self.last_good.get(node).copied()
    }
}

/// A time stamp may lie so far ahead of the clock beside it.
pub const FUTURE_TOLERANCE: Duration = Duration::from_secs(2);

/// The age of the last good run by the best evidence in these facts, as of their reading; `None` where it cannot be known.
pub fn proven_age(facts: &ConfigFacts) -> Option<Duration> {
    let by_wrapper = facts.wrapper.and_then(|wrapper| wrapper.last_good_started_ago);
    [by_wrapper, timestamp_age(facts)].into_iter().flatten().min()
}

/// A source gives a time that lies in the future.
pub fn from_the_future(facts: &ConfigFacts) -> bool {
    let by_wrapper = facts.wrapper.is_some_and(|wrapper| wrapper.last_good_in_future);
    by_wrapper || (facts.timestamp.is_some() && timestamp_age(facts).is_none())
}

fn timestamp_age(facts: &ConfigFacts) -> Option<Duration> {
    let timestamp = facts.timestamp?;
    let seconds = timestamp.read_at.0 - timestamp.written.0;
    let known = seconds >= -FUTURE_TOLERANCE.as_secs_f64();
    known.then(|| Duration::try_from_secs_f64(seconds.max(0.0)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;
    use crate::facts::{Timestamp, WrapperFacts};

    fn stamped(seconds_ago: f64) -> ConfigFacts {
        let timestamp = Timestamp { written: WallTime(1000.0 - seconds_ago), read_at: WallTime(1000.0) };
        ConfigFacts { timestamp: Some(timestamp), wrapper: None }
    }

    #[test]
    fn the_future_is_unknown_and_not_fresh() {
        assert_eq!(proven_age(&stamped(30.0)), Some(Duration::from_secs(30)));
        assert_eq!(proven_age(&stamped(-1.5)), Some(Duration::ZERO));
        assert_eq!((proven_age(&stamped(-2.5)), from_the_future(&stamped(-2.5))), (None, true));
        assert_eq!(proven_age(&ConfigFacts::default()), None);
        assert!(!from_the_future(&ConfigFacts::default()));
    }

    #[test]
    fn the_youngest_proof_counts() {
        let wrapper = WrapperFacts { last_good_started_ago: Some(Duration::from_secs(20)), ..WrapperFacts::default() };
        let both = ConfigFacts { wrapper: Some(wrapper), ..stamped(300.0) };
        assert_eq!(proven_age(&both), Some(Duration::from_secs(20)));
        let both = ConfigFacts { wrapper: Some(wrapper), ..stamped(-300.0) };
        assert_eq!((proven_age(&both), from_the_future(&both)), (Some(Duration::from_secs(20)), true));
    }
}
