//! Where the primary's WAL stood and when: the memory that turns bytes of lag into seconds.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::units::Lsn;

/// How fine and how far each tier remembers: 1 s for 2 min, 10 s for 1 h, 1 min for 24 h.
const TIERS: [(Duration, Duration); 3] = [
    (Duration::from_secs(1), Duration::from_secs(120)),
    (Duration::from_secs(10), Duration::from_secs(3600)),
    (Duration::from_secs(60), Duration::from_secs(86_400)),
];

/// A place is filled this much early, so that probes which run each second with jitter do not skip every other one.
const SLACK: Duration = Duration::from_millis(400);

/// How long ago the primary passed a position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passed {
    /// So many seconds ago.
    Ago(f64),
    /// Longer ago than anything remembered: at least so many seconds.
    AtLeast(f64),
}

/// A ring of (moment, position), at most 1,920 of them. Positions only grow; a position that falls begins a new ring.
#[derive(Clone, Debug, Default)]
pub struct LsnRing {
    tiers: [VecDeque<(Moment, Lsn)>; 3],
    newest: Option<(Moment, Lsn)>,
}

impl LsnRing {
    /// Remembers that the primary stood at `lsn` at `at`.
    pub fn push(&mut self, at: Moment, lsn: Lsn) {
        if self.newest.is_some_and(|(when, before)| lsn < before || at < when) {
            *self = Self::default();
        }
        self.newest = Some((at, lsn));
        for (tier, (step, span)) in self.tiers.iter_mut().zip(TIERS) {
            let due = tier.back().is_none_or(|(last, _)| at.since(*last) + SLACK >= step);
            if due {
                tier.push_back((at, lsn));
            }
            while tier.front().is_some_and(|(first, _)| at.since(*first) > span) {
                tier.pop_front();
            }
        }
    }

    /// Seconds from the moment that the primary passed `lsn` to the newest entry. `None` while nothing is remembered.
    pub fn passed(&self, lsn: Lsn) -> Option<Passed> {
        let (newest_at, newest) = self.newest?;
        if lsn >= newest {
            return Some(Passed::Ago(0.0));
        }
        let mut after = (newest_at, newest);
        for tier in &self.tiers {
            let seen = after.0;
            for &(at, position) in tier.iter().rev().filter(|(at, _)| *at <= seen) {
                if position <= lsn {
                    return Some(Passed::Ago(newest_at.since(between((at, position), after, lsn)).as_secs_f64()));
                }
                after = (at, position);
            }
        }
        Some(Passed::AtLeast(newest_at.since(after.0).as_secs_f64()))
    }

    /// Bytes per second over the last minute, or over as much of it as is remembered, at least five seconds.
    pub fn rate(&self) -> Option<f64> {
        let (newest_at, newest) = self.newest?;
        let (at, lsn) = self.tiers[0].iter().find(|(at, _)| newest_at.since(*at) <= Duration::from_secs(60))?;
        let span = newest_at.since(*at).as_secs_f64();
        (span >= 5.0).then(|| newest.bytes_after(*lsn).as_f64() / span)
    }
}

/// The moment of passing `lsn`, taking the way between two entries as even.
fn between(before: (Moment, Lsn), after: (Moment, Lsn), lsn: Lsn) -> Moment {
    let way = after.1.bytes_after(before.1).as_f64();
    if way <= 0.0 {
        return before.0;
    }
    let share = (lsn.bytes_after(before.1).as_f64() / way).clamp(0.0, 1.0);
    before.0 + after.0.since(before.0).mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn ring(entries: impl IntoIterator<Item = (u64, u64)>) -> LsnRing {
        let mut ring = LsnRing::default();
        for (seconds, lsn) in entries {
            ring.push(at(seconds), Lsn(lsn));
        }
        ring
    }

    fn ago(passed: Option<Passed>) -> f64 {
        match passed {
            Some(Passed::Ago(seconds)) => seconds,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn caught_up_is_zero_on_an_idle_primary() {
        assert_eq!(ring((0..100).map(|s| (s, 500))).passed(Lsn(500)), Some(Passed::Ago(0.0)));
        assert_eq!(
            ring([(0, 5)]).passed(Lsn(9)),
            Some(Passed::Ago(0.0)),
            "ahead of an older reading is caught up to it"
        );
    }

    #[test]
    fn a_long_idle_time_before_a_burst_does_not_count_as_lag() {
        let ring = ring((0..50).map(|s| (s, 1000)).chain([(50, 2000), (51, 2000)]));
        assert!((ago(ring.passed(Lsn(1000))) - 2.0).abs() < 0.01, "{:?}", ring.passed(Lsn(1000)));
        assert!((ago(ring.passed(Lsn(1500))) - 1.5).abs() < 0.01);
    }

    #[test]
    fn coarser_tiers_answer_for_older_times() {
        let ring = ring((0..7200).map(|s| (s, s * 10)));
        for seconds_ago in [1.0, 60.0, 600.0, 3000.0, 7000.0] {
            let lsn = Lsn(((7199.0 - seconds_ago) * 10.0) as u64);
            assert!((ago(ring.passed(lsn)) - seconds_ago).abs() < 1.0, "{seconds_ago}: {:?}", ring.passed(lsn));
        }
    }

    #[test]
    fn older_than_the_memory_is_at_least() {
        let ring = ring([(100, 1000), (101, 1100)]);
        assert_eq!(ring.passed(Lsn(10)), Some(Passed::AtLeast(1.0)));
        assert_eq!(LsnRing::default().passed(Lsn(10)), None);
    }

    #[test]
    fn memory_is_bounded_and_a_new_history_begins_where_positions_fall() {
        let mut ring = ring((0..200_000).map(|s| (s, s)));
        assert!(
            ring.tiers.iter().map(VecDeque::len).sum::<usize>() <= 1_925,
            "{:?}",
            ring.tiers.each_ref().map(VecDeque::len)
        );
        ring.push(at(200_001), Lsn(5));
        assert_eq!(ring.passed(Lsn(4)), Some(Passed::AtLeast(0.0)));
    }

    #[test]
    fn the_rate_is_bytes_per_second() {
        assert_eq!(ring((0..30).map(|s| (s, s * 1000))).rate(), Some(1000.0));
        assert_eq!(ring((0..3).map(|s| (s, s * 1000))).rate(), None, "too short a time to tell");
    }
}
