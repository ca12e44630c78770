//! What is written into the indices of one engine, from its counters: they begin again at 0 with the engine, and with each new index.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::uuids;
use crate::clock::Moment;
use crate::facts::{IndexFacts, SearchFacts};
use crate::trend::theil_sen;

/// Points of the rate's window.
const POINTS: u32 = 60;
/// After this long without a write all that was written can be found, whatever the engine's usual refresh interval is.
const SETTLED: Duration = Duration::from_secs(30);

/// One engine's indices.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeWritten {
    indices: BTreeMap<String, IndexWritten>,
    points: VecDeque<(Moment, u64)>,
    /// The first reading, the newest, and the newest that had more than the one before.
    first: Option<Moment>,
    looked: Option<Moment>,
    risen: Option<Moment>,
    window: Duration,
}

/// One index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IndexWritten {
    /// Another one behind the same name is another index.
    uuids: Vec<String>,
    /// The engine's counter.
    counter: Option<u64>,
    /// Written since this agent looks.
    sum: u64,
    /// Documents that it was known to hold, and what had been written then.
    base: Option<(u64, u64)>,
    /// The count that was looked at last, and the engine's counter when it was made.
    counted: Option<(u64, Option<u64>)>,
    /// It was seen to be missing or made anew: what had been written then.
    renewed: Option<u64>,
}

/// How fast a rebuild goes, in documents per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Over the last minutes.
    pub recent: Option<f64>,
    /// Since it began.
    pub whole: Option<f64>,
}

impl NodeWritten {
    /// Nothing seen yet.
    pub const fn new(window: Duration) -> Self {
        Self { indices: BTreeMap::new(), points: VecDeque::new(), first: None, looked: None, risen: None, window }
    }

    /// With what was saved of its indices.
    pub(super) fn restored(window: Duration, indices: BTreeMap<String, IndexWritten>) -> Self {
        Self { indices, points: VecDeque::new(), first: None, looked: None, risen: None, window }
    }

    pub(super) const fn indices(&self) -> &BTreeMap<String, IndexWritten> {
        &self.indices
    }

    pub(super) fn record(&mut self, facts: &SearchFacts, asked: Moment) {
        let before = self.sum();
        let settled = self.still_since().is_some_and(|since| asked.since(since) >= SETTLED);
        for index in &facts.indices {
            self.indices.entry(index.name.clone()).or_default().record(index, settled);
        }
        self.first.get_or_insert(asked);
        self.looked = Some(asked);
        if self.sum() > before {
            self.risen = Some(asked);
        }
        let pause = self.window / POINTS;
        if self.points.back().is_none_or(|(at, _)| asked.since(*at) >= pause) {
            self.points.push_back((asked, self.sum()));
            while self.points.len() > POINTS as usize
                || self.points.front().is_some_and(|(at, _)| asked.since(*at) > self.window)
            {
                self.points.pop_front();
            }
        }
    }

    /// Documents written since this agent looks.
    pub fn sum(&self) -> u64 {
        all(self.indices.values().map(|index| index.sum))
    }

    /// Documents that the index holds by its last count and what was written since; `None` where it was never counted.
    pub fn documents(&self, index: &str) -> Option<u64> {
        let index = self.indices.get(index)?;
        let (documents, at) = index.base?;
        Some(documents.saturating_add(index.sum.checked_sub(at)?))
    }

    /// The index was seen to be missing, or is another one than before.
    pub fn renewed(&self, index: &str) -> bool {
        self.indices.get(index).is_some_and(|index| index.renewed.is_some())
    }

    /// What had been written when the first of its indices was seen to be made anew.
    pub(super) fn renewed_at(&self) -> Option<u64> {
        let renewed = all(self.indices.values().map(|index| index.renewed.unwrap_or(index.sum)));
        self.indices.values().any(|index| index.renewed.is_some()).then_some(renewed)
    }

    pub(super) fn uuids(&self, index: &str) -> Vec<String> {
        // a default is right: of indices that are not known none is the same.
        self.indices.get(index).map(|index| index.uuids.clone()).unwrap_or_default()
    }

