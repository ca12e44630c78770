//! What is remembered of the configuration's synchronisation: when each node's copy was last known to be good.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::facts::{Beacon, BeaconClocks, BeaconFacts, ConfigFacts, Reading};
use crate::names::{Name, Reason};

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

/// The age of the last good run by the best evidence in these facts, as of their reading; `None` where it cannot be known. `beacon`
/// is the age that a beacon tells, see [`beacon_age`].
pub fn proven_age(facts: &ConfigFacts, beacon: Option<Duration>) -> Option<Duration> {
    let by_wrapper = facts.wrapper.and_then(|wrapper| wrapper.last_good_started_ago);
    [by_wrapper, timestamp_age(facts), beacon].into_iter().flatten().min()
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
    /// The clocks of the node that wrote it are not known: why.
    NoClock(Reason, String),
}

impl BeaconAge {
    /// The age, where it is known.
    pub const fn known(&self) -> Option<Duration> {
        match self {
            Self::Known(age) => Some(*age),
            _ => None,
        }
    }
}

/// The wall clock may move by so much against boot time without having been set.
const STEP: f64 = 5.0;

/// The age, as of the reading that was asked for at `asked`, by the beacon in it, which must be `primary`'s. It is told on one machine's
/// clocks: those of the one that wrote it.
pub fn beacon_age(facts: &ConfigFacts, primary: &Name, asked: Moment, clocks: &BeaconClocks) -> BeaconAge {
    let Some(BeaconFacts { beacon: Beacon { node, written }, read_at }) = &facts.beacon else { return BeaconAge::None };
    if node != primary {
        return BeaconAge::OfAnotherNode(node.clone());
    }
    // What that machine's clocks showed, and by how much later than that the age is told.
    let (there, later) = match clocks {
        BeaconClocks::Readers => (read_at, 0.0),
        BeaconClocks::Writers(clocks) => match clocks.get(node) {
            None => {
                return BeaconAge::NoClock(
                    Reason::NotSeenYet,
                    format!("{node} has no agent that tells what time it is"),
                );
            }
            Some(Err((reason, why))) => return BeaconAge::NoClock(*reason, why.clone()),
            // Asked for before or after the file was read. Boot time goes at the same pace on both machines.
            Some(Ok(clock)) => (&clock.time, signed(asked, clock.asked)),
        },
    };
    if written.boot.is_none() || written.boot != there.boot {
        return BeaconAge::OfAnotherClock;
    }
    let by_boot = signed(there.moment, written.moment);
    let by_wall = there.wall.0 - written.wall.0;
    let age = by_boot + later;
    // One that is written while it is being read may be a little younger than the question.
    if (by_wall - by_boot).abs() > STEP || age < -STEP {
        return BeaconAge::Stepped;
    }
    Duration::try_from_secs_f64(age.max(0.0)).map_or(BeaconAge::Stepped, BeaconAge::Known)
}

/// Seconds from `earlier` to `later`.
fn signed(later: Moment, earlier: Moment) -> f64 {
    later.since(earlier).as_secs_f64() - earlier.since(later).as_secs_f64()
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
mod tests;
