//! How a standby's lag changes: a window of equal buckets, and the slope over them.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::trend::{Slope, theil_sen};
use crate::units::Bytes;

/// Buckets of a window.
const BUCKETS: u32 = 60;
/// Fewer filled buckets than these tell nothing.
const ENOUGH: usize = 15;

/// The lag of one standby over the last window. The slope is worked out when a bucket closes, not at each reading.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LagTrend {
    width: Duration,
    /// Buckets are counted from here, so that what is worked out goes by how lags follow each other, not by when the machine was
    /// started. `None`: from there.
    #[serde(default)]
    origin: Option<Moment>,
    closed: VecDeque<(u64, f64)>,
    open: Option<(u64, f64)>,
    slope: Option<Slope>,
}

impl LagTrend {
    /// An empty window of this length.
    pub fn new(window: Duration) -> Self {
        let width = (window / BUCKETS).max(Duration::from_millis(1));
        Self { width, origin: None, closed: VecDeque::new(), open: None, slope: None }
    }

    /// Remembers a proven lag.
    pub fn push(&mut self, at: Moment, lag: Bytes) {
        if self.open.is_none() {
            self.origin = Some(at);
        }
        let bucket = self.bucket(at);
        if let Some((open, value)) = self.open.filter(|(open, _)| *open != bucket) {
            self.closed.push_back((open, value));
            self.forget(bucket);
            self.slope = self.work_out();
        }
        self.open = Some((bucket, lag.as_f64()));
    }

    /// Bytes per second, while at least a quarter of the window up to `now` is filled.
    pub fn slope(&self, now: Moment) -> Option<Slope> {
        let oldest = self.bucket(now).saturating_sub(u64::from(BUCKETS));
        let filled = self.closed.iter().filter(|(bucket, _)| *bucket >= oldest).count();
        self.slope.filter(|_| filled >= ENOUGH)
    }

    /// Whether it is a window of this length, with nothing in it from after `now`.
    pub fn is_sound(&self, window: Duration, now: Moment) -> bool {
        // Before anything is counted in them: buckets of no width cannot be.
        if self.width != Self::new(window).width {
            return false;
        }
        let newest = self.bucket(now);
        let seen = self.closed.iter().chain(&self.open).all(|(bucket, lag)| *bucket <= newest && lag.is_finite());
        let grows = self.closed.iter().zip(self.closed.iter().skip(1)).all(|(one, next)| one.0 < next.0);
        seen && grows
    }

    fn bucket(&self, at: Moment) -> u64 {
        let since = self.origin.map_or(at.since_boot(), |origin| at.since(origin));
        u64::try_from(since.as_nanos() / self.width.as_nanos()).unwrap_or(u64::MAX)
    }

    fn forget(&mut self, newest: u64) {
        while self.closed.front().is_some_and(|(bucket, _)| newest.saturating_sub(*bucket) > u64::from(BUCKETS)) {
            self.closed.pop_front();
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "bucket numbers within one window differ by at most 60")]
    fn work_out(&self) -> Option<Slope> {
        let (first, _) = *self.closed.front()?;
        let width = self.width.as_secs_f64();
        let points: Vec<_> = self.closed.iter().map(|(bucket, lag)| ((bucket - first) as f64 * width, *lag)).collect();
        theil_sen(&points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_boot(Duration::from_secs(seconds))
    }

    fn trend(seconds: u64, lag: impl Fn(u64) -> u64) -> LagTrend {
        let mut trend = LagTrend::new(Duration::from_secs(300));
        for second in 0..seconds {
            trend.push(at(second), Bytes(lag(second)));
        }
        trend
    }

    #[test]
    fn steady_growth_is_seen_after_a_quarter_of_the_window() {
        assert_eq!(trend(70, |s| s * 1000).slope(at(70)), None);
        let slope = trend(90, |s| s * 1000).slope(at(90)).unwrap();
        assert!((slope.median - 1000.0).abs() < 1.0 && slope.lower > 900.0, "{slope:?}");
    }

    #[test]
    fn a_hill_is_no_growth() {
        let slope = trend(300, |s| if s < 150 { s * 1000 } else { (300 - s) * 1000 }).slope(at(300)).unwrap();
        assert!(slope.lower <= 0.0, "{slope:?}");
    }

    #[test]
    fn an_old_slope_is_not_told() {
        assert_eq!(trend(300, |s| s * 1000).slope(at(700)), None);
    }

    #[test]
    fn fifteen_filled_buckets_tell_and_fourteen_do_not() {
        // A bucket of five seconds closes when the next one opens.
        assert_eq!(trend(75, |s| s * 1000).slope(at(75)), None);
        assert!(trend(76, |s| s * 1000).slope(at(76)).is_some());
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let grew_long_ago = trend(3000, |s| s.min(1000) * 1000);
        assert!(grew_long_ago.closed.len() <= 61, "{}", grew_long_ago.closed.len());
        let slope = grew_long_ago.slope(at(3000)).unwrap();
        assert!(slope.median.abs() < 1.0, "{slope:?}");
    }

    #[test]
    fn only_a_window_of_this_length_that_grows_until_now_is_sound() {
        let window = Duration::from_secs(300);
        let trend = trend(300, |s| s);
        assert!(trend.is_sound(window, at(300)));
        assert!(!trend.is_sound(window * 2, at(300)), "the configuration was changed");
        assert!(!trend.is_sound(window, at(200)), "from the future");
        let mut falls = trend.clone();
        falls.closed.swap(3, 7);
        assert!(!falls.is_sound(window, at(300)));
    }
}