    /// When something was last seen to be written.
    pub const fn risen(&self) -> Option<Moment> {
        self.risen
    }

    /// Since when nothing has been written, as far as that was seen.
    pub fn still_since(&self) -> Option<Moment> {
        self.risen.or(self.first)
    }

    /// For how long nothing has been written, as the newest reading proves it: what came after that, nobody has seen.
    pub fn still_for(&self) -> Option<Duration> {
        self.looked.zip(self.still_since()).map(|(looked, since)| looked.since(since))
    }

    /// Its indices are whole: what made them anew is over.
    pub(super) fn is_whole(&mut self) {
        self.indices.values_mut().for_each(|index| index.renewed = None);
    }

    /// The rates of a rebuild that began then, with what had been written.
    pub fn rates(&self, began: (Moment, u64)) -> Rates {
        let points = self.points.iter().filter(|(at, _)| *at >= began.0);
        #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
        let points: Vec<_> = points.map(|(at, sum)| (at.since(began.0).as_secs_f64(), *sum as f64)).collect();
        Rates { recent: theil_sen(&points).map(|slope| slope.median), whole: self.whole_rate(Some(began)) }
    }

    /// Documents per second from the beginning to the last time that something was written.
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub(super) fn whole_rate(&self, began: Option<(Moment, u64)>) -> Option<f64> {
        let (at, sum) = began?;
        let took = self.risen?.since(at).as_secs_f64();
        let written = self.sum().saturating_sub(sum) as f64;
        (took > 0.0 && written > 0.0).then(|| written / took)
    }

    pub(super) fn forget_moments(&mut self) {
        (self.first, self.looked, self.risen) = (None, None, None);
        self.points.clear();
    }
}

/// Of all indices together. An engine that counts beyond all measure is no reason to begin at 0 again.
fn all(each: impl Iterator<Item = u64>) -> u64 {
    each.fold(0, u64::saturating_add)
}

impl IndexWritten {
    /// `settled`: nothing was written lately, as far as the readings before this one tell.
    fn record(&mut self, index: &IndexFacts, settled: bool) {
        match index.exists {
            Some(false) => {
                // The next one of this name begins at 0.
                self.uuids.clear();
                (self.counter, self.counted) = (Some(0), None);
                self.is_new();
                return;
            }
            Some(true) => {}
            None => return,
        }
        let uuids = uuids(index);
        if !self.uuids.is_empty() && !uuids.is_empty() && !uuids.iter().any(|uuid| self.uuids.contains(uuid)) {
            (self.counter, self.counted) = (Some(0), None);
            self.is_new();
        }
        if !uuids.is_empty() {
            self.uuids = uuids;
        }
        let before = self.sum;
        if let Some(indexed) = index.indexed {
            let more = match self.counter {
                Some(before) if indexed >= before => indexed - before,
                // The engine was started anew and counts from 0.
                Some(_) => indexed,
                // Written before this agent looked.
                None => 0,
            };
            self.sum = self.sum.saturating_add(more);
            self.counter = Some(indexed);
        }
        let Some(documents) = index.documents else { return };
        if self.counted == Some((documents, index.indexed_when_counted)) {
            return;
        }
        self.counted = Some((documents, index.indexed_when_counted));
        // A count tells what can be found by now: of an index that is being filled that is less than what was written.
        let written = |(counted, at): (u64, u64)| Some(counted.saturating_add(self.sum.checked_sub(at)?));
        let estimate = self.base.and_then(written).filter(|_| self.renewed.is_some());
        if estimate.is_some_and(|estimate| documents < estimate) && !(settled && self.sum == before) {
            return;
        }
        // Without both totals only what is seen to be written from here on comes on top of the count.
        let since = index.indexed.zip(index.indexed_when_counted).map_or(0, |(now, then)| now.saturating_sub(then)); // a default is right: see above
        self.base = Some((documents, self.sum.saturating_sub(since)));
    }

    fn is_new(&mut self) {
        self.base = Some((0, self.sum));
        self.renewed = Some(self.sum);
    }
}
