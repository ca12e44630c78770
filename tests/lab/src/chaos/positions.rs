//! Where the two servers really stand: what the oracle asked them itself, and between which bounds a number must therefore be.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::postgres::PgServer;

/// What was read may be so old when it is shown: three intervals and the timeout, and the way between two agents.
pub const WINDOW: Duration = Duration::from_secs(8);
const KEPT: Duration = Duration::from_secs(240);
const ANSWER: Duration = Duration::from_secs(2);
const PRIMARY: &str = "SELECT (pg_current_wal_lsn() - '0/0')::text WHERE NOT pg_is_in_recovery()";
const STANDBY: &str = "SELECT (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::text, \
                       (pg_last_wal_replay_lsn() - '0/0')::text WHERE pg_is_in_recovery()";

/// Positions between two moments, in bytes from the beginning of the WAL. `None`: could not be asked.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Asked not before, answered not after.
    pub asked: Instant,
    pub answered: Instant,
    pub primary: Option<u64>,
    /// Received or replayed.
    pub has: Option<u64>,
    pub replayed: Option<u64>,
}

/// The samples of the last minutes.
#[derive(Debug, Default)]
pub struct Positions {
    samples: VecDeque<Sample>,
    /// While nothing passes to the standby: where the primary stood once that was so. It cannot have more.
    pub cap: Option<u64>,
    /// What the standby has may have gone back until then: it was restarted, or connected anew.
    pub moved_back: Option<Instant>,
}

impl Positions {
    /// Asks those that can answer.
    pub async fn take(&mut self, primary: Option<&PgServer>, standby: Option<&PgServer>) {
        let asked = Instant::now();
        let of_primary = async { numbers(primary?, PRIMARY).await.ok()?.first().copied() };
        let of_standby = async { numbers(standby?, STANDBY).await.ok() };
        let (primary, standby) = tokio::join!(of_primary, of_standby);
        let at = |place: usize| standby.as_ref().and_then(|numbers| numbers.get(place).copied());
        let sample = Sample { asked, answered: Instant::now(), primary, has: at(0), replayed: at(1) };
        self.samples.push_back(sample);
        while self.samples.front().is_some_and(|oldest| oldest.asked.elapsed() > KEPT) {
            self.samples.pop_front();
        }
    }

    /// Nothing of before can be compared with what comes.
    pub fn forget(&mut self) {
        self.samples.clear();
        self.cap = None;
    }

    pub fn last(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Positions rise, and whatever a view of `begun` rests on was read after this.
    fn before(&self, begun: Instant) -> Option<&Sample> {
        self.samples.iter().rev().find(|sample| sample.answered + WINDOW <= begun)
    }

    /// What was read for a view of `begun` has not been in the way of a restart.
    fn is_steady(&self, begun: Instant) -> bool {
        self.moved_back.is_none_or(|moved| moved + WINDOW + Duration::from_secs(2) <= begun)
    }

    /// The standby has no more than this at any moment before the last sample, by the lesser of what it says and what can have come.
    fn has_at_most(&self, begun: Instant, of: fn(&Sample) -> Option<u64>) -> Option<u64> {
        let said = self.last().and_then(of).filter(|_| self.is_steady(begun));
        said.into_iter().chain(self.cap).min()
    }

    /// The gap, or with `Sample::replayed` the lag, in a view of `begun` is not less than this.
    pub fn at_least(&self, begun: Instant, of: fn(&Sample) -> Option<u64>) -> Option<u64> {
        let primary = self.before(begun)?.primary?;
        Some(primary.saturating_sub(self.has_at_most(begun, of)?))
    }

    /// And not more than this.
    pub fn at_most(&self, begun: Instant, of: fn(&Sample) -> Option<u64>) -> Option<u64> {
        let standby = self.before(begun).and_then(of).filter(|_| self.is_steady(begun))?;
        Some(self.last()?.primary?.saturating_sub(standby))
    }

    /// What the standby had for certain when a view of `begun` was made.
    pub fn had(&self, begun: Instant) -> Option<u64> {
        self.before(begun)?.has.filter(|_| self.is_steady(begun))
    }

    /// So long ago, at least, the primary had passed what the standby has when a view of `begun` was made.
    pub fn behind_for(&self, begun: Instant, of: fn(&Sample) -> Option<u64>) -> Option<Duration> {
        let has = self.has_at_most(begun, of)?;
        let passed = self.samples.iter().find(|sample| sample.primary.is_some_and(|primary| primary > has))?;
        begun.checked_duration_since(passed.answered)?.checked_sub(WINDOW)
    }
}

async fn numbers(server: &PgServer, sql: &str) -> Result<Vec<u64>> {
    let rows = tokio::time::timeout(ANSWER, server.sql(sql)).await.context("no answer")??;
    let row = rows.into_iter().next().context("another role")?;
    row.into_iter().map(|value| value.context("NULL")?.parse().context("a number")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(start: Instant, samples: &[(u64, u64, u64, u64)]) -> Positions {
        let sample = |&(at, primary, has, replayed): &(u64, u64, u64, u64)| Sample {
            asked: start + Duration::from_secs(at),
            answered: start + Duration::from_secs(at),
            primary: Some(primary),
            has: Some(has),
            replayed: Some(replayed),
        };
        Positions { samples: samples.iter().map(sample).collect(), ..Positions::default() }
    }

    #[test]
    fn bounds_hold_whenever_the_agent_has_read() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut all = positions(start, &[(0, 100, 100, 90), (5, 200, 150, 100), (20, 500, 300, 120)]);
        // A view of 15 s rests on readings of 7 s or later: the primary had 200 by then, and the standby 150.
        assert_eq!(all.at_least(at(15), |sample| sample.replayed), Some(200 - 120));
        assert_eq!(all.at_most(at(15), |sample| sample.has), Some(500 - 150));
        assert_eq!(all.at_least(at(15), |sample| sample.has), Some(0), "it may have had all of it");
        assert_eq!(all.behind_for(at(40), |sample| sample.replayed), Some(Duration::from_secs(40 - 5) - WINDOW));
        assert_eq!(all.at_least(at(3), |sample| sample.has), None, "nothing was asked before that");
        // Nothing has passed since the primary stood at 160.
        all.cap = Some(160);
        all.moved_back = Some(at(14));
        assert_eq!(all.at_least(at(15), |sample| sample.has), Some(40));
        assert_eq!(all.at_most(at(15), |sample| sample.has), None, "it may have gone back");
    }
}
