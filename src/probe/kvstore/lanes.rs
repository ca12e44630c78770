//! When the canaries of the slower lanes are looked at and written anew.

use std::time::Duration;

use tokio::time::Instant;

use super::canary::{Mark, time_to_live};
use super::write::{Sides, Writing};
use super::{Ack, Deadlines, KvstoreProbe, keep, pick};
use crate::clock;
use crate::facts::{Failure, KeptCanary, LaneFacts};
use crate::names::{Lane, Outcome};

/// The lanes whose canaries stay.
const KEPT: [Lane; 2] = [Lane::Medium, Lane::Slow];

impl KvstoreProbe {
    /// Looks at the canaries of the slower lanes and writes anew those whose time has come. `well`: writes go through.
    pub(super) async fn keep(
        &mut self,
        direction: [usize; 2],
        well: bool,
        deadlines: Deadlines,
    ) -> Result<Vec<LaneFacts>, Failure> {
        let mut lanes = Vec::new();
        for lane in KEPT {
            let period = if lane == Lane::Medium { self.channel.lanes.medium } else { self.channel.lanes.slow };
            let before = self.tracker.kept.get(&lane).map(|kept| kept.outcome);
            // What is not done now is done in the next cycle.
            if Instant::now() + self.channel.schedule.timeout / 4 < deadlines.all {
                self.look_at_lane(lane, period, direction, deadlines).await?;
                if well {
                    self.write_lane(lane, period, direction, deadlines).await?;
                }
            }
            let outcome = self.tracker.kept.get(&lane).map(|kept| kept.outcome);
            let new = outcome.is_some() && outcome != before;
            let next_look = self.next_look.get(&lane).copied();
            let pause = self.look_every(period) + self.channel.schedule.timeout;
            let outcome = outcome.map(|outcome| as_looked_at(outcome, next_look, pause, Instant::now()));
            lanes.push(LaneFacts { lane, outcome, new });
        }
        Ok(lanes)
    }

    fn look_every(&self, period: Duration) -> Duration {
        self.channel.schedule.interval.max(period / 20)
    }

    async fn look_at_lane(
        &mut self,
        lane: Lane,
        period: Duration,
        direction: [usize; 2],
        deadlines: Deadlines,
    ) -> Result<(), Failure> {
        let key = self.key(lane);
        let now = Instant::now();
        let due = self.next_look.get(&lane).is_none_or(|next| *next <= now);
        let Some(kept) = self.tracker.kept.get_mut(&lane).filter(|_| due) else { return Ok(()) };
        if kept.written.is_some_and(|written| clock::now().since(written) >= time_to_live(period)) {
            // It has expired: nothing can be told any more but what was found before.
            return Ok(());
        }
        let [(standby, standby_store), (primary, primary_store)] = pick(&mut self.stores, direction)?;
        let (on_standby, on_primary) = tokio::join!(
            keep::side(standby_store, standby, &key, kept, deadlines.all),
            keep::side(primary_store, primary, &key, kept, deadlines.all)
        );
        let outcome = keep::verdict(on_standby, on_primary);
        // What was found and cannot be looked at now still holds.
        if outcome != Outcome::Unknown || kept.outcome == Outcome::Ok {
            kept.outcome = outcome;
        }
        if matches!(kept.outcome, Outcome::Ok | Outcome::Unknown) {
            self.bad_since.remove(&lane);
        } else {
            self.bad_since.entry(lane).or_insert(now);
        }
        self.next_look.insert(lane, now + self.look_every(period));
        Ok(())
    }

    /// What was found stands for a whole period before it is written over.
    async fn write_lane(
        &mut self,
        lane: Lane,
        period: Duration,
        direction: [usize; 2],
        deadlines: Deadlines,
    ) -> Result<(), Failure> {
        if let Some(kept) = self.tracker.kept.get(&lane) {
            let young = kept.written.is_some_and(|written| clock::now().since(written) < period);
            let told = self.bad_since.get(&lane).is_none_or(|since| since.elapsed() >= period);
            if young || !told {
                return Ok(());
            }
        }
        self.tracker.sequence += 1;
        let canary = self.writer.canary(self.tracker.sequence);
        let (key, way) = (self.key(lane), self.way());
        let [(standby, standby_store), (primary, primary_store)] = pick(&mut self.stores, direction)?;
        let mut sides = Sides { standby: standby_store, primary: primary_store, gateway: self.gateway.as_mut() };
        let deadline = deadlines.all;
        let writing = Writing { way, key: &key, canary: &canary, ttl: time_to_live(period), deadline };
        let written = writing.write(&mut sides, false).await;
        self.bad_since.remove(&lane);
        self.tracker.kept.remove(&lane);
        if written.ack() == Ack::Yes {
            let servers = keep::servers([(standby, sides.standby), (primary, sides.primary)], deadline).await;
            let Mark { sequence, nonce } = canary.mark;
            // Not looked at yet.
            let kept = KeptCanary { sequence, nonce, written: written.left, servers, outcome: Outcome::Unknown };
            self.tracker.kept.insert(lane, kept);
            self.next_look.insert(lane, Instant::now() + self.look_every(period));
        }
        Ok(())
    }
}

/// That all is well is known as long as somebody looks: a look that is overdue by `pause` was not made, since the cycles have no time left
/// or the canary has expired. What was found stands.
fn as_looked_at(outcome: Outcome, next_look: Option<Instant>, pause: Duration, now: Instant) -> Outcome {
    let looked = next_look.is_some_and(|next| now < next + pause);
    if outcome == Outcome::Ok && !looked { Outcome::Unknown } else { outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_nobody_looks_at_is_not_well() {
        let (now, pause) = (Instant::now(), Duration::from_secs(33));
        let told = |outcome, next_look| as_looked_at(outcome, next_look, pause, now + Duration::from_secs(100));
        let late = |seconds: u64| Some(now + Duration::from_secs(100 - seconds));
        assert_eq!(told(Outcome::Ok, late(0)), Outcome::Ok);
        assert_eq!(told(Outcome::Ok, late(32)), Outcome::Ok);
        assert_eq!(told(Outcome::Ok, late(33)), Outcome::Unknown);
        assert_eq!(told(Outcome::Ok, None), Outcome::Unknown, "saved by the agent before, and not looked at since");
        assert_eq!(told(Outcome::Lost, None), Outcome::Lost);
    }
}
