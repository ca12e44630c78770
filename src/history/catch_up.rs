//! How fast a standby catches up now: the last minute of its lag, from its last peak on.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::units::Bytes;

/// How far back a peak is looked for.
const WINDOW: Duration = Duration::from_secs(60);
/// Readings closer together than this are taken as one.
const STEP: Duration = Duration::from_millis(500);
/// Less than this since the peak tells no rate.
const ENOUGH: Duration = Duration::from_secs(3);
/// A lag from this share of the peak on still stands at the peak.
const AT_PEAK: f64 = 0.99;

/// Where a lag is going.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Course {
    /// It shrinks by so many bytes per second.
    Shrinks(f64),
    /// It does not shrink.
    Stays,
}

/// The lag of one standby over the last minute, at most 121 entries.
#[derive(Clone, Debug, Default)]
pub struct CatchUp {
    lags: VecDeque<(Moment, f64)>,
}

impl CatchUp {
    /// Remembers a proven lag.
    pub fn push(&mut self, at: Moment, lag: Bytes) {
        if self.lags.back().is_some_and(|(last, _)| at < *last) {
            self.lags.clear();
        }
        if self.lags.back().is_none_or(|(last, _)| at.since(*last) >= STEP) {
            self.lags.push_back((at, lag.as_f64()));
        }
        while self.lags.front().is_some_and(|(first, _)| at.since(*first) > WINDOW) {
            self.lags.pop_front();
        }
    }

    /// What the lag does now, measured from the last time that it stood at its peak: what was before the peak (replay was paused, a
    /// bulk load was written) says nothing about the time to come. `None` while too little of it is known.
    pub fn course(&self, now: Moment, lag: Bytes) -> Option<Course> {
        let known = self.lags.iter().filter(|(at, _)| now.since(*at) <= WINDOW);
        let peak = known.clone().map(|(_, lag)| *lag).fold(lag.as_f64(), f64::max);
        if lag.as_f64() >= AT_PEAK * peak {
            let first = known.map(|(at, _)| *at).min()?;
            return (now.since(first) >= ENOUGH).then_some(Course::Stays);
        }
        let (since, height) = known.filter(|(_, lag)| *lag >= AT_PEAK * peak).max_by_key(|(at, _)| *at)?;
        let span = now.since(*since);
        (span >= ENOUGH).then(|| Course::Shrinks((height - lag.as_f64()) / span.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn course(seconds: u64, lag: impl Fn(u64) -> u64) -> Option<Course> {
        let mut catch_up = CatchUp::default();
        for second in 0..seconds {
            catch_up.push(at(second), Bytes(lag(second)));
        }
        catch_up.course(at(seconds), Bytes(lag(seconds)))
    }

    fn shrinks(course: Option<Course>) -> f64 {
        match course {
            Some(Course::Shrinks(rate)) => rate,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_rises_or_stands_still_does_not_shrink() {
        assert_eq!(course(30, |s| 1000 * s), Some(Course::Stays));
        assert_eq!(course(30, |_| 1000), Some(Course::Stays));
        assert_eq!(course(2, |_| 1000), None, "too short a look");
    }

    #[test]
    fn only_what_was_since_the_peak_counts() {
        // Ten seconds up, forty on the height, then down by 50 a second.
        let lag = |s: u64| if s <= 50 { (s * 100).min(1000) } else { 1000 - (s - 50) * 50 };
        assert_eq!(course(52, lag), None, "the peak is too near");
        for seconds in [54, 60, 65] {
            let rate = shrinks(course(seconds, lag));
            assert!((rate - 50.0).abs() < 1.0, "{seconds} s: {rate}");
        }
    }

    #[test]
    fn jumps_of_a_slow_link_are_evened_out() {
        // 128 KiB each 11 s, as a link of 12 kB/s moves.
        let rate = shrinks(course(57, |s| (10 << 20) - (s / 11) * (128 << 10)));
        assert!((9_000.0..15_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn memory_is_bounded() {
        let mut catch_up = CatchUp::default();
        for tenth in 0..100_000 {
            catch_up.push(Moment::after_boot(Duration::from_millis(100 * tenth)), Bytes(tenth));
        }
        assert!(catch_up.lags.len() <= 122, "{}", catch_up.lags.len());
    }

    #[test]
    fn moments_that_fall_begin_anew() {
        let mut catch_up = CatchUp::default();
        for second in 100..130 {
            catch_up.push(at(second), Bytes(1_000_000));
        }
        for second in 0..10 {
            catch_up.push(at(second), Bytes(1000));
        }
        assert_eq!(catch_up.course(at(10), Bytes(1000)), Some(Course::Stays));
    }
}
