//! What is remembered of the configuration's synchronisation: when each node's copy was last known to be good.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::facts::{Beacon, BeaconFacts, ConfigFacts, Reading};
use crate::names::Name;

/// The memory of one pair's synchronisation. For words to people only: no number is ever shown from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigHistory {
    last_good: BTreeMap<Name, Moment>,
    /// Why a node's beacon could not be written the last time.
    beacon_trouble: BTreeMap<Name, String>,
}

impl ConfigHistory {
    /// Takes in one reading of `node`.
    pub fn record(&mut self, node: &Name, reading: &Reading<ConfigFacts>) {
        if let Some(age) = reading.facts().and_then(|facts| proven_age(facts, None)) {
            self.last_good.insert(node.clone(), reading.asked.back(age));
        }
    }

    /// Takes in how writing `node`'s beacon went: the trouble, if there was any.
    pub fn record_beacon(&mut self, node: &Name, trouble: Option<String>) {
        match trouble {
            Some(trouble) => drop(self.beacon_trouble.insert(node.clone(), trouble)),
            None => drop(self.beacon_trouble.remove(node)),
        }
    }

    /// Why `node`'s beacon cannot be written.
    pub fn beacon_trouble(&self, node: &Name) -> Option<&str> {
        self.beacon_trouble.get(node).map(String::as_str)
    }

    /// When the last run that is known to be good on `node` began.
    pub fn last_good(&self, node: &Name) -> Option<Moment> {
        self.last_good.get(node).copied()
    }
}

/// A time stamp may lie so far ahead of the clock beside it.
pub const FUTURE_TOLERANCE: Duration = Duration::from_secs(2);

/// The age of the last good run by the best evidence in these facts, as of their reading; `None` where it cannot be known. A beacon
/// counts only as one of `primary`.
pub fn proven_age(facts: &ConfigFacts, primary: Option<&Name>) -> Option<Duration> {
    let by_wrapper = facts.wrapper.and_then(|wrapper| wrapper.last_good_started_ago);
    let by_beacon = match primary.map(|primary| beacon_age(facts, primary)) {
        Some(BeaconAge::Known(age)) => Some(age),
        _ => None,
    };
    [by_wrapper, timestamp_age(facts), by_beacon].into_iter().flatten().min()
}

/// What the beacon in a node's tree tells of its copy's age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeaconAge {
    /// None lies there.
    None,
    /// It was written so long ago.
    Known(Duration),
    /// The clock was set in between.
    Stepped,
    /// Written by the clock of another machine, or of this one before it was restarted: the two are never subtracted.
    OfAnotherClock,
    /// Of a node that is not the primary: it came along before a failover.
    OfAnotherNode(Name),
}

/// The wall clock may move by so much against boot time without having been set.
const STEP: f64 = 5.0;

/// The age by the beacon, which must be `primary`'s.
pub fn beacon_age(facts: &ConfigFacts, primary: &Name) -> BeaconAge {
    let Some(BeaconFacts { beacon: Beacon { node, written }, read_at }) = &facts.beacon else { return BeaconAge::None };
    if node != primary {
        return BeaconAge::OfAnotherNode(node.clone());
    }
    if written.boot.is_none() || written.boot != read_at.boot {
        return BeaconAge::OfAnotherClock;
    }
    let passed = read_at.moment.since(written.moment);
    let by_wall = read_at.wall.0 - written.wall.0;
    let stepped = written.moment > read_at.moment || (by_wall - passed.as_secs_f64()).abs() > STEP;
    if stepped { BeaconAge::Stepped } else { BeaconAge::Known(passed) }
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
    use crate::clock::{BootId, WallTime};
    use crate::facts::{BeaconTime, Timestamp, WrapperFacts};

    fn stamped(seconds_ago: f64) -> ConfigFacts {
        let timestamp = Timestamp { written: WallTime(1000.0 - seconds_ago), read_at: WallTime(1000.0) };
        ConfigFacts { timestamp: Some(timestamp), ..ConfigFacts::default() }
    }

    #[test]
    fn the_future_is_unknown_and_not_fresh() {
        assert_eq!(proven_age(&stamped(30.0), None), Some(Duration::from_secs(30)));
        assert_eq!(proven_age(&stamped(-1.5), None), Some(Duration::ZERO));
        assert_eq!((proven_age(&stamped(-2.5), None), from_the_future(&stamped(-2.5))), (None, true));
        assert_eq!(proven_age(&ConfigFacts::default(), None), None);
        assert!(!from_the_future(&ConfigFacts::default()));
    }

    #[test]
    fn the_youngest_proof_counts() {
        let wrapper = WrapperFacts { last_good_started_ago: Some(Duration::from_secs(20)), ..WrapperFacts::default() };
        let both = ConfigFacts { wrapper: Some(wrapper), ..stamped(300.0) };
        assert_eq!(proven_age(&both, None), Some(Duration::from_secs(20)));
        let both = ConfigFacts { wrapper: Some(wrapper), ..stamped(-300.0) };
        assert_eq!((proven_age(&both, None), from_the_future(&both)), (Some(Duration::from_secs(20)), true));
    }

    fn beaconed(node: &str, written: (&str, u64, f64), read: (&str, u64, f64)) -> ConfigFacts {
        let time = |(boot, moment, wall): (&str, u64, f64)| BeaconTime {
            boot: Some(BootId(boot.to_owned())),
            moment: Moment::after_boot(Duration::from_secs(moment)),
            wall: WallTime(wall),
        };
        let beacon = Beacon { node: Name::new(node), written: time(written) };
        ConfigFacts { beacon: Some(BeaconFacts { beacon, read_at: time(read) }), ..ConfigFacts::default() }
    }

    #[test]
    fn a_beacon_counts_on_its_own_clock_and_as_the_primarys_only() {
        let alpha = Name::new("alpha");
        let age = |facts: &ConfigFacts| beacon_age(facts, &alpha);
        let good = beaconed("alpha", ("a", 100, 5000.0), ("a", 130, 5030.0));
        assert_eq!(age(&good), BeaconAge::Known(Duration::from_secs(30)));
        assert_eq!(proven_age(&good, Some(&alpha)), Some(Duration::from_secs(30)));
        assert_eq!(
            age(&beaconed("beta", ("a", 100, 5000.0), ("a", 130, 5030.0))),
            BeaconAge::OfAnotherNode(Name::new("beta"))
        );
        assert_eq!(age(&beaconed("alpha", ("b", 100, 5000.0), ("a", 130, 5030.0))), BeaconAge::OfAnotherClock);
        let stepped = [(130, 5030.0 + 86_400.0), (130, 5030.0 - 3600.0), (90, 4990.0)];
        for (moment, wall) in stepped {
            assert_eq!(age(&beaconed("alpha", ("a", 100, 5000.0), ("a", moment, wall))), BeaconAge::Stepped, "{wall}");
        }
        let ahead = beaconed("alpha", ("a", 100, 5000.0 + 86_400.0), ("a", 130, 5030.0));
        assert_eq!((age(&ahead), proven_age(&ahead, Some(&alpha))), (BeaconAge::Stepped, None), "a day ahead");
        assert_eq!(age(&ConfigFacts::default()), BeaconAge::None);
    }
}
