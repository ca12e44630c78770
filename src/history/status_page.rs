//! What is remembered of a vendor's page: how its number changes, and since when it has not.

use std::time::Duration;

use crate::clock::Moment;
use crate::evidence::PostgresEvidence;
use crate::facts::{Reading, StatusPageFacts};
use crate::history::lag_trend::LagTrend;
use crate::units::Bytes;

/// All memory of a page.
#[derive(Clone, Debug)]
pub struct StatusPageHistory {
    /// Of the numbers that were believed.
    pub trend: LagTrend,
    /// The last verdict "lag is large and growing" that a number gave.
    pub growing: Option<(bool, Moment)>,
    /// The number that the page has been telling, without a break, since this moment.
    pub same: Option<(Bytes, Moment)>,
}

impl StatusPageHistory {
    /// Remembers nothing yet.
    pub fn new(trend_window: Duration) -> Self {
        Self { trend: LagTrend::new(trend_window), growing: None, same: None }
    }

    /// Takes in the newest answer. Without a number nobody can say that the next one is still the same.
    pub fn record(&mut self, reading: &Reading<StatusPageFacts>) {
        let lag = reading.facts().and_then(|facts| facts.lag);
        self.same = lag.map(|lag| match self.same {
            Some((before, since)) if before == lag => (lag, since),
            _ => (lag, reading.asked),
        });
    }

    /// Takes in what was derived from the newest answer.
    pub fn note(&mut self, evidence: &PostgresEvidence, now: Moment) {
        if let Some(lag) = evidence.lag {
            self.trend.push(now, lag);
            self.growing = Some((evidence.growing, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Failure;
    use crate::names::FailureKind;

    #[test]
    fn a_number_is_the_same_only_while_it_is_told_without_a_break() {
        let at = |seconds| Moment::after_boot(Duration::from_secs(seconds));
        let mut history = StatusPageHistory::new(Duration::from_secs(300));
        let mut told = |seconds, result| {
            history.record(&Reading { asked: at(seconds), answered: at(seconds), result });
            history.same.map(|(lag, since)| (lag.0, since))
        };
        let says = |lag| Ok(StatusPageFacts { lag, age: None });
        assert_eq!(told(1, says(Some(Bytes(0)))), Some((0, at(1))));
        assert_eq!(told(2, says(Some(Bytes(0)))), Some((0, at(1))));
        assert_eq!(told(3, says(Some(Bytes(5)))), Some((5, at(3))));
        assert_eq!(told(4, says(None)), None);
        assert_eq!(told(5, says(Some(Bytes(5)))), Some((5, at(5))));
        assert_eq!(told(6, Err(Failure::new(FailureKind::Timeout, ""))), None);
    }
}
