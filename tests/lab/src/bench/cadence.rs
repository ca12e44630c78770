//! How regularly each probe of the agent succeeds, by what the agent itself exports.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, interval};

use super::scraper::{Scraper, Timings};
use crate::Metrics;

const LAST_SUCCESS: &str = "standby_probe_last_success_timestamp_seconds";
const LOOK: Duration = Duration::from_millis(50);
/// The time stamp of one and the same success may be rounded anew.
const SAME: f64 = 0.05;

/// The time between the successes of one probe.
#[derive(Clone, Debug, Default)]
pub(super) struct Cadence {
    last: Option<f64>,
    pub gaps: Timings,
}

impl Cadence {
    fn see(&mut self, success: f64) {
        match self.last {
            Some(last) if success - last < SAME => return,
            Some(last) => self.gaps.push(Duration::from_secs_f64(success - last)),
            None => {}
        }
        self.last = Some(success);
    }
}

/// By channel and node.
pub(super) type Cadences = BTreeMap<(String, String), Cadence>;

/// Looks at the agent for this long; also returns how long the scrapes took.
pub(super) async fn observe(scraper: &mut Scraper, length: Duration) -> Result<(Cadences, Timings)> {
    let end = Instant::now() + length;
    let (mut cadences, mut scrapes) = (Cadences::new(), Timings::default());
    let mut looks = interval(LOOK);
    while Instant::now() < end {
        looks.tick().await;
        let (text, took) = scraper.scrape().await?;
        scrapes.push(took);
        for (labels, success) in Metrics::parse(&text).all(LAST_SUCCESS, &[]) {
            let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
            cadences.entry((label("channel"), label("node"))).or_default().see(success);
        }
    }
    Ok((cadences, scrapes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_from_one_success_to_the_next() {
        let mut cadence = Cadence::default();
        for success in [100.0, 100.0, 101.0, 101.001, 101.0, 103.5] {
            cadence.see(success);
        }
        assert_eq!(cadence.gaps.count(), 2);
        assert_eq!(cadence.gaps.quantile(0.5), Some(Duration::from_secs(1)));
        assert_eq!(cadence.gaps.quantile(1.0), Some(Duration::from_millis(2500)));
    }
}
