//! How fast a replication slot uses up the room that it has.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::units::Lsn;

/// Entries of one window.
const ENTRIES: u32 = 60;

/// Where the primary's WAL and the slot's oldest kept WAL stood at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    at: Moment,
    wal: Lsn,
    restart: Lsn,
}

impl Entry {
    fn retained(self) -> f64 {
        self.wal.bytes_after(self.restart).as_f64()
    }
}

/// One slot of the present primary: since when it is known, and how the WAL that it keeps has grown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotRoom {
    /// The slot was there at this moment, at the latest.
    pub first_seen: Moment,
    entries: VecDeque<Entry>,
    newest: Option<Entry>,
}

impl SlotRoom {
    /// A slot that is seen for the first time.
    pub const fn new(at: Moment) -> Self {
        Self { first_seen: at, entries: VecDeque::new(), newest: None }
    }

    /// Remembers both positions. Keeps about [`ENTRIES`] of them over `window`, and one that is older than it.
    pub fn push(&mut self, window: Duration, at: Moment, wal: Lsn, restart: Lsn) {
        if self.newest.is_some_and(|newest| wal < newest.wal || at < newest.at) {
            // Another history of the primary: nothing from before can be compared.
            self.entries.clear();
        }
        let entry = Entry { at, wal, restart };
        self.newest = Some(entry);
        if self.entries.back().is_none_or(|last| at.since(last.at) >= window / ENTRIES) {
            self.entries.push_back(entry);
        }
        while self.entries.get(1).is_some_and(|second| at.since(second.at) >= window) {
            self.entries.pop_front();
        }
    }

    /// Bytes per second by which the kept WAL grows: the rate of the primary's WAL less that of the slot's oldest WAL, over `window`
    /// or more. `None` while less than that is known.
    pub fn net_rate(&self, window: Duration) -> Option<f64> {
        let (oldest, newest) = (self.entries.front()?, self.newest?);
        let span = newest.at.since(oldest.at);
        (span >= window).then(|| (newest.retained() - oldest.retained()) / span.as_secs_f64())
    }

    /// False for what cannot have been saved by an agent at or before `now`.
    pub fn is_sound(&self, now: Moment) -> bool {
        self.first_seen <= now && self.newest.iter().chain(&self.entries).all(|entry| entry.at <= now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn room(seconds: u64, wal: impl Fn(u64) -> u64, restart: impl Fn(u64) -> u64) -> SlotRoom {
        let mut room = SlotRoom::new(at(0));
        for second in 0..=seconds {
            room.push(WINDOW, at(second), Lsn(wal(second)), Lsn(restart(second)));
        }
        room
    }

    #[test]
    fn nothing_is_told_before_a_whole_window() {
        assert_eq!(room(599, |s| 1000 * s, |_| 0).net_rate(WINDOW), None);
        assert_eq!(room(600, |s| 1000 * s, |_| 0).net_rate(WINDOW), Some(1000.0));
        assert_eq!(SlotRoom::new(at(0)).net_rate(WINDOW), None);
    }

    #[test]
    fn a_slot_that_keeps_up_does_not_grow_however_fast_the_primary_writes() {
        let rate = room(1200, |s| 1_000_000 + 50_000_000 * s, |s| 50_000_000 * s).net_rate(WINDOW);
        assert_eq!(rate, Some(0.0));
        let shrinking = room(1200, |s| 10_000_000 + s, |s| 1000 * s).net_rate(WINDOW).unwrap();
        assert!(shrinking < 0.0, "{shrinking}");
    }

    #[test]
    fn what_begins_to_grow_now_counts_from_the_first_second() {
        let wal = |s: u64| 1_000_000 * s;
        let rate = room(1260, wal, |s| wal(s.min(1200))).net_rate(WINDOW).unwrap();
        assert!((90_000.0..=110_000.0).contains(&rate), "60 s of 1 MB/s in a window of 600 s: {rate}");
    }

    #[test]
    fn memory_is_bounded_and_a_hole_is_bridged() {
        let mut room = room(10_000, |s| 1000 * s, |_| 0);
        assert!(room.entries.len() <= 63, "{}", room.entries.len());
        room.push(WINDOW, at(20_000), Lsn(20_000_000), Lsn(0));
        assert_eq!(room.net_rate(WINDOW), Some(1000.0), "positions are facts, whoever looked between them");
    }

    #[test]
    fn positions_that_fall_begin_anew() {
        let mut room = room(700, |s| 1_000_000 + s, |_| 0);
        room.push(WINDOW, at(701), Lsn(5), Lsn(0));
        assert_eq!(room.net_rate(WINDOW), None);
        assert!(room.is_sound(at(701)) && !room.is_sound(at(700)));
    }

    proptest! {
        #[test]
        fn shifting_all_times_changes_nothing(
            steps in prop::collection::vec((0_u64..400, 0_u64..1_000_000, 0_u64..1_000_000), 1..40), shift in 0_u64..1_000_000,
        ) {
            let (mut one, mut other) = (SlotRoom::new(at(0)), SlotRoom::new(at(shift)));
            let (mut now, mut wal, mut restart) = (0, 0, 0);
            for (pause, written, freed) in steps {
                (now, wal) = (now + pause, wal + written);
                restart = (restart + freed).min(wal);
                one.push(WINDOW, at(now), Lsn(wal), Lsn(restart));
                other.push(WINDOW, at(now + shift), Lsn(wal), Lsn(restart));
            }
            prop_assert_eq!(one.net_rate(WINDOW), other.net_rate(WINDOW));
            prop_assert!(one.net_rate(WINDOW).is_none_or(f64::is_finite));
        }
    }
}
