//! How often a channel has changed between proven and not proven.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;
use crate::names::Channel;

/// Changes are counted over this time.
const WINDOW: Duration = Duration::from_mins(15);
/// A state that lasts for less than this is no change.
const LASTING: Duration = Duration::from_secs(5);
/// More than these are not remembered; a lasting change each five seconds would make 180.
const MOST: usize = 200;

/// The states of one channel.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ups {
    /// The last state that lasted.
    settled: Option<bool>,
    /// The present state and since when.
    present: Option<(bool, Moment)>,
    /// When the counted changes began.
    changes: VecDeque<Moment>,
}

impl Ups {
    fn take(&mut self, up: bool, now: Moment) {
        self.settle(now);
        if self.present.is_none_or(|(present, _)| present != up) {
            self.present = Some((up, now));
        }
        while self.changes.front().is_some_and(|change| now.since(*change) > WINDOW) || self.changes.len() > MOST {
            self.changes.pop_front();
        }
    }

    /// What the present state has lasted until now counts, whatever comes after it. The first state of all is no change.
    fn settle(&mut self, now: Moment) {
        let Some((present, since)) = self.present else { return };
        if self.settled != Some(present) && now.since(since) >= LASTING {
            if self.settled.is_some() {
                self.changes.push_back(since);
            }
            self.settled = Some(present);
        }
    }

    fn next_change(&self) -> Option<Moment> {
        let lasts = self.present.filter(|(present, _)| self.settled.is_some_and(|settled| settled != *present));
        let falls_out = self.changes.front().map(|change| *change + WINDOW + Duration::from_millis(1));
        lasts.map(|(_, since)| since + LASTING).into_iter().chain(falls_out).min()
    }
}

/// Of each channel that says whether it is up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlapHistory {
    channels: BTreeMap<Channel, Ups>,
}

impl FlapHistory {
    /// The channel is up or not from `now` on.
    pub fn record(&mut self, channel: Channel, up: bool, now: Moment) {
        self.channels.entry(channel).or_default().take(up, now);
    }

    /// How many lasting changes the last quarter of an hour had if the channel is `up` (or not) now, and when that changes by itself.
    pub fn changes(&self, channel: Channel, up: bool, now: Moment) -> (usize, Option<Moment>) {
        // a default is right: a channel of which nothing is remembered has not changed.
        let mut ups = self.channels.get(&channel).cloned().unwrap_or_default();
        ups.take(up, now);
        (ups.changes.len(), ups.next_change())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Channel = Channel::Postgres;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    /// States and how long each lasts; told each second.
    fn history(states: &[(bool, u64)]) -> (FlapHistory, u64) {
        let mut history = FlapHistory::default();
        let mut now = 0;
        for (up, lasts) in states {
            for _ in 0..*lasts {
                history.record(CHANNEL, *up, at(now));
                now += 1;
            }
        }
        (history, now)
    }

    fn changes(states: &[(bool, u64)]) -> usize {
        let (history, now) = history(states);
        history.changes(CHANNEL, states.last().is_none_or(|(up, _)| *up), at(now)).0
    }

    #[test]
    fn each_change_that_lasts_counts_once() {
        assert_eq!(changes(&[(true, 60)]), 0);
        assert_eq!(changes(&[(true, 60), (false, 10)]), 1);
        assert_eq!(changes(&[(true, 60), (false, 10), (true, 10), (false, 10), (true, 10)]), 4);
        assert_eq!(changes(&[(true, 60), (false, 3)]), 0, "has not lasted yet");
    }

    #[test]
    fn what_lasts_less_than_five_seconds_is_no_change() {
        let blips = [(true, 20), (false, 4)].repeat(10);
        assert_eq!(changes(&blips), 0);
        assert_eq!(changes(&[(false, 3), (true, 60)]), 0, "an agent's first look is no change");
    }

    #[test]
    fn a_state_counts_also_if_nobody_looked_while_it_came_to_last() {
        let mut history = FlapHistory::default();
        for (seconds, up) in [(0, true), (10, false), (16, true), (30, false), (36, true)] {
            history.record(CHANNEL, up, at(seconds));
        }
        assert_eq!(history.changes(CHANNEL, true, at(40)).0, 3);
        assert_eq!(history.changes(CHANNEL, true, at(41)).0, 4);
    }

    #[test]
    fn it_passes_after_a_quarter_of_an_hour_and_the_next_moment_is_told() {
        let (history, now) = history(&[(true, 60), (false, 10)]);
        let (count, next) = history.changes(CHANNEL, false, at(now));
        assert_eq!((count, next), (1, Some(at(960) + Duration::from_millis(1))));
        assert_eq!(history.changes(CHANNEL, false, at(960)).0, 1, "a quarter of an hour to the second");
        assert_eq!(history.changes(CHANNEL, false, at(961)).0, 0);
        assert_eq!(history.changes(CHANNEL, true, at(now)).1, Some(at(now + 5)), "when the new state will have lasted");
    }

    #[test]
    fn memory_is_bounded() {
        let (history, _) = history(&[(true, 5), (false, 5)].repeat(500));
        assert!(history.channels[&CHANNEL].changes.len() <= MOST);
    }
}
