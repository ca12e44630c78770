//! How many reads a second the observer may make, over both stores together.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Below what is promised, since some reads of the other probe come on top.
const PER_SECOND: f64 = 180.0;

/// Spends reads.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the reads so far are paid for.
    paid: Option<Instant>,
}

impl Pace {
    /// Waits until the reads before are paid for, and owes `reads` more.
    pub async fn spend(&mut self, reads: usize) {
        sleep_until(self.from(Instant::now(), reads)).await;
    }

    /// From when on `reads` more may be made.
    fn from(&mut self, now: Instant, reads: usize) -> Instant {
        let from = self.paid.map_or(now, |paid| paid.max(now));
        #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
        let cost = Duration::from_secs_f64(reads as f64 / PER_SECOND);
        self.paid = Some(from + cost);
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_reads_in_a_second_than_allowed() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let (mut now, mut reads) = (begun, 0);
        while now < begun + Duration::from_secs(10) {
            reads += 60;
            now = pace.from(now, 60);
        }
        assert!((1700..=2000).contains(&reads), "{reads} in 10 s");
    }
}
